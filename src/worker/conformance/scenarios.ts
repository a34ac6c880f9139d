import type { EngineFrame, TaskFrame } from "../../protocol/frames.ts";
import { protocolVersion } from "../../protocol/frames.ts";

/**
 * What any worker, in any language, has to do: conversations with an engine that plays its part by a script. Plain data, so that a
 * scenario can be read, printed, or carried elsewhere; `runWorkerScenario` plays one.
 *
 * The worker under test serves these activities. Payloads are JSON.
 *
 * - `echo` returns its input.
 * - `fail` fails with its input as the message; it may be tried again.
 * - `fail-for-good` does the same, as a failure that is not to be tried again.
 * - `park` does the same, as a failure whose cause an operator has to mend.
 * - `beat` sends a heartbeat with its input as details, waits for a tenth of a second and returns null.
 * - `last-beat` returns the details that an earlier attempt left, null if none did.
 * - `wait` waits until it is cancelled, and then fails, however it likes.
 * - `gauge` waits for a tenth of a second and returns how many of its kind, itself among them, were at work at most since the worker was
 *   started.
 */
export const conformanceActivities = [
  "echo",
  "fail",
  "fail-for-good",
  "park",
  "beat",
  "last-beat",
  "wait",
  "gauge",
] as const;

export const conformanceQueue = "conformance";

/**
 * What a frame has to look like: objects have at least these fields, lists these entries, anything else is the same. `{ json }` is text
 * that decodes to that value, `{ text: true }` any text that is not empty, and `{ oneOf }` one of several.
 */
export type Pattern =
  | string
  | number
  | boolean
  | null
  | readonly Pattern[]
  | { readonly json: unknown }
  | { readonly text: true }
  | { readonly oneOf: readonly Pattern[] }
  | { readonly [field: string]: Pattern };

export type ScenarioStep =
  /** The worker opens a connection within the time of a step. */
  | { readonly step: "connects" }
  /**
   * The next frame of the worker looks like this. What it says of its own accord at any time (`alive`, `heartbeat`) is passed over unless it
   * is what is waited for.
   */
  | { readonly step: "says"; readonly frame: Pattern }
  /** The same for several frames in whatever order. */
  | { readonly step: "says-all"; readonly frames: readonly Pattern[] }
  /** For so long it says nothing but `alive` and `heartbeat`. */
  | { readonly step: "is-silent"; readonly forMs: number }
  | { readonly step: "tell"; readonly frame: EngineFrame }
  /** The connection breaks; what was said last on either side is lost. */
  | { readonly step: "cut" }
  /** The worker is asked to stop, and may take its time. */
  | { readonly step: "stop" }
  /** It has stopped by itself. */
  | { readonly step: "stopped" };

export interface WorkerScenario {
  readonly name: string;
  readonly capacity: number;
  readonly steps: readonly ScenarioStep[];
}

const sessionTimeoutMs = 60_000;
const payloadLimitBytes = 2_097_152;
/** With its quotes. */
const largest = "x".repeat(payloadLimitBytes - 2);
const runId = "0d0a0f0e-0000-4000-8000-000000000001";

function task(
  token: string,
  activityType: string,
  input: unknown,
  more: Partial<TaskFrame> = {},
): ScenarioStep {
  return {
    step: "tell",
    frame: {
      type: "task",
      token,
      activityType,
      workflowId: "conformance",
      runId,
      attempt: 1,
      idempotencyKey: `${runId}:${token}`,
      input: JSON.stringify(input) as TaskFrame["input"],
      ...more,
    },
  };
}

const register = (more: Readonly<Record<string, Pattern>> = {}): Pattern => ({
  type: "register",
  protocol: protocolVersion,
  identity: { text: true },
  taskQueues: [conformanceQueue],
  held: [],
  unacknowledged: [],
  ...more,
});

const registered = (stop: readonly string[] = [], timeoutMs = sessionTimeoutMs): ScenarioStep => ({
  step: "tell",
  frame: {
    type: "registered",
    session: "session-1",
    sessionTimeoutMs: timeoutMs,
    payloadLimitBytes,
    stop,
  },
});

const ready: ScenarioStep = { step: "says", frame: { type: "ready" } };
const opening: readonly ScenarioStep[] = [
  { step: "connects" },
  { step: "says", frame: register() },
  registered(),
  ready,
];

const completed = (token: string, result: unknown): Pattern => ({
  type: "report",
  token,
  outcome: { kind: "completed", result: { json: result } },
});
const ended = (token: string): Pattern => ({ type: "report", token });
const says = (frame: Pattern): ScenarioStep => ({ step: "says", frame });
const acknowledge = (token: string): ScenarioStep => ({
  step: "tell",
  frame: { type: "acknowledged", token, became: "recorded" },
});

export const workerScenarios: readonly WorkerScenario[] = [
  {
    name: "registers: its name, what it serves, and how much at once",
    capacity: 3,
    steps: [{ step: "connects" }, says(register({ capacity: 3 })), registered(), ready],
  },
  {
    name: "receives a task and completes it",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "echo", { amount: 5, text: "ä" }),
      says(completed("t1", { amount: 5, text: "ä" })),
      acknowledge("t1"),
    ],
  },
  {
    name: "fails a task that may be tried again",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "fail", "down"),
      says({
        type: "report",
        token: "t1",
        outcome: { kind: "failed", failure: { kind: "application", message: "down" } },
      }),
      acknowledge("t1"),
    ],
  },
  {
    name: "fails a task for good",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "fail-for-good", "no such card"),
      says({
        type: "report",
        token: "t1",
        outcome: {
          kind: "failed",
          failure: { kind: "application", message: "no such card", nonRetryable: true },
        },
      }),
      acknowledge("t1"),
    ],
  },
  {
    name: "fails a task that is to wait for an operator",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "park", "the key has expired"),
      says({
        type: "report",
        token: "t1",
        outcome: {
          kind: "failed",
          failure: { kind: "application", message: "the key has expired", park: true },
        },
      }),
      acknowledge("t1"),
    ],
  },
  {
    name: "sends heartbeats with details, and hands those of an earlier attempt on",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "beat", { row: 7 }, { heartbeatMs: 20_000 }),
      says({ type: "heartbeat", token: "t1", details: { json: { row: 7 } } }),
      says(completed("t1", null)),
      acknowledge("t1"),
      task("t2", "last-beat", null, { attempt: 2, lastHeartbeat: '{"row":7}' as TaskFrame["input"] }),
      says(completed("t2", { row: 7 })),
      acknowledge("t2"),
      task("t3", "last-beat", null),
      says(completed("t3", null)),
      acknowledge("t3"),
    ],
  },
  {
    name: "cancels a task when it is asked to, and reports how it ended",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "wait", null),
      { step: "is-silent", forMs: 100 },
      { step: "tell", frame: { type: "cancel", token: "t1", reason: "requested" } },
      says({ ...(ended("t1") as object), outcome: { kind: "failed" } }),
      acknowledge("t1"),
      task("t2", "echo", 2),
      says(completed("t2", 2)),
    ],
  },
  {
    name: "reports again after a broken connection, before it takes new tasks",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "echo", 1),
      says(completed("t1", 1)),
      task("t2", "wait", null),
      { step: "is-silent", forMs: 100 },
      { step: "cut" },
      { step: "connects" },
      says(register({ session: "session-1", held: ["t2"], unacknowledged: ["t1"] })),
      registered(),
      says(completed("t1", 1)),
      ready,
      { step: "tell", frame: { type: "acknowledged", token: "t1", became: "already-recorded" } },
      task("t3", "echo", 3),
      says(completed("t3", 3)),
      acknowledge("t3"),
      { step: "tell", frame: { type: "cancel", token: "t2", reason: "requested" } },
      says(ended("t2")),
      acknowledge("t2"),
      { step: "cut" },
      { step: "connects" },
      says(register({ session: "session-1" })),
    ],
  },
  {
    name: "reports as often as its connection breaks, until it is heard",
    capacity: 1,
    steps: [
      ...opening,
      task("t1", "fail", "down"),
      says(ended("t1")),
      ...Array.from({ length: 3 }).flatMap((): readonly ScenarioStep[] => [
        { step: "cut" },
        { step: "connects" },
        says(register({ session: "session-1", unacknowledged: ["t1"] })),
        registered(),
        says({ type: "report", token: "t1", outcome: { kind: "failed", failure: { message: "down" } } }),
        ready,
      ]),
      acknowledge("t1"),
      task("t2", "echo", 2),
      says(completed("t2", 2)),
    ],
  },
  {
    name: "fails a task of a type that it does not serve",
    capacity: 1,
    steps: [
      ...opening,
      task("t1", "no such activity", null),
      says({ type: "report", token: "t1", outcome: { kind: "failed" } }),
      acknowledge("t1"),
      task("t2", "echo", 2),
      says(completed("t2", 2)),
    ],
  },
  {
    name: "takes a task whose input and last heartbeat are as large as payloads may be",
    capacity: 1,
    steps: [
      ...opening,
      task("t1", "echo", largest, { lastHeartbeat: JSON.stringify(largest) as TaskFrame["input"] }),
      says(completed("t1", largest)),
    ],
  },
  {
    name: "runs two of five at once, no more and no fewer, and fails none",
    capacity: 2,
    steps: [
      ...opening,
      ...["t1", "t2", "t3", "t4", "t5"].map((token) => task(token, "gauge", null)),
      {
        step: "says-all",
        frames: ["t1", "t2", "t3", "t4", "t5"].map((token) => ({
          type: "report",
          token,
          // The first may have been alone when it looked.
          outcome: { kind: "completed", result: { oneOf: [{ json: 1 }, { json: 2 }] } },
        })),
      },
      ...["t1", "t2", "t3", "t4", "t5"].map(acknowledge),
      task("t6", "gauge", null),
      says(completed("t6", 2)),
    ],
  },
  {
    name: "stops what is not wanted any more, and does not report it",
    capacity: 1,
    steps: [
      ...opening,
      task("t1", "wait", null),
      { step: "tell", frame: { type: "cancel", token: "t1", reason: "timed-out" } },
      task("t2", "wait", null),
      { step: "tell", frame: { type: "cancel", token: "t2", reason: "closed" } },
      { step: "is-silent", forMs: 100 },
      task("t3", "wait", null),
      { step: "is-silent", forMs: 100 },
      { step: "cut" },
      { step: "connects" },
      says(register({ session: "session-1", held: ["t3"] })),
      registered(["t3"]),
      ready,
      task("t4", "echo", 4),
      says(completed("t4", 4)),
    ],
  },
  {
    name: "runs a task once, though it is told of it twice",
    capacity: 4,
    steps: [
      ...opening,
      task("t1", "gauge", null),
      task("t1", "gauge", null),
      says(completed("t1", 1)),
      task("t1", "gauge", null),
      { step: "is-silent", forMs: 300 },
      acknowledge("t1"),
      task("t1", "gauge", null),
      { step: "is-silent", forMs: 300 },
    ],
  },
  {
    name: "says that it is alive while it has nothing else to say",
    capacity: 1,
    steps: [
      { step: "connects" },
      says(register()),
      registered([], 400),
      ready,
      ...Array.from({ length: 4 }).flatMap((): readonly ScenarioStep[] => [
        says({ type: "alive" }),
        { step: "tell", frame: { type: "alive" } },
      ]),
    ],
  },
  {
    name: "comes again when nothing is heard of the engine for the time-out of the session",
    capacity: 1,
    steps: [
      { step: "connects" },
      says(register()),
      registered([], 400),
      ready,
      { step: "connects" },
      says(register({ session: "session-1" })),
    ],
  },
  {
    name: "drains: takes nothing more, ends what it has, and leaves",
    capacity: 2,
    steps: [
      ...opening,
      task("t1", "beat", 1),
      // So that it has the task when it is asked, whichever of the two travels faster.
      says({ type: "heartbeat", token: "t1" }),
      { step: "stop" },
      says({ type: "drain" }),
      says(completed("t1", null)),
      acknowledge("t1"),
      says({ type: "leave" }),
      { step: "stopped" },
    ],
  },
  {
    name: "comes again to the next engine when one is closing, and not when it is refused for good",
    capacity: 2,
    steps: [
      ...opening,
      { step: "tell", frame: { type: "closing" } },
      { step: "connects" },
      says(register({ session: "session-1" })),
      { step: "tell", frame: { type: "refused", message: "not now", isFinal: false } },
      { step: "connects" },
      says(register({ session: "session-1" })),
      { step: "tell", frame: { type: "refused", message: "never", isFinal: true } },
      { step: "stopped" },
    ],
  },
];
