/** An order whose payment is taken by a worker in Python: worker.py. */
import { activity, workflow } from "aion/workflow";

interface Order {
  readonly id: string;
  readonly amount: number;
}

const charge = activity<Order, { readonly paymentId: string; readonly fee: number }>("charge", {
  taskQueue: "payments",
  retry: { maxAttempts: 5, initialDelay: "1s" },
  startToClose: "30s",
});

export const notify = activity("notify", async (text: string) => {
  console.log(text);
});

export const order = workflow("order", async (input: Order) => {
  const { paymentId, fee } = await charge(input);
  await notify(`order ${input.id} is paid`);
  return { paymentId, total: input.amount + fee };
});
