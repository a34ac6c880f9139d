import type { Service } from "../client/service.ts";

/**
 * Bodies with which the description of the API lets each call be tried: what it takes, and what most callers give. Where nothing is
 * named, nothing has to be given.
 */
export const exampleBodies: Readonly<Partial<Record<keyof Service, object>>> = {
  start: { workflowType: "order", workflowId: "order-42", input: { id: "42", amount: 99 } },
  signal: { name: "approval", payload: { by: "ann", ok: true } },
  query: { name: "stage" },
  update: { name: "changeAddress", input: { street: "Oak 2", country: "AT" }, waitMs: 5_000 },
  cancel: { reason: "the customer has changed her mind" },
  terminate: { reason: "it was started by mistake" },
  pause: { reason: "the payment provider is down" },
  resume: { reason: "the payment provider is back" },
  reopen: { reason: "the carrier is back" },
  reset: { toSeq: 7, reason: "the price was wrong" },
  fork: { newWorkflowId: "order-42-again", toSeq: 7 },
  route: { workflowTypes: ["order"], version: "0123456789abcdef".repeat(4) },
  createSchedule: {
    scheduleId: "report",
    spec: { crons: [{ expression: "0 9 * * 1-5", timeZone: "Europe/Berlin" }] },
    action: { workflowType: "report", input: { depth: 3 } },
  },
  updateSchedule: { overlap: "buffer-one" },
  pauseSchedule: { note: "until the figures are right" },
  backfillSchedule: { fromAt: Date.UTC(2026, 0, 5), toAt: Date.UTC(2026, 0, 6) },
};
