import { beforeEach, describe, expect, it } from "vitest";
import fc from "fast-check";
import { ScriptedWorker } from "../../test/workers/scripted-worker.ts";
import { at, epoch, json, runId, Stage } from "../../test/workers/worker-stage.ts";
import type { ActivityOptionsRecord } from "../core/event.ts";
import { toRunId } from "../core/ids.ts";
import { idOf } from "../store/conformance/world.ts";
import { fromToken, toToken } from "./task-token.ts";
import { Workers, workerOptionsDefault } from "./workers.ts";

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
  for (let ordinal = 0; ordinal < 6; ordinal++) stage.schedule(ordinal);
});

describe("a run that has ended", () => {
  it("leaves nothing with its workers: they are told, and have room again", async () => {
    const worker = stage.join({ capacity: 2 });
    stage.begin(0);
    stage.begin(1);
    worker.complete(worker.task(1), 1);
    stage.workers.dropRun(runId);
    expect(worker.all("cancel")).toMatchObject([{ token: worker.task(0).token, reason: "closed" }]);
    expect(worker.answers).toEqual(["not-wanted"]);
    expect([0, 1].map((ordinal) => stage.workers.isUnderWay(runId, ordinal))).toEqual([false, false]);
    expect([stage.reserve(2), stage.reserve(3), stage.reserve(4)]).toEqual(["w1", "w1", undefined]);
    // What became of the report is told once.
    stage.record();
    expect(worker.answers).toEqual(["not-wanted"]);
  });
});

describe("a worker that comes back", () => {
  it("is not sent again what is over", async () => {
    stage.schedule(9, { startToCloseMs: 1_000 });
    const worker = stage.join();
    stage.begin(9);
    await stage.hand.pass(1_000);
    stage.record();
    worker.cut();
    worker.join(stage.workers);
    expect(worker.tasks).toHaveLength(1);
  });

  it("drains no more unless it says so again", () => {
    const worker = stage.join();
    worker.send({ type: "drain" }).cut();
    worker.join(stage.workers);
    expect(stage.reserve(0)).toBe("w1");
  });

  it("is told once of a cancellation that came before its task was sent again", () => {
    const worker = stage.join();
    stage.begin(0);
    worker.cut();
    stage.workers.cancel(runId, 0);
    worker.join(stage.workers);
    expect(worker.frames.map(({ type }) => type)).toEqual([
      "registered",
      "task",
      "registered",
      "task",
      "cancel",
    ]);
  });
});

describe("an engine", () => {
  it("takes no worker before it knows what is open, and the worker is to come again", () => {
    const early = new Workers({
      ports: stage.hand.ports,
      options: workerOptionsDefault,
      payloadLimitBytes: 1_000,
      epoch,
      host: {
        settled: () => undefined,
        slotFree: () => undefined,
        heartbeat: () => undefined,
        isAtHand: () => true,
        standingOf: async () => ({ kind: "over" }),
      },
    });
    const worker = new ScriptedWorker({ activityTypes: ["work"] }).connect(early);
    expect(worker.frames).toMatchObject([{ type: "refused", isFinal: false }]);
    expect(worker.isConnected).toBe(false);
  });

  it("that stops leaves no timer, and gives nothing out", async () => {
    stage.schedule(9, { startToCloseMs: 1_000, heartbeatMs: 1_000 });
    const worker = stage.join();
    stage.begin(9);
    stage.reserve(0);
    new ScriptedWorker({ activityTypes: ["work"] }).connect(stage.workers).cut();
    new ScriptedWorker({ activityTypes: ["work"] }).connect(stage.workers);
    stage.workers.stop();
    expect(stage.hand.waitingCount).toBe(0);
    stage.add({ type: "ActivityStarted", ordinal: 0, attempt: 1, worker: "w1" });
    stage.workers.begin(at(0), stage.activity(0));
    expect(worker.frames.map(({ type }) => type)).toEqual(["registered", "task", "closing"]);
    expect(stage.reserve(1)).toBeUndefined();
    expect([stage.workers.inFlightCount, stage.free]).toEqual([0, []]);
  });
});

describe("a report", () => {
  it("is answered when it is known what became of it", () => {
    const worker = stage.join();
    stage.begin(0);
    worker.complete(worker.task(), 1);
    expect(worker.answers).toEqual([]);
    expect(stage.record()).toEqual(["ActivityCompleted"]);
    expect(worker.answers).toEqual(["recorded"]);
  });

  it("of a run that cannot go on is not wanted", () => {
    const worker = stage.join();
    stage.begin(0);
    worker.complete(worker.task(), 1);
    stage.settled[0]?.onDropped?.();
    expect(worker.answers).toEqual(["not-wanted"]);
    expect(stage.workers.isUnderWay(runId, 0)).toBe(false);
  });

  it("of another worker's task changes nothing, whatever it claims", async () => {
    const worker = stage.join({ identity: "owner" });
    const thief = stage.join({ identity: "thief", taskQueues: ["other"] });
    stage.begin(0);
    thief
      .complete(worker.task(), "stolen")
      .send({ type: "heartbeat", token: worker.task().token, details: "1" });
    await stage.hand.settle();
    expect(thief.answers).toEqual(["not-wanted"]);
    expect([stage.settled, stage.beats]).toEqual([[], []]);
    thief.cut();
    thief.connect(stage.workers).register({ held: [worker.task().token] });
    expect(thief.all("registered").at(-1)).toMatchObject({ stop: [worker.task().token] });
    worker.complete(worker.task(), "own");
    expect(stage.record()).toEqual(["ActivityCompleted"]);
  });

  it.each([
    ["of a later attempt", { attempt: 2 }],
    ["of another epoch", { epoch: epoch - 1 }],
    ["of an epoch to come", { epoch: epoch + 1 }],
    ["of another run", { address: { ...at(0), runId: toRunId("other") } }],
    ["of another workflow", { address: { ...at(0), workflowId: idOf("other") } }],
    ["of another activity", { address: at(1) }],
  ])("with a token %s changes nothing", async (what, claim) => {
    const worker = stage.join();
    stage.begin(0);
    const token = toToken({ address: at(0), attempt: 1, epoch, ...claim });
    worker.send({ type: "report", token, outcome: { kind: "completed", result: "1" } });
    await stage.hand.settle();
    expect(stage.settled).toEqual([]);
    // What a later engine gave out, this one cannot judge.
    expect(worker.answers).toEqual(what === "of an epoch to come" ? [] : ["not-wanted"]);
    expect(worker.isConnected).toBe(true);
  });

  it("that comes after its time is answered when that is on disk, and its worker told then", async () => {
    stage.schedule(9, { startToCloseMs: 1_000 });
    const worker = stage.join();
    stage.begin(9);
    await stage.hand.pass(1_000);
    worker.complete(worker.task(), 1);
    await stage.hand.settle();
    expect([worker.answers, worker.all("cancel")]).toEqual([[], []]);
    expect(stage.record()).toEqual(["ActivityTimedOut"]);
    await stage.hand.settle();
    expect([worker.answers, worker.all("cancel")]).toMatchObject([["not-wanted"], [{ reason: "timed-out" }]]);
  });

  it("is not stopped at its worker's return while it is not on disk that it is over", async () => {
    const worker = stage.join();
    stage.begin(0);
    await stage.hand.pass(30_000);
    const { token } = worker.task();
    worker.connect(stage.workers).register({ held: [token] });
    expect(worker.all("registered").at(-1)).toMatchObject({ stop: [] });
    await stage.hand.settle();
    expect(worker.all("cancel")).toEqual([]);
    expect(stage.record()).toEqual(["ActivityFailed"]);
    await stage.hand.settle();
    expect(worker.all("cancel")).toEqual([{ type: "cancel", token, reason: "closed" }]);
  });

  it("of which nothing is known is looked up in the history, one after the other", async () => {
    stage.recorded.add("3 2");
    const worker = stage.join();
    for (const [ordinal, attempt] of [
      [3, 2],
      [3, 1],
    ] as const) {
      const token = toToken({ address: at(ordinal), attempt, epoch: epoch - 1 });
      worker.send({ type: "report", token, outcome: { kind: "completed", result: "1" } });
    }
    expect(stage.lookedUp).toEqual([]);
    await stage.hand.settle();
    expect(stage.lookedUp).toEqual(["3 2", "3 1"]);
    expect(worker.answers).toEqual(["already-recorded", "not-wanted"]);
  });
});

describe("an attempt of an engine before this one", () => {
  const adopt = (ordinal: number, options: ActivityOptionsRecord = {}): string => {
    stage = new Stage();
    stage.schedule(ordinal, options);
    stage.add({ type: "ActivityStarted", ordinal, attempt: 1, worker: "w1" });
    stage.workers.adopt(at(ordinal), stage.activity(ordinal), "w1");
    return toToken({ address: at(ordinal), attempt: 1, epoch: epoch - 1 });
  };

  it("is its worker's for one session, whose token is not trusted to be of this engine", () => {
    const token = adopt(0);
    const worker = new ScriptedWorker({ activityTypes: ["work"] });
    worker.session = "of the engine before";
    const forged = toToken({ address: at(0), attempt: 1, epoch });
    const strange = toToken({
      address: { ...at(0), workflowId: idOf("other") },
      attempt: 1,
      epoch: epoch - 1,
    });
    worker.connect(stage.workers).register({ held: [forged, strange], unacknowledged: [token] });
    expect(worker.all("registered")).toMatchObject([{ stop: [forged, strange] }]);
    worker.send({ type: "report", token, outcome: { kind: "completed", result: "1" } });
    expect(stage.record()).toEqual(["ActivityCompleted"]);
    expect(worker.answers).toEqual(["recorded"]);
  });

  // I-56
  it("is not given to who takes the name of its worker, and does not serve its queue", async () => {
    const token = adopt(0);
    const thief = new ScriptedWorker({ activityTypes: ["work"], taskQueues: ["other"] });
    thief.session = "made up";
    thief.connect(stage.workers).register({ unacknowledged: [token] });
    thief.send({ type: "report", token, outcome: { kind: "completed", result: '"forged"' } });
    await stage.hand.settle();
    expect([stage.record(), thief.answers]).toEqual([[], ["not-wanted"]]);
    // Nor is it begun anew: its worker is still to come.
    expect(stage.workers.isUnderWay(runId, 0)).toBe(true);
  });

  it("counts against the concurrency of its queue", () => {
    stage = new Stage({ taskQueues: { default: { concurrency: 1 } } });
    stage.schedule(0);
    stage.schedule(1);
    stage.add({ type: "ActivityStarted", ordinal: 0, attempt: 1, worker: "gone" });
    stage.workers.adopt(at(0), stage.activity(0), "gone");
    stage.join();
    expect(stage.reserve(1)).toBeUndefined();
    stage.workers.drop(runId, [0]);
    expect(stage.free).toEqual([1]);
  });

  it("counts against the room of its worker", () => {
    const token = adopt(0);
    stage.schedule(1);
    const worker = new ScriptedWorker({ activityTypes: ["work"], capacity: 1 });
    worker.session = "of the engine before";
    worker
      .connect(stage.workers)
      .register({ held: [token] })
      .send({ type: "ready" });
    expect(stage.reserve(1)).toBeUndefined();
    worker.send({ type: "report", token, outcome: { kind: "completed", result: "1" } });
    expect(stage.free).toEqual([1]);
  });

  it("has the time-out of the whole activity at its instant, and its own no sooner than the session's", async () => {
    adopt(0, { scheduleToCloseMs: 10_000 });
    await stage.hand.pass(10_000);
    expect(stage.record()).toEqual(["ActivityTimedOut"]);
    adopt(0, { startToCloseMs: 10_000, heartbeatMs: 1_000 });
    await stage.hand.pass(29_999);
    expect(stage.record()).toEqual([]);
    await stage.hand.pass(1);
    expect(stage.record()).toEqual(["ActivityTimedOut"]);
  });
});

describe("a worker that comes on another connection", () => {
  it("has left the first one, whether that has been noticed or not", () => {
    const worker = stage.join();
    stage.begin(0);
    const closed: string[] = [];
    const first = stage.workers.acceptWorker({ send: () => undefined, close: () => closed.push("first") });
    const register = {
      type: "register",
      protocol: 1,
      identity: "w1",
      taskQueues: ["default"],
      activityTypes: ["work"],
      capacity: 9,
      held: [worker.task().token],
      unacknowledged: [],
      session: worker.session,
    };
    first.receive(register);
    const second = stage.workers.acceptWorker({ send: () => undefined, close: () => closed.push("second") });
    second.receive(register);
    expect([worker.isConnected, closed]).toEqual([false, ["first"]]);
    const report = {
      type: "report",
      token: worker.task().token,
      outcome: { kind: "completed", result: "1" },
    };
    first.receive(report);
    expect(stage.settled).toEqual([]);
    // That it is closed at last takes nothing from the second.
    first.closed();
    second.receive({ type: "ready" });
    expect(stage.reserve(1)).toBe("w1");
    second.receive(report);
    expect(stage.record()).toEqual(["ActivityCompleted"]);
  });
});

describe("a worker that does not behave", () => {
  const good = {
    type: "register",
    protocol: 1,
    identity: "bad",
    taskQueues: ["default"],
    activityTypes: ["work"],
    capacity: 1,
    held: [],
    unacknowledged: [],
  };
  const long = "x".repeat(256);
  const deep = (depth: number): unknown =>
    depth === 0 ? undefined : { kind: "application", message: "", cause: deep(depth - 1) };
  const report = (outcome: unknown): unknown => ({ type: "report", token: "t", outcome });

  it.each<[string, unknown]>([
    ["nothing", null],
    ["a number", 1],
    ["a list", []],
    ["no type", {}],
    ["a type of the engine's", { type: "task" }],
    ["a report before it registered", report({ kind: "completed", result: "1" })],
    ["another protocol", { ...good, protocol: 2 }],
    ["no name", { ...good, identity: "" }],
    ["a name that is too long", { ...good, identity: long }],
    ["no queues", { ...good, taskQueues: [] }],
    ["queues that are no list", { ...good, taskQueues: "default" }],
    ["too many queues", { ...good, taskQueues: Array.from({ length: 101 }, (_, index) => `q${index}`) }],
    ["too many types", { ...good, activityTypes: Array.from({ length: 1_001 }, (_, index) => `t${index}`) }],
    ["no room", { ...good, capacity: 0 }],
    ["room without an end", { ...good, capacity: 10_001 }],
    ["half a room", { ...good, capacity: 1.5 }],
    ["a build that is no text", { ...good, build: 3 }],
    ["a token that is no text", { ...good, held: [1] }],
    ["a token that is too long", { ...good, unacknowledged: ["x".repeat(4_097)] }],
    ["no list of what it holds", { ...good, held: undefined }],
  ])("is refused when it says %s, and no other notices", (_what, frame) => {
    const other = stage.join({ identity: "good" });
    const bad = new ScriptedWorker({ activityTypes: ["work"] }).connect(stage.workers);
    bad.send(frame as Record<string, unknown>);
    expect(bad.frames).toMatchObject([{ type: "refused", isFinal: true }]);
    expect(bad.isConnected).toBe(false);
    expect(stage.begin(0)).toBe("good");
    other.complete(other.task(), 1);
    expect(stage.record()).toEqual(["ActivityCompleted"]);
  });

  it.each<[string, unknown]>([
    ["a report without an outcome", { type: "report", token: "t" }],
    ["an outcome of another kind", report({ kind: "lost" })],
    ["a result that is no text", report({ kind: "completed", result: { a: 1 } })],
    ["a failure without a kind", report({ kind: "failed", failure: { message: "" } })],
    ["a failure of another kind", report({ kind: "failed", failure: { kind: "odd", message: "" } })],
    ["a failure without a message", report({ kind: "failed", failure: { kind: "application" } })],
    [
      "details that are no JSON",
      report({ kind: "failed", failure: { kind: "application", message: "", details: "{" } }),
    ],
    [
      "details that are too large",
      report({
        kind: "failed",
        failure: { kind: "application", message: "", details: JSON.stringify("x".repeat(65_536)) },
      }),
    ],
    [
      "a time-out of another kind",
      report({ kind: "failed", failure: { kind: "timeout", message: "", timeout: "tea" } }),
    ],
    ["causes without an end", report({ kind: "failed", failure: deep(22) })],
    ["a report of no task", { type: "report", token: "", outcome: { kind: "completed", result: "1" } }],
    ["details of a heartbeat that are no text", { type: "heartbeat", token: "t", details: 1 }],
    ["another name", { ...good, identity: "good?" }],
  ])("is cut off when it says %s, and keeps what it has until it is lost", async (_what, frame) => {
    const bad = stage.join({ identity: "bad" });
    stage.begin(0);
    bad.send(frame as Record<string, unknown>);
    expect(bad.frames.at(-1)).toMatchObject({ type: "refused", isFinal: true });
    expect(bad.isConnected).toBe(false);
    expect(stage.settled).toEqual([]);
    // What it says on the connection that is over is not heard.
    bad.complete(bad.task(), 1);
    expect(stage.settled).toEqual([]);
    await stage.hand.pass(30_000);
    expect(stage.record()).toEqual(["ActivityFailed"]);
  });

  it("with heartbeat details that are no JSON, or too large, is cut off", () => {
    for (const details of ["{", json("x".repeat(1_000))]) {
      const bad = stage.join();
      stage.begin(stage.beats.length);
      bad.send({ type: "heartbeat", token: bad.task().token, details });
      expect(bad.isConnected).toBe(false);
      bad.join(stage.workers).send({ type: "leave" });
      stage.record();
    }
    expect(stage.beats).toEqual([]);
  });

  it("keeps no more of a failure than one of our own has, and nothing that is none", () => {
    const bad = stage.join();
    stage.begin(0);
    bad.send({
      type: "report",
      token: bad.task().token,
      outcome: {
        kind: "failed",
        failure: {
          kind: "application",
          message: "m".repeat(100_000),
          stack: "s".repeat(100_000),
          odd: "x",
          type: "\ud800",
        },
      },
    });
    const [event] = stage.settled.map(({ toEvent }) => toEvent(stage.state, 0));
    if (event?.type !== "ActivityFailed") throw new Error("it did not fail");
    expect(Object.keys(event.failure).toSorted()).toEqual(["kind", "message", "stack", "type"]);
    expect(event.failure.message).toHaveLength(8_000);
    expect(event.failure.type).toBe("\ufffd");
  });

  it("that does not register is cut off after the time-out of a session", async () => {
    const idle = new ScriptedWorker({ activityTypes: ["work"] }).connect(stage.workers);
    await stage.hand.pass(29_999);
    expect(idle.isConnected).toBe(true);
    await stage.hand.pass(1);
    expect(idle.isConnected).toBe(false);
  });

  it("is one too many: the others stay", () => {
    stage = new Stage({ workersMax: 2 });
    const [first, second, third] = ["a", "b", "c"].map((identity) => stage.join({ identity }));
    expect([first, second, third].map((worker) => worker?.isConnected)).toEqual([true, true, false]);
    expect(third?.frames).toMatchObject([{ type: "refused", isFinal: false }]);
  });

  it("breaks nothing, whatever it sends", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.jsonValue(), arbitraryFrame), { maxLength: 20 }), (frames) => {
        stage = new Stage();
        for (let ordinal = 0; ordinal < 3; ordinal++) stage.schedule(ordinal);
        const other = stage.join({ identity: "good", capacity: 1 });
        expect(stage.begin(0)).toBe("good");
        let bad = new ScriptedWorker({ activityTypes: ["work"], identity: "bad" }).connect(stage.workers);
        for (const frame of frames) {
          if (!bad.isConnected)
            bad = new ScriptedWorker({ activityTypes: ["work"], identity: "bad" }).connect(stage.workers);
          bad.send(frame as Record<string, unknown>);
        }
        expect(other.isConnected).toBe(true);
        other.complete(other.task(), "fine");
        // An attempt that the bad one was given and gave up again may be among them.
        expect(stage.record()).toContain("ActivityCompleted");
        stage.workers.stop();
      }),
      { seed: Number(process.env["AION_TEST_SEED"] ?? 1), numRuns: 300 },
    );
  });
});

const anyToken = fc.oneof(
  fc.string(),
  fc
    .record({ ordinal: fc.nat(3), attempt: fc.nat(3), of: fc.nat(9) })
    .map(({ ordinal, attempt, of }) => toToken({ address: at(ordinal), attempt, epoch: of })),
);
const arbitraryFrame = fc.oneof(
  fc.record({
    type: fc.constant("register"),
    protocol: fc.constantFrom(1, 1, 1, 2),
    identity: fc.constantFrom("bad", "good", ""),
    taskQueues: fc.constantFrom(["default"], ["other"], []),
    activityTypes: fc.constantFrom(["work"], ["play"]),
    capacity: fc.nat(4),
    held: fc.array(anyToken, { maxLength: 3 }),
    unacknowledged: fc.array(anyToken, { maxLength: 3 }),
  }),
  fc.record({ type: fc.constantFrom("ready", "alive", "drain", "leave") }),
  fc.record({ type: fc.constant("heartbeat"), token: anyToken, details: fc.oneof(fc.json(), fc.string()) }),
  fc.record({
    type: fc.constant("report"),
    token: anyToken,
    outcome: fc.oneof(
      fc.record({ kind: fc.constant("completed"), result: fc.oneof(fc.json(), fc.string()) }),
      fc.record({ kind: fc.constant("failed"), failure: fc.jsonValue() }),
    ),
  }),
);

describe("a token", () => {
  it("says what it was made of", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.nat(), fc.nat(), fc.nat(), (name, ordinal, attempt, of) => {
        const claim = {
          address: { workflowId: idOf(name), runId: toRunId(name), ordinal },
          attempt: attempt + 1,
          epoch: of,
        };
        expect(fromToken(toToken(claim))).toEqual(claim);
      }),
    );
  });

  it.each([
    "",
    "x",
    "{}",
    "[]",
    '[1,"w","r",0]',
    '[1,"w","r",0,0]',
    '[1,"w","r",0,1,2]',
    '[-1,"w","r",0,1]',
    '[1,2,"r",0,1]',
    '[1,"w",null,0,1]',
    '[1.5,"w","r",0,1]',
    `[1,"${"w".repeat(5_000)}","r",0,1]`,
  ])("is none: %s", (text) => {
    expect(fromToken(text)).toBeUndefined();
  });
});

describe("who is taken for lost", () => {
  // I-13
  it("with an attempt from an engine before leaves its place in the queue to who waits for it", async () => {
    stage = new Stage({ taskQueues: { default: { concurrency: 1 } } });
    stage.schedule(0);
    stage.schedule(1);
    stage.add({ type: "ActivityStarted", ordinal: 0, attempt: 1, worker: "gone" });
    stage.workers.adopt(at(0), stage.activity(0), "gone");
    const worker = stage.join({ identity: "here" });
    expect(stage.reserve(1)).toBeUndefined();
    for (let left = workerOptionsDefault.sessionTimeoutMs; left > 0; left -= 10_000) {
      worker.send({ type: "alive" });
      await stage.hand.pass(10_000);
    }
    expect(stage.record()).toEqual(["ActivityFailed"]);
    expect(stage.free).toEqual([1]);
  });

  // I-7, I-13
  it("while its report is on its way to the disk hears of it when it has come back", async () => {
    const worker = stage.join();
    stage.begin(0);
    worker.complete(worker.task(), "done");
    worker.cut();
    await stage.hand.pass(workerOptionsDefault.sessionTimeoutMs);
    const task = worker.task();
    worker
      .connect(stage.workers)
      .register({ unacknowledged: [task.token] })
      .complete(task, "done");
    expect(worker.answers).toEqual([]);
    expect(stage.record()).toEqual(["ActivityCompleted"]);
    expect(worker.answers).toEqual(["recorded"]);
  });
});
