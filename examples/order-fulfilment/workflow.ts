/**
 * Order fulfilment: charge the card, have a large order approved, ship the goods; and take the payment back when any of
 * it fails. Ordinary async functions: after a crash they go on from where they stopped.
 */
import {
  ApplicationFailure,
  activity,
  child,
  compensate,
  expose,
  query,
  receive,
  shield,
  signal,
  workflow,
} from "aion/workflow";
import { z } from "zod";
import { Address, needsApproval, Order } from "./order.ts";
import { servicesFor } from "./services.ts";

const Receipt = z.strictObject({ paymentId: z.string(), trackingNumber: z.string() });
const Parcel = z.strictObject({ reference: z.string(), trackingNumber: z.string() });
const Shipment = z.strictObject({ reference: z.string(), to: Address });
const Mail = z.strictObject({ reference: z.string(), to: z.string(), text: z.string() });

/** For what the business can do without when it really does not work: it is given up after a while. */
const patient = { maxAttempts: 12, initialDelay: "100ms", maxDelay: "3s", jitter: 0.5 } as const;
/** For what has to happen whatever it takes: no limit. */
const stubborn = { initialDelay: "100ms", maxDelay: "5s", jitter: 0.5 } as const;

// Activities: everything that touches the world. Each may run more than once, and each is safe to repeat.

/** Every attempt carries the same idempotency key, so the provider charges once though its answers get lost. */
export const charge = activity(
  "charge",
  {
    input: Order,
    startToClose: "2s",
    retry: { ...patient, nonRetryable: ["CardDeclined", "PaymentRejected"] },
  },
  ({ id, amount, currency, cardToken }, task) =>
    servicesFor(task).payments.charge({ reference: id, amount, currency, cardToken }, task),
);

/** By order, not by payment: it works as well when nobody knows whether the charge went through. */
export const refund = activity(
  "refund",
  { input: z.string(), startToClose: "2s", retry: stubborn },
  (orderId, task) => servicesFor(task).payments.refund(orderId, task),
);

export const requestApproval = activity(
  "request-approval",
  { input: Order, startToClose: "2s", retry: stubborn },
  ({ id, amount, currency, customer }, task) =>
    servicesFor(task).approvals.request(
      { orderId: id, amount, currency, credit: customer.credit },
      task.signal,
    ),
);

export const printLabel = activity(
  "print-label",
  { input: Shipment, startToClose: "5s", retry: patient },
  (shipment, task) => servicesFor(task).carrier.printLabel(shipment, task),
);

export const handOver = activity(
  "hand-over",
  { input: Parcel, startToClose: "5s", retry: patient },
  (parcel, task) => servicesFor(task).carrier.handOver(parcel, task),
);

export const sendReceipt = activity(
  "send-receipt",
  { input: Mail, startToClose: "5s", retry: stubborn },
  (mail, task) => servicesFor(task).outbox.send(mail),
);

// Messages: what a running order can be told and asked.

export const approval = signal("approval", z.strictObject({ by: z.string(), ok: z.boolean() }));

export const Stage = z.enum(["charging", "waiting for approval", "shipping", "refunding"]);
export type Stage = z.infer<typeof Stage>;
export const stage = query("stage", Stage);

// Workflows.

export const ship = workflow("ship", { input: Shipment, output: Parcel }, async (shipment) => {
  const parcel = await printLabel(shipment);
  await handOver(parcel);
  return parcel;
});

export const fulfil = workflow(
  "fulfil",
  { input: Order, output: Receipt, signals: [approval] },
  async (order) => {
    let at: Stage = "charging";
    expose(stage, () => at);

    // Registered before the charge: an order that is cancelled while the answer is on its way must be undone too.
    compensate(() => {
      at = "refunding";
      return refund(order.id);
    });
    const payment = await charge(order);

    if (needsApproval(order)) {
      at = "waiting for approval";
      await requestApproval(order);
      // "2 days" in a real shop, and nothing else would change: a wait costs a row on disk, not a thread.
      const decision = await receive(approval, { timeout: "5s" });
      if (!decision.ok)
        throw new ApplicationFailure("nobody approved it in time", { type: "ApprovalTimedOut" });
      if (!decision.value.ok)
        throw new ApplicationFailure(`refused by ${decision.value.by}`, { type: "ApprovalRefused" });
    }

    at = "shipping";
    // Goods on their way are not called back: a cancellation that comes now is too late.
    const [parcel] = await shield(() =>
      Promise.all([
        child(ship, { reference: order.id, to: order.address }, { id: `${order.id}/shipment` }),
        sendReceipt({
          reference: order.id,
          to: order.customer.email,
          text: `Thank you. We charged ${payment.id}.`,
        }),
      ]),
    );
    return { paymentId: payment.id, trackingNumber: parcel.trackingNumber };
  },
);

export const workflows = [fulfil, ship];
export const activities = [charge, refund, requestApproval, printLabel, handOver, sendReceipt];
