import { AionError } from "../core/errors.ts";
import type { GuestHost } from "../program/border.ts";
import { SeededRandom } from "../program/random.ts";
import { ScopeContext } from "../program/scope-context.ts";
import type { PlatformPort, UrlChange } from "./platform/port.ts";

/** What the globals of the platform ask of a run: whatever the scope is in which its code asks. */
export class RunPort implements PlatformPort {
  readonly #host: GuestHost;

  constructor(host: GuestHost) {
    this.#host = host;
  }

  now(): number {
    return this.#context().now();
  }

  random(): number {
    return this.#context().random();
  }

  uuid(): string {
    return this.#context().uuid();
  }

  startTimer(durationMs: number, fire: () => void): () => void {
    return this.#context().startTimer(durationMs, fire);
  }

  log(level: "debug" | "info" | "warn" | "error", message: string): void {
    this.#context().log(level, message, undefined);
  }

  parseUrl(input: string, base: string | undefined, change?: UrlChange): string | undefined {
    return this.#host.parseUrl(input, base, ...(change ?? []));
  }

  #context(): ScopeContext {
    const context = this.#host.current();
    if (context instanceof ScopeContext) return context;
    throw new AionError("internal", "a run's port was asked from outside of it");
  }
}

/** The same for a module while it is evaluated, and for promises that it makes then: it has no run to ask yet. */
export class ModuleContext implements PlatformPort {
  readonly #host: GuestHost;
  readonly #nowMs: number;
  readonly #random: SeededRandom;

  constructor(host: GuestHost, nowMs: number, seed: string) {
    this.#host = host;
    this.#nowMs = nowMs;
    this.#random = new SeededRandom(seed);
  }

  now(): number {
    return this.#nowMs;
  }

  random(): number {
    return this.#random.number();
  }

  uuid(): string {
    return this.#random.uuid();
  }

  startTimer(): never {
    throw new AionError("outside_workflow", "setTimeout() was called while the module was loaded");
  }

  /** Said at every replay, by every run: not worth hearing. */
  log(): void {}

  parseUrl(input: string, base: string | undefined, change?: UrlChange): string | undefined {
    return this.#host.parseUrl(input, base, ...(change ?? []));
  }
}
