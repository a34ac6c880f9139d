import { isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Ports } from "../core/ports.ts";
import type {
  AcknowledgedFrame,
  HeartbeatFrame,
  RegisterFrame,
  ReportFrame,
  TaskOutcome,
  TaskToken,
  WorkerFrame,
} from "../protocol/frames.ts";
import type { EngineLink, EngineReceiver, WorkerAcceptor } from "../protocol/transport.ts";
import { parseWorkerFrame } from "./worker-frames.ts";
import type { WorkerSession } from "./worker-session.ts";
import { newSession } from "./worker-session.ts";

/** What becomes of the tasks that a worker holds. */
export interface Arrival {
  /** It is to stop these. */
  readonly stop: readonly TaskToken[];
  /** What has become of these has to be looked up. */
  readonly unsure: readonly TaskToken[];
}

/** Who has the attempts. */
export interface ConnectionsHost {
  /** A worker has come, for the first time or again. */
  arrived(worker: WorkerSession, frame: RegisterFrame): Arrival;
  /** It has heard that it is registered. */
  registered(worker: WorkerSession): void;
  /** It takes tasks. */
  ready(worker: WorkerSession): void;
  /** Throws for details that are no payload. */
  beat(worker: WorkerSession, frame: HeartbeatFrame): void;
  /** False: nothing is known of that task. */
  report(worker: WorkerSession, frame: ReportFrame): boolean;
  /**
   * What has become of a task of which nothing is known, and of the outcome that was reported, if one was. `undefined`: it is for
   * later. Throws for a token that names nothing that can be.
   */
  lookUp(
    worker: WorkerSession,
    token: TaskToken,
    outcome: TaskOutcome | undefined,
  ): Promise<AcknowledgedFrame["became"] | undefined>;
  /** Its tasks are for others. */
  gone(worker: WorkerSession, how: "silent" | "left"): void;
}

export interface ConnectionLimits {
  readonly sessionTimeoutMs: number;
  readonly workersMax: number;
  readonly payloadLimitBytes: number;
}

/** One connection. Until it has registered nothing is known of who is at its other end. */
interface Connection {
  readonly link: EngineLink;
  worker: WorkerSession | undefined;
  isOver: boolean;
  /** Reports of which nothing is known in memory: looked up one after the other. */
  looks: Promise<void>;
  lookCount: number;
  cancelPatience: (() => void) | undefined;
}

/** Reports of one connection that wait to be looked up. */
const looksMax = 20_000;

/**
 * Who is there: connections of workers, and the sessions that outlive them. Owner: `Workers`.
 *
 * Laws: what comes is not believed; a frame that is not as it should be ends its connection, and touches nobody else. A session is one
 * worker's, who shows its secret at each connection; the latest is the one that counts. It is over when nothing is heard of it for its
 * time-out, or when it leaves.
 */
export class WorkerConnections implements WorkerAcceptor {
  readonly sessions = new Map<string, WorkerSession>();
  readonly #ports: Ports;
  readonly #host: ConnectionsHost;
  readonly #limits: ConnectionLimits;
  readonly #connections = new Set<Connection>();
  #state: "new" | "open" | "over" = "new";

  constructor(ports: Ports, host: ConnectionsHost, limits: ConnectionLimits) {
    this.#ports = ports;
    this.#host = host;
    this.#limits = limits;
  }

  /** Takes workers from now on. */
  open(): void {
    if (this.#state === "new") this.#state = "open";
  }

  acceptWorker(link: EngineLink): EngineReceiver {
    const connection: Connection = {
      link,
      worker: undefined,
      isOver: false,
      looks: Promise.resolve(),
      lookCount: 0,
      cancelPatience: undefined,
    };
    if (this.#state !== "open" || this.#connections.size >= 2 * this.#limits.workersMax) {
      link.send({ type: "refused", message: "the engine takes no connections now", isFinal: false });
      link.close();
      connection.isOver = true;
    } else {
      this.#connections.add(connection);
      connection.cancelPatience = this.#ports.scheduler.delay(this.#limits.sessionTimeoutMs, () => {
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
        this.#host.ready(worker);
        return;
      case "drain":
        worker.isDraining = true;
        return;
      case "leave":
        this.#over(worker, "left");
        return;
      case "heartbeat":
        try {
          this.#host.beat(worker, frame);
        } catch (error) {
          this.#refuse(connection, messageOf(error), true);
        }
        return;
      case "report":
        if (!this.#host.report(worker, frame)) this.#lookUp(connection, worker, frame.token, frame.outcome);
        return;
    }
  }

  #register(connection: Connection, frame: RegisterFrame): void {
    const { identity, session } = frame;
    let worker = this.sessions.get(identity);
    const isSame = worker !== undefined && worker.secret === session;
    if (worker !== undefined && !isSame) {
      this.#refuse(connection, `another worker is named ${JSON.stringify(identity)}`, false);
      return;
    }
    if (worker === undefined) {
      if (this.sessions.size >= this.#limits.workersMax) {
        this.#refuse(connection, `there are ${this.sessions.size} workers, and no more are taken`, false);
        return;
      }
      worker = newSession(identity, this.#ports.random.uuid());
      this.sessions.set(identity, worker);
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
    const { stop, unsure } = this.#host.arrived(worker, frame);
    const { sessionTimeoutMs, payloadLimitBytes } = this.#limits;
    worker.link.send({
      type: "registered",
      session: worker.secret,
      sessionTimeoutMs,
      payloadLimitBytes,
      stop,
    });
    this.#host.registered(worker);
    for (const token of unsure) this.#lookUp(connection, worker, token, undefined);
  }

  /** The worker is to come again, as if its connection had broken. */
  reconnect(worker: WorkerSession): void {
    for (const connection of this.#connections) if (connection.worker === worker) this.#close(connection);
  }

  #lookUp(
    connection: Connection,
    worker: WorkerSession,
    token: TaskToken,
    outcome: TaskOutcome | undefined,
  ): void {
    if (connection.isOver) return;
    if (connection.lookCount >= looksMax) {
      this.#refuse(connection, "it reports more than can be looked up", false);
      return;
    }
    connection.lookCount += 1;
    const look = async (): Promise<void> => {
      try {
        if (connection.isOver) return;
        const became = await this.#host.lookUp(worker, token, outcome);
        if (connection.isOver || became === undefined) return;
        if (outcome === undefined) connection.link.send({ type: "cancel", token, reason: "closed" });
        else connection.link.send({ type: "acknowledged", token, became });
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

  #hear(worker: WorkerSession): void {
    worker.cancelSilence?.();
    worker.cancelSilence = this.#ports.scheduler.delay(this.#limits.sessionTimeoutMs, () => {
      const { identity } = worker;
      this.#ports.log("warn", "a worker is lost", { worker: identity, tasks: worker.leases.size });
      this.#over(worker, "silent");
    });
  }

  #over(worker: WorkerSession, how: "silent" | "left"): void {
    if (worker.isOver) return;
    worker.isOver = true;
    worker.cancelSilence?.();
    this.sessions.delete(worker.identity);
    for (const connection of this.#connections) if (connection.worker === worker) this.#close(connection);
    this.#host.gone(worker, how);
  }

  #refuse(connection: Connection, message: string, isFinal: boolean): void {
    if (connection.isOver) return;
    this.#ports.log("warn", "a connection of a worker was refused", {
      worker: connection.worker?.identity,
      error: message,
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

  /** Says goodbye to everybody. */
  stop(): void {
    this.#state = "over";
    for (const connection of [...this.#connections]) {
      connection.link.send({ type: "closing" });
      this.#close(connection);
    }
    for (const worker of this.sessions.values()) worker.cancelSilence?.();
    this.sessions.clear();
  }
}
