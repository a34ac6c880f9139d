/** An order: charge it, have a large one approved, ship it; and give the money back when any of it fails. */
import {
  ApplicationFailure,
  activity,
  compensate,
  expose,
  query,
  receive,
  signal,
  workflow,
} from "aion/workflow";
import { z } from "zod";

export const Order = z.object({ id: z.string(), amount: z.number().positive() });
export const Receipt = z.object({ paymentId: z.string(), parcel: z.string() });

/** From this amount on somebody has to agree. */
const approvalFrom = 100;

// Activities touch the world. Each may run more than once: hand the idempotency key to whatever must not happen twice.

export const charge = activity(
  "charge",
  { input: Order, startToClose: "30s", retry: { maxAttempts: 5, nonRetryable: ["CardDeclined"] } },
  async (order, task) => {
    // Your payment provider, with task.idempotencyKey and task.signal.
    console.log(`charge ${order.amount} for order ${order.id} (attempt ${task.attempt})`);
    return `payment-${order.id}`;
  },
);

/** By order, not by payment: it also works when nobody knows whether the charge went through. */
export const refund = activity(
  "refund",
  { input: z.string(), startToClose: "30s", retry: {} },
  async (orderId) => {
    console.log(`refund order ${orderId}`);
  },
);

export const askForApproval = activity(
  "ask-for-approval",
  { input: Order, startToClose: "30s", retry: {} },
  async ({ id, amount }, task) => {
    // A mail, a ticket, a message in a chat: whatever ends in the signal.
    console.log(`order ${id} over ${amount} needs an approval. In another terminal:`);
    console.log(
      `  npx aion signal ${task.workflowId} approval --input '{"by":"you","ok":true}' --store sqlite:aion.db`,
    );
  },
);

export const ship = activity(
  "ship",
  { input: z.string(), startToClose: "1 minute", retry: { maxAttempts: 10 } },
  async (orderId) => {
    console.log(`ship order ${orderId}`);
    return `parcel-${orderId}`;
  },
);

// Messages: what a running order can be told and asked.

export const approval = signal("approval", z.object({ by: z.string(), ok: z.boolean() }));
export const stage = query("stage", z.enum(["charging", "waiting for approval", "shipping"]));

export const fulfil = workflow(
  "fulfil",
  { input: Order, output: Receipt, signals: [approval] },
  async (order) => {
    let at: "charging" | "waiting for approval" | "shipping" = "charging";
    expose(stage, () => at);

    // Registered first: a charge whose answer is lost must be undone, too.
    compensate(() => refund(order.id));
    const paymentId = await charge(order);

    if (order.amount >= approvalFrom) {
      at = "waiting for approval";
      await askForApproval(order);
      // While it waits, a run is a row in the file, for two days or two years.
      const decision = await receive(approval, { timeout: "2 days" });
      if (!decision.ok)
        throw new ApplicationFailure("nobody approved it in time", { type: "ApprovalTimedOut" });
      if (!decision.value.ok)
        throw new ApplicationFailure(`refused by ${decision.value.by}`, { type: "Refused" });
    }

    at = "shipping";
    return { paymentId, parcel: await ship(order.id) };
  },
);

export const workflows = [fulfil];
export const activities = [charge, refund, askForApproval, ship];
