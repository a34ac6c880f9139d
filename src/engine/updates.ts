import type { CallOptions, UpdateReply, UpdateRequest, UpdateResultRequest } from "../client/service.ts";
import type { ErrorCode } from "../core/errors.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { parsePayload } from "../core/payload.ts";
import { isSameInput } from "../core/payload-codec.ts";
import type { TraceContext } from "../core/tracing.ts";
import { toTraceContext } from "../core/tracing.ts";
import type { RunState } from "../replay/run-state.ts";
import type { AcceptedUpdate } from "../replay/update-states.ts";
import type { UpdatePlace } from "./accepted-updates.ts";
import { findUpdate, lookUpUpdate, readAccepted, readOutcome } from "./accepted-updates.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import { notAWorkflow } from "./coordinator.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { isOthersFault } from "./load.ts";
import { demandRun } from "./views.ts";

interface Submission {
  readonly workflowId: WorkflowId;
  readonly runId: RunId | undefined;
  readonly updateId: string;
  readonly name: string;
  readonly input: Payload;
  readonly trace: TraceContext | undefined;
}

/** What a run made of an update that was handed to it. */
interface Turn {
  /** `early`: the code of the run may not move yet, so nobody can say whether it takes the update. */
  readonly kind: "accepted" | "known" | "early";
  readonly runId: RunId;
}

/** How long somebody waits. */
interface Patience {
  readonly isOver: boolean;
  readonly end: Promise<void>;
}

/**
 * Requests to running workflows that are answered. Owner: the operations of the engine.
 *
 * Laws: an update is accepted by the commit that holds its `UpdateAccepted`, or it was never there; its code was asked before, at a
 * moment at which nothing of the run moved. A run accepts an id once, with all that it continues as; whoever comes with it again is told
 * what became of that one. Nobody is told anything that is not on disk.
 */
export class Updates {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  async update(request: UpdateRequest, options: CallOptions = {}): Promise<UpdateReply> {
    this.#kernel.demandOpen();
    const of = this.#parse(request);
    const { workflowId, updateId } = of;
    return await this.#waiting(request.waitMs ?? 0, options, async (patience) => {
      for (;;) {
        const turn = await this.#submit(of);
        const { runId } = turn;
        if (turn.kind === "early") {
          if (patience.isOver) return { status: "waiting", runId, updateId };
          await this.#heard(workflowId, runId, mayMove, patience, async () => {
            const state = this.#kernel.residency.get(workflowId)?.state;
            return state !== undefined && mayMove(state) ? true : undefined;
          });
          continue;
        }
        const accepted: UpdateReply = { status: "accepted", runId, updateId };
        const isToldSoon = request.waitFor === "accepted";
        if (turn.kind === "accepted") return isToldSoon ? accepted : await this.#outcome(of, runId, patience);
        const place = await this.#demand(workflowId, runId, updateId);
        await this.#demandSame(place, of);
        this.#kernel.meter.repeated("update");
        // The outcome costs no waiting if it is there.
        return await this.#outcome(
          of,
          place.run.runId,
          isToldSoon ? { ...patience, isOver: true } : patience,
        );
      }
    });
  }

  async result(request: UpdateResultRequest, options: CallOptions = {}): Promise<UpdateReply> {
    this.#kernel.demandOpen();
    const workflowId = parseWorkflowId(request.workflowId);
    const runId = request.runId === undefined ? undefined : parseRunId(request.runId);
    const updateId = parseName(request.updateId, "update id");
    const { run } = await this.#demand(workflowId, runId, updateId);
    return await this.#waiting(request.waitMs, options, (patience) =>
      this.#outcome({ workflowId, updateId }, run.runId, patience),
    );
  }

  #parse(request: UpdateRequest): Submission {
    const name = parseName(request.name, "update name");
    const { trace } = request;
    const workflowId = parseWorkflowId(request.workflowId);
    if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
    return {
      workflowId,
      runId: request.runId === undefined ? undefined : parseRunId(request.runId),
      updateId:
        request.updateId === undefined ? this.#kernel.newRunId() : parseName(request.updateId, "update id"),
      name,
      input: parsePayload(
        request.input,
        `the input of update ${JSON.stringify(name)}`,
        this.#kernel.options.payloadLimitBytes,
      ),
      trace: trace === undefined ? undefined : toTraceContext(trace.traceparent, trace.tracestate),
    };
  }

  /** Hands it to the run. What the run refuses was never there; who asks for what was accepted once is told so, whatever happened since. */
  async #submit(of: Submission): Promise<Turn> {
    const { workflowId, runId, updateId } = of;
    for (;;) {
      // What is on its way to the run was sent before.
      await this.#kernel.mailbox.settled(workflowId);
      let turn: Turn | undefined;
      let workflowType: string | undefined;
      try {
        await this.#offer(workflowId, runId, (state) => {
          ({ workflowType } = state.started);
          turn = { kind: kindOf(state, updateId), runId: state.started.runId };
          if (turn.kind !== "accepted") return undefined;
          const { name, input, trace } = of;
          this.#kernel.limits.demandRoomForUpdate(state, name);
          const traced = trace === undefined ? {} : { trace };
          return { type: "UpdateAccepted", updateId, name, input, ...traced };
        });
        if (turn !== undefined) return turn;
        throw new AionError("internal", `update ${updateId} was neither taken nor refused`);
      } catch (error) {
        // The process of its code was ended by what another run did.
        if (isOthersFault(error)) continue;
        if (!isAionError(error)) throw error;
        if (isRefusal(error.code) && workflowType !== undefined)
          this.#kernel.meter.updateRefused(workflowType, error.code);
        // Repeated because the first answer was lost: that the run has ended since, or is held, does not undo it.
        if (error.code !== "run_closed" && error.code !== "run_blocked") throw error;
        const place = await lookUpUpdate(this.#kernel.store, workflowId, runId, updateId);
        if (place === undefined) throw error;
        return { kind: "known", runId: place.run.runId };
      }
    }
  }

  #offer(workflowId: WorkflowId, runId: RunId | undefined, toEvent: Input["toEvent"]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#kernel.residency.offer(workflowId, {
        toEvent,
        runId,
        onDurable: resolve,
        onRefused: reject,
        ...(runId === undefined ? { followsChain: true as const } : {}),
      });
    });
  }

  /** Error: `update_not_found`. */
  async #demand(workflowId: WorkflowId, runId: RunId | undefined, updateId: string): Promise<UpdatePlace> {
    const place = await this.#find(workflowId, runId, updateId);
    if (place !== undefined) return place;
    const which = runId === undefined ? "" : `, run ${runId},`;
    throw new AionError(
      "update_not_found",
      `workflow ${workflowId}${which} has accepted no update ${updateId}`,
    );
  }

  async #find(
    workflowId: WorkflowId,
    runId: RunId | undefined,
    updateId: string,
  ): Promise<UpdatePlace | undefined> {
    const { residency, store } = this.#kernel;
    const resident = residency.get(workflowId);
    if (resident?.isHere === true && (runId === undefined || resident.state.started.runId === runId)) {
      // Taken at a moment at which all of it is on disk: the run moves on right after.
      const update = await new Promise<AcceptedUpdate | undefined>((resolve) => {
        resident.ask(() => {
          const found = resident.isGone ? undefined : resident.state.updates.of(updateId);
          resolve(found === undefined ? undefined : { ...found });
        });
      });
      // Of one that was copied, its outcome may have been told by another run.
      if (update !== undefined && resident.state.started.resetOf === undefined)
        return { run: await demandRun(store, workflowId, resident.state.started.runId), update };
    }
    return await findUpdate(store, await demandRun(store, workflowId, runId), updateId);
  }

  /** Error: `update_conflict`. */
  async #demandSame(place: UpdatePlace, { workflowId, updateId, name, input }: Submission): Promise<void> {
    const accepted = await readAccepted(this.#kernel.store, place);
    if (accepted === undefined) return;
    const taken = (why: string): AionError =>
      new AionError("update_conflict", `update id ${updateId} of workflow ${workflowId} is taken: ${why}`);
    if (accepted.name !== name) throw taken(`by update ${JSON.stringify(accepted.name)}`);
    if (!this.#isSame(accepted.sent ?? accepted.input, input, workflowId))
      throw taken("by one with another input");
  }

  /** An encoded input is another text each time: what it says is compared, by who can read it. */
  #isSame(left: Payload, right: Payload, workflowId: WorkflowId): boolean {
    const { codec } = this.#kernel.options;
    if (isSameInput(left, right)) return true;
    if (codec === undefined) return false;
    const context = { kind: "update", workflowId } as const;
    return codec.decode(left, context) === codec.decode(right, context);
  }

  /** What became of it, or that nothing has yet. */
  async #outcome(
    { workflowId, updateId }: Pick<Submission, "workflowId" | "updateId">,
    runId: RunId,
    patience: Patience,
  ): Promise<UpdateReply> {
    for (;;) {
      const isSettled = (state: RunState): boolean => state.updates.of(updateId)?.settledSeq !== undefined;
      const isLast = patience.isOver;
      const reply = await this.#heard(workflowId, runId, isSettled, patience, async () => {
        const told = await readOutcome(this.#kernel.store, await this.#demand(workflowId, runId, updateId));
        if (told.status !== "accepted") return told;
        const blocked = await this.#kernel.whyBlocked(workflowId, isLast ? undefined : patience.end);
        if (!isLast && blocked === undefined) return undefined;
        return { ...told, ...(blocked === undefined ? {} : { blocked }) };
      });
      if (reply !== undefined) return reply;
    }
  }

  /**
   * Looks, and if that is no answer, waits until it is so of the run, or the run has ended, or patience has. The watch is in place
   * before the look, so that what happens between the two is seen by one of them.
   */
  async #heard<Answer>(
    workflowId: WorkflowId,
    runId: RunId,
    isSo: (state: RunState) => boolean,
    patience: Patience,
    look: () => Promise<Answer | undefined>,
  ): Promise<Answer | undefined> {
    const heard = Promise.withResolvers<void>();
    heard.promise.catch(() => undefined);
    const stop = this.#kernel.watchers.watch(workflowId, {
      onClosed: (closed) => {
        if (closed === runId) heard.resolve();
      },
      // A commit is on disk: what is in memory now is what it holds.
      onAppended: () => {
        const state = this.#kernel.residency.get(workflowId)?.state;
        if (state === undefined || state.headSeq === 0 || state.started.runId !== runId || isSo(state))
          heard.resolve();
      },
      onBlocked: heard.resolve,
      onLost: heard.reject,
    });
    try {
      const answer = await look();
      if (answer !== undefined) return answer;
      await Promise.race([heard.promise, patience.end]);
      return undefined;
    } finally {
      stop();
    }
  }

  async #waiting<Reply>(
    waitMs: number,
    { abortSignal }: CallOptions,
    work: (patience: Patience) => Promise<Reply>,
  ): Promise<Reply> {
    const end = Promise.withResolvers<void>();
    const patience = { isOver: false, end: end.promise };
    const over = (): void => {
      patience.isOver = true;
      end.resolve();
    };
    const { scheduler } = this.#kernel.options.ports;
    const cancelTimer =
      waitMs > 0 && waitMs < Number.MAX_SAFE_INTEGER ? scheduler.delay(waitMs, over) : () => undefined;
    if (waitMs <= 0 || abortSignal?.aborted === true) over();
    abortSignal?.addEventListener("abort", over, { once: true });
    try {
      return await work(patience);
    } finally {
      cancelTimer();
      abortSignal?.removeEventListener("abort", over);
    }
  }
}

function kindOf(state: RunState, updateId: string): Turn["kind"] {
  if (state.updates.of(updateId) !== undefined || state.updates.hasEarlier(updateId)) return "known";
  return mayMove(state) ? "accepted" : "early";
}

/** The code can be asked: its start delay is over, and nobody has paused it. */
function mayMove(state: RunState): boolean {
  return state.isCodeStarted && state.pause === undefined;
}

const refusals: readonly ErrorCode[] = [
  "update_rejected",
  "update_unknown",
  "payload_invalid",
  "updates_pending",
];

function isRefusal(code: ErrorCode): boolean {
  return refusals.includes(code);
}
