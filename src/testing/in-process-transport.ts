import { AsyncLocalStorage } from "node:async_hooks";
import type { EngineFrame, WorkerFrame } from "../protocol/frames.ts";
import type { EngineReceiver, WorkerAcceptor, WorkerLink, WorkerTransport } from "../protocol/transport.ts";

/**
 * What becomes of a frame: it arrives; it arrives twice; it is lost and the connection with it; it arrives and then the connection
 * breaks; or from it on all is lost in silence, in both directions, as when a cable is pulled.
 */
export type FrameFate = "arrives" | "arrives-twice" | "cut-before" | "cut-after" | "vanishes";

export interface InProcessTransportOptions {
  /** Asked for each frame on its way. Default: all arrive. */
  readonly fate?: (frame: WorkerFrame | EngineFrame, to: "engine" | "worker") => FrameFate;
  /** Calls back when a frame has come so far; in order of the calls. Default: after the microtasks that are queued now. */
  readonly travel?: (arrive: () => void) => void;
}

interface Wire {
  isOver: boolean;
  /** Nothing arrives any more, and nobody knows. */
  isDeaf: boolean;
  readonly toWorker: { receive(frame: EngineFrame): void; closed(): void };
  toEngine: EngineReceiver | undefined;
}

/**
 * A worker and an engine in one process, or in one test: frames are carried as JSON, in order, and never in the same turn. The
 * connection can be cut at any frame, and by `cut` at any time.
 */
export class InProcessTransport implements WorkerTransport {
  readonly #engine: () => WorkerAcceptor | undefined;
  readonly #options: InProcessTransportOptions;
  readonly #wires = new Set<Wire>();
  /** Where the transport was made: code on either side is in nobody's asynchronous context, as with a network between them. */
  readonly #outside = AsyncLocalStorage.snapshot();

  /** `engine`: the one that is there now, asked at each connection; `undefined`: nobody is. */
  constructor(engine: () => WorkerAcceptor | undefined, options: InProcessTransportOptions = {}) {
    this.#engine = engine;
    this.#options = options;
  }

  async connect(worker: Wire["toWorker"]): Promise<WorkerLink> {
    const engine = this.#engine();
    if (engine === undefined) throw new Error("no engine is there");
    const wire: Wire = { isOver: false, isDeaf: false, toWorker: worker, toEngine: undefined };
    this.#wires.add(wire);
    wire.toEngine = this.#outside(() =>
      engine.acceptWorker({
        send: (frame) => this.#carry(wire, frame, "worker", () => wire.toWorker.receive(copy(frame))),
        // What was said before is heard before.
        close: () => this.#travel(() => this.#break(wire)),
      }),
    );
    return {
      send: (frame) => this.#carry(wire, frame, "engine", () => wire.toEngine?.receive(copy(frame))),
      close: () => this.#travel(() => this.#break(wire)),
    };
  }

  /** Breaks all connections: what is under way is lost, and both sides are told. */
  cut(): void {
    for (const wire of [...this.#wires]) this.#break(wire);
  }

  #carry(wire: Wire, frame: WorkerFrame | EngineFrame, to: "engine" | "worker", arrive: () => void): void {
    this.#travel(() => {
      if (wire.isOver || wire.isDeaf) return;
      const fate = this.#options.fate?.(frame, to) ?? "arrives";
      if (fate === "vanishes") wire.isDeaf = true;
      if (fate === "arrives" || fate === "arrives-twice" || fate === "cut-after") arrive();
      if (fate === "arrives-twice" && !wire.isOver) arrive();
      if (fate === "cut-before" || fate === "cut-after") this.#break(wire);
    });
  }

  #travel(arrive: () => void): void {
    const travel = this.#options.travel ?? queueMicrotask;
    travel(() => this.#outside(arrive));
  }

  #break(wire: Wire): void {
    if (wire.isOver) return;
    wire.isOver = true;
    this.#wires.delete(wire);
    wire.toWorker.closed();
    // With a cable that was pulled, the other side does not hear of it.
    if (!wire.isDeaf) wire.toEngine?.closed();
  }
}

function copy<Frame>(frame: Frame): Frame {
  return JSON.parse(JSON.stringify(frame)) as Frame;
}
