import type { EventBody, ParentLink, StartSignal } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";
import type { Program } from "../program/program.ts";
import type { Input } from "./input.ts";
import type { RunLimitsKeeper } from "./run-limits.ts";

/** The first input of a run. */
export function toStartInput(of: {
  readonly runId: RunId;
  readonly program: Program;
  readonly input: Payload;
  readonly parent?: ParentLink;
  readonly requestId?: string;
  readonly startDelayMs?: number;
  readonly runTimeoutMs?: number;
  readonly executionTimeoutMs?: number;
  readonly signals?: readonly StartSignal[];
  readonly trace?: TraceContext | undefined;
  readonly limits: Pick<RunLimitsKeeper, "longHistory">;
}): Pick<Input, "toEvent"> {
  const {
    runId,
    program,
    input,
    parent,
    requestId,
    startDelayMs,
    runTimeoutMs,
    executionTimeoutMs,
    signals,
    trace,
    limits,
  } = of;
  return {
    toEvent: (_state, nowMs): EventBody => {
      // A start delay comes before the time that the run is given.
      const startAt = nowMs + (startDelayMs ?? 0);
      return {
        type: "WorkflowStarted",
        runId,
        workflowType: program.workflowType,
        version: program.version,
        input,
        ...(parent === undefined ? {} : { parent }),
        ...(requestId === undefined ? {} : { requestId }),
        ...(startDelayMs === undefined || startDelayMs === 0 ? {} : { startAt }),
        ...(runTimeoutMs === undefined ? {} : { runTimeoutMs, runDeadlineAt: startAt + runTimeoutMs }),
        ...(executionTimeoutMs === undefined ? {} : { executionDeadlineAt: startAt + executionTimeoutMs }),
        ...(signals === undefined ? {} : { signals }),
        ...(trace === undefined ? {} : { trace }),
        ...limits.longHistory,
      };
    },
  };
}
