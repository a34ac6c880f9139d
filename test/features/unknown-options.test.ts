/** An option that nobody would read is refused, wherever it is handed in: code that no compiler has seen would never hear of it. */
import { describe, expect, it } from "vitest";
import { aes256gcm } from "../../src/codec/index.ts";
import { Client, RunHandle, ScheduleHandle, Schedules, UpdateHandle } from "../../src/client/index.ts";
import type { AionError } from "../../src/core/errors.ts";
import { isAionError } from "../../src/core/errors.ts";
import { nearestName } from "../../src/core/options.ts";
import { Engine } from "../../src/index.ts";
import { Server } from "../../src/server/index.ts";
import { TestEngine } from "../../src/testing/index.ts";
import { Worker } from "../../src/worker/index.ts";
import {
  ApplicationFailure,
  activity,
  child,
  isFailure,
  receive,
  scope,
  signal,
  step,
  workflow,
} from "../../src/workflow/index.ts";

/** As written where no compiler looks. */
const misspelled = (options: Readonly<Record<string, unknown>>): never => options as never;

async function attemptOf(attempt: () => unknown): Promise<AionError> {
  try {
    await attempt();
  } catch (error) {
    if (isAionError(error)) return error;
    throw error;
  }
  throw new Error("it was taken");
}

async function refusalOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    if (isAionError(error)) {
      expect(error.code).toBe("invalid_argument");
      return error.message;
    }
    if (isFailure(error)) return error.message;
    throw error;
  }
  throw new Error("it was taken");
}

const work = (): number => 1;
const idle = workflow("idle", work);
const go = signal("go");
const client = new Client({ url: "http://127.0.0.1:1" });
const handle = client.get("order-42");
const schedule = client.schedules.get("nightly");
const key = Buffer.alloc(32).toString("base64");

const first = async (items: AsyncIterable<unknown>): Promise<void> => {
  await items[Symbol.asyncIterator]().next();
};

/** Each method of what a client hands out, with a slip in its options; `none`: it takes no options. */
const calls: Readonly<Record<string, readonly [typo: string, meant: string, () => unknown] | "none">> = {
  "Client.start": [
    "requestid",
    "requestId",
    () => client.start(idle, undefined, misspelled({ requestid: "a" })),
  ],
  "Client.get": ["runid", "runId", () => client.get("order-42", misspelled({ runid: "a" }))],
  "Client.list": ["pagesize", "pageSize", () => first(client.list({}, misspelled({ pagesize: 5 })))],
  "Client.listPage": ["limits", "limit", () => client.listPage({}, misspelled({ limits: 5 }))],
  "Client.count": ["stauts", "status", () => client.count(misspelled({ stauts: "running" }))],
  "Client.feed": ["afer", "after", () => first(client.feed(misspelled({ afer: "oldest" })))],
  "RunHandle.signal": [
    "signalid",
    "signalId",
    () => handle.signal(go, undefined, misspelled({ signalid: "a" })),
  ],
  "RunHandle.query": ["signal", "abortSignal", () => handle.query("stage", 1, misspelled({ signal: 1 }))],
  "RunHandle.update": [
    "updatedId",
    "updateId",
    () => handle.update("move", 1, misspelled({ updatedId: "a" })),
  ],
  "RunHandle.startUpdate": [
    "timeOut",
    "timeout",
    () => handle.startUpdate("move", 1, misspelled({ timeOut: "1s" })),
  ],
  "RunHandle.getUpdate": "none",
  "RunHandle.cancel": ["requestid", "requestId", () => handle.cancel("why", misspelled({ requestid: "a" }))],
  "RunHandle.terminate": [
    "reqestId",
    "requestId",
    () => handle.terminate("why", misspelled({ reqestId: "a" })),
  ],
  "RunHandle.pause": ["request", "requestId", () => handle.pause("why", misspelled({ request: "a" }))],
  "RunHandle.resume": ["requestld", "requestId", () => handle.resume("why", misspelled({ requestld: "a" }))],
  "RunHandle.resumeActivity": ["ordnial", "ordinal", () => handle.resumeActivity(misspelled({ ordnial: 0 }))],
  "RunHandle.reopen": [
    "requesttId",
    "requestId",
    () => handle.reopen("why", misspelled({ requesttId: "a" })),
  ],
  "RunHandle.reset": ["to", "toSeq", () => handle.reset(misspelled({ to: 5 }))],
  "RunHandle.fork": ["signal", "signals", () => handle.fork("copy", misspelled({ signal: "carry" }))],
  "RunHandle.result": ["timeoutMs", "timeout", () => handle.result(misspelled({ timeoutMs: 5 }))],
  "RunHandle.describe": ["signal", "abortSignal", () => handle.describe(misspelled({ signal: 1 }))],
  "RunHandle.history": ["from", "fromSeq", () => first(handle.history(misspelled({ from: 5 })))],
  "RunHandle.follow": ["signal", "abortSignal", () => first(handle.follow(misspelled({ signal: 1 })))],
  "RunHandle.logs": ["afterSeq", "after", () => first(handle.logs(misspelled({ afterSeq: "5" })))],
  "RunHandle.followLogs": [
    "signal",
    "abortSignal",
    () => first(handle.followLogs(misspelled({ signal: 1 }))),
  ],
  "UpdateHandle.result": [
    "timout",
    "timeout",
    () => handle.getUpdate("u").result(misspelled({ timout: "1s" })),
  ],
  "Schedules.create": [
    "timezone",
    "timeZone",
    () =>
      client.schedules.create("s", "w", undefined, misspelled({ cron: "0 2 * * *", timezone: "Asia/Tokyo" })),
  ],
  "Schedules.get": "none",
  "Schedules.list": ["pagesize", "pageSize", () => first(client.schedules.list(misspelled({ pagesize: 5 })))],
  "Schedules.listPage": ["limits", "limit", () => client.schedules.listPage(misspelled({ limits: 5 }))],
  "ScheduleHandle.describe": ["count", "nextCount", () => schedule.describe(misspelled({ count: 5 }))],
  "ScheduleHandle.update": ["jiter", "jitter", () => schedule.update(misspelled({ jiter: "1s" }))],
  "ScheduleHandle.pause": ["notes", "note", () => schedule.pause(misspelled({ notes: "why" }))],
  "ScheduleHandle.resume": ["requestid", "requestId", () => schedule.resume(misspelled({ requestid: "a" }))],
  "ScheduleHandle.trigger": ["overlaps", "overlap", () => schedule.trigger(misspelled({ overlaps: "skip" }))],
  "ScheduleHandle.backfill": [
    "overlay",
    "overlap",
    () => schedule.backfill(misspelled({ from: 0, to: 1, overlay: "skip" })),
  ],
  "ScheduleHandle.delete": ["requestid", "requestId", () => schedule.delete(misspelled({ requestid: "a" }))],
};

const methodsOf = (of: { readonly name: string; readonly prototype: object }): readonly string[] =>
  Object.entries(Object.getOwnPropertyDescriptors(of.prototype))
    .filter(([name, { value }]) => typeof value === "function" && name !== "constructor")
    .map(([name]) => `${of.name}.${name}`);

describe("an option that is unknown is refused", () => {
  it.each<readonly [string, string, () => unknown]>([
    ["activity", "starttoclose", () => activity("a", misspelled({ starttoclose: "1s" }), work)],
    ["retry", "initialInterval", () => activity("a", misspelled({ retry: { initialInterval: "1s" } }), work)],
    ["workflow", "taskQueue", () => workflow("w", misspelled({ taskQueue: "gpu" }), work)],
    [
      "start",
      "workflowId",
      () => new Client({ url: "http://127.0.0.1:1" }).start(idle, undefined, misspelled({ workflowId: "a" })),
    ],
    ["count", "timeout", () => client.count({}, misspelled({ timeout: "1s" }))],
    ["failure", "nonRetriable", () => new ApplicationFailure("no", misspelled({ nonRetriable: true }))],
    ["resumeActivity", "activityType", () => handle.resumeActivity(misspelled({ activityType: "charge" }))],
    ["reset", "to", () => handle.reset(misspelled({ to: 5 }))],
    ["fork", "runId", () => handle.fork("copy", misspelled({ runId: "r" }))],
    ["engine", "workflow", () => Engine.open(misspelled({ store: "memory:", workflow: [idle] }))],
    ["test engine", "clock", () => TestEngine.open(misspelled({ workflows: [idle], clock: 0 }))],
    [
      "worker",
      "queues",
      () => new Worker(misspelled({ url: "http://127.0.0.1:1", activities: [], queues: ["gpu"] })),
    ],
  ])("%s: %s", async (_where, name, attempt) => {
    expect(await refusalOf(attempt)).toContain(`has no option "${name}"; it has `);
  });

  it.each<readonly [string, string, () => unknown]>([
    ["activity, for one call", "retries", () => activity("a", work)(undefined, misspelled({ retries: 3 }))],
    ["step", "taskQueue", () => step("s", work, misspelled({ taskQueue: "gpu" }))],
    ["child", "workflowId", () => child(idle, undefined, misspelled({ workflowId: "c" }))],
    ["receive", "timeOut", () => receive(go, misspelled({ timeout: "1s", timeOut: "1s" }))],
    ["scope", "deadline", () => scope(work, misspelled({ timeout: "1s", deadline: "1s" }))],
  ])("%s: %s, and the run fails", async (_where, name, call) => {
    const careless = workflow("careless", async () => void (await call()));
    await using engine = await TestEngine.open({ workflows: [careless, idle], activities: { a: work } });
    const run = await engine.client.start(careless);
    expect(await refusalOf(() => engine.result(run))).toContain(`has no option "${name}"; it has `);
  });

  it.each(Object.entries(calls).filter(([, call]) => call !== "none"))(
    "of a client: %s, and the nearest is named",
    async (_method, call) => {
      const [typo, meant, attempt] = call as Exclude<typeof call, "none">;
      const refused = await attemptOf(attempt);
      expect(refused).toMatchObject({ code: "invalid_argument", hint: `Did you mean \`${meant}\`?` });
      expect(refused.message).toContain(`has no option "${typo}"; it has `);
    },
  );

  it("and no method of a client is left out", () => {
    const methods = [Client, RunHandle, UpdateHandle, Schedules, ScheduleHandle].flatMap(methodsOf);
    expect(Object.keys(calls).toSorted()).toEqual(methods.toSorted());
  });

  it.each<readonly [string, string, () => unknown]>([
    ["client", "tokn", () => new Client(misspelled({ url: "http://127.0.0.1:1", tokn: "a" }))],
    ["client that names no server", "uri", () => new Client(misspelled({ uri: "http://127.0.0.1:1" }))],
    ["filter", "workflow", () => first(client.list(misspelled({ workflow: "fulfil" })))],
    ["filter of the feed", "status", () => first(client.feed({ filter: misspelled({ status: "running" }) }))],
    [
      "failure of a parked activity",
      "cause",
      () => handle.resumeActivity({ failure: misspelled({ cause: 1 }) }),
    ],
    [
      "cron",
      "zone",
      () =>
        client.schedules.create("s", "w", 1, { cron: misspelled({ expression: "* * * * *", zone: "UTC" }) }),
    ],
    [
      "interval",
      "start",
      () => client.schedules.create("s", "w", 1, { every: misspelled({ every: "1h", start: 1 }) }),
    ],
    [
      "key ring",
      "requireEncrypted",
      () => aes256gcm(misspelled({ keys: { a: key }, current: "a", requireEncrypted: true })),
    ],
    ["server", "prot", () => Server.open(misspelled({ data: "/dev/null/none", prot: 1 }))],
    [
      "authentication",
      "jwks",
      () => Server.open({ data: "/dev/null/none", authentication: misspelled({ jwks: "a" }) }),
    ],
    [
      "task queue",
      "rate",
      () => Engine.open({ store: "memory:", taskQueues: { gpu: misspelled({ rate: 5 }) } }),
    ],
  ])("%s: %s", async (_where, name, attempt) => {
    expect(await refusalOf(attempt)).toContain(`has no option "${name}"; it has `);
  });

  it("by an engine that is open, too", async () => {
    await using engine = await Engine.open({ store: "memory:", workflows: [idle] });
    for (const [name, attempt] of [
      ["routed", () => engine.deploy(new Uint8Array(), misspelled({ routed: false }))],
      ["requestid", () => engine.route(["idle"], "v", misspelled({ requestid: "a" }))],
      ["force", () => engine.unload("v", misspelled({ force: true }))],
      ["timeout", () => engine.close(misspelled({ timeout: "1s" }))],
    ] as const)
      expect(await refusalOf(attempt)).toContain(`has no option "${name}"; it has `);
  });

  it("and one that is none at all, too", async () => {
    const message = "the options of cancel must be an object, got";
    expect(await refusalOf(() => handle.cancel("why", "a" as never))).toBe(`${message} string`);
    expect(await refusalOf(() => handle.cancel("why", null as never))).toBe(`${message} null`);
  });

  it("and shown no longer than it has to be", async () => {
    const name = "n".repeat(10_000);
    expect((await refusalOf(() => activity("a", misspelled({ [name]: 1 }), work))).length).toBeLessThan(400);
    expect(nearestName(name, ["name"])).toBeUndefined();
  });
});

describe("the nearest name", () => {
  const names = ["requestId", "runId", "timeout", "startDelay", "signals"];
  it.each([
    ["requestid", "requestId"],
    ["reqeustId", "requestId"],
    ["timeuot", "timeout"],
    ["delay", "startDelay"],
    ["signalsToCarry", "signals"],
    // Any of several, or nothing like it.
    ["id", undefined],
    ["colour", undefined],
    ["", undefined],
  ])("of %j is %j", (name, nearest) => expect(nearestName(name, names)).toBe(nearest));
});
