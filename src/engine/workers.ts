import type { TaskQueueInfo, WorkerInfo } from "../client/service.ts";
import { assert } from "../core/errors.ts";
import type { TimeoutKind } from "../core/failure.ts";
import { toFailure } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { messageOf } from "../core/payload.ts";
import type { SyncPayloadCodec } from "../core/payload-codec.ts";
import { isCodecError } from "../core/payload-codec.ts";
import type { Ports } from "../core/ports.ts";
import type { TraceContext } from "../core/tracing.ts";
import type {
  AcknowledgedFrame,
  CancelFrame,
  HeartbeatFrame,
  RegisterFrame,
  ReportFrame,
  TaskOutcome,
  TaskToken,
} from "../protocol/frames.ts";
import type { EngineLink, EngineReceiver, WorkerAcceptor } from "../protocol/transport.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { TaskAddress, ToEvent } from "./attempt.ts";
import {
  armHeartbeat,
  armTimers,
  disarm,
  ifCurrent,
  keyOf,
  toFailedEvent,
  toLostEvent,
  toTimedOutEvent,
} from "./attempt.ts";
import type { TaskLease } from "./task-lease.ts";
import { toLease } from "./task-lease.ts";
import type { TaskQueueLimits } from "./task-queues.ts";
import type { TokenClaim } from "./task-token.ts";
import { fromToken, toToken } from "./task-token.ts";
import type { AttemptStanding } from "./views.ts";
import type { Arrival, ConnectionsHost } from "./worker-connections.ts";
import { WorkerConnections } from "./worker-connections.ts";
import { WorkerSeal } from "./worker-seal.ts";
import type { WorkerSession } from "./worker-session.ts";
import { toInfo } from "./worker-session.ts";
import { WorkerSlots } from "./worker-slots.ts";

export interface WorkerOptions {
  /** A worker that is silent for longer is lost. */
  readonly sessionTimeoutMs: number;
  readonly taskQueues: Readonly<Record<string, TaskQueueLimits>>;
  /** Workers at once; others are refused. */
  readonly workersMax: number;
}

export const workerOptionsDefault: WorkerOptions = {
  sessionTimeoutMs: 30_000,
  taskQueues: {},
  workersMax: 1_000,
};

export interface WorkersHost {
  /** An attempt has ended. One of the two is called in the end, unless the engine stops before. */
  settled(
    address: TaskAddress,
    outcome: { readonly toEvent: ToEvent; onDurable?(): void; onDropped?(): void },
  ): void;
  /** A worker is there for an activity that waited: it may begin its next attempt. */
  slotFree(address: TaskAddress): void;
  heartbeat(address: TaskAddress, attempt: number, details: Payload): void;
  /** Whether the workflow's run is in memory, so that of its attempts none is open but those that are known here. */
  isAtHand(workflowId: WorkflowId): boolean;
  /** What the attempt has come to by its history. */
  standingOf(address: TaskAddress, attempt: number): Promise<AttemptStanding>;
  /** The tasks of a worker are for others. */
  gone?(how: "silent" | "left"): void;
}

/**
 * Attempts of activities on workers. Owner: the kernel. What is open, and which attempt is the current one, is in the histories;
 * who has it, in memory.
 *
 * Laws:
 *  1. An attempt goes to a worker only after its ActivityStarted, which names the worker, is on disk. A credit of the worker is taken
 *     before that event is written, and given back when the attempt ends or the commit fails.
 *  2. A report is acknowledged when its outcome is on disk, or will never be. It is held against the history's open attempt; what is
 *     late, or is not the worker's, changes nothing.
 *  3. A connection that is cut is no lost worker: its tasks stay its own until it has been silent for the session's time-out. So do
 *     those that an earlier engine gave out.
 *  4. Of a run that cannot be turned to now (it is blocked, or being read) no worker is told what becomes of an attempt. When it can be,
 *     those who named one of its attempts are asked to come again, and say it anew.
 *  5. Memory is bounded by the workers, their capacities and the largest payload; who waits is in the histories anyway.
 */
export class Workers implements WorkerAcceptor, ConnectionsHost {
  readonly #ports: Ports;
  readonly #host: WorkersHost;
  readonly #options: WorkerOptions;
  readonly #seal: WorkerSeal;
  readonly #epoch: number;
  /** Who may have an attempt, and who has to wait. */
  readonly slots: WorkerSlots;
  readonly #connections: WorkerConnections;
  /** Attempts that workers have, by key. */
  readonly #leases = new Map<string, TaskLease>();
  /** Those of earlier engines whose workers have not come yet, by identity. */
  readonly #orphans = new Map<string, Set<TaskLease>>();
  /** Attempts that are over for their workers, until that is on disk. */
  readonly #undecided = new Map<string, Promise<void>>();
  /** Workers that named an open attempt of a run that cannot be turned to now, by workflow and token. */
  readonly #unheard = new Map<WorkflowId, Map<TaskToken, WorkerSession>>();
  #isStopped = false;

  constructor(of: {
    readonly ports: Ports;
    readonly host: WorkersHost;
    readonly options: WorkerOptions;
    readonly payloadLimitBytes: number;
    readonly codec?: SyncPayloadCodec | undefined;
    readonly epoch: number;
  }) {
    this.#ports = of.ports;
    this.#host = of.host;
    this.#options = of.options;
    this.#seal = new WorkerSeal(of.codec, of.payloadLimitBytes);
    this.#epoch = of.epoch;
    this.#connections = new WorkerConnections(of.ports, this, {
      ...of.options,
      payloadLimitBytes: of.payloadLimitBytes,
    });
    this.slots = new WorkerSlots({
      ports: of.ports,
      limits: of.options.taskQueues,
      workers: this.#connections.sessions,
      slotFree: (address) => of.host.slotFree(address),
    });
  }

  /** Takes workers. Before, what is open in the histories is not known. */
  open(): void {
    this.#connections.open();
  }

  list(): readonly WorkerInfo[] {
    return [...this.#connections.sessions.values()].map(toInfo);
  }

  listQueues(): readonly TaskQueueInfo[] {
    return this.slots.listQueues();
  }

  get inFlightCount(): number {
    return this.#leases.size;
  }

  isUnderWay(runId: RunId, ordinal: number): boolean {
    return this.#leases.has(keyOf(runId, ordinal));
  }

  progressOf(runId: RunId, ordinal: number): Payload | undefined {
    return this.#leases.get(keyOf(runId, ordinal))?.heartbeat;
  }

  // Attempts.

  /** Hands an attempt whose credit is taken and whose start is on disk to its worker. */
  begin(address: TaskAddress, activity: OpenActivity, trace?: TraceContext): void {
    const key = keyOf(address.runId, address.ordinal);
    const grant = this.slots.use(key);
    if (this.#isStopped) return;
    assert(grant !== undefined, "an attempt of a worker begins with the credit that was taken for it");
    const { worker } = grant;
    const token = toToken({ address, attempt: activity.attempt, epoch: this.#epoch });
    const lease = toLease(address, activity, worker.identity, trace);
    lease.worker = worker;
    lease.token = token;
    lease.unsent = { ...lease.frame, token };
    this.#leases.set(key, lease);
    worker.leases.set(key, lease);
    armTimers(lease, activity, this.#ports, (timeout) => this.#timeOut(lease, timeout));
    if (worker.isOver) {
      this.#lose(lease, "silent");
      this.slots.offer();
    } else if (worker.isReady) this.#send(lease);
  }

  /**
   * An attempt that history has with a worker, from before this engine: its worker has one session's time-out to come back to it.
   */
  adopt(address: TaskAddress, activity: OpenActivity, identity: string, trace?: TraceContext): void {
    const lease = toLease(address, activity, identity, trace);
    this.#leases.set(lease.key, lease);
    this.slots.force(lease.taskQueue);
    const { sessionTimeoutMs } = this.#options;
    const since = { startedAt: activity.startedAt ?? activity.scheduledAt, graceMs: sessionTimeoutMs };
    armTimers(lease, activity, this.#ports, (timeout) => this.#timeOut(lease, timeout), since);
    const orphans = this.#orphans.get(identity) ?? new Set();
    this.#orphans.set(identity, orphans.add(lease));
    const worker = this.#connections.sessions.get(identity);
    const isUnheard = [...(this.#unheard.get(address.workflowId)?.values() ?? [])].some(
      (of) => of === worker,
    );
    if (isUnheard) this.#ports.scheduler.delay(0, () => this.hear(address.workflowId));
    // Another one that is here already does not have it.
    const isHere = worker !== undefined && !isUnheard;
    lease.cancelTimers.push(
      this.#ports.scheduler.delay(isHere ? 0 : sessionTimeoutMs, () => {
        if (lease.worker === undefined) this.#lose(lease, isHere ? "left" : "silent");
        this.slots.offer();
      }),
    );
  }

  #send(lease: TaskLease): void {
    const { worker, unsent, token } = lease;
    if (worker?.link === undefined || unsent === undefined || token === undefined) return;
    lease.unsent = undefined;
    worker.link.send(unsent);
    if (lease.isCancelRequested) worker.link.send({ type: "cancel", token, reason: "requested" });
  }

  /** Tells a worker that the outcome of its attempt is no longer wanted; it is waited for all the same. */
  cancel(runId: RunId, ordinal: number): void {
    const lease = this.#leases.get(keyOf(runId, ordinal));
    if (lease === undefined || lease.isReported || lease.isCancelRequested) return;
    lease.isCancelRequested = true;
    if (lease.unsent === undefined) this.#tell(lease, "requested");
  }

  /** The run has ended: its attempts are told, and their outcomes dropped. */
  drop(runId: RunId, ordinals: Iterable<number>): void {
    for (const ordinal of ordinals) {
      const lease = this.#leases.get(keyOf(runId, ordinal));
      if (lease === undefined) continue;
      if (lease.isReported) this.#acknowledge(lease, "not-wanted");
      else if (this.#end(lease)) this.#tell(lease, "closed");
    }
    this.slots.offer();
  }

  dropRun(runId: RunId): void {
    for (const { address } of [...this.#leases.values()]) {
      if (address.runId === runId) this.drop(runId, [address.ordinal]);
    }
  }

  #tell({ worker, token }: TaskLease, reason: CancelFrame["reason"]): void {
    if (token !== undefined) worker?.link?.send({ type: "cancel", token, reason });
  }

  #timeOut(lease: TaskLease, timeout: TimeoutKind): void {
    if (!this.#end(lease)) return;
    const { random } = this.#ports;
    const toEvent = ifCurrent(lease, (activity, nowMs) =>
      toTimedOutEvent(activity, lease, timeout, nowMs, random),
    );
    const { worker, token } = lease;
    if (worker !== undefined && token !== undefined) worker.unsettled.add(token);
    this.#decide(lease, toEvent, () => {
      this.#tell(lease, "timed-out");
      if (worker !== undefined && token !== undefined) this.#forgo(worker, token);
    });
    this.slots.offer();
  }

  #lose(lease: TaskLease, how: "silent" | "left"): void {
    if (!this.#end(lease)) return;
    const { random } = this.#ports;
    const toEvent = ifCurrent(lease, (activity, nowMs) => toLostEvent(activity, lease, how, nowMs, random));
    this.#decide(lease, toEvent, () => undefined);
  }

  /** Its worker has no say any more. It is told so when that is on disk: an engine after this one may see it otherwise. */
  #decide({ key, address }: TaskLease, toEvent: ToEvent, tell: () => void): void {
    const decision = Promise.withResolvers<void>();
    this.#undecided.set(key, decision.promise);
    const over = (): void => {
      if (this.#undecided.get(key) === decision.promise) this.#undecided.delete(key);
      decision.resolve();
      tell();
    };
    this.#host.settled(address, { toEvent, onDurable: over, onDropped: over });
  }

  /** The attempt is over for its worker: credit and place are free. */
  #end(lease: TaskLease): boolean {
    if (!this.#release(lease)) return false;
    this.#leases.delete(lease.key);
    lease.worker?.leases.delete(lease.key);
    return true;
  }

  #release(lease: TaskLease): boolean {
    if (lease.isReported || this.#leases.get(lease.key) !== lease) return false;
    disarm(lease);
    if (lease.worker === undefined) this.#unorphan(lease);
    this.slots.giveBack(lease.worker, lease.taskQueue);
    return true;
  }

  // What workers say (ConnectionsHost).

  acceptWorker(link: EngineLink): EngineReceiver {
    return this.#connections.acceptWorker(link);
  }

  arrived(worker: WorkerSession, { held, unacknowledged, session }: RegisterFrame): Arrival {
    const known = new Set<TaskLease>();
    const stop: TaskToken[] = [];
    const unsure: TaskToken[] = [];
    worker.unsettled.clear();
    for (const token of held) {
      const lease = this.#claim(worker, token);
      const undecided = lease === undefined ? this.#undecidedOf(token) : undefined;
      if (lease !== undefined && !lease.isReported) known.add(lease);
      else if (undecided === undefined) (this.#isOver(token) ? stop : unsure).push(token);
      else {
        worker.unsettled.add(token);
        void undecided.then(() => {
          this.#forgo(worker, token);
          worker.link?.send({ type: "cancel", token, reason: "closed" });
        });
      }
    }
    // Its reports tell what becomes of these.
    for (const token of unacknowledged) {
      const lease = this.#claim(worker, token);
      if (lease !== undefined) known.add(lease);
    }
    for (const lease of [...worker.leases.values(), ...(this.#orphans.get(worker.identity) ?? [])]) {
      if (lease.isReported || known.has(lease) || !this.#mayHave(worker, lease)) continue;
      // A process that has just begun knows of none: what it had, died.
      if (session === undefined) this.#lose(lease, "silent");
      // What an engine before this one told the worker (that it timed out, that its report was not wanted) may not be on disk.
      else if (lease.worker === undefined) this.#lose(lease, "left");
      // It was lost with its connection.
      else this.#resend(lease);
    }
    for (const token of unsure) worker.unsettled.add(token);
    this.slots.offer();
    return { stop, unsure };
  }

  /** Nothing has the attempt for open, as far as is known without reading. */
  #isOver(token: TaskToken): boolean {
    const claim = fromToken(token);
    return (
      claim === undefined || (claim.epoch <= this.#epoch && this.#host.isAtHand(claim.address.workflowId))
    );
  }

  /** The run can be turned to, or has ended: whoever named an attempt of it is to come again. */
  hear(workflowId: WorkflowId): void {
    const unheard = this.#unheard.get(workflowId);
    if (unheard === undefined) return;
    this.#unheard.delete(workflowId);
    for (const worker of new Set(unheard.values())) this.#connections.reconnect(worker);
  }

  #undecidedOf(token: TaskToken): Promise<void> | undefined {
    const address = fromToken(token)?.address;
    return address === undefined ? undefined : this.#undecided.get(keyOf(address.runId, address.ordinal));
  }

  #resend(lease: TaskLease): void {
    const { frame, token } = lease;
    if (token !== undefined) lease.unsent = { ...frame, token };
  }

  /** The lease that a token names, if it is this worker's. */
  #claim(worker: WorkerSession, token: TaskToken): TaskLease | undefined {
    const claim = fromToken(token);
    const lease = claim === undefined ? undefined : this.#leaseOf(claim);
    if (claim === undefined || lease === undefined || lease.identity !== worker.identity) return undefined;
    if (lease.attempt !== claim.attempt || lease.address.workflowId !== claim.address.workflowId)
      return undefined;
    if (lease.worker === undefined) {
      // Given out by an engine before this one; a later one there cannot have been.
      if (claim.epoch >= this.#epoch || !this.#mayHave(worker, lease)) return undefined;
      this.#attach(worker, lease);
      worker.unsettled.delete(token);
      lease.token = token;
    }
    if (lease.token !== token) return undefined;
    // It was taken for lost while its report was on its way to the disk: who has come back is to hear of that.
    if (lease.isReported && lease.worker !== worker) {
      lease.worker?.leases.delete(lease.key);
      lease.worker = worker;
      worker.leases.set(lease.key, lease);
    }
    return lease;
  }

  /**
   * Of an engine before this one only the name of the worker is known, and anybody may call himself so: he gets nothing of a queue that
   * he may not serve.
   */
  #mayHave(worker: WorkerSession, lease: TaskLease): boolean {
    return lease.worker !== undefined || worker.taskQueues.has(lease.taskQueue);
  }

  #leaseOf({ address }: TokenClaim): TaskLease | undefined {
    return this.#leases.get(keyOf(address.runId, address.ordinal));
  }

  #attach(worker: WorkerSession, lease: TaskLease): void {
    this.#unorphan(lease);
    lease.worker = worker;
    worker.underWay += 1;
    worker.leases.set(lease.key, lease);
  }

  #unorphan(lease: TaskLease): void {
    const orphans = this.#orphans.get(lease.identity);
    if (orphans?.delete(lease) === true && orphans.size === 0) this.#orphans.delete(lease.identity);
  }

  beat(worker: WorkerSession, { token, details }: HeartbeatFrame): void {
    const lease = this.#claim(worker, token);
    if (lease === undefined || lease.isReported) return;
    armHeartbeat(lease, lease.heartbeatMs, this.#ports.scheduler, () => this.#timeOut(lease, "heartbeat"));
    if (details === undefined) return;
    try {
      lease.heartbeat = this.#seal.payload(details, "heartbeat", lease.frame);
    } catch (error) {
      if (!isCodecError(error)) throw error;
      const { key } = lease;
      this.#ports.log("warn", "the details of a heartbeat cannot be decoded", {
        key,
        error: messageOf(error),
      });
      return;
    }
    this.#host.heartbeat(lease.address, lease.attempt, lease.heartbeat);
  }

  report(worker: WorkerSession, { token, outcome }: ReportFrame): boolean {
    this.#forgo(worker, token);
    const lease = this.#claim(worker, token);
    if (lease === undefined) return false;
    // Told twice: the first report is answered.
    if (lease.isReported || !this.#release(lease)) return true;
    lease.isReported = true;
    let became: AcknowledgedFrame["became"] = "not-wanted";
    const toOutcomeEvent = this.#toOutcomeEvent(lease, outcome);
    this.#host.settled(lease.address, {
      toEvent: (state, nowMs) => {
        const event = toOutcomeEvent(state, nowMs);
        became = event === undefined ? "not-wanted" : "recorded";
        return event;
      },
      onDurable: () => this.#acknowledge(lease, became),
      onDropped: () => this.#acknowledge(lease, "not-wanted"),
    });
    this.slots.offer();
    return true;
  }

  async lookUp(
    worker: WorkerSession,
    token: TaskToken,
    outcome: TaskOutcome | undefined,
  ): Promise<AcknowledgedFrame["became"] | undefined> {
    const claim = fromToken(token);
    if (claim === undefined) return "not-wanted";
    // What a later engine gave out is not known here, and not for this one to judge.
    if (claim.epoch > this.#epoch) return undefined;
    const { workflowId } = claim.address;
    await this.#undecidedOf(token);
    const unheard = this.#unheard.get(workflowId) ?? new Map<TaskToken, WorkerSession>();
    // Noted before the history is read: the run may be brought back meanwhile.
    if (!this.#host.isAtHand(workflowId)) this.#unheard.set(workflowId, unheard.set(token, worker));
    let isOpen = false;
    try {
      const standing = await this.#host.standingOf(claim.address, claim.attempt);
      isOpen = standing.kind === "open" && standing.worker === worker.identity && unheard.has(token);
      if (isOpen) return undefined;
      this.#forgo(worker, token);
      return standing.kind === "recorded" && isOutcomeOf(standing.as, outcome)
        ? "already-recorded"
        : "not-wanted";
    } finally {
      if (!isOpen && unheard.delete(token) && unheard.size === 0) this.#unheard.delete(workflowId);
    }
  }

  /** The worker does not have it any more, or is told to stop it. */
  #forgo(worker: WorkerSession, token: TaskToken): void {
    if (worker.unsettled.delete(token)) this.slots.offer();
  }

  #toOutcomeEvent(lease: TaskLease, outcome: TaskOutcome): ToEvent {
    const { address, attempt, frame } = lease;
    const { ordinal } = address;
    let failure = outcome.kind === "failed" ? this.#seal.failure(outcome.failure, frame) : undefined;
    if (outcome.kind === "completed") {
      try {
        const result = this.#seal.payload(outcome.result, "result", frame);
        return ifCurrent(lease, () => ({ type: "ActivityCompleted", ordinal, attempt, result }));
      } catch (error) {
        failure = toFailure(error);
      }
    }
    const { random } = this.#ports;
    return ifCurrent(lease, (activity, nowMs) =>
      toFailedEvent(activity, lease, failure ?? toFailure("no outcome"), nowMs, random),
    );
  }

  #acknowledge(lease: TaskLease, became: AcknowledgedFrame["became"]): void {
    if (this.#leases.get(lease.key) !== lease) return;
    this.#leases.delete(lease.key);
    lease.worker?.leases.delete(lease.key);
    if (lease.token !== undefined)
      lease.worker?.link?.send({ type: "acknowledged", token: lease.token, became });
  }

  registered(worker: WorkerSession): void {
    for (const lease of worker.leases.values()) {
      if (lease.isCancelRequested && !lease.isReported && lease.unsent === undefined)
        this.#tell(lease, "requested");
    }
  }

  ready(worker: WorkerSession): void {
    for (const lease of worker.leases.values()) this.#send(lease);
    this.slots.offer();
  }

  /** What it has reported is being recorded; the rest is begun anew by others. */
  gone(worker: WorkerSession, how: "silent" | "left"): void {
    this.#host.gone?.(how);
    this.slots.gone(worker);
    for (const lease of [...worker.leases.values()]) this.#lose(lease, how);
    this.slots.offer();
  }

  /** Nothing is given out or recorded any more. Tasks stay with their workers, for the next engine. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.slots.stop();
    this.#connections.stop();
    for (const lease of this.#leases.values()) disarm(lease);
    this.#leases.clear();
    this.#undecided.clear();
    this.#orphans.clear();
    this.#unheard.clear();
  }
}

/** A result that was too large, say, was recorded as a failure; one of an attempt that was cancelled and out of time was not. */
function isOutcomeOf(
  recorded: (AttemptStanding & { readonly kind: "recorded" })["as"],
  outcome: TaskOutcome | undefined,
): boolean {
  if (recorded === "ActivityFailed") return true;
  return outcome?.kind === (recorded === "ActivityCompleted" ? "completed" : "failed");
}
