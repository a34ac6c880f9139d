import { setTimeout as delay } from "node:timers/promises";
import type {
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
  RunAddress,
  RunDescription,
  Service,
  UpdateReply,
  UpdateResultRequest,
  WorkersReply,
} from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import { parseCursor } from "../store/commit.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { successorOf } from "../core/run-chain.ts";
import { isClosed } from "../core/status.ts";
import { notAWorkflow } from "../engine/coordinator.ts";
import { findUpdate, readOutcome } from "../engine/accepted-updates.ts";
import { loadState } from "../engine/load.ts";
import { describeSchedule, listSchedules, storedSchedules } from "../engine/schedule-views.ts";
import {
  readHistoryPage,
  readLogPage,
  toFeedEvents,
  toFeedRange,
  toDescription,
  toPackagesReply,
  toResult,
  toRunFilter,
  toSummary,
} from "../engine/views.ts";
import type { ProgramSource } from "../program/program.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { FileWrites } from "./file-writes.ts";
import { queryRun } from "./replay-run.ts";

/** How often the file is looked at while something is waited for. */
const pollMs = 200;

export interface FileServiceOptions {
  readonly path: string;
  /** Open for reading only. */
  readonly store: Store;
  /** True: an engine is alive that cannot be reached. Then only reading is allowed. */
  readonly isOwned: boolean;
  /** The code, for queries. */
  readonly programs: ProgramSource | undefined;
}

/** The service of a file without the help of an engine: reads look at it directly, writes are those of `FileWrites`. */
export class FileService implements Service {
  readonly #store: Store;
  readonly #isOwned: boolean;
  readonly #programs: ProgramSource | undefined;
  readonly #writes: FileWrites;

  constructor(options: FileServiceOptions) {
    this.#store = options.store;
    this.#isOwned = options.isOwned;
    this.#programs = options.programs;
    this.#writes = new FileWrites(options.path);
  }

  // A living owner is refused by the claim that each of these makes.
  start: Service["start"] = async (request) => this.#writes.start(ofWorkflow(request));
  signal: Service["signal"] = async (request) => this.#writes.signal(ofWorkflow(request));
  update: Service["update"] = () => this.#demandEngine("an update needs one that runs the workflow's code");
  cancel: Service["cancel"] = async (request) => this.#writes.cancel(ofWorkflow(request));
  terminate: Service["terminate"] = async (request) => this.#writes.terminate(ofWorkflow(request));
  pause: Service["pause"] = async (request) => this.#writes.pause(ofWorkflow(request));
  resume: Service["resume"] = async (request) => this.#writes.resume(ofWorkflow(request));
  reopen: Service["reopen"] = () => this.#demandEngine("to reopen a run needs the workflow's code");
  reset: Service["reset"] = () => this.#demandEngine("to reset a run needs the workflow's code");
  fork: Service["fork"] = () => this.#demandEngine("to fork a run needs the workflow's code");
  resumeActivity: Service["resumeActivity"] = () =>
    this.#demandEngine("a decision about parked activities needs one that runs the workflow's code");
  deploy: Service["deploy"] = (request) => this.#writes.deploy(request);
  route: Service["route"] = (request) => this.#writes.route(request);
  unload: Service["unload"] = (request) => this.#writes.unload(request);

  describeSchedule: Service["describeSchedule"] = (request) =>
    describeSchedule(storedSchedules(this.#store, Date.now), request);
  listSchedules: Service["listSchedules"] = (request) =>
    listSchedules(storedSchedules(this.#store, Date.now), request);
  // Times of a schedule are decided on by an engine, and so is what is changed about them.
  createSchedule: Service["createSchedule"] = () => this.#demandEngine();
  updateSchedule: Service["updateSchedule"] = () => this.#demandEngine();
  pauseSchedule: Service["pauseSchedule"] = () => this.#demandEngine();
  resumeSchedule: Service["resumeSchedule"] = () => this.#demandEngine();
  triggerSchedule: Service["triggerSchedule"] = () => this.#demandEngine();
  backfillSchedule: Service["backfillSchedule"] = () => this.#demandEngine();
  deleteSchedule: Service["deleteSchedule"] = () => this.#demandEngine();

  /** Nobody is there: workers have an engine. */
  async listWorkers(): Promise<WorkersReply> {
    return { workers: [], taskQueues: [] };
  }

  async listPackages({ workflowType }: PackageFilter): Promise<PackagesReply> {
    return toPackagesReply(await this.#store.readCatalog(), workflowType);
  }

  async query(request: QueryRequest): Promise<Payload> {
    const run = await this.#find(request);
    if (this.#programs === undefined) {
      throw new AionError(
        "no_owner",
        `no engine is running on ${this.#store.name}, and a query needs the workflow's code`,
      );
    }
    return await queryRun({ run, store: this.#store, programs: this.#programs }, request);
  }

  async result(request: ResultRequest): Promise<ResultReply> {
    const endAt = performance.now() + request.waitMs;
    for (let address: RunAddress = request; ;) {
      const run = await this.#find(address);
      const { workflowId, runId, blocked } = run;
      const [last] = isClosed(run.status) ? await this.#store.readSegment(run, run.headSeq, 1) : [];
      const next = last === undefined ? undefined : successorOf(last);
      if (next !== undefined) {
        address = { workflowId, runId: next };
      } else if (last !== undefined) {
        return toResult(last, runId);
      } else if (blocked !== undefined || performance.now() >= endAt) {
        return { status: "running", runId, ...(blocked === undefined ? {} : { blocked }) };
      } else {
        await delay(pollMs);
      }
    }
  }

  async updateResult({ updateId, waitMs, ...address }: UpdateResultRequest): Promise<UpdateReply> {
    const endAt = performance.now() + waitMs;
    for (;;) {
      const place = await findUpdate(this.#store, await this.#find(address), updateId);
      if (place === undefined) {
        const why = `workflow ${address.workflowId} has accepted no update ${updateId}`;
        throw new AionError("update_not_found", why);
      }
      const reply = await readOutcome(this.#store, place);
      const { blocked } = place.run;
      if (reply.status !== "accepted") return reply;
      if (blocked !== undefined) return { ...reply, blocked };
      if (performance.now() >= endAt) return reply;
      await delay(pollMs);
    }
  }

  async describe(address: RunAddress): Promise<RunDescription> {
    const run = await this.#find(address);
    const state = await loadState(run, this.#store);
    return toDescription(run, state, {
      runs: await this.#store.readRunChain(run.workflowId),
      blocked: run.blocked,
      pid: undefined,
      labour: {
        isUnderWay: (ordinal) => this.#isOwned && state.activities.get(ordinal)?.startedAt !== undefined,
        // Who runs what, only the engine knows.
        isHere: () => true,
        isServed: () => true,
        progressOf: () => undefined,
      },
    });
  }

  async list({ filter, ...page }: ListRequest): Promise<ListReply> {
    const { runs, nextCursor } = await this.#store.list(toRunFilter(filter), page);
    return { runs: runs.map(toSummary), ...(nextCursor === undefined ? {} : { nextCursor }) };
  }

  async count(filter: ListFilter): Promise<number> {
    return await this.#store.count(toRunFilter(filter));
  }

  async history({ workflowId, runId, fromSeq, limit, waitMs = 0 }: HistoryRequest): Promise<HistoryReply> {
    const endAt = performance.now() + waitMs;
    for (;;) {
      const page = await readHistoryPage(this.#store, parseWorkflowId(workflowId), runId, fromSeq, limit);
      if (page.events.length > 0 || page.isEnd || performance.now() >= endAt) return page;
      await delay(pollMs);
    }
  }

  async logs({ workflowId, runId, after, limit, waitMs = 0 }: LogsRequest): Promise<LogsReply> {
    const endAt = performance.now() + waitMs;
    const of = { workflowId: parseWorkflowId(workflowId), runId, afterSeq: parseCursor(after) ?? 0, limit };
    for (;;) {
      const page = await readLogPage(this.#store, of);
      if (page.lines.length > 0 || page.isEnd || performance.now() >= endAt) return page;
      await delay(pollMs);
    }
  }

  async feed(request: FeedRequest): Promise<FeedReply> {
    const { limit, waitMs = 0, filter = {} } = request;
    const endAt = performance.now() + waitMs;
    for (let range = toFeedRange(request, limit); ;) {
      const page = await this.#store.readFeed(range);
      const events = toFeedEvents(page, filter);
      const { nextCursor, isAtHead } = page;
      if (events.length > 0 || (isAtHead && performance.now() >= endAt))
        return { events, nextCursor, isAtHead };
      range = { ...range, after: nextCursor };
      await delay(isAtHead ? pollMs : 0);
    }
  }

  async #demandEngine(why = "schedules need one"): Promise<never> {
    throw new AionError("no_owner", `no engine is running on ${this.#store.name}, and ${why}`, {
      hint: "Start the engine (`aion dev`, `aion server`, or your program), and repeat the command.",
    });
  }

  async #find(address: RunAddress): Promise<RunRecord> {
    const workflowId = parseWorkflowId(address.workflowId);
    const runId = address.runId === undefined ? undefined : parseRunId(address.runId);
    const run = await this.#store.findRun(workflowId, runId);
    if (run !== undefined) return run;
    const which = runId === undefined ? "" : ` with run ${runId}`;
    throw new AionError("run_not_found", `there is no workflow ${workflowId}${which}`);
  }
}

/** The coordinator of a schedule is none. */
function ofWorkflow<Request extends { readonly workflowId?: string }>(request: Request): Request {
  const { workflowId } = request;
  if (workflowId !== undefined && isCoordinatorId(workflowId))
    throw notAWorkflow(parseWorkflowId(workflowId));
  return request;
}
