import type { Command } from "../core/command.ts";
import { AionError } from "../core/errors.ts";
import { longHistoryDefault } from "../core/history-size.ts";
import type { HistorySize } from "../core/history-size.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import type { LogLevel } from "../core/ports.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import type { RunState } from "../replay/run-state.ts";
import type { RunRecord } from "../store/contract.ts";
import type { EngineMeter } from "./engine-meter.ts";
import type { Batch } from "./batch.ts";
import type { ResidentRun } from "./resident-run.ts";
import { fieldsOfRun } from "./run-lines.ts";

/** How much one run may have. What is at a limit is fine; what goes beyond it is not. */
export interface RunLimits {
  /** From so many events on the code is told to continue as new, and a warning is logged. Default 10,000. */
  readonly historyEventsWarn: number;
  /** The same for what they take, in bytes. Default 10 MiB. */
  readonly historyBytesWarn: number;
  /** Events of one run. Default 50,000. */
  readonly historyEventsMax: number;
  /** About what they take, in bytes. Default 100 MiB. */
  readonly historyBytesMax: number;
  /** Activities that have no outcome yet. Default 10,000. */
  readonly pendingActivitiesMax: number;
  /** Timers that have not fired. Default 10,000. */
  readonly pendingTimersMax: number;
  /** Children that have not ended. Default 10,000. */
  readonly pendingChildrenMax: number;
  /** Signals to other workflows that have not been answered. Default 10,000. */
  readonly pendingSendsMax: number;
  /** Signals that have come, and that the code has not asked for. More are refused with `signals_full`. Default 10,000. */
  readonly waitingSignalsMax: number;
  /** Updates that are accepted and have no outcome. More are refused with `updates_pending`. Default 100. */
  readonly pendingUpdatesMax: number;
  /** What the code may ask for before it waits for something. Default 20,000. */
  readonly activationCommandsMax: number;
}

export const runLimitsDefault: RunLimits = Object.freeze({
  historyEventsWarn: longHistoryDefault.events,
  historyBytesWarn: longHistoryDefault.bytes,
  historyEventsMax: 50_000,
  historyBytesMax: 100 * 1024 * 1024,
  pendingActivitiesMax: 10_000,
  pendingTimersMax: 10_000,
  pendingChildrenMax: 10_000,
  pendingSendsMax: 10_000,
  waitingSignalsMax: 10_000,
  pendingUpdatesMax: 100,
  activationCommandsMax: 20_000,
});

const runLimitNames = Object.fromEntries(
  Object.keys(runLimitsDefault).map((name) => [name, true]),
) as OptionNames<RunLimits>;

/** Errors: `invalid_argument`. */
export function parseRunLimits(given: Partial<RunLimits> = {}): RunLimits {
  demandKnownOptions(given, runLimitNames, "limits");
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && Number.isSafeInteger(value) && value >= 1) continue;
    throw new AionError(
      "invalid_argument",
      `limits.${name} must be a whole number of 1 or more, got ${String(value)}`,
    );
  }
  return { ...runLimitsDefault, ...given };
}

export interface LimitsHost {
  readonly meter: EngineMeter;
  readonly residency: { get(workflowId: WorkflowId): ResidentRun | undefined };
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
}

type Kind = "activities" | "timers" | "children" | "sends";

const kinds: readonly {
  readonly kind: Kind;
  readonly limit: keyof RunLimits;
  readonly what: string;
  readonly begin: Command["kind"];
  readonly end?: Command["kind"];
}[] = [
  { kind: "activities", limit: "pendingActivitiesMax", what: "pending activities", begin: "run-activity" },
  {
    kind: "timers",
    limit: "pendingTimersMax",
    what: "pending timers",
    begin: "start-timer",
    end: "cancel-timer",
  },
  { kind: "children", limit: "pendingChildrenMax", what: "pending children", begin: "start-child" },
  { kind: "sends", limit: "pendingSendsMax", what: "signals on their way", begin: "send-signal" },
];

/**
 * Holds runs within their limits. Owner: the kernel.
 *
 * Laws: a limit is looked at where something is about to happen for the first time, never in a replay, so that no recorded
 * history depends on it. What has been recorded or acknowledged stays. A run that has reached one is held or failed by policy, can
 * be terminated, and goes on under a larger one if it was held.
 */
export class RunLimitsKeeper {
  readonly limits: RunLimits;
  /** To be recorded with a run, unless it is what a run without a record of it has. */
  readonly longHistory: { readonly longHistory?: HistorySize };
  readonly #host: LimitsHost;

  constructor(host: LimitsHost, limits: RunLimits = runLimitsDefault) {
    this.#host = host;
    this.limits = limits;
    const { historyEventsWarn: events, historyBytesWarn: bytes } = limits;
    const isDefault = events === longHistoryDefault.events && bytes === longHistoryDefault.bytes;
    this.longHistory = isDefault ? {} : { longHistory: { events, bytes } };
  }

  /** What the code has asked for, before any of it is recorded; an error: it is too much. */
  ofTurn(state: RunState, commands: readonly Command[]): AionError | undefined {
    const { activationCommandsMax } = this.limits;
    if (commands.length > activationCommandsMax) {
      const count = `${commands.length} commands of one activation`;
      return this.#reached(state, "activationCommandsMax", count);
    }
    for (const { kind, limit, what, begin, end } of kinds) {
      const max = this.limits[limit];
      // Far below it, as nearly always, nothing has to be counted.
      if (state[kind].size + commands.length <= max) continue;
      let count = state[kind].size;
      for (const command of commands) {
        if (command.kind === begin) count += 1;
        else if (command.kind === end) count -= 1;
      }
      if (count > max) return this.#reached(state, limit, `${count} ${what}`);
    }
    return undefined;
  }

  /** A history that is on disk; an error: nothing is to be added to it. */
  ofHistory(workflowId: WorkflowId, { events, bytes }: HistorySize): AionError | undefined {
    // It goes on as a new run by itself, whatever code is told.
    if (isCoordinatorId(workflowId)) return undefined;
    const { historyEventsMax, historyBytesMax } = this.limits;
    if (events > historyEventsMax) {
      return limitError(workflowId, "historyEventsMax", `a history of ${events} events`, historyEventsMax);
    }
    if (bytes > historyBytesMax) {
      return limitError(workflowId, "historyBytesMax", `a history of ${bytes} bytes`, historyBytesMax);
    }
    return undefined;
  }

  /** Before a run is loaded: what its row tells already, and afterwards the rest. Throws `run_limit`. */
  demandRow({ workflowId, firstSeq, headSeq }: RunRecord): void {
    const error = this.ofHistory(workflowId, { events: headSeq - firstSeq + 1, bytes: 0 });
    if (error !== undefined) throw error;
  }

  /** Throws `run_limit`. `live`: what the code is about to ask for. */
  demandLoaded(state: RunState, live: readonly Command[]): void {
    if (state.isClosed) return;
    const { workflowId, historyLength: events, historyBytes: bytes } = state;
    const error = this.ofHistory(workflowId, { events, bytes }) ?? this.ofTurn(state, live);
    if (error !== undefined) throw error;
  }

  /** A commit of the run is on disk. */
  committed(run: ResidentRun, { events }: Batch): void {
    const { state } = run;
    if (state.isClosed) return;
    const { workflowId, historyLength, historyBytes, headSeq, longSinceSeq } = state;
    if (state.isHistoryLong && longSinceSeq > headSeq - events.length) {
      this.#host.meter.historyLong(state.started.workflowType);
      const { historyEventsMax, historyBytesMax } = this.limits;
      this.#host.log("warn", "the history of a run has got long: it had better continue as new", {
        ...fieldsOfRun(workflowId, state.started),
        events: historyLength,
        eventsMax: historyEventsMax,
        bytes: historyBytes,
        bytesMax: historyBytesMax,
      });
    }
    const error = this.ofHistory(workflowId, { events: historyLength, bytes: historyBytes });
    if (error !== undefined) run.fault(error);
  }

  /** Whether one more signal may wait for the code. `undefined`: it may. */
  ofSignals(workflowId: WorkflowId): AionError | undefined {
    const run = this.#host.residency.get(workflowId);
    // Of a paused run: also what it is to be told of after the pause.
    const count = (run?.waitingSignals ?? 0) + (run?.state.pausing.untoldCount ?? 0);
    return this.signalsFull(workflowId, count, "that its code has not received");
  }

  /** `count`: how many there are. */
  signalsFull(workflowId: WorkflowId, count: number, which: string): AionError | undefined {
    const { waitingSignalsMax } = this.limits;
    if (count < waitingSignalsMax) return undefined;
    this.#host.meter.signalRefused();
    return new AionError(
      "signals_full",
      `workflow ${workflowId} has ${count} signals ${which}, and may have ${waitingSignalsMax}`,
      { details: { workflowId, count, limit: "waitingSignalsMax", max: waitingSignalsMax } },
    );
  }

  /** Throws `updates_pending`. */
  demandRoomForUpdate({ workflowId, updates }: RunState, name: string): void {
    const { pendingUpdatesMax: max } = this.limits;
    if (updates.pending.size < max) return;
    throw new AionError(
      "updates_pending",
      `update ${JSON.stringify(name)} of workflow ${workflowId}: ${updates.pending.size} updates of its run have no outcome yet, and it may have ${max}`,
      { details: { workflowId, limit: "pendingUpdatesMax", max } },
    );
  }

  #reached({ workflowId }: RunState, limit: keyof RunLimits, count: string): AionError {
    return limitError(workflowId, limit, count, this.limits[limit]);
  }
}

function limitError(workflowId: WorkflowId, limit: keyof RunLimits, count: string, max: number): AionError {
  return new AionError("run_limit", `workflow ${workflowId} has ${count}, and may have ${max} (${limit})`, {
    details: { workflowId, limit, max },
  });
}
