import type { Command } from "../core/command.ts";
import { describeCommand, eventTypeOfCommand } from "../core/command.ts";
import { AionError, assert } from "../core/errors.ts";
import type { Event, EventOf, EventRole } from "../core/event.ts";
import { roleOf } from "../core/event.ts";
import type { Activation, RecordedValue, Turn } from "../core/activation.ts";
import { describeDifference, describeRecord, isRecordOf } from "./match.ts";
import type { RunState } from "./run-state.ts";

/**
 * The replay of one run's segment: recorded events in, activations out, and each turn's commands compared with what
 * history says the code asked for at that place. Sans I/O.
 *
 * Owner: whoever loads the run. Invariants:
 *  1. An event is looked at once, in seq order; nothing is read again.
 *  2. An activation is given out only when all its recorded commands are known: up to the next input, or to the end.
 *  3. All activations but the last must issue exactly their recorded commands; the last may go beyond them, and what it
 *     issues beyond is live. Every other difference is a violation.
 */
export class Replay {
  readonly #state: RunState;
  readonly #queue: Event[] = [];
  #at = 0;
  #isComplete = false;
  #expected: readonly Event[] = none;
  #current: Event | undefined;
  #isLast = false;
  readonly #codeUntilSeq: number;
  #unheardSeq: number | undefined;

  /** `codeUntilSeq`: from this event on the code is told nothing. */
  constructor(state: RunState, codeUntilSeq = Number.POSITIVE_INFINITY) {
    this.#state = state;
    this.#codeUntilSeq = codeUntilSeq;
  }

  /**
   * The last input, if the run was ended from outside before the code could act on it: the replay made the code act, and
   * no commit holds what it asked for. What the instance says of itself from then on was never so.
   */
  get unheardSeq(): number | undefined {
    return this.#unheardSeq;
  }

  /** The event that the code learned of last. */
  get lastInput(): { readonly seq: number; readonly recordedAt: number } {
    return this.#current ?? beginning;
  }

  /** The records of what the code is to ask for in the activation that was given out last, in order. */
  get expected(): readonly Event[] {
    return this.#expected;
  }

  /** The next recorded events. */
  push(events: readonly Event[]): void {
    this.#queue.splice(0, this.#at);
    this.#at = 0;
    this.#queue.push(...events);
  }

  /** History holds no more than was pushed. */
  complete(): void {
    this.#isComplete = true;
  }

  /** The next activation, `"more"` when further events must be pushed first, `undefined` at the end. */
  next(): Activation | "more" | undefined {
    for (;;) {
      const span = this.#span();
      if (span === "more") return "more";
      if (span === undefined) return undefined;
      const { input, commands, isLast } = span;
      const delivery = this.#state.apply(input);
      const { historyLength, isHistoryLong, identity } = this.#state;
      const isCodeStarted = this.#state.isCodeStarted;
      for (const event of commands) this.#state.apply(event);
      if (delivery === undefined || input.seq >= this.#codeUntilSeq) continue;
      // Before a start delay is over no code runs: what ends the run then was not issued by code.
      const expected =
        isCodeStarted && commands.length > 0
          ? commands.filter((event) => this.#roleOf(event) === "command")
          : none;
      this.#expected = expected;
      this.#current = input;
      this.#isLast = isLast;
      return {
        delivery,
        nowMs: input.recordedAt,
        historyLength,
        isHistoryLong,
        recorded: expected.length === 0 ? none : expected.flatMap(toRecordedValue),
        isLast: isLast && !this.#state.isClosed,
        isReplaying: expected.length > 0,
        ...(identity === undefined ? {} : { identity: commands.findLast(isRedone)?.as ?? identity }),
      };
    }
  }

  /** Compares a turn with history. Gives back the commands that history does not hold yet. Throws `nondeterminism`. */
  check(turn: Turn): readonly Command[] {
    const { commands, sources } = turn;
    let matched = 0;
    for (const [index, command] of commands.entries()) {
      if (eventTypeOfCommand[command.kind] === undefined) continue;
      const event = this.#expected[matched];
      if (event === undefined) {
        // After an end from outside (terminated, timed out) nothing that the code still asked for counts.
        if (this.#isLast && this.#state.isClosed && !isEndedByCode(this.#state)) {
          // A run that goes on as a new one is ended by a commit of its own: the one before it tells that the code had acted.
          if (matched === 0) this.#unheardSeq = this.#current?.seq;
          return [];
        }
        if (!this.#isLast || this.#state.isClosed) throw this.#violation(undefined, command, sources[index]);
        return commands.slice(index);
      }
      if (!isRecordOf(event, command)) throw this.#violation(event, command, sources[index]);
      matched += 1;
    }
    const left = this.#expected[matched];
    if (left !== undefined) throw this.#violation(left, undefined, undefined);
    return [];
  }

  /** What a reopening has voided nobody is told of, and nobody asked for. */
  #roleOf(event: Event): EventRole {
    return this.#state.isVoid(event.seq) ? "note" : recordRole(event);
  }

  /** Takes one input and everything up to the next. */
  #span():
    | { readonly input: Event; readonly commands: readonly Event[]; readonly isLast: boolean }
    | "more"
    | undefined {
    const queue = this.#queue;
    const at = this.#at;
    // A segment begins with an input, and what follows one is taken with it.
    const input = queue[at];
    if (input === undefined) return this.#isComplete ? undefined : "more";
    let end = at + 1;
    // It begins while the run is not paused: what is told of then is no input at that place.
    let isPaused = false;
    let carried = 0;
    for (let event = queue[end]; event !== undefined; event = queue[++end]) {
      const role = this.#roleOf(event);
      if (role === "input" && !isPaused && carried === 0) break;
      if (carried > 0) carried -= 1;
      if (role !== "note" || this.#state.isVoid(event.seq)) continue;
      isPaused = isPausedAfter(event, isPaused);
      if (event.type === "WorkflowReset") carried = event.carriedSignals ?? 0;
    }
    const isAtEnd = end >= queue.length;
    if (isAtEnd && !this.#isComplete) return "more";
    this.#at = end;
    return { input, commands: end === at + 1 ? none : queue.slice(at + 1, end), isLast: isAtEnd };
  }

  #violation(event: Event | undefined, command: Command | undefined, place: string | undefined): AionError {
    const source = place === "" ? undefined : place;
    const current = this.#current;
    assert(current !== undefined, "a turn is checked after its activation was given out");
    const seq = event?.seq ?? current.seq;
    const expected = event === undefined ? "no further command" : describeRecord(event);
    const difference = event === undefined || command === undefined ? "" : describeDifference(event, command);
    const found = command === undefined ? "no further command" : describeCommand(command);
    const where = source === undefined ? "" : ` at ${source}`;
    return new AionError(
      "nondeterminism",
      `workflow ${this.#state.workflowId}, event ${seq}: history has ${expected}, and the code asked for ${found}${where}` +
        `${difference}, having learned of event ${current.seq} (${current.type})`,
      {
        details: {
          workflowId: this.#state.workflowId,
          seq,
          expected,
          found,
          ...(source === undefined ? {} : { source }),
        },
      },
    );
  }
}

const beginning = Object.freeze({ seq: 0, recordedAt: 0 });

/** Most turns of a wide history ask for nothing. */
const none: readonly never[] = [];

/** Codes of failures that the engine records in place of the code. */
const engineVerdicts: readonly (string | undefined)[] = ["nondeterminism", "nondurable_await", "run_limit"];

/** As `roleOf`; a failure that the engine recorded in place of the code is an end from outside. */
export function recordRole(event: Event): EventRole {
  if (
    event.type === "WorkflowFailed" &&
    event.failure.kind === "engine" &&
    engineVerdicts.includes(event.failure.type)
  ) {
    return "end";
  }
  return roleOf(event);
}

/** What the code learned last before it, it acts on as who it is from here on. */
function isRedone(event: Event): event is EventOf<"WorkflowReset"> {
  return event.type === "WorkflowReset" && event.isRedone === true;
}

export function isPausedAfter(event: Event, isPaused: boolean): boolean {
  if (event.type === "WorkflowReopened" || event.type === "WorkflowReset") return false;
  if (event.type !== "WorkflowPaused" && event.type !== "WorkflowResumed") return isPaused;
  return event.isFurther === true ? isPaused : event.type === "WorkflowPaused";
}

function isEndedByCode(state: RunState): boolean {
  return state.terminal !== undefined && recordRole(state.terminal) === "command";
}

function toRecordedValue(event: Event): RecordedValue[] {
  if (event.type === "VersionMarked") return [{ kind: "version", changeId: event.changeId }];
  if (event.type !== "SideEffectRecorded") return [];
  return [
    {
      kind: "side-effect",
      ...(event.value === undefined ? {} : { value: event.value }),
      ...(event.failure === undefined ? {} : { failure: event.failure }),
    },
  ];
}
