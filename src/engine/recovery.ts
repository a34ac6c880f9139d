import type { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { Pid, RunId, WorkflowId } from "../core/ids.ts";
import type { Resolution, RestPoint, ResumePoint, ResumeTracker } from "../replay/resume-point.ts";
import type { RunState } from "../replay/run-state.ts";
import type { DueCursor, RunRecord, RunRef, Store } from "../store/contract.ts";

/** What became of one active run. */
export interface RecoveryReport<Outcome = RecoveryOutcome> {
  readonly workflowId: WorkflowId;
  readonly outcome: Outcome;
}

export type RecoveryOutcome =
  /** Replay reached the first command without an answer. Its side effect is not run by recovery but handed over. */
  | {
      readonly kind: "resumed";
      readonly resumePoint: ResumePoint | RestPoint;
      readonly recorded: readonly Resolution[];
      readonly active: ActiveRun;
    }
  /** History ends already. */
  | {
      readonly kind: "terminal";
      readonly terminal: Event;
      readonly recorded: readonly Resolution[];
      readonly head: number;
    }
  /** `failureRecorded`: a violation of determinism, now in history, once. Otherwise history is as it was, and the run is blocked. */
  | RecoveryFailure;

export interface RecoveryFailure {
  readonly kind: "failed";
  readonly error: AionError;
  readonly failureRecorded: boolean;
}

export type ActiveRun =
  | {
      readonly kind: "resident";
      readonly runId: RunId;
      readonly loadedVersion: string;
      readonly pid: Pid;
    }
  /** A schedule's: it has no code. */
  | { readonly kind: "schedule-coordinator"; readonly runId: RunId };

const pageRuns = 256;
/** Runs replayed at once: bounds memory, and lets their turns share the event loop. */
const parallelMax = 64;

/**
 * Recovers runs, a report for each, as a stream in bounded memory. Only a failing list of the runs fails the whole; a
 * consumer that stops early stops the recovery.
 */
export async function* recoverRuns<Outcome>(options: {
  readonly store: Store;
  readonly which: "all" | "must-move";
  readonly recoverOne: (run: RunRef) => Promise<Outcome>;
}): AsyncGenerator<RecoveryReport<Outcome | RecoveryFailure>> {
  type Report = RecoveryReport<Outcome | RecoveryFailure>;
  const { store, which, recoverOne } = options;
  const underWay = new Set<Promise<Report>>();
  const finished = async (): Promise<Report> => {
    const [done, report] = await Promise.race(
      [...underWay].map((each) => each.then((result) => [each, result] as const)),
    );
    underWay.delete(done);
    return report;
  };
  for await (const run of which === "all" ? activeRuns(store) : runsThatMustMove(store)) {
    if (underWay.size >= parallelMax) yield await finished();
    underWay.add(
      recoverOne(run).then(
        (outcome): Report => ({ workflowId: run.workflowId, outcome }),
        (error: unknown): Report => ({
          workflowId: run.workflowId,
          outcome: { kind: "failed", error: error as AionError, failureRecorded: false },
        }),
      ),
    );
  }
  while (underWay.size > 0) yield await finished();
}

async function* activeRuns(store: Store): AsyncGenerator<RunRef> {
  for (let after = 0; ;) {
    const page = await store.listActive(after, pageRuns);
    for (const record of page) {
      yield record;
      after = record.runKey;
    }
    if (page.length < pageRuns) return;
  }
}

/** Runs with an attempt under way or in line when their engine died: marked by `wakeAt` 0. */
async function* runsThatMustMove(store: Store): AsyncGenerator<RunRef> {
  for (let after: DueCursor | undefined; ;) {
    const page = await store.listDue(0, after, pageRuns);
    for (const due of page) {
      after = { wakeAt: due.wakeAt, runKey: due.runKey };
      yield due;
    }
    if (page.length < pageRuns) return;
  }
}

/** What a replay found. An end that the code reached beyond `record` is none yet: it is what comes next. */
export function toOutcome(
  record: RunRecord,
  state: RunState,
  tracker: ResumeTracker,
  pid: Pid,
): RecoveryOutcome {
  const { terminal } = state;
  const recorded = tracker.resolutions;
  const head = record.headSeq;
  if (terminal !== undefined && terminal.seq <= head) return { kind: "terminal", terminal, recorded, head };
  const atRest = { commandIndex: tracker.issuedCount, command: undefined, head };
  return {
    kind: "resumed",
    resumePoint: tracker.resumePoint(head) ?? atRest,
    recorded,
    active:
      state.schedule === undefined
        ? { kind: "resident", runId: record.runId, loadedVersion: record.version, pid }
        : { kind: "schedule-coordinator", runId: record.runId },
  };
}
