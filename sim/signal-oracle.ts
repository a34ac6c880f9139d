import type { AuditedRun } from "./audited-run.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";
import type { Accounts } from "./replay-oracle.ts";
import type { SentSignal } from "./sim-client.ts";

interface Received {
  readonly signalId: string | undefined;
  readonly value: number;
  readonly name: string;
}

/**
 * What became of the signals that clients sent. I-22: one that was acknowledged was received once, one that was refused never.
 * I-23: in the order of their sender. I-24: what a run had not asked for went to the run that it continued as, and nowhere else.
 */
export function checkSignals(auditor: Auditor, sent: readonly SentSignal[], accounts: Accounts): void {
  for (const [workflowId, chain] of auditor.chains) {
    // What was received, by execution: a run that was started, and those that continue it.
    const executions: string[][] = [];
    for (const [index, run] of chain.runs.entries()) {
      const received = receivedBy(run);
      const isContinuation = run.started.continuedFrom !== undefined;
      if (!isContinuation) executions.push([]);
      const carriedCount = isContinuation ? (run.started.signals ?? []).length : 0;
      for (const { signalId } of received.slice(carriedCount)) {
        if (signalId !== undefined) executions.at(-1)?.push(signalId);
      }
      checkCarriedOver(run, chain.runs[index + 1], received, accounts.get(run.runId));
    }
    const here = sent.filter((signal) => signal.workflowId === workflowId);
    for (const { signalId, outcome, isAlone } of here) {
      const counts = executions.map((ids) => ids.filter((id) => id === signalId).length);
      const total = counts.reduce((sum, count) => sum + count, 0);
      const fail = (): never => {
        throw new SimulationFailure(
          "signal-count",
          `${workflowId} received signal ${signalId} (${outcome}) so often: ${counts.join()}`,
        );
      };
      if (outcome === "acknowledged" && total === 0 && !auditor.outlived.has(signalId)) fail();
      if (outcome === "refused" && total !== 0) fail();
      // Asked again after its answer was lost, or delivered twice, one may reach another execution than before; none hears it twice.
      if (counts.some((count) => count > 1) || (isAlone && total > 1)) fail();
    }
    for (const clientName of new Set(here.map((signal) => signal.clientName))) {
      const ids = here
        .filter((signal) => signal.clientName === clientName && signal.outcome === "acknowledged")
        .map(({ signalId }) => signalId);
      // A copy of a request may be under way for longer than the run that heard it: the next execution, which knows nothing of the
      // ids of the one before, hears it whenever it comes, also after what was sent later. A signal has its place in the order
      // where it arrives first.
      const arrivedBefore = new Set<string>();
      for (const execution of executions) {
        const arrived = execution.filter((id) => ids.includes(id) && !arrivedBefore.has(id));
        for (const id of arrived) arrivedBefore.add(id);
        const inOrder = arrived.toSorted((a, b) => ids.indexOf(a) - ids.indexOf(b));
        if (arrived.join() !== inOrder.join())
          throw new SimulationFailure(
            "signal-order",
            `${workflowId}: sent ${ids.join()}, received ${arrived.join()}`,
          );
      }
    }
  }
}

function receivedBy(run: AuditedRun): readonly Received[] {
  const received: Received[] = [];
  const take = (of: {
    readonly signalId?: string;
    readonly payload: string;
    readonly name: string;
  }): void => {
    received.push({ signalId: of.signalId, value: Number(of.payload), name: of.name });
  };
  for (const signal of run.started.signals ?? []) take(signal);
  for (const event of run.events) if (event.type === "SignalReceived") take(event);
  return received;
}

/** Values are unlike: what is carried over has lost its id, and is known by its value. */
function checkCarriedOver(
  run: AuditedRun,
  next: AuditedRun | undefined,
  received: readonly Received[],
  lines: readonly string[] | undefined,
): void {
  if (run.terminal?.type !== "WorkflowContinuedAsNew" || next === undefined || lines === undefined) return;
  const heard = new Set(lines);
  const values = (next.started.signals ?? []).map(({ payload }) => Number(payload));
  const carried = new Set(values);
  for (const { value, name } of received) {
    if (Number.isNaN(value)) continue;
    const wasHeard = heard.has(
      name === "tick" ? `tick ${value}` : `receive: ${JSON.stringify({ ok: true, value })}`,
    );
    if (!wasHeard && !carried.has(value))
      throw new SimulationFailure(
        "signal-lost",
        `${run.workflowId}: ${name} ${value} was neither heard nor carried over; heard: ${lines.join(" | ")}`,
      );
    if (wasHeard && carried.has(value))
      throw new SimulationFailure("signal-count", `${run.workflowId}: ${value} was heard and carried over`);
  }
  const numbers = values.filter((value) => !Number.isNaN(value));
  if (new Set(numbers).size < numbers.length)
    throw new SimulationFailure("signal-count", `${run.workflowId}: a signal was carried over twice`);
}
