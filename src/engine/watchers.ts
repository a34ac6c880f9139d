import type { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";

type Watch = {
  readonly onClosed?: (runId: RunId, terminal: Event) => void;
  readonly onAppended?: (headSeq: number) => void;
  readonly onBlocked?: () => void;
  readonly onLost: (error: AionError) => void;
};

/** Who waits to hear of a workflow: for its end, or for its next event. Told after the commit. Owner: the kernel. */
export class Watchers {
  readonly #byWorkflow = new Map<WorkflowId, Set<Watch>>();

  /** Returns how to stop watching. */
  watch(workflowId: WorkflowId, watch: Watch): () => void {
    let watches = this.#byWorkflow.get(workflowId);
    if (watches === undefined) {
      watches = new Set();
      this.#byWorkflow.set(workflowId, watches);
    }
    watches.add(watch);
    return () => {
      watches.delete(watch);
      if (watches.size === 0 && this.#byWorkflow.get(workflowId) === watches)
        this.#byWorkflow.delete(workflowId);
    };
  }

  appended(workflowId: WorkflowId, headSeq: number): void {
    const watches = this.#byWorkflow.get(workflowId);
    if (watches === undefined) return;
    for (const watch of [...watches]) watch.onAppended?.(headSeq);
  }

  closed(workflowId: WorkflowId, runId: RunId, terminal: Event): void {
    const watches = this.#byWorkflow.get(workflowId);
    if (watches === undefined) return;
    for (const watch of [...watches]) watch.onClosed?.(runId, terminal);
  }

  /** Its run cannot go on until somebody acts. */
  blocked(workflowId: WorkflowId): void {
    const watches = this.#byWorkflow.get(workflowId);
    if (watches === undefined) return;
    for (const watch of [...watches]) watch.onBlocked?.();
  }

  fail(error: AionError): void {
    for (const watches of [...this.#byWorkflow.values()])
      for (const watch of [...watches]) watch.onLost(error);
  }
}
