import { assert, isAionError } from "../core/errors.ts";
import { defaultTaskQueue } from "../core/event.ts";
import type { TimeoutKind } from "../core/failure.ts";
import { toFailure } from "../core/failure.ts";
import type { RunId } from "../core/ids.ts";
import { messageOf, parsePayload } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";
import type {
  AcknowledgedFrame,
  CancelFrame,
  HeartbeatFrame,
  RegisterFrame,
  ReportFrame,
  TaskOutcome,
  TaskToken,
  WorkerFrame,
} from "../protocol/frames.ts";
import type { EngineLink, EngineReceiver, WorkerAcceptor } from "../protocol/transport.ts";
import type { OpenActivity } from "../replay/run-state.ts";
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
import type { TaskQueueLimits, WaitingTask } from "./task-queues.ts";
import { TaskQueues } from "./task-queues.ts";
import type { TokenClaim } from "./task-token.ts";
import { fromToken, toToken } from "./task-token.ts";
import { parseWorkerFrame } from "./worker-frames.ts";
import type { Grant, TaskLease, WorkerSession } from "./worker-session.ts";
import { pickWorker, serves } from "./worker-session.ts";

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
  /** Whether the history has the outcome of that attempt. */
  isRecorded(address: TaskAddress, attempt: number): Promise<boolean>;
}

/** One connection. Until it has registered nothing is known of who is at its other end. */
interface Connection {
  readonly link: EngineLink;
  worker: WorkerSession | undefined;
  isOver: boolean;
  /** Looks at histories for reports of which nothing is known in memory: one after the other. */
  looks: Promise<void>;
  lookCount: number;
  cancelPatience: (() => void) | undefined;
}

/** Reports of one connection that wait for a look at a history. */
const looksMax = 20_000;

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
 *  4. What a worker sends is not believed. A frame that is not as it should be ends its connection, and touches nobody else.
 *  5. Memory is bounded by the workers, their capacities and the largest payload; who waits is in the histories anyway.
 */
export class Workers implements WorkerAcceptor {
  readonly #ports: Ports;
  readonly #host: WorkersHost;
  readonly #options: WorkerOptions;
  readonly #payloadLimitBytes: number;
  readonly #epoch: number;
  readonly #queues: TaskQueues;
  readonly #workers = new Map<string, WorkerSession>();
  readonly #connections = new Set<Connection>();
  /** Attempts that workers have, by key. */
  readonly #leases = new Map<string, TaskLease>();
  /** Those of earlier engines whose workers have not come yet, by identity. */
  readonly #orphans = new Map<string, Set<TaskLease>>();
  /** Given to activities that were told so and have not begun yet. */
  readonly #offered = new Map<string, Grant>();
  /** Of attempts whose start is on its way to the disk. */
  readonly #reserved = new Map<string, Grant>();
  #givenCount = 0;
  #isOffering = false;
  #isOpen = false;
  #isStopped = false;

  constructor(of: {
    readonly ports: Ports;
    readonly host: WorkersHost;
    readonly options: WorkerOptions;
    readonly payloadLimitBytes: number;
    readonly epoch: number;
  }) {
    this.#ports = of.ports;
    this.#host = of.host;
    this.#options = of.options;
    this.#payloadLimitBytes = of.payloadLimitBytes;
    this.#epoch = of.epoch;
    this.#queues = new TaskQueues(of.options.taskQueues, of.ports, () => this.#offer());
  }

  /** Takes workers. Before, what is open in the histories is not known. */
  open(): void {
    this.#isOpen = !this.#isStopped;
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

  isServed(activity: OpenActivity): boolean {
    const what = { taskQueue: queueOf(activity), activityType: activity.activityType };
    for (const worker of this.#workers.values()) {
      if (!worker.isDraining && serves(worker, what)) return true;
    }
    return false;
  }

  // Slots.

  /** Takes a credit of a worker for an attempt that is about to be recorded as started, and names it. `undefined`: it must wait. */
  reserve(address: TaskAddress, activity: OpenActivity, preferred: string | undefined): string | undefined {
    const key = keyOf(address.runId, address.ordinal);
    const offered = this.#offered.get(key);
    if (offered !== undefined) {
      this.#offered.delete(key);
      this.#reserved.set(key, offered);
      return offered.worker.identity;
    }
    const { activityType } = activity;
    const task: WaitingTask = { address, taskQueue: queueOf(activity), activityType, preferred };
    if (!this.#isStopped && !this.#queues.hasLine(task.taskQueue, activityType)) {
      const worker = pickWorker(this.#workers, task);
      if (worker !== undefined && this.#queues.take(task.taskQueue)) {
        this.#reserved.set(key, this.#grant(worker, task));
        return worker.identity;
      }
    }
    this.#queues.join(task);
    return undefined;
  }

  #grant(worker: WorkerSession, task: WaitingTask): Grant {
    worker.underWay += 1;
    worker.givenAt = this.#givenCount += 1;
    return { worker, task };
  }

  /** The attempt does not begin: its start was not recorded. */
  release(runId: RunId, ordinal: number): void {
    const key = keyOf(runId, ordinal);
    const grant = this.#reserved.get(key);
    if (grant === undefined) return;
    this.#reserved.delete(key);
    this.#giveUp(grant);
    this.#offer();
  }

  #giveUp({ worker, task }: Grant): void {
    worker.underWay -= 1;
    this.#queues.giveBack(task.taskQueue, true);
  }

  /** An activity that was offered a worker does not begin after all. */
  decline({ runId, ordinal }: TaskAddress): void {
    const key = keyOf(runId, ordinal);
    const grant = this.#offered.get(key);
    if (grant === undefined) return;
    this.#offered.delete(key);
    this.#giveUp(grant);
    this.#offer();
  }

  leave(address: TaskAddress, activity: OpenActivity): void {
    this.#queues.leave(queueOf(activity), activity.activityType, keyOf(address.runId, address.ordinal));
    this.decline(address);
  }

  /** Nothing of the run stands in line any more. */
  leaveRun(runId: RunId): void {
    this.#queues.leaveRun(runId);
    for (const { task } of [...this.#offered.values()]) {
      if (task.address.runId === runId) this.decline(task.address);
    }
  }

  #offer(): void {
    // Whoever is told may begin at once, and end up here again.
    if (this.#isOffering || this.#isStopped) return;
    this.#isOffering = true;
    try {
      for (;;) {
        const next = this.#queues.next((task) => pickWorker(this.#workers, task));
        if (next === undefined) return;
        const { address } = next.task;
        this.#offered.set(keyOf(address.runId, address.ordinal), this.#grant(next.found, next.task));
        this.#host.slotFree(address);
      }
    } finally {
      this.#isOffering = false;
    }
  }

  // Attempts.

  /** Hands an attempt whose credit is taken and whose start is on disk to its worker. */
  begin(address: TaskAddress, activity: OpenActivity): void {
    const key = keyOf(address.runId, address.ordinal);
    const grant = this.#reserved.get(key);
    this.#reserved.delete(key);
    if (this.#isStopped) return;
    assert(grant !== undefined, "an attempt of a worker begins with the credit that was taken for it");
    const { worker } = grant;
    const token = toToken({ address, attempt: activity.attempt, epoch: this.#epoch });
    const lease = this.#toLease(address, activity, worker.identity);
    lease.worker = worker;
    lease.token = token;
    lease.unsent = { ...lease.frame, token };
    this.#leases.set(key, lease);
    worker.leases.set(key, lease);
    armTimers(lease, activity, this.#ports, (timeout) => this.#timeOut(lease, timeout));
    if (worker.isOver) this.#lose(lease, "silent");
    else if (worker.isReady) this.#send(lease);
  }

  /**
   * An attempt that history has with a worker, from before this engine: its worker has one session's time-out to come back to it.
   */
  adopt(address: TaskAddress, activity: OpenActivity, identity: string): void {
    const lease = this.#toLease(address, activity, identity);
    this.#leases.set(lease.key, lease);
    this.#queues.force(lease.taskQueue);
    const { sessionTimeoutMs } = this.#options;
    const since = { startedAt: activity.startedAt ?? activity.scheduledAt, graceMs: sessionTimeoutMs };
    armTimers(lease, activity, this.#ports, (timeout) => this.#timeOut(lease, timeout), since);
    const orphans = this.#orphans.get(identity) ?? new Set();
    this.#orphans.set(identity, orphans.add(lease));
    // One that is here already has been told that nobody knows of it.
    const isHere = this.#workers.has(identity);
    lease.cancelTimers.push(
      this.#ports.scheduler.delay(isHere ? 0 : sessionTimeoutMs, () => {
        if (lease.worker === undefined) this.#lose(lease, isHere ? "left" : "silent");
      }),
    );
  }

  #toLease(address: TaskAddress, activity: OpenActivity, identity: string): TaskLease {
    const { activityType, attempt, input, heartbeat, options } = activity;
    const { workflowId, runId } = address;
    const key = keyOf(runId, address.ordinal);
    const { heartbeatMs } = options;
    return {
      key,
      address,
      identity,
      attempt,
      taskQueue: queueOf(activity),
      heartbeatMs,
      frame: {
        type: "task",
        activityType,
        workflowId,
        runId,
        attempt,
        idempotencyKey: key,
        input,
        ...(heartbeat === undefined ? {} : { lastHeartbeat: heartbeat }),
        ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
      },
      worker: undefined,
      token: undefined,
      unsent: undefined,
      isReported: false,
      isCancelRequested: activity.isCancelRequested,
      heartbeat: undefined,
      cancelTimers: [],
      heartbeatTimer: undefined,
    };
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
    this.#offer();
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
    this.#tell(lease, "timed-out");
    const { random } = this.#ports;
    this.#host.settled(lease.address, {
      toEvent: ifCurrent(lease, (activity, nowMs) =>
        toTimedOutEvent(activity, lease, timeout, nowMs, random),
      ),
    });
    this.#offer();
  }

  #lose(lease: TaskLease, how: "silent" | "left"): void {
    if (!this.#end(lease)) return;
    const { random } = this.#ports;
    this.#host.settled(lease.address, {
      toEvent: ifCurrent(lease, (activity, nowMs) => toLostEvent(activity, lease, how, nowMs, random)),
    });
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
    else lease.worker.underWay -= 1;
    this.#queues.giveBack(lease.taskQueue, false);
    return true;
  }

  // What workers say.

  acceptWorker(link: EngineLink): EngineReceiver {
    const connection: Connection = {
      link,
      worker: undefined,
      isOver: false,
      looks: Promise.resolve(),
      lookCount: 0,
      cancelPatience: undefined,
    };
    if (!this.#isOpen || this.#isStopped || this.#connections.size >= 2 * this.#options.workersMax) {
      link.send({ type: "refused", message: "the engine takes no connections now", isFinal: false });
      link.close();
      connection.isOver = true;
    } else {
      this.#connections.add(connection);
      connection.cancelPatience = this.#ports.scheduler.delay(this.#options.sessionTimeoutMs, () => {
        if (connection.worker === undefined) this.#refuse(connection, "it did not register", false);
      });
    }
    return {
      receive: (frame) => this.#receive(connection, frame),
      closed: () => this.#cut(connection),
    };
  }

  #receive(connection: Connection, raw: unknown): void {
    if (connection.isOver) return;
    let frame: WorkerFrame;
    try {
      frame = parseWorkerFrame(raw);
    } catch (error) {
      this.#refuse(connection, messageOf(error), true);
      return;
    }
    const { worker } = connection;
    if (frame.type === "register") {
      if (worker === undefined) this.#register(connection, frame);
      // The same frame may come twice.
      else if (worker.identity !== frame.identity) this.#refuse(connection, "it changed its name", true);
      return;
    }
    if (worker === undefined) {
      this.#refuse(connection, "it did not register first", true);
      return;
    }
    this.#hear(worker);
    switch (frame.type) {
      case "alive":
        connection.link.send({ type: "alive" });
        return;
      case "ready":
        worker.isReady = true;
        for (const lease of worker.leases.values()) this.#send(lease);
        this.#offer();
        return;
      case "drain":
        worker.isDraining = true;
        return;
      case "leave":
        this.#over(worker, "left");
        return;
      case "heartbeat":
        this.#beat(connection, worker, frame);
        return;
      case "report":
        this.#report(connection, worker, frame);
        return;
    }
  }

  #register(connection: Connection, frame: RegisterFrame): void {
    const { identity, session } = frame;
    let worker = this.#workers.get(identity);
    const isSame = worker !== undefined && worker.secret === session;
    if (worker !== undefined && !isSame) {
      this.#refuse(connection, `another worker is named ${JSON.stringify(identity)}`, false);
      return;
    }
    if (worker === undefined) {
      if (this.#workers.size >= this.#options.workersMax) {
        this.#refuse(connection, `there are ${this.#workers.size} workers, and no more are taken`, false);
        return;
      }
      worker = this.#newSession(identity);
      this.#workers.set(identity, worker);
    }
    // The connection that it had before is over, whether that has been noticed or not.
    for (const other of this.#connections) if (other.worker === worker) this.#close(other);
    connection.worker = worker;
    connection.cancelPatience?.();
    worker.link = connection.link;
    worker.isReady = false;
    worker.isDraining = false;
    worker.build = frame.build;
    worker.taskQueues = new Set(frame.taskQueues);
    worker.activityTypes = new Set(frame.activityTypes);
    worker.capacity = frame.capacity;
    this.#hear(worker);
    const stop = this.#matchLeases(worker, frame);
    worker.link.send({
      type: "registered",
      session: worker.secret,
      sessionTimeoutMs: this.#options.sessionTimeoutMs,
      payloadLimitBytes: this.#payloadLimitBytes,
      stop,
    });
    for (const lease of worker.leases.values()) {
      if (lease.isCancelRequested && !lease.isReported && lease.unsent === undefined)
        this.#tell(lease, "requested");
    }
  }

  /** Holds what the worker has against what it should have. Returns what it is to stop. */
  #matchLeases(
    worker: WorkerSession,
    { held, unacknowledged, session }: RegisterFrame,
  ): readonly TaskToken[] {
    const known = new Set<TaskLease>();
    const stop: TaskToken[] = [];
    for (const token of held) {
      const lease = this.#claim(worker, token);
      if (lease === undefined || lease.isReported) stop.push(token);
      else known.add(lease);
    }
    // Its reports tell what becomes of these.
    for (const token of unacknowledged) {
      const lease = this.#claim(worker, token);
      if (lease !== undefined) known.add(lease);
    }
    for (const lease of [...worker.leases.values(), ...(this.#orphans.get(worker.identity) ?? [])]) {
      if (lease.isReported || known.has(lease)) continue;
      // A process that has just begun knows of none: what it had, died.
      if (session === undefined) this.#lose(lease, "silent");
      // What an engine before this one told the worker (that it timed out, that its report was not wanted) may not be on disk.
      else if (lease.worker === undefined) this.#lose(lease, "left");
      // It was lost with its connection.
      else this.#resend(lease);
    }
    return stop;
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
      if (claim.epoch >= this.#epoch) return undefined;
      this.#attach(worker, lease);
      lease.token = token;
    }
    return lease.token === token ? lease : undefined;
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

  #beat(connection: Connection, worker: WorkerSession, { token, details }: HeartbeatFrame): void {
    const lease = this.#claim(worker, token);
    if (lease === undefined || lease.isReported) return;
    armHeartbeat(lease, lease.heartbeatMs, this.#ports.scheduler, () => this.#timeOut(lease, "heartbeat"));
    if (details === undefined) return;
    try {
      const what = `the heartbeat of activity ${JSON.stringify(lease.frame.activityType)}`;
      lease.heartbeat = parsePayload(details, what, this.#payloadLimitBytes);
    } catch (error) {
      this.#refuse(connection, messageOf(error), true);
      return;
    }
    this.#host.heartbeat(lease.address, lease.attempt, lease.heartbeat);
  }

  #report(connection: Connection, worker: WorkerSession, { token, outcome }: ReportFrame): void {
    const lease = this.#claim(worker, token);
    if (lease === undefined) {
      this.#lookUp(connection, token);
      return;
    }
    // Told twice: the first report is answered.
    if (lease.isReported || !this.#release(lease)) return;
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
    this.#offer();
  }

  #toOutcomeEvent(lease: TaskLease, outcome: TaskOutcome): ToEvent {
    const { address, attempt, frame } = lease;
    const { ordinal } = address;
    let failure = outcome.kind === "failed" ? outcome.failure : undefined;
    if (outcome.kind === "completed") {
      try {
        const what = `the result of activity ${JSON.stringify(frame.activityType)}`;
        const result = parsePayload(outcome.result, what, this.#payloadLimitBytes);
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

  /** A report of which nothing is known in memory: the history tells whether it was recorded before. */
  #lookUp(connection: Connection, token: TaskToken): void {
    const answer = (became: AcknowledgedFrame["became"]): void => {
      if (!connection.isOver) connection.link.send({ type: "acknowledged", token, became });
    };
    const claim = fromToken(token);
    if (claim === undefined || claim.epoch > this.#epoch) {
      answer("not-wanted");
      return;
    }
    if (connection.lookCount >= looksMax) {
      this.#refuse(connection, "it reports more than can be looked up", false);
      return;
    }
    connection.lookCount += 1;
    const look = async (): Promise<void> => {
      try {
        if (connection.isOver) return;
        const isRecorded = await this.#host.isRecorded(claim.address, claim.attempt);
        answer(isRecorded ? "already-recorded" : "not-wanted");
      } catch (error) {
        // It is reported again when the worker has come back.
        const isMistake = isAionError(error) && error.code === "invalid_argument";
        this.#refuse(connection, messageOf(error), isMistake);
      } finally {
        connection.lookCount -= 1;
      }
    };
    connection.looks = connection.looks.then(look);
  }

  // Who is there.

  #newSession(identity: string): WorkerSession {
    return {
      identity,
      secret: this.#ports.random.uuid(),
      build: undefined,
      taskQueues: new Set(),
      activityTypes: new Set(),
      capacity: 0,
      link: undefined,
      isReady: false,
      isDraining: false,
      isOver: false,
      underWay: 0,
      leases: new Map(),
      givenAt: 0,
      cancelSilence: undefined,
    };
  }

  #hear(worker: WorkerSession): void {
    worker.cancelSilence?.();
    worker.cancelSilence = this.#ports.scheduler.delay(this.#options.sessionTimeoutMs, () => {
      const { identity } = worker;
      this.#ports.log("warn", "a worker is lost", { worker: identity, tasks: worker.leases.size });
      this.#over(worker, "silent");
    });
  }

  /** The worker is gone, and its tasks are begun anew by others. What it has reported is being recorded. */
  #over(worker: WorkerSession, how: "silent" | "left"): void {
    if (worker.isOver) return;
    worker.isOver = true;
    worker.cancelSilence?.();
    this.#workers.delete(worker.identity);
    for (const connection of this.#connections) if (connection.worker === worker) this.#close(connection);
    for (const [key, grant] of [...this.#offered]) {
      if (grant.worker !== worker) continue;
      this.#offered.delete(key);
      this.#giveUp(grant);
      this.#queues.rejoin(grant.task);
    }
    for (const lease of [...worker.leases.values()]) this.#lose(lease, how);
    this.#offer();
  }

  #refuse(connection: Connection, message: string, isFinal: boolean): void {
    if (connection.isOver) return;
    this.#ports.log("warn", "a connection of a worker was refused", {
      worker: connection.worker?.identity,
      message,
    });
    connection.link.send({ type: "refused", message, isFinal });
    this.#close(connection);
  }

  #close(connection: Connection): void {
    if (connection.isOver) return;
    this.#cut(connection);
    connection.link.close();
  }

  #cut(connection: Connection): void {
    if (connection.isOver) return;
    connection.isOver = true;
    connection.cancelPatience?.();
    this.#connections.delete(connection);
    const { worker, link } = connection;
    if (worker === undefined || worker.link !== link) return;
    worker.link = undefined;
    worker.isReady = false;
  }

  /** Nothing is given out or recorded any more. Tasks stay with their workers, for the next engine. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const connection of [...this.#connections]) {
      connection.link.send({ type: "closing" });
      this.#close(connection);
    }
    for (const worker of this.#workers.values()) worker.cancelSilence?.();
    for (const lease of this.#leases.values()) disarm(lease);
    this.#queues.stop();
    this.#workers.clear();
    this.#leases.clear();
    this.#orphans.clear();
    this.#offered.clear();
    this.#reserved.clear();
  }
}

function queueOf({ options }: OpenActivity): string {
  return options.taskQueue ?? defaultTaskQueue;
}
