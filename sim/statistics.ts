/** What clients asked, and what came of it. */
export interface VerbCount {
  asked: number;
  done: number;
  refused: number;
}

/** What must happen in some worlds of a batch: a batch in which one of them never did shows nothing about it. */
export const sometimes = [
  "engine crashed",
  "engine crashed amid a write that was made",
  "engine crashed amid a write that was not made",
  "engine stopped gracefully",
  "engine frozen beyond its lease",
  "engine replaced while it lived",
  "claim refused, the owner being alive",
  "write of a replaced owner refused",
  "engine stopped, having lost its ownership",
  "engine stopped, the disk having failed",
  "lease renewed",
  "write refused, nothing written",
  "disk full",
  "commit unknown, and made",
  "commit unknown, and not made",
  "read failed",
  "store out of order",
  "clock set forwards",
  "clock set backwards",
  "time passed while much was to be done",
  "request lost",
  "reply lost",
  "request delivered twice",
  "request answered twice",
  "timer fired under another owner",
  "timer fired by another clock than began it",
  "owner replaced by one whose clock is ahead",
  "attempt begun anew after its engine died",
  "attempt failed and tried again",
  "attempt timed out",
  "attempt cancelled",
  "activity completed after it was cancelled",
  "run cancelled amid its work",
  "run undid what it had done",
  "backoff that went on under another owner",
  "child ended under another owner",
  "child told to end with its parent",
  "message delivered under another owner",
  "signal carried over to the next run",
  "signal refused, its target having ended",
  "update answered",
  "update failed",
  "update refused by its validator",
  "update told that its run had ended",
  "update left by the end of its run",
  "update waited for the code of its run",
  "run continued as new",
  "run cancelled",
  "run terminated",
  "run timed out",
  "run paused",
  "run resumed",
  "told after a pause",
  "timer called off that ran out in a pause",
  "activity parked",
  "activity parked by a time-out",
  "activity parked by its policy",
  "activity parked for the type of its failure",
  "parked activity tried again",
  "parked activity tried again under another owner",
  "parked activity given a result",
  "parked activity given a failure",
  "parked activity called off",
  "parked activity ran out of time",
  "run reopened with a parked activity",
  "parked activities found by an operator",
  "decision refused, another having been made",
  "run reopened",
  "cancelled run reopened",
  "timed-out run reopened",
  "run reopened again",
  "run reopened that had ended in a pause",
  "failure taken back by a reopening",
  "attributes taken back by a reopening",
  "runs found by their attributes",
  "pages of runs found by their attributes",
  "child reopened",
  "reopened run told again of a child",
  "reopening refused",
  "attempt of an earlier lease under way beside the next one",
  "reopened run like one that never failed",
  "run failed",
  "run completed",
  "heartbeat reached the next attempt",
  "attempt begun by a replaced owner",
  "run read anew by its own engine",
  "live run like its replay",
  "report on a live run",
  "recovery took runs up",
  "closed run deleted",
  "run deleted whose child is open",
  "child of a deleted run ended",
  "id begun anew after its runs were deleted",
  "deletion by a replaced owner refused",
  "client told that a deleted run is gone",
  "run held, its code being missing",
  "held run went on, its code being there",
  "held run timed out",
  "run held for what it had",
  "run held for what it had went on",
  "run failed for what it had",
  "signal refused, as many waiting",
  "signal to a held run that ended before its code came",
  "activity timed out that was not under way",
  "time-out awaited by an engine that lacks code",
  "refused, the code being missing",
  "schedule started a run",
  "times of a schedule skipped",
  "start of a schedule refused",
  "schedule deleted with a run of it open",
  "run of a schedule told to end for the next one",
  "PostgreSQL: serialization failure",
  "PostgreSQL: deadlock",
  "PostgreSQL: shut down by an administrator",
  "PostgreSQL: connection cut",
  "PostgreSQL: too many connections",
  "PostgreSQL: transaction made after it was rolled back",
  "PostgreSQL: transaction given up, rolled back too often",
  "PostgreSQL: commit unknown, and made",
  "PostgreSQL: commit unknown, and not made",
  "many commits in one append",
] as const;

/** The same of worlds with workers. */
export const sometimesWithWorkers = [
  "attempt begun on a worker",
  "worker killed amid its work",
  "worker frozen beyond its session",
  "worker came under a name that another one has",
  "worker refused, its name being taken",
  "worker drained with tasks under way",
  "worker stopped",
  "worker left its attempt to others",
  "lost worker detected",
  "activity given up after five silent workers",
  "attempt on a worker ended under another owner",
  "attempt that was over begun by a worker that had not heard",
  "connection of a worker cut",
  "connection of a worker half open",
  "frames lost with a connection",
  "frame delivered twice",
  "worker came back with tasks under way",
  "task given again under its token",
  "report recorded",
  "report told again",
  "report recorded that was told again",
  "report recorded by the next engine",
  "re-report acknowledged as recorded before",
  "late report refused",
  "cancellation reached a worker",
  "worker told that an outcome is not wanted",
  "heartbeat reached the next attempt on a worker",
  "queue at its limit",
  "queue at its rate",
  "all workers left, and nothing was owed",
] as const;

/** What is met too seldom to be asked of a batch. */
const seldom = ["report refused, its run being about to be held"] as const;

export type Sometimes =
  | (typeof sometimes)[number]
  | (typeof sometimesWithWorkers)[number]
  | (typeof seldom)[number];

export class Statistics {
  readonly counts = new Map<Sometimes, number>();
  readonly verbs = new Map<string, VerbCount>();
  stepCount = 0;
  eventCount = 0;
  runCount = 0;

  note(what: Sometimes): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  verb(name: string): VerbCount {
    const found = this.verbs.get(name);
    if (found !== undefined) return found;
    const fresh = { asked: 0, done: 0, refused: 0 };
    this.verbs.set(name, fresh);
    return fresh;
  }

  merge(other: StatisticsRecord): void {
    for (const [what, count] of other.counts) this.counts.set(what, (this.counts.get(what) ?? 0) + count);
    for (const [name, { asked, done, refused }] of other.verbs) {
      const verb = this.verb(name);
      verb.asked += asked;
      verb.done += done;
      verb.refused += refused;
    }
    this.stepCount += other.stepCount;
    this.eventCount += other.eventCount;
    this.runCount += other.runCount;
  }

  toRecord(): StatisticsRecord {
    return {
      counts: [...this.counts],
      verbs: [...this.verbs],
      stepCount: this.stepCount,
      eventCount: this.eventCount,
      runCount: this.runCount,
    };
  }
}

/** As it goes from one process to another. */
export interface StatisticsRecord {
  readonly counts: readonly (readonly [Sometimes, number])[];
  readonly verbs: readonly (readonly [string, VerbCount])[];
  readonly stepCount: number;
  readonly eventCount: number;
  readonly runCount: number;
}
