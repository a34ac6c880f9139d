import type {
  ResultReply,
  ResumeActivityRequest,
  RunSummary,
  Service,
  StartReply,
  StartRequest,
} from "../src/client/service.ts";
import { isAionError } from "../src/core/errors.ts";
import type { ErrorCode } from "../src/core/errors.ts";
import type { RunId } from "../src/core/ids.ts";
import { messageOf } from "../src/core/payload.ts";
import type { Payload } from "../src/core/payload.ts";
import { statusAfter } from "../src/core/status.ts";
import { account, bump } from "../test/replay/interpreter.ts";
import type { Search } from "./attribute-oracle.ts";
import { beforeLooking, checkListed } from "./attribute-oracle.ts";
import type { AuditedRun } from "./audited-run.ts";
import type { Auditor } from "./auditor.ts";
import type { Dice } from "./dice.ts";
import type { EngineLife } from "./engine-life.ts";
import { SimulationFailure } from "./failure.ts";
import type { MadeUpdate } from "./update-oracle.ts";
import { checkUpdateReply, isSettledIn } from "./update-oracle.ts";
import { linesOf } from "./replay-oracle.ts";
import type { Network } from "./network.ts";
import type { NumberedOperation, Operation, ReopenPlan, SignalPlan } from "./plan.ts";
import { isPlainlyReopenable, mayBeReopened, wasEndSince } from "./reopen-oracle.ts";
import { ScheduleClient } from "./schedule-client.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { Statistics } from "./statistics.ts";
import type { Trace } from "./trace.ts";

/** An answer that says nothing about what was done: the same is asked again. */
const passing: ReadonlySet<ErrorCode> = new Set([
  "transport_failed",
  "commit_unknown",
  "engine_closed",
  "not_owner",
  "store_full",
  "store_failed",
  "store_unavailable",
]);

/** Answers that a client has to expect. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  "run_not_found",
  "run_closed",
  "workflow_already_exists",
  "query_unknown",
  "query_failed",
  "result_timeout",
  "run_blocked",
  "workflow_type_unknown",
  "update_unknown",
  "update_rejected",
  "update_not_found",
  "run_not_reopenable",
  "activity_not_parked",
  "signals_full",
  "updates_pending",
  "schedule_not_found",
  "schedule_already_exists",
  "schedule_busy",
]);

const listPage = 2;

export interface SentSignal extends SignalPlan {
  readonly workflowId: string;
  readonly clientName: string;
  /** `maybe`: nobody knows whether it arrived. */
  outcome: "acknowledged" | "refused" | "maybe";
  /** It was asked for once, and that was delivered once. */
  isAlone: boolean;
}

export interface ClientOptions {
  readonly name: string;
  readonly operations: readonly NumberedOperation[];
  readonly schedule: Schedule;
  readonly network: Network;
  readonly auditor: Auditor;
  readonly statistics: Statistics;
  readonly trace: Trace;
  readonly dice: Dice;
  /** Engines agree about when a lease is over. */
  readonly leasesAgree: boolean;
  /** For operators: there is nothing more to come. */
  readonly isOver: () => boolean;
  /** For those who tidy up: nobody else asks for anything any more. */
  readonly isLeftAlone: () => boolean;
}

/**
 * A client and what it was promised. Owner: one world. It does one thing after the other, repeats what was not answered with the
 * same ids, and holds every answer against what is on disk at that moment.
 */
export class SimClient implements Actor {
  readonly name: string;
  isHalted = false;
  isGone = false;
  isDone = false;
  readonly signals: SentSignal[] = [];
  readonly updates: MadeUpdate[] = [];
  /** Requests that it has made. */
  readonly #reopenings = new Set<string>();
  readonly #of: ClientOptions;
  /** Runs that starts of a workflow id were answered with. */
  readonly #started = new Map<string, StartReply[]>();

  readonly #schedules: ScheduleClient;

  constructor(of: ClientOptions) {
    this.#of = of;
    this.name = of.name;
    this.#schedules = new ScheduleClient({
      name: of.name,
      oracle: of.auditor.schedules,
      dice: of.dice,
      nowMs: () => of.schedule.time.clock.now(),
      ask: (verb, run, mayBe) => this.#ask(verb, run, { mayBe }),
    });
  }

  /** It goes on until all the others are done. */
  get isOperator(): boolean {
    return this.#of.operations.some(({ of }) => of.verb === "operate" || of.verb === "tidy");
  }

  async run(): Promise<void> {
    for (const { number, of } of this.#of.operations) {
      this.#of.trace.add(`  ${this.name} begins operation ${number}: ${of.verb}`);
      await this.#operate(of);
    }
    this.isDone = true;
  }

  async #operate(operation: Operation): Promise<void> {
    switch (operation.verb) {
      case "wait":
        return this.#wait(operation.ms);
      case "start":
        return this.#start(operation);
      case "signal":
        return this.#signal(operation);
      case "update":
        return this.#update(operation);
      case "query":
        return this.#query(operation.workflowId);
      case "cancel":
      case "terminate":
        return this.#end(operation.verb, operation.workflowId);
      case "pause":
      case "resume":
        return this.#control(operation);
      case "reopen":
        return this.#reopen(operation);
      case "operate":
        return this.#watchOver();
      case "schedule":
        return this.#schedules.operate(operation);
      case "tidy":
        return this.#tidy();
      case "result":
        return this.#result(operation.workflowId);
      case "describe":
        await this.#ask(
          "describe",
          (service) => service.describe({ workflowId: operation.workflowId }),
          operation,
        );
        return;
      case "list":
        return this.#list(operation.search);
    }
  }

  async #list(search: Search | undefined): Promise<void> {
    if (search === undefined) {
      await this.#ask("list", (service) => service.list({ filter: {}, limit: 50 }));
      return;
    }
    const { auditor, statistics } = this.#of;
    const before = beforeLooking(auditor);
    const runs: RunSummary[] = [];
    for (let cursor: string | undefined; ;) {
      const filter = { where: [search] };
      const page = { limit: listPage, withAttributes: true, ...(cursor === undefined ? {} : { cursor }) };
      const answer = await this.#ask("list", (service) => service.list({ filter, ...page }));
      if (!("reply" in answer)) return;
      runs.push(...answer.reply.runs);
      cursor = answer.reply.nextCursor;
      if (cursor === undefined) break;
    }
    checkListed(auditor, search, runs, before);
    if (runs.length > listPage) statistics.note("pages of runs found by their attributes");
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#of.schedule.after(ms, new Lane(this), "goes on", resolve);
    });
  }

  /** Asks until there is an answer: a reply, or a refusal. `isAlone`: no request before or beside it may have been carried out. */
  async #ask<Reply>(
    verb: string,
    run: (service: Service, life: EngineLife) => Promise<Reply>,
    of: {
      readonly workflowId?: string;
      readonly runId?: string | undefined;
      readonly timeoutMs?: number;
      /** Answers to expect besides. */
      readonly mayBe?: readonly ErrorCode[];
    } = {},
  ): Promise<({ readonly reply: Reply } | { readonly refusal: ErrorCode }) & { readonly isAlone: boolean }> {
    const { network, statistics, dice } = this.#of;
    const { workflowId, runId, timeoutMs = 5_000, mayBe = [] } = of;
    const there = (workflowId === undefined ? [] : this.#of.auditor.kept(workflowId)).filter(
      (one) => runId === undefined || one.runId === runId,
    );
    const count = statistics.verb(verb);
    count.asked += 1;
    let isAlone = true;
    const onTwice = (): void => {
      isAlone = false;
    };
    for (;;) {
      try {
        const reply = await network.request(this, verb, { timeoutMs, onTwice }, run);
        count.done += 1;
        return { reply, isAlone };
      } catch (error) {
        if (!isAionError(error)) throw error;
        if (refusals.has(error.code) || mayBe.includes(error.code)) {
          if (error.code === "run_blocked" || error.code === "workflow_type_unknown")
            statistics.note("refused, the code being missing");
          if (error.code === "run_not_found" && workflowId !== undefined) this.#checkGone(workflowId, there);
          count.refused += 1;
          return { refusal: error.code, isAlone };
        }
        if (!passing.has(error.code))
          throw new SimulationFailure(`answer-${error.code}`, `${this.name}, ${verb}: ${error.message}`, {
            cause: error,
          });
        isAlone = false;
        if (error.code !== "transport_failed") await this.#wait(dice.int(10, 1_000));
      }
    }
  }

  /** I-20: a run that is there all the time cannot be said to be gone. */
  #checkGone(workflowId: string, there: readonly AuditedRun[]): void {
    const kept = there.find((run) => !run.isDeleted);
    if (kept !== undefined)
      throw new SimulationFailure(
        "told-gone",
        `${workflowId}: run ${kept.runId} is there, and was not found`,
      );
    if (there.length > 0) this.#of.statistics.note("client told that a deleted run is gone");
  }

  async #start(operation: Operation & { readonly verb: "start" }): Promise<void> {
    const { auditor } = this.#of;
    const { verb: _verb, workflowId, signal, ...rest } = operation;
    const input = (operation.workflowType === "listener" ? "null" : '{"round":0}') as Payload;
    const request: StartRequest = {
      ...rest,
      workflowId,
      input,
      ...(signal === undefined
        ? {}
        : {
            signal: {
              name: signal.name,
              payload: String(signal.value) as Payload,
              signalId: signal.signalId,
            },
          }),
    };
    const sent = signal === undefined ? undefined : this.#note(workflowId, signal);
    const verb = signal === undefined ? "start" : "signal-with-start";
    const answer = await this.#ask(verb, (service) => service.start(request));
    if (sent !== undefined) sent.isAlone = answer.isAlone;
    if ("refusal" in answer) {
      if (sent !== undefined && answer.isAlone) sent.outcome = "refused";
      return;
    }
    const { reply } = answer;
    // I-1
    const run = auditor.runs.get(reply.runId);
    if (run === undefined || run.workflowId !== workflowId)
      throw new SimulationFailure("acknowledged-start", `${workflowId}: run ${reply.runId} is not on disk`);
    // I-25
    if (sent !== undefined) this.#acknowledged(sent);
    const before = this.#started.get(workflowId) ?? [];
    // I-5
    const chain = auditor.chains.get(workflowId)?.runs.map(({ runId }) => runId) ?? [];
    if (
      before.some(({ runId }) => chain.indexOf(runId) > chain.indexOf(reply.runId)) &&
      rest.requestId === undefined
    )
      throw new SimulationFailure("start-again", `${workflowId}: answered with an earlier run than before`);
    this.#started.set(workflowId, [...before, reply]);
  }

  #note(workflowId: string, signal: SignalPlan): SentSignal {
    const sent: SentSignal = {
      ...signal,
      workflowId,
      clientName: this.name,
      outcome: "maybe",
      isAlone: false,
    };
    this.signals.push(sent);
    return sent;
  }

  /** I-3: what is acknowledged is on disk, received or on its way. */
  #acknowledged(sent: SentSignal): void {
    sent.outcome = "acknowledged";
    const { auditor } = this.#of;
    const isOnItsWay = [...auditor.messages.values()].some(
      ({ message }) => message.kind === "signal" && message.signalId === sent.signalId,
    );
    // Until the answer arrived, the held run that it waited for may have ended.
    if (
      !isOnItsWay &&
      !auditor.outlived.has(sent.signalId) &&
      !auditor.hasSignal(sent.workflowId, sent.signalId)
    )
      throw new SimulationFailure(
        "acknowledged-signal",
        `${sent.workflowId}: signal ${sent.signalId} is not on disk`,
      );
  }

  async #signal(operation: Operation & { readonly verb: "signal" }): Promise<void> {
    const { workflowId, name, value, signalId } = operation;
    const sent = this.#note(workflowId, { name, value, signalId });
    const request = { workflowId, name, payload: String(value) as Payload, signalId };
    const answer = await this.#ask("signal", (service) => service.signal(request), { workflowId });
    sent.isAlone = answer.isAlone;
    if ("reply" in answer) return this.#acknowledged(sent);
    this.#of.statistics.note(
      answer.refusal === "signals_full"
        ? "signal refused, as many waiting"
        : "signal refused, its target having ended",
    );
    if (answer.isAlone) sent.outcome = "refused";
  }

  /** Until there is an outcome, or it is told that there will be none, or it has waited for long. */
  async #update({
    workflowId,
    amount,
    updateId,
    isStarted,
  }: Operation & { readonly verb: "update" }): Promise<void> {
    const { auditor, statistics } = this.#of;
    const made: MadeUpdate = {
      workflowId,
      updateId,
      clientName: this.name,
      acceptedBy: new Set(),
      refusal: undefined,
      isAlone: true,
    };
    this.updates.push(made);
    const input = String(amount) as Payload;
    const waitMs = isStarted ? 0 : 20_000;
    const timeoutMs = 30_000;
    const make = (service: Service) =>
      service.update({ workflowId, name: bump.name, input, updateId, waitMs });
    let accepted: string | undefined;
    for (let count = 0; ; count++) {
      const runId = accepted;
      // By its id alone, or made again: both tell the same.
      const isAsked = runId !== undefined && (count + amount) % 2 === 0;
      const wasSettled = isSettledIn(auditor, runId, updateId);
      const answer = await this.#ask(
        isAsked ? "update-result" : "update",
        (service) =>
          isAsked ? service.updateResult({ workflowId, runId, updateId, waitMs: 20_000 }) : make(service),
        // That run may be gone though there is a later one.
        isAsked ? { timeoutMs } : { workflowId, timeoutMs },
      );
      if (!answer.isAlone || count > 0) made.isAlone = false;
      if ("refusal" in answer) {
        made.refusal = answer.refusal;
        if (answer.refusal === "update_rejected") statistics.note("update refused by its validator");
        // What was accepted stays accepted, unless its run was deleted since.
        const run = runId === undefined ? undefined : auditor.runs.get(runId);
        if (isAsked && run?.isDeleted === false && answer.refusal !== "run_blocked")
          throw new SimulationFailure(
            "update-lost",
            `${workflowId}: update ${updateId}, accepted by ${runId}, is told to be ${answer.refusal}`,
          );
        return;
      }
      const { reply } = answer;
      checkUpdateReply(auditor, made, reply, wasSettled);
      if (reply.status === "completed") return statistics.note("update answered");
      if (reply.status === "failed") {
        const isLeft = reply.failure.type === "update_unfinished";
        return statistics.note(isLeft ? "update told that its run had ended" : "update failed");
      }
      if (reply.status === "waiting") statistics.note("update waited for the code of its run");
      else accepted = reply.runId;
      // It may be this client who is to let a paused run go on.
      if (count >= 5) return;
      if (reply.status === "waiting" || reply.blocked !== undefined) await this.#wait(1_000);
    }
  }

  // I-27
  async #query(workflowId: string): Promise<void> {
    const { auditor } = this.#of;
    const runId = auditor.latest(workflowId)?.runId;
    const heard = this.signals.filter(
      (sent) => sent.workflowId === workflowId && sent.name === "tick" && sent.outcome === "acknowledged",
    );
    const latest = auditor.latest(workflowId);
    // What was recorded in a pause its code is told after it.
    const untold = new Set(
      latest?.events.flatMap((event, index) =>
        event.type === "SignalReceived" && latest.untoldSeqs.has(latest.started.seq + index)
          ? [event.signalId]
          : [],
      ),
    );
    const received = heard.filter(
      ({ signalId }) => latest?.signalIds.has(signalId) === true && !untold.has(signalId),
    );
    const ask = async (service: Service, life: EngineLife) => {
      const reply = await service.query({ workflowId, name: account.name, input: "null" as Payload });
      // At the moment of the answer: until it arrives more may be on disk.
      this.#checkKnown(workflowId, reply);
      // An owner that was replaced by one whose clock is ahead cannot know of it until its own lease is over.
      // The same when the clock went forwards, which let the other one claim, and back again.
      const mayKnow = (this.#of.leasesAgree && auditor.setBackMs === 0) || life.epoch === auditor.epoch;
      return { reply, mayKnow };
    };
    const answer = await this.#ask("query", ask, { workflowId });
    if ("refusal" in answer || auditor.latest(workflowId)?.runId !== runId) return;
    const { reply, mayKnow } = answer.reply;
    // What the code did in the turn in which an engine has failed it does not count.
    const { terminal } = auditor.latest(workflowId) ?? {};
    const isFailedByEngine = terminal?.type === "WorkflowFailed" && terminal.failure.kind === "engine";
    if (!mayKnow || isFailedByEngine) return;
    const lines = new Set(linesOf(reply));
    const missing = received.find(({ value }) => !lines.has(`tick ${value}`));
    // Until a start delay is over there is no code that could have heard.
    if (missing !== undefined && auditor.latest(workflowId)?.isCodeUnbegun === false)
      throw new SimulationFailure(
        "stale-query",
        `${workflowId}: the answer does not know of ${missing.signalId}`,
      );
  }

  /** I-9: nothing is told that is not on disk. */
  #checkKnown(workflowId: string, reply: string): void {
    const known = new Set<string>();
    const hear = (payload: string): void => {
      known.add(`tick ${payload}`);
      known.add(`receive: {"ok":true,"value":${payload}}`);
    };
    const outcomes = { activities: 0, timers: 0 };
    for (const run of this.#of.auditor.chains.get(workflowId)?.runs ?? []) {
      for (const { payload } of run.started.signals ?? []) hear(payload);
      for (const event of run.events) {
        if (event.type === "SignalReceived") hear(event.payload);
        if (event.type === "ActivityCompleted") outcomes.activities += 1;
        if (event.type === "TimerFired") outcomes.timers += 1;
      }
    }
    const lines = linesOf(reply);
    if (lines.includes("null") && this.#of.auditor.latest(workflowId)?.isOpen === true)
      throw new SimulationFailure("value-lost", `${workflowId} goes on with a value that is none`);
    const early = lines.find((line) => {
      if (line.startsWith("activity: ") || line.startsWith("step: ")) return --outcomes.activities < 0;
      if (line.startsWith("sleep: ")) return --outcomes.timers < 0;
      return (line.startsWith("tick ") || line.startsWith('receive: {"ok":true')) && !known.has(line);
    });
    if (early !== undefined)
      throw new SimulationFailure(
        "answer-before-commit",
        `${workflowId} tells of "${early}", which is not on disk`,
      );
  }

  async #end(verb: "cancel" | "terminate", workflowId: string): Promise<void> {
    const { auditor } = this.#of;
    const before = auditor.latest(workflowId);
    const reopenedBefore = before?.reopenedCount ?? 0;
    const answer = await this.#ask(verb, (service) => service[verb]({ workflowId, reason: "because" }), {
      workflowId,
    });
    if ("refusal" in answer) return;
    // Another one has let it go on since.
    if (before !== undefined && before.reopenedCount > reopenedBefore) return;
    // I-3: it holds for the run that was there, or for one after it.
    const runs = auditor.chains.get(workflowId)?.runs ?? [];
    const from = before === undefined ? 0 : runs.indexOf(before);
    const isMarked = runs
      .slice(from)
      .some((run) =>
        verb === "cancel"
          ? run.isCancelRequested || run.terminal?.type === "WorkflowCancelled" || !run.isOpen
          : !run.isOpen,
      );
    // A run that is held hears of it when its code is there.
    const isOnItsWay = [...auditor.messages.values()].some(
      ({ target, message }) => target === workflowId && message.kind === verb,
    );
    if (!isMarked && !isOnItsWay)
      throw new SimulationFailure(`acknowledged-${verb}`, `${workflowId}: it is not on disk`);
  }

  async #control({
    verb,
    workflowId,
    requestId,
  }: Operation & { readonly verb: "pause" | "resume" }): Promise<void> {
    const { auditor } = this.#of;
    const answer = await this.#ask(verb, (service) => service[verb]({ workflowId, requestId }), {
      workflowId,
    });
    if ("refusal" in answer) return;
    const runs = auditor.chains.get(workflowId)?.runs ?? [];
    // I-3: what was answered is on disk, or was and has been deleted since.
    const isThere = runs.some((run) => run.isDeleted || run.controlRequests.has(`${verb}:${requestId}`));
    if (!isThere) throw new SimulationFailure(`acknowledged-${verb}`, `${workflowId}: it is not on disk`);
  }

  /** I-59: what is answered is on disk, and what is refused is not; what nothing stands against is not refused, and nothing twice. */
  async #reopen({ workflowId: of, requestId, of: which }: ReopenPlan): Promise<void> {
    const { auditor, statistics, dice } = this.#of;
    const children = [...auditor.runs.values()].filter(
      (run) => run.terminal !== undefined && run.started.parent?.workflowId === of && !run.isDeleted,
    );
    const failed = children.findLast((run) => run.terminal?.type !== "WorkflowCompleted");
    if (which === "child" && failed === undefined) return;
    const workflowId = which === "child" ? (failed?.workflowId ?? of) : of;
    const runs = (): readonly AuditedRun[] => auditor.chains.get(workflowId)?.runs ?? [];
    const runId =
      which === "named" ? auditor.latest(of)?.runId : which === "first" ? runs()[0]?.runId : undefined;
    const isMade = (): boolean => runs().some((run) => run.controlRequests.has(`reopen:${requestId}`));
    // What cannot be is asked for now and then; what was asked is repeated.
    const isRepeated = this.#reopenings.has(requestId);
    if (!isRepeated && !mayBeReopened(auditor.latest(workflowId)) && !dice.chance(0.1)) return;
    this.#reopenings.add(requestId);
    const request = { workflowId, requestId, ...(runId === undefined ? {} : { runId: runId as RunId }) };
    const ask = async (service: Service, { limits, epoch }: EngineLife): Promise<void> => {
      const latest = auditor.latest(workflowId);
      const wasMade = isMade();
      const eventCount = latest?.events.length;
      const isPlain =
        limits === undefined &&
        // One that has lost the store, and has not noticed, tells of what was.
        epoch === auditor.epoch &&
        latest !== undefined &&
        !latest.isDeleted &&
        (runId ?? latest.runId) === latest.runId &&
        isPlainlyReopenable(latest);
      try {
        await service.reopen(request);
      } catch (error) {
        const isRefused = isAionError(error) && error.code === "run_not_reopenable";
        const isSame = auditor.latest(workflowId) === latest && latest?.events.length === eventCount;
        if (isRefused && ((wasMade && !runs().some((run) => run.isDeleted)) || (isPlain && isSame)))
          throw new SimulationFailure(
            "reopening-refused",
            `${workflowId}, ${requestId}${wasMade ? ", which was made before" : ""}: ${messageOf(error)}`,
          );
        throw error;
      }
    };
    const answer = await this.#ask("reopen", ask, { workflowId, runId });
    if ("refusal" in answer) {
      if (answer.refusal === "run_not_reopenable") statistics.note("reopening refused");
      if (answer.isAlone && isMade())
        throw new SimulationFailure("refused-and-made", `${workflowId}: reopening ${requestId} was refused`);
      return;
    }
    // I-3
    if (!isMade()) throw new SimulationFailure("acknowledged-reopen", `${workflowId}: it is not on disk`);
  }

  async #tidy(): Promise<void> {
    while (!this.#of.isOver()) {
      await this.#wait(this.#of.dice.int(500, 5_000));
      if (this.#of.isLeftAlone()) await this.#schedules.tidy();
    }
  }

  /** Decides on what the lists show to wait for him, in one way or another. */
  async #watchOver(): Promise<void> {
    const { dice, statistics } = this.#of;
    for (let count = 0; !this.#of.isOver();) {
      await this.#wait(dice.int(500, 20_000));
      const answer = await this.#ask("list", (service) =>
        service.list({ filter: { isParked: true }, limit: 100 }),
      );
      if ("refusal" in answer) continue;
      for (const { workflowId, parked } of answer.reply.runs) {
        const ordinals = parked?.activities.map(({ ordinal }) => ordinal) ?? [];
        if (ordinals.length === 0)
          throw new SimulationFailure("listed-wrongly", `${workflowId} is listed as parked, and nothing is`);
        statistics.note("parked activities found by an operator");
        if (dice.chance(0.2)) continue;
        count += 1;
        const decision = this.#drawDecision(ordinals);
        await this.#decide(workflowId, `${this.name} ${count}`, decision);
        if (dice.chance(0.3)) await this.#decide(workflowId, `${this.name} ${count}`, decision);
      }
    }
  }

  #drawDecision(ordinals: readonly number[]): Omit<ResumeActivityRequest, "workflowId" | "requestId"> {
    const { dice } = this.#of;
    const kind = dice.weighted<"all" | "one" | "complete" | "fail">([
      [4, "all"],
      [2, "one"],
      [2, "complete"],
      [1, "fail"],
    ]);
    const ordinal = kind === "all" ? {} : { ordinal: dice.pick(ordinals) };
    return {
      ...ordinal,
      ...(kind === "complete" ? { outcome: kind, result: '"by hand"' as Payload } : {}),
      ...(kind === "fail" ? { outcome: kind, failure: { message: "given up" } } : {}),
    };
  }

  /** I-60: what was answered is on disk, and made again it is answered so again. */
  async #decide(
    workflowId: string,
    requestId: string,
    decision: Omit<ResumeActivityRequest, "workflowId" | "requestId">,
  ): Promise<void> {
    const { auditor, statistics } = this.#of;
    const runs = (): readonly AuditedRun[] => auditor.chains.get(workflowId)?.runs ?? [];
    const made = runs().find((run) => run.work.decisions.has(requestId));
    const request = { workflowId, requestId, ...decision };
    const answer = await this.#ask("resume-activity", (service) => service.resumeActivity(request), {
      workflowId,
    });
    if ("refusal" in answer) {
      if (answer.refusal === "activity_not_parked")
        statistics.note("decision refused, another having been made");
      const isMade = runs().some((run) => run.work.decisions.has(requestId));
      // Of a run that is held nobody is told anything.
      if (answer.refusal === "run_blocked") return;
      if (isMade && (answer.isAlone || made !== undefined) && made?.isDeleted !== true)
        throw new SimulationFailure(
          "refused-and-made",
          `${workflowId}: decision ${requestId} was refused (${answer.refusal})`,
        );
      return;
    }
    const { reply } = answer;
    const decided = auditor.runs.get(reply.runId)?.work.decisions.get(requestId);
    if (decided === undefined) {
      if (runs().some((run) => run.isDeleted)) return;
      throw new SimulationFailure("acknowledged-decision", `${workflowId}: ${requestId} is not on disk`);
    }
    if (decided.join() !== reply.ordinals.join())
      throw new SimulationFailure(
        "decided-otherwise",
        `${workflowId}: ${requestId} is about ${decided.join()}, and was told to be about ${reply.ordinals.join()}`,
      );
    if (made === undefined && decision.ordinal !== undefined && !decided.includes(decision.ordinal))
      throw new SimulationFailure(
        "decided-otherwise",
        `${workflowId}: ${requestId} is about another activity`,
      );
  }

  async #result(workflowId: string): Promise<void> {
    const { auditor } = this.#of;
    for (;;) {
      const counts = new Map(
        (auditor.chains.get(workflowId)?.runs ?? []).map((run) => [run.runId, run.events.length]),
      );
      const answer = await this.#ask("result", (service) => service.result({ workflowId, waitMs: 20_000 }), {
        workflowId,
        timeoutMs: 30_000,
      });
      if ("refusal" in answer) return;
      const { reply } = answer;
      if (reply.status === "running") {
        if (reply.blocked !== undefined) {
          this.#of.trace.add(`  ${this.name}: ${workflowId} is blocked: ${reply.blocked}`);
          // That is told at once.
          await this.#wait(20_000);
        }
        // A copy of a request to pause may have been under way for long.
        if (auditor.latest(workflowId)?.isPaused === true)
          await this.#ask("resume", (service) => service.resume({ workflowId }), { workflowId });
        continue;
      }
      this.#checkResult(reply, counts.get(reply.runId) ?? 0);
      if (auditor.runs.get(reply.runId) === undefined)
        throw new SimulationFailure("acknowledged-result", `${workflowId}: unknown run ${reply.runId}`);
      return;
    }
  }

  /** `eventCount`: of the run, when it was asked. */
  #checkResult(reply: Exclude<ResultReply, { readonly status: "running" }>, eventCount: number): void {
    const run = this.#of.auditor.runs.get(reply.runId);
    const isSame = run?.events.some(
      (terminal) =>
        wasEndSince(run, terminal, eventCount) &&
        statusAfter(terminal) === reply.status &&
        (terminal.type !== "WorkflowCompleted" ||
          (reply.status === "completed" && terminal.result === reply.result)),
    );
    if (isSame !== true)
      throw new SimulationFailure(
        "acknowledged-result",
        `${run?.workflowId}: told ${reply.status}, and on disk is ${run?.terminal?.type}`,
      );
  }
}
