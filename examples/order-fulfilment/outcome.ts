import { isFailure } from "aion/workflow";

/** How an order's workflow ended, in the words of the business. */
export type Outcome =
  | { readonly kind: "fulfilled"; readonly paymentId: string; readonly trackingNumber: string }
  | { readonly kind: "declined" }
  | { readonly kind: "refused" }
  | { readonly kind: "not approved in time" }
  | { readonly kind: "cancelled" }
  | { readonly kind: "failed"; readonly message: string };

export type OutcomeKind = Outcome["kind"];

export const outcomeKinds: readonly OutcomeKind[] = [
  "fulfilled",
  "declined",
  "refused",
  "not approved in time",
  "cancelled",
  "failed",
];

const kindOfType: Readonly<Record<string, "declined" | "refused" | "not approved in time">> = {
  CardDeclined: "declined",
  ApprovalRefused: "refused",
  ApprovalTimedOut: "not approved in time",
};

/** What the failure of an order's workflow means. Anything that is no failure of a workflow is rethrown. */
export function outcomeOfFailure(failure: unknown): Outcome {
  if (!isFailure(failure)) throw failure;
  const messages: string[] = [];
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    messages.push(error.message);
    if (!isFailure(error)) continue;
    if (error.kind === "cancelled") return { kind: "cancelled" };
    const kind = error.kind === "application" ? kindOfType[error.type] : undefined;
    if (kind !== undefined) return { kind };
  }
  return { kind: "failed", message: messages.join(": ") };
}
