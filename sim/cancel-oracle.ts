import type { EventBody } from "../src/core/event.ts";
import { failing } from "../test/replay/interpreter.ts";
import type { AuditedRun } from "./audited-run.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";
import type { Accounts } from "./replay-oracle.ts";

/** At the end of what random programs begin where no cancellation reaches. */
export const safeMark = " safe";
/** The same where the cancellation of the run does not reach, and another may. */
export const apartMark = " apart";
/** At the beginning of the compensations of random programs, no two of which are named alike. */
export const undoMark = "undo ";

type Body<Type extends EventBody["type"]> = EventBody & { readonly type: Type };

/** What the cancellation of the run does to what was begun so. */
export type Protection = "none" | "safe" | "apart";

export function protectionOfActivity({ activityType, input, isStep }: Body<"ActivityScheduled">): Protection {
  return protectionOf(isStep === true ? activityType : labelOf(input));
}

export function protectionOfChild({ input }: Body<"ChildWorkflowStarted">): Protection {
  return protectionOf(input.slice(1, -1));
}

function protectionOf(text: string): Protection {
  if (text.endsWith(safeMark)) return "safe";
  return text.endsWith(apartMark) ? "apart" : "none";
}

/** The compensation that an activity is; `undefined`: it is none. */
export function undoOf({ input }: Body<"ActivityScheduled">): string | undefined {
  const label = labelOf(input);
  return label.startsWith(undoMark) ? label : undefined;
}

/** A child names itself in the labels of what it does: that is in no shield of its own. */
function labelOf(input: string): string {
  const label = /^\{"label":"([^"]*)"/.exec(input)?.[1] ?? "";
  return label.startsWith("leaf ") ? "" : label;
}

/**
 * I-38: a run that failed or was cancelled has undone what its code says that it did, the last first, also what a branch that was
 * left behind did meanwhile; one that ended otherwise has undone nothing that its code does not tell of, or was ended amid it.
 */
export function checkCleanup(auditor: Auditor, accounts: Accounts, note: () => void): void {
  for (const run of auditor.runs.values()) {
    const lines = accounts.get(run.runId);
    if (lines === undefined || run.terminal === undefined) continue;
    const { undone, isInOrder, left } = cleanupOf(lines);
    if (undone.length === 0 && left.length === 0 && run.work.undone.length === 0) continue;
    const { type } = run.terminal;
    // An engine that fails a run runs no code of it.
    const isByEngine = run.terminal.type === "WorkflowFailed" && run.terminal.failure.kind === "engine";
    const isWhole = (type === "WorkflowFailed" && !isByEngine) || type === "WorkflowCancelled";
    const isCutShort = type === "WorkflowTerminated" || type === "WorkflowTimedOut" || isByEngine;
    const expected = isWhole ? undone : isCutShort ? undone.slice(0, run.work.undone.length) : [];
    if (!isInOrder || run.work.undone.join() !== expected.join() || (isWhole && left.length > 0)) {
      throw new SimulationFailure(
        "cleanup",
        `${run.workflowId}, ended by ${type}: its code undid ${undone.join()}${isInOrder ? "" : ", not the last first"}, ` +
          `its history has ${run.work.undone.join()}, and not undone was ${left.join()}`,
      );
    }
    if (isWhole) note();
  }
}

interface Cleanup {
  readonly undone: readonly string[];
  readonly isInOrder: boolean;
  /** What should have been undone, if the run came to the end of its cleanup. */
  readonly left: readonly string[];
}

function cleanupOf(lines: readonly string[]): Cleanup {
  const kept: { readonly what: string; readonly at: number }[] = [];
  const undone: string[] = [];
  let isInOrder = true;
  for (const [at, line] of lines.entries()) {
    if (line.startsWith(registers)) kept.push({ what: line.slice(registers.length), at });
    if (!line.startsWith(undoes)) continue;
    undone.push(line.slice(undoes.length));
    if (kept.pop()?.what !== undone.at(-1)) isInOrder = false;
  }
  // The run ends in the turn in which its code fails, or the last is undone: what a branch that was left behind asks for in that
  // turn is never executed, and there is nothing to undo.
  const overAt =
    undone.length > 0 ? lines.findLastIndex((line) => line.startsWith(hasUndone)) : lines.indexOf(failing);
  return {
    undone,
    isInOrder,
    left: kept.filter(({ at }) => overAt < 0 || at < overAt).map(({ what }) => what),
  };
}

const registers = "compensate: ";
const undoes = "undoes: ";
const hasUndone = "undone: ";

/** What is open in a run and was not told of its cancellation, though nothing protects it. */
export function untoldBy(run: AuditedRun): string | undefined {
  for (const [ordinal, { protection, isCancelRequested }] of run.work.open)
    if (protection === "none" && !isCancelRequested) return `activity ${ordinal}`;
  for (const [ordinal, { protection, isCancelRequested }] of run.children)
    if (protection === "none" && !isCancelRequested) return `child ${ordinal}`;
  return undefined;
}
