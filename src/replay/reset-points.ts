import type { Event } from "../core/event.ts";
import { isTerminal } from "../core/status.ts";
import { isPausedAfter, recordRole } from "./replay.ts";

/** A place in a run from which its code can go on. */
export interface ResetPoint {
  /** The last event before it. */
  readonly seq: number;
  /** What the code learned last is kept, and what it did about it is not: it reacts to that anew. */
  readonly isRedone: boolean;
  /** It did nothing about it that was recorded: what it does now it does for the first time. */
  readonly isQuiet: boolean;
}

/**
 * Where the code of a run can go on from, in ascending order. What it does when it learns of something belongs together: it is kept as
 * a whole, or the code does it anew. At and behind the end of a lease there is nothing to go on from.
 *
 * `events`: the whole segment. What a reopening voids counts up to that reopening.
 */
export function resetPoints(events: readonly Event[]): readonly ResetPoint[] {
  const points: ResetPoint[] = [];
  const voids = new Set<number>();
  for (let from = 0; from < events.length;) {
    const reopened = events.findIndex(({ type }, index) => index > from && type === "WorkflowReopened");
    const to = reopened < 0 ? events.length : reopened;
    const lease = events[from];
    if (lease?.type === "WorkflowReopened") for (const seq of lease.voids) voids.add(seq);
    points.push(...pointsOfLease(events.slice(0, to), from, voids));
    from = to;
  }
  return points;
}

interface Span {
  readonly first: number;
  readonly commands: number[];
}

function pointsOfLease(events: readonly Event[], from: number, voids: ReadonlySet<number>): ResetPoint[] {
  const spans: Span[] = [];
  const ended = events.findIndex((event) => isTerminal(event) && !voids.has(event.seq));
  const end = ended < 0 ? events.length : ended;
  let isPaused = false;
  let held = 0;
  for (const [index, event] of events.entries()) {
    const isVoid = voids.has(event.seq);
    const role = isVoid ? "note" : recordRole(event);
    if (role === "input" && !isPaused && held === 0) spans.push({ first: index, commands: [] });
    else if (role === "command") spans.at(-1)?.commands.push(index);
    if (held > 0) held -= 1;
    if (isVoid) continue;
    if (event.type === "WorkflowReset") held = event.carriedSignals ?? 0;
    isPaused = isPausedAfter(event, isPaused);
  }
  const points: ResetPoint[] = [];
  for (const [place, { first, commands }] of spans.entries()) {
    const behind = spans[place + 1]?.first ?? events.length;
    for (let index = Math.max(first, from); index < Math.min(behind, end); index += 1) {
      const seq = events[index]?.seq;
      const isDone = commands.every((command) => command <= index);
      if (seq !== undefined && (isDone || commands.every((command) => command > index)))
        points.push({ seq, isRedone: !isDone, isQuiet: commands.length === 0 });
    }
  }
  return points;
}
