/** What an order is, and which of them a person has to approve. Imported by the workflow: nothing here but plain data. */
import { z } from "zod";

export const Currency = z.enum(["EUR", "USD", "GBP", "CHF", "JPY"]);
export type Currency = z.infer<typeof Currency>;

export const Address = z.strictObject({
  name: z.string().min(1).max(100),
  street: z.string().min(1).max(100),
  postcode: z.string().min(1).max(12),
  city: z.string().min(1).max(60),
  country: z.string().regex(/^[A-Z]{2}$/),
});
export type Address = z.infer<typeof Address>;

export const Order = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    customer: z.strictObject({
      email: z.email().max(120),
      /** What the approver goes by: nobody decides about a customer whose credit is unknown. */
      credit: z.enum(["good", "poor", "unknown"]),
    }),
    items: z
      .array(
        z.strictObject({
          sku: z.string().regex(/^[A-Z]{2}-\d{3}$/),
          title: z.string().min(1).max(80),
          quantity: z.int().min(1).max(99),
          unitPrice: z.int().min(1).max(100_000_000),
        }),
      )
      .min(1)
      .max(50),
    /** In minor units: cents, pence, yen. */
    amount: z.int().min(1).max(1_000_000_000),
    currency: Currency,
    /** Stands for the card at the payment provider. A card number would be recorded in history, where it must never be. */
    cardToken: z.string().regex(/^tok_(visa|flaky|declined)_[0-9a-f]{8}$/),
    address: Address,
  })
  .refine(
    (order) => order.items.reduce((sum, item) => sum + item.quantity * item.unitPrice, 0) === order.amount,
    {
      path: ["amount"],
      error: "the amount is not the sum of the items",
    },
  );
export type Order = z.infer<typeof Order>;

/** Above this an order needs a person's approval; in minor units. */
const approvalLimits: Readonly<Record<Currency, number>> = {
  EUR: 50_000,
  USD: 50_000,
  GBP: 40_000,
  CHF: 50_000,
  JPY: 80_000,
};

export function needsApproval(order: Pick<Order, "amount" | "currency">): boolean {
  return order.amount > approvalLimits[order.currency];
}
