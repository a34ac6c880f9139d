import type {
  DeployReply,
  DeployRequest,
  EndRequest,
  FeedReply,
  FeedRequest,
  HistoryReply,
  HistoryRequest,
  ListFilter,
  ListReply,
  ListRequest,
  LogsReply,
  LogsRequest,
  PackageFilter,
  PackagesReply,
  QueryRequest,
  ResultReply,
  ResultRequest,
  RouteRequest,
  RunAddress,
  RunDescription,
  Service,
  SignalRequest,
  StartReply,
  StartRequest,
  UnloadRequest,
  WorkersReply,
  WorkersRequest,
} from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventBody, StartSignal } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { parsePayload } from "../core/payload.ts";
import { isSameInput } from "../core/payload-codec.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { successorOf } from "../core/run-chain.ts";
import { isClosed } from "../core/status.ts";
import type { TraceContext } from "../core/tracing.ts";
import { toTraceContext } from "../core/tracing.ts";
import type { Program } from "../program/program.ts";
import { parseCursor } from "../store/commit.ts";
import type { RunState } from "../replay/run-state.ts";
import type { RunRecord } from "../store/contract.ts";
import type { Catalog } from "./catalog.ts";
import { once, parseEnd } from "./end-requests.ts";
import { toCancelEvent } from "./closing.ts";
import { notAWorkflow } from "./coordinator.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { ScheduleOperations } from "./schedules.ts";
import { toAionError } from "./to-aion-error.ts";
import { isOthersFault, loadRun, loadState } from "./load.ts";
import { pauseRun, resumeRun } from "./pausing.ts";
import { reopenRun } from "./reopening.ts";
import { forkRun, resetRun } from "./resetting.ts";
import { demandProgram, toStartInput } from "./start-input.ts";
import { Updates } from "./updates.ts";
import {
  demandRun,
  findRequested,
  hasReceived,
  toPackagesReply,
  readEnd,
  readHistoryPage,
  readLogPage,
  readStart,
  toDescription,
  toResult,
  toRunFilter,
  toSummary,
} from "./views.ts";

/** A start that met another one is tried again this often; each time another one has got its run. */
const startAttemptsMax = 1_000;
/** How long the end of a run that is blocked is waited for. */
const blockedPatienceMs = 2_000;
const listLimitMax = 1_000;
const historyLimitMax = 5_000;
const logsLimitMax = 5_000;
const feedLimitMax = 1_000;

/** What clients ask of the embedded engine. Every border check is here: names, sizes, schemas. */
export class Operations extends ScheduleOperations implements Service {
  readonly #kernel: Kernel;
  readonly #updates: Updates;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#kernel = kernel;
    this.#updates = new Updates(kernel);
  }

  async start(request: StartRequest): Promise<StartReply> {
    this.#kernel.demandOpen();
    const workflowType = parseName(request.workflowType, "workflow type");
    for (;;) {
      const program = this.#route(workflowType);
      try {
        return await this.#startAs(program, request);
      } catch (error) {
        // Its route was changed since it was looked up, and the package taken out of the store.
        const isUnloaded = isAionError(error) && error.code === "package_not_found";
        if (!isUnloaded || this.#route(workflowType) === program) throw error;
      }
    }
  }

  #route(workflowType: string): Program {
    return demandProgram(this.#kernel.options.programs, workflowType);
  }

  async #startAs(program: Program, request: StartRequest): Promise<StartReply> {
    const { payloadLimitBytes } = this.#kernel.options;
    const { workflowType } = program;
    const what = `the input of workflow ${JSON.stringify(workflowType)}`;
    const input = await program.parseInput(parsePayload(request.input, what, payloadLimitBytes));
    const signal =
      request.signal === undefined ? undefined : await this.#parseSignal(program, request.signal);
    const requestId =
      request.requestId === undefined ? undefined : parseName(request.requestId, "request id");
    const workflowId = parseWorkflowId(request.workflowId ?? requestId ?? this.#kernel.newRunId());
    if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#startOnce({ ...request, input }, workflowId, program, signal);
      } catch (error) {
        // Somebody else began a run of that id, or ended the one that was met.
        const isRace =
          isAionError(error) && (error.code === "sequence_conflict" || error.code === "run_closed");
        if (!isRace || attempt >= startAttemptsMax) throw error;
      }
    }
  }

  async #startOnce(
    request: StartRequest,
    workflowId: WorkflowId,
    program: Program,
    signal: StartSignal | undefined,
  ): Promise<StartReply> {
    const { residency } = this.#kernel;
    // What is still on its way to the id, from a time when there was a run of it, comes before what is sent with this start.
    if (signal !== undefined) await this.#kernel.mailbox.settled(workflowId);
    // A new id costs no look at the disk: if it is taken after all, the commit tells.
    if (residency.get(workflowId) === undefined) {
      try {
        return await this.#begin(request, workflowId, program, undefined, signal);
      } catch (error) {
        if (!isAionError(error) || error.code !== "sequence_conflict") throw error;
      }
    }
    const existing = await residency.latest(workflowId);
    if (existing === undefined) return this.#begin(request, workflowId, program, undefined, signal);
    const met = await this.#meet(existing, request, signal);
    if (met !== undefined) return met;
    // What was sent to the one before, and waited for its code, comes before what is sent with this start.
    await this.#kernel.mailbox.settled(workflowId);
    const before = await residency.latest(workflowId);
    // Another run has begun since: it may be the one that this request asks for, and is to be met first.
    if (before?.runId !== existing.runId) {
      throw new AionError("sequence_conflict", `workflow ${workflowId} was started by another call`);
    }
    return this.#begin(request, workflowId, program, before, signal);
  }

  async #begin(
    request: StartRequest,
    workflowId: WorkflowId,
    program: Program,
    before: RunRecord | undefined,
    signal: StartSignal | undefined,
  ): Promise<StartReply> {
    const { residency } = this.#kernel;
    const runId = this.#kernel.newRunId();
    return new Promise((resolve, reject) => {
      const input: Input = {
        ...toStartInput({
          runId,
          program,
          input: request.input,
          ...(request.requestId === undefined ? {} : { requestId: request.requestId }),
          ...(request.startDelayMs === undefined ? {} : { startDelayMs: request.startDelayMs }),
          ...(request.runTimeoutMs === undefined ? {} : { runTimeoutMs: request.runTimeoutMs }),
          ...(request.executionTimeoutMs === undefined
            ? {}
            : { executionTimeoutMs: request.executionTimeoutMs }),
          ...(signal === undefined ? {} : { signals: [signal] }),
          trace: traceOf(request),
          limits: this.#kernel.limits,
        }),
        onDurable: () => resolve({ workflowId, runId, isNew: true }),
        onRefused: reject,
      };
      residency.begin(workflowId, program, before, [input]);
    });
  }

  /** The id is taken. A reply: that run is the answer. `undefined`: a new run may begin. Else throws. */
  async #meet(
    existing: RunRecord,
    request: StartRequest,
    signal: StartSignal | undefined,
  ): Promise<StartReply | undefined> {
    const { workflowId, runId } = existing;
    const reply: StartReply = { workflowId, runId, isNew: false };
    if (request.requestId !== undefined) {
      const requested = await findRequested(this.#kernel.store, workflowId, request.requestId);
      if (requested !== undefined) return { workflowId, runId: requested, isNew: false };
    }
    const started = await readStart(this.#kernel.store, existing);
    const isOpen = !isClosed(existing.status);
    const reuse = request.reuse ?? (signal === undefined ? "return" : "after-close");
    if (signal !== undefined && isOpen && reuse !== "terminate" && reuse !== "reject") {
      await this.#kernel.mailbox.settled(workflowId);
      await this.#deliverSignal(workflowId, runId, signal, traceOf(request));
      return reply;
    }
    // Repeated because the first answer was lost: the signal has arrived, and this is the run that it reached.
    const signalId = signal?.signalId;
    if (signalId !== undefined && (await hasReceived(this.#kernel.store, workflowId, runId, signalId)))
      return reply;
    const taken = (why: string): AionError =>
      new AionError("workflow_already_exists", `workflow id ${workflowId} is taken: ${why}`, {
        details: { workflowId, runId, status: existing.status },
      });
    switch (reuse) {
      case "reject":
        throw taken(`run ${runId} is ${existing.status}, and the reuse policy is "reject"`);
      case "terminate":
        if (isOpen) {
          const event: EventBody = { type: "WorkflowTerminated", reason: "replaced by a new start" };
          await this.#kernel.endings.end(workflowId, existing.runId, event);
        }
        return undefined;
      case "after-close":
        if (!isOpen) return undefined;
        break;
      case "after-failure":
        if (!isOpen && existing.status !== "completed" && existing.status !== "continued-as-new")
          return undefined;
        break;
      case "return":
        break;
      default:
        throw new AionError("invalid_argument", `reuse policy ${JSON.stringify(reuse)} is unknown`);
    }
    if (existing.workflowType !== request.workflowType) {
      throw taken(`run ${runId} is of type ${JSON.stringify(existing.workflowType)}`);
    }
    if (started !== undefined && !this.#isSameInput(started.input, request.input, workflowId))
      throw taken(`run ${runId} was started with another input`);
    if (signal !== undefined)
      throw taken(`run ${runId} is ${existing.status}, and cannot receive the signal`);
    return reply;
  }

  /** An encoded input is another text each time: what it says is compared, by who can read it. */
  #isSameInput(left: Payload, right: Payload, workflowId: WorkflowId): boolean {
    const { codec } = this.#kernel.options;
    if (isSameInput(left, right)) return true;
    if (codec === undefined) return false;
    const context = { kind: "start", workflowId } as const;
    return codec.decode(left, context) === codec.decode(right, context);
  }

  async signal(request: SignalRequest): Promise<void> {
    this.#kernel.demandOpen();
    const workflowId = parseWorkflowId(request.workflowId);
    const runId = request.runId === undefined ? undefined : parseRunId(request.runId);
    const { payloadLimitBytes } = this.#kernel.options;
    const name = parseName(request.name, "signal name");
    const signalId = request.signalId === undefined ? undefined : parseName(request.signalId, "signal id");
    const payload = parsePayload(
      request.payload,
      `the payload of signal ${JSON.stringify(name)}`,
      payloadLimitBytes,
    );
    await this.#kernel.mailbox.settled(workflowId);
    await this.#deliverSignal(
      workflowId,
      runId,
      { name, payload, ...(signalId === undefined ? {} : { signalId }) },
      traceOf(request),
    );
  }

  async #deliverSignal(
    workflowId: WorkflowId,
    runId: RunId | undefined,
    signal: StartSignal,
    trace: TraceContext | undefined,
  ): Promise<void> {
    const { name, payload, signalId } = signal;
    const traced = trace === undefined ? {} : { trace };
    try {
      const run = await this.#kernel.residency.resident(workflowId);
      // It may have been blocked until now: what was sent to it meanwhile comes first.
      await this.#kernel.mailbox.settled(workflowId);
      const declared = (await run?.program?.parseSignal(name, payload)) ?? payload;
      const checked = (await run?.instance?.parseSignal(name, declared)) ?? declared;
      let isRepeated = false;
      await this.#offer(workflowId, runId, {
        toEvent: (state) => {
          isRepeated = signalId !== undefined && state.hasSignal(signalId);
          const full = isRepeated ? undefined : this.#kernel.limits.ofSignals(workflowId);
          if (full !== undefined) throw full;
          return isRepeated ? undefined : { type: "SignalReceived", ...signal, payload: checked, ...traced };
        },
        ...(runId === undefined ? { followsChain: true as const } : {}),
      });
      if (isRepeated) this.#kernel.meter.repeated("signal");
    } catch (error) {
      if (!isAionError(error)) throw error;
      // Repeated because the first answer was lost: that the run has ended since does not undo it.
      const isClosedNow = error.code === "run_closed" && signalId !== undefined;
      if (isClosedNow && (await hasReceived(this.#kernel.store, workflowId, runId, signalId))) {
        this.#kernel.meter.repeated("signal");
        return;
      }
      if (error.code !== "run_blocked") throw error;
      // It waits on disk until the run can go on.
      await this.#kernel.mailbox.post(workflowId, { kind: "signal", ...signal, ...traced });
    }
  }

  async cancel(request: EndRequest): Promise<void> {
    this.#kernel.demandOpen();
    const of = parseEnd(request);
    const { workflowId, fields } = of;
    await once(this.#kernel, "cancel", of, async (runId) => {
      try {
        let isRepeated = false;
        await this.#offer(workflowId, runId, {
          toEvent: (state) => {
            const event = toCancelEvent(state, fields);
            isRepeated = event === undefined && fields.requestId !== undefined;
            return event;
          },
          ...(runId === undefined ? { followsChain: true as const } : {}),
        });
        if (isRepeated) this.#kernel.meter.repeated("cancel");
      } catch (error) {
        if (!isAionError(error) || error.code !== "run_blocked") throw error;
        const meant = of.runId === undefined ? {} : { runId: of.runId };
        await this.#kernel.mailbox.post(workflowId, { kind: "cancel", ...fields, ...meant });
      }
    });
  }

  async terminate(request: EndRequest): Promise<void> {
    this.#kernel.demandOpen();
    const of = parseEnd(request);
    await once(this.#kernel, "terminate", of, (runId) =>
      this.#kernel.endings.end(of.workflowId, runId, { type: "WorkflowTerminated", ...of.fields }),
    );
  }

  async pause(request: EndRequest): Promise<void> {
    await pauseRun(this.#kernel, request);
  }

  async resume(request: EndRequest): Promise<void> {
    await resumeRun(this.#kernel, request);
  }

  async reopen(request: EndRequest): Promise<void> {
    await reopenRun(this.#kernel, request);
  }

  reset: Service["reset"] = (request) => resetRun(this.#kernel, request);
  fork: Service["fork"] = (request) => forkRun(this.#kernel, request);

  async query(request: QueryRequest): Promise<Payload> {
    this.#kernel.demandOpen();
    const answer = await this.#answerQuery(request);
    // Memory is as good as the ownership: another engine may have gone on with the run while this one was frozen.
    await this.#kernel.lease.confirm();
    return answer;
  }

  async #answerQuery(request: QueryRequest): Promise<Payload> {
    const workflowId = parseWorkflowId(request.workflowId);
    const name = parseName(request.name, "query name");
    const input = parsePayload(
      request.input,
      `the input of query ${JSON.stringify(name)}`,
      this.#kernel.options.payloadLimitBytes,
    );
    await this.#kernel.mailbox.settled(workflowId);
    const run = request.runId === undefined ? await this.#kernel.residency.resident(workflowId) : undefined;
    if (run !== undefined) {
      return new Promise((resolve, reject) => {
        run.ask(() => {
          if (run.isGone || run.instance === undefined) {
            reject(
              new AionError("run_closed", `workflow ${workflowId} moved away while it was asked; ask again`),
            );
            return;
          }
          try {
            resolve(run.instance.query(name, input));
          } catch (error) {
            reject(toAionError(error));
          }
        });
      }).catch((error: unknown) => {
        // It ended, or was thrown away, between the question and its turn: its history answers.
        // The same if the process of its code was ended by another run.
        const isGone = isAionError(error) && (error.code === "run_closed" || isOthersFault(error));
        if (isGone) return this.#queryHistory(workflowId, undefined, name, input);
        throw error;
      }) as Promise<Payload>;
    }
    return this.#queryHistory(workflowId, request.runId, name, input);
  }

  /** Replays a run that is not resident (ended, or named by its run id) just to answer. */
  async #queryHistory(
    workflowId: WorkflowId,
    runId: string | undefined,
    name: string,
    input: Payload,
  ): Promise<Payload> {
    const record = await demandRun(this.#kernel.store, workflowId, runId);
    const blocked = this.#kernel.blocked.get(workflowId);
    if (blocked !== undefined && !isClosed(record.status)) {
      throw new AionError("run_blocked", `workflow ${workflowId} is blocked: ${blocked}`);
    }
    const { programs, ports, payloadLimitBytes } = this.#kernel.options;
    const { instance } = await loadRun(record, {
      store: this.#kernel.store,
      programs,
      scheduler: ports.scheduler,
      payloadLimitBytes,
      log: () => undefined,
      onStray: () => undefined,
      meter: this.#kernel.meter,
    });
    try {
      return await instance.query(name, input);
    } finally {
      instance.dispose();
    }
  }

  update: Service["update"] = (request, options) => this.#updates.update(request, options);
  updateResult: Service["updateResult"] = (request, options) => this.#updates.result(request, options);

  async result(request: ResultRequest): Promise<ResultReply> {
    this.#kernel.demandOpen();
    const workflowId = parseWorkflowId(request.workflowId);
    let runId: RunId | undefined = request.runId === undefined ? undefined : parseRunId(request.runId);
    const deadlineAt = this.#kernel.now() + request.waitMs;
    for (;;) {
      const leftMs = Math.max(0, deadlineAt - this.#kernel.now());
      // What held it may just have been mended; if not, there is nothing to wait for, and somebody has to know.
      const isBlocked = this.#kernel.blocked.get(workflowId) !== undefined;
      const ended = this.#awaitEnd(
        workflowId,
        runId,
        isBlocked ? Math.min(leftMs, blockedPatienceMs) : leftMs,
      );
      // The watch is in place before the look, so that an end between the two is seen by one of them.
      let terminal: Event | undefined;
      let current: RunId | undefined;
      try {
        const resident = this.#kernel.residency.get(workflowId);
        if (resident?.isHere === true && (runId === undefined || resident.state.started.runId === runId)) {
          current = resident.state.started.runId;
        } else {
          const record = await demandRun(this.#kernel.store, workflowId, runId);
          current = record.runId;
          if (isClosed(record.status)) {
            terminal = await readEnd(this.#kernel.store, record);
            // Deleted between the two reads.
            if (terminal === undefined) await demandRun(this.#kernel.store, workflowId, record.runId);
          }
        }
        if (terminal === undefined) {
          const end = request.waitMs > 0 ? await ended.promise : undefined;
          if (end === undefined) {
            const blocked = this.#kernel.blocked.get(workflowId);
            if (blocked !== undefined) return { status: "running", runId: current, blocked };
            if (isBlocked && this.#kernel.now() < deadlineAt) continue;
            return { status: "running", runId: current };
          }
          terminal = end.terminal;
          current = end.runId;
        }
      } finally {
        ended.stop();
      }
      const next = successorOf(terminal);
      if (next === undefined) return toResult(terminal, current);
      runId = next;
    }
  }

  #awaitEnd(workflowId: WorkflowId, runId: RunId | undefined, waitMs: number) {
    let stop: () => void = () => undefined;
    const promise = new Promise<{ readonly runId: RunId; readonly terminal: Event } | undefined>(
      (resolve, reject) => {
        const cancelTimer =
          waitMs > 0 && waitMs < Number.MAX_SAFE_INTEGER
            ? this.#kernel.options.ports.scheduler.delay(waitMs, () => resolve(undefined))
            : () => undefined;
        const unwatch = this.#kernel.watchers.watch(workflowId, {
          onClosed: (closedId, terminal) => {
            if (runId === undefined || closedId === runId) resolve({ runId: closedId, terminal });
          },
          onBlocked: () => resolve(undefined),
          onLost: reject,
        });
        stop = () => {
          cancelTimer();
          unwatch();
        };
      },
    );
    promise.catch(() => undefined);
    return { promise, stop: () => stop() };
  }

  async describe(address: RunAddress): Promise<RunDescription> {
    const workflowId = parseWorkflowId(address.workflowId);
    const record = await demandRun(this.#kernel.store, workflowId, address.runId);
    const runs = await this.#kernel.store.readRunChain(workflowId);
    const resident = this.#kernel.residency.get(workflowId);
    const isResident = resident !== undefined && !resident.isGone && resident.runKey === record.runKey;
    const describe = (state: RunState): RunDescription =>
      toDescription(record, state, {
        runs,
        blocked: this.#kernel.blocked.get(workflowId) ?? record.blocked,
        pid: isResident ? resident.pid : undefined,
        labour: this.#kernel.labourOf(record.runId),
        limits: this.#kernel.limits.limits,
        waitingSignals: isResident ? resident.waitingSignals : undefined,
      });
    const described = isResident
      ? await new Promise<RunDescription | undefined>((resolve) => {
          // At once: a moment later the state may hold what is not on disk.
          const { state } = resident;
          resident.ask(() =>
            resolve(Promise.try(() => (resident.isGone || state.isClosed ? undefined : describe(state)))),
          );
        })
      : undefined;
    return described ?? describe(await loadState(record, this.#kernel.store));
  }

  async list(request: ListRequest): Promise<ListReply> {
    const limit = parseLimit(request.limit, listLimitMax);
    const page = await this.#kernel.store.list(toRunFilter(request.filter), {
      limit,
      ...(request.cursor === undefined ? {} : { cursor: request.cursor }),
    });
    return {
      runs: page.runs.map(toSummary),
      ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }),
    };
  }

  count(filter: ListFilter): Promise<number> {
    return this.#kernel.store.count(toRunFilter(filter));
  }

  async logs(request: LogsRequest): Promise<LogsReply> {
    const workflowId = parseWorkflowId(request.workflowId);
    const limit = parseLimit(request.limit, logsLimitMax);
    const { runId, after, waitMs } = request;
    const of = { workflowId, runId, afterSeq: parseCursor(after) ?? 0, limit };
    return await this.#orAppended(
      workflowId,
      waitMs,
      () => true,
      () => readLogPage(this.#kernel.store, of),
      (reply) => reply.lines.length > 0 || reply.isEnd,
    );
  }

  async history(request: HistoryRequest): Promise<HistoryReply> {
    const workflowId = parseWorkflowId(request.workflowId);
    const limit = parseLimit(request.limit, historyLimitMax);
    const { fromSeq, waitMs } = request;
    if (!Number.isSafeInteger(fromSeq) || fromSeq < 1) {
      throw new AionError("invalid_argument", `fromSeq must be a whole number of 1 or more, got ${fromSeq}`);
    }
    const read = (): Promise<HistoryReply> =>
      readHistoryPage(this.#kernel.store, workflowId, request.runId, fromSeq, limit);
    return await this.#orAppended(
      workflowId,
      waitMs,
      (headSeq) => headSeq >= fromSeq,
      read,
      (reply) => reply.events.length > 0 || reply.isEnd,
    );
  }

  /** Reads; what is no answer yet is read again when something was appended, or after `waitMs`. */
  async #orAppended<Reply>(
    workflowId: WorkflowId,
    waitMs: number | undefined,
    isAwaited: (headSeq: number) => boolean,
    read: () => Promise<Reply>,
    isAnswer: (reply: Reply) => boolean,
  ): Promise<Reply> {
    if (waitMs === undefined || waitMs <= 0) return await read();
    let stop: () => void = () => undefined;
    const appended = new Promise<void>((resolve, reject) => {
      const cancelTimer = this.#kernel.options.ports.scheduler.delay(waitMs, resolve);
      const unwatch = this.#kernel.watchers.watch(workflowId, {
        onAppended: (headSeq) => {
          if (isAwaited(headSeq)) resolve();
        },
        onLost: reject,
      });
      stop = () => {
        cancelTimer();
        unwatch();
      };
    });
    appended.catch(() => undefined);
    try {
      const reply = await read();
      if (isAnswer(reply)) return reply;
      await appended;
      return await read();
    } finally {
      stop();
    }
  }

  async feed(request: FeedRequest): Promise<FeedReply> {
    this.#kernel.demandOpen();
    return await this.#kernel.feed.read(request, parseLimit(request.limit, feedLimitMax));
  }

  async #parseSignal(program: Program, signal: NonNullable<StartRequest["signal"]>): Promise<StartSignal> {
    const name = parseName(signal.name, "signal name");
    const what = `the payload of signal ${JSON.stringify(name)}`;
    const payload = await program.parseSignal(
      name,
      parsePayload(signal.payload, what, this.#kernel.options.payloadLimitBytes),
    );
    const signalId =
      signal.signalId === undefined ? {} : { signalId: parseName(signal.signalId, "signal id") };
    return { name, payload, ...signalId };
  }

  async deploy({ archive, isRouted = true, requestId }: DeployRequest): Promise<DeployReply> {
    this.#kernel.demandOpen();
    const reply = await this.#catalog().deploy(archive, isRouted, parseRequestId(requestId));
    this.#kernel.codeHasCome();
    return reply;
  }

  async listPackages({ workflowType }: PackageFilter): Promise<PackagesReply> {
    this.#kernel.demandOpen();
    return toPackagesReply(await this.#kernel.store.readCatalog(), workflowType);
  }

  async listWorkers({ taskQueue }: WorkersRequest): Promise<WorkersReply> {
    this.#kernel.demandOpen();
    const { workers } = this.#kernel;
    const isAsked = (name: string): boolean => taskQueue === undefined || name === taskQueue;
    return {
      workers: workers.list().filter(({ taskQueues }) => taskQueues.some(isAsked)),
      taskQueues: workers.listQueues().filter((queue) => isAsked(queue.taskQueue)),
    };
  }

  async route({ workflowTypes, version, requestId }: RouteRequest): Promise<void> {
    this.#kernel.demandOpen();
    const types = workflowTypes.map((type) => parseName(type, "workflow type"));
    await this.#catalog().setRoute(types, version, parseRequestId(requestId));
  }

  async unload({ version, requestId }: UnloadRequest): Promise<void> {
    this.#kernel.demandOpen();
    await this.#catalog().unload(version, parseRequestId(requestId));
  }

  #catalog(): Catalog {
    const { catalog } = this.#kernel.options;
    if (catalog !== undefined) return catalog;
    throw new AionError("invalid_argument", "this engine takes no packages", {
      hint: "An engine that was opened with `Engine.open` does.",
    });
  }

  #offer(
    workflowId: WorkflowId,
    runId: RunId | undefined,
    input: Pick<Input, "toEvent" | "followsChain">,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#kernel.residency.offer(workflowId, { ...input, runId, onDurable: resolve, onRefused: reject });
    });
  }
}

function parseRequestId(requestId: string | undefined): string | undefined {
  return requestId === undefined ? undefined : parseName(requestId, "request id");
}

function parseLimit(limit: number, max: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new AionError("invalid_argument", `limit must be a whole number of 1 or more, got ${limit}`);
  }
  return Math.min(limit, max);
}

function traceOf({ trace }: { readonly trace?: TraceContext }): TraceContext | undefined {
  return trace === undefined ? undefined : toTraceContext(trace.traceparent, trace.tracestate);
}
