import type { ActivityTask } from "../src/workflow/definition.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";
import type { Statistics } from "./statistics.ts";

export interface Execution {
  readonly key: string;
  readonly attempt: number;
  readonly engineName: string;
}

/**
 * What activities did to the outside, kept outside of the world: nothing that happens to an engine takes an entry away. Each
 * execution is held against what is on disk at that moment.
 */
export class Ledger {
  readonly counts = new Map<string, number>();
  readonly #running = new Map<string, Execution>();
  readonly #auditor: Auditor;
  readonly #statistics: Statistics;

  constructor(auditor: Auditor, statistics: Statistics) {
    this.#auditor = auditor;
    this.#statistics = statistics;
  }

  /** `epoch`: of the engine that executes. Throws `SimulationFailure`. */
  execute(task: ActivityTask, engineName: string, epoch: number): Execution {
    const { idempotencyKey: key, attempt, runId } = task;
    const where = `${engineName}, ${task.workflowId}, ${key}, attempt ${attempt}`;
    const run = this.#auditor.runs.get(runId);
    const ordinal = Number(key.slice(key.lastIndexOf(":") + 1));
    // I-9: an attempt begins after it was recorded that it does.
    const isRecorded = run?.events.some(
      (event) => event.type === "ActivityStarted" && event.ordinal === ordinal && event.attempt === attempt,
    );
    if (run === undefined || isRecorded !== true)
      throw new SimulationFailure("effect-before-commit", `${where}: its start is not on disk`);
    const isOwner = epoch === this.#auditor.epoch;
    if (!isOwner) this.#statistics.note("attempt begun by a replaced owner");
    // I-8: an engine that was replaced without knowing cannot know of outcomes either.
    if (isOwner && run.work.settled.has(key))
      throw new SimulationFailure("executed-again", `${where}: its outcome is on disk`);
    const activity = run.work.open.get(ordinal);
    if (isOwner && activity !== undefined && activity.attempt !== attempt)
      throw new SimulationFailure("stale-attempt", `${where}: attempt ${activity.attempt} is the latest`);
    const running = this.#running.get(`${engineName} ${key}`);
    const hasFailed = run.events.some(
      (event) =>
        (event.type === "ActivityFailed" ||
          event.type === "ActivityTimedOut" ||
          event.type === "ActivityParked") &&
        event.ordinal === ordinal &&
        event.attempt === running?.attempt,
    );
    // What the end of a run called off may go on for a while beside what begins anew when the run is reopened.
    const startedAt = run.events.findIndex(
      (event) =>
        event.type === "ActivityStarted" && event.ordinal === ordinal && event.attempt === running?.attempt,
    );
    const isOfEarlierLease = run.events.findLastIndex(({ type }) => type === "WorkflowReopened") > startedAt;
    if (running !== undefined && isOfEarlierLease)
      this.#statistics.note("attempt of an earlier lease under way beside the next one");
    if (running !== undefined && !hasFailed && !isOfEarlierLease)
      throw new SimulationFailure("two-at-once", `${where}: attempt ${running.attempt} is under way`);
    // I-14
    const details = run.work.heartbeats.get(ordinal);
    if (isOwner && details !== undefined && activity !== undefined) {
      if (JSON.stringify(task.lastHeartbeat) !== details)
        throw new SimulationFailure(
          "heartbeat-lost",
          `${where}: on disk is ${details}, it was told ${JSON.stringify(task.lastHeartbeat)}`,
        );
      this.#statistics.note("heartbeat reached the next attempt");
    }
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    const execution = { key, attempt, engineName };
    this.#running.set(`${engineName} ${key}`, execution);
    return execution;
  }

  /** An attempt has come to its end by itself. I-38: had its cancellation been on disk before, it would have been told. */
  endUntold({ key, attempt, engineName }: Execution, epoch: number, elapsedMs: number): void {
    const [runId = "", ordinal] = key.split(":");
    const activity = this.#auditor.runs.get(runId)?.work.open.get(Number(ordinal));
    const cancelledAtMs = activity?.cancelledAtMs;
    const isCurrent = epoch === this.#auditor.epoch && activity?.attempt === attempt;
    if (!isCurrent || cancelledAtMs === undefined || elapsedMs <= cancelledAtMs) return;
    throw new SimulationFailure(
      "cancel-not-forwarded",
      `${engineName}, ${key}: cancelled ${elapsedMs - cancelledAtMs} ms ago, and the attempt was not told`,
    );
  }

  end(execution: Execution): void {
    const place = `${execution.engineName} ${execution.key}`;
    if (this.#running.get(place) === execution) this.#running.delete(place);
  }
}
