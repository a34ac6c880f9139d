import type { EventBody } from "../core/event.ts";
import { AionError } from "../core/errors.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import type { ChildOutcome } from "../core/message.ts";
import { nullPayload, toPayload } from "../core/payload.ts";
import { coordinatorType } from "../core/schedule.ts";
import type { ScheduleState } from "../core/schedule-state.ts";
import type { Program, ProgramInstance } from "../program/program.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Decision } from "../schedule/decide.ts";
import { decide, whenNext } from "../schedule/decide.ts";
import { toStartedId } from "../schedule/spec.ts";
import type { OutgoingMessage } from "../store/contract.ts";
import type { Input } from "./input.ts";

/** Events after which a coordinator goes on as a new run: so what it takes to load it is bounded. */
const segmentEvents = 500;
/** And not before so many, however large they are: what it goes on with may be large itself. */
const segmentEventsMin = 50;
/** Decisions in one commit: each may carry the input of a start. */
const stepsAtOnce = 16;
const failureTextMax = 500;
/** "At once", as it is written on a row: 0 would be taken up by recovery, and nobody need replay a coordinator for that. */
const atOnce = 1;

/**
 * The coordinator of a schedule: a run without code. What code would ask for is decided from its state and the time; its history has
 * the decisions. It is woken by the clock and by messages as other runs are, and put away as they are.
 */
export const coordinatorProgram: Program = {
  workflowType: coordinatorType,
  version: "1",
  parseInput: (input) => input,
  parseSignal: (_name, payload) => payload,
  instantiate: () => noInstance,
};

export const noInstance: ProgramInstance = {
  begin: () => undefined,
  end: () => ({ commands: [], sources: [], isStuck: false, isSettled: true, waitingSignals: 0 }),
  query: (name) => {
    const message = `the coordinator of a schedule answers no query ${JSON.stringify(name)}`;
    throw new AionError("query_unknown", message, { hint: "Describe the schedule." });
  },
  parseSignal: (_name, payload) => payload,
  parseResult: (_ordinal, payload) => payload,
  stepFunction: () => undefined,
  unconsumedSignals: () => [],
  reject: () => undefined,
  dispose: () => undefined,
};

/** When a coordinator must be looked at, from its state alone. */
export function coordinatorLookAt(run: RunState, schedule: ScheduleState): number | null {
  if (schedule.isDeleted || isLong(run)) return atOnce;
  const at = whenNext(schedule);
  return at === null ? null : Math.max(at, atOnce);
}

function isLong(run: RunState): boolean {
  const { historyLength } = run;
  return historyLength >= segmentEvents || (run.isHistoryLong && historyLength >= segmentEventsMin);
}

/** The next decisions, each made when its turn comes. */
export function coordinatorInputs(newRunId: () => RunId): Input[] {
  return Array.from({ length: stepsAtOnce }, () => decisionInput(newRunId));
}

function decisionInput(newRunId: () => RunId): Input {
  let send: readonly OutgoingMessage[] = [];
  return {
    toEvent: (state, nowMs) => {
      send = [];
      const { schedule } = state;
      if (schedule === undefined || state.isClosed) return undefined;
      if (schedule.isDeleted) return { type: "WorkflowCompleted", result: nullPayload };
      if (isLong(state)) {
        return {
          type: "WorkflowContinuedAsNew",
          newRunId: newRunId(),
          workflowType: coordinatorType,
          input: toPayload(schedule.toSnapshot(), "the state of a schedule", Number.MAX_SAFE_INTEGER),
        };
      }
      const step = toStep(state.workflowId, schedule, decide(schedule, nowMs));
      if (step === undefined) return undefined;
      ({ send } = step);
      return step.event;
    },
    replies: () => send,
  };
}

interface Step {
  readonly event: EventBody;
  readonly send: readonly OutgoingMessage[];
}

function toStep(coordinatorId: WorkflowId, schedule: ScheduleState, decision: Decision): Step | undefined {
  switch (decision.kind) {
    case "wait":
      return undefined;
    case "skip":
      return { event: toSkipEvent(decision), send: [] };
    case "start":
      return toStart(coordinatorId, schedule, decision);
    case "end-other": {
      const { ordinal, workflowId } = decision.run;
      const parent = { workflowId: coordinatorId, runId: schedule.incarnation, ordinal };
      const reason = `schedule ${schedule.scheduleId} has a later time to start`;
      return {
        event: { type: "ChildWorkflowCancelRequested", ordinal },
        send: [{ target: workflowId, message: { kind: decision.how, reason, parent } }],
      };
    }
  }
}

export function toSkipEvent({
  times,
  untilAt,
  reason,
  cause,
}: Decision & { readonly kind: "skip" }): EventBody {
  const { fromAt, toAt, count, isLeast } = times;
  return {
    type: "ScheduleSkipped",
    fromAt,
    toAt,
    count,
    ...(isLeast ? { isCountLeast: true as const } : {}),
    ...(untilAt === toAt ? {} : { untilAt }),
    reason,
    cause,
  };
}

/** A start is recorded, and what makes it goes with the same commit. */
export function toStart(
  coordinatorId: WorkflowId,
  schedule: ScheduleState,
  of: {
    readonly cause: (Decision & { readonly kind: "start" })["cause"];
    readonly nominalAt: number;
    readonly isWatched: boolean;
    readonly hasWaited?: boolean;
    readonly requestId?: string | undefined;
  },
): Step {
  const { cause, nominalAt, isWatched, hasWaited = false, requestId } = of;
  const { scheduleId, incarnation, nextOrdinal: ordinal } = schedule;
  const { workflowIdPrefix = scheduleId, ...action } = schedule.config.action;
  const named = toStartedId(workflowIdPrefix, nominalAt);
  // Two that are asked for by hand may fall on one instant.
  const target = (cause === "trigger" ? `${named}-${ordinal}` : named) as WorkflowId;
  return {
    event: {
      type: "ScheduleTriggered",
      ordinal,
      nominalAt,
      startedId: target,
      cause,
      isWatched,
      ...(hasWaited ? { hasWaited: true as const } : {}),
      ...(requestId === undefined ? {} : { requestId }),
    },
    send: [
      {
        target,
        message: {
          kind: "start-scheduled",
          ...action,
          input: schedule.input,
          scheduleId,
          nominalAt,
          cause,
          isWatched,
          from: { workflowId: coordinatorId, runId: incarnation, ordinal },
        },
      },
    ],
  };
}

/** What a coordinator keeps of an end: that there was one, and how. */
export function toClosedEvent(ordinal: number, outcome: ChildOutcome): EventBody {
  if (outcome.type === "ChildWorkflowCompleted") return { ...outcome, ordinal, result: nullPayload };
  if (outcome.type !== "ChildWorkflowFailed") return { ...outcome, ordinal };
  const { kind, message } = outcome.failure;
  return { ...outcome, ordinal, failure: { kind, message: message.slice(0, failureTextMax) } };
}

/** Everything that a coordinator's history may be given: whoever comes with something else has mistaken it for a workflow. */
export function demandScheduleEvent(run: RunState, body: EventBody): void {
  if (run.schedule === undefined || scheduleEvents.has(body.type)) return;
  throw notAWorkflow(run.workflowId);
}

const scheduleEvents: ReadonlySet<EventBody["type"]> = new Set([
  "ScheduleCreated",
  "ScheduleUpdated",
  "SchedulePaused",
  "ScheduleResumed",
  "ScheduleDeleted",
  "ScheduleTriggered",
  "ScheduleSkipped",
  "ScheduleBackfillRequested",
  "ChildWorkflowCancelRequested",
  "ChildWorkflowCompleted",
  "ChildWorkflowFailed",
  "ChildWorkflowCancelled",
  "ChildWorkflowTimedOut",
  "ChildWorkflowTerminated",
  "WorkflowCompleted",
  "WorkflowContinuedAsNew",
]);

export function notAWorkflow(workflowId: WorkflowId): AionError {
  return new AionError("invalid_argument", `workflow ${workflowId} is the coordinator of a schedule`, {
    hint: "Use the operations of schedules (`aion schedule`): pause it, trigger it, delete it.",
  });
}
