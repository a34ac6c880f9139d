/** A subscription: charge it at the beginning of each period, until the customer leaves or cannot be charged. */
import {
  activity,
  continueAsNew,
  expose,
  isFailure,
  query,
  signal,
  waitUntil,
  workflow,
} from "aion/workflow";
import { z } from "zod";

export const Plan = z.enum(["basic", "team"]);

export const Subscription = z.object({
  customer: z.string(),
  plan: Plan,
  /** How long a payment lasts. */
  period: z.string().default("30 days"),
  /** What the runs before this one have done. */
  paidCount: z.number().default(0),
});

export const Ending = z.object({ paidCount: z.number(), because: z.enum(["unsubscribed", "unpaid"]) });
export type Ending = z.infer<typeof Ending>;

/** A run takes so many periods, then the next one goes on: its history, and with it its replay, stays short. */
const periodsPerRun = 12;

const Payment = z.object({ customer: z.string(), plan: Plan, number: z.number() });

/** Tried for a week: cards expire, and are renewed. */
export const charge = activity(
  "charge",
  {
    input: Payment,
    startToClose: "30s",
    scheduleToClose: "7 days",
    retry: { initialDelay: "1 minute", maxDelay: "12 hours" },
  },
  async ({ customer, plan, number }) => {
    // Your payment provider, with the task's idempotencyKey and signal.
    console.log(`charge ${customer} for ${plan}, payment ${number}`);
  },
);

export const sendMail = activity(
  "send-mail",
  { input: z.object({ customer: z.string(), text: z.string() }), startToClose: "30s", retry: {} },
  async ({ customer, text }) => {
    console.log(`mail to ${customer}: ${text}`);
  },
);

// Messages: what a subscription can be told and asked, for as long as it lasts.

export const changePlan = signal("change-plan", Plan);
export const unsubscribe = signal("unsubscribe");
export const status = query("status", z.object({ plan: Plan, paidCount: z.number() }));

export const subscription = workflow(
  "subscription",
  { input: Subscription, output: Ending, signals: [changePlan, unsubscribe] },
  async ({ customer, period, ...before }): Promise<Ending> => {
    let { plan, paidCount } = before;
    let isLeaving = false;
    expose(status, () => ({ plan, paidCount }));
    expose(changePlan, (next) => {
      plan = next;
    });
    expose(unsubscribe, () => {
      isLeaving = true;
    });

    if (paidCount === 0) await sendMail({ customer, text: "Welcome." });
    for (let count = 0; count < periodsPerRun; count += 1) {
      try {
        await charge({ customer, plan, number: paidCount + 1 });
      } catch (error) {
        // A cancellation goes on its way; this is about a payment that failed for good.
        if (!isFailure(error) || error.kind !== "activity") throw error;
        await sendMail({ customer, text: "We could not charge you, and have ended your subscription." });
        return { paidCount, because: "unpaid" };
      }
      paidCount += 1;
      await waitUntil(() => isLeaving, period);
      if (isLeaving) {
        await sendMail({ customer, text: "Good-bye." });
        return { paidCount, because: "unsubscribed" };
      }
    }
    return continueAsNew({ customer, plan, period, paidCount });
  },
);

export const workflows = [subscription];
export const activities = [charge, sendMail];
