/** Plays steady cases on an engine in a process of its own, over a file, which is killed with SIGKILL again and again. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { Connection } from "aion";
import { connect, isAionError } from "aion";
import type { Event } from "aion/client";
import { Client } from "aion/client";
import { signal } from "aion/workflow";
import type { CuttingProxy } from "./cutting-proxy.ts";
import { openCuttingProxy } from "./cutting-proxy.ts";
import { Draws } from "./generator.ts";
import { tell } from "./interpreter.ts";
import type { Call, Observed } from "./play.ts";
import { receivedIn } from "./play.ts";
import { end, freePort } from "./processes.ts";
import type { Act, Outcome, RunEnd } from "./program.ts";
import type { SteadyCase } from "./steady.ts";
import { forgiving } from "./trial.ts";
import { judge } from "./verdict.ts";

export interface RealPlay {
  readonly cases: readonly SteadyCase[];
  readonly directory: string;
  readonly killCount: number;
  readonly seed: string;
  /** A server, two workers, and connections that break, instead of one process. */
  readonly isServed?: boolean;
}

export interface RealEnd {
  readonly violations: readonly string[];
  readonly killCount: number;
  /** Connections that broke. */
  readonly cutCount: number;
  /** Executions, and those that were repeated since a kill had cut them off. */
  readonly callCount: number;
  readonly repeatedCount: number;
}

interface Line {
  readonly kind: "call" | "failed" | "produced";
  readonly label: string;
  readonly key: string;
  readonly attempt: number;
  readonly pid: number;
  readonly atMs: number;
}

const patienceMs = 90_000;
/** What a client takes for a reason to ask again. */
const passing: ReadonlySet<string> = new Set([
  "transport_failed",
  "no_owner",
  "engine_closed",
  "commit_unknown",
  "store_unavailable",
]);

class RealWorld {
  readonly #directory: string;
  readonly #draws: Draws;
  #engine: ChildProcess | undefined;
  #connection: Pick<Connection, "client" | "close"> | undefined;
  #isOver = false;
  killCount = 0;
  readonly #isServed: boolean;
  #port = 0;
  #proxy: CuttingProxy | undefined;
  readonly #workers: (ChildProcess | undefined)[] = [undefined, undefined];

  constructor({ directory, seed, isServed = false }: RealPlay) {
    this.#directory = directory;
    this.#draws = new Draws(seed);
    this.#isServed = isServed;
  }

  get cutCount(): number {
    return this.#proxy?.cutCount ?? 0;
  }

  /** What lies between the processes, and the workers, which come before there is a server. */
  async prepare(): Promise<void> {
    if (!this.#isServed) return;
    this.#port = await freePort();
    this.#proxy = await openCuttingProxy(this.#port, this.#draws, {
      isCutting: () => !this.#isOver,
    });
    for (const index of this.#workers.keys()) this.#openWorker(index);
  }

  #openWorker(index: number): void {
    const args = [
      path.join(import.meta.dirname, "worker-process.ts"),
      this.#directory,
      this.#proxy?.url ?? "",
    ];
    const worker = spawn(process.execPath, ["--conditions=aion-source", ...args], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    this.#workers[index] = worker;
  }

  async #killWorker(): Promise<void> {
    const index = this.#draws.between(0, this.#workers.length - 1);
    const worker = this.#workers[index];
    if (worker !== undefined) await end(worker);
    this.killCount += 1;
    this.#openWorker(index);
  }

  async open(): Promise<void> {
    const script = this.#isServed ? "server-process.ts" : "engine-process.ts";
    const args = [path.join(import.meta.dirname, script), this.#directory, String(this.#port)];
    const engine = spawn(process.execPath, ["--conditions=aion-source", ...args], {
      // A server tells on stderr of the connections that break.
      stdio: ["ignore", "pipe", this.#isServed ? "ignore" : "inherit"],
    });
    this.#engine = engine;
    const ended = once(engine, "exit").then(([code]) => `ended with ${String(code)}`);
    const said = once(engine.stdout, "data").then(() => "open");
    const what = await Promise.race([ended, said]);
    if (what !== "open" && !engine.killed) throw new Error(`the engine ${what}`);
  }

  /** `kill -9`, at any moment of its life. */
  async #kill(): Promise<void> {
    const engine = this.#engine;
    if (engine === undefined || !(await end(engine))) return;
    this.killCount += 1;
  }

  async killMany(count: number): Promise<void> {
    // The file is made in peace: kills amid that are another test's.
    await this.open();
    await this.#kill();
    for (let left = count - 1; left > 0 && !this.#isOver; left--) {
      if (this.#isServed && this.#draws.chance(0.5)) {
        if (!this.#isUp) await this.open();
        await delay(this.#draws.between(20, 800));
        await this.#killWorker();
        continue;
      }
      // The first moments are those of recovery: some kills fall into them.
      const opening = this.#isUp ? Promise.resolve() : this.open();
      opening.catch(() => undefined);
      await (this.#draws.chance(0.2) ? delay(this.#draws.between(150, 400)) : opening);
      await delay(this.#draws.between(20, 500));
      await this.#kill();
      await opening;
    }
    if (!this.#isUp) await this.open();
  }

  get #isUp(): boolean {
    const engine = this.#engine;
    return engine !== undefined && engine.exitCode === null && engine.signalCode === null;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    this.#connection?.close();
    this.#proxy?.close();
    for (const each of [this.#engine, ...this.#workers]) if (each !== undefined) await end(each);
  }

  async #connect(): Promise<Pick<Connection, "client" | "close">> {
    if (!this.#isServed) return connect(`sqlite:${path.join(this.#directory, "aion.db")}`);
    return { client: new Client({ url: this.#proxy?.url ?? "" }), close: () => undefined };
  }

  /** As a careful client does: what was not answered is asked again. */
  async ask<Answer>(question: (client: Client, isRepeated: boolean) => Promise<Answer>): Promise<Answer> {
    const until = Date.now() + patienceMs;
    for (let isRepeated = false; ; isRepeated = true) {
      try {
        this.#connection ??= await this.#connect();
        return await question(this.#connection.client, isRepeated);
      } catch (error) {
        if (!isAionError(error) || !passing.has(error.code) || Date.now() > until) throw error;
        if (error.code === "transport_failed") this.#connection = undefined;
        await delay(20);
      }
    }
  }

  async act(act: Act, requestId: string): Promise<string> {
    return this.ask(async (client, isRepeated) => {
      const handle = client.get(act.target);
      try {
        switch (act.kind) {
          case "start":
            await client.start(
              "program",
              { program: act.program, round: 0, beganAt: 0 },
              { id: act.target, requestId },
            );
            break;
          case "signal": {
            const id = { signalId: requestId };
            await handle.signal(signal<number>(act.signal), act.value, id);
            if (act.isRepeated) await handle.signal(signal<number>(act.signal), act.value, id);
            break;
          }
          case "cancel":
            await handle.cancel();
            break;
          case "terminate":
            await handle.terminate();
            break;
          case "query":
            break;
        }
        return "ok";
      } catch (error) {
        if (!isAionError(error) || passing.has(error.code)) throw error;
        return isRepeated && error.code === "run_closed" && act.kind !== "signal" ? "ok" : error.code;
      }
    });
  }

  async runsOf(prefix: string): Promise<Record<string, RunEnd[]>> {
    const found = await this.ask(async (client) => {
      const runs: { readonly workflowId: string; readonly runId: string; readonly status: string }[] = [];
      for await (const run of client.list()) if (run.workflowId.startsWith(prefix)) runs.push(run);
      return runs;
    });
    const runs: Record<string, RunEnd[]> = {};
    for (const { workflowId, runId, status } of found) {
      const isTold = status !== "running" && status !== "continued-as-new";
      const tells = isTold
        ? await this.ask((client) =>
            client
              .get<string>(workflowId, { runId })
              .result()
              .catch((error: unknown) => {
                if (isAionError(error)) throw error;
                return tell(error);
              }),
          )
        : "";
      runs[workflowId] = [{ status, tells }, ...(runs[workflowId] ?? [])];
    }
    return runs;
  }

  async history(workflowId: string): Promise<readonly Event[]> {
    return this.ask(async (client) => {
      const events: Event[] = [];
      for await (const event of client.get(workflowId).history()) events.push(event);
      return events;
    });
  }

  ledger(): readonly Line[] {
    const file = path.join(this.#directory, "outside.jsonl");
    if (!existsSync(file)) return [];
    return readFileSync(file, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  }
}

/** The name that all of a case begins with. */
const prefixOf = ({ of }: SteadyCase): string => (of.acts[0]?.target ?? "").replace(/\/.*$/, "/");

export async function playReal(play: RealPlay): Promise<RealEnd> {
  const world = new RealWorld(play);
  const { cases, killCount } = play;
  try {
    await world.prepare();
    const killing = world.killMany(killCount);
    const answers = await Promise.all(
      cases.map(async ({ of }) => {
        const told: string[] = [];
        const began = Date.now();
        for (const [index, act] of of.acts.entries()) {
          await delay(Math.max(0, began + act.atMs - Date.now()));
          told.push(await world.act(act, `act ${index}`));
        }
        return told;
      }),
    );
    await killing;
    await untilDone(world, cases);
    const ledger = world.ledger();
    const violations: string[] = [];
    for (const [index, each] of cases.entries()) {
      const observed = await observe(world, each, answers[index] ?? [], ledger);
      const outcome = forgiving(each.of, observed.outcome);
      const expected = forgiving(each.of, each.expected);
      const found = judge(expected, { ...observed, outcome }, { mayFailLess: true, mayBeUndone: true });
      violations.push(...found.map((text) => `${text} in ${JSON.stringify(each.of)}`));
    }
    const calls = ledger.filter(({ kind }) => kind === "call");
    const keys = new Set(calls.map(({ key }) => key));
    return {
      violations,
      killCount: world.killCount,
      cutCount: world.cutCount,
      callCount: calls.length,
      repeatedCount: calls.length - keys.size,
    };
  } finally {
    await world.close();
  }
}

/** Until all runs that should end have ended, or none has for long. */
async function untilDone(world: RealWorld, cases: readonly SteadyCase[]): Promise<void> {
  const ended = (runs: Outcome["runs"]): number =>
    Object.values(runs)
      .flat()
      .filter(({ status }) => status !== "running").length;
  const should = cases.reduce((sum, { expected }) => sum + ended(expected.runs), 0);
  const until = Date.now() + patienceMs;
  for (;;) {
    const is = await world.ask(async (client) => {
      const [all, running] = await Promise.all([client.count({}), client.count({ status: "running" })]);
      return all - running;
    });
    if (is >= should || Date.now() > until) break;
    await delay(100);
  }
  // What must not happen may happen now.
  await delay(500);
}

async function observe(
  world: RealWorld,
  each: SteadyCase,
  answers: readonly string[],
  ledger: readonly Line[],
): Promise<Observed> {
  const prefix = prefixOf(each);
  const runs = await world.runsOf(prefix);
  const histories: Record<string, readonly Event[]> = {};
  for (const workflowId of Object.keys(runs)) histories[workflowId] = await world.history(workflowId);
  const own = ledger.filter(({ label }) => label?.startsWith(prefix));
  const calls: readonly Call[] = own
    .filter(({ kind }) => kind === "call")
    .map(({ label, key, attempt, pid, atMs }) => ({ label, key, attempt, life: pid, atMs }));
  const counts: Record<string, number> = {};
  for (const { label } of calls) counts[label] = (counts[label] ?? 0) + 1;
  return {
    outcome: {
      runs,
      calls: counts,
      optional: [],
      produced: own.filter(({ kind }) => kind === "produced").map(({ label }) => label),
      received: receivedIn(histories),
      answers,
    },
    calls,
    histories,
    killedAtMs: Array.from({ length: world.killCount }, (_each, index) => index),
    appendCount: 0,
  };
}
