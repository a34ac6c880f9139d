import type { NewEvent } from "../src/core/codec.ts";
import { encodeRow } from "../src/core/codec.ts";
import type { WorkflowId } from "../src/core/ids.ts";
import type { Message } from "../src/core/message.ts";
import { coordinatorType } from "../src/core/schedule.ts";
import { isTerminal, statusAfter } from "../src/core/status.ts";
import type { Commit, CommitResult, OutgoingMessage, RunRecord, Store } from "../src/store/contract.ts";
import { checkCarried, checkSaid } from "./attribute-oracle.ts";
import type { AttemptWatch } from "./audited-activities.ts";
import { AuditedRun } from "./audited-run.ts";
import { untoldBy } from "./cancel-oracle.ts";
import { SimulationFailure } from "./failure.ts";
import type { Counts, LimitsPlan } from "./limit-oracle.ts";
import {
  checkHeld,
  checkHeldSoon,
  checkLimits,
  checkLimitVerdict,
  countsOf,
  noCounts,
} from "./limit-oracle.ts";
import { checkChildrenOfReopened } from "./reopen-oracle.ts";
import { coordinatorOf, ScheduleOracle } from "./schedule-oracle.ts";
import type { Statistics } from "./statistics.ts";

interface AuditedMessage {
  readonly target: string;
  readonly message: Message;
  readonly epoch: number;
  /** The execution that was open at the target when it was sent: its first run, and how often it was reopened. */
  readonly execution: string | undefined;
}

/** I-39: how often an engine looks at the clock, and what it may take to be heard. */
const timeOutLateMsMax = 40_000;

interface Chain {
  readonly runs: AuditedRun[];
  headSeq: number;
}

/**
 * What is on disk, kept a second time, from the commits that the store accepted: each is held against the laws of histories and
 * of messages as it is made. Written apart from the engine. Throws `SimulationFailure`.
 */
export class Auditor {
  readonly chains = new Map<string, Chain>();
  readonly runs = new Map<string, AuditedRun>();
  readonly messages = new Map<number, AuditedMessage>();
  readonly #keys = new Map<number, AuditedRun>();
  /** Messages that were answered: an id is never used again. */
  readonly #consumed = new Set<number>();
  readonly #outcomes = new Map<string, Message & { readonly kind: "child-closed" }>();
  readonly #closing = new Set<string>();
  /** Ends of which a parent was told, each by its run and the number of its lease. */
  readonly #toldEnds = new Set<string>();
  readonly #statistics: Statistics;
  readonly #elapsedMs: () => number;
  readonly #nowMs: () => number;
  readonly #spreadMs: () => number;
  readonly #leaseSpreadMs: () => number;
  /** By how much the clock of each owner is ahead. */
  readonly #skews = new Map<number, number>();
  #epoch = 0;
  /** What the owner lets a run have. */
  #limits: LimitsPlan | undefined;
  #shownAtMs: number | undefined;
  #isReleased = false;
  /** Signals that waited on disk for a run that was held, and ended. */
  readonly outlived = new Set<string>();
  /** By how much the clock was set back so far. */
  setBackMs = 0;
  /** Since when there is the owner, by the time that only passes. */
  ownedFromMs = 0;
  watch: AttemptWatch | undefined;
  readonly schedules = new ScheduleOracle({
    isSteadyFor: (ms) => this.#elapsedMs() - Math.max(this.ownedFromMs, this.calmFromMs) > ms,
    note: (remark) => this.#statistics.note(remark),
  });
  /** Since when all is well, by the time that only passes. */
  calmFromMs = Number.POSITIVE_INFINITY;

  constructor(of: {
    readonly statistics: Statistics;
    readonly elapsedMs: () => number;
    readonly nowMs: () => number;
    /** By how much the clocks of engines disagree at most. */
    readonly spreadMs: () => number;
    /** The same for the clocks that leases go by. */
    readonly leaseSpreadMs: () => number;
  }) {
    this.#statistics = of.statistics;
    this.#elapsedMs = of.elapsedMs;
    this.#nowMs = of.nowMs;
    this.#spreadMs = of.spreadMs;
    this.#leaseSpreadMs = of.leaseSpreadMs;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get eventCount(): number {
    let count = 0;
    for (const run of this.runs.values()) count += run.events.length;
    return count;
  }

  latest(workflowId: string): AuditedRun | undefined {
    return this.chains.get(workflowId)?.runs.at(-1);
  }

  openRuns(): readonly AuditedRun[] {
    return [...this.runs.values()].filter((run) => run.isOpen);
  }

  hasSignal(workflowId: string, signalId: string): boolean {
    return this.chains.get(workflowId)?.runs.some((run) => run.signalIds.has(signalId)) ?? false;
  }

  /** I-16: epochs only grow. I-17: nobody is replaced who has shown lately that it lives. */
  claimed(
    epoch: number,
    of: {
      readonly nowMs: number;
      readonly leaseMs: number;
      readonly skewMs: number;
      readonly limits: LimitsPlan | undefined;
    },
  ): void {
    const { nowMs, leaseMs, skewMs, limits } = of;
    this.#limits = limits;
    if (epoch <= this.#epoch) throw new SimulationFailure("epoch", `epoch ${epoch} after ${this.#epoch}`);
    // A write extends the lease only when a third of it has passed.
    const silentMs = this.#shownAtMs === undefined ? leaseMs : nowMs - this.#shownAtMs;
    if (silentMs >= 0 && silentMs < leaseMs / 2 - this.#leaseSpreadMs())
      throw new SimulationFailure(
        "owner-replaced",
        `epoch ${epoch} replaces one that wrote ${silentMs} ms ago`,
      );
    if (silentMs >= 0 && silentMs < leaseMs / 2)
      this.#statistics.note("owner replaced by one whose clock is ahead");
    this.#skews.set(epoch, skewMs);
    this.#epoch = epoch;
    this.ownedFromMs = this.#elapsedMs();
    this.#isReleased = false;
    this.#shownAtMs = nowMs;
  }

  /** The owner has written or renewed its lease. */
  shown(epoch: number, nowMs: number): void {
    if (epoch === this.#epoch && !this.#isReleased) this.#shownAtMs = nowMs;
  }

  /** Leases go by the clock: what was shown before says nothing any more. */
  clockSet(): void {
    this.#shownAtMs = undefined;
  }

  /** The owner has given up, or is seen to be dead. */
  released(epoch: number): void {
    if (epoch !== this.#epoch) return;
    this.#isReleased = true;
    this.#shownAtMs = undefined;
  }

  appended(epoch: number, commits: readonly Commit[], results: readonly CommitResult[]): void {
    // I-16
    if (epoch !== this.#epoch) {
      throw new SimulationFailure(
        "stale-write",
        `a write of epoch ${epoch} was accepted, and the owner has epoch ${this.#epoch}`,
      );
    }
    if (results.length !== commits.length) throw new SimulationFailure("results", "not one result a commit");
    if (commits.length > 1) this.#statistics.note("many commits in one append");
    for (const [index, commit] of commits.entries()) {
      const result = results[index];
      if (result?.ok !== true) continue;
      this.#accept(epoch, commit, result);
      this.schedules.committed(commit, result);
    }
  }

  /**
   * I-20: the owner alone deletes, and only what has ended and is old enough; a run only with all that are before it in its
   * chain. `left`: what is on disk afterwards.
   */
  deleted(
    of: {
      readonly epoch: number;
      readonly closedBefore: number;
      readonly limit: number;
      readonly count: number;
    },
    left: readonly RunRecord[],
  ): void {
    const { epoch, closedBefore, limit, count } = of;
    const there = new Set(left.map(({ runId }) => runId as string));
    const gone = [...this.runs.values()].filter((run) => !run.isDeleted && !there.has(run.runId));
    const fail = (what: string): never => {
      throw new SimulationFailure("deleted-wrongly", what);
    };
    if (epoch !== this.#epoch)
      throw new SimulationFailure(
        "stale-write",
        `a deletion by epoch ${epoch} was carried out, and the owner has epoch ${this.#epoch}`,
      );
    if (gone.length !== count) fail(`${gone.length} runs are gone, ${count} were said to be`);
    for (const run of gone) {
      const { runId, workflowId, closedAt } = run;
      if (run.isOpen || closedAt === undefined) return fail(`${workflowId}: run ${runId} is open`);
      if (closedAt >= closedBefore)
        fail(`${workflowId}: run ${runId} closed at ${closedAt}, not before ${closedBefore}`);
      run.isDeleted = true;
      this.#statistics.note("closed run deleted");
      if ([...run.children].some(([, { childWorkflowId }]) => this.latest(childWorkflowId)?.isOpen === true))
        this.#statistics.note("run deleted whose child is open");
    }
    for (const [workflowId, { runs }] of this.chains) {
      const firstKept = runs.findIndex((run) => !run.isDeleted);
      const kept = firstKept < 0 ? [] : runs.slice(firstKept);
      if (kept.some((run) => run.isDeleted)) fail(`${workflowId}: a run is gone, and one before it is not`);
      const [first] = kept;
      if (count < limit && first?.closedAt !== undefined && first.closedAt < closedBefore)
        fail(`${workflowId}: run ${first.runId} closed at ${first.closedAt}, and is there still`);
    }
    for (const chain of this.chains.values()) if (chain.runs.every((run) => run.isDeleted)) chain.headSeq = 0;
  }

  /**
   * I-39: at this moment nothing is open whose time-out passed long ago by the owner's clock. `steadyMs`: since when there is that
   * owner and nothing goes wrong. `lacks`: what it has no code for; a run that lacks its own is held, and only its own time-outs hold.
   */
  checkTimeOuts(of: {
    readonly nowMs: number;
    readonly steadyMs: number;
    readonly lacks: ReadonlySet<string>;
  }): void {
    const { nowMs, steadyMs, lacks } = of;
    for (const run of this.openRuns()) {
      for (const { at, what, needsCode } of run.timeOuts()) {
        if (needsCode && (lacks.has(run.started.workflowType) || run.isHeldForLimit)) continue;
        const lateMs = Math.min(nowMs - at, steadyMs);
        if (lateMs > timeOutLateMsMax)
          throw new SimulationFailure(
            "late-time-out",
            `${run.workflowId}: ${what} was over at ${at}, and it is ${nowMs}`,
          );
        if (lateMs > 0) continue;
        this.#statistics.note("time-out awaited by an engine that lacks code");
      }
    }
  }

  /** Runs of the workflow id that are on disk. */
  kept(workflowId: string): readonly AuditedRun[] {
    return this.chains.get(workflowId)?.runs.filter((run) => !run.isDeleted) ?? [];
  }

  #accept(epoch: number, commit: Commit, result: CommitResult & { readonly ok: true }): void {
    const { run, start, send = [], consume = [] } = commit;
    const consumed = consume.map((messageId) => this.#consume(messageId, epoch));
    let ended: AuditedRun | undefined;
    if (run !== undefined) {
      const audited = this.#keys.get(run.runKey);
      if (audited === undefined || audited.workflowId !== run.workflowId || audited.isDeleted)
        throw new SimulationFailure("unknown-run", `a commit to run key ${run.runKey} of ${run.workflowId}`);
      checkHeld(audited, run);
      checkHeldSoon(audited, run, epoch);
      const before = countsOf(audited);
      this.#extend(audited, run.events, run.expectedSeq, epoch);
      this.#checkLimits(audited, run.events, before);
      if (run.events.some(({ type }) => type === "WorkflowReopened")) this.#checkReopened(audited, commit);
      for (const beat of run.heartbeats ?? []) audited.work.heartbeats.set(beat.ordinal, beat.details);
      if (run.events.some(isTerminal)) ended = audited;
      else if (run.events.some(({ type }) => type === "WorkflowCancelRequested")) this.#checkTold(audited);
      this.#checkRow(audited, run);
      if (run.attributes !== undefined) audited.found(run.attributes);
      checkSaid(audited);
    }
    if (start !== undefined) {
      const began = this.#begin(start, result.startedKey, ended, epoch);
      this.#checkLimits(began, start.events, noCounts);
      if (start.events.some(isTerminal)) ended = began;
      this.#checkRow(began, start);
      began.found(start.attributes ?? {});
      checkSaid(began);
      if (began.started.continuedFrom !== undefined)
        checkCarried(this.runs.get(began.started.continuedFrom), began);
    }
    if (ended?.terminal?.type === "WorkflowContinuedAsNew" && start === undefined)
      throw new SimulationFailure("none-open", `${ended.workflowId} continued as nothing`);
    this.#checkSent(commit, ended, epoch, result.messageIds, send);
    for (const message of consumed) this.#checkAnswer(message, commit);
    if (ended !== undefined) this.#checkEnd(ended, send);
  }

  #checkLimits(run: AuditedRun, events: readonly NewEvent[], before: Counts): void {
    // What schedules start, and how long their histories get, they know themselves.
    if (run.workflowId.startsWith(coordinatorOf(""))) return;
    if (this.#limits !== undefined) checkLimits(run, events, before, this.#limits);
  }

  /** I-38: what is cancelled is told in the commit that says so. */
  #checkTold(run: AuditedRun): void {
    const untold = untoldBy(run);
    // What its code asks for is not recorded if it is too much: then it is held.
    if (untold !== undefined && this.hasLimits) run.heldSoonBy = this.#epoch;
    else if (untold !== undefined)
      throw new SimulationFailure(
        "cancel-not-forwarded",
        `${run.workflowId} is cancelled, and ${untold} is not told`,
      );
    if (run.work.open.size + run.children.size > 0) this.#statistics.note("run cancelled amid its work");
  }

  /** I-59: it goes on in one commit, which tells it again of children that have ended. */
  #checkReopened(run: AuditedRun, { run: of, start, send = [], consume = [] }: Commit): void {
    if (of?.events.length !== 1 || start !== undefined || consume.length > 0)
      throw new SimulationFailure(
        "reopened-and-more",
        `${run.workflowId} is reopened, and more is done at once`,
      );
    // I-29: its code may be anywhere, and somebody has to bring it back.
    if (of.wakeAt !== 0)
      throw new SimulationFailure(
        "lost-wake-up",
        `${run.workflowId} is reopened, and its row says ${of.wakeAt}`,
      );
    const keyOf = (ordinal: number): string => `${run.runId} ${ordinal}`;
    checkChildrenOfReopened(run, send, {
      latest: (workflowId) => this.latest(workflowId),
      wasTold: (ordinal) => this.#closing.has(keyOf(ordinal)),
      isOnItsWay: (ordinal) =>
        [...this.messages.values()].some(
          ({ message }) =>
            message.kind === "child-closed" && message.runId === run.runId && message.ordinal === ordinal,
        ),
      onResent: () => this.#statistics.note("reopened run told again of a child"),
    });
    // At its next end it tells them again.
    for (const ordinal of run.children.keys()) this.#closing.delete(keyOf(ordinal));
    if (run.started.parent !== undefined) this.#statistics.note("child reopened");
  }

  #extend(run: AuditedRun, events: readonly NewEvent[], expectedSeq: number, epoch: number): void {
    const chain = this.chains.get(run.workflowId);
    if (chain === undefined) throw new SimulationFailure("unknown-run", run.workflowId);
    // I-40
    if (chain.headSeq !== expectedSeq || chain.runs.at(-1) !== run) {
      throw new SimulationFailure(
        "gap",
        `${run.workflowId}: written after ${expectedSeq}, and the head is ${chain.headSeq}`,
      );
    }
    for (const event of events) run.apply(event, epoch);
    chain.headSeq += events.length;
  }

  #begin(
    start: NonNullable<Commit["start"]>,
    runKey: number | undefined,
    ended: AuditedRun | undefined,
    epoch: number,
  ): AuditedRun {
    const { workflowId, events } = start;
    const [first] = events;
    if (runKey === undefined || first?.type !== "WorkflowStarted")
      throw new SimulationFailure("no-start", `${workflowId} begins with ${first?.type}`);
    const chain = this.chains.get(workflowId) ?? { runs: [], headSeq: 0 };
    const before = chain.runs.at(-1);
    // I-36
    if (before?.isOpen === true) throw new SimulationFailure("two-open", `${workflowId} has an open run`);
    if (start.firstSeq !== chain.headSeq + 1)
      throw new SimulationFailure("gap", `${workflowId} begins at ${start.firstSeq} after ${chain.headSeq}`);
    if (this.runs.has(start.runId)) throw new SimulationFailure("run-id", `${start.runId} began before`);
    const { requestId } = first;
    if (before?.isDeleted === true) this.#statistics.note("id begun anew after its runs were deleted");
    // I-5
    if (
      requestId !== undefined &&
      this.kept(workflowId).some((other) => other.started.requestId === requestId)
    )
      throw new SimulationFailure("request-again", `${workflowId} was begun by request ${requestId} before`);
    const end = before?.terminal;
    if (end?.type === "WorkflowContinuedAsNew") {
      if (before !== ended || end.newRunId !== start.runId || first.continuedFrom !== before?.runId)
        throw new SimulationFailure("none-open", `${workflowId} goes on as another run than it said`);
      this.#statistics.note("run continued as new");
      if ((first.signals ?? []).length > 0) this.#statistics.note("signal carried over to the next run");
    } else if (first.continuedFrom !== undefined) {
      throw new SimulationFailure("none-open", `${workflowId} continues a run that did not say so`);
    }
    const run = new AuditedRun({
      workflowId,
      started: { ...first, seq: start.firstSeq, workflowId },
      epoch,
      setBackMs: () => this.setBackMs,
      ownedFromMs: () => this.ownedFromMs,
      elapsedMs: this.#elapsedMs,
      nowMs: this.#nowMs,
      spreadMs: this.#spreadMs(),
      skewOf: (of) => this.#skews.get(of) ?? 0,
      isCalm: () => this.#elapsedMs() > this.calmFromMs,
      onRemark: (remark) => this.#statistics.note(remark),
      watch: this.watch,
    });
    if (first.workflowType === coordinatorType && end?.type === "WorkflowContinuedAsNew")
      for (const [ordinal, child] of before?.children ?? []) run.children.set(ordinal, child);
    chain.runs.push(run);
    this.chains.set(workflowId, chain);
    this.runs.set(start.runId, run);
    this.#keys.set(runKey, run);
    this.#statistics.runCount += 1;
    for (const event of events) run.apply(event, epoch);
    chain.headSeq += events.length;
    return run;
  }

  /** The row says what the events say. I-29: whoever reads rows only misses no wake-up. */
  #checkRow(
    run: AuditedRun,
    row: {
      readonly status: string;
      readonly closedAt?: number;
      readonly wakeAt: number | null;
      readonly blocked?: string | null;
      readonly parked?: string | null;
    },
  ): void {
    const status =
      run.terminal === undefined ? (run.isPaused ? "paused" : "running") : statusAfter(run.terminal);
    if (row.status !== status || (row.closedAt !== undefined) !== (run.terminal !== undefined))
      throw new SimulationFailure(
        "row-status",
        `${run.workflowId}: the row says ${row.status}, not ${status}`,
      );
    run.closedAt = row.closedAt;
    run.wakeAt = row.wakeAt;
    if (row.blocked !== undefined) this.#noteHeld(run, row.blocked);
    if (row.parked !== undefined) run.parkedRow = row.parked;
    // I-60: whoever looks for what waits for him goes by rows alone.
    const shown = ordinalsOf(run.parkedRow);
    const parked = run.terminal === undefined ? run.work.parked.toSorted((left, right) => left - right) : [];
    if (shown.join() !== parked.join())
      throw new SimulationFailure(
        "row-parked",
        `${run.workflowId}: parked are ${parked.join()}, and its row says ${run.parkedRow}`,
      );
    if (run.terminal !== undefined) return;
    const { wakeAtMax } = run;
    if (wakeAtMax !== null && (row.wakeAt === null || row.wakeAt > wakeAtMax))
      throw new SimulationFailure(
        "lost-wake-up",
        `${run.workflowId}: to be looked at by ${wakeAtMax}, and its row says ${row.wakeAt}`,
      );
  }

  #noteHeld(run: AuditedRun, blocked: string | null): void {
    if (run.terminal !== undefined) return;
    const isForCode = blocked?.startsWith("workflow_type_unknown") === true;
    const isForLimit = blocked?.startsWith("run_limit") === true;
    if (isForCode) this.#statistics.note("run held, its code being missing");
    if (isForLimit) this.#statistics.note("run held for what it had");
    if (isForLimit && this.#limits?.policy !== "block")
      throw new SimulationFailure("held-wrongly", `${run.workflowId} is held: ${blocked}`);
    if (run.isHeld && blocked === null)
      this.#statistics.note(
        run.isHeldForLimit ? "run held for what it had went on" : "held run went on, its code being there",
      );
    run.isHeld = isForCode || isForLimit;
    run.isHeldForLimit = isForLimit;
  }

  /** The owner holds or fails runs that have more than it allows. */
  get hasLimits(): boolean {
    return this.#limits !== undefined;
  }

  #openExecution(workflowId: string): string | undefined {
    const runs = this.chains.get(workflowId)?.runs ?? [];
    if (runs.at(-1)?.isOpen !== true) return undefined;
    const first = runs.findLastIndex((run) => run.started.continuedFrom === undefined);
    if (first === -1) return undefined;
    // It was over for a while if it was reopened.
    const reopenedCount = runs.slice(first).reduce((count, run) => count + run.reopenedCount, 0);
    return `${runs[first]?.runId} ${reopenedCount}`;
  }

  #consume(messageId: number, epoch: number): AuditedMessage {
    const message = this.messages.get(messageId);
    if (message === undefined || this.#consumed.has(messageId))
      throw new SimulationFailure("message-twice", `message ${messageId} was answered before, or never sent`);
    this.messages.delete(messageId);
    this.#consumed.add(messageId);
    if (message.epoch !== epoch) this.#statistics.note("message delivered under another owner");
    return message;
  }

  #checkSent(
    commit: Commit,
    ended: AuditedRun | undefined,
    epoch: number,
    ids: readonly number[],
    send: readonly OutgoingMessage[],
  ): void {
    if (ids.length !== send.length) throw new SimulationFailure("results", "not one id a message");
    for (const [index, { target, message }] of send.entries()) {
      const messageId = ids[index] ?? 0;
      if (this.messages.has(messageId) || this.#consumed.has(messageId))
        throw new SimulationFailure("message-twice", `message id ${messageId} was given before`);
      this.messages.set(messageId, { target, message, epoch, execution: this.#openExecution(target) });
      if (message.kind === "child-closed") {
        // I-34
        const key = `${message.runId} ${message.ordinal}`;
        const isOfEnd =
          ended?.started.parent?.runId === message.runId && ended.started.parent.ordinal === message.ordinal;
        const end = isOfEnd ? `end ${ended.reopenedCount} of ${ended.runId}` : key;
        const isResent = commit.run?.events[0]?.type === "WorkflowReopened";
        if (!isResent && (this.#toldEnds.has(end) || (this.#outcomes.has(key) && !isOfEnd)))
          throw new SimulationFailure("outcome-twice", `child ${key} tells its parent again`);
        this.#toldEnds.add(end);
        this.#outcomes.set(key, message);
      }
      if ((message.kind === "terminate" || message.kind === "cancel") && message.parent !== undefined) {
        const { runId, ordinal } = message.parent;
        // I-35
        if (message.reason === "its parent ended") {
          const key = `${runId} ${ordinal}`;
          if (ended?.runId !== runId || this.#closing.has(key))
            throw new SimulationFailure("close-policy", `child ${key} is told again that its parent ended`);
          this.#closing.add(key);
          this.#statistics.note("child told to end with its parent");
        }
      }
    }
    this.#checkCancelled(commit, send);
    const begun = [...(commit.run?.events ?? []), ...(commit.start?.events ?? [])].filter(
      (event) => event.type === "ChildWorkflowStarted",
    );
    const starts = send.filter(({ message }) => message.kind === "start-child");
    if (begun.length !== starts.length)
      throw new SimulationFailure("child-start", `${begun.length} children begun, ${starts.length} told to`);
  }

  /** I-38: who asks for the end of a child tells the child, unless it has ended meanwhile. */
  #checkCancelled({ run }: Commit, send: readonly OutgoingMessage[]): void {
    if (run === undefined) return;
    const asked = new Set<number>();
    const ended = new Set<number>();
    for (const event of run.events)
      if (event.type === "ChildWorkflowCancelRequested") asked.add(event.ordinal);
    // One may have ended in a pause, of which the code that calls it off is told yet.
    for (const event of [...(this.#keys.get(run.runKey)?.events ?? []), ...run.events]) {
      if (
        event.type.startsWith("ChildWorkflow") &&
        event.type !== "ChildWorkflowStarted" &&
        event.type !== "ChildWorkflowCancelRequested" &&
        "ordinal" in event
      )
        ended.add(event.ordinal);
    }
    const told = new Set<number>();
    for (const { message } of send) {
      const isEnd = message.kind === "cancel" || message.kind === "terminate";
      if (isEnd && message.parent !== undefined && message.reason !== "its parent ended")
        told.add(message.parent.ordinal);
    }
    const fault =
      [...told].find((ordinal) => !asked.has(ordinal)) ??
      [...asked].find((ordinal) => !told.has(ordinal) && !ended.has(ordinal));
    if (fault !== undefined)
      throw new SimulationFailure(
        "cancel-not-forwarded",
        `${run.workflowId}: children ${[...asked].join()} cancelled, ${[...told].join()} told`,
      );
  }

  /** A message is answered by what it leads to, or by the reason why it leads to nothing. */
  #checkAnswer({ target, message, execution }: AuditedMessage, commit: Commit): void {
    const events = [...(commit.run?.events ?? []), ...(commit.start?.events ?? [])];
    const latest = this.latest(target);
    const swallowed = (): never => {
      throw new SimulationFailure("message-lost", `${message.kind} to ${target} was answered by nothing`);
    };
    switch (message.kind) {
      case "start-child": {
        const { runId, ordinal } = message.parent;
        const hasBegun = events.some(
          (event) =>
            event.type === "WorkflowStarted" &&
            event.parent?.runId === runId &&
            event.parent.ordinal === ordinal,
        );
        if (!hasBegun && !this.#outcomes.has(`${runId} ${ordinal}`)) swallowed();
        return;
      }
      case "start-scheduled": {
        const { scheduleId, nominalAt, from } = message;
        const hasBegun = events.some(
          (event) =>
            event.type === "WorkflowStarted" &&
            event.scheduled?.scheduleId === scheduleId &&
            event.scheduled.nominalAt === nominalAt,
        );
        const isRefused = (commit.send ?? []).some(
          ({ message: of }) => of.kind === "scheduled-refused" && of.ordinal === from.ordinal,
        );
        if (!hasBegun && !isRefused) swallowed();
        return;
      }
      case "scheduled-refused": {
        const isRecorded = events.some(
          (event) => event.type === "ScheduleSkipped" && event.ordinal === message.ordinal,
        );
        // Of a schedule that was deleted, and made anew, it says nothing to the one that is there.
        const isMeant = this.#openExecution(target)?.split(" ")[0] === message.runId;
        if (!isRecorded && isMeant) swallowed();
        return;
      }
      case "child-closed": {
        const parent = this.runs.get(message.runId);
        const isRecorded = events.some(
          (event) => event.type === message.outcome.type && event.ordinal === message.ordinal,
        );
        // A child that was reopened tells of each of its ends, and its parent hears of one.
        if (!isRecorded && parent?.isOpen === true && parent.children.has(message.ordinal)) swallowed();
        return;
      }
      case "signal": {
        const isRecorded = events.some(
          (event) => event.type === "SignalReceived" && event.payload === message.payload,
        );
        const settled = (commit.send ?? []).find(({ message: of }) => of.kind === "signal-settled")?.message;
        const isSettled = settled !== undefined;
        // It may have been looked for before it began. I-24: not if it was there all the time, whatever it continued as.
        const wasThere = execution !== undefined && execution === this.#openExecution(target);
        const mayBeFull = this.#limits?.limits.waitingSignalsMax !== undefined;
        const isRefused =
          settled?.kind === "signal-settled" && settled.failure !== undefined && (!wasThere || mayBeFull);
        const wasReceived = message.signalId !== undefined && this.hasSignal(target, message.signalId);
        if (message.from !== undefined && !isSettled) swallowed();
        if (!isRecorded && !isRefused && latest?.isOpen === true && !wasReceived) swallowed();
        if (latest?.isOpen !== true && message.signalId !== undefined) {
          this.outlived.add(message.signalId);
          this.#statistics.note("signal to a held run that ended before its code came");
        }
        return;
      }
      case "signal-settled": {
        const sender = this.runs.get(message.runId);
        if (sender !== undefined && sender.isOpen && sender.sends.has(message.ordinal)) swallowed();
        return;
      }
      case "cancel":
      case "terminate": {
        if (latest === undefined || !latest.isOpen || latest.isCancelRequested) return;
        // Its code heard of it, and went on as another run.
        if (
          commit.run?.workflowId === target &&
          events.some(({ type }) => type === "WorkflowCancelRequested")
        )
          return;
        const { parent, runId } = message;
        const isMeant =
          (runId === undefined || runId === latest.runId) &&
          (parent === undefined ||
            (latest.started.parent?.runId === parent.runId &&
              latest.started.parent.ordinal === parent.ordinal));
        if (isMeant) swallowed();
        return;
      }
    }
  }

  /** I-35: each child that is left is told by its policy. I-34: the parent is told. */
  #checkEnd(run: AuditedRun, send: readonly OutgoingMessage[]): void {
    const { terminal } = run;
    if (terminal === undefined) return;
    this.#noteEnd(terminal);
    if (run.isHeld && terminal.type === "WorkflowTimedOut") this.#statistics.note("held run timed out");
    checkLimitVerdict(run, this.#limits);
    if (terminal.type === "WorkflowFailed" && terminal.failure.kind === "engine")
      this.#statistics.note("run failed for what it had");
    for (const [ordinal, child] of run.children) {
      const key = `${run.runId} ${ordinal}`;
      if ((child.policy !== "abandon") !== this.#closing.has(key))
        throw new SimulationFailure("close-policy", `child ${key} (${child.policy}) was not treated so`);
    }
    const { parent } = run.started;
    if (parent === undefined || terminal.type === "WorkflowContinuedAsNew") return;
    if (this.runs.get(parent.runId)?.isDeleted === true)
      this.#statistics.note("child of a deleted run ended");
    const isTold = send.some(
      ({ message }) =>
        message.kind === "child-closed" &&
        message.runId === parent.runId &&
        message.ordinal === parent.ordinal,
    );
    if (!isTold)
      throw new SimulationFailure("outcome-lost", `${run.workflowId} ended, its parent is not told`);
  }

  #noteEnd(terminal: NewEvent): void {
    switch (terminal.type) {
      case "WorkflowCompleted":
        return this.#statistics.note("run completed");
      case "WorkflowFailed":
        return this.#statistics.note("run failed");
      case "WorkflowCancelled":
        return this.#statistics.note("run cancelled");
      case "WorkflowTerminated":
        return this.#statistics.note("run terminated");
      case "WorkflowTimedOut":
        return this.#statistics.note("run timed out");
      default:
    }
  }

  /** Reads everything back: it is what was committed, and nothing else. I-1, I-3, I-40 */
  async compare(store: Store): Promise<void> {
    const { runs } = await store.list({}, { limit: 10_000 });
    const kept = [...this.runs.values()].filter((run) => !run.isDeleted);
    if (runs.length !== kept.length)
      throw new SimulationFailure("durability", `${runs.length} runs on disk, ${kept.length} committed`);
    for (const workflowId of this.chains.keys()) {
      const history = await store.readHistory(workflowId as WorkflowId);
      const chain = this.kept(workflowId);
      const committed = chain.flatMap((run) => run.events);
      const firstSeq = chain[0]?.started.seq ?? 1;
      const isSame =
        history.length === committed.length &&
        history.every((event, index) => event.seq === firstSeq + index) &&
        (history.length === 0 || encodeRow(history) === encodeRow(committed));
      if (!isSame) throw new SimulationFailure("durability", `the history of ${workflowId} is another one`);
    }
    const stored = await store.listMessages(0, 10_000);
    const ids = stored.map(({ messageId }) => messageId).join();
    const expected = [...this.messages.keys()].toSorted((a, b) => a - b).join();
    if (ids !== expected) throw new SimulationFailure("durability", `messages ${ids}, committed ${expected}`);
  }
}

/** Random programs have fewer than are shown on a row. */
function ordinalsOf(parkedRow: string | null): readonly number[] {
  if (parkedRow === null) return [];
  const { first, kinds } = JSON.parse(parkedRow) as {
    readonly first: readonly { readonly ordinal: number }[];
    readonly kinds: readonly { readonly count: number }[];
  };
  const count = kinds.reduce((sum, kind) => sum + kind.count, 0);
  if (count !== first.length) return [Number.NaN];
  return first.map(({ ordinal }) => ordinal).toSorted((left, right) => left - right);
}
