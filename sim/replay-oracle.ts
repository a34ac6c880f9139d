import { isAionError } from "../src/core/errors.ts";
import { messageOf, nullPayload } from "../src/core/payload.ts";
import type { Payload } from "../src/core/payload.ts";
import { isClosed } from "../src/core/status.ts";
import type { Event } from "../src/core/event.ts";
import { loadRun } from "../src/engine/load.ts";
import type { HistoryStore } from "../src/engine/load.ts";
import { loadInline } from "../src/program/inline.ts";
import type { Kernel } from "../src/engine/kernel.ts";
import type { ProgramInstance, ProgramSource } from "../src/program/program.ts";
import type { RunState } from "../src/replay/run-state.ts";
import type { RunRecord, Store } from "../src/store/contract.ts";
import { account, programWorkflows } from "../test/replay/interpreter.ts";
import type { Program } from "../test/replay/program.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";
import { withoutVoids } from "./reopen-oracle.ts";

/** What the code of each run says of itself, by run id. */
export type Accounts = ReadonlyMap<string, readonly string[]>;

/** Loads a run by replay, from what is on disk. Throws `SimulationFailure` when it diverges or touches anything. */
class Replayer {
  readonly #store: Store;
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #source: ProgramSource;
  readonly #produced: string[] = [];

  constructor(store: Store, programs: Readonly<Record<string, Program>>) {
    const touch = (): never => {
      throw new SimulationFailure("replay-touches", "replay executed something");
    };
    this.#store = store;
    this.#programs = programs;
    this.#source = loadInline(
      programWorkflows({ world: { effect: touch, pause: touch }, produced: this.#produced }, programs),
    );
  }

  /** The state, and the account of the code if it gives one. `store`: where the run is, if it is another one. */
  async replay(
    run: RunRecord,
    store: HistoryStore = this.#store,
  ): Promise<{ readonly state: RunState; readonly account: Payload | undefined }> {
    const { state, instance, live, lastInput } = await loadRun(run, {
      store,
      programs: this.#source,
      scheduler: { turn: (callback) => void setImmediate(callback), delay: () => () => undefined },
      payloadLimitBytes: 1_000_000,
      log: () => undefined,
      onStray: () => undefined,
    }).catch((error: unknown) => {
      throw new SimulationFailure("replay", `${run.workflowId}, run ${run.runId}: ${messageOf(error)}`);
    });
    // I-42
    if (this.#produced.length > 0)
      throw new SimulationFailure("replay-touches", "replay produced values anew");
    // A run that continues as new in its first turn is begun by one commit and ended by the next.
    const isBeyond = live.some((command) => command.kind !== "continue-as-new");
    if (isBeyond && !isClosed(run.status))
      throw new SimulationFailure("replay", `${run.workflowId}: its code asks for more than was recorded`);
    // Ended before anything but its start was on disk: its code was told of nothing.
    const isUntold = isClosed(run.status) && run.headSeq === run.firstSeq + 1 && live.length === 0;
    // Or it ended amid a turn that does not count, which may have been its first.
    const mayBeUntold = isClosed(run.status) && live.length === 0 && lastInput.seq < run.headSeq - 1;
    // What the code did in the turn that went beyond a limit does not count.
    const { terminal } = state;
    const isFailedByEngine = terminal?.type === "WorkflowFailed" && terminal.failure.kind === "engine";
    const hasAccount =
      run.workflowType in this.#programs && state.isCodeStarted && !isUntold && !isFailedByEngine;
    const told = hasAccount ? accountOf(instance, run.workflowId, mayBeUntold) : undefined;
    instance.dispose();
    return { state, account: told };
  }
}

function accountOf(instance: ProgramInstance, workflowId: string, mayBeUntold: boolean): Payload | undefined {
  try {
    const told = instance.query(account.name, nullPayload);
    if (typeof told === "string") return told;
    throw new Error("inline code answers at once");
  } catch (error) {
    if (mayBeUntold && isAionError(error) && error.code === "query_unknown") return undefined;
    throw new SimulationFailure("replay", `${workflowId} cannot be asked: ${messageOf(error)}`);
  }
}

/** Replays every run of the store against its code, which must neither diverge nor ask for more nor touch anything. I-41, I-42 */
export async function checkReplayedRuns(
  store: Store,
  programs: Readonly<Record<string, Program>>,
  onReopened: () => void,
): Promise<Accounts> {
  const replayer = new Replayer(store, programs);
  const accounts = new Map<string, readonly string[]>();
  const { runs } = await store.list({}, { limit: 10_000 });
  for (const run of runs) {
    const { account: told } = await replayer.replay(run);
    if (told !== undefined) accounts.set(run.runId, linesOf(told));
    const events = await readRun(store, run);
    if (!events.some(({ type }) => type === "WorkflowReopened")) continue;
    await checkReopened(replayer, run, events, told);
    onReopened();
  }
  return accounts;
}

async function readRun(store: Store, run: RunRecord): Promise<readonly Event[]> {
  const events: Event[] = [];
  for (let from = run.firstSeq; from <= run.headSeq; from = run.firstSeq + events.length)
    events.push(...(await store.readSegment(run, from, pageEvents)));
  return events;
}

const pageEvents = 1_000;

/** I-59: it has gone the way that the same program goes to which what is void never happened. */
async function checkReopened(
  replayer: Replayer,
  run: RunRecord,
  events: readonly Event[],
  told: Payload | undefined,
): Promise<void> {
  const kept = withoutVoids(events);
  const record = { ...run, headSeq: run.firstSeq + kept.length - 1 };
  const { account: other } = await replayer.replay(record, {
    readSegment: async (_run, fromSeq, limit = pageEvents) =>
      kept.slice(fromSeq - run.firstSeq, fromSeq - run.firstSeq + limit),
    findRunByKey: async () => record,
  });
  if (told === undefined || other === undefined || withoutLooks(told) === withoutLooks(other)) return;
  throw new SimulationFailure(
    "reopened-otherwise",
    `${run.workflowId}, run ${run.runId}, tells ${told}; without what is void it tells ${other}`,
  );
}

/** What code is told of how long its history is it sees at another length. */
function withoutLooks(told: string): string {
  return linesOf(told)
    .map((line) => line.replace(/^(\d+ [\d.e-]+ [\da-f-]{36}) \d+$/, "$1"))
    .join("\n");
}

/**
 * What an account says. What a branch that was left behind asks for in the turn in which its run ends is not recorded, and a value
 * that it draws then is none.
 */
export function linesOf(told: string): readonly string[] {
  return (JSON.parse(told) as readonly (string | null)[]).map(String);
}

/** Holds the runs that rest in an engine's memory against their replay: state and account alike. */
export async function checkLiveRuns(of: {
  readonly kernel: Kernel;
  readonly store: Store;
  readonly auditor: Auditor;
  readonly programs: Readonly<Record<string, Program>>;
  readonly onChecked: () => void;
}): Promise<void> {
  const { kernel, store, auditor, programs, onChecked } = of;
  let replayer: Replayer | undefined;
  for (const { workflowId } of kernel.residency.list()) {
    const live = kernel.residency.get(workflowId);
    const audited = auditor.latest(workflowId);
    if (live === undefined || !live.isIdle || !live.isHere || live.instance === undefined) continue;
    if (audited === undefined || live.state.started.runId !== audited.runId)
      throw new SimulationFailure("live-state", `${workflowId}: in memory is a run that is not the latest`);
    const run = await store.findRun(workflowId);
    if (run === undefined) throw new SimulationFailure("live-state", `${workflowId} is in memory alone`);
    // I-29
    if (run.wakeAt !== audited.wakeAt)
      throw new SimulationFailure(
        "row",
        `${workflowId} is to be looked at ${audited.wakeAt}, and on disk is ${run.wakeAt}`,
      );
    replayer ??= new Replayer(store, programs);
    const { state, account: told } = await replayer.replay(run);
    const before = describeState(state);
    const now = describeState(live.state);
    if (before !== now)
      throw new SimulationFailure("live-state", `${workflowId}: in memory ${now}, by the history ${before}`);
    const tells = told === undefined ? undefined : accountOf(live.instance, workflowId, false);
    if (tells !== told)
      throw new SimulationFailure("live-state", `${workflowId} tells ${tells}, and replayed ${told}`);
    onChecked();
  }
}

/** Whether an attempt is under way, and its latest heartbeat, an engine knows better than its history. */
function describeState(state: RunState): string {
  return JSON.stringify([
    state.headSeq,
    state.status,
    state.isCodeStarted,
    state.isCancelRequested,
    state.pause,
    state.undelivered,
    [...state.activities.values()].map(
      ({ startedAt: _startedAt, heartbeat: _heartbeat, heartbeatAttempt: _attempt, ...activity }) => activity,
    ),
    [...state.timers.values()],
    [...state.children.values()],
    [...state.sends],
    state.requests.recent().signalIds,
  ]);
}
