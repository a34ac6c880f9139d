import { setTimeout as delay } from "node:timers/promises";
import { defaultNamespace } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import type { EngineFrame } from "../protocol/frames.ts";
import type { EngineReceiver } from "../protocol/transport.ts";
import { underAdmission, whyEnded } from "./admission.ts";
import type { Admission, Asked, Caller } from "./admission.ts";
import type { AppOptions } from "./app.ts";
import { toAionError } from "./errors.ts";
import type { WorkRequest } from "./gen/aion/v1/workers_pb.ts";
import { fromWorkRequest } from "./worker-frames.ts";

/** More than an engine ever has to say at once to a worker of the largest capacity. */
export const framesMax = 50_000;

const registerTimeoutMs = 10_000;

/** What carries the call. */
interface Carrier {
  send(frame: EngineFrame): void;
  /** After what was sent; with the error that the call ends with. Called once. */
  end(error?: AionError): void;
}

/** One worker's call, whatever carries it. Who it works for is in its first message. */
export class WorkerCall {
  readonly #options: AppOptions;
  readonly #caller: Caller;
  readonly #carrier: Carrier;
  readonly #late = new AbortController();
  readonly #onClosing = (): void => this.#end();
  #receiver: EngineReceiver | undefined;
  #admission: Admission | undefined;
  #namespace = defaultNamespace;
  #isOver = false;

  constructor(options: AppOptions, caller: Caller, carrier: Carrier) {
    this.#options = options;
    this.#caller = caller;
    this.#carrier = carrier;
    options.closing.addEventListener("abort", this.#onClosing, { once: true });
    void this.#demandRegistration();
  }

  async #demandRegistration(): Promise<void> {
    const { signal } = this.#late;
    try {
      await delay(registerTimeoutMs, undefined, { ref: false, signal });
    } catch {
      return;
    }
    this.#end(new AionError("invalid_argument", "the first frame of a worker did not come"));
  }

  /** A promise: to be given no other before this one is dealt with. */
  receive(message: WorkRequest): void | Promise<void> {
    if (this.#isOver) return;
    if (this.#receiver === undefined) return this.#register(message);
    const turn = this.#options.turnOfWorkers?.(this.#namespace);
    if (turn !== undefined) return this.#receiveThen(turn, message);
    this.#receiver.receive(fromWorkRequest(message));
  }

  /** What is not its turn yet stays with the worker. */
  async #receiveThen(turn: Promise<void>, message: WorkRequest): Promise<void> {
    await turn;
    if (this.#isOver) return;
    try {
      this.#receiver?.receive(fromWorkRequest(message));
    } catch (reason) {
      this.#end(toAionError(reason));
    }
  }

  async #register(message: WorkRequest): Promise<void> {
    this.#late.abort();
    try {
      const { frame } = message;
      if (frame.case !== "register")
        throw new AionError("invalid_argument", "the first frame of a worker must be its registration");
      const { namespace = defaultNamespace, ...registration } = fromWorkRequest(message);
      if (typeof namespace !== "string") throw new AionError("invalid_argument", "a namespace is a text");
      const taskQueues = [...frame.value.taskQueues];
      const asked: Asked = { operation: "work", namespace, taskQueues, ...this.#caller };
      await underAdmission(this.#options.admit, asked, async ({ admission, begin }) => {
        await begin(registration);
        if (this.#isOver) return;
        const acceptor = this.#options.workersOf?.(namespace);
        if (acceptor === undefined) throw new AionError("endpoint_unknown", "no workers are taken here");
        this.#admission = admission;
        this.#namespace = namespace;
        this.#receiver = acceptor.acceptWorker({
          send: (answer) => this.#carrier.send(answer),
          close: () => this.#end(),
        });
        this.#receiver.receive(registration);
        admission.ends?.addEventListener("abort", this.#onClosing, { once: true });
        if (whyEnded(admission) !== undefined) this.#end();
      });
    } catch (reason) {
      this.#end(toAionError(reason));
    }
  }

  /** What came is no message. */
  refuse(error: AionError): void {
    this.#end(error);
  }

  /** The caller has gone, or has ended its side. */
  closed(): void {
    this.#end();
  }

  #end(error?: AionError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#late.abort();
    this.#options.closing.removeEventListener("abort", this.#onClosing);
    this.#admission?.ends?.removeEventListener("abort", this.#onClosing);
    this.#receiver?.closed();
    const why = error ?? (this.#admission === undefined ? undefined : whyEnded(this.#admission));
    this.#carrier.end(why === undefined ? undefined : toAionError(why));
  }
}
