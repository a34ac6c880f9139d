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

/** How often a request of that kind is in the history. */
export function countRequests(
  history: readonly Event[],
  type: (typeof asked)[number],
  requestId: string,
): number {
  return history.filter((event) => event.type === type && event.requestId === requestId).length;
}

/** I-8, I-9, I-10, I-20, I-37, I-40, I-58, I-59. */
export function findBroken(
  histories: ReadonlyMap<string, readonly Event[]>,
  effects: readonly Effect[],
): readonly string[] {
  const found: string[] = [];
  const began = new Map<string, Effect>();
  const done = new Set<string>();
  for (const effect of effects) {
    const attempt = `${effect.key}/${effect.attempt}`;
    if (effect.kind === "done") {
      done.add(attempt);
      continue;
    }
    if (began.has(attempt)) found.push(`attempt ${effect.attempt} of ${effect.id} ${effect.name} ran twice`);
    began.set(attempt, effect);
  }
  const recorded = new Set<string>();
  for (const [id, history] of histories) {
    const violate = (what: string): void => void found.push(`${id}: ${what}`);
    if (history.some(({ seq }, index) => seq !== index + 1)) violate("its history has a gap");
    for (const type of asked) {
      const ids = history.flatMap((event) =>
        event.type === type && event.requestId !== undefined ? [event.requestId] : [],
      );
      if (new Set(ids).size !== ids.length) violate(`a request is twice in it: ${type} ${ids.join()}`);
    }
    for (const segment of segmentsOf(history)) checkSegment(segment, { violate, began, done, recorded });
  }
  for (const [attempt, { id, name }] of began)
    if (!recorded.has(attempt)) found.push(`attempt ${attempt} of ${id} ${name} ran, and no history says so`);
  return found;
}

function checkSegment(
  segment: readonly Event[],
  of: {
    readonly violate: (what: string) => void;
    readonly began: ReadonlyMap<string, Effect>;
    readonly done: ReadonlySet<string>;
    readonly recorded: Set<string>;
  },
): void {
  const { violate, began, done, recorded } = of;
  const [started] = segment;
  const runId = started?.type === "WorkflowStarted" ? started.runId : "";
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
      case "ActivityStarted": {
        const { ordinal, attempt } = event;
        if (attempt !== (attempts.get(ordinal) ?? 0) + 1)
          violate(`attempt ${attempt} of activity ${ordinal} comes after ${attempts.get(ordinal)}`);
        if (completed.has(ordinal)) violate(`activity ${ordinal} is tried again, and was done`);
        attempts.set(ordinal, attempt);
        recorded.add(`${runId}:${ordinal}/${attempt}`);
        break;
      }
      case "ActivityCompleted": {
        const key = `${runId}:${event.ordinal}/${event.attempt}`;
        if (completed.has(event.ordinal)) violate(`activity ${event.ordinal} has two outcomes`);
        if (!began.has(key) || !done.has(key)) violate(`activity ${key} is done, and nobody did it`);
        completed.set(event.ordinal, event.attempt);
        break;
      }
      default:
        if (isEnd(event)) isPaused = false;
    }
  }
}
