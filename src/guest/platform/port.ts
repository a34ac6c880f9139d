/** What the deterministic globals ask of the run whose code is executing. One and the same object for one run. */
export interface PlatformPort {
  /** Milliseconds since 1970 at this point of the program. */
  now(): number;
  /** In [0, 1), seeded and positional. */
  random(): number;
  uuid(): string;
  /** A durable timer; returns how to call it off. */
  startTimer(durationMs: number, fire: () => void): () => void;
  log(level: "debug" | "info" | "warn" | "error", message: string): void;
  /**
   * The parts of a URL as JSON (`UrlParts`), parsed by the host; `undefined` when `input` is none. With a `change`,
   * the part of that name is set first, as the setter of that name in `URL` does. Strings only cross the border.
   */
  parseUrl(input: string, base: string | undefined, change?: UrlChange): string | undefined;
}

/** The part to set, and to what. */
export type UrlChange = readonly [part: string, value: string];

/** Answers for the run whose code is executing; throws when none is. */
export type CurrentPort = () => PlatformPort;
