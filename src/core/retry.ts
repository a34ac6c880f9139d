import type { Duration } from "./duration.ts";
import { parseDuration } from "./duration.ts";
import { AionError } from "./errors.ts";
import type { Failure } from "./failure.ts";
import type { OptionNames } from "./options.ts";
import { demandKnownOptions } from "./options.ts";

/** How the engine tries an activity again. Without a policy an activity is tried once. */
export interface RetryPolicy {
  /** Attempts in all, the first included. Default: no limit. */
  readonly maxAttempts?: number;
  /** Default `"exponential"`. */
  readonly backoff?: "exponential" | "linear" | "fixed";
  /** Wait before the second attempt. Default 1 s. */
  readonly initialDelay?: Duration;
  /** The longest wait. Default 60 times the first. */
  readonly maxDelay?: Duration;
  /** Exponential: each wait is this many times the last. Default 2. */
  readonly multiplier?: number;
  /** Linear: each wait is longer than the last by this. Default: `initialDelay`. */
  readonly increment?: Duration;
  /** 0 to 1: the part of a wait that is drawn at random, downwards. Default 0.2. */
  readonly jitter?: number;
  /** Failure types (`ApplicationFailure.type`, or an error's class name) that are final. */
  readonly nonRetryable?: readonly string[];
  /**
   * Failure types that park the activity, at whichever attempt: it waits until an operator has mended the cause and resumes it. Whatever the
   * failure itself says.
   */
  readonly park?: readonly string[];
  /**
   * What becomes of the activity when `maxAttempts` have failed. `"fail"` (default): it fails. `"park"`: it waits until an operator has
   * mended the cause and resumes it. A failure that is final (`nonRetryable`) is none of them, and fails it.
   */
  readonly onExhausted?: "fail" | "park";
}

const policyNames: OptionNames<RetryPolicy> = {
  maxAttempts: true,
  backoff: true,
  initialDelay: true,
  maxDelay: true,
  multiplier: true,
  increment: true,
  jitter: true,
  nonRetryable: true,
  park: true,
  onExhausted: true,
};

/** The policy as recorded in history: all defaults filled in, milliseconds. */
export interface RetryRecord {
  readonly maxAttempts?: number;
  readonly backoff: "exponential" | "linear" | "fixed";
  readonly initialMs: number;
  readonly maxMs: number;
  readonly multiplier: number;
  readonly incrementMs: number;
  readonly jitter: number;
  readonly nonRetryable: readonly string[];
  /** Absent: none. */
  readonly park?: readonly string[];
  /** Absent: it fails. */
  readonly onExhausted?: "park";
}

/** Checks a policy and fills in its defaults. Throws `invalid_argument`. */
export function parseRetryPolicy(policy: RetryPolicy): RetryRecord {
  // Code that no compiler has seen hands over anything.
  if (typeof policy !== "object" || policy === null)
    throw new AionError("invalid_argument", `retry must be a policy, got ${String(policy)}`);
  demandKnownOptions(policy, policyNames, "retry");
  const { park = [] } = policy;
  const initialMs = parseDuration(policy.initialDelay ?? 1_000, "retry.initialDelay");
  const record: RetryRecord = {
    ...(policy.maxAttempts === undefined ? {} : { maxAttempts: policy.maxAttempts }),
    backoff: policy.backoff ?? "exponential",
    initialMs,
    maxMs: parseDuration(policy.maxDelay ?? initialMs * 60, "retry.maxDelay"),
    multiplier: policy.multiplier ?? 2,
    incrementMs: parseDuration(policy.increment ?? initialMs, "retry.increment"),
    jitter: policy.jitter ?? 0.2,
    nonRetryable: policy.nonRetryable ?? [],
    ...(park.length === 0 ? {} : { park }),
    ...(policy.onExhausted === "park" ? { onExhausted: "park" as const } : {}),
  };
  const { maxAttempts, nonRetryable } = record;
  for (const [name, types] of Object.entries({ nonRetryable, park })) {
    if (!Array.isArray(types) || types.some((type) => typeof type !== "string"))
      throw new AionError("invalid_argument", `retry.${name} must be a list of failure types`);
  }
  const both = park.find((type) => nonRetryable.includes(type));
  if (both !== undefined)
    throw new AionError(
      "invalid_argument",
      `retry: ${JSON.stringify(both)} is in nonRetryable and in park: it fails the activity or parks it`,
    );
  if (maxAttempts !== undefined && (!Number.isSafeInteger(maxAttempts) || maxAttempts < 1)) {
    throw new AionError(
      "invalid_argument",
      `retry.maxAttempts must be a whole number of 1 or more, got ${maxAttempts}`,
    );
  }
  if (!(record.multiplier >= 1) || !Number.isFinite(record.multiplier)) {
    throw new AionError("invalid_argument", `retry.multiplier must be 1 or more, got ${record.multiplier}`);
  }
  if (!(record.jitter >= 0 && record.jitter <= 1)) {
    throw new AionError("invalid_argument", `retry.jitter must be between 0 and 1, got ${record.jitter}`);
  }
  if (!["exponential", "linear", "fixed"].includes(record.backoff)) {
    throw new AionError(
      "invalid_argument",
      `retry.backoff must be "exponential", "linear" or "fixed", got ${record.backoff}`,
    );
  }
  const { onExhausted = "fail" } = policy;
  if (onExhausted !== "fail" && onExhausted !== "park") {
    throw new AionError(
      "invalid_argument",
      `retry.onExhausted must be "fail" or "park", got ${String(onExhausted)}`,
    );
  }
  if (onExhausted === "park" && maxAttempts === undefined) {
    throw new AionError(
      "invalid_argument",
      'retry.onExhausted is "park", and without retry.maxAttempts there is no end of attempts',
    );
  }
  return record;
}

/**
 * How long to wait after the `failedCount`-th failed attempt (1-based), in milliseconds.
 * `draw` is a number in [0, 1): jitter shortens the wait by at most `jitter` of it, so that a wait is
 * never longer than the policy says.
 */
export function backoffMs(retry: RetryRecord, failedCount: number, draw: number): number {
  // Nothing, however often it is doubled; in numbers it would be 0 times infinity.
  if (retry.initialMs === 0 && retry.backoff === "exponential") return 0;
  const grown =
    retry.backoff === "fixed"
      ? retry.initialMs
      : retry.backoff === "linear"
        ? retry.initialMs + retry.incrementMs * (failedCount - 1)
        : retry.initialMs * retry.multiplier ** (failedCount - 1);
  const capped = Math.min(grown, retry.maxMs);
  return Math.round(capped * (1 - retry.jitter * draw));
}

/**
 * What a failure asks for, as long as attempts remain: another one, somebody who mends the cause, or none. What the policy says
 * of its type goes before what the failure says.
 */
export function bucketOf(failure: Failure, retry: RetryRecord | undefined): "retry" | "park" | "final" {
  if (failure.kind === "cancelled" || failure.kind === "terminated") return "final";
  const isIn = (types: readonly string[] | undefined): boolean =>
    failure.type !== undefined && types?.includes(failure.type) === true;
  if (isIn(retry?.nonRetryable)) return "final";
  if (failure.park === true || isIn(retry?.park)) return "park";
  return failure.nonRetryable === true ? "final" : "retry";
}
