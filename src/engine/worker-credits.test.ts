import { beforeEach, describe, expect, it } from "vitest";
import { ScriptedWorker } from "../../test/workers/scripted-worker.ts";
import { at, epoch, runId, Stage } from "../../test/workers/worker-stage.ts";
import { toRunId } from "../core/ids.ts";
import { toToken } from "./task-token.ts";

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
  for (let ordinal = 0; ordinal < 6; ordinal++) stage.schedule(ordinal);
});

describe("a credit", () => {
  it("is taken when it is reserved, and given to the next when the start is not recorded", () => {
    stage.join({ capacity: 1 });
    expect(stage.reserve(0)).toBe("w1");
    expect(stage.reserve(1)).toBeUndefined();
    expect(stage.free).toEqual([]);
    stage.workers.slots.release(runId, 0);
    expect(stage.free).toEqual([1]);
    expect(stage.begin(1)).toBe("w1");
  });

  it("is given back once, however often the release is told", () => {
    stage.join({ capacity: 1 });
    stage.reserve(0);
    stage.workers.slots.release(runId, 0);
    stage.workers.slots.release(runId, 0);
    expect(stage.begin(1)).toBe("w1");
    expect(stage.reserve(2)).toBeUndefined();
  });

  it.each(["decline", "leave", "leaveRun"] as const)("that was offered goes to the next after %s", (how) => {
    const worker = stage.join({ capacity: 1 });
    stage.begin(0);
    stage.reserve(1);
    // Of another run, so that the whole run may leave.
    const other = { ...at(2), runId: toRunId("other") };
    stage.workers.slots.reserve(other, stage.activity(2), undefined);
    worker.complete(worker.task(), null);
    expect(stage.free).toEqual([1]);
    if (how === "decline") stage.workers.slots.decline(at(1));
    else if (how === "leave") stage.workers.slots.leave(at(1), stage.activity(1));
    else stage.workers.slots.leaveRun(runId);
    expect(stage.free).toEqual([1, 2]);
    expect(stage.workers.slots.reserve(other, stage.activity(2), undefined)).toBe("w1");
  });

  it("of a worker that is lost after it was offered goes back, and who was offered it waits at his place", async () => {
    const worker = stage.join({ capacity: 1, identity: "first" });
    stage.begin(0);
    stage.reserve(1);
    stage.reserve(2);
    worker.complete(worker.task(), null);
    expect(stage.free).toEqual([1]);
    worker.send({ type: "leave" });
    expect(stage.reserve(1)).toBeUndefined();
    stage.join({ capacity: 1, identity: "second" });
    expect(stage.free).toEqual([1, 1]);
    expect(stage.begin(1)).toBe("second");
  });

  it("of a worker that is lost while the start is on its way to the disk: the attempt is lost as soon as it begins", () => {
    const worker = stage.join();
    const identity = stage.reserve(0);
    worker.send({ type: "leave" });
    stage.add({ type: "ActivityStarted", ordinal: 0, attempt: 1, worker: identity ?? "" });
    stage.workers.begin(at(0), stage.activity(0));
    expect(stage.record()).toEqual(["ActivityFailed"]);
    expect(stage.activity(0)).toMatchObject({ startedAt: undefined, failedCount: 0 });
    expect(worker.tasks).toEqual([]);
  });

  it("is not given to a worker that is cut off, has not said that it is ready, or drains", () => {
    const worker = new ScriptedWorker({ activityTypes: ["work"] }).connect(stage.workers).register();
    expect(stage.reserve(0)).toBeUndefined();
    worker.send({ type: "ready" });
    expect(stage.free).toEqual([0]);
    expect(stage.begin(0)).toBe("w1");
    worker.cut();
    expect(stage.reserve(1)).toBeUndefined();
    worker.join(stage.workers);
    expect(stage.begin(1)).toBe("w1");
    worker.send({ type: "drain" });
    expect(stage.reserve(2)).toBeUndefined();
  });
});

describe("what a worker has", () => {
  it("takes its room until it is told that its time is over", async () => {
    stage.schedule(9, { startToCloseMs: 1_000 });
    const worker = stage.join({ capacity: 1 });
    stage.begin(9);
    await stage.hand.pass(1_000);
    expect([worker.all("cancel"), stage.reserve(0)]).toEqual([[], undefined]);
    stage.record();
    expect(worker.all("cancel")).toHaveLength(1);
    expect(stage.free).toEqual([0]);
  });

  it("takes its room when it comes back after it was lost, until it is told", async () => {
    const worker = stage.join({ capacity: 1 });
    stage.begin(0);
    await stage.hand.pass(30_000);
    worker
      .connect(stage.workers)
      .register({ held: [worker.task().token] })
      .send({ type: "ready" });
    expect([worker.all("cancel"), stage.reserve(1)]).toEqual([[], undefined]);
    stage.record();
    await stage.hand.settle();
    expect(worker.all("cancel")).toHaveLength(1);
    expect(stage.free).toEqual([1]);
  });

  it("takes its room while its run cannot be turned to, until it is reported", async () => {
    stage.isAtHand = false;
    const token = toToken({ address: at(0), attempt: 1, epoch: epoch - 1 });
    const worker = new ScriptedWorker({ activityTypes: ["work"], capacity: 1 });
    worker.session = "of the engine before";
    worker
      .connect(stage.workers)
      .register({ held: [token] })
      .send({ type: "ready" });
    await stage.hand.settle();
    expect([worker.all("cancel"), stage.reserve(1)]).toEqual([[], undefined]);
    worker.send({ type: "report", token, outcome: { kind: "completed", result: "1" } });
    expect(stage.free).toEqual([1]);
  });
});

describe("a line", () => {
  it("is left by all activities of a run that is read anew", () => {
    stage.reserve(0);
    stage.reserve(1);
    stage.workers.slots.leaveRun(runId);
    stage.join();
    expect(stage.free).toEqual([]);
    expect(stage.reserve(1)).toBe("w1");
  });
});
