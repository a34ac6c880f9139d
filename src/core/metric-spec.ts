/* What is said of a metric: what its labels mean, and what an operator does with it. */

/** Upper bounds of the buckets of a histogram. */
export const buckets = {
  /** Seconds, of what a machine does by itself. */
  brief: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  /** Seconds, of what may wait for others. */
  long: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400],
  /** Numbers of things. */
  count: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096],
} as const;

interface LabelSpec {
  readonly help: string;
  /** All that it can be. Absent: it comes from outside, or is a code of `errors.md`. */
  readonly values?: readonly string[];
}

const labelSpecs = {
  workflow_type: { help: "The name of the workflow." },
  activity_type: { help: "The name of the activity." },
  task_queue: {
    help: "The task queue. `(engine)`: attempts in the process of the engine, which wait for its slots and not for workers.",
  },
  status: {
    help: "How a run ended.",
    values: ["completed", "failed", "cancelled", "terminated", "timed-out", "continued-as-new"],
  },
  outcome: {
    help: "How it ended. `lost`: its worker fell silent or left. `abandoned`: its run ended before it did.",
    values: ["completed", "failed", "timed-out", "cancelled", "lost", "abandoned"],
  },
  answer: {
    help: "`completed`, `failed`: as its handler ended. `unfinished`: its run ended first.",
    values: ["completed", "failed", "unfinished"],
  },
  residence: {
    help: "`resident`: its code is in memory. `dormant`: on disk alone, until something wakes it. `blocked`: it cannot go on until somebody acts. `paused`: somebody holds it, wherever it is.",
    values: ["resident", "dormant", "blocked", "paused"],
  },
  event: { help: "The type of the event." },
  code: { help: "`ok`, or the code of the error (errors.md)." },
  connection: {
    help: "`cut-off`: a worker without a connection, which may come back.",
    values: ["ready", "draining", "cut-off"],
  },
  how: { help: "`silent`: nothing was heard of it. `left`: it said so.", values: ["silent", "left"] },
  end: {
    help: "`budget`: an activation took too long. `memory`: its heap was full. `silence`: nothing was heard of it. `exit`: anything else.",
    values: ["budget", "memory", "silence", "exit"],
  },
  recovery: {
    help: "`resumed`: the run went on, or was found to have ended. `failed`: it was blocked, or failed for diverging.",
    values: ["resumed", "failed"],
  },
  cause: {
    help: "`trigger`, `backfill`: somebody asked for it.",
    values: ["time", "trigger", "backfill"],
  },
  reason: {
    help: "Why it was not started, as it is recorded.",
    values: [
      "overlap",
      "missed",
      "too-many",
      "paused",
      "updated",
      "deleted",
      "workflow-id-taken",
      "start-refused",
    ],
  },
  operation: { help: "What was asked for, as the methods of the service are called." },
  transport: { help: "How it was asked for.", values: ["http", "rpc", "websocket"] },
  stream: {
    help: "`run`: the events of one workflow. `feed`: of all, or by a filter.",
    values: ["run", "feed"],
  },
  state: { help: "`unavailable`: it cannot be opened, and is tried again.", values: ["open", "unavailable"] },
  version: { help: "Of Aion." },
  node: { help: "The version of Node." },
} as const satisfies Readonly<Record<string, LabelSpec>>;

export type LabelName = keyof typeof labelSpecs;
export const labelTable: Readonly<Record<LabelName, LabelSpec>> = labelSpecs;

export interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly LabelName[];
  readonly help: string;
  /** What an operator does with it. */
  readonly watch: string;
  /** `engine`: one for each namespace, with the label `namespace`. `server`: of the whole process, shown by a server alone. */
  readonly of: "engine" | "server";
  readonly buckets?: readonly number[];
}
