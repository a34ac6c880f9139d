import { AionError } from "../core/errors.ts";
import type { Failure, TimeoutKind } from "../core/failure.ts";
import { parseName } from "../core/ids.ts";
import { parsePayload } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { mayHoldEncoded } from "../core/payload-codec.ts";
import type { RegisterFrame, TaskOutcome, TaskToken, WorkerFrame } from "../protocol/frames.ts";
import { protocolVersion } from "../protocol/frames.ts";

/** What one worker may ask of the memory of the engine. */
export const workerBounds = {
  taskQueues: 100,
  activityTypes: 1_000,
  capacity: 10_000,
  /** UTF-16 units of a token. */
  token: 4_096,
  build: 255,
  failureDepth: 21,
  failureText: 8_000,
} as const;

/**
 * A frame as it came from a worker, checked: names, sizes, shapes, and nothing of it that is not asked for. Payloads are not looked
 * into here: what is wrong with one concerns its attempt. Throws `invalid_argument`.
 */
export function parseWorkerFrame(raw: unknown): WorkerFrame {
  const frame = demandRecord(raw, "a frame");
  switch (frame["type"]) {
    case "register":
      return parseRegister(frame);
    case "report":
      return {
        type: "report",
        token: parseToken(frame["token"]),
        outcome: parseOutcome(demandRecord(frame["outcome"], "the outcome of a report")),
      };
    case "heartbeat": {
      const { details } = frame;
      if (details !== undefined && typeof details !== "string")
        throw invalid("the details of a heartbeat are no text");
      return {
        type: "heartbeat",
        token: parseToken(frame["token"]),
        ...(details === undefined ? {} : { details: details as Payload }),
      };
    }
    case "ready":
    case "alive":
    case "drain":
    case "leave":
      return { type: frame["type"] };
    default:
      throw invalid("it has a type that this engine does not know");
  }
}

function parseRegister(frame: Readonly<Record<string, unknown>>): RegisterFrame {
  const { protocol, capacity, build, session } = frame;
  if (protocol !== protocolVersion)
    throw invalid(`this engine speaks version ${protocolVersion} of the protocol of workers, and no other`);
  if (!Number.isSafeInteger(capacity) || (capacity as number) < 1 || Number(capacity) > workerBounds.capacity)
    throw invalid(`capacity must be a whole number of 1 to ${workerBounds.capacity}`);
  const names = (value: unknown, what: string, max: number): readonly string[] => {
    const list = parseList(value, what, max).map((name) => parseName(name, `one of ${what}`));
    if (list.length === 0) throw invalid(`${what} is empty`);
    return [...new Set(list)];
  };
  // What was begun before a smaller capacity was told may still be there.
  const tokensMax = 2 * workerBounds.capacity;
  return {
    type: "register",
    protocol,
    identity: parseName(frame["identity"], "identity"),
    taskQueues: names(frame["taskQueues"], "taskQueues", workerBounds.taskQueues),
    activityTypes: names(frame["activityTypes"], "activityTypes", workerBounds.activityTypes),
    capacity: Number(capacity),
    ...(build === undefined ? {} : { build: parseName(build, "build") }),
    ...(session === undefined ? {} : { session: parseName(session, "session") }),
    held: parseList(frame["held"], "held", tokensMax).map(parseToken),
    unacknowledged: parseList(frame["unacknowledged"], "unacknowledged", tokensMax).map(parseToken),
  };
}

function parseOutcome(outcome: Readonly<Record<string, unknown>>): TaskOutcome {
  const { kind, result } = outcome;
  if (kind === "completed") {
    if (typeof result !== "string") throw invalid("the result of a task is no text");
    return { kind, result: result as Payload };
  }
  if (kind === "failed") return { kind, failure: parseFailure(outcome["failure"], 1) };
  throw invalid("the outcome of a task is neither completed nor failed");
}

const failureKinds: ReadonlySet<unknown> = new Set<Failure["kind"]>([
  "application",
  "activity",
  "child",
  "timeout",
  "cancelled",
  "terminated",
  "engine",
]);
const timeoutKinds: ReadonlySet<unknown> = new Set<TimeoutKind>([
  "schedule-to-start",
  "start-to-close",
  "schedule-to-close",
  "heartbeat",
  "run",
  "execution",
  "scope",
]);

/** Made anew of what a failure consists of, and cut where `toFailure` cuts: workflow code is to read it again and again. */
function parseFailure(raw: unknown, depth: number): Failure {
  if (depth > workerBounds.failureDepth) throw invalid("a failure has too many causes");
  const failure = demandRecord(raw, "a failure");
  const { kind, details, attempt, timeout, cause } = failure;
  if (!failureKinds.has(kind)) throw invalid("a failure has a kind that this engine does not know");
  if (typeof failure["message"] !== "string") throw invalid("a failure has no message");
  const text = (name: "type" | "stack" | "of" | "childWorkflowId") => {
    const value = failure[name];
    if (value === undefined) return {};
    if (typeof value !== "string") throw invalid(`${name} of a failure is no text`);
    return { [name]: cut(value) };
  };
  if (attempt !== undefined && !Number.isSafeInteger(attempt))
    throw invalid("attempt of a failure is no number");
  if (timeout !== undefined && !timeoutKinds.has(timeout))
    throw invalid("timeout of a failure is not one that this engine knows");
  return {
    kind: kind as Failure["kind"],
    message: cut(failure["message"]),
    ...text("type"),
    ...(failure["nonRetryable"] === true ? { nonRetryable: true as const } : {}),
    ...(failure["park"] === true ? { park: true as const } : {}),
    ...(details === undefined ? {} : { details: parseDetails(details) }),
    ...text("stack"),
    ...(cause === undefined ? {} : { cause: parseFailure(cause, depth + 1) }),
    ...text("of"),
    ...(attempt === undefined ? {} : { attempt: attempt as number }),
    ...text("childWorkflowId"),
    ...(timeout === undefined ? {} : { timeout: timeout as TimeoutKind }),
  };
}

const detailsLimitBytes = 64 * 1024;
/** The same with a message and a stack, when a codec has encoded them. */
const encodedDetailsLimitBytes = 256 * 1024;

function parseDetails(details: unknown): Payload {
  if (typeof details !== "string") throw invalid("the details of a failure are no text");
  const limitBytes = mayHoldEncoded(details) ? encodedDetailsLimitBytes : detailsLimitBytes;
  return parsePayload(details, "the details of a failure", limitBytes);
}

function parseToken(value: unknown): TaskToken {
  if (typeof value !== "string" || value.length === 0 || value.length > workerBounds.token)
    throw invalid("it names a task by something that is no token");
  return value;
}

function parseList(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${what} is no list`);
  if (value.length > max) throw invalid(`${what} has ${value.length} entries, at most ${max}`);
  return value;
}

function demandRecord(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`${what} is no object`);
  return value as Readonly<Record<string, unknown>>;
}

/** A lone surrogate would not come back from the disk as it was. */
function cut(text: string): string {
  return text.slice(0, workerBounds.failureText).toWellFormed();
}

function invalid(what: string): AionError {
  return new AionError("invalid_argument", `a frame of a worker is refused: ${what}`);
}
