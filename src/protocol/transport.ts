import type { EngineFrame, WorkerFrame } from "./frames.ts";

/** How a worker reaches an engine. What is sent on a connection that was cut is lost, and its sender need not hear of that. */
export interface WorkerTransport {
  /** Opens a connection. Rejects when there is nobody; that is tried again. */
  connect(worker: {
    receive(frame: EngineFrame): void;
    /** Called once when the connection is over, whoever ended it; nothing is received afterwards. */
    closed(): void;
  }): Promise<WorkerLink>;
}

/** The worker's end of a connection. */
export interface WorkerLink {
  send(frame: WorkerFrame): void;
  close(): void;
}

/** Whoever takes connections of workers: an engine, or one that plays its part. */
export interface WorkerAcceptor {
  acceptWorker(link: EngineLink): EngineReceiver;
}

/** The engine's end of a connection. Neither function throws, and a link that is over does nothing. */
export interface EngineLink {
  send(frame: EngineFrame): void;
  close(): void;
}

/** What a transport tells the engine of one connection. */
export interface EngineReceiver {
  /** A frame, as it came: it is checked here. Whatever holds the frame has bounded its size before. */
  receive(frame: unknown): void;
  closed(): void;
}
