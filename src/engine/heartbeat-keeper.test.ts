import { beforeEach, describe, expect, it } from "vitest";
import { virtualPorts } from "../../test/recovery/virtual-ports.ts";
import type { VirtualPorts } from "../../test/recovery/virtual-ports.ts";
import type { EventBody } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import { toRunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { RunState } from "../replay/run-state.ts";
import { idOf, startOf } from "../store/conformance/world.ts";
import type { Heartbeat, RunKey, Store } from "../store/contract.ts";
import { openMemoryStore } from "../store/memory.ts";
import type { TaskAddress } from "./attempt.ts";
import { HeartbeatKeeper } from "./heartbeat-keeper.ts";
import type { ResidentRun } from "./resident-run.ts";

const json = (value: unknown): Payload => JSON.stringify(value) as Payload;

/** What the keeper knows of a resident run. */
class Run {
  isGone = false;
  readonly noted: Heartbeat[] = [];
  /** How many beats had been noted at each saving. */
  readonly saved: number[] = [];

  noteHeartbeat(heartbeat: Heartbeat): void {
    this.noted.push(heartbeat);
  }

  saveHeartbeats(): void {
    this.saved.push(this.noted.length);
  }
}

const [a, b] = [idOf("a"), idOf("b")];
let hand: VirtualPorts;
let runs: Map<WorkflowId, Run>;
let store: Store;
let keeper: HeartbeatKeeper;

beforeEach(() => {
  hand = virtualPorts();
  runs = new Map([
    [a, new Run()],
    [b, new Run()],
  ]);
  store = openMemoryStore();
  const { scheduler, log } = hand.ports;
  const find = (id: WorkflowId): ResidentRun | undefined => runs.get(id) as ResidentRun | undefined;
  keeper = new HeartbeatKeeper(store, scheduler, find, log);
});

function address(workflowId: WorkflowId, ordinal = 0): TaskAddress {
  return { workflowId, runId: toRunId("r"), ordinal };
}

describe("heartbeat details", () => {
  it("are told to their run, each of them", () => {
    keeper.note(address(a, 3), 2, json("one"));
    keeper.note(address(a, 3), 2, json("two"));
    expect(runs.get(a)?.noted).toEqual([
      { ordinal: 3, attempt: 2, details: json("one") },
      { ordinal: 3, attempt: 2, details: json("two") },
    ]);
    expect(runs.get(b)?.noted).toEqual([]);
  });

  // I-14
  it("are on disk after a second at the latest, and written once a second however many they are", async () => {
    for (let beat = 0; beat < 25; beat++) {
      keeper.note(address(a), 1, json(beat));
      await hand.pass(100);
    }
    expect(runs.get(a)?.saved).toEqual([10, 20]);
    await hand.pass(1_000);
    expect(runs.get(a)?.saved).toEqual([10, 20, 25]);
    await hand.pass(60_000);
    // Nothing is written while no beat comes.
    expect(runs.get(a)?.saved).toHaveLength(3);
    expect(hand.waitingCount).toBe(0);
  });

  it("of one run do not wait for those of another", async () => {
    keeper.note(address(a), 1, json(1));
    await hand.pass(500);
    keeper.note(address(b), 1, json(1));
    await hand.pass(500);
    expect([runs.get(a)?.saved, runs.get(b)?.saved]).toEqual([[1], []]);
    await hand.pass(500);
    expect([runs.get(a)?.saved, runs.get(b)?.saved]).toEqual([[1], [1]]);
  });

  it("of a run that is not in memory any more come too late", async () => {
    const gone = runs.get(a);
    if (gone !== undefined) gone.isGone = true;
    runs.delete(b);
    keeper.note(address(a), 1, json(1));
    keeper.note(address(b), 1, json(1));
    expect(gone?.noted).toEqual([]);
    expect(hand.waitingCount).toBe(0);
  });

  it("of a run that leaves memory within the second are not written for it, and later ones are", async () => {
    keeper.note(address(a), 1, json(1));
    runs.delete(a);
    await hand.pass(1_000);
    const back = new Run();
    runs.set(a, back);
    keeper.note(address(a), 2, json(2));
    await hand.pass(1_000);
    expect(back.saved).toEqual([1]);
  });
});

describe("a run that is read", () => {
  const scheduled = (ordinal: number): EventBody => ({
    type: "ActivityScheduled",
    ordinal,
    activityType: "work",
    input: json(null),
    options: {},
  });

  function stateAfter(...bodies: readonly EventBody[]): RunState {
    const state = new RunState(a);
    const first: EventBody = {
      type: "WorkflowStarted",
      runId: toRunId("r"),
      workflowType: "main",
      version: "1",
      input: json(null),
    };
    for (const [index, body] of [first, ...bodies].entries())
      state.apply({ ...body, seq: index + 1, recordedAt: 1_000, workflowId: a });
    return state;
  }

  /** A run on disk whose row keeps these details. */
  async function written(heartbeats: readonly Heartbeat[]): Promise<RunKey> {
    const token = await store.claim({ leaseMs: 1e12 });
    const [result] = await store.append(token, [{ start: startOf("a") }]);
    const runKey = result?.ok === true ? (result.startedKey ?? 0) : 0;
    const run = {
      runKey,
      workflowId: a,
      expectedSeq: 1,
      events: [],
      status: "running" as const,
      wakeAt: null,
      wakeAtBefore: null,
      heartbeats,
    };
    await store.append(token, [{ run }]);
    return runKey;
  }

  // I-14
  it("has the details that its attempts left, for the next ones", async () => {
    const state = stateAfter(scheduled(0), scheduled(1), { type: "ActivityStarted", ordinal: 0, attempt: 1 });
    const runKey = await written([{ ordinal: 0, attempt: 1, details: json({ at: 7 }) }]);
    await keeper.restore(runKey, state);
    expect(state.activities.get(0)).toMatchObject({ heartbeat: json({ at: 7 }), heartbeatAttempt: 1 });
    expect(state.activities.get(1)).toMatchObject({ heartbeat: undefined, heartbeatAttempt: 0 });
  });

  it.each([
    // Beats within the last second reached the event and not the row.
    ["no news after", 2, { at: 9 }, 2],
    // A crash cut off the attempt since then in silence.
    ["newer than", 3, { at: 8 }, 3],
  ])("judges details on disk that are %s its last failure", async (_what, attempt, details, from) => {
    const state = stateAfter(
      scheduled(0),
      { type: "ActivityStarted", ordinal: 0, attempt: 2 },
      {
        type: "ActivityFailed",
        ordinal: 0,
        attempt: 2,
        failure: { kind: "application", message: "no" },
        retryAt: 2_000,
        heartbeat: json({ at: 9 }),
      },
    );
    await keeper.restore(await written([{ ordinal: 0, attempt, details: json({ at: 8 }) }]), state);
    expect(state.activities.get(0)).toMatchObject({ heartbeat: json(details), heartbeatAttempt: from });
  });

  it("has nothing of activities that have ended", async () => {
    const state = stateAfter(
      scheduled(0),
      scheduled(1),
      { type: "ActivityStarted", ordinal: 0, attempt: 1 },
      {
        type: "ActivityCompleted",
        ordinal: 0,
        attempt: 1,
        result: json(null),
      },
    );
    const runKey = await written([
      { ordinal: 0, attempt: 1, details: json("ended") },
      { ordinal: 1, attempt: 1, details: json("open") },
    ]);
    await keeper.restore(runKey, state);
    expect([...state.activities.values()].map(({ heartbeat }) => heartbeat)).toEqual([json("open")]);
  });

  it("and has no open activity asks the store for nothing", async () => {
    await store.close();
    await keeper.restore(1, stateAfter());
    await expect(keeper.restore(1, stateAfter(scheduled(0)))).rejects.toThrow("closed");
  });

  // I-55
  it("goes on without details that are damaged: they are as those that a crash lost, and the others are not", async () => {
    const state = stateAfter(scheduled(0), scheduled(1));
    const runKey = await written([
      { ordinal: 0, attempt: 4, details: '{"at":' as Payload },
      { ordinal: 1, attempt: 1, details: json("whole") },
    ]);
    await keeper.restore(runKey, state);
    expect(state.activities.get(0)).toMatchObject({ heartbeat: undefined, heartbeatAttempt: 0 });
    expect(state.activities.get(1)).toMatchObject({ heartbeat: json("whole"), heartbeatAttempt: 1 });
    expect(hand.logged).toMatchObject([
      {
        level: "warn",
        message: "heartbeat details are damaged and left out",
        fields: { workflowId: a, ordinal: 0, attempt: 4 },
      },
    ]);
  });
});
