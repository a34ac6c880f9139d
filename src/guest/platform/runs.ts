/**
 * What the globals have to remember of each run: several runs share one realm, and none may see another's. It hangs on
 * the run's port, and goes with it.
 */
import type { CurrentPort, PlatformPort } from "./port.ts";

export class RunLocal<T extends object> {
  readonly #states = new WeakMap<PlatformPort, T>();
  readonly #port: CurrentPort;
  readonly #create: () => T;

  constructor(port: CurrentPort, create: () => T) {
    this.#port = port;
    this.#create = create;
  }

  /** Of the run whose code is executing. */
  get current(): T {
    const port = this.#port();
    const known = this.#states.get(port);
    if (known !== undefined) return known;
    const created = this.#create();
    this.#states.set(port, created);
    return created;
  }
}
