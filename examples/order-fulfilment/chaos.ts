/**
 * Runs the engine as a child process and kills it, again and again, with a signal that it cannot see coming.
 *
 * Owner: the supervisor's process, which has the terminal and no part in the work.
 * 1. At most one engine process at a time: the next is started after the last one's death was seen.
 * 2. An engine process that dies by itself is an error of the run, not one more kill.
 */
import { fork } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type EngineMessage, STOP_MESSAGE } from "./engine-process.ts";
import { type Kill, makeKillPlan } from "./kill-plan.ts";
import { countAll, type Snapshot, stages } from "./progress.ts";
import type { Report, RunHooks, RunOptions } from "./run-orders.ts";

export interface ChaosHooks extends RunHooks {
  readonly onKill: (killCount: number) => void;
}

type Life =
  | { readonly end: "killed" }
  | { readonly end: "stopped" }
  | { readonly end: "finished"; readonly report: Report };

/** Undefined when it was told to stop before the last order had ended. */
export async function runWithKills(
  options: RunOptions & { readonly killCount: number },
  hooks: ChaosHooks,
): Promise<Report | undefined> {
  const { killCount, ...runOptions } = options;
  const plan = makeKillPlan({ killCount, orderCount: options.orderCount, seed: options.seed });
  const supervisor = new Supervisor(runOptions, hooks);
  for (const [index, kill] of plan.entries()) {
    const life = await supervisor.live(kill);
    if (life.end === "stopped") return undefined;
    if (life.end === "finished") {
      hooks.onNote(`all orders had ended before kill ${index + 1} of ${killCount}`);
      return life.report;
    }
    hooks.onKill(index + 1);
    hooks.onNote(`kill ${index + 1}/${killCount} ${supervisor.lastWords(kill)}`);
  }
  const life = await supervisor.live(undefined);
  return life.end === "finished" ? life.report : undefined;
}

class Supervisor {
  readonly #options: RunOptions;
  readonly #hooks: ChaosHooks;
  #retryCount = 0;
  #retryCountOfTheDead = 0;
  // What is known of the present life.
  #opened: Extract<EngineMessage, { type: "opened" }> | undefined;
  #snapshot: Snapshot | undefined;

  constructor(options: RunOptions, hooks: ChaosHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  /** One engine process from its start to its end, which `kill` brings about if it comes to that. */
  async live(kill: Kill | undefined): Promise<Life> {
    if (this.#hooks.signal.aborted) return { end: "stopped" };
    this.#retryCountOfTheDead = this.#retryCount;
    this.#opened = undefined;
    this.#snapshot = undefined;
    const program = fileURLToPath(new URL("engine-process.ts", import.meta.url));
    // A process group of its own: a Ctrl-C in the terminal is for the supervisor, which tells its child in good order.
    const child = fork(program, [JSON.stringify(this.#options)], { detached: true });
    const exited = new Promise<string>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    // Its last messages may arrive after its exit does, but not after the end of the channel.
    const silent = new Promise<void>((resolve) => {
      child.once("disconnect", resolve);
    });
    const dying = new AbortController();
    const last: { message?: Extract<EngineMessage, { type: "stopped" | "finished" }> } = {};
    const reached = Promise.withResolvers<void>();
    child.on("message", (message: EngineMessage) => {
      this.#heard(message);
      if (message.type === "stopped" || message.type === "finished") last.message = message;
      if (kill?.kind === "progress" && this.#endedCount() >= kill.endedCount) reached.resolve();
    });
    const stop = (): boolean => child.connected && child.send(STOP_MESSAGE);
    this.#hooks.signal.addEventListener("abort", stop, { once: true });
    const state = { isKilled: false };
    if (kill !== undefined) {
      const moment = kill.kind === "start-up" ? Promise.resolve() : reached.promise;
      void moment
        .then(() => delay(kill.delayMs, undefined, { signal: dying.signal }))
        .then(() => {
          if (this.#hooks.signal.aborted || last.message !== undefined) return;
          state.isKilled = child.kill("SIGKILL");
        })
        .catch(() => undefined);
    }
    const how = await exited.finally(() => {
      dying.abort();
      this.#hooks.signal.removeEventListener("abort", stop);
    });
    await silent;
    if (state.isKilled && how === "SIGKILL") return { end: "killed" };
    if (last.message?.type === "finished") return { end: "finished", report: last.message.report };
    if (last.message?.type === "stopped") return { end: "stopped" };
    throw new Error(`the engine's process ended by itself: ${how}`);
  }

  /** Where the present life had got to. */
  lastWords(kill: Kill): string {
    if (this.#opened === undefined) return `during start-up, after ${kill.delayMs} ms`;
    const { orderCount } = this.#options;
    const inFlight = this.#snapshot?.inFlight ?? {};
    const inFlightCount = this.#snapshot === undefined ? this.#opened.recoveredCount : countAll(inFlight);
    const counts = stages.flatMap((stage) =>
      inFlight[stage] === undefined ? [] : `${stage} ${inFlight[stage]}`,
    );
    const details = counts.length === 0 ? "" : ` (${counts.join(", ")})`;
    return `at ${this.#endedCount()}/${orderCount} done, ${inFlightCount} in flight${details}`;
  }

  /** Orders that are known to have ended; before the engine is open, none is. */
  #endedCount(): number {
    if (this.#snapshot !== undefined) return countAll(this.#snapshot.ended);
    return this.#opened?.endedCount ?? -1;
  }

  #heard(message: EngineMessage): void {
    switch (message.type) {
      case "opened":
        this.#opened = message;
        this.#hooks.onOpened(message);
        break;
      case "snapshot": {
        const { snapshot } = message;
        this.#retryCount = this.#retryCountOfTheDead + snapshot.retryCount;
        this.#snapshot = { ...snapshot, retryCount: this.#retryCount };
        this.#hooks.onSnapshot(this.#snapshot);
        break;
      }
      case "note":
        this.#hooks.onNote(message.text);
        break;
      case "stopped":
      case "finished":
        break;
    }
  }
}
