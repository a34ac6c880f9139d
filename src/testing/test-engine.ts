import { Client } from "../client/client.ts";
import type { RunHandle } from "../client/run-handle.ts";
import type { Service } from "../client/service.ts";
import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { parseWorkflowId } from "../core/ids.ts";
import type { OptionNames } from "../core/options.ts";
import { demandKnownOptions } from "../core/options.ts";
import { payloadLimitBytesDefault } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";
import type { Residency } from "../engine/residency.ts";
import type { RunLimits } from "../engine/run-limits.ts";
import { parseRunLimits } from "../engine/run-limits.ts";
import type { RecoveryReport } from "../engine/recovery.ts";
import { loadInline, outsideWorkflow } from "../program/inline.ts";
import type { ProgramSource } from "../program/program.ts";
import { SeededRandom } from "../program/random.ts";
import type { Store } from "../store/contract.ts";
import { openMemoryStore } from "../store/memory.ts";
import type { AnyActivity, AnyWorkflow } from "../workflow/definition.ts";
import { Life } from "./life.ts";
import type { ActivityMock, ChildMock, MockCall } from "./mocks.ts";
import { CallLog, toActivities, toMockedChild } from "./mocks.ts";
import { RealWork } from "./real-work.ts";
import { takeRejections } from "./rejections.ts";
import { checkReplays } from "./replay-check.ts";
import { describeOpen, nextInstant } from "./standstill.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface TestEngineOptions {
  readonly workflows: readonly AnyWorkflow[];
  /** Definitions, run as they are; or mocks (and definitions) by the name of the activity. Default: none. */
  readonly activities?: readonly AnyActivity[] | Readonly<Record<string, ActivityMock | AnyActivity>>;
  /** Mocks of child workflows by workflow type: a run of that type answers with what its mock returns or throws. */
  readonly children?: Readonly<Record<string, ChildMock>>;
  /** Default: a memory store that lasts as long as the test engine. One that is handed in is not closed. */
  readonly store?: Store;
  /** Where the wall clock begins. Default: 2030-01-01T00:00:00Z. */
  readonly startAt?: Date | number;
  /** Run ids, jitter: the same seed gives the same. Default 1. */
  readonly seed?: number;
  /** As of `EngineOptions`. */
  readonly activityConcurrency?: number;
  readonly activityConcurrencyPerType?: Readonly<Record<string, number>>;
  readonly residentMax?: number;
  readonly payloadLimitBytes?: number;
  readonly onNondeterminism?: "fail" | "block";
  readonly limits?: Partial<RunLimits>;
  readonly onRunLimit?: "fail" | "block";
}

const testEngineOptionNames: OptionNames<TestEngineOptions> = {
  workflows: true,
  activities: true,
  children: true,
  store: true,
  startAt: true,
  seed: true,
  activityConcurrency: true,
  activityConcurrencyPerType: true,
  residentMax: true,
  payloadLimitBytes: true,
  onNondeterminism: true,
  limits: true,
  onRunLimit: true,
};

/** What the engine is opened with after a crash, where it differs: another version of the code, other mocks, other limits. */
export type ReopenOptions = Partial<
  Pick<TestEngineOptions, "workflows" | "activities" | "children" | "limits">
>;

export interface TestResultOptions {
  /** How much virtual time may pass. Default one year. */
  readonly within?: Duration;
}

export interface TestCloseOptions {
  /** False: do not replay the histories. For tests whose subject is a run that diverges. Default true. */
  readonly checkReplay?: boolean;
}

const reopenOptionNames: OptionNames<ReopenOptions> = {
  workflows: true,
  activities: true,
  children: true,
  limits: true,
};
const resultOptionNames: OptionNames<TestResultOptions> = { within: true };
const closeOptionNames: OptionNames<TestCloseOptions> = { checkReplay: true };

export interface LogEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

interface Code {
  readonly workflows: readonly AnyWorkflow[];
  readonly activities: NonNullable<TestEngineOptions["activities"]>;
  readonly children: NonNullable<TestEngineOptions["children"]>;
}

const startAtDefault = Date.UTC(2030, 0, 1);
const withinDefault = "365 days";
/** More delays than this without time passing are a loop. */
const delaysAtOnceMax = 1_000_000;
/** When nothing was written for this long although it was due, it never will be. */
const patienceMs = 3_600_000;

/**
 * The engine for tests: the real one, over a store in memory and a clock that stands still until it is told to pass.
 *
 * Nothing happens by itself in the time between two awaits of the test but what is due: `settle` lets everything run that can run,
 * `skip` lets virtual time pass and fires each timer, backoff and time-out on its way in order, `result` skips as far as the
 * run needs. The same seed gives the same run ids and the same jitter.
 *
 * Activities are ordinary async functions. What they await for real (a file, a socket) is waited for; an attempt that waits for
 * nothing but a promise is taken to wait for `delay`, for its `AbortSignal`, or for the test.
 *
 * `close`, also at the end of an `await using` scope, replays every history that the test made against the code and throws
 * `nondeterminism` if one diverges.
 *
 * @example
 * import { TestEngine } from "aion/testing";
 * import { activity, receive, signal, workflow } from "aion/workflow";
 *
 * const charge = activity("charge", async (_card: string): Promise<string> => {
 *   throw new Error("the real one is not called");
 * });
 * const approval = signal<boolean>("approval");
 * const order = workflow("order", async (card: string) => {
 *   const paymentId = await charge(card);
 *   const decision = await receive(approval, { timeout: "2 days" });
 *   return decision.ok ? `shipped ${paymentId}` : `expired ${paymentId}`;
 * });
 *
 * await using t = await TestEngine.open({ workflows: [order], activities: { charge: async () => "pay_1" } });
 * const run = await t.client.start(order, "4242");
 * await t.skip("2 days");
 * console.log(await t.result(run)); // expired pay_1
 * console.log(t.calls("charge").length); // 1
 */
export class TestEngine {
  /** The typed client. It outlives crashes: what reads is asked again, what writes fails with `transport_failed`. */
  readonly client: Client;
  readonly #options: TestEngineOptions;
  readonly #store: Store;
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #work = new RealWork();
  readonly #giveRejectionsBack = takeRejections();
  readonly #log: LogEntry[] = [];
  readonly #callLog: CallLog;
  #code: Code;
  #limits: RunLimits;
  #programs: ProgramSource;
  #life: Promise<Life>;
  #currentLife: Life | undefined;
  #isOpening = false;
  #closing: Promise<void> | undefined;

  /** Errors: `definition_duplicate`, `invalid_argument`, those of the store. */
  static async open(options: TestEngineOptions): Promise<TestEngine> {
    demandKnownOptions(options, testEngineOptionNames, "a test engine");
    const engine = new TestEngine(options);
    try {
      await engine.#life;
      await engine.settle();
    } catch (error) {
      engine.#release();
      throw error;
    }
    return engine;
  }

  private constructor(options: TestEngineOptions) {
    this.#options = options;
    this.#time = new VirtualTime(Number(options.startAt ?? startAtDefault));
    this.#store = options.store ?? openMemoryStore({ clock: this.#time.clock });
    this.#random = new SeededRandom(`test ${options.seed ?? 1}`);
    this.#callLog = new CallLog(() => this.now(), this.#work);
    const { workflows, activities = [], children = {} } = options;
    this.#code = { workflows, activities, children };
    this.#limits = parseRunLimits(options.limits);
    this.#programs = loadInline([]);
    this.#life = this.#begin();
    this.client = new Client(this.#service());
  }

  /** The wall clock, in milliseconds since 1970. */
  now(): number {
    return this.#time.clock.now();
  }

  /** Lets everything run that can run without time passing, delays of no length included. */
  async settle(): Promise<void> {
    await nextTurn();
    await this.#letSettle();
  }

  /** Lets time pass. What is due on the way happens in order, and everything settles in between. */
  async skip(duration: Duration): Promise<void> {
    const until = this.#time.elapsedMs + parseDuration(duration, "skip");
    await this.settle();
    while ((this.#time.nextAt ?? Number.POSITIVE_INFINITY) <= until) {
      this.#time.fireNext();
      await this.#letSettle();
    }
    this.#time.passUntil(until);
  }

  /**
   * Waits for the end of a run, letting as much time pass as it takes, and gives its result or throws what it failed with.
   *
   * Errors: `result_timeout` when it has not ended `within` the given time, or when nothing can move it any more (the message says
   * what the open runs wait for); `run_blocked`, `run_not_found`.
   */
  async result<Output>(run: RunHandle<Output>, options: TestResultOptions = {}): Promise<Output> {
    demandKnownOptions(options, resultOptionNames, "result of a test engine");
    const within = options.within ?? withinDefault;
    const until = this.#time.elapsedMs + parseDuration(within, "within");
    let hasEnded = false;
    const end = this.#read((service) =>
      service.result({
        workflowId: run.workflowId,
        waitMs: Number.MAX_SAFE_INTEGER,
        ...(run.runId === undefined ? {} : { runId: run.runId }),
      }),
    ).finally(() => {
      hasEnded = true;
    });
    end.catch(() => undefined);
    let appendCount = -1;
    let movedAt = this.#time.elapsedMs;
    await nextTurn();
    for (;;) {
      await this.#letSettle();
      if (hasEnded) {
        await end;
        return run.result();
      }
      const life = await this.#life;
      if (life.kernel.blocked.size > 0) await this.#demandUnblocked(run);
      if (life.appendCount !== appendCount) {
        appendCount = life.appendCount;
        movedAt = this.#time.elapsedMs;
      }
      if (this.#time.elapsedMs > movedAt + patienceMs) movedAt = await this.#demandMovable(run);
      const nextAt = this.#time.nextAt;
      if (nextAt === undefined || nextAt > until) {
        throw await this.#standstill(run, `did not end within ${within} of virtual time`);
      }
      this.#time.fireNext();
    }
  }

  /** A wait in virtual time, for mocks that take their time: `async () => { await t.delay("5s"); return 1; }`. */
  delay(duration: Duration): Promise<void> {
    const ms = parseDuration(duration, "delay");
    return new Promise((resolve) => void this.#time.delay(ms, resolve));
  }

  /** Sets the wall clock forwards or backwards, as an operator or a time server would. No time passes. */
  jumpClock(byMs: number): void {
    this.#time.jump(byMs);
  }

  /**
   * Ends the engine as `kill -9` would, wherever it is, and opens it again over what is in the store. Returns the reports on
   * the runs that had to be taken up. What was in flight is cut off: outcomes of mocks count for nothing, their `delay`s never
   * end, calls of the client that write fail with `transport_failed`.
   */
  async crash(reopen: ReopenOptions = {}): Promise<readonly RecoveryReport[]> {
    demandKnownOptions(reopen, reopenOptionNames, "crash of a test engine");
    if (this.#closing !== undefined) throw new AionError("engine_closed", "the test engine is closed");
    const dead = this.#currentLife;
    this.#currentLife = undefined;
    const { workflows, activities, children } = { ...this.#code, ...reopen };
    this.#code = { workflows, activities, children };
    if (reopen.limits !== undefined) this.#limits = parseRunLimits(reopen.limits);
    const before = this.#life;
    this.#isOpening = true;
    this.#life = (async () => {
      await (dead ?? (await before)).kill();
      this.#time.forgetDelays();
      this.#work.forgetAll();
      return this.#begin();
    })();
    const { reports } = await this.#life;
    await this.settle();
    return [...reports];
  }

  /** The calls of an activity, or of the mock of a child workflow type, by its name, in order; crashes included. */
  calls(name: string): readonly MockCall[] {
    return this.#callLog.of(name);
  }

  /** What workflow code and the engine wrote to the log. */
  get logs(): readonly LogEntry[] {
    return this.#log;
  }

  /** Runs whose code is in memory. */
  get residents(): ReturnType<Residency["list"]> {
    return this.#currentLife?.kernel.residency.list() ?? [];
  }

  /** Attempts of activities under way. */
  get activitiesInFlight(): number {
    return this.#currentLife?.kernel.inFlightCount ?? 0;
  }

  /** Replays all histories against the code, as `close` does. Returns how many runs; throws `nondeterminism`. */
  async checkReplay(): Promise<number> {
    await this.settle();
    return checkReplays({
      store: this.#store,
      programs: this.#programs,
      payloadLimitBytes: this.#options.payloadLimitBytes ?? payloadLimitBytesDefault,
    });
  }

  /** Ends the engine and checks all histories by replay. Throws `nondeterminism` if one diverges. */
  close(options: TestCloseOptions = {}): Promise<void> {
    demandKnownOptions(options, closeOptionNames, "close of a test engine");
    this.#closing ??= this.#close(options.checkReplay ?? true);
    return this.#closing;
  }

  async #close(mustCheck: boolean): Promise<void> {
    try {
      const life = await this.#life;
      await this.settle();
      await life.close();
      if (mustCheck) await this.checkReplay();
    } finally {
      if (this.#options.store === undefined) await this.#store.close();
      this.#release();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #release(): void {
    this.#work.forgetAll();
    this.#giveRejectionsBack();
  }

  async #begin(): Promise<Life> {
    this.#isOpening = true;
    try {
      this.#currentLife = await this.#openLife();
      return this.#currentLife;
    } finally {
      this.#isOpening = false;
    }
  }

  async #openLife(): Promise<Life> {
    const { workflows, activities, children } = this.#code;
    const mocked = Object.entries(children).map(([type, mock]) => toMockedChild(type, mock, this.#callLog));
    const real = workflows.filter((definition) => !Object.hasOwn(children, definition.workflowType));
    this.#programs = loadInline([...real, ...mocked.map((child) => child.workflow)]);
    const { activityConcurrency, activityConcurrencyPerType, residentMax } = this.#options;
    const { payloadLimitBytes, onNondeterminism, onRunLimit } = this.#options;
    return Life.begin({
      store: this.#store,
      time: this.#time,
      random: this.#random,
      log: (level, message, fields) => this.#log.push({ level, message, fields }),
      kernel: {
        programs: this.#programs,
        activities: [...toActivities(activities, this.#callLog), ...mocked.map((child) => child.activity)],
        activityConcurrency: activityConcurrency ?? Number.MAX_SAFE_INTEGER,
        activityConcurrencyPerType: activityConcurrencyPerType ?? {},
        residentMax: residentMax ?? Number.MAX_SAFE_INTEGER,
        payloadLimitBytes: payloadLimitBytes ?? payloadLimitBytesDefault,
        onNondeterminism: onNondeterminism ?? "fail",
        limits: this.#limits,
        onRunLimit: onRunLimit ?? "block",
        outsideWorkflow: (run) => outsideWorkflow(() => this.#work.enter(run)),
      },
    });
  }

  async #letSettle(): Promise<void> {
    for (let fired = 0; ; fired++) {
      await afterMicrotasks();
      while (this.#isMoving()) await nextTurn();
      if ((this.#time.nextAt ?? Number.POSITIVE_INFINITY) > this.#time.elapsedMs) return;
      if (fired >= delaysAtOnceMax) {
        const what = `${fired} delays of no length fired one after the other`;
        throw new AionError("internal", `the test engine does not settle: ${what}`);
      }
      this.#time.fireNext();
    }
  }

  #isMoving(): boolean {
    if (this.#isOpening) return true;
    const life = this.#currentLife;
    if (life === undefined) return false;
    if (life.kernel.inFlightCount === 0) this.#work.forgetAll();
    return life.isMoving || this.#work.isUnderWay;
  }

  /** Throws `run_blocked` in the words of the client. */
  async #demandUnblocked(run: RunHandle): Promise<void> {
    try {
      await run.result({ timeout: 0 });
    } catch (error) {
      if (isAionError(error) && error.code === "run_blocked") throw error;
    }
  }

  /** Until when nothing need be written, although time passes. */
  async #demandMovable(run: RunHandle): Promise<number> {
    const next = await nextInstant(this.#store, this.now());
    if (next === undefined)
      throw await this.#standstill(run, "cannot end: nothing is left that time could move");
    if (next + patienceMs < this.now()) {
      const due = new Date(next).toISOString();
      throw await this.#standstill(run, `cannot end: what was due at ${due} has not happened`);
    }
    return this.#time.elapsedMs + (next - this.now());
  }

  async #standstill(run: RunHandle, what: string): Promise<AionError> {
    return new AionError(
      "result_timeout",
      `workflow ${run.workflowId} ${what}; ${await describeOpen(this.#store, parseWorkflowId(run.workflowId))}`,
      {
        hint: "Send the signal that it waits for, let the mock return, or pass a longer `within`.",
      },
    );
  }

  #service(): Service {
    return {
      start: (request) => this.#write((service) => service.start(request)),
      signal: (request) => this.#write((service) => service.signal(request)),
      cancel: (request) => this.#write((service) => service.cancel(request)),
      terminate: (request) => this.#write((service) => service.terminate(request)),
      update: (request, options) => this.#write((service) => service.update(request, options)),
      updateResult: (request, options) => this.#read((service) => service.updateResult(request, options)),
      pause: (request) => this.#write((service) => service.pause(request)),
      resume: (request) => this.#write((service) => service.resume(request)),
      resumeActivity: (request) => this.#write((service) => service.resumeActivity(request)),
      reopen: (request) => this.#write((service) => service.reopen(request)),
      reset: (request) => this.#write((service) => service.reset(request)),
      fork: (request) => this.#write((service) => service.fork(request)),
      query: (request) => this.#read((service) => service.query(request)),
      result: (request) => this.#read((service) => service.result(request)),
      describe: (address) => this.#read((service) => service.describe(address)),
      list: (request) => this.#read((service) => service.list(request)),
      count: (filter) => this.#read((service) => service.count(filter)),
      history: (request) => this.#read((service) => service.history(request)),
      logs: (request) => this.#read((service) => service.logs(request)),
      feed: (request) => this.#read((service) => service.feed(request)),
      deploy: (request) => this.#write((service) => service.deploy(request)),
      listPackages: (filter) => this.#read((service) => service.listPackages(filter)),
      listWorkers: (request) => this.#read((service) => service.listWorkers(request)),
      route: (request) => this.#write((service) => service.route(request)),
      unload: (request) => this.#write((service) => service.unload(request)),
      createSchedule: (request) => this.#write((service) => service.createSchedule(request)),
      updateSchedule: (request) => this.#write((service) => service.updateSchedule(request)),
      describeSchedule: (request) => this.#read((service) => service.describeSchedule(request)),
      listSchedules: (request) => this.#read((service) => service.listSchedules(request)),
      pauseSchedule: (request) => this.#write((service) => service.pauseSchedule(request)),
      resumeSchedule: (request) => this.#write((service) => service.resumeSchedule(request)),
      triggerSchedule: (request) => this.#write((service) => service.triggerSchedule(request)),
      backfillSchedule: (request) => this.#write((service) => service.backfillSchedule(request)),
      deleteSchedule: (request) => this.#write((service) => service.deleteSchedule(request)),
    };
  }

  async #write<Reply>(ask: (service: Service) => Promise<Reply>): Promise<Reply> {
    const { service, over } = await this.#life;
    const answer = await Promise.race([ask(service).then((reply) => ({ reply })), over]);
    if (answer !== undefined) return answer.reply;
    throw new AionError("transport_failed", "the engine crashed before it answered");
  }

  async #read<Reply>(ask: (service: Service) => Promise<Reply>): Promise<Reply> {
    for (;;) {
      const { service, over } = await this.#life;
      const answer = await Promise.race([ask(service).then((reply) => ({ reply })), over]);
      if (answer !== undefined) return answer.reply;
      if (this.#closing !== undefined) throw new AionError("engine_closed", "the test engine is closed");
    }
  }
}

/** Captured, so that a test may replace the platform's timers. */
const { setImmediate: immediate } = globalThis;
const nextTick = process.nextTick.bind(process);

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void immediate(resolve));
}

/** A tick begins when no microtask is left, and costs a fraction of a turn: most delays of the engine lead to nothing. */
function afterMicrotasks(): Promise<void> {
  return new Promise((resolve) => nextTick(resolve));
}
