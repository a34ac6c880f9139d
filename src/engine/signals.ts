import type { SignalRequest, StartRequest } from "../client/service.ts";
import { isAionError } from "../core/errors.ts";
import type { StartSignal } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName, parseRunId, parseWorkflowId } from "../core/ids.ts";
import { parsePayload } from "../core/payload.ts";
import type { TraceContext } from "../core/tracing.ts";
import { toTraceContext } from "../core/tracing.ts";
import type { Program } from "../program/program.ts";
import type { Kernel } from "./kernel.ts";
import { despiteOthers } from "./load.ts";
import { offerTo } from "./offer.ts";
import { hasReceived } from "./views.ts";

/*
 * Signals of clients. Laws: whoever is answered knows that the signal is on disk: in the history of its run or, if that cannot go on
 * now, among its messages. What has waited there comes first; and a signal with an id is recorded once.
 */

/** Errors: `run_not_found`, `run_closed`. */
export async function signalRun(kernel: Kernel, request: SignalRequest): Promise<void> {
  kernel.demandOpen();
  const workflowId = parseWorkflowId(request.workflowId);
  const runId = request.runId === undefined ? undefined : parseRunId(request.runId);
  const { payloadLimitBytes } = kernel.options;
  const name = parseName(request.name, "signal name");
  const signalId = request.signalId === undefined ? undefined : parseName(request.signalId, "signal id");
  const payload = parsePayload(
    request.payload,
    `the payload of signal ${JSON.stringify(name)}`,
    payloadLimitBytes,
  );
  await kernel.mailbox.settled(workflowId);
  await deliverSignal(
    kernel,
    workflowId,
    runId,
    { name, payload, ...(signalId === undefined ? {} : { signalId }) },
    toTraceContext(request.trace?.traceparent, request.trace?.tracestate),
  );
}

/** One that its run cannot take now waits on disk; one that it has had already changes nothing. */
export async function deliverSignal(
  kernel: Kernel,
  workflowId: WorkflowId,
  runId: RunId | undefined,
  signal: StartSignal,
  trace: TraceContext | undefined,
): Promise<void> {
  const { name, payload, signalId } = signal;
  const traced = trace === undefined ? {} : { trace };
  const deliver = async (): Promise<void> => {
    const run = await kernel.residency.resident(workflowId);
    // It may have been blocked until now: what was sent to it meanwhile comes first.
    await kernel.mailbox.settled(workflowId);
    const declared = (await run?.program?.parseSignal(name, payload)) ?? payload;
    const checked = (await run?.instance?.parseSignal(name, declared)) ?? declared;
    let isRepeated = false;
    await offerTo(kernel, workflowId, runId, {
      toEvent: (state) => {
        isRepeated = signalId !== undefined && state.requests.hasSignal(signalId);
        const full = isRepeated ? undefined : kernel.limits.ofSignals(workflowId);
        if (full !== undefined) throw full;
        return isRepeated ? undefined : { type: "SignalReceived", ...signal, payload: checked, ...traced };
      },
      ...(runId === undefined ? { followsChain: true as const } : {}),
    });
    if (isRepeated) kernel.meter.repeated("signal");
  };
  try {
    await despiteOthers(deliver);
  } catch (error) {
    if (!isAionError(error)) throw error;
    // Repeated because the first answer was lost: that the run has ended since does not undo it.
    const isClosedNow = error.code === "run_closed" && signalId !== undefined;
    if (isClosedNow && (await hasReceived(kernel.store, workflowId, runId, signalId))) {
      kernel.meter.repeated("signal");
      return;
    }
    if (error.code !== "run_blocked") throw error;
    // It waits on disk until the run can go on.
    await kernel.mailbox.post(workflowId, { kind: "signal", ...signal, ...traced });
  }
}

/** The signal that comes with a start. */
export async function parseStartSignal(
  kernel: Kernel,
  program: Program,
  signal: NonNullable<StartRequest["signal"]>,
): Promise<StartSignal> {
  const name = parseName(signal.name, "signal name");
  const what = `the payload of signal ${JSON.stringify(name)}`;
  const payload = await program.parseSignal(
    name,
    parsePayload(signal.payload, what, kernel.options.payloadLimitBytes),
  );
  const signalId = signal.signalId === undefined ? {} : { signalId: parseName(signal.signalId, "signal id") };
  return { name, payload, ...signalId };
}
