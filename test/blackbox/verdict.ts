/** Whether what was seen is what had to be. */
import type { Event } from "aion/client";
import type { Call, Observed } from "./play.ts";
import type { Outcome } from "./program.ts";

/** What history says of one piece of work. */
interface Recorded {
  /** Attempts whose outcome is recorded. */
  readonly attempts: Set<number>;
  /** The attempt after which there is none. */
  last: number | undefined;
}

function recordedOf(histories: Observed["histories"]): {
  readonly works: ReadonlyMap<string, Recorded>;
  readonly faults: readonly string[];
} {
  const works = new Map<string, Recorded>();
  const faults: string[] = [];
  for (const [workflowId, events] of Object.entries(histories)) {
    let runId = "";
    for (const [index, event] of events.entries()) {
      // I-40
      if (event.seq !== index + 1) faults.push(`${workflowId}: event ${index + 1} has seq ${event.seq}`);
      if (event.type === "WorkflowStarted") ({ runId } = event);
      const end = toAttempt(event);
      if (end === undefined) continue;
      const key = `${runId}:${end.ordinal}`;
      const work = works.get(key) ?? { attempts: new Set(), last: undefined };
      works.set(key, work);
      if (work.last !== undefined)
        faults.push(`${workflowId}: ${key} has a second outcome, event ${event.seq}`);
      work.attempts.add(end.attempt);
      if (end.isLast) work.last = end.attempt;
    }
  }
  return { works, faults };
}

function toAttempt(
  event: Event,
): { readonly ordinal: number; readonly attempt: number; readonly isLast: boolean } | undefined {
  switch (event.type) {
    case "ActivityCompleted":
    case "ActivityCancelled":
      return { ordinal: event.ordinal, attempt: event.attempt, isLast: true };
    case "ActivityFailed":
      // Its worker was lost, and with it the outcome.
      if (event.lost !== undefined) return undefined;
      return { ordinal: event.ordinal, attempt: event.attempt, isLast: event.retryAt === undefined };
    case "ActivityTimedOut":
      return { ordinal: event.ordinal, attempt: event.attempt, isLast: event.retryAt === undefined };
    default:
      return undefined;
  }
}

export interface JudgeOptions {
  /** What was done just before a kill may be undone and come to something else: closures may have run for nothing. */
  readonly mayBeUndone?: boolean;
  /** On a real clock, failures that a kill cut off count outside and not inside: a retry fewer. */
  readonly mayFailLess?: boolean;
}

/** What was wrong; empty: nothing. */
export function judge(expected: Outcome, observed: Observed, options: JudgeOptions = {}): readonly string[] {
  const { outcome, calls, histories, killedAtMs } = observed;
  const { works, faults } = recordedOf(histories);
  const found = [...faults];
  const same = (what: string, should: unknown, is: unknown): void => {
    const [left, right] = [JSON.stringify(should), JSON.stringify(is)];
    if (left !== right) found.push(`${what}: should be ${left}, is ${right}`);
  };

  // I-34, I-35, I-37: how each run ended, when, and with what; none is missing, none too many.
  for (const id of new Set([...Object.keys(expected.runs), ...Object.keys(outcome.runs)])) {
    same(`runs of ${id}`, expected.runs[id], outcome.runs[id]);
  }
  // I-22, I-23: each signal once, in order.
  same("signals", expected.received, outcome.received);
  // I-24: what clients were told.
  same("answers", expected.answers, outcome.answers);

  const byKey = new Map<string, Call[]>();
  for (const call of calls) byKey.set(call.key, [...(byKey.get(call.key) ?? []), call]);
  const excused = new Map<string, number>();
  for (const [key, of] of byKey) {
    const work = works.get(key);
    for (const [index, call] of of.entries()) {
      const what = `${call.label}, attempt ${call.attempt}`;
      const before = of[index - 1];
      // I-10
      if (before !== undefined && call.attempt <= before.attempt)
        found.push(`${what}: numbered out of order`);
      // I-8
      if (work?.last !== undefined && call.attempt > work.last)
        found.push(`${what}: executed after its outcome was recorded`);
      const next = of[index + 1];
      if (next === undefined || work?.attempts.has(call.attempt) === true) continue;
      // Executed again, since its outcome was not recorded: only a kill excuses that.
      if (next.life === call.life) found.push(`${what}: executed again although nothing had died`);
      excused.set(call.label, (excused.get(call.label) ?? 0) + 1);
    }
  }
  for (const label of new Set([...Object.keys(expected.calls), ...Object.keys(outcome.calls)])) {
    const should = expected.calls[label] ?? 0;
    const is = (outcome.calls[label] ?? 0) - (excused.get(label) ?? 0);
    if (should === 0 && is === 1 && expected.optional.includes(label)) continue;
    if (options.mayFailLess === true && is < should && is >= 1) continue;
    if (should !== is)
      found.push(`calls of ${label}: should be ${should}, are ${is} besides those a kill cut off`);
  }

  // Closures run again only in turns that were undone.
  const produced = new Map<string, number>();
  for (const label of outcome.produced) produced.set(label, (produced.get(label) ?? 0) + 1);
  for (const label of new Set([...expected.produced, ...produced.keys()])) {
    const should = expected.produced.filter((each) => each === label).length;
    const is = produced.get(label) ?? 0;
    if (should === 0 && options.mayBeUndone === true) continue;
    const most = should === 0 ? 0 : should + killedAtMs.length;
    if (is < should || is > most) {
      found.push(`closure ${label}: should have run ${should} times, ran ${is}`);
    }
  }
  return found;
}
