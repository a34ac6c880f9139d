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
import type { WorkflowId } from "../core/ids.ts";
import { parseName, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { RunState } from "../replay/run-state.ts";
import { parseCursor } from "../store/commit.ts";
import type { Catalog } from "./catalog.ts";
import { toCancelEvent } from "./closing.ts";
import { once, parseEnd } from "./end-requests.ts";
import type { Kernel } from "./kernel.ts";
import { loadState } from "./load.ts";
import { offerTo } from "./offer.ts";
import { pauseRun, resumeRun } from "./pausing.ts";
import { queryRun } from "./queries.ts";
import { reopenRun } from "./reopening.ts";
import { forkRun, resetRun } from "./resetting.ts";
import { awaitResult } from "./results.ts";
import { resumeActivities } from "./resuming.ts";
import { ScheduleOperations } from "./schedules.ts";
import { signalRun } from "./signals.ts";
import { Starts } from "./starts.ts";
import { Updates } from "./updates.ts";
import {
  demandRun,
  readHistoryPage,
  readLogPage,
  toDescription,
  toPackagesReply,
  toRunFilter,
  toSummary,
} from "./views.ts";

const listLimitMax = 1_000;
const historyLimitMax = 5_000;
const logsLimitMax = 5_000;
const feedLimitMax = 1_000;

/** What clients ask of the embedded engine. Names, sizes and schemas are checked here, or in what an operation is handed to. */
export class Operations extends ScheduleOperations implements Service {
  readonly #kernel: Kernel;
  readonly #starts: Starts;
  readonly #updates: Updates;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#kernel = kernel;
    this.#starts = new Starts(kernel);
    this.#updates = new Updates(kernel);
  }

  start(request: StartRequest): Promise<StartReply> {
    return this.#starts.start(request);
  }

  async cancel(request: EndRequest): Promise<void> {
    this.#kernel.demandOpen();
    const of = parseEnd(request);
    const { workflowId, fields } = of;
    await once(this.#kernel, "cancel", of, async (runId) => {
      try {
        let isRepeated = false;
        await offerTo(this.#kernel, workflowId, runId, {
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

  resumeActivity: Service["resumeActivity"] = (request) => resumeActivities(this.#kernel, request);

  async reopen(request: EndRequest): Promise<void> {
    await reopenRun(this.#kernel, request);
  }

  reset: Service["reset"] = (request) => resetRun(this.#kernel, request);
  fork: Service["fork"] = (request) => forkRun(this.#kernel, request);

  async signal(request: SignalRequest): Promise<void> {
    await signalRun(this.#kernel, request);
  }

  query(request: QueryRequest): Promise<Payload> {
    return queryRun(this.#kernel, request);
  }

  update: Service["update"] = (request, options) => this.#updates.update(request, options);
  updateResult: Service["updateResult"] = (request, options) => this.#updates.result(request, options);

  result(request: ResultRequest): Promise<ResultReply> {
    return awaitResult(this.#kernel, request);
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
      ...(request.withAttributes === true ? { withAttributes: true } : {}),
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
