import { AionError } from "./errors.ts";
import type { Event, EventOf } from "./event.ts";
import type { RunId } from "./ids.ts";
import { isClosed, isTerminal, statusAfter } from "./status.ts";
import type { RunStatus } from "./status.ts";

/** One run of a workflow id, as its events tell it. */
export interface RunSegment {
  readonly runId: RunId;
  readonly continuedFrom?: RunId;
  readonly status: RunStatus;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly startedAt: number;
  readonly closedAt?: number;
}

/**
 * The runs of a workflow id, oldest first. Throws `history_shape` when the history is none that an
 * engine writes: it must begin with a WorkflowStarted, have no gap, nothing after an end but the next
 * WorkflowStarted, and each continue-as-new must be followed by the run it names.
 */
export function runChain(events: readonly Event[]): readonly RunSegment[] {
  const chain: RunSegment[] = [];
  let open: { start: EventOf<"WorkflowStarted">; last: Event; status: RunStatus } | undefined;
  const starts: EventOf<"WorkflowStarted">[] = [];
  let announced: RunId | undefined;
  let expectedSeq = events[0]?.seq ?? 1;
  for (const event of events) {
    if (event.seq !== expectedSeq) throw shape(event, `event ${expectedSeq} is missing before it`);
    expectedSeq += 1;
    if (event.type === "WorkflowStarted") {
      if (open !== undefined) throw shape(event, `run ${open.start.runId} has not ended before it`);
      if (announced !== undefined && (event.runId !== announced || !follows(event, chain.at(-1)?.runId)))
        throw shape(event, `the run before it continued as ${announced}`);
      announced = undefined;
      open = { start: event, last: event, status: "running" };
      starts.push(event);
      continue;
    }
    if (event.type === "WorkflowReopened" && open === undefined && announced === undefined) {
      const start = starts.at(-1);
      // The last one goes on; it is in the chain once.
      if (start !== undefined && chain.pop() !== undefined) open = { start, last: event, status: "running" };
    }
    if (open === undefined)
      throw shape(event, chain.length === 0 ? "no WorkflowStarted before it" : "its run has ended before it");
    open.last = event;
    open.status = statusAfter(event) ?? open.status;
    if (isTerminal(event)) {
      chain.push(toSegment(open));
      announced = successorOf(event);
      open = undefined;
    }
  }
  if (announced !== undefined)
    throw shape(events.at(-1), `run ${announced}, as which it continues, is missing`);
  if (open !== undefined) chain.push(toSegment(open));
  return chain;
}

/** Which run the workflow goes on as after this end; `undefined`: it is over. */
export function successorOf(terminal: Event): RunId | undefined {
  if (terminal.type === "WorkflowContinuedAsNew") return terminal.newRunId;
  return terminal.type === "WorkflowTerminated" ? terminal.resetTo : undefined;
}

/** The run before it in its chain, of what is one piece of work; `undefined`: it began by itself. */
export function predecessorOf({
  continuedFrom,
  resetOf,
}: Pick<EventOf<"WorkflowStarted">, "continuedFrom" | "resetOf">): RunId | undefined {
  if (resetOf === undefined) return continuedFrom;
  return resetOf.workflowId === undefined ? (resetOf.latestRunId ?? resetOf.runId) : undefined;
}

function follows(start: EventOf<"WorkflowStarted">, before: RunId | undefined): boolean {
  return before !== undefined && predecessorOf(start) === before;
}

function toSegment({
  start,
  last,
  status,
}: {
  readonly start: EventOf<"WorkflowStarted">;
  readonly last: Event;
  readonly status: RunStatus;
}): RunSegment {
  return {
    runId: start.runId,
    ...(start.continuedFrom === undefined ? {} : { continuedFrom: start.continuedFrom }),
    status,
    firstSeq: start.seq,
    lastSeq: last.seq,
    startedAt: start.recordedAt,
    ...(isClosed(status) ? { closedAt: last.recordedAt } : {}),
  };
}

function shape(event: Event | undefined, what: string): AionError {
  const where =
    event === undefined
      ? "an empty history"
      : `event ${event.seq} (${event.type}) of workflow ${event.workflowId}`;
  return new AionError("history_shape", `${where}: ${what}`);
}
