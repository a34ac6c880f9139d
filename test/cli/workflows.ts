import {
  activity,
  ApplicationFailure,
  child,
  expose,
  log,
  query,
  receive,
  signal,
  sleep,
  update,
  workflow,
} from "../../src/workflow/index.ts";

export const charge = activity("charge", async (amount: number) => `pay_${amount}`);
export const approval = signal<{ readonly by: string }>("approval");
export const stage = query<string>("stage");
export const raise = update<number, number>("raise");

export const ship = workflow("ship", async (paymentId: string) => {
  await sleep("2 days");
  return `shipped ${paymentId}`;
});

/** Charges, waits for an approval, ships. */
export const fulfil = workflow("fulfil", async (order: { readonly amount: number }) => {
  let at = "charging";
  expose(stage, () => at);
  let bonus = 0;
  expose(
    raise,
    async (by) => {
      if (by === 13) throw new Error("bad luck \u001b[31m13");
      if (by > 100) await sleep("1 day");
      bonus += by;
      return bonus;
    },
    {
      validate: (by) => {
        if (by < 0) throw new Error("that is less");
      },
    },
  );
  const paymentId = await charge(order.amount);
  at = "waiting for approval";
  const { by } = await receive(approval);
  log.info(`decided by \u001b[31m${by}`, { by });
  if (by === "eve") throw new Error("not approved by \u001b[31meve");
  at = "shipping";
  const shipped = await child(ship, paymentId);
  return { paymentId, shipped, by };
});

/** What `pay` needs, and has only when a test has mended it. */
export const providerKey = { isValid: false };
export const pay = activity("pay", async (amount: number) => {
  if (providerKey.isValid) return `paid ${amount}`;
  throw new ApplicationFailure("the key has \u001b[31mexpired", { type: "KeyExpired", park: true });
});
/** Pays twice, in parallel. */
export const settle = workflow("settle", async (amount: number) => await Promise.all([pay(amount), pay(1)]));

/** Ends as soon as it is approved. */
export const approve = workflow("approve", async () => (await receive(approval)).by);
