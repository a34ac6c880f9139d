/** What holds of every history, and of what activities did meanwhile: read from outside, by the letter of the guide. */
import type { Event } from "../../src/core/event.ts";
import type { Effect } from "./effects.ts";

const ends: ReadonlySet<string> = new Set([
  "WorkflowCompleted",
  "WorkflowFailed",
  "WorkflowCancelled",
  "WorkflowTerminated",
  "WorkflowTimedOut",
  "WorkflowContinuedAsNew",
]);

/** What code asks for or is told, and the beginning of an attempt: nothing of it is in a pause. */
const moves: ReadonlySet<string> = new Set([
  "ActivityScheduled",
  "ActivityStarted",
  "ActivityCancelRequested",
  "TimerStarted",
  "TimerCancelled",
  "InputDelivered",
  "UpdateAccepted",
  "UpdateCompleted",
  "WorkflowCompleted",
  "WorkflowFailed",
  "WorkflowCancelled",
  "WorkflowContinuedAsNew",
]);

const asked = ["WorkflowPaused", "WorkflowResumed", "WorkflowReopened", "WorkflowCancelRequested"] as const;

export const isEnd = ({ type }: Event): boolean => ends.has(type);

/** The runs of a workflow id, from its history. */
export function segmentsOf(history: readonly Event[]): readonly (readonly Event[])[] {
  const segments: Event[][] = [];
  for (const event of history) {
    if (event.type === "WorkflowStarted") segments.push([]);
    segments.at(-1)?.push(event);
  }
  return segments;
}

/** What is in the history of its run for the first time: not what a run that goes on from a point of another one begins with. */
export function ownEvents(segment: readonly Event[]): readonly Event[] {
  const [started] = segment;
  return segment.slice(copiedCount(started));
}

function copiedCount(started: Event | undefined): number {
  return (started?.type === "WorkflowStarted" ? started.resetOf?.eventCount : undefined) ?? 0;
}

/** How often a request of that kind is in the history. */
export function countRequests(
  history: readonly Event[],
  type: (typeof asked)[number],
  requestId: string,
): number {
  const own = segmentsOf(history).flatMap(ownEvents);
  return own.filter((event) => event.type === type && event.requestId === requestId).length;
}

/** I-8, I-9, I-10, I-20, I-37, I-40, I-58, I-59, I-60, I-61, I-62. */
export function findBroken(
  histories: ReadonlyMap<string, readonly Event[]>,
  effects: readonly Effect[],
): readonly string[] {
  const found: string[] = [];
  const began = new Map<string, Effect[]>();
  const done = new Set<string>();
  for (const effect of effects) {
    const attempt = `${effect.key}/${effect.attempt}`;
    if (effect.kind === "done") {
      done.add(attempt);
      continue;
    }
    began.set(attempt, [...(began.get(attempt) ?? []), effect]);
  }
  /** How often each attempt was begun: a run that goes on from before it begins it, too, under the same key. */
  const recorded = new Map<string, number>();
  for (const [id, history] of histories) {
    const violate = (what: string): void => void found.push(`${id}: ${what}`);
    if (history.some(({ seq }, index) => seq !== index + 1)) violate("its history has a gap");
    for (const type of asked) {
      const ids = segmentsOf(history)
        .flatMap(ownEvents)
        .flatMap((event) => (event.type === type && event.requestId !== undefined ? [event.requestId] : []));
      if (new Set(ids).size !== ids.length) violate(`a request is twice in it: ${type} ${ids.join()}`);
    }
    for (const segment of segmentsOf(history)) checkSegment(segment, { violate, began, done, recorded });
  }
  for (const [attempt, effectsOf] of began) {
    const recordedCount = recorded.get(attempt) ?? 0;
    const [first] = effectsOf;
    if (effectsOf.length > recordedCount)
      found.push(
        `attempt ${attempt} of ${first?.id} ${first?.name} ran ${effectsOf.length} times, and histories say ${recordedCount}`,
      );
  }
  return found;
}

function checkSegment(
  segment: readonly Event[],
  of: {
    readonly violate: (what: string) => void;
    readonly began: ReadonlyMap<string, readonly Effect[]>;
    readonly done: ReadonlySet<string>;
    readonly recorded: Map<string, number>;
  },
): void {
  const { violate, began, done, recorded } = of;
  const [started] = segment;
  const copied = copiedCount(started);
  // Whose keys those have that are asked for, and those that are open.
  let owner = started?.type === "WorkflowStarted" ? (started.resetOf?.begunAs.runId ?? started.runId) : "";
  const owners = new Map<number, string>();
  const parked = new Set<number>();
  let isPaused = false;
  const attempts = new Map<number, number>();
  const completed = new Map<number, number>();
  for (const [index, event] of segment.entries()) {
    const before = segment[index - 1];
    if (before !== undefined && isEnd(before)) {
      const isVoided = event.type === "WorkflowReopened" && event.voids.includes(before.seq);
      if (!isVoided) violate(`event ${event.seq} (${event.type}) comes after its end`);
    } else if (event.type === "WorkflowReopened")
      violate(`it is reopened by event ${event.seq}, and had not ended`);
    if (isPaused && moves.has(event.type)) violate(`event ${event.seq} (${event.type}) is in a pause`);
    switch (event.type) {
      case "WorkflowPaused":
        isPaused = true;
        break;
      case "WorkflowResumed":
      case "WorkflowReopened":
        isPaused = false;
        break;
      case "WorkflowReset":
        isPaused = false;
        owner = event.as.runId;
        parked.clear();
        if (event.keysRunId !== undefined)
          for (const ordinal of owners.keys()) owners.set(ordinal, event.keysRunId);
        break;
      case "ActivityScheduled":
        owners.set(event.ordinal, owner);
        break;
      case "ActivityParked":
        if (parked.has(event.ordinal)) violate(`activity ${event.ordinal} is parked twice`);
        parked.add(event.ordinal);
        break;
      case "ActivityResumed":
        for (const ordinal of event.ordinals)
          if (!parked.delete(ordinal)) violate(`activity ${ordinal} is resumed, and was not parked`);
        break;
      case "ActivityFailed":
        if (event.byOperator === true && !parked.delete(event.ordinal))
          violate(`an operator lets activity ${event.ordinal} fail, which was not parked`);
        break;
      case "ActivityStarted": {
        const { ordinal, attempt } = event;
        if (attempt !== (attempts.get(ordinal) ?? 0) + 1)
          violate(`attempt ${attempt} of activity ${ordinal} comes after ${attempts.get(ordinal)}`);
        if (completed.has(ordinal)) violate(`activity ${ordinal} is tried again, and was done`);
        if (parked.has(ordinal)) violate(`activity ${ordinal} is tried again, and is parked`);
        attempts.set(ordinal, attempt);
        const key = `${owners.get(ordinal)}:${ordinal}/${attempt}`;
        if (index >= copied) recorded.set(key, (recorded.get(key) ?? 0) + 1);
        break;
      }
      case "ActivityCompleted": {
        const key = `${owners.get(event.ordinal)}:${event.ordinal}/${event.attempt}`;
        if (completed.has(event.ordinal)) violate(`activity ${event.ordinal} has two outcomes`);
        if (event.byOperator === true) {
          if (!parked.delete(event.ordinal)) violate(`an operator completes ${key}, which was not parked`);
        } else if (!began.has(key) || !done.has(key)) violate(`activity ${key} is done, and nobody did it`);
        completed.set(event.ordinal, event.attempt);
        break;
      }
      default:
        if (isEnd(event)) isPaused = false;
    }
  }
}
