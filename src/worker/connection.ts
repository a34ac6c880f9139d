import { messageOf } from "../core/payload.ts";
import type { EngineFrame, RegisteredFrame, RegisterFrame, WorkerFrame } from "../protocol/frames.ts";
import type { WorkerLink, WorkerTransport } from "../protocol/transport.ts";
import type { WorkerPorts } from "./node-ports.ts";

/** What a worker does with a connection. */
export interface ConnectionUser {
  /** What to say first. */
  greeting(): RegisterFrame;
  /** The engine has taken the worker: what the worker owes comes first. */
  registered(frame: RegisteredFrame): void;
  receive(frame: Exclude<EngineFrame, RegisteredFrame>): void;
  /** The engine will never take this worker. */
  refused(message: string): void;
}

/** An engine that has not answered for so long is not there. */
const answerWithinMs = 30_000;
const backoffFirstMs = 100;
const backoffMaxMs = 10_000;
/** For who leaves: an engine that has heard it hangs up. */
const goodbyeMs = 1_000;
/** Four frames may be lost or late before the session is. */
const alivesPerSession = 4;

/**
 * The worker's way to an engine, again and again. Owner: one worker.
 *
 * Laws: one connection at a time; what comes late on an earlier one is not heard. After one has ended the next is tried, later each
 * time until one is taken. A connection on which nothing is heard for the session's time-out is over.
 */
export class Connection {
  readonly #transport: WorkerTransport;
  readonly #ports: WorkerPorts;
  readonly #user: ConnectionUser;
  #link: WorkerLink | undefined;
  #isRegistered = false;
  /** Grows with each connection. */
  #number = 0;
  #failureCount = 0;
  #sessionTimeoutMs = answerWithinMs;
  #cancelPatience: (() => void) | undefined;
  #cancelAlive: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  /** Of who leaves: the connection is over. */
  #onOver: (() => void) | undefined;
  #isClosed = false;

  constructor(transport: WorkerTransport, ports: WorkerPorts, user: ConnectionUser) {
    this.#transport = transport;
    this.#ports = ports;
    this.#user = user;
  }

  get isRegistered(): boolean {
    return this.#isRegistered;
  }

  /** Lost if there is nobody: whatever matters is said again on the next connection. */
  send(frame: WorkerFrame): void {
    if (!this.#isRegistered) return;
    this.#put(frame);
  }

  #put(frame: WorkerFrame): void {
    try {
      this.#link?.send(frame);
    } catch (error) {
      this.#over(this.#number, messageOf(error));
    }
  }

  open(): void {
    if (this.#isClosed) return;
    const number = (this.#number += 1);
    this.#listen(number, answerWithinMs);
    const connecting = this.#transport.connect({
      receive: (frame) => {
        if (number === this.#number && this.#link !== undefined) this.#receive(number, frame);
      },
      closed: () => this.#over(number, "the connection was closed"),
    });
    connecting.then(
      (link) => {
        if (number !== this.#number || this.#isClosed) {
          closeQuietly(link);
          return;
        }
        this.#link = link;
        this.#put(this.#user.greeting());
      },
      (error: unknown) => this.#over(number, messageOf(error)),
    );
  }

  /** For good, and tells the engine. Resolves when that has heard it, or is not there. */
  async leave(): Promise<void> {
    if (this.#isRegistered) {
      await new Promise<void>((resolve) => {
        this.#onOver = resolve;
        this.#cancelRetry = this.#ports.scheduler.delay(goodbyeMs, resolve);
        this.#put({ type: "leave" });
      });
    }
    this.close();
  }

  /** For good. */
  close(): void {
    this.#isClosed = true;
    this.#onOver?.();
    this.#cancelRetry?.();
    this.#reset();
  }

  #receive(number: number, frame: EngineFrame): void {
    this.#listen(number, this.#isRegistered ? this.#sessionTimeoutMs : answerWithinMs);
    switch (frame.type) {
      case "registered":
        this.#isRegistered = true;
        this.#failureCount = 0;
        this.#sessionTimeoutMs = frame.sessionTimeoutMs;
        this.#listen(number, frame.sessionTimeoutMs);
        this.#sayAlive(number);
        this.#user.registered(frame);
        return;
      case "refused":
        if (frame.isFinal) {
          this.close();
          this.#user.refused(frame.message);
        } else this.#over(number, frame.message);
        return;
      case "closing":
        this.#over(number, "the engine is closing");
        return;
      case "alive":
        return;
      default:
        if (this.#isRegistered) this.#user.receive(frame);
    }
  }

  #listen(number: number, withinMs: number): void {
    this.#cancelPatience?.();
    this.#cancelPatience = this.#ports.scheduler.delay(withinMs, () =>
      this.#over(number, `nothing was heard for ${withinMs} ms`),
    );
  }

  #sayAlive(number: number): void {
    this.#cancelAlive = this.#ports.scheduler.delay(this.#sessionTimeoutMs / alivesPerSession, () => {
      if (number !== this.#number) return;
      this.#put({ type: "alive" });
      if (number === this.#number) this.#sayAlive(number);
    });
  }

  #over(number: number, why: string): void {
    if (number !== this.#number || this.#isClosed) return;
    this.#reset();
    if (this.#onOver !== undefined) {
      this.#onOver();
      return;
    }
    this.#failureCount += 1;
    const full = Math.min(backoffMaxMs, backoffFirstMs * 2 ** (this.#failureCount - 1));
    // Many workers lose an engine at once, and are not to come back at once.
    const waitMs = Math.round(full * (0.5 + this.#ports.random.number() / 2));
    this.#ports.log("warn", "a worker has no connection; trying again", { why, waitMs });
    this.#cancelRetry = this.#ports.scheduler.delay(waitMs, () => this.open());
  }

  #reset(): void {
    // Whatever comes on it from now on is late.
    this.#number += 1;
    this.#cancelPatience?.();
    this.#cancelAlive?.();
    this.#isRegistered = false;
    const link = this.#link;
    this.#link = undefined;
    if (link !== undefined) closeQuietly(link);
  }
}

function closeQuietly(link: WorkerLink): void {
  try {
    link.close();
  } catch {
    // It is over all the same.
  }
}
