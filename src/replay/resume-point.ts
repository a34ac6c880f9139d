import type { Command } from "../core/command.ts";
import type { Delivery, Outcome } from "../core/activation.ts";

/** The first command, in the order of the program, for which history has no answer. */
export interface ResumePoint {
  /** 0-based, over all commands that the code issued in this run. */
  readonly commandIndex: number;
  readonly command: Command;
  /** The seq of the last recorded event. */
  readonly head: number;
}

/**
 * Where a run waits that has asked for nothing that history must answer: for a condition (`waitUntil`), for its
 * handlers, for the end of its start delay.
 */
export interface RestPoint {
  /** What the next command will have. */
  readonly commandIndex: number;
  readonly command: undefined;
  readonly head: number;
}

/** What history answered a command with. */
export interface Resolution {
  readonly commandIndex: number;
  readonly command: Command;
  readonly outcome: Outcome | undefined;
}

/**
 * Follows a replay and knows, at its end, where live execution takes over. Owner: one recovery. Commands whose own
 * record is their answer (side effects, versions, cancellations) are answered at once.
 */
export class ResumeTracker {
  readonly #open = new Map<string, { readonly commandIndex: number; readonly command: Command }>();
  readonly #resolutions: Resolution[] = [];
  readonly #arrived = new Map<string, number>();
  readonly #timedWaits = new Map<number, string>();
  #issued = 0;

  /** A replay begins again from the first event. */
  restart(): void {
    this.#open.clear();
    this.#resolutions.length = 0;
    this.#arrived.clear();
    this.#timedWaits.clear();
    this.#issued = 0;
  }

  /** Commands that the code issued so far. */
  get issuedCount(): number {
    return this.#issued;
  }

  /** Before the turn: what the code is about to learn. */
  delivered(delivery: Delivery): void {
    switch (delivery.kind) {
      case "start":
        for (const { name } of delivery.signals ?? []) this.#arrive(name);
        return;
      case "cancel":
        return;
      case "signal":
        this.#arrive(delivery.name);
        return;
      case "timer": {
        this.#answer(`timer ${delivery.ordinal}`, undefined);
        // A wait with a time-out is answered by its timer too.
        const wait = this.#timedWaits.get(delivery.ordinal);
        if (wait !== undefined) this.#answer(wait, undefined);
        return;
      }
      default:
        this.#answer(`${delivery.kind} ${delivery.ordinal}`, delivery.outcome);
    }
  }

  /** After the turn: recorded commands, then the live ones beyond them. */
  issued(commands: readonly Command[], liveCount: number): void {
    const recordedCount = commands.length - liveCount;
    for (const [index, command] of commands.entries()) {
      const commandIndex = this.#issued++;
      const key = keyOf(command);
      if (command.kind === "cancel-timer") this.#withdraw(command.ordinal);
      const isAnswered =
        command.kind === "await-signal"
          ? (this.#arrived.get(command.name) ?? 0) > command.index
          : key === undefined && index < recordedCount;
      if (isAnswered) {
        this.#resolutions.push({ commandIndex, command, outcome: undefined });
        continue;
      }
      this.#open.set(key ?? `live ${commandIndex}`, { commandIndex, command });
      if (command.kind === "await-signal" && command.timer !== undefined && key !== undefined) {
        this.#timedWaits.set(command.timer, key);
      }
    }
  }

  /** A timer that is called off needs no answer, and no more does the wait that it was to end. */
  #withdraw(timer: number): void {
    this.#open.delete(`timer ${timer}`);
    const wait = this.#timedWaits.get(timer);
    if (wait !== undefined) this.#open.delete(wait);
    this.#timedWaits.delete(timer);
  }

  resumePoint(head: number): ResumePoint | undefined {
    let first: { readonly commandIndex: number; readonly command: Command } | undefined;
    for (const open of this.#open.values()) {
      if (first === undefined || open.commandIndex < first.commandIndex) first = open;
    }
    return first === undefined ? undefined : { ...first, head };
  }

  get resolutions(): readonly Resolution[] {
    return this.#resolutions;
  }

  #arrive(name: string): void {
    const arrived = this.#arrived.get(name) ?? 0;
    this.#arrived.set(name, arrived + 1);
    this.#answer(`signal ${arrived} ${name}`, undefined);
  }

  #answer(key: string, outcome: Outcome | undefined): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    this.#open.delete(key);
    this.#resolutions.push({ ...open, outcome });
  }
}

/** The correlation key of a command that history answers later; `undefined`: its own record is the answer. */
function keyOf(command: Command): string | undefined {
  switch (command.kind) {
    case "run-activity":
      return `activity ${command.ordinal}`;
    case "start-timer":
      return `timer ${command.ordinal}`;
    case "start-child":
      return `child ${command.ordinal}`;
    case "send-signal":
      return `signal-settled ${command.ordinal}`;
    case "await-signal":
      return `signal ${command.index} ${command.name}`;
    default:
      return undefined;
  }
}
