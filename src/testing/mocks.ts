import { AionError } from "../core/errors.ts";
import { isFailure } from "../core/failure.ts";
import { messageOf } from "../core/payload.ts";
import type {
  ActivityImplementation,
  ActivityTask,
  AnyActivity,
  AnyWorkflow,
} from "../workflow/definition.ts";
import { activity, workflow } from "../workflow/definition.ts";
import type { RealWork } from "./real-work.ts";

/** Stands in for an activity: takes its input and the task, as the implementation does. */
export type ActivityMock = (input: never, task: ActivityTask) => unknown;

/** Stands in for a child workflow: takes its input; what it returns or throws is how the child ends. */
export type ChildMock = (input: never, task: ActivityTask) => unknown;

/** One attempt of an activity, or one run of a mocked child, as the test engine saw it. */
export interface MockCall {
  readonly input: unknown;
  readonly workflowId: string;
  readonly runId: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly idempotencyKey: string;
  /** Virtual time, in milliseconds since 1970. */
  readonly calledAt: number;
  /** `undefined` while it is under way. What came too late to count is here all the same. */
  readonly outcome:
    | { readonly ok: true; readonly value: unknown }
    | { readonly ok: false; readonly error: unknown }
    | undefined;
}

/** What was called, in the order of the calls; it outlives crashes of the engine. Owner: one test engine. */
export class CallLog {
  readonly #now: () => number;
  readonly #work: RealWork;
  readonly #calls = new Map<string, MockCall[]>();

  constructor(now: () => number, work: RealWork) {
    this.#now = now;
    this.#work = work;
  }

  of(name: string): readonly MockCall[] {
    return [...(this.#calls.get(name) ?? [])];
  }

  /** `implementation`, with each call noted under `name`. */
  noting(name: string, implementation: ActivityMock): ActivityImplementation<unknown, unknown> {
    const call = implementation as ActivityImplementation<unknown, unknown>;
    return async (input, task) => {
      const { workflowId, runId, attempt, idempotencyKey } = task;
      const noted: { -readonly [Field in keyof MockCall]: MockCall[Field] } = {
        input,
        workflowId,
        runId,
        attempt,
        idempotencyKey,
        calledAt: this.#now(),
        outcome: undefined,
      };
      const calls = this.#calls.get(name);
      if (calls === undefined) this.#calls.set(name, [noted]);
      else calls.push(noted);
      try {
        const value = await call(input, task);
        noted.outcome = { ok: true, value };
        return value;
      } catch (error) {
        noted.outcome = { ok: false, error };
        throw error;
      } finally {
        this.#work.leave();
      }
    };
  }
}

type ActivitySource = readonly AnyActivity[] | Readonly<Record<string, ActivityMock | AnyActivity>>;

/** Definitions as they are, or mocks by name, with every call noted. Error: `invalid_argument`. */
export function toActivities(source: ActivitySource, log: CallLog): readonly AnyActivity[] {
  if (isList(source)) return source.map((definition) => toActivity(definition.activityType, definition, log));
  return Object.entries(source).map(([name, mock]) => toActivity(name, mock, log));
}

function toActivity(name: string, source: ActivityMock | AnyActivity, log: CallLog): AnyActivity {
  if (typeof source !== "function") {
    throw new AionError("invalid_argument", `the mock of activity ${JSON.stringify(name)} is no function`);
  }
  if (!isDefinition(source)) return activity(name, log.noting(name, source));
  const { inputSchema, outputSchema, implementation, options } = source;
  const schemas = {
    ...(inputSchema === undefined ? {} : { input: inputSchema }),
    ...(outputSchema === undefined ? {} : { output: outputSchema }),
  };
  return activity(name, { ...options, ...schemas }, log.noting(name, implementation));
}

function isList(source: ActivitySource): source is readonly AnyActivity[] {
  return Array.isArray(source);
}

function isDefinition(source: ActivityMock | AnyActivity): source is AnyActivity {
  return "kind" in source && source.kind === "activity";
}

/**
 * A workflow of the mocked type, and the activity in which it calls the mock: so the answer is recorded, the mock is called once
 * for each child, and the child replays like any other.
 */
export function toMockedChild(
  workflowType: string,
  mock: ChildMock,
  log: CallLog,
): { readonly workflow: AnyWorkflow; readonly activity: AnyActivity } {
  if (typeof mock !== "function") {
    throw new AionError(
      "invalid_argument",
      `the mock of child ${JSON.stringify(workflowType)} is no function`,
    );
  }
  const answer = activity(`child ${workflowType}`, log.noting(workflowType, mock));
  return {
    activity: answer,
    workflow: workflow(workflowType, async (input: unknown) => {
      try {
        return await answer(input);
      } catch (error) {
        // What the mock threw, not that an activity failed with it.
        throw isFailure(error) && error.kind === "activity"
          ? (error.cause ?? new Error(messageOf(error)))
          : error;
      }
    }),
  };
}
