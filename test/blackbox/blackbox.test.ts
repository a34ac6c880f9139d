import { describe, expect, it } from "vitest";
import type { Commit } from "aion/store";
import { foundTrials } from "./found.ts";
import { generate } from "./generator.ts";
import { shrink } from "./shrink.ts";
import type { TrialEnd } from "./trial.ts";
import { attempt } from "./trial.ts";

const seed = process.env["AION_TEST_SEED"] ?? "1";
/** How many times as many programs as usual. */
const scale = Number(process.env["AION_TEST_SCALE"] ?? 1);

interface Tally {
  readonly ends: Readonly<Record<TrialEnd["kind"], number>>;
  readonly statuses: Readonly<Record<string, number>>;
  readonly kills: number;
  readonly repeated: number;
}

interface Played {
  readonly count: number;
  readonly killsMax: number;
  /** The number of the first. */
  readonly first?: number;
  readonly hasControl?: boolean;
}

async function playMany({ count, killsMax, first = 0, hasControl = false }: Played): Promise<Tally> {
  const ends = { right: 0, wrong: 0, ambiguous: 0 };
  const statuses: Record<string, number> = {};
  let kills = 0;
  let repeated = 0;
  for (let index = first; index < first + count; index++) {
    const trial = generate(`${seed}:${index}`, killsMax);
    const end = await attempt(trial, { hasControl });
    ends[end.kind] += 1;
    if (end.kind === "wrong") {
      const smaller = JSON.stringify(await shrink(trial, { hasControl }));
      throw new Error(`program ${index} of seed ${seed}: ${end.violations.join("\n")}\nsmaller: ${smaller}`);
    }
    if (end.kind !== "right") continue;
    kills += end.observed.killedAtMs.length;
    for (const { status } of Object.values(end.observed.outcome.runs).flat()) {
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
    const keys = new Set(end.observed.calls.map(({ key }) => key));
    repeated += end.observed.calls.length - keys.size;
  }
  return { ends, statuses, kills, repeated };
}

/** Programs that mostly fail, or mostly have no one outcome, would show nothing. */
function expectSense({ ends, statuses }: Tally, count: number): void {
  expect(ends.ambiguous).toBeLessThan(count / 8);
  expect(statuses["completed"]).toBeGreaterThan(count / 2);
  for (const status of ["failed", "cancelled", "terminated", "continued-as-new", "running"]) {
    expect({ status, count: statuses[status] ?? 0 }).not.toEqual({ status, count: 0 });
  }
}

describe("random programs", () => {
  // I-8, I-22, I-23, I-24, I-34, I-35, I-38
  it("come to what the model says, with counters outside the engine that agree", async () => {
    const count = 400 * scale;
    const tally = await playMany({ count, killsMax: 0 });
    expectSense(tally, count);
    expect(tally.repeated).toBeGreaterThan(0);
  });

  // I-1, I-3, I-8, I-10, I-22, I-24, I-28, I-34, I-35, I-42: the same instants, results and counts; what a kill cut off aside.
  it.each([0, 1, 2, 3])(
    "come to the same when the engine is killed on the way, again and again: quarter %s",
    async (quarter) => {
      const count = 500 * scale;
      const tally = await playMany({ count, killsMax: 3, first: quarter * count });
      expectSense(tally, count);
      expect(tally.kills).toBeGreaterThan(count / 2);
      expect(tally.repeated).toBeGreaterThan(count / 4);
    },
  );

  // I-46: not only the same end, but event for event the same history, and at the same instants.
  it("leave the histories that they leave when nobody kills the engine", async () => {
    const count = 300 * scale;
    const tally = await playMany({ count, killsMax: 3, first: 10_000, hasControl: true });
    expectSense(tally, count);
    expect(tally.kills).toBeGreaterThan(count / 2);
  });
});

// I-38
it.each(Object.entries(foundTrials))("%s", async (_name, trial) => {
  expect(await attempt(trial)).toMatchObject({ kind: "right" });
});

type Change = (event: Commits["events"][number]) => Commits["events"][number];
type Commits = NonNullable<Commit["run"]>;

/** Changes every event on its way to the store. */
function changing(change: Change): (commit: Commit) => Commit {
  return (commit) => ({
    ...commit,
    ...(commit.run === undefined
      ? {}
      : { run: { ...commit.run, events: commit.run.events.map((event) => change(event)) } }),
    ...(commit.start === undefined
      ? {}
      : { start: { ...commit.start, events: commit.start.events.map((event) => change(event)) } }),
  });
}

/** Loses every message of a kind. */
function withoutMessages(kind: string): (commit: Commit) => Commit {
  return ({ send, ...commit }) => {
    const left = send?.filter(({ message }) => message.kind !== kind) ?? [];
    return left.length === 0 ? commit : { ...commit, send: left };
  };
}

// The suite itself is tested: each of these bugs must show within so many programs.
describe("a planted bug is found:", () => {
  const programsMax = 400;

  it.each<[string, (commit: Commit) => Commit]>([
    [
      "a timer is recorded a millisecond early",
      changing((event) => (event.type === "TimerStarted" ? { ...event, fireAt: event.fireAt - 1 } : event)),
    ],
    [
      "a backoff is recorded a millisecond late",
      changing((event) =>
        event.type === "ActivityFailed" && event.retryAt !== undefined
          ? { ...event, retryAt: event.retryAt + 1 }
          : event,
      ),
    ],
    [
      "the id of a signal is forgotten",
      changing((event) => {
        if (event.type !== "SignalReceived") return event;
        const { signalId: _signalId, ...rest } = event;
        return rest;
      }),
    ],
    [
      "signals are lost at continue-as-new",
      changing((event) => {
        if (event.type !== "WorkflowStarted") return event;
        const { signals: _signals, ...rest } = event;
        return rest;
      }),
    ],
    ["a child is not told that its parent ended", withoutMessages("terminate")],
    ["a parent is not told that its child ended", withoutMessages("child-closed")],
    ["a signal to another workflow is not delivered", withoutMessages("signal")],
    [
      "a run that waits is not woken after a restart",
      (commit) => (commit.run === undefined ? commit : { ...commit, run: { ...commit.run, wakeAt: null } }),
    ],
    [
      "the result of an activity is recorded as another's",
      changing((event) =>
        event.type === "ActivityCompleted" && event.ordinal > 0 ? { ...event, ordinal: 0 } : event,
      ),
    ],
    [
      "an attempt is not recorded",
      changing((event) =>
        event.type === "ActivityStarted" && event.attempt > 1 ? { ...event, attempt: 1 } : event,
      ),
    ],
  ])("%s", async (_name, spoil) => {
    for (let index = 0; index < programsMax; index++) {
      const end = await attempt(generate(`planted:${index}`, 3), { spoil });
      if (end.kind === "wrong") return;
    }
    expect.fail(`not found in ${programsMax} programs`);
  });
});
