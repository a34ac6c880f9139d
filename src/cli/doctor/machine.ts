import { get } from "node:http";
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { get as getSecurely } from "node:https";
import { connect } from "node:net";
import { livePath } from "../../client/routes.ts";
import type { Finding } from "./finding.ts";
import { failed, ok, warning } from "./finding.ts";
import type { Live } from "./server-checks.ts";
import { parseLive } from "./server-checks.ts";

const nodeMajorMin = 24;

export function checkNode(version: string): Finding {
  const facts = { version, required: `>=${nodeMajorMin}` };
  if (Number(version.split(".")[0]) >= nodeMajorMin) return ok("node", `Node ${version}`, facts);
  return failed(
    "node",
    `Node ${version} is too old: ${nodeMajorMin} or later is needed`,
    `Install Node ${nodeMajorMin} or later.`,
    facts,
  );
}

/** First fixed in these, each for its branch: https://www.sqlite.org/wal.html#walresetbug */
const fixedSince = "3.51.3";
const fixedBranches: readonly string[] = ["3.44.6", "3.50.7"];

export function checkSqlite(version: string): Finding {
  const facts = { version };
  const isFixed =
    isAtLeast(version, fixedSince) ||
    fixedBranches.some((fixed) => isOneBranch(version, fixed) && isAtLeast(version, fixed));
  if (isFixed) return ok("sqlite", `SQLite ${version}`, facts);
  return warning(
    "sqlite",
    `SQLite ${version} can, in a rare race of two connections, damage a file with a write-ahead log (fixed in ${fixedSince})`,
    "Use a later release of Node: SQLite is part of it.",
    facts,
  );
}

function isOneBranch(one: string, two: string): boolean {
  return one.split(".").slice(0, 2).join(".") === two.split(".").slice(0, 2).join(".");
}

function isAtLeast(version: string, least: string): boolean {
  const wanted = least.split(".").map(Number);
  for (const [index, part] of version.split(".").map(Number).entries()) {
    const other = wanted[index] ?? 0;
    if (part !== other) return part > other;
  }
  return true;
}

/** Where the server of Aion listens if it is told nothing else. */
export const serverPort = 4466;
const portTimeoutMs = 1_000;

/** Nothing is opened here: whoever wants the port at this moment gets it. */
export async function checkPort(port: number): Promise<Finding> {
  const at = `127.0.0.1:${port}`;
  if (!(await isTaken(port))) return ok("port", `nobody listens on ${at}`, { port, isFree: true });
  const plainly = await askHttp(port, get);
  const { live, answer } = plainly.live === undefined ? await askTls(port, plainly) : plainly;
  const facts = { port, isFree: false, isAion: live !== undefined, answer };
  if (live !== undefined)
    return ok(
      "port",
      live.pid === undefined
        ? `a server of Aion listens on ${at}`
        : `a server of Aion ${live.version} listens on ${at} (process ${live.pid})`,
      facts,
    );
  return warning(
    "port",
    `somebody listens on ${at}, and it is no server of Aion (${answer})`,
    "Stop that program before a server is started, or give the server another port.",
    facts,
  );
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const settle = (taken: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(taken);
    };
    // Neither taken nor refused: something swallows what comes, and a server could not be reached either.
    const timer = setTimeout(settle, portTimeoutMs, true);
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

/** No answer of ours is longer. */
const answerLengthMax = 1_000;

interface Asked {
  readonly live?: Live;
  readonly answer: string;
}

/** Nothing is told to who is asked, so it does not matter whose certificate it shows. */
async function askTls(port: number, plainly: Asked): Promise<Asked> {
  const securely = await askHttp(port, (options, take) =>
    getSecurely({ ...options, rejectUnauthorized: false }, take),
  );
  return securely.live === undefined ? plainly : securely;
}

function askHttp(
  port: number,
  ask: (options: RequestOptions, take: (response: IncomingMessage) => void) => ClientRequest,
): Promise<Asked> {
  return new Promise((resolve) => {
    const request = ask(
      { host: "127.0.0.1", port, path: livePath, agent: false, signal: AbortSignal.timeout(portTimeoutMs) },
      (response) => {
        const answer = `HTTP status ${response.statusCode ?? 0}`;
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
          if (text.length > answerLengthMax) response.destroy();
        });
        response.on("error", () => undefined);
        response.once("close", () => {
          const live = response.complete ? parseLive(text) : undefined;
          resolve(live === undefined ? { answer } : { live, answer });
        });
      },
    );
    request.on("error", () => resolve({ answer: "no answer to HTTP" }));
  });
}
