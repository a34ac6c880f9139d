import { AionError } from "../src/core/errors.ts";
import { encodeCatalogChange } from "../src/store/catalog.ts";
import type {
  CatalogChange,
  Commit,
  CommitResult,
  OwnerClaim,
  OwnerToken,
  RunRef,
  Store,
} from "../src/store/contract.ts";
import type { Auditor } from "./auditor.ts";
import type { Dice } from "./dice.ts";
import { SimulationFailure } from "./failure.ts";
import type { LimitsPlan } from "./limit-oracle.ts";
import type { FaultKind, StoreKind } from "./plan.ts";
import type { PostgresFault } from "./postgres-errors.ts";
import { drawPostgresFault, judgePostgres, postgresAttemptsMax } from "./postgres-errors.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { Statistics } from "./statistics.ts";
import type { Trace } from "./trace.ts";

/** What a store's side wants to know of an engine. */
export interface StoreClient {
  readonly skewMs: number;
  readonly limits: LimitsPlan | undefined;
}

/** A call that is carried out so long after it was made makes what hangs on it late. */
const lateMs = 500;

/** What links of one world have in common. */
export interface StoreSide {
  readonly inner: Store;
  readonly kind: StoreKind;
  readonly auditor: Auditor;
  readonly schedule: Schedule;
  readonly statistics: Statistics;
  readonly trace: Trace;
  readonly dice: Dice;
  /** The clock that the store goes by for leases: a server has its own, a library that of the machine it runs on. */
  readonly leaseClock: { skewMs: number };
  /** The store's own side: goes on when an engine is frozen or dead. */
  readonly actor: Actor;
  /** False once all is well. */
  isFaulty(kind: FaultKind): boolean;
  /** Whether it happens now, if it usually does so often. */
  meets(kind: FaultKind, share: number): boolean;
  /** An engine was told that the outcome of a write is unknown: it will look what became of it. */
  onDoubt(engine: Actor): void;
  /** It did late what it was asked, whether or not it is slow still. */
  onLate(): void;
  /** Whether nobody reaches the store. */
  isOut(): boolean;
  fail(error: unknown): void;
}

const writes: ReadonlySet<string> = new Set([
  "claim",
  "renew",
  "release",
  "append",
  "deleteClosed",
  "changeCatalog",
]);
/** Refusals of what was perhaps made. */
const doubtful: ReadonlySet<string> = new Set(["commit_unknown", "store_failed"]);
const untouched: ReadonlySet<string> = new Set(["name", "close", "then"]);

type Mishap =
  /** Nothing is written, and the engine is told so. */
  | "refused"
  | "full"
  /** Made or not, the engine is not told. */
  | "unknown-made"
  | "unknown-lost"
  /** The disk failed: from now on this engine writes nothing. */
  | "failed-made"
  | "failed-lost";

/** What became of a write, and what its caller was told. */
interface Fate {
  isMade: boolean;
  told: string | undefined;
}

interface Write {
  readonly apply: () => Promise<unknown>;
  isApplied: boolean;
}

/**
 * One engine's way to the store, on which everything can go wrong that the contract allows.
 *
 * Laws: writes are made in the order in which they were asked for, and answered in that order unless the store is a server.
 * What was asked is what the caller said at that moment, whatever it does to it later. An engine that dies amid its writes
 * leaves the first of them made, and the others not.
 */
export class StoreLink {
  readonly store: Store;
  /** Of the claim that was made, whether the engine heard of it or not. */
  token: OwnerToken | undefined;
  /** Up to where an operator has had runs deleted: those that closed before it. */
  deletesBefore = Number.NEGATIVE_INFINITY;
  readonly #side: StoreSide;
  readonly #engine: Actor & StoreClient;
  readonly #writeLane: Lane;
  readonly #answerLane: Lane;
  readonly #writes: Write[] = [];
  #lastWriteAt = 0;
  #lastAnswerAt = 0;
  #failure: AionError | undefined;

  constructor(side: StoreSide, engine: Actor & StoreClient) {
    this.#side = side;
    this.#engine = engine;
    // A server goes on with what it was asked while its client is frozen; a library does not.
    this.#writeLane = new Lane(side.kind === "postgres" ? side.actor : engine);
    this.#answerLane = new Lane(engine);
    this.store = new Proxy(side.inner, {
      get: (target, key): unknown => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function" || untouched.has(String(key))) return member;
        return (...args: readonly unknown[]) => this.#ask(String(key), member, args);
      },
    });
  }

  /**
   * The engine has died. Resolves when its last writes are made: one after the other, each held against the laws before the next,
   * since what a deletion left is read after it.
   */
  async cut(): Promise<void> {
    const { schedule } = this.#side;
    const left = this.#writes.splice(0).filter((write) => !write.isApplied);
    if (left.length === 0) return;
    const madeCount = this.#side.dice.int(0, left.length);
    const made: Write[] = [];
    for (const [index, write] of left.entries()) {
      const isMade = index < madeCount && !this.#side.isOut() && this.#failure === undefined;
      this.#side.statistics.note(
        isMade
          ? "engine crashed amid a write that was made"
          : "engine crashed amid a write that was not made",
      );
      this.#side.trace.add(`  ${this.#engine.name} dies amid a write: ${isMade ? "made" : "not made"}`);
      write.isApplied = true;
      if (isMade) made.push(write);
    }
    schedule.callsUnderWay += 1;
    for (const write of made) await write.apply().catch(() => undefined);
    schedule.callsUnderWay -= 1;
  }

  #ask(name: string, member: unknown, given: readonly unknown[]): Promise<unknown> {
    const side = this.#side;
    const isWrite = writes.has(name);
    const args = copyOfArguments(name, given);
    const mishap = isWrite ? this.#mishapOfWrite(name) : this.#mishapOfRead();
    side.trace.add(
      `  ${this.#engine.name} asks: ${describe(name, args)}${mishap === undefined ? "" : ` (${mishap})`}`,
    );
    return new Promise((resolve, reject) => {
      if (this.#engine.isGone) return;
      const answer = (what: string, settle: () => void): void =>
        this.#answer(isWrite, `${name}: ${what}`, settle);
      const fate: Fate = { isMade: false, told: undefined };
      const apply = async (): Promise<unknown> => {
        const result = await this.#apply(name, member, args);
        fate.isMade = true;
        // What reading tells after a refusal is final.
        if (fate.told !== undefined) this.#failFate(`made after its caller was told ${fate.told}`);
        return result;
      };
      const refuse = (error: AionError): void =>
        answer(error.code, () => {
          fate.told = error.code;
          if (fate.isMade && !doubtful.has(error.code))
            this.#failFate(`made, and its caller told ${error.code}`);
          reject(error);
          if (error.code === "commit_unknown") side.onDoubt(this.#engine);
        });
      const write: Write = { apply, isApplied: false };
      if (isWrite) this.#writes.push(write);
      const carryOut = (attempt: number): void => {
        if (isWrite && attempt === 1) {
          if (write.isApplied) return;
          write.isApplied = true;
          this.#writes.splice(this.#writes.indexOf(write), 1);
        }
        const isOut = side.isOut();
        const refusal = isOut
          ? new AionError("store_unavailable", "the store is out of order")
          : this.#refusal(mishap, isWrite);
        if (isOut) side.statistics.note("store out of order");
        const isMade =
          !isOut && (mishap === undefined || mishap === "unknown-made" || mishap === "failed-made");
        if (!isMade || (isWrite && this.#failure !== undefined && mishap !== "failed-made")) {
          const error = refusal ?? this.#failure ?? new AionError("internal", "a call without an answer");
          refuse(error);
          return;
        }
        const fault =
          side.kind === "postgres" && mishap === undefined
            ? drawPostgresFault({
                isWrite,
                dice: side.dice,
                meets: (kind, share) => side.meets(kind, share),
                note: (remark) => side.statistics.note(remark),
              })
            : undefined;
        if (fault !== undefined) {
          this.#failTransaction(fault, {
            attempt,
            apply,
            carryOut,
            refuse,
          });
          return;
        }
        if (attempt > 1) side.statistics.note("PostgreSQL: transaction made after it was rolled back");
        apply().then(
          (result) => {
            if (refusal === undefined) answer("done", () => resolve(result));
            else refuse(refusal);
          },
          (error: unknown) => answer(codeOf(error), () => reject(error)),
        );
      };
      const now = side.schedule.time.elapsedMs;
      const begin = (): void => {
        if (side.schedule.time.elapsedMs - now >= lateMs) side.onLate();
        carryOut(1);
      };
      if (isWrite) {
        this.#lastWriteAt = Math.max(this.#lastWriteAt, now + this.#latency());
        side.schedule.after(this.#lastWriteAt - now, this.#writeLane, `store does ${name}`, begin);
      } else
        side.schedule.after(this.#latency(), new Lane(this.#writeLane.actor), `store does ${name}`, begin);
    });
  }

  /** The first law of the contract. */
  #failFate(what: string): void {
    this.#side.fail(new SimulationFailure("refused-and-made", `a write of ${this.#engine.name} was ${what}`));
  }

  /** What the backend makes of an error of the server's, and what the server makes of the transaction. */
  #failTransaction(
    fault: PostgresFault,
    of: {
      readonly attempt: number;
      readonly apply: () => Promise<unknown>;
      readonly carryOut: (attempt: number) => void;
      readonly refuse: (error: AionError) => void;
    },
  ): void {
    const { schedule, statistics, dice, trace, actor } = this.#side;
    const { attempt, apply, carryOut, refuse } = of;
    const verdict = judgePostgres(fault);
    trace.add(`  ${fault.sqlstate} at the ${fault.moment}: ${verdict === "again" ? verdict : verdict.code}`);
    if (verdict === "again") {
      if (attempt >= postgresAttemptsMax) {
        statistics.note("PostgreSQL: transaction given up, rolled back too often");
        refuse(new AionError("store_unavailable", `rolled back ${attempt} times: ${fault.text}`));
        return;
      }
      const afterMs = dice.int(1, 20 * attempt);
      schedule.after(afterMs, new Lane(this.#engine), "transaction again", () => carryOut(attempt + 1));
      return;
    }
    if (fault.moment !== "commit") {
      refuse(verdict);
      return;
    }
    // The server has the commit or not, and ends the transaction in its own time, whatever becomes of its client.
    const isMade = dice.chance(0.5);
    schedule.after(dice.pick([0, 0, 5, 200, 2_000]), new Lane(actor), "server ends a transaction", () => {
      statistics.note(
        isMade ? "PostgreSQL: commit unknown, and made" : "PostgreSQL: commit unknown, and not made",
      );
      const end = (): void => refuse(verdict);
      if (isMade) apply().then(end, end);
      else end();
    });
  }

  #answer(isWrite: boolean, what: string, settle: () => void): void {
    const { schedule, kind } = this.#side;
    const now = schedule.time.elapsedMs;
    const delayMs = this.#latency() === 0 ? 0 : this.#side.dice.int(0, 20);
    if (!isWrite || kind === "postgres") {
      schedule.after(delayMs, new Lane(this.#engine), what, settle);
      return;
    }
    this.#lastAnswerAt = Math.max(this.#lastAnswerAt, now + delayMs);
    schedule.after(this.#lastAnswerAt - now, this.#answerLane, what, settle);
  }

  async #apply(name: string, member: unknown, args: readonly unknown[]): Promise<unknown> {
    const side = this.#side;
    side.schedule.callsUnderWay += 1;
    if (side.kind !== "postgres") side.leaseClock.skewMs = this.#engine.skewMs;
    try {
      const result: unknown = await (Reflect.apply(
        member as () => unknown,
        side.inner,
        args,
      ) as Promise<unknown>);
      await this.#audit(name, args, result);
      return result;
    } catch (error) {
      if (codeOf(error) === "not_owner" && name === "append")
        side.statistics.note("write of a replaced owner refused");
      if (codeOf(error) === "not_owner" && name === "deleteClosed")
        side.statistics.note("deletion by a replaced owner refused");
      if (codeOf(error) === "store_owned") side.statistics.note("claim refused, the owner being alive");
      throw error;
    } finally {
      side.schedule.callsUnderWay -= 1;
    }
  }

  async #audit(name: string, args: readonly unknown[], result: unknown): Promise<void> {
    const { auditor, statistics, trace, schedule } = this.#side;
    const nowMs = schedule.time.clock.now();
    try {
      if (name === "claim") {
        this.token = result as OwnerToken;
        auditor.claimed(this.token.epoch, {
          nowMs,
          leaseMs: (args[0] as OwnerClaim).leaseMs,
          skewMs: this.#engine.skewMs,
          limits: this.#engine.limits,
        });
        trace.add(`  epoch ${this.token.epoch}`);
      }
      if (name === "readSegment") this.#noteReading(args[0] as RunRef);
      if (name === "renew") statistics.note("lease renewed");
      if (name === "renew" || name === "append") auditor.shown((args[0] as OwnerToken).epoch, nowMs);
      if (name === "release") auditor.released((args[0] as OwnerToken).epoch);
      if (name === "append") {
        const commits = args[1] as readonly Commit[];
        const results = result as readonly CommitResult[];
        for (const [index, commit] of commits.entries())
          trace.add(`  ${describeCommit(commit, results[index])}`);
        auditor.appended((args[0] as OwnerToken).epoch, commits, results);
      }
      if (name === "deleteClosed") {
        const [{ epoch }, closedBefore, limit] = args as [OwnerToken, number, number];
        const count = result as number;
        if (closedBefore > this.deletesBefore)
          throw new SimulationFailure(
            "deleted-wrongly",
            `asked for what closed before ${closedBefore}, and ${this.deletesBefore} was said`,
          );
        trace.add(`  deleted ${count} that closed before ${closedBefore}`);
        const { runs } = await this.#side.inner.list({}, { limit: 10_000 });
        auditor.deleted({ epoch, closedBefore, limit, count }, runs);
      }
    } catch (failure) {
      this.#side.fail(failure);
    }
  }

  #noteReading({ workflowId }: RunRef): void {
    const { auditor, statistics } = this.#side;
    const run = auditor.latest(workflowId);
    if (run?.isOpen === true && run.epoch === this.token?.epoch)
      statistics.note("run read anew by its own engine");
  }

  #mishapOfWrite(name: string): Mishap | undefined {
    const { dice } = this.#side;
    const meets = (kind: FaultKind, share: number): boolean =>
      this.#side.isFaulty(kind) && dice.chance(share);
    if (meets("write-refused", 0.05)) return "refused";
    if (name !== "append") return undefined;
    if (meets("disk-full", 0.03)) return "full";
    if (meets("commit-unknown", 0.08)) return dice.pick(["unknown-made", "unknown-lost"]);
    if (meets("disk-failed", 0.01)) return dice.pick(["failed-made", "failed-lost"]);
    return undefined;
  }

  #mishapOfRead(): Mishap | undefined {
    return this.#side.meets("read-failed", 0.05) ? "refused" : undefined;
  }

  #refusal(mishap: Mishap | undefined, isWrite: boolean): AionError | undefined {
    const { statistics } = this.#side;
    if (isWrite && this.#failure !== undefined) return this.#failure;
    switch (mishap) {
      case undefined:
        return undefined;
      case "refused":
        statistics.note(isWrite ? "write refused, nothing written" : "read failed");
        return new AionError("store_unavailable", "the store is busy");
      case "full":
        statistics.note("disk full");
        return new AionError("store_full", "no space is left");
      case "unknown-made":
      case "unknown-lost":
        statistics.note(
          mishap === "unknown-made" ? "commit unknown, and made" : "commit unknown, and not made",
        );
        return new AionError("commit_unknown", "the answer to a commit was lost");
      case "failed-made":
      case "failed-lost":
        this.#failure = new AionError("store_failed", "fsync: EIO");
        return this.#failure;
    }
  }

  #latency(): number {
    const { dice } = this.#side;
    if (!this.#side.isFaulty("slow-store")) return 0;
    return dice.weighted([
      [6, 0],
      [3, 5],
      [1, dice.int(10, 400)],
      [0.1, dice.int(1_000, 8_000)],
    ]);
  }
}

function copyOfArguments(name: string, given: readonly unknown[]): readonly unknown[] {
  if (name === "append") return [given[0], (given[1] as readonly Commit[]).map(copyOf)];
  if (name === "changeCatalog") return [given[0], encodeCatalogChange(given[1] as CatalogChange)];
  return given;
}

/** What a store would have made text of within the call. */
function copyOf(commit: Commit): Commit {
  const { run, start, send, consume, needsPackage } = commit;
  return {
    ...(run === undefined ? {} : { run: { ...run, events: [...run.events] } }),
    ...(start === undefined ? {} : { start: { ...start, events: [...start.events] } }),
    ...(send === undefined ? {} : { send: [...send] }),
    ...(consume === undefined ? {} : { consume: [...consume] }),
    ...(needsPackage === undefined ? {} : { needsPackage }),
  };
}

function describe(name: string, args: readonly unknown[]): string {
  if (name === "append") return `append of ${(args[1] as readonly Commit[]).length}`;
  return name;
}

function describeCommit({ run, start, send, consume }: Commit, result: CommitResult | undefined): string {
  const parts: string[] = [];
  if (run !== undefined)
    parts.push(
      `${run.workflowId} ${run.expectedSeq}+ ${run.events.map(({ type }) => type).join()} wake ${run.wakeAt}`,
    );
  if (run?.blocked !== undefined) parts.push(`blocked: ${run.blocked}`);
  if (start !== undefined)
    parts.push(
      `${start.workflowId} begins at ${start.firstSeq}: ${start.events.map(({ type }) => type).join()}`,
    );
  if (send !== undefined)
    parts.push(`sends ${send.map(({ target, message }) => `${message.kind}>${target}`).join()}`);
  if (consume !== undefined) parts.push(`answers ${consume.join()}`);
  return `${result?.ok === true ? "made" : `refused (${result?.error.code})`}: ${parts.join("; ")}`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
