/**
 * Compares what the workflows say with the books of the payment provider and the carrier, which know nothing of
 * workflows. Pure: whoever calls it brings all three.
 */
import type { Order } from "./order.ts";
import type { Outcome } from "./outcome.ts";
import type { Parcel } from "./outside/carrier.ts";
import type { LedgerEntry } from "./outside/payment-ledger.ts";

export interface AuditInput {
  /** The orders whose workflows must have ended. */
  readonly orders: readonly Order[];
  /** Every order id there is; money that moved for any other is a finding. Default: those of `orders`. */
  readonly knownOrderIds?: ReadonlySet<string>;
  readonly outcomes: ReadonlyMap<string, Outcome>;
  readonly ledger: readonly LedgerEntry[];
  readonly parcels: readonly Parcel[];
}

export interface Finding {
  readonly orderId: string;
  readonly problem: string;
}

export interface Audit {
  readonly orderCount: number;
  readonly chargeCount: number;
  readonly refundCount: number;
  readonly parcelCount: number;
  /** What the shop keeps, in minor units. */
  readonly balances: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

type Charge = Extract<LedgerEntry, { type: "charge" }>;
type Refund = Extract<LedgerEntry, { type: "refund" }>;

interface Books {
  readonly charges: Charge[];
  readonly refunds: Refund[];
  readonly parcels: Parcel[];
}

export function auditOrders(input: AuditInput): Audit {
  const books = sortByOrder(input);
  const findings: Finding[] = [];
  const knownIds = new Set([...(input.knownOrderIds ?? []), ...input.orders.map(({ id }) => id)]);
  for (const orderId of books.keys()) {
    if (!knownIds.has(orderId))
      findings.push({ orderId, problem: "there is no such order, and yet something was done" });
  }
  for (const order of input.orders) {
    const found = books.get(order.id) ?? { charges: [], refunds: [], parcels: [] };
    const problems = problemsOf(order, input.outcomes.get(order.id), found);
    findings.push(...problems.map((problem) => ({ orderId: order.id, problem })));
  }
  const all = [...books.values()];
  return {
    orderCount: input.orders.length,
    chargeCount: all.reduce((sum, { charges }) => sum + charges.length, 0),
    refundCount: all.reduce((sum, { refunds }) => sum + refunds.length, 0),
    parcelCount: all.reduce((sum, { parcels }) => sum + parcels.length, 0),
    balances: balancesOf(input.ledger),
    findings,
  };
}

function problemsOf(order: Order, outcome: Outcome | undefined, books: Books): readonly string[] {
  const common = [...problemsOfCharges(order, books), ...problemsOfRefunds(books)];
  if (outcome === undefined) return ["its workflow has not ended", ...common];
  const expected = expectationOf(outcome);
  const problems = [...common];
  const expect = (what: string, count: number, allowed: readonly number[]): void => {
    if (allowed.includes(count)) return;
    problems.push(`${outcome.kind}: expected ${allowed.join(" or ")} ${what}, found ${count}`);
  };
  expect("charge(s)", books.charges.length, expected.charges);
  if (expected.refunds === "one for each charge") {
    expect("refund(s)", books.refunds.length, [books.charges.length]);
  } else {
    expect("refund(s)", books.refunds.length, [expected.refunds]);
  }
  if (expected.parcels !== undefined) expect("parcel(s)", books.parcels.length, [expected.parcels]);
  if (outcome.kind === "fulfilled") {
    const [charge] = books.charges;
    const [parcel] = books.parcels;
    if (charge !== undefined && charge.id !== outcome.paymentId) {
      problems.push(`its workflow says it was paid by ${outcome.paymentId}, the ledger says ${charge.id}`);
    }
    if (parcel !== undefined && parcel.trackingNumber !== outcome.trackingNumber) {
      problems.push(
        `its workflow says it went as ${outcome.trackingNumber}, the carrier says ${parcel.trackingNumber}`,
      );
    }
  }
  return problems;
}

interface Expectation {
  readonly charges: readonly number[];
  readonly refunds: number | "one for each charge";
  readonly parcels?: number;
}

function expectationOf(outcome: Outcome): Expectation {
  switch (outcome.kind) {
    case "fulfilled":
      return { charges: [1], refunds: 0, parcels: 1 };
    case "declined":
      return { charges: [0], refunds: 0, parcels: 0 };
    case "refused":
    case "not approved in time":
      return { charges: [1], refunds: 1, parcels: 0 };
    // It may have come as far as the charge or not; either way the customer must have the money back.
    case "cancelled":
    case "failed":
      return { charges: [0, 1], refunds: "one for each charge" };
  }
}

function problemsOfCharges(order: Order, { charges }: Books): readonly string[] {
  return charges
    .filter(({ amount, currency }) => amount !== order.amount || currency !== order.currency)
    .map(
      ({ id, amount, currency }) =>
        `${id} is over ${amount} ${currency}, the order over ${order.amount} ${order.currency}`,
    );
}

function problemsOfRefunds({ charges, refunds }: Books): readonly string[] {
  const refunded = new Set<string>();
  return refunds.flatMap(({ id, chargeId, amount, currency }) => {
    const charge = charges.find((candidate) => candidate.id === chargeId);
    if (charge === undefined) return [`${id} gives back ${chargeId}, which is none of its charges`];
    if (refunded.has(chargeId)) return [`${id} gives back ${chargeId} once more`];
    refunded.add(chargeId);
    if (amount === charge.amount && currency === charge.currency) return [];
    return [`${id} gives back ${amount} ${currency} of ${charge.amount} ${charge.currency}`];
  });
}

function sortByOrder({ ledger, parcels }: AuditInput): ReadonlyMap<string, Books> {
  const books = new Map<string, Books>();
  const booksOf = (orderId: string): Books => {
    const known = books.get(orderId);
    if (known !== undefined) return known;
    const made: Books = { charges: [], refunds: [], parcels: [] };
    books.set(orderId, made);
    return made;
  };
  for (const entry of ledger) {
    if (entry.type === "charge") booksOf(entry.reference).charges.push(entry);
    if (entry.type === "refund") booksOf(entry.reference).refunds.push(entry);
  }
  for (const parcel of parcels) booksOf(parcel.reference).parcels.push(parcel);
  return books;
}

function balancesOf(ledger: readonly LedgerEntry[]): Readonly<Record<string, number>> {
  const balances: Record<string, number> = {};
  for (const entry of ledger) {
    if (entry.type !== "charge" && entry.type !== "refund") continue;
    const change = entry.type === "charge" ? entry.amount : -entry.amount;
    balances[entry.currency] = (balances[entry.currency] ?? 0) + change;
  }
  return balances;
}
