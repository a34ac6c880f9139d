import { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";
import { isClosed, terminalOf } from "../core/status.ts";
import type { ResetPoint } from "../replay/reset-points.ts";
import { RunState } from "../replay/run-state.ts";
import { voidsOf } from "./copying.ts";
import type { Source } from "./reset-source.ts";
import type { TrialOutcome } from "./trial.ts";

/** Points that are tried, from the last one backwards, when none is named. */
const triesMax = 100;

type Refusal = Exclude<TrialOutcome, { kind: "goes-on" }> | { readonly kind: "beyond" };
type Attempt = (point: ResetPoint) => Promise<TrialOutcome>;

/** The point that is named. Throws `run_not_resettable`, which names those that are near, if it is none, or if the code does not fit. */
export async function demandPoint(
  source: Source,
  toSeq: number,
  attempt: Attempt,
  runOf: (seq: number) => Promise<RunId | undefined>,
): Promise<ResetPoint> {
  const { run, points, events } = source;
  const point = points.find(({ seq }) => seq === toSeq);
  if (point === undefined) {
    const other = toSeq < run.firstSeq || toSeq > run.headSeq ? await runOf(toSeq) : undefined;
    const where = `event ${toSeq} of run ${run.runId} of workflow ${run.workflowId}`;
    const why =
      toSeq < run.firstSeq || toSeq > run.headSeq
        ? `is none of that run, which has ${run.firstSeq} to ${run.headSeq}`
        : isBehindEnd(events, toSeq)
          ? "is at or behind the end of its code"
          : "lies within what its code did at once";
    const instead = other === undefined ? describeNear(points, toSeq) : `it is of run ${other}: name that`;
    throw notResettable(`${where} ${why}; ${instead}`, { run, points, toSeq, isOf: other });
  }
  const outcome = await tryPoint(point, attempt);
  if (outcome.kind === "point") return outcome.point;
  throw notResettable(
    `run ${run.runId} of workflow ${run.workflowId} cannot go on from event ${toSeq}: ${toldOf(outcome)}`,
    { run, points, toSeq },
    outcome,
  );
}

/**
 * What the code does for the first time it does as the new run: with draws of its own. So it has done all that it does when it learned of
 * something, or it does that anew.
 */
async function tryPoint(
  point: ResetPoint,
  attempt: Attempt,
): Promise<Refusal | { readonly kind: "point"; readonly point: ResetPoint }> {
  const outcome = await attempt(point);
  if (outcome.kind !== "goes-on") return outcome;
  if (!outcome.isBeyond || point.isRedone) return { kind: "point", point };
  return point.isQuiet ? await tryPoint({ ...point, isRedone: true }, attempt) : { kind: "beyond" };
}

/** The last point from which the code that there is now goes on, before what went wrong. */
export async function choosePoint(source: Source, attempt: Attempt): Promise<ResetPoint> {
  const { run, points, blocked } = source;
  const { workflowId, runId, status } = run;
  const what = `run ${runId} of workflow ${workflowId}`;
  const isEnded = isClosed(status);
  if (status === "completed" || status === "continued-as-new" || (!isEnded && blocked === undefined)) {
    const why = isEnded ? `is ${status}` : "has not ended and is not blocked";
    throw notResettable(`${what} ${why}: say from which event it is to go on`, { run, points });
  }
  let before = isEnded ? wentWrongAt(source) : Number.POSITIVE_INFINITY;
  let last: Refusal | undefined;
  let tries = 0;
  for (const point of points.toReversed()) {
    if (point.seq >= before) continue;
    if ((tries += 1) > triesMax) break;
    const outcome = await tryPoint(point, attempt);
    if (outcome.kind === "point") return outcome.point;
    last = outcome;
    // Where the code parts from its history, every later point is behind that.
    const { seq } = outcome.kind === "diverges" ? outcome.error.details : {};
    if (typeof seq === "number") before = Math.min(before, seq + 1);
  }
  const why = last === undefined ? "there is no point before what went wrong" : toldOf(last);
  throw notResettable(`${what}: found no point from which its code goes on: ${why}`, { run, points }, last);
}

/** The event with whose failure the run failed, if it did: to go on behind it would be to fail by it again. */
function wentWrongAt({ run, events }: Source): number {
  const terminal = terminalOf(events);
  if (terminal?.type !== "WorkflowFailed") return Number.POSITIVE_INFINITY;
  const { kind, message } = terminal.failure;
  const state = new RunState(run.workflowId, voidsOf(events));
  let at = Number.POSITIVE_INFINITY;
  for (const event of events) {
    const delivery = state.apply(event);
    if (delivery === undefined || !("outcome" in delivery) || delivery.outcome.ok) continue;
    const { failure } = delivery.outcome;
    if (failure.kind === kind && failure.message === message) at = event.seq;
  }
  return at;
}

function isBehindEnd(events: readonly Event[], toSeq: number): boolean {
  return terminalOf(events.filter(({ seq }) => seq <= toSeq)) !== undefined;
}

function toldOf(outcome: Refusal): string {
  switch (outcome.kind) {
    case "diverges":
    case "limited":
      return outcome.error.message;
    case "ends":
      return "it would end at once";
    case "beyond":
      return "its code does more there now than it did; from what it learned last it does all of that anew";
  }
}

function describeNear(points: readonly ResetPoint[], toSeq: number): string {
  const before = points.findLast(({ seq }) => seq < toSeq)?.seq;
  const after = points.find(({ seq }) => seq > toSeq)?.seq;
  const near = [
    ...(before === undefined ? [] : [`${before} before it`]),
    ...(after === undefined ? [] : [`${after} after it`]),
  ];
  if (near.length === 0) return "there is no point from which it can go on";
  return `the nearest ${near.length === 1 ? "point is" : "points are"} ${near.join(" and ")}`;
}

export function notResettable(
  message: string,
  {
    run,
    points,
    toSeq,
    isOf,
  }: Pick<Source, "run" | "points"> & { readonly toSeq?: number; readonly isOf?: RunId | undefined },
  outcome?: Refusal,
): AionError {
  const { workflowId, runId } = run;
  const before = points.findLast(({ seq }) => seq < (toSeq ?? 0))?.seq;
  const after = points.find(({ seq }) => seq > (toSeq ?? Number.POSITIVE_INFINITY))?.seq;
  const cause = outcome !== undefined && "error" in outcome ? { cause: outcome.error } : {};
  return new AionError("run_not_resettable", message, {
    ...cause,
    ...(isOf === undefined
      ? {}
      : {
          hint: `Name the run that the event is of: \`--run ${isOf}\` (\`runId\` of the client and over HTTP).`,
        }),
    details: {
      workflowId,
      runId,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  });
}
