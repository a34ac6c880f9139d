/** Histories written by hand, as an engine that died would have left them. */
import type { NewEvent } from "../../src/core/codec.ts";
import type { EventBody } from "../../src/core/event.ts";
import type { RunId, WorkflowId } from "../../src/core/ids.ts";
import type { Payload } from "../../src/core/payload.ts";
import { toPayload } from "../../src/core/payload.ts";
import { isTerminal, projectStatus } from "../../src/core/status.ts";
import type { RunKey, Store } from "../../src/store/contract.ts";

export const json = (value: unknown): Payload => toPayload(value, "a test value");

export function started(workflowType: string, input: unknown = null, runId = "run-1"): EventBody {
  return {
    type: "WorkflowStarted",
    runId: runId as RunId,
    workflowType,
    version: "inline",
    input: json(input),
  };
}

export function scheduled(ordinal: number, activityType: string, input: unknown = null): EventBody {
  return { type: "ActivityScheduled", ordinal, activityType, input: json(input), options: {} };
}

export function completed(ordinal: number, result: unknown, attempt = 1): EventBody {
  return { type: "ActivityCompleted", ordinal, attempt, result: json(result) };
}

export interface WrittenRun {
  readonly workflowId: string;
  readonly bodies: readonly EventBody[];
  /** Of the first event; each one after it is a second later. */
  readonly atMs?: number;
  /** Default 0: it must move. */
  readonly wakeAt?: number | null;
}

/** Writes runs as their own owner, and gives the store up. */
export async function writeRuns(store: Store, runs: readonly WrittenRun[]): Promise<readonly RunKey[]> {
  const token = await store.claim({ leaseMs: 1e12 });
  const results = await store.append(
    token,
    runs.map(({ workflowId, bodies, atMs = 1_000, wakeAt = 0 }) => {
      const [first] = bodies;
      const events: readonly NewEvent[] = bodies.map((body, index) => ({
        ...body,
        recordedAt: atMs + index * 1_000,
      }));
      const last = events.at(-1);
      const isClosed = last !== undefined && isTerminal(last);
      return {
        start: {
          workflowId: workflowId as WorkflowId,
          runId: (first?.type === "WorkflowStarted" ? first.runId : "unknown") as RunId,
          workflowType: first?.type === "WorkflowStarted" ? first.workflowType : "unknown",
          version: "inline",
          firstSeq: 1,
          events,
          status: projectStatus(events),
          startedAt: atMs,
          wakeAt: isClosed ? null : wakeAt,
          ...(isClosed ? { closedAt: last.recordedAt } : {}),
        },
      };
    }),
  );
  await store.release(token);
  return results.map((result) => {
    if (!result.ok) throw result.error;
    return result.startedKey ?? 0;
  });
}
