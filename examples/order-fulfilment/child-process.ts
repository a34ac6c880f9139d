/**
 * A program of this example in a process of its own, which is started again whenever it has died.
 *
 * Owner: the process that has the terminal.
 * 1. At most one process at a time: the next is started after the last one's death was seen.
 * 2. A process that ends by itself before it was ready is an error of the run; it would do so again.
 * 3. It ends when its owner does, however that happens: the channel between them closes then.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What the programs tell whoever started them. */
export type ProgramMessage =
  | { readonly type: "ready"; readonly url?: string }
  | { readonly type: "failed"; readonly message: string; readonly hint?: string }
  | { readonly type: "retry" }
  | { readonly type: "note"; readonly text: string };

export const STOP_MESSAGE = "stop";

export interface ProgramOptions {
  /** For people. */
  readonly name: string;
  /** The program, next to this file. */
  readonly script: string;
  /** Its only argument, as JSON; asked for at each start. */
  readonly settings: () => object;
  readonly onMessage: (message: ProgramMessage) => void;
  readonly onNote: (text: string) => void;
  /** It will not be started again. */
  readonly onFailed: (error: Error) => void;
}

export class ProgramProcess {
  readonly #options: ProgramOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #isReady = false;
  #isKilled = false;
  #isStopping = false;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  start(): void {
    const { script, settings, onMessage } = this.#options;
    this.#isReady = false;
    this.#isKilled = false;
    const program = fileURLToPath(new URL(script, import.meta.url));
    // A process group of its own: a Ctrl-C in the terminal is for the owner, which tells its children in good order.
    const child = fork(program, [JSON.stringify(settings())], { detached: true });
    let failure: string | undefined;
    child.on("message", (message: ProgramMessage) => {
      if (message.type === "ready") this.#isReady = true;
      if (message.type === "failed") failure = [message.message, message.hint ?? ""].join("\n  ").trimEnd();
      onMessage(message);
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => {
        failure ??= error.message;
        if (child.pid === undefined) resolve(this.#ended("could not be started", failure));
      });
      child.once("exit", (code, signal) => resolve(this.#ended(signal ?? `exit code ${code}`, failure)));
    });
  }

  /** With a signal that it cannot see coming. False: there was nothing to kill. */
  kill(): boolean {
    if (this.#isStopping || this.#child?.kill("SIGKILL") !== true) return false;
    this.#isKilled = true;
    return true;
  }

  /** In good order. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child?.connected === true) this.#child.send(STOP_MESSAGE);
    await this.#exited;
  }

  #ended(how: string, failure: string | undefined): void {
    if (this.#isStopping) return;
    const { name, onNote, onFailed } = this.#options;
    if (!this.#isReady && !this.#isKilled) {
      onFailed(new Error(failure ?? `the ${name} ended by itself: ${how}`));
      return;
    }
    if (!this.#isKilled) onNote(`the ${name} ended (${how}) and is started again`);
    this.start();
  }
}

/** The other side: what `serve` returns is called, once, when the program is to stop. Never resolves before. */
export async function beProgram(
  serve: (settings: unknown, tell: (message: ProgramMessage) => void) => Promise<() => Promise<void>>,
): Promise<void> {
  const tell = (message: ProgramMessage): void => {
    if (process.connected) process.send?.(message);
  };
  const stopping = Promise.withResolvers<void>();
  process.on("message", (message) => {
    if (message === STOP_MESSAGE) stopping.resolve();
  });
  // Without its owner there is nothing to run for.
  process.once("disconnect", () => process.exit(1));
  try {
    const stop = await serve(JSON.parse(process.argv[2] ?? ""), tell);
    await stopping.promise;
    await stop();
    process.removeAllListeners("disconnect");
    process.disconnect();
  } catch (error) {
    const { message, hint } = error as { readonly message: string; readonly hint?: string };
    process.exitCode = 1;
    process.send?.({ type: "failed", message, ...(hint === undefined ? {} : { hint }) }, undefined, {}, () =>
      process.exit(),
    );
  }
}
