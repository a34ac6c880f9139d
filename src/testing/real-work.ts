import { AsyncLocalStorage, createHook } from "node:async_hooks";

/** What the event loop still has to come back from. Other kinds (promises, listening servers) start nothing by themselves. */
const pendingTypes: ReadonlySet<string> = new Set([
  "Timeout",
  "Immediate",
  "FSREQCALLBACK",
  "FSREQPROMISE",
  "FILEHANDLECLOSEREQ",
  "GETADDRINFOREQWRAP",
  "GETNAMEINFOREQWRAP",
  "QUERYWRAP",
  "TCPCONNECTWRAP",
  "PIPECONNECTWRAP",
  "WRITEWRAP",
  "SHUTDOWNWRAP",
  "UDPSENDWRAP",
  "PROCESSWRAP",
  "WORKER",
  "ZLIB",
  "PBKDF2REQUEST",
  "SCRYPTREQUEST",
  "HASHREQUEST",
  "RANDOMBYTESREQUEST",
  "KEYPAIRGENREQUEST",
  "SIGNREQUEST",
]);
const socketTypes: ReadonlySet<string> = new Set(["TCPWRAP", "TLSWRAP", "PIPEWRAP"]);

interface Attempt {
  readonly pending: Set<number>;
  hasDoneIo: boolean;
}

const current = new AsyncLocalStorage<Attempt | undefined>();
const owners = new Map<number, Attempt>();
const sockets = new Set<number>();

const hook = createHook({
  init(asyncId, type) {
    if (type === "PROMISE") return;
    const attempt = current.getStore();
    if (attempt === undefined) return;
    if (socketTypes.has(type)) sockets.add(asyncId);
    else if (!pendingTypes.has(type)) return;
    attempt.hasDoneIo = true;
    attempt.pending.add(asyncId);
    owners.set(asyncId, attempt);
  },
  destroy(asyncId) {
    owners.get(asyncId)?.pending.delete(asyncId);
    owners.delete(asyncId);
    if (sockets.delete(asyncId)) watch(0);
  },
});
let watchedCount = 0;

/** The hook costs something for each promise, so it is there only while an attempt, or a connection of one, is. */
function watch(change: 1 | 0 | -1): void {
  watchedCount += change;
  if (watchedCount > 0) hook.enable();
  else if (sockets.size === 0) {
    hook.disable();
    owners.clear();
  }
}

/**
 * Knows whether attempts of activities can still get on by themselves: they wait for a file, a socket, a timer of the platform
 * that they themselves began. One that waits for nothing but promises can only be moved by virtual time or by the test.
 * Owner: one test engine. Seen through `node:async_hooks`; promises are not followed.
 */
export class RealWork {
  readonly #attempts = new Set<Attempt>();

  /** Runs the start of an attempt so that what it begins is known to be its own. */
  enter<Result>(run: () => Result): Result {
    const attempt: Attempt = { pending: new Set(), hasDoneIo: false };
    this.#attempts.add(attempt);
    watch(1);
    return current.run(attempt, run);
  }

  /** The attempt in whose context this is called has ended. */
  leave(): void {
    const attempt = current.getStore();
    if (attempt !== undefined && this.#attempts.delete(attempt)) watch(-1);
  }

  forgetAll(): void {
    for (const attempt of this.#attempts) {
      this.#attempts.delete(attempt);
      watch(-1);
    }
  }

  get isUnderWay(): boolean {
    for (const { pending, hasDoneIo } of this.#attempts) {
      // The answer may come over a connection that another attempt opened and left for the next.
      if (pending.size > 0 || (hasDoneIo && sockets.size > 0)) return true;
    }
    return false;
  }
}
