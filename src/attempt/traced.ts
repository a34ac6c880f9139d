import { toFailure } from "../core/failure.ts";
import { encodedMessage } from "../core/payload-codec.ts";
import type { SpanStart, TraceContext, Tracing } from "../core/tracing.ts";
import { spanAttribute } from "../core/tracing.ts";
import type { AttemptAtWork } from "./task.ts";

export interface TracedAttempt extends Pick<AttemptAtWork, "activityType" | "attempt" | "address"> {
  /** The span of its activity. */
  readonly trace: TraceContext | undefined;
  /** Absent: the process of the engine. */
  readonly worker?: string;
  /** What it throws is encoded before it is told to anybody: so the span has its type alone. */
  readonly hidesErrors: boolean;
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
  return attempt.hidesErrors ? withinHidden(tracing, span, call) : tracing.within(span, call);
}

async function withinHidden(tracing: Tracing, span: SpanStart, call: () => unknown): Promise<unknown> {
  let thrown: { readonly error: unknown } | undefined;
  try {
    return await tracing.within(span, async () => {
      try {
        return await call();
      } catch (error) {
        thrown = { error };
        const { type = "Error" } = toFailure(error);
        const hidden = new Error(encodedMessage);
        hidden.name = type;
        hidden.stack = `${type}: ${encodedMessage}`;
        throw hidden;
      }
    });
  } catch (error) {
    throw thrown === undefined ? error : thrown.error;
  }
}
