import type { RunId, WorkflowId } from "../core/ids.ts";
import type { Input } from "./input.ts";
import type { Kernel } from "./kernel.ts";
import { despiteOthers } from "./load.ts";

/** Hands a run something that a client waits for, until it is on disk. Throws the reason for which it never will be. */
export function offerTo(
  kernel: Kernel,
  workflowId: WorkflowId,
  runId: RunId | undefined,
  input: Pick<Input, "toEvent" | "followsChain">,
): Promise<void> {
  const offer = (): Promise<void> =>
    new Promise((resolve, reject) => {
      kernel.residency.offer(workflowId, { ...input, runId, onDurable: resolve, onRefused: reject });
    });
  // What was refused because of that is not recorded.
  return despiteOthers(offer);
}
