/**
 * The services that the activities work with.
 *
 * Owner: the process that runs the activities connects them once, before the worker begins.
 * Law: workflow code never reaches them; only what an activity returns reaches workflow code.
 */
import type { Approvals } from "./outside/approvals.ts";
import type { Carrier } from "./outside/carrier.ts";
import type { Outbox } from "./outside/outbox.ts";
import type { Payments } from "./outside/payments.ts";

export interface Services {
  readonly payments: Payments;
  readonly approvals: Approvals;
  readonly carrier: Carrier;
  readonly outbox: Outbox;
  /** Told of every attempt after the first. */
  readonly onRetry: () => void;
}

let connected: Services | undefined;

export function connectServices(services: Services): void {
  connected = services;
}

/** The services, for one attempt of an activity. */
export function servicesFor(task: { readonly attempt: number; readonly activityType: string }): Services {
  if (connected === undefined)
    throw new Error(`${task.activityType} needs connectServices() to be called first`);
  if (task.attempt > 1) connected.onRetry();
  return connected;
}
