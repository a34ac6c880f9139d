import type { ErrorCode } from "../src/core/errors.ts";
import { isAionError } from "../src/core/errors.ts";
import type { Store } from "../src/store/contract.ts";
import { openMemoryStore } from "../src/store/memory.ts";
import { TestEngine } from "../src/testing/test-engine.ts";
import {
  activity,
  child,
  isFailure,
  receive,
  scope,
  signal,
  signalWorkflow,
  sleep,
  uuid,
  workflow,
} from "../src/workflow/index.ts";
import { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";
import { faultyStore } from "./faulty-store.ts";
import { ResetOracle } from "./reset-oracle.ts";

const minuteMs = 60_000;
const startAtMs = Date.UTC(2026, 0, 1);

export interface ResetVerdict {
  readonly seed: number;
  readonly failure: SimulationFailure | undefined;
  readonly counts: Readonly<Record<string, number>>;
}

/** Nobody knows what became of the call: the same is asked again. */
const passing: ReadonlySet<ErrorCode> = new Set(["store_unavailable", "commit_unknown"]);
/** What may be answered to who asks for anything at any time. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  "run_not_resettable",
  "run_closed",
  "run_not_found",
  "workflow_already_exists",
  "run_not_reopenable",
]);

type Op = "work" | "both" | "flaky" | "slow" | "sleep" | "receive" | "child" | "kept" | "send" | "scope";
const ops: readonly Op[] = [
  "work",
  "both",
  "flaky",
  "slow",
  "sleep",
  "receive",
  "receive",
  "child",
  "kept",
  "send",
  "scope",
];

const word = signal<string>("word");
/** Each has a draw with it: an input that is met twice was drawn twice. */
const input = (text: string): string => `${text} ${uuid()}`;
const retry = { maxAttempts: 3, initialDelay: "10s" } as const;

/**
 * A world of resets and forks: programs that the dice make up, whose clients send, pause, end, reset and fork them at any event, again
 * and again and under their feet; while the engine crashes and commits are refused or of unknown outcome.
 */
export async function runResetWorld({ seed }: { readonly seed: number }): Promise<ResetVerdict> {
  return new ResetWorld(seed).run();
}

class ResetWorld {
  readonly #seed: number;
  readonly #dice: Dice;
  readonly #faultDice: Dice;
  readonly #oracle = new ResetOracle();
  readonly #counts = new Map<string, number>();
  readonly #inner: Store;
  readonly #workflowIds: string[] = [];
  #engine: TestEngine | undefined;
  #failure: SimulationFailure | undefined;
  readonly #whenBroken = Promise.withResolvers<void>();
  #isCalm = false;
  #requestCount = 0;
  #signalCount = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#dice = new Dice(`resets of ${seed}`);
    this.#faultDice = new Dice(`faults of resets of ${seed}`);
    this.#inner = openMemoryStore({ clock: { now: () => this.#engine?.now() ?? startAtMs } });
  }

  async run(): Promise<ResetVerdict> {
    try {
      // After a law was broken the engine has stopped, and who waits for it waits for ever.
      await Promise.race([this.#live(), this.#whenBroken.promise]);
    } catch (error) {
      if (this.#failure === undefined) {
        if (!(error instanceof SimulationFailure)) throw error;
        this.#failure = error;
      }
    }
    await this.#engine?.close({ checkReplay: false }).catch(() => undefined);
    const counts = { ...this.#oracle.counts, ...Object.fromEntries(this.#counts) };
    return { seed: this.#seed, failure: this.#failure, counts };
  }

  #broken(error: unknown): void {
    if (!(error instanceof SimulationFailure)) throw error;
    this.#failure ??= error;
    this.#whenBroken.resolve();
  }

  #store(): Store {
    return faultyStore(this.#inner, {
      dice: this.#faultDice,
      shares: { refused: 0.01, lost: 0.01, made: 0.01 },
      isCalm: () => this.#isCalm,
      committed: (commit, result) => this.#oracle.committed(commit, result),
      onBroken: (failure) => this.#broken(failure),
      isBroken: () => this.#failure !== undefined,
      note: (what) => this.#note(what),
    });
  }

  #note(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  get #t(): TestEngine {
    if (this.#engine === undefined) throw new Error("the engine is open");
    return this.#engine;
  }

  #code() {
    const executed = (
      text: string,
      task: { readonly idempotencyKey: string; readonly runId: string },
    ): void => {
      try {
        this.#oracle.executed({ runId: task.runId, key: task.idempotencyKey, text });
      } catch (error) {
        this.#broken(error);
      }
    };
    const work = activity("work", async (text: string, task) => {
      executed(text, task);
      return `did ${text.slice(0, -37)}`;
    });
    const flaky = activity("flaky", { retry }, async (text: string, task) => {
      executed(text, task);
      if (task.attempt % 3 !== 0) throw new Error("not yet");
      return `at last ${text.slice(0, -37)}`;
    });
    const slow = activity("slow", async (text: string, task) => {
      executed(text, task);
      await this.#t.delay("90 seconds");
      return `took its time ${text.slice(0, -37)}`;
    });
    const leaf = workflow("leaf", async (text: string) => {
      await sleep("2 minutes");
      return await work(input(`leaf ${text}`));
    });
    const subject = workflow("subject", async (program: readonly Op[]) => {
      const told: string[] = [];
      for (const [index, op] of program.entries()) {
        const text = `${op} ${index}`;
        switch (op) {
          case "work":
            told.push(await work(input(text)));
            break;
          case "both":
            told.push(...(await Promise.all([work(input(`${text} a`)), slow(input(`${text} b`))])));
            break;
          case "flaky":
            told.push(await flaky(input(text)));
            break;
          case "slow":
            told.push(await slow(input(text)));
            break;
          case "sleep":
            await sleep("3 minutes");
            break;
          case "receive": {
            const got = await receive(word, { timeout: "20 minutes" });
            told.push(got.ok ? "heard" : "heard nothing");
            break;
          }
          case "child":
            told.push(await child(leaf, text).catch(String));
            break;
          case "kept":
            // A fork does not hear of it.
            void child(leaf, text, { parentClosePolicy: "abandon" }).catch(() => undefined);
            break;
          case "send":
            await signalWorkflow("sink", word, text);
            break;
          case "scope":
            await scope(() => slow(input(text)), { timeout: "1 minute" }).catch(() => undefined);
            break;
        }
      }
      return told;
    });
    const keeper = workflow("keeper", (program: readonly Op[]) => child(subject, program, { id: "kept" }));
    const sink = workflow("sink", async (): Promise<never> => {
      for (;;) await receive(word);
    });
    return {
      workflows: [subject, leaf, keeper, sink],
      activities: [work, flaky, slow],
      subject,
      keeper,
      sink,
    };
  }

  async #live(): Promise<void> {
    const dice = this.#dice;
    const { workflows, activities, subject, keeper, sink } = this.#code();
    this.#engine = await TestEngine.open({
      workflows,
      activities,
      store: this.#store(),
      startAt: startAtMs,
      seed: this.#seed,
      residentMax: dice.pick([1, 100]),
    });
    const program = (): readonly Op[] => Array.from({ length: dice.int(2, 7) }, () => dice.pick(ops));
    await this.#ask(() => this.#t.client.start(sink, undefined, { id: "sink" }));
    for (let index = 0; index < dice.int(1, 3); index++) {
      const id = `s${index}`;
      const asked = program();
      await this.#ask(() => this.#t.client.start(subject, asked, { id }));
      this.#workflowIds.push(id);
    }
    const kept = program();
    await this.#ask(() => this.#t.client.start(keeper, kept, { id: "keeper" }));
    this.#workflowIds.push("kept", "keeper");
    for (let step = 0; step < 40; step++) {
      await this.#t.skip(dice.pick([0, 1_000, minuteMs, 5 * minuteMs]));
      await this.#happen();
      if (this.#failure !== undefined) throw this.#failure;
    }
    this.#isCalm = true;
    await this.#end();
  }

  async #happen(): Promise<void> {
    const dice = this.#dice;
    const id = dice.pick(this.#workflowIds);
    const handle = this.#t.client.get(id);
    const what = dice.weighted<() => Promise<unknown>>([
      [1, async () => undefined],
      [2, () => this.#crash()],
      [5, () => this.#signal(id)],
      [1, () => this.#ask(() => handle.pause())],
      [2, () => this.#ask(() => handle.resume())],
      [0.4, () => this.#ask(() => handle.cancel())],
      [0.3, () => this.#ask(() => handle.terminate())],
      [0.6, () => this.#ask(() => handle.reopen())],
      [8, () => this.#reset(id, undefined)],
      [4, () => this.#reset(id, `fork ${this.#requestCount}`)],
    ]);
    await what();
  }

  async #crash(): Promise<void> {
    this.#note("engine crashed");
    await this.#t.crash();
  }

  async #signal(id: string): Promise<void> {
    this.#signalCount += 1;
    const signalId = `g${this.#signalCount}`;
    const isTwice = this.#dice.chance(0.3);
    await this.#ask(() => this.#t.client.get(id).signal(word, signalId, { signalId }));
    if (isTwice) await this.#ask(() => this.#t.client.get(id).signal(word, signalId, { signalId }));
  }

  async #reset(id: string, newId: string | undefined): Promise<void> {
    const dice = this.#dice;
    const runs = this.#oracle.runsOf(id);
    const latest = runs.at(-1);
    if (latest === undefined) return;
    const runId = dice.chance(0.3) ? dice.pick(runs) : undefined;
    const { firstSeq, count } = this.#oracle.rangeOf(runId ?? latest);
    // Now and then one that is none of it.
    const toSeq = firstSeq + dice.int(0, count);
    const requestId = `r${(this.#requestCount += 1)}`;
    const signals = dice.chance(0.3) ? "drop" : "carry";
    this.#oracle.asked.set(requestId, signals);
    const handle = this.#t.client.get(id, runId === undefined ? {} : { runId });
    const options = { requestId, signals, ...(dice.chance(0.1) ? {} : { toSeq }) } as const;
    const isTwice = dice.chance(0.4);
    for (let time = 0; time < (isTwice ? 2 : 1); time++) {
      const next = await this.#ask(() =>
        newId === undefined ? handle.reset(options) : handle.fork(newId, options),
      );
      if (next === undefined) {
        if (time === 1) return;
        this.#note("reset refused");
        return;
      }
      if (next.runId !== undefined) this.#oracle.acknowledged(requestId, next.runId);
      if (time === 0) this.#note("reset told");
      if (isTwice && time === 0 && dice.chance(0.5)) await this.#crash();
    }
    if (newId !== undefined) this.#workflowIds.push(newId);
  }

  /** Asks until there is an answer; `undefined`: it was refused, as may be. */
  async #ask<Reply>(work: () => Promise<Reply>): Promise<Reply | undefined> {
    for (;;) {
      try {
        return await this.#during(work());
      } catch (error) {
        if (this.#failure !== undefined) throw this.#failure;
        if (!isAionError(error)) throw error;
        if (passing.has(error.code)) {
          this.#note("asked again");
          await this.#t.skip(1_000);
        } else if (refusals.has(error.code)) return undefined;
        else throw new SimulationFailure(`answer-${error.code}`, error.message, { cause: error });
      }
    }
  }

  /** What was refused is tried again after a while: time has to pass for who waits for that. */
  async #during<Reply>(call: Promise<Reply>): Promise<Reply> {
    const wait = { isOver: false };
    const over = (): void => {
      wait.isOver = true;
    };
    call.then(over, over);
    await this.#t.settle();
    while (!wait.isOver && this.#failure === undefined) await this.#t.skip(1_000);
    if (this.#failure !== undefined) throw this.#failure;
    return await call;
  }

  /** All is well: everything comes to its end, and who waited for what was started hears how. */
  async #end(): Promise<void> {
    for (const id of this.#workflowIds) {
      await this.#ask(() => this.#t.client.get(id).resume());
    }
    await this.#t.skip("1 day");
    if (this.#failure !== undefined) throw this.#failure;
    const running = await this.#t.client.count({ status: "running" });
    // The one that waits for ever.
    if (running !== 1) {
      const open = [];
      for await (const run of this.#t.client.list({ status: "running" }))
        if (run.workflowId !== "sink") open.push(`${run.workflowId} (${run.blocked ?? "open"})`);
      throw new SimulationFailure("reset-liveness", `what was reset goes on for ever: ${open.join()}`);
    }
    for (const id of this.#workflowIds) {
      for (const runId of this.#oracle.runsOf(id)) {
        const run = await this.#during(this.#t.client.get(id, { runId }).describe());
        if (run.status === "continued-as-new" || run.blocked !== undefined)
          throw new SimulationFailure("reset-status", `run ${runId} is ${run.blocked ?? run.status}`);
        if (run.resetTo === undefined) continue;
        // Who waits for it hears of the run that went on.
        const told = await this.#during(
          this.#t.client
            .get(id, { runId })
            .result()
            .then(
              () => "completed",
              (error: unknown) => (isFailure(error) ? error.message : String(error)),
            ),
        );
        if (told.includes("reset to event"))
          throw new SimulationFailure("reset-result", `who waits for run ${runId} hears: ${told}`);
      }
    }
    await this.#t.client.get("sink").terminate();
    await this.#t.close().catch((error: unknown) => {
      // I-41
      throw new SimulationFailure("reset-replay", String(error));
    });
  }
}
