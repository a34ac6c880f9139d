import type { TraceContext, Tracing } from "../core/tracing.ts";
import { spanAttribute } from "../core/tracing.ts";
import type { AttemptAtWork } from "./task.ts";

export interface TracedAttempt extends Pick<AttemptAtWork, "activityType" | "attempt" | "address"> {
  /** The span of its activity. */
  readonly trace: TraceContext | undefined;
  /** Absent: the process of the engine. */
  readonly worker?: string;
}

/** Runs an implementation within a span that is current meanwhile: what it calls stands inside it. */
export function callTraced(attempt: TracedAttempt, tracing: Tracing, call: () => unknown): Promise<unknown> {
  const { activityType, worker, address, trace } = attempt;
  const span = {
    name: `attempt ${activityType}`,
    kind: worker === undefined ? ("internal" as const) : ("consumer" as const),
    // Whatever span is current where attempts happen to begin is another's.
    inside: "given" as const,
    parent: trace,
    attributes: {
      [spanAttribute.workflowId]: address.workflowId,
      [spanAttribute.runId]: address.runId,
      [spanAttribute.activityType]: activityType,
      [spanAttribute.attempt]: attempt.attempt,
      [spanAttribute.worker]: worker,
    },
  };
  return tracing.within(span, call);
}
