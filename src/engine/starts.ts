import type { StartReply, StartRequest } from "../client/service.ts";
import { parseAttributes } from "../core/attributes.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { EventBody, EventOf, StartSignal } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import { parseName, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { parsePayload } from "../core/payload.ts";
import { isSameInput } from "../core/payload-codec.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { isClosed } from "../core/status.ts";
import { toTraceContext } from "../core/tracing.ts";
import type { Program } from "../program/program.ts";
import type { RunRecord } from "../store/contract.ts";
import { notAWorkflow } from "./coordinator.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { isOthersFault } from "./load.ts";
import { deliverSignal, parseStartSignal } from "./signals.ts";
import { demandProgram, toStartInput } from "./start-input.ts";
import { findRequested, hasReceived, readStart } from "./views.ts";

/** Its input has passed the schema. */
interface CheckedStart extends StartRequest {
  /** As it came. */
  readonly sent: Payload;
}

/** A start that met another one is tried again this often; each time another one has got its run. */
const startAttemptsMax = 1_000;

/**
 * Starts of workflows. Owner: the operations of the engine.
 *
 * Laws: a start makes one run or meets the one that is there, however often it is repeated; which of the two, the first commit of the
 * run decides, and its policy for ids that are taken. A signal that comes with it reaches one run, once.
 */
export class Starts {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
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
    const sent = parsePayload(request.input, what, payloadLimitBytes);
    const input = await program.parseInput(sent);
    const signal =
      request.signal === undefined
        ? undefined
        : await parseStartSignal(this.#kernel, program, request.signal);
    const { attributes: given, ...rest } = request;
    const attributes = parseAttributes(given, "the attributes of a start");
    const requestId =
      request.requestId === undefined ? undefined : parseName(request.requestId, "request id");
    const workflowId = parseWorkflowId(request.workflowId ?? requestId ?? this.#kernel.newRunId());
    if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#startOnce(
          { ...rest, input, sent, ...(attributes && { attributes }) },
          workflowId,
          program,
          signal,
        );
      } catch (error) {
        // Somebody else began a run of that id, or ended the one that was met.
        const isRace =
          isAionError(error) && (error.code === "sequence_conflict" || error.code === "run_closed");
        if (!(isRace || isOthersFault(error)) || attempt >= startAttemptsMax) throw error;
      }
    }
  }

  async #startOnce(
    request: CheckedStart,
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
    request: CheckedStart,
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
          ...(request.requestId === undefined ? {} : { requestId: request.requestId, sent: request.sent }),
          ...(request.startDelayMs === undefined ? {} : { startDelayMs: request.startDelayMs }),
          ...(request.runTimeoutMs === undefined ? {} : { runTimeoutMs: request.runTimeoutMs }),
          ...(request.executionTimeoutMs === undefined
            ? {}
            : { executionTimeoutMs: request.executionTimeoutMs }),
          ...(signal === undefined ? {} : { signals: [signal] }),
          attributes: request.attributes,
          trace: toTraceContext(request.trace?.traceparent, request.trace?.tracestate),
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
    request: CheckedStart,
    signal: StartSignal | undefined,
  ): Promise<StartReply | undefined> {
    const { workflowId, runId } = existing;
    const reply: StartReply = { workflowId, runId, isNew: false };
    if (request.requestId !== undefined) {
      const requested = await findRequested(this.#kernel.store, workflowId, request.requestId);
      if (requested !== undefined) {
        this.#demandSame(requested, request.requestId, request);
        return { workflowId, runId: requested.runId, isNew: false };
      }
    }
    const started = await readStart(this.#kernel.store, existing);
    const isOpen = !isClosed(existing.status);
    const reuse = request.reuse ?? (signal === undefined ? "return" : "after-close");
    if (signal !== undefined && isOpen && reuse !== "terminate" && reuse !== "reject") {
      await this.#kernel.mailbox.settled(workflowId);
      const trace = toTraceContext(request.trace?.traceparent, request.trace?.tracestate);
      await deliverSignal(this.#kernel, workflowId, runId, signal, trace);
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

  /** Error: `workflow_already_exists` (the request id has begun another run than is asked for). */
  #demandSame(started: EventOf<"WorkflowStarted">, requestId: string, request: CheckedStart): void {
    const { workflowId, runId, workflowType, input, sent = input } = started;
    const isSame =
      workflowType === request.workflowType &&
      (this.#isSameInput(sent, request.sent, workflowId) ||
        this.#isSameInput(input, request.input, workflowId));
    if (isSame) return;
    const other =
      workflowType === request.workflowType
        ? "with another input"
        : `of type ${JSON.stringify(workflowType)}`;
    throw new AionError(
      "workflow_already_exists",
      `request id ${JSON.stringify(requestId)} has begun run ${runId} of workflow ${workflowId}, ${other}`,
      { hint: "Give each start a request id of its own.", details: { workflowId, runId } },
    );
  }

  /** An encoded input is another text each time: what it says is compared, by who can read it. */
  #isSameInput(left: Payload, right: Payload, workflowId: WorkflowId): boolean {
    const { codec } = this.#kernel.options;
    if (isSameInput(left, right)) return true;
    if (codec === undefined) return false;
    const context = { kind: "start", workflowId } as const;
    return codec.decode(left, context) === codec.decode(right, context);
  }
}
