/**
 * Plays a case on the engine in virtual time, kills the engine where it is told to, and sees what clients and the outside see.
 *
 * The outside is made so that no kill shows in it: a piece of work that was begun goes on while the engine is dead, and whoever
 * asks for it again by the same key gets the outcome of the first time, at the instant at which it is ready. So every instant
 * of a case is the same with and without kills, and the model need not know of them.
 */
import { AionError, isAionError } from "aion";
import type { Event } from "aion/client";
import type { Commit, CommitResult, Store } from "aion/store";
import { openMemoryStore } from "aion/store";
import { TestEngine } from "aion/testing";
import type { TestEngineOptions } from "aion/testing";
import type { ActivityTask } from "aion/workflow";
import { ApplicationFailure, signal } from "aion/workflow";
import { defineProgram, progress, tell } from "./interpreter.ts";
import type { Order } from "./interpreter.ts";
import type { Act, Case, Kill, Outcome, RunEnd } from "./program.ts";

/** One execution of a piece of work, as the outside saw it. */
export interface Call {
  readonly label: string;
  /** The same for all executions of one piece of work. */
  readonly key: string;
  readonly attempt: number;
  /** How many times the engine had died before. */
  readonly life: number;
  readonly atMs: number;
}

export interface Observed {
  readonly outcome: Outcome;
  readonly calls: readonly Call[];
  /** The history of each workflow id. */
  readonly histories: Readonly<Record<string, readonly Event[]>>;
  /** When the engine died. */
  readonly killedAtMs: readonly number[];
  readonly appendCount: number;
}

interface Job {
  readonly endsAtMs: number;
  readonly isDone: boolean;
}

export interface PlayOptions {
  /** A bug that is planted: what the store is given instead of a commit. */
  readonly spoil?: ((commit: Commit) => Commit) | undefined;
}

const startAt = Date.UTC(2030, 0, 1);
/** One of its own for each: whoever waits for a promise is held by it. */
const never = (): Promise<never> => new Promise(() => undefined);
const patienceRounds = 200;
/** Far more than any case needs. */
const storeCallsMax = 20_000;

class Player {
  readonly #case: Case;
  readonly #spoil: PlayOptions["spoil"];
  readonly #appendKills = new Map<number, "before" | "after">();
  readonly #effectKills = new Map<number, "before" | "after">();
  /** Rejects when the engine turns in circles. */
  readonly restless: Promise<never>;
  #reject: (error: Error) => void = () => undefined;
  #isGivenUp = false;
  readonly #calls: Call[] = [];
  readonly #jobs = new Map<string, Job[]>();
  readonly #produced: string[] = [];
  readonly #failures: Error[] = [];
  readonly #killedAtMs: number[] = [];
  /** The run that a request to stop is meant for, by the number of the act. */
  readonly #meant = new Map<number, string>();
  #engine: TestEngine | undefined;
  #life = 0;
  #reopening = 0;
  #appendCount = 0;
  #effectCount = 0;
  #overdue: "before" | "after" | undefined;

  constructor(of: Case, kills: readonly Kill[], options: PlayOptions) {
    this.#case = of;
    this.#spoil = options.spoil;
    this.restless = new Promise<never>((_resolve, reject) => {
      this.#reject = reject;
    });
    this.restless.catch(() => undefined);
    for (const kill of kills) {
      if (kill.at === "append") this.#appendKills.set(kill.number, kill.side);
      if (kill.at === "effect") this.#effectKills.set(kill.number, kill.side);
    }
  }

  async play(quietAtMs: number, kills: readonly Kill[]): Promise<Observed> {
    const inner = openMemoryStore({ clock: { now: () => this.#now() } });
    this.#engine = await TestEngine.open({ ...this.#define(), store: this.#killing(inner), startAt });
    const engine = this.#engine;
    try {
      const answers: string[] = [];
      const moments = [
        ...this.#case.acts.map((act, index) => ({
          atMs: act.atMs,
          run: async () => {
            let answer = await this.#during(this.#act(act, index, false));
            if (kills.some((kill) => kill.at === "answer" && kill.number === index)) {
              await this.#kill();
              answer = await this.#during(this.#act(act, index, answer === "ok"));
            }
            answers[index] = answer;
          },
        })),
        ...kills.flatMap((kill) => (kill.at === "time" ? [{ atMs: kill.ms, run: () => this.#kill() }] : [])),
      ].toSorted((left, right) => left.atMs - right.atMs);
      for (const { atMs, run } of moments) {
        await engine.skip(Math.max(0, atMs - this.#elapsedMs()));
        await run();
      }
      await engine.skip(Math.max(0, quietAtMs - this.#elapsedMs()) + 1_000);
      const histories = await this.#histories();
      await this.#during(engine.checkReplay());
      const [failure] = this.#failures;
      if (failure !== undefined) throw failure;
      return {
        outcome: {
          runs: await this.#during(this.#runs()),
          calls: this.#counts(),
          optional: [],
          produced: this.#produced.toSorted(),
          received: receivedIn(histories),
          answers,
        },
        calls: this.#calls,
        histories,
        killedAtMs: this.#killedAtMs,
        appendCount: this.#appendCount,
      };
    } finally {
      await engine.close({ checkReplay: false });
    }
  }

  /** The code as one life of the engine has it: what a dead one still asks for in the turn in which it died is not done. */
  #define(): Pick<TestEngineOptions, "workflows" | "activities"> {
    const life = this.#life;
    const { interpreter, activities } = defineProgram({
      perform: (order, task) => (life === this.#life ? this.#perform(order, task) : never()),
      produced: (label) => {
        if (life === this.#life) this.#produced.push(label);
      },
    });
    return { workflows: [interpreter], activities };
  }

  #now(): number {
    return this.#engine?.now() ?? startAt;
  }

  #elapsedMs(): number {
    return this.#now() - startAt;
  }

  /** Lets the engine run until it has answered. */
  async #during<Answer>(promise: Promise<Answer>): Promise<Answer> {
    const wait = { isOver: false };
    const over = promise.finally(() => {
      wait.isOver = true;
    });
    over.catch(() => undefined);
    for (let round = 0; !wait.isOver; round++) {
      if (round > patienceRounds) {
        this.#giveUp("does not answer");
        await this.restless;
      }
      await this.#engine?.settle();
    }
    return over;
  }

  #giveUp(what: string): void {
    this.#isGivenUp = true;
    this.#reject(new Error(`the engine ${what}`));
  }

  // Kills.

  async #kill(): Promise<void> {
    this.#life += 1;
    this.#reopening += 1;
    try {
      this.#killedAtMs.push(this.#elapsedMs());
      await this.#engine?.crash(this.#define());
    } catch (error) {
      this.#failures.push(error as Error);
    } finally {
      this.#reopening -= 1;
    }
  }

  /** The store, on which the engine dies. An engine that is being opened is let be: the kill comes with the next append. */
  #killing(inner: Store): Store {
    const append = (...[token, asked]: Parameters<Store["append"]>): Promise<readonly CommitResult[]> => {
      const spoil = this.#spoil;
      const commits = spoil === undefined ? asked : asked.map((commit) => spoil(commit));
      this.#appendCount += 1;
      const side = this.#appendKills.get(this.#appendCount) ?? this.#overdue;
      if (side === undefined) return inner.append(token, commits);
      this.#overdue = side;
      if (this.#reopening > 0 || this.#engine === undefined) return inner.append(token, commits);
      this.#overdue = undefined;
      if (side === "after") inner.append(token, commits).catch((error: Error) => this.#failures.push(error));
      void this.#kill();
      return never();
    };
    let callCount = 0;
    return new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = name === "append" ? append : Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return (...args: readonly unknown[]): unknown => {
          callCount += 1;
          if (callCount > storeCallsMax) this.#giveUp("does not come to rest");
          // An engine that turns in circles is stopped: a disk that failed does that.
          if (this.#isGivenUp) return Promise.reject(new AionError("store_failed", "the trial is over"));
          return Reflect.apply(value, target, args);
        };
      },
    });
  }

  // The outside.

  async #perform({ label, site, work }: Order, task: ActivityTask): Promise<string> {
    const { idempotencyKey: key, attempt } = task;
    const life = this.#life;
    this.#calls.push({ label, key, attempt, life, atMs: this.#elapsedMs() });
    const killSide = this.#reopening > 0 ? undefined : this.#effectKills.get((this.#effectCount += 1));
    if (killSide === "before") {
      void this.#kill();
      return never();
    }
    const jobs = this.#jobs.get(key) ?? [];
    this.#jobs.set(key, jobs);
    let job = jobs.at(-1);
    if (job === undefined || job.endsAtMs < this.#now()) {
      job = { endsAtMs: this.#now() + work.ms, isDone: jobs.length >= work.failures };
      jobs.push(job);
    }
    const leftMs = job.endsAtMs - this.#now();
    if (leftMs > 0) {
      await new Promise<void>((resolve, reject) => {
        if (work.whenTold === "stop") {
          task.signal.addEventListener("abort", () => reject(new Error("told to stop")));
        }
        void this.#engine?.delay(leftMs).then(resolve);
      });
    }
    if (killSide === "after" && life === this.#life && this.#reopening === 0) {
      void this.#kill();
      return never();
    }
    if (job.isDone) return site;
    throw new ApplicationFailure(site, { nonRetryable: work.isFinal });
  }

  // Clients.

  async #act(act: Act, index: number, isAgain: boolean): Promise<string> {
    const { client } = this.engine;
    let handle = client.get(act.target);
    if (act.kind === "cancel" || act.kind === "terminate") {
      // It has no id by which a repeated one would be known: it is meant for the run that is there at first.
      let runId = this.#meant.get(index);
      runId ??= (await handle.describe().catch(() => undefined))?.runId;
      if (runId !== undefined) {
        this.#meant.set(index, runId);
        handle = client.get(act.target, { runId });
      }
    }
    for (let isRepeated = isAgain; ; isRepeated = true) {
      try {
        switch (act.kind) {
          case "start": {
            const input = { program: act.program, round: 0, beganAt: startAt };
            await client.start("program", input, { id: act.target, requestId: `act ${index}` });
            return "ok";
          }
          case "signal": {
            const signalId = `act ${index}`;
            await handle.signal(signal<number>(act.signal), act.value, { signalId });
            if (act.isRepeated) await handle.signal(signal<number>(act.signal), act.value, { signalId });
            return "ok";
          }
          case "cancel":
            await handle.cancel();
            return "ok";
          case "terminate":
            await handle.terminate();
            return "ok";
          case "query":
            return await handle.query(progress);
        }
      } catch (error) {
        if (!isAionError(error)) throw error;
        // As a careful client does: an answer that was lost is asked for again.
        if (error.code === "transport_failed") continue;
        // A request to stop has no id. Repeated, it may find that it was heard.
        const isHeard = isRepeated && error.code === "run_closed" && act.kind !== "signal";
        return isHeard ? "ok" : error.code;
      }
    }
  }

  get engine(): TestEngine {
    if (this.#engine === undefined) throw new Error("the engine is not open");
    return this.#engine;
  }

  async #runs(): Promise<Outcome["runs"]> {
    const { client } = this.engine;
    const runs: Record<string, RunEnd[]> = {};
    for await (const { workflowId, runId, status, closedAt } of client.list()) {
      let tells = "";
      if (status !== "running" && status !== "continued-as-new") {
        const run = client.get<string>(workflowId, { runId });
        tells = await run.result().catch(tell);
      }
      const end = { status, ...(closedAt === undefined ? {} : { atMs: closedAt - startAt }), tells };
      runs[workflowId] = [end, ...(runs[workflowId] ?? [])];
    }
    return Object.fromEntries(Object.entries(runs).toSorted(([left], [right]) => (left < right ? -1 : 1)));
  }

  async #histories(): Promise<Readonly<Record<string, readonly Event[]>>> {
    const { client } = this.engine;
    const histories: Record<string, Event[]> = {};
    for await (const { workflowId } of client.list()) {
      if (histories[workflowId] !== undefined) continue;
      const events: Event[] = [];
      for await (const event of client.get(workflowId).history()) events.push(event);
      histories[workflowId] = events;
    }
    return histories;
  }

  #counts(): Outcome["calls"] {
    const counts = new Map<string, number>();
    for (const { label } of this.#calls) counts.set(label, (counts.get(label) ?? 0) + 1);
    return Object.fromEntries([...counts].toSorted(([left], [right]) => (left < right ? -1 : 1)));
  }
}

export function receivedIn(histories: Observed["histories"]): Outcome["received"] {
  const received: Record<string, readonly string[]> = {};
  for (const workflowId of Object.keys(histories).toSorted()) {
    const signals = (histories[workflowId] ?? []).flatMap((event) =>
      event.type === "SignalReceived" ? [`${event.name} ${event.payload}`] : [],
    );
    if (signals.length > 0) received[workflowId] = signals;
  }
  return received;
}

/** Plays a case until all is quiet. */
export function play(
  of: Case,
  quietAtMs: number,
  kills: readonly Kill[] = [],
  options: PlayOptions = {},
): Promise<Observed> {
  const player = new Player(of, kills, options);
  return Promise.race([player.play(quietAtMs, kills), player.restless]);
}
