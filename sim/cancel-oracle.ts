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
 * I-38: a run that failed or was cancelled has undone what its code says that it did, the last first; one that ended otherwise has
 * undone nothing that its code does not tell of, or was ended amid it.
 */
export function checkCleanup(auditor: Auditor, accounts: Accounts, note: () => void): void {
  for (const run of auditor.runs.values()) {
    const lines = accounts.get(run.runId);
    if (lines === undefined || run.terminal === undefined) continue;
    // What a branch that was left behind registers amid the cleanup is not part of it. A cleanup that has nothing to undo is over
    // in the turn in which the code fails, and so is the run: what such a branch asks for in that turn is never executed, and
    // there is nothing to undo.
    const firstUndoneAt = lines.findIndex((line) => line.startsWith("undoes: "));
    const cleanupAt = firstUndoneAt < 0 ? lines.indexOf(failing) : firstUndoneAt;
    const before = cleanupAt < 0 ? lines : lines.slice(0, cleanupAt);
    const registered = before.flatMap((line) =>
      line.startsWith(registration) ? [line.slice(registration.length)] : [],
    );
    if (registered.length === 0 && run.undone.length === 0) continue;
    const expected = registered.toReversed();
    const fail = (): never => {
      throw new SimulationFailure(
        "cleanup",
        `${run.workflowId}, ended by ${run.terminal?.type}: to be undone ${expected.join()}, was ${run.undone.join()}`,
      );
    };
    switch (run.terminal.type) {
      case "WorkflowFailed":
      case "WorkflowCancelled":
        if (run.undone.join() !== expected.join()) fail();
        note();
        break;
      case "WorkflowTerminated":
      case "WorkflowTimedOut":
        if (run.undone.join() !== expected.slice(0, run.undone.length).join()) fail();
        break;
      default:
        if (run.undone.length > 0) fail();
    }
  }
}

const registration = "compensate: ";

/** What is open in a run and was not told of its cancellation, though nothing protects it. */
export function untoldBy(run: AuditedRun): string | undefined {
  for (const [ordinal, { protection, isCancelRequested }] of run.activities)
    if (protection === "none" && !isCancelRequested) return `activity ${ordinal}`;
  for (const [ordinal, { protection, isCancelRequested }] of run.children)
    if (protection === "none" && !isCancelRequested) return `child ${ordinal}`;
  return undefined;
}
