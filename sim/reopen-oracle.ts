import type { NewEvent } from "../src/core/codec.ts";
import { roleOf } from "../src/core/event.ts";
import type { Event } from "../src/core/event.ts";
import type { OutgoingMessage } from "../src/store/contract.ts";
import { isTerminal } from "../src/core/status.ts";
import type { AuditedRun } from "./audited-run.ts";
import { SimulationFailure } from "./failure.ts";

type Reopened = NewEvent & { readonly type: "WorkflowReopened" };

const ends: readonly string[] = ["WorkflowFailed", "WorkflowCancelled", "WorkflowTimedOut"];
/** What a reopening takes back besides the end: what went wrong, and what the end, or a cancellation, called off. */
const failures: readonly string[] = [
  "ActivityFailed",
  "ActivityTimedOut",
  "ActivityCancelled",
  "ChildWorkflowFailed",
  "ChildWorkflowCancelled",
  "ChildWorkflowTimedOut",
  "WorkflowCancelRequested",
];
const calledOff: readonly string[] = ["TimerCancelled", "ActivityCancelRequested", "SearchAttributesUpdated"];

/** An event of the lease that a reopening follows, and the turn of the code that it belongs to. */
interface Told {
  readonly seq: number;
  readonly event: NewEvent;
  /** What the code was told in that turn: the seq of the delivery. */
  readonly turn: number;
}

/**
 * I-59: what is void was an end, or led to it, and the code did nothing about it; good outcomes stay, and what the code asked for.
 * Throws `SimulationFailure`.
 */
export function checkVoids(run: AuditedRun, reopened: Reopened): void {
  const fail = (what: string): never => {
    throw new SimulationFailure(
      "voids",
      `${run.workflowId}, run ${run.runId}, ${JSON.stringify(reopened)}: ${what}`,
    );
  };
  const { terminal } = run;
  const voids = new Set(reopened.voids);
  const firstSeq = run.started.seq;
  const eventAt = (seq: number): NewEvent | undefined => run.events[seq - firstSeq];
  const endSeq = firstSeq + run.events.length - 1;
  if (terminal === undefined || !ends.includes(terminal.type)) return fail(`it ended by ${terminal?.type}`);
  if (!voids.has(endSeq)) fail("its end still counts");
  if (voids.size !== reopened.voids.length) fail("a seq is named twice");
  for (const seq of voids) {
    const event = eventAt(seq);
    if (event === undefined) return fail(`${seq} is no event of the run`);
    if (run.voids.has(seq)) fail(`${seq} was void before`);
    if (seq === endSeq || event.type === "InputDelivered" || calledOff.includes(event.type)) continue;
    if (!failures.includes(event.type) || roleOf(event) !== "input")
      fail(`${seq} (${event.type}) is no failure`);
  }
  const turns = turnsOf(run);
  const isVoidTurn = (turn: number): boolean => {
    const event = eventAt(turn);
    return voids.has(turn) || (event?.type === "InputDelivered" && voids.has(event.of));
  };
  for (const { seq, event } of turns) {
    if (event.type === "InputDelivered" && voids.has(seq) !== voids.has(event.of))
      fail(`of ${event.of} and its delivery one counts`);
  }
  const first = Math.min(
    ...turns.filter(({ seq, turn }) => seq === turn && isVoidTurn(turn)).map(({ seq }) => seq),
  );
  for (const { seq, event, turn } of turns) {
    if (roleOf(event) !== "command" || seq === endSeq) continue;
    if (seq > first && !voids.has(seq)) fail(`the code asked for ${seq} (${event.type}) since`);
    if (voids.has(seq) && !isVoidTurn(turn)) fail(`what led to ${seq} (${event.type}) still counts`);
  }
  const isOwnEnd =
    !run.isCodeUnbegun &&
    (terminal.type === "WorkflowCancelled" ||
      (terminal.type === "WorkflowFailed" && terminal.failure.kind !== "engine"));
  if (isOwnEnd && first === Number.POSITIVE_INFINITY) fail("it would end at once, in the same way");
}

/** The events of the latest lease, each with the delivery that it follows from. */
function turnsOf(run: AuditedRun): readonly Told[] {
  const told: Told[] = [];
  let isPaused = false;
  let turn = 0;
  for (const [index, event] of run.events.entries()) {
    const seq = run.started.seq + index;
    if (event.type === "WorkflowReopened") {
      told.length = 0;
      isPaused = false;
      turn = 0;
    }
    if (run.voids.has(seq)) continue;
    if (event.type === "WorkflowPaused" && event.isFurther !== true) isPaused = true;
    if (event.type === "WorkflowResumed" && event.isFurther !== true) isPaused = false;
    if (roleOf(event) === "input" && !isPaused) turn = seq;
    told.push({ seq, event, turn });
  }
  return told;
}

/** I-59: time-outs that have run out are given anew, as long as they were, and others stay. */
export function checkNewDeadlines(run: AuditedRun, reopened: Reopened): void {
  const { started, deadlines } = run;
  const beganAt = started.startAt ?? started.recordedAt;
  for (const name of ["runDeadlineAt", "executionDeadlineAt"] as const) {
    const first = started[name];
    const before = deadlines[name];
    const isOver = before !== undefined && before <= reopened.recordedAt;
    const expected = isOver && first !== undefined ? reopened.recordedAt + first - beganAt : undefined;
    if (reopened[name] !== expected)
      throw new SimulationFailure(
        "new-deadline",
        `${run.workflowId}: ${name} was ${before}, and is given anew as ${reopened[name]}, not ${expected}`,
      );
  }
}

/**
 * I-59, I-34: a reopened run waits for children that go on, is told again of those that have come to an end by themselves, and of
 * nobody else; none of them was ended with it. `wasTold`: it was told to end since its parent had ended.
 */
export function checkChildrenOfReopened(
  run: AuditedRun,
  send: readonly OutgoingMessage[],
  of: {
    readonly latest: (workflowId: string) => AuditedRun | undefined;
    readonly wasTold: (ordinal: number) => boolean;
    /** What the child said at its end is on its way. */
    readonly isOnItsWay: (ordinal: number) => boolean;
    readonly onResent: () => void;
  },
): void {
  const fail = (what: string): never => {
    throw new SimulationFailure("reopened-children", `${run.workflowId}, run ${run.runId}: ${what}`);
  };
  const resent = new Map<number, OutgoingMessage["message"]>();
  for (const { target, message } of send) {
    if (target !== run.workflowId || message.kind !== "child-closed" || message.runId !== run.runId)
      return fail(`its reopening sends ${message.kind} to ${target}`);
    if (resent.has(message.ordinal)) fail(`it is told twice of child ${message.ordinal}`);
    resent.set(message.ordinal, message);
  }
  for (const ordinal of resent.keys())
    if (!run.children.has(ordinal)) fail(`it waits for no child ${ordinal}`);
  for (const [ordinal, { childWorkflowId }] of run.children) {
    const child = of.latest(childWorkflowId);
    const isItsChild =
      child?.isDeleted === false &&
      child.started.parent?.runId === run.runId &&
      child.started.parent.ordinal === ordinal;
    if (!isItsChild || child === undefined) return fail(`its child ${ordinal} is not there`);
    const message = resent.get(ordinal);
    // It may have been reopened, or have come to its end, since it was looked at.
    const isAnother = child.reopenedCount > 0;
    if (child.terminal === undefined) {
      if (message !== undefined && isAnother) continue;
      if (message !== undefined) fail(`child ${ordinal} goes on, and it is told that it has ended`);
      if (of.wasTold(ordinal)) fail(`child ${ordinal} was told to end with it`);
      continue;
    }
    const { type } = child.terminal;
    if (message === undefined && of.isOnItsWay(ordinal)) continue;
    if (message?.kind !== "child-closed")
      return fail(`it is not told again of child ${ordinal}, which has ended`);
    if (message.outcome.type !== type.replace("Workflow", "ChildWorkflow") && !isAnother)
      fail(`child ${ordinal} ended by ${type}, and it is told of ${message.outcome.type}`);
    if (of.wasTold(ordinal) && type !== "WorkflowCompleted" && type !== "WorkflowFailed")
      fail(`child ${ordinal} was ended with it`);
    of.onResent();
  }
}

export function mayBeReopened(run: AuditedRun | undefined): boolean {
  return run?.terminal !== undefined && ends.includes(run.terminal.type);
}

/**
 * Nothing can stand against it: the last that its code was told is the failure of an activity, or its cancellation, of which it did
 * nothing but end, and nobody else has to do with it.
 */
export function isPlainlyReopenable(run: AuditedRun): boolean {
  const { terminal } = run;
  if (!mayBeReopened(run)) return false;
  if (run.children.size > 0 || run.sends.size > 0 || run.untoldSeqs.size > 0) return false;
  const turns = turnsOf(run);
  const last = turns.at(-1)?.turn;
  const [input, ...rest] = turns.filter((told) => told.turn === last).map(({ event }) => event);
  const isOver = rest.every((event) => event === terminal || calledOff.includes(event.type));
  if (terminal?.type === "WorkflowCancelled") return isOver && input?.type === "WorkflowCancelRequested";
  if (terminal?.type !== "WorkflowFailed" || terminal.failure.kind === "engine") return false;
  return isOver && (input?.type === "ActivityFailed" || input?.type === "ActivityTimedOut");
}

/**
 * The history that the run would have if what is void had never happened: as if it had been paused, if it was, and resumed. The same
 * program has to go that way.
 */
export function withoutVoids(events: readonly Event[]): readonly Event[] {
  const voids = new Set(events.flatMap((event) => (event.type === "WorkflowReopened" ? event.voids : [])));
  const kept: Event[] = [];
  const seqs = new Map<number, number>();
  let isPaused = false;
  for (const event of events) {
    if (voids.has(event.seq)) continue;
    let as: Event = event;
    if (event.type === "WorkflowReopened") {
      if (!isPaused) continue;
      const { seq, recordedAt, workflowId } = event;
      as = { type: "WorkflowResumed", seq, recordedAt, workflowId };
    }
    if (as.type === "WorkflowPaused" && as.isFurther !== true) isPaused = true;
    if (as.type === "WorkflowResumed" && as.isFurther !== true) isPaused = false;
    const seq = (events[0]?.seq ?? 1) + kept.length;
    seqs.set(event.seq, seq);
    kept.push(as.type === "InputDelivered" ? { ...as, seq, of: seqs.get(as.of) ?? 0 } : { ...as, seq });
  }
  return kept;
}

/** Whether that end was told truly: it was the end of the run at some moment since there were so many events of it. */
export function wasEndSince(run: AuditedRun, event: NewEvent, eventCount: number): boolean {
  const index = run.events.indexOf(event);
  return index >= eventCount - 1 && isTerminal(event);
}
