import type { Activation, Turn } from "../core/activation.ts";
import type { AionError } from "../core/errors.ts";
import type { Event, ParentLink, StartSignal } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";
import type { ActivityTask } from "../workflow/definition.ts";

/**
 * The border between the engine and workflow code. Everything that crosses it is plain data, so that a loader may put
 * the code into a realm of its own; a step's closure is the one exception, and only the inline loader offers it.
 */
export interface Program {
  readonly workflowType: string;
  readonly version: string;
  /** Checks an input that comes from outside; gives back what is recorded. Throws `payload_invalid`. */
  parseInput(input: Payload): Payload | Promise<Payload>;
  /** Checks the payload of a signal that the definition declares. Throws `payload_invalid`. */
  parseSignal(name: string, payload: Payload): Payload | Promise<Payload>;
  instantiate(init: InstanceInit): ProgramInstance;
}

export interface InstanceInit {
  readonly workflowId: WorkflowId;
  readonly runId: RunId;
  readonly startedAt: number;
  readonly parent?: ParentLink;
  readonly continuedFrom?: RunId;
  /** What started it, or the first run of its chain. */
  readonly schedule?: { readonly id: string; readonly nominalAt: number };
  /** The input was recorded without being checked; the run checks it first, and fails if it does not fit. */
  readonly isUnchecked: boolean;
  readonly payloadLimitBytes: number;
  /** Notes the source line of each command: slow, for explaining a violation. */
  readonly isTracing: boolean;
  readonly log: (
    level: LogLevel,
    message: string,
    fields: Readonly<Record<string, unknown>> | undefined,
  ) => void;
  /** The code moved outside an activation: it awaited something that is not durable. The instance is unusable then. */
  readonly onStray: (error: AionError) => void;
  /** Of code that runs elsewhere: `end` answered "later", and has an answer now. */
  readonly onReady?: () => void;
  /** Of code that runs elsewhere: its process was ended, and the instance with it. `isCulprit`: by what its code did. */
  readonly onLost?: (error: AionError, isCulprit: boolean) => void;
}

/** The code of one resident run. One activation at a time: `begin`, a turn of the scheduler, `end`. */
export interface ProgramInstance {
  /** Before `begin`, in a replay: the records of what the code is about to ask for. For a border that encodes. */
  expect?(records: readonly Event[]): void;
  /** Tells the code what happened. */
  begin(activation: Activation): void;
  /**
   * After all microtasks have run: what the code asked for. `"again"` when a `waitUntil` came true and needs
   * another turn; `"later"` when the code runs elsewhere: `onReady` tells when to ask anew.
   */
  end(): Turn | "again" | "later";
  /** Answers from the live state, between activations. Throws `query_unknown`, `query_failed`, `payload_invalid`. */
  query(name: string, input: Payload): Payload | Promise<Payload>;
  /** Checks a signal against what the code has asked for so far. Throws `payload_invalid`. */
  parseSignal(name: string, payload: Payload): Payload | Promise<Payload>;
  /** Checks a result that an operator gives to an activity that the code waits for. Throws `payload_invalid`. */
  parseResult(ordinal: number, payload: Payload): Payload | Promise<Payload>;
  /** The closure of a step that is scheduled and not yet settled. */
  stepFunction(ordinal: number): ((task: ActivityTask) => unknown) | undefined;
  /** When it continues as new: signals that arrived and that the code has not asked for, to be carried over. */
  unconsumedSignals(): readonly StartSignal[];
  /** Fails the run's main function with an error that nothing in the code caught. */
  reject(error: unknown): void;
  dispose(): void;
}

/** Finds the code of a run. A run is pinned to the version it started with. */
export interface ProgramSource {
  /** The version that new runs of the type get; `undefined`: unknown type. */
  route(workflowType: string): Program | undefined;
  /** The program that a recorded run needs; `undefined`: missing. */
  find(workflowType: string, version: string): Program | undefined;
  readonly workflowTypes: readonly string[];
}
