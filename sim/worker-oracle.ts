import type { NewEvent } from "../src/core/codec.ts";
import type { AcknowledgedFrame, EngineFrame, WorkerFrame } from "../src/protocol/frames.ts";
import type { ActivityTask } from "../src/workflow/definition.ts";
import type { AttemptWatch } from "./audited-activities.ts";
import type { AuditedRun } from "./audited-run.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";
import type { Ledger } from "./ledger.ts";
import type { WorkersPlan } from "./worker-plan.ts";
import type { Statistics } from "./statistics.ts";
import type { WorkerLife } from "./worker-life.ts";
import type { Wire } from "./worker-network.ts";

/** An attempt that a process with a worker is at work on. */
export interface RemoteExecution {
  readonly key: string;
  readonly attempt: number;
  readonly worker: WorkerLife;
  readonly task: ActivityTask;
  readonly taskQueue: string;
  /** Of the engine that gave it out. */
  readonly epoch: number;
  readonly token: string;
}

interface Named {
  readonly epoch: number;
  readonly workflowId: string;
  readonly runId: string;
  readonly ordinal: number;
  readonly attempt: number;
}

/** What a task given to one process has met. */
interface Given {
  readonly token: string;
  readonly epoch: number;
  /** The process was told that nobody wants its outcome. */
  isUnwanted: boolean;
  /** The process was told that it is cancelled. */
  isCancelled: boolean;
}

/** A frame is on its way no longer than this if nothing is wrong with its way, and an engine does its turns meanwhile. */
const heardWithinMs = 2_000;

type OutcomeEvent = NewEvent & {
  readonly type: "ActivityCompleted" | "ActivityFailed" | "ActivityParked" | "ActivityCancelled";
};

/**
 * What workers did, and what they and engines said to each other, held against what was on disk at that moment. Kept outside of the
 * world; nothing that happens to a process takes an entry away. Written apart from the engine. Throws `SimulationFailure`.
 */
export class WorkerOracle implements AttemptWatch {
  readonly #auditor: Auditor;
  readonly #ledger: Ledger;
  readonly #statistics: Statistics;
  readonly #plan: WorkersPlan;
  readonly #elapsedMs: () => number;
  readonly #isPunctual: () => boolean;
  readonly #fail: (error: unknown) => void;
  /** By key and attempt: which process began it. */
  readonly #executed = new Map<string, string>();
  readonly #running = new Set<RemoteExecution>();
  /** Their worker may have been taken for lost meanwhile. */
  readonly #doubted = new WeakSet<RemoteExecution>();
  readonly #given = new Map<WorkerLife, Map<string, Given>>();
  readonly #reports = new Map<string, string>();
  readonly #reportedOn = new Map<string, Wire>();
  /** When something happened to a worker, or to its connection, by which it may be lost. */
  readonly #disturbedAtMs = new Map<string, number>();
  #allDisturbedAtMs = Number.NEGATIVE_INFINITY;
  /** When the owner of an epoch heard of a worker. */
  readonly #heardAtMs = new Map<string, number>();
  /** Attempts begun in a queue by the owner of an epoch. */
  readonly #begun = new Map<string, number>();
  readonly #epochFromMs = new Map<number, number>();
  /**
   * Tasks that were given out and not reported, with the process: what one had whose name another one has now is for others, though
   * that may not be on disk yet.
   */
  readonly #out = new Map<string, string>();
  /** Tokens that were handed out, for the rates of queues. */
  readonly #counted = new Set<string>();
  #clockForwardsCount = 0;
  /** When an engine or the store was last seen to be late. */
  #lateAtMs = Number.NEGATIVE_INFINITY;

  constructor(of: {
    readonly auditor: Auditor;
    readonly ledger: Ledger;
    readonly statistics: Statistics;
    readonly plan: WorkersPlan;
    readonly elapsedMs: () => number;
    /** Nothing that is at work now makes an engine or the store late. */
    readonly isPunctual: () => boolean;
    readonly fail: (error: unknown) => void;
  }) {
    this.#auditor = of.auditor;
    this.#ledger = of.ledger;
    this.#statistics = of.statistics;
    this.#plan = of.plan;
    this.#elapsedMs = of.elapsedMs;
    this.#isPunctual = of.isPunctual;
    this.#fail = of.fail;
  }

  // What happens to workers.

  disturbed(identity: string): void {
    this.#disturbedAtMs.set(identity, this.#elapsedMs());
  }

  /** An engine froze, or time passed: anybody may be taken for lost. */
  allDisturbed(): void {
    this.#allDisturbedAtMs = this.#elapsedMs();
  }

  storeWasLate(): void {
    this.#lateAtMs = this.#elapsedMs();
  }

  clockSetForwards(): void {
    this.#clockForwardsCount += 1;
  }

  died(worker: WorkerLife): void {
    this.disturbed(worker.identity);
    let hadTask = false;
    for (const execution of [...this.#running]) {
      if (execution.worker !== worker) continue;
      hadTask = true;
      this.#running.delete(execution);
    }
    if (hadTask) this.#statistics.note("worker killed amid its work");
  }

  // Executions.

  execute(
    task: ActivityTask,
    worker: WorkerLife,
  ): { readonly execution: RemoteExecution; readonly count: number } {
    try {
      const execution = this.#begin(task, worker);
      return { execution, count: this.#ledger.counts.get(task.idempotencyKey) ?? 0 };
    } catch (failure) {
      this.#fail(failure);
      throw failure;
    }
  }

  #begin(task: ActivityTask, worker: WorkerLife): RemoteExecution {
    const { idempotencyKey: key, attempt, runId, activityType } = task;
    const where = `${worker.name}, ${task.workflowId}, ${key}, attempt ${attempt}`;
    const fail = (kind: string, what: string): never => {
      throw new SimulationFailure(kind, `${where}: ${what}`);
    };
    if (worker.isGone) fail("ghost", "the process is gone");
    const run = this.#auditor.runs.get(runId);
    const ordinal = Number(key.slice(key.lastIndexOf(":") + 1));
    const started = run?.events.find(
      (event) => event.type === "ActivityStarted" && event.ordinal === ordinal && event.attempt === attempt,
    );
    // I-9
    if (run === undefined || started?.type !== "ActivityStarted")
      return fail("effect-before-commit", "its start is not on disk");
    if (started.worker !== worker.identity)
      fail(
        "wrong-worker",
        `it was given to ${started.worker ?? "an engine"}, and this is ${worker.identity}`,
      );
    // I-10: whatever is lost, one token is one execution.
    const before = this.#executed.get(`${key} ${attempt}`);
    if (before !== undefined) fail("token-twice", `${before} began it before`);
    this.#executed.set(`${key} ${attempt}`, worker.name);
    const taskQueue = queueOf(run, ordinal);
    if (!worker.taskQueues.has(taskQueue) || !worker.activityTypes.has(activityType))
      fail("not-served", `${activityType} in ${taskQueue}`);
    const given = this.#given.get(worker)?.get(`${key} ${attempt}`);
    if (given === undefined) return fail("ghost", "nobody gave it to this process");
    if (given.isUnwanted) fail("unwanted-begun", "the process was told that nobody wants it");
    const activity = run.work.open.get(ordinal);
    const isCurrent = run.isOpen && activity?.attempt === attempt && activity.startedAt !== undefined;
    if (!isCurrent) {
      // I-8: of what was lost or out of time nobody could stop it; what has an outcome of its own was executed before.
      const outcome = outcomeOf(run, { ordinal, attempt });
      if (outcome !== undefined && outcome.type !== "ActivityCancelled")
        fail("executed-again", `its outcome is on disk, ${outcome.type}`);
      this.#statistics.note("attempt that was over begun by a worker that had not heard");
    }
    // I-14
    const told = run.work.toldHeartbeats.get(`${ordinal} ${attempt}`);
    if (told !== undefined) {
      if (JSON.stringify(task.lastHeartbeat) !== told)
        fail("heartbeat-lost", `on disk was ${told}, it was told ${JSON.stringify(task.lastHeartbeat)}`);
      this.#statistics.note("heartbeat reached the next attempt on a worker");
    }
    const { token, epoch } = given;
    const execution = { key, attempt, worker, task, taskQueue, epoch, token };
    this.#running.add(execution);
    const here = [...this.#running].filter((other) => other.worker === worker && !this.#isUnwanted(other));
    if (here.length > worker.concurrency)
      fail("capacity", `${here.length} tasks at once, and it has room for ${worker.concurrency}`);
    this.#checkQueue(taskQueue, where);
    this.#ledger.counts.set(key, (this.#ledger.counts.get(key) ?? 0) + 1);
    this.#statistics.note("attempt begun on a worker");
    return execution;
  }

  #isUnwanted({ worker, key, attempt }: RemoteExecution): boolean {
    return this.#given.get(worker)?.get(`${key} ${attempt}`)?.isUnwanted ?? false;
  }

  /** I-13: attempts at once in a queue, but for those that their engine may take for over. */
  #checkQueue(taskQueue: string, where: string): void {
    const concurrency = this.#plan.taskQueues[taskQueue]?.concurrency;
    if (concurrency === undefined) return;
    const held = [...this.#running].filter((of) => of.taskQueue === taskQueue && this.#isHeld(of));
    if (held.length > concurrency)
      throw new SimulationFailure(
        "queue-limit",
        `${where}: ${held.length} at once in ${taskQueue}, at most ${concurrency}: ${held.map(({ token }) => token).join()}`,
      );
    if (held.length === concurrency) this.#statistics.note("queue at its limit");
  }

  #isHeld(execution: RemoteExecution): boolean {
    if (execution.epoch > this.#auditor.epoch || this.#isUnwanted(execution)) return false;
    if (this.#doubted.has(execution)) return false;
    const [runId = "", ordinal] = execution.key.split(":");
    const run = this.#auditor.runs.get(runId);
    const activity = run?.work.open.get(Number(ordinal));
    if (run?.isOpen !== true || activity === undefined || activity.attempt !== execution.attempt)
      return false;
    // What a run has under way that cannot be turned to takes no place.
    if (run.isHeld) return false;
    if (activity.startedAt === undefined) return false;
    const { startToCloseMs, heartbeatMs, scheduleToCloseMs } = activity.options;
    if (startToCloseMs !== undefined || heartbeatMs !== undefined || scheduleToCloseMs !== undefined)
      return false;
    const heardAtMs = this.#heardAtMs.get(`${this.#auditor.epoch} ${execution.worker.identity}`);
    return heardAtMs !== undefined && this.#elapsedMs() - heardAtMs < this.#patienceMs;
  }

  /** A worker that was heard of within this is not lost. */
  get #patienceMs(): number {
    return this.#plan.sessionTimeoutMs / 2;
  }

  end(execution: RemoteExecution): void {
    this.#running.delete(execution);
  }

  /** An attempt has come to its end by itself. I-38: had its cancellation been on disk for long, its signal would have fired. */
  endUntold(execution: RemoteExecution): void {
    const { worker, key, attempt } = execution;
    const [runId = "", ordinal] = key.split(":");
    const activity = this.#auditor.runs.get(runId)?.work.open.get(Number(ordinal));
    const { wire } = worker;
    if (activity === undefined || activity.attempt !== attempt || activity.startedAt === undefined) return;
    const fromMs = Math.max(
      activity.cancelledAtMs ?? Number.POSITIVE_INFINITY,
      wire?.registeredAtMs ?? Number.POSITIVE_INFINITY,
      this.#allDisturbedAtMs,
      this.#disturbedAtMs.get(worker.identity) ?? Number.NEGATIVE_INFINITY,
    );
    if (wire?.isWhole !== true || wire.life.epoch !== this.#auditor.epoch || !wire.life.isUp) return;
    if (this.#elapsedMs() - fromMs < heardWithinMs || !this.#isPunctualFor(heardWithinMs)) return;
    this.#fail(
      new SimulationFailure(
        "cancel-not-forwarded",
        `${worker.name}, ${key}: cancelled on disk for ${this.#elapsedMs() - fromMs} ms, and its signal did not fire`,
      ),
    );
  }

  /** Nothing has made an engine or the store late for so long. */
  #isPunctualFor(ms: number): boolean {
    return this.#isPunctual() && this.#elapsedMs() - this.#lateAtMs >= ms;
  }

  #noteLate(): void {
    if (!this.#isPunctual()) this.#lateAtMs = this.#elapsedMs();
  }

  // What is said.

  engineSends(wire: Wire, frame: EngineFrame): void {
    this.#noteLate();
    if (frame.type === "acknowledged") this.#checkAcknowledged(wire, frame);
    if (frame.type === "refused" && frame.isFinal)
      throw new SimulationFailure("refused-for-good", `${wire.worker.name}: ${frame.message}`);
    if (frame.type === "refused" && frame.message.startsWith("another worker"))
      this.#statistics.note("worker refused, its name being taken");
    if (frame.type === "registered") for (const token of frame.stop) this.#checkOver(wire, token);
    if (frame.type === "cancel" && frame.reason !== "requested") this.#checkOver(wire, frame.token);
    if (frame.type !== "task") return;
    const { serves, worker } = wire;
    const { runId, ordinal, attempt } = parse(frame.token);
    const run = this.#auditor.runs.get(runId);
    if (run === undefined) throw new SimulationFailure("effect-before-commit", `${frame.token} is unknown`);
    const isStarted = run.events.some(
      (event) =>
        event.type === "ActivityStarted" &&
        event.ordinal === ordinal &&
        event.attempt === attempt &&
        event.worker === worker.identity,
    );
    if (!isStarted)
      throw new SimulationFailure("effect-before-commit", `${frame.token} was given out to ${worker.name}`);
    const taskQueue = queueOf(run, ordinal);
    if (
      serves !== undefined &&
      (!serves.taskQueues.includes(taskQueue) || !serves.activityTypes.includes(frame.activityType))
    )
      throw new SimulationFailure("not-served", `${worker.name}: ${frame.activityType} in ${taskQueue}`);
    const drainedMs = this.#elapsedMs() - Math.max(wire.drainedAtMs, this.#allDisturbedAtMs);
    if (drainedMs > heardWithinMs && this.#isPunctualFor(drainedMs) && !this.#out.has(frame.token))
      throw new SimulationFailure(
        "task-after-drain",
        `${worker.name} said ${drainedMs} ms before that it takes no more, and is given ${frame.token}`,
      );
    this.#countBegun(frame.token, taskQueue);
    this.#out.set(frame.token, worker.name);
    const out = [...this.#out].filter(([token, name]) => name === worker.name && this.#isOut(token));
    if (out.length > worker.concurrency)
      throw new SimulationFailure(
        "capacity",
        `${worker.name} has room for ${worker.concurrency}, and was given ${out.map(([token]) => token).join()}`,
      );
  }

  /** What is recorded as begun and was over before anybody had it gives its place back, so what is handed out is counted. */
  #countBegun(token: string, taskQueue: string): void {
    const perSecond = this.#plan.taskQueues[taskQueue]?.perSecond;
    if (perSecond === undefined || this.#counted.has(token)) return;
    this.#counted.add(token);
    const { epoch } = parse(token);
    const place = `${epoch} ${taskQueue}`;
    const count = (this.#begun.get(place) ?? 0) + 1;
    this.#begun.set(place, count);
    const burst = Math.max(1, perSecond);
    const passedMs = this.#elapsedMs() - (this.#epochFromMs.get(epoch) ?? 0);
    const atMost = burst * (1 + this.#clockForwardsCount) + (passedMs * perSecond) / 1_000;
    if (count > Math.floor(atMost + 1e-6))
      throw new SimulationFailure(
        "queue-rate",
        `${count} attempts begun in ${taskQueue} within ${passedMs} ms, at ${perSecond} a second`,
      );
    if (count + 1 > Math.floor(atMost + 1e-6)) this.#statistics.note("queue at its rate");
  }

  /** A task that nothing but a report ends, and whose report was not heard. */
  #isOut(token: string): boolean {
    const { runId, ordinal, attempt } = parse(token);
    const run = this.#auditor.runs.get(runId);
    const activity = run?.work.open.get(ordinal);
    if (run?.isOpen !== true || activity?.attempt !== attempt || activity.startedAt === undefined)
      return false;
    const { startToCloseMs, heartbeatMs, scheduleToCloseMs } = activity.options;
    return startToCloseMs === undefined && heartbeatMs === undefined && scheduleToCloseMs === undefined;
  }

  /** I-11: what a worker is told to stop is over, and that is on disk. An engine that was replaced cannot know. */
  #checkOver(wire: Wire, token: string): void {
    const { runId, ordinal, attempt } = parse(token);
    const run = this.#auditor.runs.get(runId);
    const activity = run?.work.open.get(ordinal);
    if (wire.life.epoch !== this.#auditor.epoch || run?.isOpen !== true || activity?.attempt !== attempt)
      return;
    if (run.isHeldForLimit) return;
    if (activity.startedAt !== undefined && activity.worker === wire.worker.identity)
      throw new SimulationFailure(
        "told-to-stop",
        `${wire.worker.name} is told to stop ${token}, which is the attempt under way`,
      );
  }

  /** I-12, I-13: what an engine says of a report is so. */
  #checkAcknowledged(wire: Wire, { token, became }: AcknowledgedFrame): void {
    const named = parse(token);
    const run = this.#auditor.runs.get(named.runId);
    const outcome = run === undefined ? undefined : outcomeOf(run, named);
    const report = this.#reports.get(token);
    const fail = (what: string): never => {
      throw new SimulationFailure("acknowledged-report", `${wire.worker.name}, ${token}, ${became}: ${what}`);
    };
    if (report === undefined) return fail("nobody reported it");
    if (became === "not-wanted") {
      this.#statistics.note("late report refused");
      if (run === undefined || run.isDeleted) return;
      // One that was replaced may have read what came of it later.
      if (wire.life.epoch !== this.#auditor.epoch) return;
      if (outcome !== undefined && outcome.type !== "ActivityCancelled")
        fail(`its outcome is on disk, ${outcome.type}`);
      const activity = run.work.open.get(named.ordinal);
      const isUnderWay =
        run.isOpen && activity?.attempt === named.attempt && activity.startedAt !== undefined;
      // What is under way when a run is held for what it has is not waited for; its row says so a moment later.
      if (!isUnderWay || run.isHeldForLimit) return;
      if (!this.#auditor.hasLimits) fail("it is the attempt under way");
      run.heldSoonBy = wire.life.epoch;
      this.#statistics.note("report refused, its run being about to be held");
      return;
    }
    if (outcome === undefined) return fail("its outcome is not on disk");
    if (!isOf(outcome, report)) fail(`on disk is ${JSON.stringify(outcome)}, reported was ${report}`);
    this.#statistics.note(
      became === "recorded" ? "report recorded" : "re-report acknowledged as recorded before",
    );
    if (named.epoch !== wire.life.epoch && became === "recorded")
      this.#statistics.note("report recorded by the next engine");
    if (this.#reportedOn.get(token) !== wire && became === "recorded")
      this.#statistics.note("report recorded that was told again");
  }

  engineHears(wire: Wire, frame: WorkerFrame): void {
    this.#noteLate();
    const { identity, name } = wire.worker;
    const place = `${wire.life.epoch} ${identity}`;
    // Silent for so long, it may have been taken for lost. If the store does not take that, its attempts are its own again.
    if (this.#elapsedMs() - (this.#heardAtMs.get(place) ?? this.#auditor.ownedFromMs) >= this.#patienceMs) {
      for (const execution of this.#running)
        if (execution.worker.identity === identity) this.#doubted.add(execution);
    }
    this.#heardAtMs.set(place, this.#elapsedMs());
    if (frame.type === "report") this.#out.delete(frame.token);
    if (frame.type === "drain") wire.drainedAtMs = Math.min(wire.drainedAtMs, this.#elapsedMs());
    if (frame.type === "register") {
      const { taskQueues, activityTypes } = frame;
      // Another process of the name: what the first one has is for others.
      for (const execution of this.#running)
        if (execution.worker.identity === identity && execution.worker !== wire.worker)
          this.#doubted.add(execution);
      wire.serves = { taskQueues, activityTypes };
      // What did not come to it, and has to be given to it again if it is to have it.
      const named = new Set([...frame.held, ...frame.unacknowledged]);
      for (const [token, of] of this.#out) if (of === name && !named.has(token)) this.#out.delete(token);
      if (frame.session !== undefined && frame.held.length > 0)
        this.#statistics.note("worker came back with tasks under way");
    } else if (frame.type === "leave") {
      this.disturbed(identity);
    }
  }

  workerSends(wire: Wire, frame: WorkerFrame): void {
    // A process that has begun anew ends what its name had.
    if (frame.type === "register" && frame.session === undefined) this.disturbed(frame.identity);
    if (frame.type === "drain" && wire.worker.worker.tasksInFlight > 0)
      this.#statistics.note("worker drained with tasks under way");
    if (frame.type !== "report") return;
    const { token } = frame;
    const text = JSON.stringify(frame.outcome);
    const known = this.#reports.get(token);
    if (known !== undefined && known !== text)
      throw new SimulationFailure("report-changed", `${wire.worker.name}, ${token}: ${known}, now ${text}`);
    if (text.includes("has no implementation of"))
      throw new SimulationFailure("not-served", `${wire.worker.name}, ${token}: ${text}`);
    this.#reports.set(token, text);
    if (known === undefined) this.#reportedOn.set(token, wire);
    else this.#statistics.note("report told again");
  }

  workerHears(wire: Wire, frame: EngineFrame): void {
    const { worker } = wire;
    const given = this.#given.get(worker) ?? new Map<string, Given>();
    this.#given.set(worker, given);
    const placeOf = (token: string): string => {
      const { runId, ordinal, attempt } = parse(token);
      return `${runId}:${ordinal} ${attempt}`;
    };
    switch (frame.type) {
      case "registered":
        wire.registeredAtMs = Math.min(wire.registeredAtMs, this.#elapsedMs());
        for (const token of frame.stop) this.#unwanted(given.get(placeOf(token)));
        return;
      case "task": {
        const { token } = frame;
        const place = placeOf(token);
        const known = given.get(place);
        if (known === undefined)
          given.set(place, { token, epoch: parse(token).epoch, isUnwanted: false, isCancelled: false });
        else this.#statistics.note("task given again under its token");
        return;
      }
      case "cancel": {
        const known = given.get(placeOf(frame.token));
        if (known === undefined) return;
        if (frame.reason === "requested") {
          known.isCancelled = true;
          this.#statistics.note("cancellation reached a worker");
        } else this.#unwanted(known);
        return;
      }
      default:
    }
  }

  #unwanted(given: Given | undefined): void {
    if (given === undefined) return;
    given.isUnwanted = true;
    this.#statistics.note("worker told that an outcome is not wanted");
  }

  // What is recorded (AttemptWatch).

  attemptStarted(
    _run: AuditedRun,
    event: NewEvent & { readonly type: "ActivityStarted" },
    epoch: number,
  ): void {
    this.#noteLate();
    if (event.worker === undefined) return;
    if (!this.#epochFromMs.has(epoch)) this.#epochFromMs.set(epoch, this.#auditor.ownedFromMs);
  }

  /** I-11: an attempt is given up for lost only if something happened by which it may be. */
  attemptLost(
    run: AuditedRun,
    event: NewEvent & { readonly type: "ActivityFailed" },
    of: { readonly identity: string; readonly sinceMs: number; readonly isSameOwner: boolean },
  ): void {
    this.#statistics.note(
      event.lost === "left" ? "worker left its attempt to others" : "lost worker detected",
    );
    const { identity, sinceMs, isSameOwner } = of;
    const { ownedFromMs } = this.#auditor;
    const disturbedAtMs = Math.max(this.#allDisturbedAtMs, this.#disturbedAtMs.get(identity) ?? -Infinity);
    const { sessionTimeoutMs } = this.#plan;
    if (
      !isSameOwner &&
      event.lost === "silent" &&
      disturbedAtMs < ownedFromMs &&
      this.#elapsedMs() - ownedFromMs < sessionTimeoutMs
    )
      throw new SimulationFailure(
        "lost-without-cause",
        `${run.workflowId}, activity ${event.ordinal}: ${identity} had ${this.#elapsedMs() - ownedFromMs} ms to come back`,
      );
    // With a store that is late it may have been lost before its start was on disk.
    // What it had said before may have been on its way for a while.
    const fromMs = sinceMs - 2 * sessionTimeoutMs - heardWithinMs;
    if (this.#isPunctualFor(this.#elapsedMs() - fromMs) && isSameOwner && disturbedAtMs < fromMs)
      throw new SimulationFailure(
        "lost-without-cause",
        `${run.workflowId}, activity ${event.ordinal}, attempt ${event.attempt}: nothing had happened to ${identity}`,
      );
  }
}

function queueOf(run: AuditedRun, ordinal: number): string {
  const scheduled = run.events.find(
    (event) => event.type === "ActivityScheduled" && event.ordinal === ordinal,
  );
  return scheduled?.type === "ActivityScheduled" ? (scheduled.options.taskQueue ?? "default") : "default";
}

/** The outcome of an attempt by what it did itself. */
function outcomeOf(
  run: AuditedRun,
  { ordinal, attempt }: Pick<Named, "ordinal" | "attempt">,
): OutcomeEvent | undefined {
  const found = run.events.find(
    (event) =>
      ((event.type === "ActivityCompleted" && event.byOperator !== true) ||
        event.type === "ActivityCancelled" ||
        (event.type === "ActivityParked" &&
          event.timeout === undefined &&
          event.failure.type !== "worker_lost") ||
        (event.type === "ActivityFailed" &&
          event.lost === undefined &&
          event.byOperator !== true &&
          event.failure.type !== "worker_lost")) &&
      event.ordinal === ordinal &&
      event.attempt === attempt,
  );
  return found as OutcomeEvent | undefined;
}

function isOf(event: OutcomeEvent, report: string): boolean {
  const outcome = JSON.parse(report) as {
    readonly kind: string;
    readonly result?: string;
    readonly failure?: { readonly message: string };
  };
  switch (event.type) {
    case "ActivityCompleted":
      return outcome.result === event.result;
    case "ActivityFailed":
    case "ActivityParked":
      return outcome.failure?.message === event.failure.message;
    case "ActivityCancelled":
      return outcome.kind === "failed";
  }
}

/** By the letter of the protocol a token is opaque; whoever judges may look. */
function parse(token: string): Named {
  const [epoch, workflowId, runId, ordinal, attempt] = JSON.parse(token) as [
    number,
    string,
    string,
    number,
    number,
  ];
  return { epoch, workflowId, runId, ordinal, attempt };
}
