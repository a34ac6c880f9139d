import { AionError } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import { toPayload } from "../core/payload.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { ActivityTask, AnyActivity } from "../workflow/definition.ts";
import { isImplemented } from "../workflow/definition.ts";

/**
 * One execution of user code, in the process of the engine or of a worker: the one place where both run an implementation and
 * learn how it ended.
 */
export interface Execution {
  /** Calls the code. It may throw, return, or return a promise. */
  call(): unknown;
  completed(value: unknown): void;
  failed(error: unknown): void;
}

/** Runs it and tells how it ended: once, whatever the code does. Throws nothing. */
export function execute(execution: Execution): void {
  let result: unknown;
  let pending: Promise<unknown> | undefined;
  try {
    result = execution.call();
    // A promise of the platform's stays the same one; of whatever else has a `then`, which may throw or call back twice,
    // this makes one that settles once.
    if (isThenable(result)) pending = Promise.resolve(result);
  } catch (error) {
    execution.failed(error);
    return;
  }
  if (pending === undefined) {
    execution.completed(result);
    return;
  }
  pending.then(
    (value) => execution.completed(value),
    (error: unknown) => execution.failed(error),
  );
}

/** Hands the decoded input to the implementation. Throws `payload_invalid` for one that does not fit the activity's schema. */
export function callActivity(definition: AnyActivity, value: unknown, task: ActivityTask): unknown {
  const { activityType, inputSchema, implementation } = definition;
  if (inputSchema === undefined) return implementation(value, task);
  const what = `the input of activity ${JSON.stringify(activityType)}`;
  return implementation(parseWithSchema(inputSchema, value, what), task);
}

/**
 * What an implementation returned, as it is recorded. Throws `payload_invalid` for what does not fit the activity's schema,
 * `payload_not_serializable`, `payload_too_large`.
 */
export function encodeResult(
  value: unknown,
  { activityType, outputSchema }: Pick<AnyActivity, "activityType" | "outputSchema">,
  limitBytes: number,
): Payload {
  const what = `the result of activity ${JSON.stringify(activityType)}`;
  const parsed = outputSchema === undefined ? value : parseWithSchema(outputSchema, value, what);
  return toPayload(parsed, what, limitBytes);
}

/** Throws `invalid_argument`, `definition_duplicate`. */
export function byType(activities: readonly AnyActivity[]): ReadonlyMap<string, AnyActivity> {
  const found = new Map<string, AnyActivity>();
  for (const activity of activities) {
    if (activity?.kind !== "activity") {
      throw new AionError("invalid_argument", "`activities` holds something that activity() did not make");
    }
    if (!isImplemented(activity)) {
      throw new AionError(
        "invalid_argument",
        `activity ${JSON.stringify(activity.activityType)} has no implementation here`,
        { hint: "Leave it out of `activities`: the worker that has its code runs it." },
      );
    }
    if (found.has(activity.activityType)) {
      throw new AionError(
        "definition_duplicate",
        `two activities are named ${JSON.stringify(activity.activityType)}`,
      );
    }
    found.set(activity.activityType, activity);
  }
  return found;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  const mayHaveThen = (typeof value === "object" && value !== null) || typeof value === "function";
  return mayHaveThen && "then" in value && typeof value.then === "function";
}
