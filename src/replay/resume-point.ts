import type { Command } from "../core/command.ts";
import type { Delivery, Outcome } from "../program/program.ts";

/** The first command, in the order of the program, for which history has no answer. */
export interface ResumePoint {
  /** 0-based, over all commands that the code issued in this run. */
  readonly commandIndex: number;
  readonly command: Command;
  /** The seq of the last recorded event. */
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
  readonly #signalsTaken = new Map<string, number>();
  #issued = 0;

  /** Before the turn: what the code is about to learn. */
  delivered(delivery: Delivery): void {
    const key = keyOfDelivery(delivery, this.#signalsTaken);
    if (key === undefined) return;
    const open = this.#open.get(key);
    if (open === undefined) return;
    this.#open.delete(key);
    this.#resolutions.push({ ...open, outcome: "outcome" in delivery ? delivery.outcome : undefined });
  }

  /** After the turn: recorded commands, then the live ones beyond them. */
  issued(commands: readonly Command[], liveCount: number): void {
    const recordedCount = commands.length - liveCount;
    for (const [index, command] of commands.entries()) {
      const commandIndex = this.#issued++;
      const key = keyOfCommand(command);
      if (key === undefined && index < recordedCount) this.#resolutions.push({ commandIndex, command, outcome: undefined });
      else if (key?.startsWith("signal ") === true && this.#takeBuffered(key)) {
        this.#resolutions.push({ commandIndex, command, outcome: undefined });
      } else this.#open.set(key ?? `live ${commandIndex}`, { commandIndex, command });
    }
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

  #takeBuffered(key: string): boolean {
    const arrived = this.#signalsTaken.get(key) ?? 0;
    if (arrived === 0) return false;
    this.#signalsTaken.set(key, arrived - 1);
    return true;
  }
}

function keyOfCommand(command: Command): string | undefined {
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
      return `signal ${command.name}`;
    default:
      return undefined;
  }
}

function keyOfDelivery(delivery: Delivery, buffered: Map<string, number>): string | undefined {
  switch (delivery.kind) {
    case "activity":
    case "timer":
    case "child":
    case "signal-settled":
      return `${delivery.kind} ${delivery.ordinal}`;
    case "signal": {
      const key = `signal ${delivery.name}`;
      buffered.set(key, (buffered.get(key) ?? 0) + 1);
      return key;
    }
    default:
      return undefined;
  }
}
