import { randomUUID } from "node:crypto";
import type {
  DeployReply,
  DeployRequest,
  EndRequest,
  RouteRequest,
  SignalRequest,
  StartReply,
  StartRequest,
  UnloadRequest,
} from "../client/service.ts";
import { parseAttributes } from "../core/attributes.ts";
import { AionError, assert } from "../core/errors.ts";
import type { ControlKind } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName, parseRunId, parseWorkflowId, toRunId } from "../core/ids.ts";
import type { Message } from "../core/message.ts";
import { parsePayload } from "../core/payload.ts";
import { isSameInput } from "../core/payload-codec.ts";
import { isClosed } from "../core/status.ts";
import { toEndCommit } from "../engine/closing.ts";
import { wasRequested } from "../engine/end-requests.ts";
import { isUnreadable } from "../engine/endings.ts";
import { loadReadable, loadState } from "../engine/load.ts";
import { toControlCommit } from "../engine/pausing.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Commit, OwnerToken, RunCommit, RunRecord, StartCommit, Store } from "../store/contract.ts";
import { openSqliteStore } from "../store/sqlite/store.ts";

/** Long enough for a slow disk; a command that dies is found dead by its process anyway. */
const leaseMs = 10_000;

/**
 * What the commands that change something do on a file on which no engine runs: they become its owner, write, and give
 * it up again. Whatever code has to decide is left to the next engine: a start is recorded unchecked, a signal and a
 * request to cancel wait as messages.
 *
 * Law: as an engine would, and never beside one: every write carries the epoch of a claim of its own.
 */
export class FileWrites {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async start(request: StartRequest): Promise<StartReply> {
    const parsed = parseStart(request);
    return await this.#owning(async (store, token) => {
      const { workflowId } = parsed;
      const existing = await store.findRun(workflowId);
      if (existing === undefined) return await begin({ store, token, parsed, firstSeq: 1, before: {} });
      const met = await meet(existing, store, parsed);
      switch (met) {
        case "begin":
          return await begin({ store, token, parsed, firstSeq: existing.headSeq + 1, before: {} });
        case "replace": {
          const before = toEnd(existing, await loadToEnd(existing, store), {
            type: "WorkflowTerminated",
            reason: "replaced by a new start",
          });
          return await begin({ store, token, parsed, firstSeq: existing.headSeq + 2, before });
        }
        case "signal": {
          const { signal } = parsed;
          assert(signal, "a start that meets a running run with a signal has one");
          await commit(store, token, toMessage(existing, { kind: "signal", ...signal }));
          break;
        }
        case "there":
          break;
      }
      return { workflowId, runId: existing.runId, isNew: false };
    });
  }

  async signal(request: SignalRequest): Promise<void> {
    const workflowId = parseWorkflowId(request.workflowId);
    const signal = parseSignal(request);
    await this.#owning(async (store, token) => {
      const run = await findOpenRun(store, workflowId, request.runId);
      await commit(store, token, toMessage(run, { kind: "signal", ...signal }));
    });
  }

  async cancel(request: EndRequest): Promise<void> {
    const workflowId = parseWorkflowId(request.workflowId);
    const fields = parseEndFields(request);
    await this.#owning(async (store, token) => {
      if (await wasMade(store, "cancel", request)) return;
      const run = await findOpenRun(store, workflowId, request.runId);
      const state = await loadState(run, store);
      // Before a start delay is over there is no code that could clean up.
      const change = state.isCodeStarted
        ? toMessage(run, { kind: "cancel", runId: run.runId, ...fields })
        : toEnd(run, state, { type: "WorkflowCancelled", ...fields });
      await commit(store, token, change);
    });
  }

  async terminate(request: EndRequest): Promise<void> {
    const workflowId = parseWorkflowId(request.workflowId);
    const fields = parseEndFields(request);
    await this.#owning(async (store, token) => {
      if (await wasMade(store, "terminate", request)) return;
      const run = await findOpenRun(store, workflowId, request.runId);
      const state = await loadToEnd(run, store);
      await commit(store, token, toEnd(run, state, { type: "WorkflowTerminated", ...fields }));
    });
  }

  async pause(request: EndRequest): Promise<void> {
    await this.#control("pause", request);
  }

  async resume(request: EndRequest): Promise<void> {
    await this.#control("resume", request);
  }

  /** What the code of the run is to do is left to the engine that comes next. */
  async #control(kind: ControlKind, request: EndRequest): Promise<void> {
    const workflowId = parseWorkflowId(request.workflowId);
    const fields = parseEndFields(request);
    await this.#owning(async (store, token) => {
      if (await wasMade(store, kind, request)) return;
      const run = await findOpenRun(store, workflowId, request.runId);
      const change = toControlCommit(run, await loadState(run, store), { kind, fields, nowMs: Date.now() });
      if (change !== undefined) await commit(store, token, change);
    });
  }

  /** The engine that comes next loads it; that it can be loaded is not tried here. */
  async deploy({ archive, isRouted = true, ...rest }: DeployRequest): Promise<DeployReply> {
    const { readArchive } = await import("../package/archive.ts");
    const { hash: version, manifest } = readArchive(archive);
    const workflowTypes = manifest.workflows.map(({ type }) => type);
    const route = isRouted ? workflowTypes : [];
    const request = parseRequest(rest);
    return await this.#owning(async (store, token) => {
      const deployedAt = Date.now();
      const { isNew } = await store.changeCatalog(token, {
        kind: "deploy",
        ...request,
        version,
        archive,
        workflowTypes,
        deployedAt,
        route,
      });
      return { version, workflowTypes, isNew };
    });
  }

  async route({ workflowTypes, version, ...rest }: RouteRequest): Promise<void> {
    const request = parseRequest(rest);
    await this.#owning((store, token) =>
      store.changeCatalog(token, {
        kind: "route",
        ...request,
        workflowTypes,
        version,
        routedAt: Date.now(),
      }),
    );
  }

  async unload({ version, ...rest }: UnloadRequest): Promise<void> {
    const request = parseRequest(rest);
    await this.#owning((store, token) => store.changeCatalog(token, { kind: "unload", ...request, version }));
  }

  async #owning<Result>(write: (store: Store, token: OwnerToken) => Promise<Result>): Promise<Result> {
    const store = openSqliteStore({ path: this.#path });
    try {
      const token = await store.claim({ leaseMs });
      try {
        return await write(store, token);
      } finally {
        await store.release(token);
      }
    } finally {
      await store.close();
    }
  }
}

interface ParsedStart extends Omit<StartRequest, "workflowId" | "signal"> {
  readonly workflowId: WorkflowId;
  readonly signal: ParsedSignal | undefined;
}

type ParsedSignal = Omit<Message & { readonly kind: "signal" }, "kind" | "from">;

function parseStart(request: StartRequest): ParsedStart {
  const workflowType = parseName(request.workflowType, "workflow type");
  const requestId = request.requestId === undefined ? undefined : parseName(request.requestId, "request id");
  const { attributes: given, ...rest } = request;
  const attributes = parseAttributes(given, "the attributes of a start");
  return {
    ...rest,
    ...(attributes === undefined ? {} : { attributes }),
    workflowType,
    input: parsePayload(request.input, `the input of workflow ${JSON.stringify(workflowType)}`),
    workflowId: parseWorkflowId(request.workflowId ?? requestId ?? randomUUID()),
    signal: request.signal === undefined ? undefined : parseSignal(request.signal),
  };
}

function parseSignal(of: NonNullable<StartRequest["signal"]>): ParsedSignal {
  const name = parseName(of.name, "signal name");
  return {
    name,
    payload: parsePayload(of.payload, `the payload of signal ${JSON.stringify(name)}`),
    ...(of.signalId === undefined ? {} : { signalId: parseName(of.signalId, "signal id") }),
  };
}

/** What a start does with a run that has its id: see `ReusePolicy`. */
async function meet(
  existing: RunRecord,
  store: Store,
  request: ParsedStart,
): Promise<"begin" | "replace" | "signal" | "there"> {
  const { workflowId, runId, status, workflowType } = existing;
  const [first] = await store.readSegment(existing, existing.firstSeq, 1);
  const started = first?.type === "WorkflowStarted" ? first : undefined;
  if (request.requestId !== undefined && started?.requestId === request.requestId) return "there";
  const isOpen = !isClosed(status);
  const reuse = request.reuse ?? (request.signal === undefined ? "return" : "after-close");
  const taken = (why: string): AionError =>
    new AionError("workflow_already_exists", `workflow id ${workflowId} is taken: ${why}`, {
      details: { workflowId, runId, status },
    });
  if (reuse === "reject") throw taken(`run ${runId} is ${status}, and the reuse policy is "reject"`);
  if (reuse === "terminate") return isOpen ? "replace" : "begin";
  if (isOpen && request.signal !== undefined) return "signal";
  if (!isOpen && (reuse === "after-close" || (reuse === "after-failure" && status !== "completed")))
    return "begin";
  if (workflowType !== request.workflowType)
    throw taken(`run ${runId} is of type ${JSON.stringify(workflowType)}`);
  if (started !== undefined && !isSameInput(started.input, request.input))
    throw taken(`run ${runId} was started with another input`);
  return "there";
}

/** `before`: what becomes of the run before it, in the same commit. */
async function begin(of: {
  readonly store: Store;
  readonly token: OwnerToken;
  readonly parsed: ParsedStart;
  readonly firstSeq: number;
  readonly before: Commit;
}): Promise<StartReply> {
  const { store, token, parsed, firstSeq, before } = of;
  const { workflowId } = parsed;
  const start = toStart(parsed, firstSeq, toRunId(randomUUID()));
  await commit(store, token, { ...before, start });
  return { workflowId, runId: start.runId, isNew: true };
}

function toStart(request: ParsedStart, firstSeq: number, runId: RunId): StartCommit {
  const {
    workflowId,
    workflowType,
    input,
    requestId,
    signal,
    startDelayMs = 0,
    runTimeoutMs,
    executionTimeoutMs,
    attributes,
  } = request;
  const nowMs = Date.now();
  // A start delay comes before the time that the run is given.
  const startAt = nowMs + startDelayMs;
  // The code is not here to say its version: it is pinned to the one that inline definitions have.
  const version = "inline";
  return {
    workflowId,
    runId,
    workflowType,
    version,
    firstSeq,
    status: "running",
    startedAt: nowMs,
    wakeAt: startDelayMs === 0 ? 0 : startAt,
    ...(attributes === undefined ? {} : { attributes }),
    events: [
      {
        type: "WorkflowStarted",
        recordedAt: nowMs,
        runId,
        workflowType,
        version,
        input,
        unchecked: true,
        ...(signal === undefined ? {} : { signals: [signal] }),
        ...(requestId === undefined ? {} : { requestId }),
        ...(startDelayMs === 0 ? {} : { startAt }),
        ...(runTimeoutMs === undefined ? {} : { runTimeoutMs, runDeadlineAt: startAt + runTimeoutMs }),
        ...(executionTimeoutMs === undefined ? {} : { executionDeadlineAt: startAt + executionTimeoutMs }),
        ...(attributes === undefined ? {} : { attributes }),
      },
    ],
  };
}

function parseRequest({ requestId }: { readonly requestId?: string }): { readonly requestId?: string } {
  return requestId === undefined ? {} : { requestId: parseName(requestId, "request id") };
}

function parseEndFields({ reason, ...rest }: EndRequest): {
  readonly reason?: string;
  readonly requestId?: string;
} {
  return { ...(reason === undefined ? {} : { reason }), ...parseRequest(rest) };
}

/** Nobody writes beside, so what is not there now does not come in between. */
async function wasMade(
  store: Store,
  kind: "cancel" | "terminate" | ControlKind,
  { workflowId, runId, requestId }: EndRequest,
): Promise<boolean> {
  if (requestId === undefined) return false;
  return await wasRequested(store, {
    kind,
    workflowId: parseWorkflowId(workflowId),
    runId: runId === undefined ? undefined : parseRunId(runId),
    requestId,
  });
}

async function findOpenRun(
  store: Store,
  workflowId: WorkflowId,
  runId: string | undefined,
): Promise<RunRecord> {
  const run = await store.findRun(workflowId, runId === undefined ? undefined : parseRunId(runId));
  if (run === undefined) {
    const which = runId === undefined ? "" : ` with run ${runId}`;
    throw new AionError("run_not_found", `there is no workflow ${workflowId}${which}`);
  }
  if (!isClosed(run.status)) return run;
  throw new AionError(
    "run_closed",
    `run ${run.runId} of workflow ${workflowId} has ended: it is ${run.status}`,
  );
}

/** A message to an open run. The run's own row is part of the commit: that it is open is checked where it is written. */
function toMessage(run: RunRecord, message: Message): Commit {
  return {
    run: { ...unchanged(run), status: run.status, wakeAt: run.wakeAt },
    send: [{ target: run.workflowId, message }],
  };
}

/** A run can be ended whose history cannot be read: as far as it can, it tells of its children. */
async function loadToEnd(run: RunRecord, store: Store): Promise<RunState> {
  try {
    return await loadState(run, store);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return loadReadable(run, store);
  }
}

function toEnd(
  run: RunRecord,
  { children }: RunState,
  body: {
    readonly type: "WorkflowTerminated" | "WorkflowCancelled";
    readonly reason?: string;
    readonly requestId?: string;
  },
): Commit {
  return toEndCommit(run, children, { ...body, recordedAt: Date.now() }).commit;
}

function unchanged(
  run: RunRecord,
): Pick<RunCommit, "runKey" | "workflowId" | "expectedSeq" | "events" | "wakeAtBefore"> {
  const { runKey, workflowId, headSeq, wakeAt } = run;
  return { runKey, workflowId, expectedSeq: headSeq, events: [], wakeAtBefore: wakeAt };
}

async function commit(store: Store, token: OwnerToken, change: Commit): Promise<void> {
  const [result] = await store.append(token, [change]);
  assert(result, "a store answers each commit");
  if (!result.ok) throw result.error;
}
