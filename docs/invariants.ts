/** What must hold, whatever the code does to get there. The page is made of this and of what the tests cite. */

/**
 * Where it is to be shown. `S` simulation, `C` store conformance, `P` real processes and faults, `B` random programs
 * against a model, `U` ordinary tests.
 */
export type Layer = "S" | "C" | "P" | "B" | "U";

export interface Invariant {
  readonly number: number;
  readonly claim: string;
  readonly layers: readonly Layer[];
  /** What the tests that there are do not show yet; of one that no test cites: why it waits. Absent: nothing is missing. */
  readonly missing?: string;
}

export interface Group {
  readonly title: string;
  readonly invariants: readonly Invariant[];
}

export const groups: readonly Group[] = [
  {
    title: "A. Acknowledgement and durability",
    invariants: [
      {
        number: 1,
        claim: "An acknowledged start is never lost by the kill of a process.",
        layers: ["S", "P"],
      },
      {
        number: 2,
        claim: "An acknowledged start is never lost by a power cut.",
        layers: ["P"],
      },
      {
        number: 3,
        claim:
          "The same for a signal, a step's result, a timer, a cancellation, an update (and schedules, deploys).",
        layers: ["S", "P"],
      },
      {
        number: 4,
        claim:
          "What was not acknowledged is there as a whole or not at all: events, wake-ups, messages, the run's row.",
        layers: ["S", "C"],
      },
      {
        number: 5,
        claim:
          "A start with the same id or request id and the same input gives the same run; with another input `workflow_already_exists`; a hundred at once give one run.",
        layers: ["C", "U"],
      },
      {
        number: 6,
        claim: "A commit of unknown outcome is resolved by reading.",
        layers: ["S", "U"],
      },
      {
        number: 7,
        claim: "No acknowledgement precedes its fsync.",
        layers: ["P"],
      },
    ],
  },
  {
    title: "B. Activities",
    invariants: [
      {
        number: 8,
        claim: "An outcome that was acknowledged is never executed again.",
        layers: ["B", "P"],
      },
      {
        number: 9,
        claim: "Nothing that follows from a result leaves the engine before the result is durable.",
        layers: ["S", "U"],
      },
      {
        number: 10,
        claim:
          "Attempts are as many as the policy says, numbered without gaps, none after a failure that is final, none before its backoff is over; a restart does not shorten the backoff.",
        layers: ["S", "U"],
      },
      {
        number: 11,
        claim: "A second completion of one attempt has no effect.",
        layers: ["C", "U"],
      },
      {
        number: 12,
        claim:
          "A late completion (after a time-out, a cancellation, a newer attempt, continue-as-new) changes nothing.",
        layers: ["S", "U"],
      },
      {
        number: 13,
        claim:
          "The attempt of a dead worker is retried after its heartbeat or start-to-close time-out and not before.",
        layers: ["S", "P"],
      },
      {
        number: 14,
        claim: "Heartbeat details reach the next attempt; missing beats end the attempt in bounded time.",
        layers: ["S", "U"],
      },
      {
        number: 15,
        claim: "A step that writes to the same database commits with its result: exactly once.",
        layers: ["P"],
        missing: "there are no such steps yet",
      },
    ],
  },
  {
    title: "C. Ownership",
    invariants: [
      {
        number: 16,
        claim: "One writer: a stale epoch always fails, in the transaction of the write.",
        layers: ["S", "C", "P"],
      },
      {
        number: 17,
        claim: "Recovery never adopts a run that is live anywhere, this process included.",
        layers: ["S", "U"],
      },
      {
        number: 18,
        claim: "Of two that would own a store one proceeds.",
        layers: ["C", "P"],
      },
      {
        number: 19,
        claim: "Losing the epoch throws the state in memory away.",
        layers: ["S", "U"],
      },
      {
        number: 20,
        claim: "What belongs to another owner is never deleted.",
        layers: ["S", "U"],
      },
      {
        number: 21,
        claim: "Ownership moves within the lease and a little once faults stop.",
        layers: ["S", "P"],
      },
    ],
  },
  {
    title: "D. Messages",
    invariants: [
      {
        number: 22,
        claim: "An acknowledged signal is delivered exactly once.",
        layers: ["S", "B", "U"],
      },
      {
        number: 23,
        claim: "Signals arrive in the order in which one sender sent them.",
        layers: ["S", "B", "U"],
      },
      {
        number: 24,
        claim:
          "No signal is lost at continue-as-new or close: it is carried over, or its sender gets an error.",
        layers: ["S", "B", "U"],
      },
      { number: 25, claim: "Signal-with-start is atomic.", layers: ["S", "U"] },
      {
        number: 26,
        claim: "An accepted update reaches exactly one outcome, deduplicated by id, across crashes.",
        layers: ["S"],
      },
      {
        number: 27,
        claim:
          "Queries never write; they reflect every write acknowledged before them, or fail. Being queried changes neither history nor behaviour.",
        layers: ["U"],
      },
    ],
  },
  {
    title: "E. Time",
    invariants: [
      {
        number: 28,
        claim: "A timer never fires early and always fires.",
        layers: ["S", "P", "U"],
      },
      {
        number: 29,
        claim:
          "No wake-up is lost: with every notification dropped, all still progresses within the poll bound.",
        layers: ["S"],
      },
      {
        number: 30,
        claim:
          "Jumps of the wall clock (an hour, a month, daylight saving, 1970, 2038): none early, none lost, no storm.",
        layers: ["P", "U"],
      },
      { number: 31, claim: "Delays over 24.8 days work.", layers: ["U"] },
      {
        number: 32,
        claim: "Every nominal time of a schedule is started once or skipped with a recorded reason.",
        layers: ["S"],
      },
      {
        number: 33,
        claim: "Backfill, pause, overlap policy, catch-up window and time zones obey a small model.",
        layers: ["C"],
      },
    ],
  },
  {
    title: "F. Children and endings",
    invariants: [
      {
        number: 34,
        claim: "A child's outcome reaches its parent exactly once, also when the owner dies meanwhile.",
        layers: ["S", "B", "U"],
      },
      {
        number: 35,
        claim: "The parent-close policy is applied once.",
        layers: ["S", "B", "U"],
      },
      {
        number: 36,
        claim: "Continue-as-new is atomic: never none, never two open runs of an id.",
        layers: ["S", "C", "U"],
      },
      {
        number: 37,
        claim:
          "A run has one end; races of complete, fail, cancel, terminate and time out are decided by what was recorded first.",
        layers: ["S", "U"],
      },
      {
        number: 38,
        claim:
          "Cancellation runs cleanup, respects shields, reaches children and running activities; an activity that completes after it was cancelled gives one result.",
        layers: ["S", "U"],
      },
      {
        number: 39,
        claim: "Time-outs of workflows and activities fire when no implementation is there.",
        layers: ["S", "U"],
      },
    ],
  },
  {
    title: "G. History and replay",
    invariants: [
      {
        number: 40,
        claim: "History has no gap, only grows, and never changes.",
        layers: ["S", "C"],
      },
      {
        number: 41,
        claim: "Replaying any prefix of a history gives the live state at that prefix.",
        layers: ["U"],
      },
      {
        number: 42,
        claim: "Replay emits no side effect.",
        layers: ["B", "U"],
      },
      {
        number: 43,
        claim:
          "Nondeterminism is detected and never diverges silently: insert, delete, swap, retype any command.",
        layers: ["U"],
      },
      {
        number: 44,
        claim:
          "Histories of every released version replay on today's code; an event from the future is refused loudly.",
        layers: ["U"],
        missing: "no version is released yet: the golden histories are of the one to come",
      },
      {
        number: 45,
        claim:
          "The same history gives the same commands byte for byte whatever the Node version, time zone, locale, heap pressure, and whether the run was resident or replayed.",
        layers: ["U"],
      },
      {
        number: 46,
        claim:
          "A run that crashed and recovered has the history of its control that did not, apart from ids and times.",
        layers: ["B"],
      },
    ],
  },
  {
    title: "H. Storage faults",
    invariants: [
      {
        number: 47,
        claim:
          "Disk full: no acknowledgement; reads still answer; once there is space all goes on and nothing is lost.",
        layers: ["P"],
      },
      {
        number: 48,
        claim: "An I/O error on write or fsync: fail-stop; fsync is never retried; recovery reads anew.",
        layers: ["P"],
      },
      {
        number: 49,
        claim: "Torn or reordered writes that were not synced: all or nothing.",
        layers: ["P"],
      },
      { number: 50, claim: "A flipped bit is detected before it is replayed.", layers: ["P", "C"] },
      {
        number: 51,
        claim:
          "A backup taken under load restores to a consistent state; two processes on one SQLite file are safe or refused.",
        layers: ["P"],
      },
    ],
  },
  {
    title: "I. PostgreSQL",
    invariants: [
      {
        number: 52,
        claim: "A connection cut at every point of the protocol: bounded retry, no loss, no duplicate.",
        layers: ["P"],
        missing: "there is no PostgreSQL store yet",
      },
      {
        number: 53,
        claim:
          "Fail-over to a synchronous standby loses nothing acknowledged, and fences the owners of the old timeline.",
        layers: ["P"],
        missing: "there is no PostgreSQL store yet",
      },
      {
        number: 54,
        claim: "It works behind a transaction-mode pooler.",
        layers: ["P"],
        missing: "there is no PostgreSQL store yet",
      },
    ],
  },
  {
    title: "J. Abuse and change",
    invariants: [
      {
        number: 55,
        claim:
          "A poison payload, an endless loop, a payload of 100 MB, 10,000 signals to one run, a slow reader, an unhandled rejection, a worker out of memory: the others stay within stated bounds.",
        layers: ["P"],
        missing:
          "inline code shares the thread of its host, so an endless loop in it stops all; one in a package does not",
      },
      {
        number: 56,
        claim:
          "Two versions on one database, rolled up and back under load; graceful stop loses nothing; probes of a foreign namespace tell nothing.",
        layers: ["P"],
        missing: "two versions on one store, rolled up and back: no version is released yet",
      },
      {
        number: 57,
        claim:
          "A run that reaches a limit of the engine loses nothing that was recorded or acknowledged, can be terminated, and goes on under a larger one; no replay depends on a limit.",
        layers: ["S", "U"],
      },
    ],
  },
  {
    title: "K. What operators do to runs",
    invariants: [
      {
        number: 58,
        claim:
          "Of a paused run no code moves and no attempt begins, whatever restarts; what happens meanwhile is told after it once, in its order, before anything else.",
        layers: ["S", "U"],
      },
      {
        number: 59,
        claim:
          "A reopened run goes on exactly from before its end, in one commit, or is refused and stays as it is: what succeeded is not run again, what is void is told to nobody.",
        layers: ["S", "U"],
      },
      {
        number: 60,
        claim:
          "Between being parked and being resumed an activity has no attempt, whatever restarts; each decision of an operator about it is made once, or refused and changes nothing.",
        layers: ["S", "U"],
      },
      {
        number: 61,
        claim:
          "A workflow that is reset goes on exactly from the point, as a new run and in one commit, or stays as it is: what was done before it is not done again, what came after it is told once or not at all, and nothing that the old run used as a key is used for something else.",
        layers: ["S", "U"],
      },
      {
        number: 62,
        claim:
          "A fork changes nothing of the workflow that it is of, and shares no key with it for what it asks for.",
        layers: ["U"],
      },
    ],
  },
  {
    title: "L. What runs are found by",
    invariants: [
      {
        number: 63,
        claim:
          "A run is found by exactly the attributes that its history says, in the commit that records them, whatever crashes, ends or is reopened; a page has each run once.",
        layers: ["S", "U"],
      },
    ],
  },
];

/** What the tests of the original engine assert, and ours assert too. */
export const inheritedLaws: readonly {
  readonly number: number;
  readonly claim: string;
  readonly missing?: string;
}[] = [
  { number: 1, claim: "A recorded outcome is never executed again." },
  { number: 2, claim: "Replay of a complete history makes no live call and appends no event." },
  {
    number: 3,
    claim: "A crashed-and-recovered run has the history of its uncrashed control, apart from ids and times.",
  },
  { number: 4, claim: "Being queried changes neither history nor behaviour." },
  { number: 5, claim: "One terminal event for each activity ordinal and each run." },
  { number: 6, claim: "Nothing is appended after a terminal event." },
  { number: 7, claim: "A stale expected seq writes nothing." },
  { number: 8, claim: "Of many concurrent appends at one seq, one wins." },
  { number: 9, claim: "Late and duplicate completions are dropped." },
  {
    number: 10,
    claim: "A run always executes the package that it recorded.",
  },
  { number: 11, claim: "A bad workflow never blocks the recovery of others." },
  {
    number: 12,
    claim: "Probes of a foreign namespace cannot be told from what does not exist.",
  },
  {
    number: 13,
    claim: "A resumed stream has no gap and no duplicate.",
  },
  { number: 14, claim: "A graceful stop leaves the same durable state as kill -9." },
  { number: 15, claim: "No time-out exists unless the author declared one." },
  { number: 16, claim: "A child is started exactly once, by its recorded id." },
  { number: 17, claim: "Ordinals and signal indices are scoped to the run." },
  {
    number: 18,
    claim: "Packaging the same input again is byte-identical.",
  },
  { number: 19, claim: "An unload never strands a run." },
  { number: 20, claim: "A paused run never dispatches after a restart." },
];
