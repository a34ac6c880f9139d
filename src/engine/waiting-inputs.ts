import type { AionError } from "../core/errors.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { Input } from "./input.ts";

/** Inputs that wait for runs which are not in memory, of each workflow in the order in which they came. */
export class WaitingInputs {
  readonly #lines = new Map<WorkflowId, Input[]>();

  get workflowIds(): readonly WorkflowId[] {
    return [...this.#lines.keys()];
  }

  has(workflowId: WorkflowId): boolean {
    return this.#lines.has(workflowId);
  }

  of(workflowId: WorkflowId): readonly Input[] {
    return this.#lines.get(workflowId) ?? [];
  }

  join(workflowId: WorkflowId, inputs: readonly Input[]): void {
    if (inputs.length === 0) return;
    const line = this.#lines.get(workflowId);
    if (line === undefined) this.#lines.set(workflowId, [...inputs]);
    else line.push(...inputs);
  }

  /** They wait no more. */
  take(workflowId: WorkflowId): readonly Input[] {
    const line = this.of(workflowId);
    this.#lines.delete(workflowId);
    return line;
  }
}

/** They are not recorded, and will not be. */
export function refuse(inputs: readonly Input[], error: AionError): void {
  for (const input of inputs) {
    if (input.onRefused !== undefined) input.onRefused(error);
    else input.onDropped?.();
  }
}
