import type { Attributes } from "../core/attributes.ts";
import type { EventBody, ParentLink, StartSignal } from "../core/event.ts";
import type { RunId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";
import type { Program, ProgramSource } from "../program/program.ts";
import { coordinatorType } from "../core/schedule.ts";
import { AionError } from "../core/errors.ts";
import type { Input } from "./input.ts";
import type { RunLimitsKeeper } from "./run-limits.ts";

/** The code that new runs of the type get. Throws `workflow_type_unknown`. */
export function demandProgram(programs: ProgramSource, workflowType: string): Program {
  const program = workflowType === coordinatorType ? undefined : programs.route(workflowType);
  if (program !== undefined) return program;
  const known = programs.workflowTypes.map((type) => JSON.stringify(type)).join(", ");
  throw new AionError(
    "workflow_type_unknown",
    `no workflow type ${JSON.stringify(workflowType)} is registered; there are ${known === "" ? "none" : known}`,
  );
}

/** The first input of a run. */
export function toStartInput(of: {
  readonly runId: RunId;
  readonly program: Program;
  readonly input: Payload;
  readonly parent?: ParentLink;
  readonly requestId?: string;
  readonly sent?: Payload;
  readonly startDelayMs?: number;
  readonly runTimeoutMs?: number;
  readonly executionTimeoutMs?: number;
  readonly signals?: readonly StartSignal[];
  readonly trace?: TraceContext | undefined;
  readonly scheduled?: { readonly scheduleId: string; readonly nominalAt: number };
  readonly attributes?: Attributes | undefined;
  readonly limits: Pick<RunLimitsKeeper, "longHistory">;
}): Pick<Input, "toEvent"> {
  const {
    runId,
    program,
    input,
    parent,
    requestId,
    sent,
    startDelayMs,
    runTimeoutMs,
    executionTimeoutMs,
    signals,
    trace,
    scheduled,
    attributes,
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
        ...(sent === undefined || sent === input ? {} : { sent }),
        ...(startDelayMs === undefined || startDelayMs === 0 ? {} : { startAt }),
        ...(runTimeoutMs === undefined ? {} : { runTimeoutMs, runDeadlineAt: startAt + runTimeoutMs }),
        ...(executionTimeoutMs === undefined ? {} : { executionDeadlineAt: startAt + executionTimeoutMs }),
        ...(signals === undefined ? {} : { signals }),
        ...(trace === undefined ? {} : { trace }),
        ...(scheduled === undefined ? {} : { scheduled }),
        ...(attributes === undefined ? {} : { attributes }),
        ...limits.longHistory,
      };
    },
  };
}
