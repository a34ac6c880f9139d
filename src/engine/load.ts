import type { Command } from "../core/command.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { CodeIdentity, Event } from "../core/event.ts";
import type { Scheduler } from "../core/ports.ts";
import { coordinatorType } from "../core/schedule.ts";
import type { InstanceInit, Program, ProgramInstance, ProgramSource } from "../program/program.ts";
import { Replay } from "../replay/replay.ts";
import type { ResumeTracker } from "../replay/resume-point.ts";
import { RunState } from "../replay/run-state.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { coordinatorProgram, noInstance } from "./coordinator.ts";
import type { EngineMeter } from "./engine-meter.ts";

/** Events of a run that are read at once. */
export const pageEvents = 2_000;

/** Enough to read the history of a run whose row is known, and no more: which row is acted on, the residency decides. */
export type HistoryStore = Pick<Store, "readSegment" | "findRunByKey">;

export interface LoadedRun {
  readonly state: RunState;
  readonly program: Program;
  readonly instance: ProgramInstance;
  /** What the code asked for beyond the end of history: to be recorded, in this order. */
  readonly live: readonly Command[];
  /** The code waits for nothing durable, and has not ended. */
  readonly isStuck: boolean;
  /** Signals that have come, and that the code has not asked for. */
  readonly waitingSignals: number;
  /** What the code learned last. */
  readonly lastInput: { readonly seq: number; readonly recordedAt: number };
}

export interface LoadOptions {
  readonly store: HistoryStore;
  readonly programs: ProgramSource;
  readonly scheduler: Scheduler;
  readonly payloadLimitBytes: number;
  readonly log: InstanceInit["log"];
  /** After the load: the code moved outside an activation. */
  readonly onStray: InstanceInit["onStray"];
  readonly onReady?: InstanceInit["onReady"];
  readonly onLost?: InstanceInit["onLost"];
  readonly tracker?: ResumeTracker;
  readonly meter?: EngineMeter;
  /** The code is about to be told something. */
  readonly onActivation?: () => void;
}

/**
 * Brings a run back by replay. Errors: `nondeterminism` (with the source line: a second replay finds it),
 * `nondurable_await`, `workflow_type_unknown`, `history_shape`, `history_corrupt`, `event_unknown`, `run_not_found` (deleted
 * since `run` was read), and those of the store.
 */
export async function loadRun(run: RunRecord, options: LoadOptions): Promise<LoadedRun> {
  if (run.workflowType === coordinatorType) return await loadCoordinator(run, options.store);
  const { meter } = options;
  const since = meter?.now() ?? 0;
  try {
    const loaded = await replayTwice(run, options);
    meter?.replayed(since, loaded.state.historyLength);
    return loaded;
  } catch (error) {
    meter?.replayFailed(since, error);
    throw error;
  }
}

/**
 * That a run was reopened is known in time if what that voids is read with it, and else found when the run is read as if it had not been: few
 * are, and the others are read once.
 */
async function replayTwice(run: RunRecord, options: LoadOptions): Promise<LoadedRun> {
  try {
    return await replayWith(run, options, {});
  } catch (error) {
    const voids = await readVoids(run, options.store, error);
    if (voids === undefined) throw error;
    return await replayWith(run, options, { voids });
  }
}

async function replayWith(
  run: RunRecord,
  options: LoadOptions,
  reopened: { readonly voids?: ReadonlySet<number> },
): Promise<LoadedRun> {
  try {
    const loaded = await replayOnce(run, options, reopened);
    if (loaded.unheardSeq === undefined) return loaded;
    loaded.instance.dispose();
    return await replayOnce(run, options, { ...reopened, codeUntilSeq: loaded.unheardSeq });
  } catch (error) {
    if (!isAionError(error) || error.code !== "nondeterminism") throw error;
    await replayOnce(run, { ...options, onStray: () => undefined }, { ...reopened, isTracing: true });
    throw error;
  }
}

/** What the reopenings of a run have voided, when it was found that it cannot be read without; `undefined`: there are none. */
async function readVoids(
  run: RunRecord,
  store: HistoryStore,
  cause: unknown,
): Promise<ReadonlySet<number> | undefined> {
  if (!isAionError(cause) || !mayBeOfVoided(cause)) return undefined;
  const voids = new Set<number>();
  for (let from = run.firstSeq; ;) {
    const events = await store.readSegment(run, from, pageEvents);
    noteVoids(events, voids, run.firstSeq);
    from += events.length;
    if (events.length === 0 || from > run.headSeq) return voids.size === 0 ? undefined : voids;
  }
}

/** Whether code that was told what is voided may have come to that. */
function mayBeOfVoided({ code, details }: AionError): boolean {
  switch (code) {
    case "history_shape":
    case "nondeterminism":
    case "nondurable_await":
      return true;
    case "package_stopped":
      return details["isCulprit"] === true;
    default:
      return false;
  }
}

/** All that a reopening voids, or nothing: of what is before `fromSeq` the code may have been told by now. */
function noteVoids(events: readonly Event[], voids: Set<number>, fromSeq: number): void {
  for (const event of events)
    if (event.type === "WorkflowReopened" && event.voids.every((seq) => seq >= fromSeq))
      for (const seq of event.voids) voids.add(seq);
}

/** Loads that failed for a passing reason are tried again this often before the run is held. */
const attemptsMax = 5;
const retryMs = 1_000;

/** As `loadRun`, and again after a while if the store was busy, or a bug of ours came between. */
export async function loadPatiently(run: RunRecord, options: LoadOptions): Promise<LoadedRun> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await loadRun(run, options);
    } catch (error) {
      const isPassing =
        isAionError(error) &&
        (error.code === "store_unavailable" || error.code === "internal" || error.code === "package_stopped");
      if (isOthersFault(error)) attempt -= 1;
      else if (!isPassing || attempt >= attemptsMax) throw error;
      await new Promise<void>((resolve) => options.scheduler.delay(retryMs * 2 ** (attempt - 1), resolve));
    }
  }
}

const othersMax = 10;

/** Does it again when the process of its code was ended by what another run did. */
export async function despiteOthers<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isOthersFault(error) || attempt >= othersMax) throw error;
    }
  }
}

/** The process of its code was ended by what another one did. */
export function isOthersFault(error: unknown): boolean {
  return isAionError(error) && error.code === "package_stopped" && error.details["isCulprit"] !== true;
}

/** As `loadRun`, of a run that has no code: its state is all that there is. */
async function loadCoordinator(run: RunRecord, store: HistoryStore): Promise<LoadedRun> {
  const state = await loadState(run, store);
  const lastInput = { seq: state.headSeq, recordedAt: state.started.recordedAt };
  return {
    state,
    program: coordinatorProgram,
    instance: noInstance,
    live: [],
    isStuck: false,
    waitingSignals: 0,
    lastInput,
  };
}

/** What is open in a run, from its events alone: for ending a run whose code cannot be loaded. */
export async function loadState(run: RunRecord, store: HistoryStore): Promise<RunState> {
  const read = async (voids?: ReadonlySet<number>): Promise<RunState> => {
    const state = new RunState(run.workflowId, voids);
    await readInto(state, run, store, pageEvents);
    void state.started;
    return state;
  };
  try {
    return await read();
  } catch (error) {
    const voids = await readVoids(run, store, error);
    if (voids === undefined) throw error;
    return await read(voids);
  }
}

/** The same of a history that cannot be read to its end: what was open where it breaks off. */
export async function loadReadable(run: RunRecord, store: HistoryStore): Promise<RunState> {
  let state = new RunState(run.workflowId);
  // Row by row: a page with a damaged row in it is not given out at all.
  const failure: unknown = await readInto(state, run, store, 1).catch((error: unknown) => error);
  const voids = await readVoids(run, store, failure).catch(() => undefined);
  if (voids === undefined) return state;
  state = new RunState(run.workflowId, voids);
  await readInto(state, run, store, 1).catch(() => undefined);
  return state;
}

async function readInto(state: RunState, run: RunRecord, store: HistoryStore, limit: number): Promise<void> {
  for (let from = run.firstSeq; ;) {
    const events = await store.readSegment(run, from, limit);
    for (const event of events) state.apply(event);
    if (events.length === 0 && from === run.firstSeq) await demandThere(run, store);
    from += events.length;
    if (events.length === 0 || from > run.headSeq) return;
  }
}

/** A history that is empty is a broken one, unless the run was deleted since its record was read. */
async function demandThere({ workflowId, runId, runKey }: RunRecord, store: HistoryStore): Promise<void> {
  if ((await store.findRunByKey(runKey)) !== undefined) return;
  throw new AionError("run_not_found", `run ${runId} of workflow ${workflowId} was deleted`);
}

async function replayOnce(
  run: RunRecord,
  options: LoadOptions,
  {
    isTracing = false,
    codeUntilSeq,
    voids: known,
  }: {
    readonly isTracing?: boolean;
    readonly codeUntilSeq?: number;
    readonly voids?: ReadonlySet<number>;
  },
): Promise<LoadedRun & { readonly unheardSeq: number | undefined }> {
  const { store, programs, scheduler, tracker } = options;
  const voids = new Set(known);
  const state = new RunState(run.workflowId, voids);
  const replay = new Replay(state, codeUntilSeq);
  let instance: ProgramInstance | undefined;
  let program: Program | undefined;
  let stray: AionError | undefined;
  let isLoaded = false;
  let isStuck = false;
  let waitingSignals = 0;
  let live: readonly Command[] = [];
  let onReady = (): void => undefined;
  let onLost = (_error: AionError): void => undefined;
  tracker?.restart();

  const instantiate = (): ProgramInstance => {
    checkRow(run, state);
    program = programOf(state, programs);
    return program.instantiate({
      ...toInit(state, options, isTracing),
      onStray: (error) => {
        if (isLoaded) options.onStray(error);
        else stray ??= error;
      },
      onReady: () => (isLoaded ? options.onReady?.() : onReady()),
      onLost: (error, isCulprit) => (isLoaded ? options.onLost?.(error, isCulprit) : onLost(error)),
    });
  };

  /** Activation after activation, without a promise for each; true at the end, false when further events are needed. */
  const advance = (): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const begin = (): void => {
        const activation = replay.next();
        if (activation === undefined || activation === "more") {
          resolve(activation === undefined);
          return;
        }
        instance ??= instantiate();
        tracker?.delivered(activation.delivery);
        options.onActivation?.();
        // Asked for first: what the code begins on the platform must not come back within the turn.
        scheduler.turn(end);
        instance.expect?.(replay.expected);
        instance.begin(activation);
      };
      const end = (): void => {
        try {
          const turn = instance?.end() ?? "again";
          if (turn === "later") return;
          if (turn === "again") {
            scheduler.turn(end);
            return;
          }
          if (stray !== undefined) throw stray;
          live = replay.check(turn);
          tracker?.issued(turn.commands, live.length);
          ({ isStuck, waitingSignals } = turn);
          begin();
        } catch (error) {
          reject(error);
        }
      };
      onReady = end;
      onLost = reject;
      begin();
    });

  try {
    for (let from = run.firstSeq; !(await advance());) {
      const events = await store.readSegment(run, from, pageEvents);
      if (events.length === 0 && from === run.firstSeq) await demandThere(run, store);
      noteVoids(events, voids, from);
      from += events.length;
      replay.push(events);
      // Should the record be older than the history, what is missed is met as a conflict by the next commit.
      if (events.length === 0 || from > run.headSeq) replay.complete();
    }
    instance ??= instantiate();
    if (program === undefined) throw new AionError("internal", "an instance has a program");
    isLoaded = true;
    const { lastInput, unheardSeq } = replay;
    return { state, program, instance, live, isStuck, waitingSignals, lastInput, unheardSeq };
  } catch (error) {
    instance?.dispose();
    throw error;
  }
}

export function toInit(
  state: RunState,
  options: Pick<LoadOptions, "payloadLimitBytes" | "log">,
  isTracing: boolean,
): Omit<InstanceInit, "onStray" | "onReady" | "onLost"> {
  const { started } = state;
  const { scheduled, resetOf } = started;
  const { workflowId, runId, parent, continuedFrom, schedule } = resetOf?.begunAs ?? {
    ...started,
    schedule: scheduled === undefined ? undefined : toScheduleIdentity(scheduled),
  };
  return {
    workflowId,
    runId,
    startedAt: started.recordedAt,
    isUnchecked: started.unchecked === true,
    payloadLimitBytes: options.payloadLimitBytes,
    isTracing,
    log: options.log,
    ...(parent === undefined ? {} : { parent }),
    ...(continuedFrom === undefined ? {} : { continuedFrom }),
    ...(schedule === undefined ? {} : { schedule }),
  };
}

function toScheduleIdentity({
  scheduleId: id,
  nominalAt,
}: NonNullable<RunState["started"]["scheduled"]>): NonNullable<CodeIdentity["schedule"]> {
  return { id, nominalAt };
}

/** What is to reach a run finds it by the id on its row; on another one's it would be lost without a word. */
function checkRow({ workflowId, runId }: RunRecord, state: RunState): void {
  if (state.started.runId === runId) return;
  throw new AionError(
    "history_corrupt",
    `workflow ${workflowId}: its row names run ${runId}, and its history run ${state.started.runId}`,
    { details: { workflowId, runId } },
  );
}

function programOf(state: RunState, programs: ProgramSource): Program {
  const { workflowType, version } = state.started;
  const program = programs.find(workflowType, version);
  if (program !== undefined) return program;
  throw new AionError(
    "workflow_type_unknown",
    `workflow ${state.workflowId} is of type ${JSON.stringify(workflowType)} (version ${version}), which is not registered`,
    {
      hint: "Register the definition and open the engine again; the run waits, and its history is untouched.",
    },
  );
}
