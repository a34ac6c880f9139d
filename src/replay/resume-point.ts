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

interface OpenCommand {
  readonly commandIndex: number;
  readonly command: Command;
}

interface SignalWait {
  readonly name: string;
  readonly key: string;
}

/**
 * Follows a replay and knows, at its end, where live execution takes over. Owner: one recovery. Commands whose own
 * record is their answer (side effects, versions, cancellations) are answered at once.
 */
export class ResumeTracker {
  readonly #open = new Map<string, OpenCommand>();
  readonly #resolutions: Resolution[] = [];
  readonly #arrived = new Map<string, number>();
  /** Who waits for a signal, by its name, in the order in which they are served. */
  readonly #lines = new Map<string, SignalWait[]>();
  readonly #timedWaits = new Map<number, SignalWait>();
  #issued = 0;

  /** A replay begins again from the first event. */
  restart(): void {
    this.#open.clear();
    this.#resolutions.length = 0;
    this.#arrived.clear();
    this.#lines.clear();
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
      case "update":
        return;
      case "signal":
        this.#arrive(delivery.name);
        return;
      case "timer": {
        this.#answer(`timer ${delivery.ordinal}`, undefined);
        // A wait with a time-out is answered by its timer too.
        const wait = this.#timedWaits.get(delivery.ordinal);
        if (wait !== undefined) {
          this.#leave(wait);
          this.#answer(wait.key, undefined);
        }
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
      if (command.kind === "await-signal") {
        this.#await(command, commandIndex);
        continue;
      }
      if (command.kind === "withdraw-signal") this.#withdraw(this.#lines.get(command.name)?.[command.place]);
      if (command.kind === "cancel-timer") this.#callOff(command.ordinal);
      const key = keyOf(command);
      const isAnswered = command.kind === "withdraw-signal" || (key === undefined && index < recordedCount);
      if (isAnswered) this.#resolutions.push({ commandIndex, command, outcome: undefined });
      else this.#open.set(key ?? `live ${commandIndex}`, { commandIndex, command });
    }
  }

  #await(command: Command & { readonly kind: "await-signal" }, commandIndex: number): void {
    const { name, index, timer } = command;
    if ((this.#arrived.get(name) ?? 0) > index) {
      this.#resolutions.push({ commandIndex, command, outcome: undefined });
      return;
    }
    // The index is that of the signal it would have got as it stood then, so two waits may name the same.
    const wait: SignalWait = { name, key: `wait ${commandIndex}` };
    this.#open.set(wait.key, { commandIndex, command });
    const line = this.#lines.get(name);
    if (line === undefined) this.#lines.set(name, [wait]);
    else line.push(wait);
    if (timer !== undefined) this.#timedWaits.set(timer, wait);
  }

  /** A timer that is called off needs no answer, and no more does the wait that it was to end. */
  #callOff(timer: number): void {
    this.#open.delete(`timer ${timer}`);
    this.#withdraw(this.#timedWaits.get(timer));
  }

  #withdraw(wait: SignalWait | undefined): void {
    if (wait === undefined) return;
    this.#leave(wait);
    this.#open.delete(wait.key);
  }

  #leave(wait: SignalWait): void {
    const line = this.#lines.get(wait.name) ?? [];
    const place = line.indexOf(wait);
    if (place >= 0) line.splice(place, 1);
  }

  resumePoint(head: number): ResumePoint | undefined {
    let first: OpenCommand | undefined;
    for (const open of this.#open.values()) {
      if (first === undefined || open.commandIndex < first.commandIndex) first = open;
    }
    return first === undefined ? undefined : { ...first, head };
  }

  get resolutions(): readonly Resolution[] {
    return this.#resolutions;
  }

  #arrive(name: string): void {
    this.#arrived.set(name, (this.#arrived.get(name) ?? 0) + 1);
    const wait = this.#lines.get(name)?.shift();
    if (wait !== undefined) this.#answer(wait.key, undefined);
  }

  #answer(key: string, outcome: Outcome | undefined): void {
    const open = this.#open.get(key);
    if (open === undefined) return;
    this.#open.delete(key);
    this.#resolutions.push({ ...open, outcome });
  }
}

/** The correlation key of a command that an event answers later; `undefined`: its own record is the answer. */
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
    default:
      return undefined;
  }
}
