/**
 * A machine that can be killed, for tests: engines that live one after the other over a store that survives them,
 * on a clock that moves only when nothing else does.
 *
 * Owner: one test. Laws: a dead process does nothing more, whatever was under way in it: no callback, no answer from the
 * store, no effect. Time stands still while anything moves. What an activity does to the outside is in the ledger.
 */
import { Client } from "../../src/client/client.ts";
import { decodeEvent } from "../../src/client/decoded-views.ts";
import { AionError, isAionError } from "../../src/core/errors.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { Payload } from "../../src/core/payload.ts";
import type { PayloadMap, SyncPayloadCodec } from "../../src/core/payload-codec.ts";
import type { LogLevel, Ports, Scheduler } from "../../src/core/ports.ts";
import type { KernelOptions } from "../../src/engine/kernel-options.ts";
import { Kernel } from "../../src/engine/kernel.ts";
import { Operations } from "../../src/engine/operations.ts";
import type { RecoveryReport } from "../../src/engine/recovery.ts";
import { withCodec } from "../../src/program/coded-programs.ts";
import { loadInline, outsideWorkflow } from "../../src/program/inline.ts";
import type { ProgramSource } from "../../src/program/program.ts";
import type { Commit, CommitResult, OwnerToken, RunRecord, Store } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import type { ActivityTask, AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import { overStore } from "./over-store.ts";

/** What goes wrong with an append. */
export type Fault =
  /** The process dies; nothing was written. */
  | "crash-before"
  /** The process dies; all was written, and nobody was told. */
  | "crash-after"
  /** The store cannot say; it was written. */
  | "unknown-made"
  /** The store cannot say; it was not written. */
  | "unknown-lost"
  /** The disk is full; nothing was written. */
  | "full"
  /** The disk failed, and the engine stops; all was written. */
  | "failed-made"
  /** The disk failed, and the engine stops; nothing was written. */
  | "failed-lost";

export interface AppendSeen {
  /** 1-based, over all processes of the world. */
  readonly number: number;
  readonly commits: readonly Commit[];
  readonly process: Process;
}

/** An attempt of an activity that reached the outside. */
export interface Effect {
  readonly key: string;
  readonly activityType: string;
  readonly attempt: number;
  readonly input: unknown;
  readonly processNumber: number;
  readonly atMs: number;
}

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

export interface WorldOptions {
  readonly workflows: (world: World) => readonly AnyWorkflow[];
  readonly activities?: (world: World) => readonly AnyActivity[];
  /** Asked before every append. */
  readonly fault?: (seen: AppendSeen) => Fault | undefined;
  /** Told of every append that is about to be written. */
  readonly onAppend?: (seen: AppendSeen) => void;
  /** Of the engine, and of its client. */
  readonly codec?: SyncPayloadCodec;
  readonly wrapPrograms?: (programs: ProgramSource, ports: Ports) => ProgramSource;
  readonly kernel?: Partial<
    Pick<
      KernelOptions,
      | "limits"
      | "onRunLimit"
      | "onNondeterminism"
      | "residentMax"
      | "activityConcurrency"
      | "activityConcurrencyPerType"
      | "payloadLimitBytes"
      | "workers"
    >
  >;
  /** Default: a new memory store on the world's clock. */
  readonly store?: (world: World) => Store;
  /** A process that died is followed by another. Default true. */
  readonly restarts?: boolean;
  /** The reports of a start are read. Default true. */
  readonly reports?: boolean;
}

export interface Process {
  readonly number: number;
  readonly kernel: Kernel;
  readonly client: Client;
  /** Of its start. */
  readonly reports: readonly RecoveryReport[];
  isAlive: boolean;
}

interface Delay {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Far longer than any test lasts: leases are not what these tests are about. */
const leaseMs = 1e13;
const startMs = 1_700_000_000_000;
const quietTurns = 2;
/** Far more than any test needs: something is tried again for ever. */
const stepsMax = 50_000;
/** What a client takes for a reason to ask again. */
const passing: ReadonlySet<ErrorCode> = new Set([
  "commit_unknown",
  "engine_closed",
  "store_full",
  "store_failed",
]);
const never = new Promise<never>(() => undefined);

export class World {
  nowMs = startMs;
  readonly store: Store;
  readonly effects: Effect[] = [];
  readonly logged: LogLine[] = [];
  /** Reads of histories by engines, by workflow id, in order. */
  readonly historyReads: string[] = [];
  appendCount = 0;
  crashCount = 0;
  readonly #options: WorldOptions;
  readonly #delays = new Set<Delay>();
  readonly #waiting: ((process: Process) => void)[] = [];
  readonly #failures: Error[] = [];
  #process: Process | undefined;
  #opening: Promise<unknown> | undefined;
  #moves = 0;
  #delayCount = 0;
  #uuidCount = 0;
  #processCount = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.store =
      options.store?.(this) ??
      openMemoryStore({ clock: { now: () => this.nowMs }, defer: (done) => queueMicrotask(done) });
  }

  get process(): Process {
    if (this.#process === undefined) throw new Error("no process is up");
    return this.#process;
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  /** The engine that is up, or the next one that will be. */
  up(): Promise<Process> {
    if (this.#process !== undefined) return Promise.resolve(this.#process);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Starts an engine over what the store holds. */
  async open(): Promise<Process> {
    const opening = this.#open();
    this.#opening = opening;
    try {
      return await opening;
    } finally {
      if (this.#opening === opening) this.#opening = undefined;
    }
  }

  async #open(): Promise<Process> {
    const number = (this.#processCount += 1);
    const life = { isAlive: true };
    const { store, ports } = this.#portsOf(life, number);
    const token = await store.claim({ leaseMs });
    const { codec } = this.#options;
    const inline = loadInline(this.#options.workflows(this));
    const programs = codec === undefined ? inline : withCodec(inline, codec);
    const coded = codec === undefined ? {} : { codec };
    const reports: RecoveryReport[] = [];
    const kernel = new Kernel({
      store,
      token,
      leaseMs,
      ports,
      programs: this.#options.wrapPrograms?.(programs, ports) ?? programs,
      activities: this.#options.activities?.(this) ?? [],
      activityConcurrency: 100,
      activityConcurrencyPerType: {},
      residentMax: 1_000,
      payloadLimitBytes: 1_000_000,
      onNondeterminism: "fail",
      outsideWorkflow,
      ...coded,
      ...(this.#options.reports === false ? {} : { onRecovery: (report) => reports.push(report) }),
      // The operator's part: what stopped is started anew.
      onStopped: (error) => {
        if (error.code === "store_failed") queueMicrotask(() => this.kill());
      },
      ...this.#options.kernel,
    });
    const process: Process = {
      number,
      kernel,
      client: new Client(new Operations(kernel), coded),
      reports,
      get isAlive() {
        return life.isAlive;
      },
      set isAlive(value) {
        life.isAlive = value;
      },
    };
    this.#born = { process, token };
    await kernel.start();
    if (life.isAlive) {
      this.#process = process;
      for (const tell of this.#waiting.splice(0)) tell(process);
    }
    return process;
  }

  /** The process that holds the store, from before its start is over. */
  #born: { readonly process: Process; readonly token: OwnerToken } | undefined;

  /** `kill -9`. */
  kill(): void {
    const born = this.#born;
    if (born === undefined) return;
    this.#born = undefined;
    this.#process = undefined;
    born.process.isAlive = false;
    this.crashCount += 1;
    this.#moves += 1;
    // Its process is gone, and everybody can see that.
    void this.store.release(born.token);
    if (this.#options.restarts !== false)
      this.open().catch((error: unknown) => this.#failures.push(error as Error));
  }

  /** Another process takes the store over from one that lives and has been silent for longer than its lease. */
  async takeOver(): Promise<Process> {
    this.nowMs += leaseMs + 1;
    return this.open();
  }

  /** A graceful stop. */
  async close(graceMs = 0): Promise<void> {
    const { process } = this;
    this.#process = undefined;
    await this.during(process.kernel.close(graceMs));
    process.isAlive = false;
    this.#born = undefined;
  }

  #portsOf(
    life: { readonly isAlive: boolean },
    number: number,
  ): { readonly store: Store; readonly ports: Ports } {
    const scheduler: Scheduler = {
      turn: (callback) => {
        this.#moves += 1;
        setImmediate(() => {
          this.#moves += 1;
          if (life.isAlive) callback();
        });
      },
      delay: (delayMs, callback) =>
        this.#delay(delayMs, () => {
          if (life.isAlive) callback();
        }),
    };
    const alive = <Args extends readonly unknown[], Result>(
      run: (...args: Args) => Promise<Result>,
    ): ((...args: Args) => Promise<Result>) => {
      return async (...args) => {
        if (!life.isAlive) return never;
        this.#moves += 1;
        const result = await run(...args);
        this.#moves += 1;
        return life.isAlive ? result : never;
      };
    };
    const inner = this.store;
    const reads = {
      readSegment: alive((...args: Parameters<Store["readSegment"]>) => {
        this.historyReads.push(args[0].workflowId);
        return inner.readSegment(...args);
      }),
      readHistoryFrom: alive((...args: Parameters<Store["readHistoryFrom"]>) => {
        this.historyReads.push(args[0]);
        return inner.readHistoryFrom(...args);
      }),
      findRun: alive((...args: Parameters<Store["findRun"]>) => inner.findRun(...args)),
      findRunByKey: alive((...args: Parameters<Store["findRunByKey"]>) => inner.findRunByKey(...args)),
      listActive: alive((...args: Parameters<Store["listActive"]>) => inner.listActive(...args)),
      listDue: alive((...args: Parameters<Store["listDue"]>) => inner.listDue(...args)),
      listMessages: alive((...args: Parameters<Store["listMessages"]>) => inner.listMessages(...args)),
    };
    const store = overStore(inner, {
      ...reads,
      append: alive((token: OwnerToken, commits: readonly Commit[]) => this.#append(token, commits)),
      release: alive((token: OwnerToken) => inner.release(token)),
    });
    const ports: Ports = {
      clock: { now: () => this.nowMs },
      random: {
        number: () => 0.5,
        uuid: () => {
          this.#uuidCount += 1;
          return `uuid-${String(this.#uuidCount).padStart(4, "0")}-of-${number}`;
        },
      },
      scheduler,
      log: (level, message, fields) => this.logged.push({ level, message, fields }),
    };
    return { store, ports };
  }

  async #append(token: OwnerToken, commits: readonly Commit[]): Promise<readonly CommitResult[]> {
    const born = this.#born;
    if (born === undefined) return never;
    this.appendCount += 1;
    const seen: AppendSeen = { number: this.appendCount, commits, process: born.process };
    this.#options.onAppend?.(seen);
    const fault = this.#options.fault?.(seen);
    switch (fault) {
      case undefined:
        return this.store.append(token, commits);
      case "crash-before":
        this.kill();
        return never;
      case "crash-after":
        void this.store.append(token, commits);
        this.kill();
        return never;
      case "unknown-made":
        await this.store.append(token, commits);
        throw new AionError("commit_unknown", "the answer to a commit was lost");
      case "unknown-lost":
        throw new AionError("commit_unknown", "the answer to a commit was lost");
      case "full":
        throw new AionError("store_full", "no space is left");
      case "failed-made":
        await this.store.append(token, commits);
        throw new AionError("store_failed", "fsync: EIO");
      case "failed-lost":
        throw new AionError("store_failed", "fsync: EIO");
    }
  }

  // The outside.

  #delay(delayMs: number, fire: () => void): () => void {
    const delay: Delay = { at: this.nowMs + delayMs, order: (this.#delayCount += 1), fire };
    this.#delays.add(delay);
    return () => this.#delays.delete(delay);
  }

  /** Waits in the world's time; for activities, which die with their process. */
  pause(ms: number): Promise<void> {
    const born = this.#born?.process;
    return new Promise((resolve) => {
      this.#delay(ms, () => {
        if (born === undefined || born.isAlive) resolve();
      });
    });
  }

  /** Waits in the world's time; for clients, whom no crash touches. */
  idle(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#delay(ms, () => {
        this.#moves += 1;
        resolve();
      });
    });
  }

  /** An activity does something that cannot be undone. A dead process does nothing. */
  async effect(task: ActivityTask, input: unknown): Promise<void> {
    const born = this.#born?.process;
    if (born === undefined || !born.isAlive) return never;
    this.effects.push({
      key: task.idempotencyKey,
      activityType: task.activityType,
      attempt: task.attempt,
      input,
      processNumber: born.number,
      atMs: this.nowMs,
    });
  }

  /** How often each key was executed. */
  effectCounts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { key } of this.effects) counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts;
  }

  /**
   * A call as a careful client makes it: repeated until it is answered, since the process may die under it and a
   * passing error says nothing about what was done. The caller makes it repeatable (ids).
   */
  async call<Result>(run: (client: Client, process: Process) => Promise<Result>): Promise<Result> {
    for (;;) {
      const process = await this.up();
      const gone = new Promise<"gone">((resolve) => this.#onDeath(process, () => resolve("gone")));
      try {
        const answer = await Promise.race([
          run(process.client, process).then((result) => ({ result })),
          gone,
        ]);
        if (answer !== "gone") return answer.result;
      } catch (error) {
        if (!isAionError(error) || !passing.has(error.code)) throw error;
        // An operator starts the engine that stopped anew; whoever asks at once again may still meet the old one.
        await Promise.resolve();
      }
    }
  }

  /** Resolves when the process that is up has died. */
  death(): Promise<void> {
    const born = this.#born?.process;
    if (born === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onDeath(born, resolve));
  }

  #onDeath(process: Process, tell: () => void): void {
    const look = (): void => {
      if (process.isAlive) this.#watchers.add(look);
      else tell();
    };
    look();
  }

  readonly #watchers = new Set<() => void>();

  // Time.

  /** Until nothing moves. Time stands still. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < quietTurns;) {
      const before = this.#moves;
      for (const look of [...this.#watchers]) {
        this.#watchers.delete(look);
        look();
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
      quiet = this.#moves === before ? quiet + 1 : 0;
    }
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
  }

  /** Lets the world go on until `isDone`, or until nothing happens before `untilMs`. True: it is done. */
  async runUntil(isDone: () => boolean, untilMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    for (let stepCount = 0; ; stepCount++) {
      await this.settle();
      if (isDone()) return true;
      if (stepCount > stepsMax) throw new Error(`the world does not come to rest: ${this.#lastLogged()}`);
      let next: Delay | undefined;
      for (const delay of this.#delays) {
        if (next === undefined || delay.at < next.at || (delay.at === next.at && delay.order < next.order)) {
          next = delay;
        }
      }
      if (next === undefined || next.at > untilMs) {
        if (untilMs !== Number.POSITIVE_INFINITY) this.nowMs = Math.max(this.nowMs, untilMs);
        return false;
      }
      this.nowMs = Math.max(this.nowMs, next.at);
      this.#delays.delete(next);
      this.#moves += 1;
      next.fire();
    }
  }

  #lastLogged(): string {
    return this.logged
      .slice(-3)
      .map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`)
      .join("; ");
  }

  /** Lets so much time pass. */
  async advance(ms: number): Promise<void> {
    await this.runUntil(() => false, this.nowMs + ms);
  }

  /** Lets the world go on until the promise is settled. */
  async during<Result>(promise: Promise<Result>, limitMs = 10 * 365 * 86_400_000): Promise<Result> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
      this.#moves += 1;
    });
    settled.catch(() => undefined);
    if (!(await this.runUntil(() => isSettled, this.nowMs + limitMs))) {
      throw new Error(`what was waited for did not come within ${limitMs} ms of the world's time`);
    }
    return settled;
  }

  // What is on disk.

  /** Decoded, if the world has a codec. */
  async history(workflowId: string): Promise<readonly Event[]> {
    const events = await this.store.readHistory(workflowId as WorkflowId);
    const { codec } = this.#options;
    if (codec === undefined) return events;
    const decode: PayloadMap = (payload, context) => codec.decode(payload, context) as Payload;
    return events.map((event) => decodeEvent(event, decode));
  }

  /** All runs, in the order in which they were accepted. */
  async runs(): Promise<readonly RunRecord[]> {
    const { runs } = await this.store.list({}, { limit: 100_000 });
    return runs.toReversed();
  }
}
