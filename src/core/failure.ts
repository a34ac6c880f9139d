import type { Payload } from "./payload.ts";
import { fromPayload, messageOf, toPayload } from "./payload.ts";
import { isAionError } from "./errors.ts";
import type { OptionNames } from "./options.ts";
import { demandKnownOptions } from "./options.ts";
import { encodedMessageOf, isEncodedValue } from "./payload-codec.ts";

/**
 * A failure of user code as plain data: how it is recorded in events, and how it crosses borders.
 * The classes below are what workflow code catches.
 */
export interface Failure {
  readonly kind: "application" | "activity" | "child" | "timeout" | "cancelled" | "terminated" | "engine";
  readonly message: string;
  /** `application`: the author's type, else the class name; `engine`: the error code. */
  readonly type?: string;
  readonly nonRetryable?: true;
  /** It takes somebody to mend the cause: the activity waits for him. */
  readonly park?: true;
  readonly details?: Payload;
  readonly stack?: string;
  readonly cause?: Failure;
  /** `activity`: its type; `child`: the workflow type. */
  readonly of?: string;
  /** `activity`: the attempt that failed. */
  readonly attempt?: number;
  /** `child`: the child's workflow id. */
  readonly childWorkflowId?: string;
  /** `timeout`: which one. */
  readonly timeout?: TimeoutKind;
}

export type TimeoutKind =
  | "schedule-to-start"
  | "start-to-close"
  | "schedule-to-close"
  | "heartbeat"
  | "run"
  | "execution"
  | "scope";

const failureBrand = Symbol.for("aion.failure");

/** Any failure that workflow code and clients can catch. Recognise one with `isFailure`, and tell them apart by `kind`. */
export type WorkflowFailure =
  | ApplicationFailure
  | ActivityFailure
  | ChildFailure
  | TimeoutFailure
  | CancelledFailure
  | TerminatedFailure
  | EngineFailure;

abstract class BrandedFailure extends Error {
  abstract readonly kind: Failure["kind"];

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    Object.defineProperty(this, failureBrand, { value: true });
  }
}

export interface ApplicationFailureOptions {
  /** What retry policies and handlers match on. */
  readonly type?: string;
  /** True: the engine does not try again, whatever the policy. */
  readonly nonRetryable?: boolean;
  /**
   * Of an activity. True: it is tried no more by itself, and does not fail either: it waits until an operator has mended the cause
   * and resumes it. What the retry policy calls `nonRetryable` fails all the same.
   */
  readonly park?: boolean;
  /** JSON data for whoever handles it. */
  readonly details?: unknown;
  readonly cause?: unknown;
}

const applicationFailureNames: OptionNames<ApplicationFailureOptions> = {
  type: true,
  nonRetryable: true,
  park: true,
  details: true,
  cause: true,
};

/**
 * Thrown by user code, in activities and workflows, to fail with a type, details, or for good. Error: `invalid_argument` (an option that is
 * none; it tells the message, too).
 */
export class ApplicationFailure extends BrandedFailure {
  readonly kind = "application" as const;
  readonly type: string;
  readonly nonRetryable: boolean;
  readonly park: boolean;
  readonly details: unknown;

  constructor(message: string, options: ApplicationFailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    demandKnownOptions(options, applicationFailureNames, `the failure ${JSON.stringify(message)}`);
    this.name = "ApplicationFailure";
    this.type = options.type ?? "Error";
    this.nonRetryable = options.nonRetryable ?? false;
    this.park = options.park ?? false;
    this.details = options.details;
  }
}

/** An activity failed for good; `cause` tells what its last attempt threw. */
export class ActivityFailure extends BrandedFailure {
  readonly kind = "activity" as const;
  readonly activityType: string;
  readonly attempt: number;

  constructor(
    message: string,
    of: { readonly activityType: string; readonly attempt: number; readonly cause?: unknown },
  ) {
    super(message, { cause: of.cause });
    this.name = "ActivityFailure";
    this.activityType = of.activityType;
    this.attempt = of.attempt;
  }
}

/** A child workflow did not complete; `cause` tells why. */
export class ChildFailure extends BrandedFailure {
  readonly kind = "child" as const;
  readonly workflowType: string;
  readonly childWorkflowId: string;

  constructor(
    message: string,
    of: { readonly workflowType: string; readonly childWorkflowId: string; readonly cause?: unknown },
  ) {
    super(message, { cause: of.cause });
    this.name = "ChildFailure";
    this.workflowType = of.workflowType;
    this.childWorkflowId = of.childWorkflowId;
  }
}

/** A declared time-out passed. */
export class TimeoutFailure extends BrandedFailure {
  readonly kind = "timeout" as const;
  readonly timeout: TimeoutKind;

  constructor(message: string, timeout: TimeoutKind) {
    super(message);
    this.name = "TimeoutFailure";
    this.timeout = timeout;
  }
}

/** The run or the scope was cancelled. Let it pass, or clean up in `shield` and rethrow. */
export class CancelledFailure extends BrandedFailure {
  readonly kind = "cancelled" as const;

  constructor(message = "cancelled") {
    super(message);
    this.name = "CancelledFailure";
  }
}

/** The run was terminated by an operator. */
export class TerminatedFailure extends BrandedFailure {
  readonly kind = "terminated" as const;

  constructor(message = "terminated") {
    super(message);
    this.name = "TerminatedFailure";
  }
}

/** The engine failed the run: nondeterminism, an await that is not durable, an input that fits no schema. */
export class EngineFailure extends BrandedFailure {
  readonly kind = "engine" as const;
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.name = "EngineFailure";
    this.code = code;
  }
}

const kinds: Readonly<Record<Failure["kind"], true>> = {
  application: true,
  activity: true,
  child: true,
  timeout: true,
  cancelled: true,
  terminated: true,
  engine: true,
};

/** Recognises a failure class by its brand: from any copy of this module, and any realm. Of a kind that this copy knows. */
export function isFailure(value: unknown): value is WorkflowFailure {
  if (typeof value !== "object" || value === null || !(failureBrand in value)) return false;
  return "kind" in value && typeof value.kind === "string" && Object.hasOwn(kinds, value.kind);
}

/** True for a cancellation, at whatever depth of `cause` it arrived. */
export function isCancelled(value: unknown): boolean {
  for (
    let error = value, depth = 0;
    isFailure(error) && depth < causeDepthMax;
    error = error.cause, depth++
  ) {
    if (error.kind === "cancelled") return true;
  }
  return false;
}

const causeDepthMax = 20;
const stackLengthMax = 4_000;
const messageLengthMax = 8_000;
const detailsLimitBytes = 64 * 1024;

/** What an error calls itself, or if that says nothing of its own, how its class is called. */
function classNameOf(error: Error): string {
  // Code that no compiler has seen may have put anything there.
  const names: readonly unknown[] = [error.name, (error.constructor as Function | null | undefined)?.name];
  for (const name of names) if (typeof name === "string" && name !== "" && name !== "Error") return name;
  return "Error";
}

/** Anything thrown, as plain data. Total: never throws, bounded in depth and size. */
export function toFailure(error: unknown, depth = 0): Failure {
  try {
    return describe(error, depth);
  } catch {
    // Its fields may be functions that throw.
    return { kind: "application", message: "what was thrown cannot be read", type: "Error" };
  }
}

function describe(error: unknown, depth: number): Failure {
  const message = messageOf(error).slice(0, messageLengthMax);
  const rest = {
    ...(Error.isError(error) && error.stack !== undefined
      ? { stack: error.stack.slice(0, stackLengthMax) }
      : {}),
    ...(Error.isError(error) && error.cause !== undefined && depth < causeDepthMax
      ? { cause: toFailure(error.cause, depth + 1) }
      : {}),
  };
  if (!isFailure(error)) {
    if (isAionError(error)) {
      const encoded = encodedMessageOf(error);
      const details = encoded === undefined ? {} : { details: encoded };
      return { kind: "engine", message, type: error.code, ...details, ...rest };
    }
    const type = Error.isError(error) ? classNameOf(error) : "Error";
    return { kind: "application", message, type, ...rest };
  }
  // A brand says what it is; the fields are read defensively, since another copy may have made it.
  const shape: Error & FailureFields = error;
  switch (error.kind) {
    case "application":
      return {
        kind: "application",
        message,
        type: shape.type ?? "Error",
        ...(shape.nonRetryable === true ? { nonRetryable: true as const } : {}),
        ...(shape.park === true ? { park: true as const } : {}),
        ...encodeDetails(shape.details),
        ...rest,
      };
    case "activity":
      return {
        kind: "activity",
        message,
        of: shape.activityType ?? "",
        attempt: shape.attempt ?? 0,
        ...rest,
      };
    case "child":
      return {
        kind: "child",
        message,
        of: shape.workflowType ?? "",
        childWorkflowId: shape.childWorkflowId ?? "",
        ...rest,
      };
    case "timeout":
      return { kind: "timeout", message, timeout: shape.timeout ?? "scope", ...rest };
    case "engine":
      return { kind: "engine", message, type: shape.code ?? "internal", ...rest };
    case "cancelled":
      return { kind: "cancelled", message };
    case "terminated":
      return { kind: "terminated", message };
  }
}

interface FailureFields {
  readonly type?: string;
  readonly nonRetryable?: boolean;
  readonly park?: boolean;
  readonly details?: unknown;
  readonly activityType?: string;
  readonly attempt?: number;
  readonly workflowType?: string;
  readonly childWorkflowId?: string;
  readonly timeout?: TimeoutKind;
  readonly code?: string;
}

function encodeDetails(details: unknown): { readonly details?: Payload } {
  if (details === undefined) return {};
  try {
    // Encoded, the message and the stack are in them.
    const limit = isEncodedValue(details) ? 4 * detailsLimitBytes : detailsLimitBytes;
    return { details: toPayload(details, "failure details", limit) };
  } catch (error) {
    return { details: toPayload({ dropped: messageOf(error) }, "failure details") };
  }
}

/** The class that workflow code and clients catch, made from plain data. */
export function fromFailure(failure: Failure): WorkflowFailure {
  const cause = failure.cause === undefined ? undefined : fromFailure(failure.cause);
  const error = build(failure, cause);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}

function build(failure: Failure, cause: WorkflowFailure | undefined): WorkflowFailure {
  switch (failure.kind) {
    case "application":
      return new ApplicationFailure(failure.message, {
        type: failure.type ?? "Error",
        nonRetryable: failure.nonRetryable ?? false,
        park: failure.park ?? false,
        details: failure.details === undefined ? undefined : fromPayload(failure.details),
        cause,
      });
    case "activity":
      return new ActivityFailure(failure.message, {
        activityType: failure.of ?? "",
        attempt: failure.attempt ?? 0,
        cause,
      });
    case "child":
      return new ChildFailure(failure.message, {
        workflowType: failure.of ?? "",
        childWorkflowId: failure.childWorkflowId ?? "",
        cause,
      });
    case "timeout":
      return new TimeoutFailure(failure.message, failure.timeout ?? "scope");
    case "cancelled":
      return new CancelledFailure(failure.message);
    case "terminated":
      return new TerminatedFailure(failure.message);
    case "engine":
      return new EngineFailure(failure.message, failure.type ?? "internal");
  }
}
