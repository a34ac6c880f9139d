/** An option that nobody would read is refused, wherever it is handed in: code that no compiler has seen would never hear of it. */
import { describe, expect, it } from "vitest";
import { Client } from "../../src/client/index.ts";
import { isAionError } from "../../src/core/errors.ts";
import { Engine } from "../../src/index.ts";
import { TestEngine } from "../../src/testing/index.ts";
import { Worker } from "../../src/worker/index.ts";
import {
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
const handle = new Client({ url: "http://127.0.0.1:1" }).get("order-42");

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

  it("and shown no longer than it has to be", async () => {
    const name = "n".repeat(10_000);
    expect((await refusalOf(() => activity("a", misspelled({ [name]: 1 }), work))).length).toBeLessThan(400);
  });
});
