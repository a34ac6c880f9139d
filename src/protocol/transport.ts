import type { EngineFrame } from "./frames.ts";

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
