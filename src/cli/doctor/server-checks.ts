import { fetchSend, isTrustRefused } from "../../client/fetch-send.ts";
import type { RemoteOptions } from "../../client/remote.ts";
import { connectRemote } from "../../client/remote.ts";
import { livePath, readyPath } from "../../client/routes.ts";
import type { NamespaceSummary } from "../../client/server-client.ts";
import { listNamespaces } from "../../client/server-client.ts";
import { isAionError } from "../../core/errors.ts";
import { messageOf } from "../../core/payload.ts";
import { formatSpan } from "../instant.ts";
import type { CheckName, Facts, Finding } from "./finding.ts";
import { failed, ok, skipped, warning } from "./finding.ts";
import { checkBlocked, checkParked } from "./store-checks.ts";

const startOrCorrect = "Start it (`aion server`), or correct the address.";
const timeoutMs = 3_000;
/** The header that tells the time tells seconds. */
const skewMaxMs = 2_000;

/** What a server of Aion says of itself. Which process and version it is, it says to who is known. */
export interface Live {
  readonly pid?: number;
  readonly version?: string;
}

/** `undefined`: what was said is not what a server of Aion says. */
export function parseLive(text: string): Live | undefined {
  try {
    const said: unknown = JSON.parse(text);
    if (typeof said !== "object" || said === null) return undefined;
    const { isLive, pid, version } = said as { isLive?: unknown; pid?: unknown; version?: unknown };
    if (isLive !== true) return undefined;
    return typeof pid === "number" && typeof version === "string" ? { pid, version } : {};
  } catch {
    return undefined;
  }
}

/** Whether a server is there and takes calls, its version, its clock, its namespaces, and what waits in them for somebody to act. */
export async function* lookAtServer(server: RemoteOptions, own: string): AsyncGenerator<Finding> {
  const { url } = server;
  const askedAt = Date.now();
  let clock: string | undefined;
  const send = fetchSend({
    ...server,
    fetch: async (...args) => {
      const response = await (server.fetch ?? fetch)(...args);
      clock ??= response.headers.get("date") ?? undefined;
      return response;
    },
  });
  const ask = (path: string): ReturnType<typeof send> => send({ verb: "GET", path, timeoutMs });
  const rest = [
    "namespaces",
    "version",
    "clock",
    "blocked",
    "parked",
  ] as const satisfies readonly CheckName[];
  let live: Live | undefined;
  let isReady: boolean;
  try {
    live = parseLive((await ask(livePath)).text);
    isReady = (await ask(readyPath)).status === 200;
  } catch (error) {
    const hint = isAionError(error) && isTrustRefused(error) ? error.hint : startOrCorrect;
    yield failed("server", messageOf(error), hint, { url });
    yield* skipAll(rest, "the server could not be asked");
    return;
  }
  const now = (askedAt + Date.now()) / 2;
  if (live === undefined) {
    yield failed("server", `what answers at ${url} is no server of Aion`, "Correct the address.", { url });
    yield* skipAll(rest, "the server could not be asked");
    return;
  }
  const { pid, version } = live;
  const facts: Facts = { url, ...(pid === undefined ? {} : { pid }), isReady };
  const who = pid === undefined ? "a server" : `process ${pid}`;
  yield isReady
    ? ok("server", `${who} takes calls at ${url}`, facts)
    : warning(
        "server",
        `${who} at ${url} takes no calls now`,
        "It is starting, or draining before it ends: ask again in some seconds, and look at its log.",
        facts,
      );
  const namespaces = await findNamespaces(server);
  yield checkNamespaces(namespaces);
  yield version === undefined
    ? skipped("version", "the server tells it to callers that it knows")
    : checkServerVersion(version, own);
  yield checkServerClock(clock, now);
  yield* lookAtWaiting(server, namespaces);
}

type Namespaces = readonly NamespaceSummary[] | { readonly error: unknown };

async function findNamespaces(server: RemoteOptions): Promise<Namespaces> {
  try {
    return await listNamespaces(server);
  } catch (error) {
    return { error };
  }
}

function checkNamespaces(namespaces: Namespaces): Finding {
  if (!("error" in namespaces)) {
    const closed = namespaces.filter(({ state }) => state !== "open");
    const facts: Facts = { count: namespaces.length, unavailableCount: closed.length };
    if (closed.length === 0) return ok("namespaces", `${namespaces.length} of them, all open`, facts);
    const [first] = closed;
    return failed(
      "namespaces",
      `${closed.map(({ name }) => name).join(", ")} cannot be opened: ${first?.error ?? "it is not said why"}`,
      "Look at its store on the machine of the server: `aion doctor --store sqlite:…`. The others go on.",
      facts,
    );
  }
  const { error } = namespaces;
  const hint = isAionError(error) ? error.hint : "Look at the log of the server.";
  return warning("namespaces", `they could not be listed: ${messageOf(error)}`, hint);
}

interface Waiting {
  readonly namespace: string;
  readonly runCount: number;
  readonly runningCount: number;
  readonly blockedCount: number;
  readonly parkedCount: number;
}

/** In the namespace that was named, or in all that are open. */
async function* lookAtWaiting(server: RemoteOptions, namespaces: Namespaces): AsyncGenerator<Finding> {
  const { namespace } = server;
  const found = "error" in namespaces ? [] : namespaces.filter(({ state }) => state === "open");
  const names = namespace === undefined ? found.map(({ name }) => name) : [namespace];
  if (names.length === 0) {
    yield* skipAll(["blocked", "parked"], "there is no namespace that could be asked");
    return;
  }
  const waiting: Waiting[] = [];
  try {
    for (const name of names) {
      const service = connectRemote({ ...server, namespace: name });
      const [runCount, runningCount, blockedCount, parkedCount] = await Promise.all([
        service.count({}),
        service.count({ status: "running" }),
        service.count({ isBlocked: true }),
        service.count({ isParked: true }),
      ]);
      waiting.push({ namespace: name, runCount, runningCount, blockedCount, parkedCount });
    }
  } catch (error) {
    yield* skipAll(["blocked", "parked"], `runs could not be counted: ${messageOf(error)}`);
    return;
  }
  const sum = (name: Exclude<keyof Waiting, "namespace">): number =>
    waiting.reduce((total, each) => total + each[name], 0);
  const where = (name: "blockedCount" | "parkedCount"): readonly string[] =>
    waiting.filter((each) => each[name] > 0).map((each) => each.namespace);
  const [runCount, runningCount] = [sum("runCount"), sum("runningCount")];
  yield checkBlocked({ runCount, runningCount, blockedCount: sum("blockedCount") }, where("blockedCount"));
  yield checkParked({ runningCount, parkedCount: sum("parkedCount") }, where("parkedCount"));
}

export function checkServerVersion(version: string, own: string): Finding {
  const facts: Facts = { own, serverVersion: version };
  if (version === own) return ok("version", `this is Aion ${own}, and so is the server`, facts);
  return warning(
    "version",
    `the server is Aion ${version}, and this command is ${own}: they may not understand each other`,
    "Use the command of the version that the server runs.",
    facts,
  );
}

/** `date`: as the header of an answer has it. */
export function checkServerClock(date: string | undefined, now: number): Finding {
  const serverNow = Date.parse(date ?? "");
  if (Number.isNaN(serverNow)) return skipped("clock", "the server does not tell its time");
  const aheadMs = serverNow - now;
  const facts: Facts = { now, serverNow, aheadMs };
  if (Math.abs(aheadMs) <= skewMaxMs)
    return ok("clock", "that of the server is as this one, to some seconds", facts);
  return warning(
    "clock",
    `that of the server is ${aheadMs > 0 ? "ahead of" : "behind"} this one by ${formatSpan(aheadMs)}`,
    "Set both by a time server. Timers go by the clock of the server.",
    facts,
  );
}

function* skipAll(checks: readonly CheckName[], why: string): Generator<Finding> {
  for (const check of checks) yield skipped(check, why);
}
