// Workflows whose activities are in tests/activities.py.
import { activity, ApplicationFailure, isFailure, workflow } from "aion/workflow";

interface Order {
  readonly id: string;
  readonly amount: number;
}

const elsewhere = { taskQueue: "python" } as const;
const charge = activity<Order, { readonly paymentId: string }>("charge", {
  taskQueue: "python",
  retry: { maxAttempts: 3, initialDelay: 10 },
});
/** Comes to row `until` and then waits for its file, in an attempt that goes on where the last one was. */
const importRows = activity<{ readonly name: string; readonly until: number }, readonly number[]>("import", {
  taskQueue: "python",
  retry: { maxAttempts: 5, initialDelay: 10 },
  heartbeat: "1s",
});
const slow = activity<string, string>("slow", elsewhere);
const wait = activity<string, null>("wait", elsewhere);

export const order = workflow("order", async (input: Order) => {
  try {
    return await charge(input);
  } catch (error) {
    const cause = isFailure(error) ? error.cause : undefined;
    if (!(cause instanceof ApplicationFailure)) throw error;
    return { type: cause.type, message: cause.message, details: cause.details };
  }
});

export const rows = workflow("rows", async (name: string) => await importRows({ name, until: 3 }));

export const slowly = workflow("slowly", async (names: readonly string[]) =>
  Promise.all(names.map(async (name) => await slow(name))),
);

export const waiting = workflow("waiting", async (name: string) => await wait(name));

const pay = activity<string, string>("pay", { ...elsewhere, retry: { maxAttempts: 9, initialDelay: 10 } });

export const paying = workflow("paying", async (name: string) => await pay(name));
