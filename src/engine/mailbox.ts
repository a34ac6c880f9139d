import { AionError, isAionError } from "../core/errors.ts";
import type { EventBody, ParentLink } from "../core/event.ts";
import { toFailure, ApplicationFailure } from "../core/failure.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { Message } from "../core/message.ts";
import { messageOf } from "../core/payload.ts";
import { isClosed } from "../core/status.ts";
import type { Payload } from "../core/payload.ts";
import { isCodecError } from "../core/payload-codec.ts";
import { coordinatorType, isCoordinatorId } from "../core/schedule.ts";
import type { SkipReason } from "../core/schedule.ts";
import type { Commit, OutgoingMessage } from "../store/contract.ts";
import { isChildOf, toCancelEvent } from "./closing.ts";
import { notAWorkflow, toClosedEvent } from "./coordinator.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { toStartInput } from "./start-input.ts";

const pageSize = 500;
const retryMs = 1_000;

/** A message that can be delivered. */
interface Letter extends OutgoingMessage {
  readonly messageId: number;
}

/** Until no letter up to this one is in the line. */
interface Waiting {
  readonly lastId: number;
  readonly resolve: () => void;
}

/**
 * Delivers messages between workflows. Owner: the kernel. The messages are on disk, written by the commits that they follow
 * from; this object only carries them, per target in their order.
 *
 * Laws: a message is deleted by the commit that records what it led to (or that it led to nothing), and by no other. What
 * waits for a blocked run stays where it is. What a damaged message says cannot be known, so its target does not go on
 * without it.
 */
export class Mailbox {
  readonly #kernel: Kernel;
  readonly #lines = new Map<WorkflowId, Letter[]>();
  readonly #waiting = new Map<WorkflowId, Waiting[]>();
  /** Whom a damaged message waits for. */
  #damaged: ReadonlyMap<WorkflowId, AionError> = new Map();
  /** How many wait on disk for each workflow: when they were listed last, and since. */
  #kept = new Map<WorkflowId, number>();
  #isStarted = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Delivers what was listed, before anything that was sent since. */
  start(): void {
    this.#isStarted = true;
    for (const [target, line] of this.#lines) void this.#drain(target, line);
    for (const [target, error] of this.#damaged) this.#kernel.residency.block(target, error);
  }

  /** Messages on their way. */
  get pendingCount(): number {
    let count = 0;
    for (const line of this.#lines.values()) count += line.length;
    return count;
  }

  /** Takes up everything that is on disk. */
  async list(): Promise<void> {
    const damaged = new Map<WorkflowId, AionError>();
    const kept = new Map<WorkflowId, number>();
    for (let after = 0; ;) {
      const page = await this.#kernel.store.listMessages(after, pageSize);
      for (const stored of page) {
        const { messageId, target, message } = stored;
        after = messageId;
        kept.set(target, (kept.get(target) ?? 0) + 1);
        if (message.kind !== "damaged") this.#enqueue({ messageId, target, message });
        else if (!damaged.has(target)) damaged.set(target, message.error);
      }
      if (page.length < pageSize) break;
    }
    this.#kept = kept;
    const known = this.#damaged;
    this.#damaged = damaged;
    for (const [target, error] of damaged) {
      if (known.has(target)) continue;
      this.#kernel.log("error", "a message is damaged, and its target is held", {
        ...error.details,
        error: error.message,
      });
      if (this.#isStarted) this.#kernel.residency.block(target, error);
    }
  }

  /** The same for who cannot wait: tried again when the disk does not answer now. */
  listAgain(): void {
    this.#kernel.insist("listing messages", () => this.list());
  }

  /** Before a run that was blocked goes on: what waits for it on disk is on its way. At the start it is anyway. */
  async takeUp(): Promise<void> {
    if (this.#isStarted) await this.list();
  }

  /** Why nothing may happen to the workflow: a message to it cannot be read. */
  damageOf(target: WorkflowId): AionError | undefined {
    return this.#damaged.get(target);
  }

  /**
   * Puts a message to a blocked run on disk, where it waits. Errors: `signals_full` (so many wait there that this one may not, too),
   * and those of the store.
   */
  async post(target: WorkflowId, message: OutgoingMessage["message"]): Promise<void> {
    const count = this.#kept.get(target) ?? 0;
    if (message.kind === "signal") {
      const full = this.#kernel.limits.signalsFull(target, count, "that wait until it can go on");
      if (full !== undefined) throw full;
    }
    // Before it is there: of those that come meanwhile none is to be one too many.
    this.#kept.set(target, count + 1);
    const result = await this.#kernel.recorder.commit({ send: [{ target, message }] });
    if (!result.ok) throw result.error;
  }

  /** A commit that sends these is on disk. */
  sent(messages: readonly OutgoingMessage[], ids: readonly number[]): void {
    if (ids.length < messages.length) {
      // The commit was resolved by reading, which does not tell the ids.
      this.listAgain();
      return;
    }
    for (const [index, message] of messages.entries()) {
      const messageId = ids[index];
      if (messageId !== undefined) this.#enqueue({ ...message, messageId });
    }
  }

  /**
   * Resolves when nothing sent before now is still on its way to the workflow. Not to be waited for by who holds another one: what is on its
   * way may wait for that (`whenSettled`).
   */
  async settled(target: WorkflowId): Promise<void> {
    const lastId = this.#lines.get(target)?.at(-1)?.messageId;
    if (lastId === undefined) return;
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(target);
      if (waiting === undefined) this.#waiting.set(target, [{ lastId, resolve }]);
      else waiting.push({ lastId, resolve });
    });
  }

  /** Whether its parent has begun it, asked it to stop or ended it by a message that is still on its way. */
  isStillTold(target: WorkflowId, parent: ParentLink): boolean {
    const line = this.#lines.get(target) ?? [];
    return line.some(({ message }) => "parent" in message && isChildOf(message.parent, parent));
  }

  /** In the order of their ids, which is that of the commits: a list may bring older ones than were sent since. */
  #enqueue(message: Letter): void {
    const { target, messageId } = message;
    const line = this.#lines.get(target);
    if (line === undefined) {
      const fresh = [message];
      this.#lines.set(target, fresh);
      if (this.#isStarted) void this.#drain(target, fresh);
      return;
    }
    const last = line.at(-1);
    if (last === undefined || last.messageId < messageId) line.push(message);
    else if (!line.some((other) => other.messageId === messageId)) {
      const place = line.findIndex((other) => other.messageId > messageId);
      line.splice(place, 0, message);
    }
  }

  async #drain(target: WorkflowId, line: Letter[]): Promise<void> {
    for (let message = line[0]; message !== undefined; message = line[0]) {
      try {
        if (this.#kernel.blocked.get(target) !== undefined && needsCode(message)) {
          await this.#kernel.residency.resident(target);
          const isStillBlocked = this.#kernel.blocked.get(target) !== undefined;
          // It goes on: what waited for it on disk is in the line now, in its place. Or it does not, and can be ended.
          const next = isStillBlocked ? line.find((other) => !needsCode(other)) : line[0];
          if (next === undefined) break;
          message = next;
        }
        await this.#deliver(message);
        this.#remove(line, message);
      } catch (error) {
        if (isDelivered(error, message)) {
          this.#remove(line, message);
          // The same commit may have sent something, too.
          this.listAgain();
          continue;
        }
        if (isAionError(error) && error.code === "run_blocked") {
          if (line.every(needsCode)) break;
          if (this.#kernel.blocked.get(target) !== undefined) continue;
        } else if (this.#damaged.has(target)) break;
        if (this.#kernel.stopped !== undefined) break;
        this.#kernel.log("warn", "a message could not be delivered; trying again", {
          workflowId: target,
          error: messageOf(error),
        });
        await new Promise<void>((resolve) => this.#kernel.options.ports.scheduler.delay(retryMs, resolve));
      }
    }
    this.#lines.delete(target);
    this.#tellWaiting(target, undefined);
  }

  #remove(line: Letter[], message: Letter): void {
    const index = line.indexOf(message);
    if (index >= 0) line.splice(index, 1);
    this.#tellWaiting(message.target, line[0]);
  }

  /** Who waits for no letter that is still there. */
  #tellWaiting(target: WorkflowId, next: Letter | undefined): void {
    const waiting = this.#waiting.get(target);
    if (waiting === undefined) return;
    const isOver = ({ lastId }: Waiting): boolean => next === undefined || lastId < next.messageId;
    const still = waiting.filter((one) => !isOver(one));
    if (still.length === 0) this.#waiting.delete(target);
    else this.#waiting.set(target, still);
    for (const one of waiting) if (isOver(one)) one.resolve();
  }

  async #deliver(stored: Letter): Promise<void> {
    this.#kernel.demandOpen();
    const { target, message, messageId } = stored;
    switch (message.kind) {
      case "start-child":
        await this.#startChild(stored, message);
        return;
      case "start-scheduled":
        await this.#startScheduled(stored, message);
        return;
      case "scheduled-refused": {
        const { kind: _kind, runId, nominalAt, ...refusal } = message;
        const times = { fromAt: nominalAt, toAt: nominalAt, count: 1 };
        await this.#offer(target, messageId, ({ schedule }) =>
          schedule?.incarnation === runId ? { type: "ScheduleSkipped", ...times, ...refusal } : undefined,
        );
        return;
      }
      case "child-closed": {
        const { ordinal, outcome, runId } = message;
        if (isCoordinatorId(target)) {
          await this.#offer(target, messageId, ({ schedule }) =>
            schedule?.incarnation === runId && schedule.running.has(ordinal)
              ? toClosedEvent(ordinal, outcome)
              : undefined,
          );
          return;
        }
        await this.#offer(target, messageId, (state) =>
          state.children.get(ordinal)?.parentRunId === runId ? { ...outcome, ordinal } : undefined,
        );
        return;
      }
      case "signal": {
        const { name, payload, signalId, from, trace } = message;
        const event: EventBody = {
          type: "SignalReceived",
          name,
          payload,
          ...(signalId === undefined ? {} : { signalId }),
          ...(trace === undefined ? {} : { trace }),
        };
        let full: AionError | undefined;
        const settled = (failure?: ReturnType<typeof toFailure>): OutgoingMessage[] =>
          from === undefined
            ? []
            : [
                {
                  target: from.workflowId,
                  message: {
                    kind: "signal-settled",
                    runId: from.runId,
                    ordinal: from.ordinal,
                    ...(failure === undefined ? {} : { failure }),
                  },
                },
              ];
        if (isCoordinatorId(target)) {
          const { message: why } = notAWorkflow(target);
          const failure = new ApplicationFailure(why, { type: "SignalFailed", nonRetryable: true });
          await this.#settle({ consume: [messageId], send: settled(toFailure(failure)) });
          return;
        }
        await this.#offer(
          target,
          messageId,
          (state) => {
            if (signalId !== undefined && state.requests.hasSignal(signalId)) return undefined;
            // One that was acknowledged to a caller, and waited on disk, is not refused any more.
            full = from === undefined ? undefined : this.#kernel.limits.ofSignals(target);
            return full === undefined ? { ...event } : undefined;
          },
          () => settled(full === undefined ? undefined : toRefusal(full)),
          (error) => settled(toRefusal(error)),
        );
        return;
      }
      case "signal-settled": {
        const { runId, ordinal, failure } = message;
        await this.#offer(target, messageId, (state) =>
          state.sends.get(ordinal) === runId
            ? { type: "SignalSettled", ordinal, ...(failure === undefined ? {} : { failure }) }
            : undefined,
        );
        return;
      }
      case "cancel": {
        const { runId, reason, requestId, parent } = message;
        await this.#offer(target, messageId, (state) => {
          const { started } = state;
          const isMeant =
            (runId === undefined || started.runId === runId) &&
            (parent === undefined || isChildOf(started.parent, parent));
          return isMeant ? toCancelEvent(state, { reason, requestId }) : undefined;
        });
        return;
      }
      case "terminate": {
        const { runId, reason, parent } = message;
        try {
          const event: EventBody = {
            type: "WorkflowTerminated",
            ...(reason === undefined ? {} : { reason }),
          };
          await this.#kernel.endings.end(target, runId, event, { messageId, parent });
        } catch (error) {
          if (!isGone(error)) throw error;
          await this.#settle({ consume: [messageId] });
        }
        return;
      }
    }
  }

  /** Offers an event to the target's latest run; one that is gone settles the message with `refusal`. */
  async #offer(
    target: WorkflowId,
    messageId: number,
    toEvent: Input["toEvent"],
    replies: Input["replies"] = () => [],
    refusal: (error: AionError) => readonly OutgoingMessage[] = () => [],
  ): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#kernel.residency.offer(target, {
          toEvent,
          replies,
          messageId,
          onDurable: resolve,
          onRefused: reject,
        });
      });
    } catch (error) {
      if (!isGone(error)) throw error;
      // It may have continued as new meanwhile: then the next run is asked.
      const latest = await this.#kernel.residency.latest(target);
      if (latest !== undefined && !isClosed(latest.status))
        return this.#offer(target, messageId, toEvent, replies, refusal);
      const send = refusal(error as AionError);
      await this.#settle({ consume: [messageId], ...(send.length === 0 ? {} : { send }) });
    }
  }

  async #startChild(stored: Letter, message: Message & { readonly kind: "start-child" }): Promise<void> {
    const { target, messageId } = stored;
    const { workflowType, parent, runTimeoutMs, trace, attributes } = message;
    const fail = (error: AionError): Promise<void> => {
      const { runId, ordinal, workflowId } = parent;
      const outcome = { type: "ChildWorkflowFailed", failure: toFailure(error) } as const;
      return this.#settle({
        consume: [messageId],
        send: [{ target: workflowId, message: { kind: "child-closed", runId, ordinal, outcome } }],
      });
    };
    if (isCoordinatorId(target)) return fail(notAWorkflow(target));
    const program = this.#kernel.options.programs.route(workflowType);
    if (program === undefined || workflowType === coordinatorType) {
      return fail(
        new AionError(
          "workflow_type_unknown",
          `no workflow type ${JSON.stringify(workflowType)} is registered`,
        ),
      );
    }
    let input: Payload;
    try {
      input = await program.parseInput(message.input);
    } catch (error) {
      // Without a key that will come (or come back), or with another one by mistake: the child waits.
      if (!isAionError(error) || isCodecError(error)) throw error;
      return fail(error);
    }
    const existing = await this.#kernel.residency.latest(target);
    if (existing !== undefined && !isClosed(existing.status)) {
      return fail(
        new AionError(
          "workflow_already_exists",
          `the child's workflow id ${target} is taken by a running workflow`,
        ),
      );
    }
    await new Promise<void>((resolve, reject) => {
      this.#kernel.residency.begin(target, program, existing, [
        {
          ...toStartInput({
            runId: this.#kernel.newRunId(),
            program,
            input,
            parent,
            ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
            trace,
            attributes,
            limits: this.#kernel.limits,
          }),
          messageId,
          onDurable: resolve,
          onRefused: reject,
        },
      ]);
    });
  }

  /** The commit that begins the run consumes the message: so however often it is tried, there is one run. */
  async #startScheduled(
    { target, messageId }: Letter,
    message: Message & { readonly kind: "start-scheduled" },
  ): Promise<void> {
    const { workflowType, from, isWatched, cause, scheduleId, nominalAt, ...rest } = message;
    const refuse = async (reason: SkipReason, why: string): Promise<void> => {
      const { runId, ordinal, workflowId } = from;
      const of = { runId, ordinal, nominalAt, cause, startedId: target };
      await this.#settle({
        consume: [messageId],
        send: [{ target: workflowId, message: { kind: "scheduled-refused", ...of, reason, message: why } }],
      });
    };
    const program = this.#kernel.options.programs.route(workflowType);
    if (program === undefined)
      return refuse("start-refused", `no workflow type ${JSON.stringify(workflowType)} is registered`);
    let input: Payload;
    try {
      input = await program.parseInput(rest.input);
    } catch (error) {
      if (!isAionError(error) || isCodecError(error)) throw error;
      return refuse("start-refused", error.message);
    }
    const existing = await this.#kernel.residency.latest(target);
    if (existing !== undefined) {
      const { runId, status } = existing;
      return refuse("workflow-id-taken", `workflow id ${target} is taken: run ${runId} is ${status}`);
    }
    const { runTimeoutMs, executionTimeoutMs, attributes } = rest;
    await new Promise<void>((resolve, reject) => {
      this.#kernel.residency.begin(target, program, undefined, [
        {
          ...toStartInput({
            runId: this.#kernel.newRunId(),
            program,
            input,
            scheduled: { scheduleId, nominalAt },
            attributes,
            limits: this.#kernel.limits,
            ...(isWatched ? { parent: from } : {}),
            ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
            ...(executionTimeoutMs === undefined ? {} : { executionTimeoutMs }),
          }),
          messageId,
          onDurable: resolve,
          onRefused: reject,
        },
      ]);
    });
  }

  async #settle(commit: Commit): Promise<void> {
    const result = await this.#kernel.recorder.commit(commit);
    if (!result.ok) throw result.error;
    if (commit.send !== undefined) this.sent(commit.send, result.messageIds);
  }
}

/** Told to the workflow that sent the signal. */
function toRefusal({ message }: AionError): ReturnType<typeof toFailure> {
  return toFailure(new ApplicationFailure(message, { type: "SignalFailed", nonRetryable: true }));
}

/** A run whose code cannot be loaded can be ended all the same, and a start asks nothing of a run that is there. */
function needsCode({ message }: Letter): boolean {
  const { kind } = message;
  return kind !== "terminate" && kind !== "start-child" && kind !== "start-scheduled";
}

/** The message was answered by a commit whose own answer was lost. */
function isDelivered(error: unknown, message: Letter): boolean {
  return isAionError(error) && error.details["missingMessageId"] === message.messageId;
}

function isGone(error: unknown): boolean {
  return isAionError(error) && (error.code === "run_not_found" || error.code === "run_closed");
}
