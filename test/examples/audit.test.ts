import { array, assert, constantFrom, nat, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuditInput, auditOrders } from "../../examples/order-fulfilment/audit.ts";
import { makeOrder } from "../../examples/order-fulfilment/make-orders.ts";
import type { Order } from "../../examples/order-fulfilment/order.ts";
import type { Outcome } from "../../examples/order-fulfilment/outcome.ts";
import type { Parcel } from "../../examples/order-fulfilment/outside/carrier.ts";
import type { LedgerEntry } from "../../examples/order-fulfilment/outside/payment-ledger.ts";

type Charge = Extract<LedgerEntry, { type: "charge" }>;
type Refund = Extract<LedgerEntry, { type: "refund" }>;

const base = { key: "k", fingerprint: "f", atMs: 0 };
const charge = (order: Order, changes: Partial<Charge> = {}): Charge => ({
  type: "charge",
  id: `ch ${order.id}`,
  reference: order.id,
  amount: order.amount,
  currency: order.currency,
  cardToken: order.cardToken,
  ...base,
  ...changes,
});
const refund = (order: Order, changes: Partial<Refund> = {}): Refund => ({
  type: "refund",
  id: `re ${order.id}`,
  chargeId: `ch ${order.id}`,
  reference: order.id,
  amount: order.amount,
  currency: order.currency,
  ...base,
  ...changes,
});
const decline = (order: Order): LedgerEntry => ({
  type: "decline",
  reference: order.id,
  reason: "no",
  ...base,
});
const close = (order: Order): LedgerEntry => ({ type: "close", reference: order.id, ...base });
const parcel = (order: Order): Parcel => ({ reference: order.id, trackingNumber: `RR ${order.id}` });
const fulfilled = (order: Order): Outcome => ({
  kind: "fulfilled",
  paymentId: `ch ${order.id}`,
  trackingNumber: `RR ${order.id}`,
});

interface Story {
  readonly outcome: (order: Order) => Outcome;
  readonly ledger: (order: Order) => readonly LedgerEntry[];
  readonly parcels: (order: Order) => readonly Parcel[];
}
const none = (): readonly never[] => [];
const stories: Readonly<Record<string, Story>> = {
  fulfilled: { outcome: fulfilled, ledger: (order) => [charge(order)], parcels: (order) => [parcel(order)] },
  declined: {
    outcome: () => ({ kind: "declined" }),
    ledger: (order) => [decline(order), close(order)],
    parcels: none,
  },
  refused: {
    outcome: () => ({ kind: "refused" }),
    ledger: (order) => [charge(order), refund(order)],
    parcels: none,
  },
  "not approved in time": {
    outcome: () => ({ kind: "not approved in time" }),
    ledger: (order) => [charge(order), refund(order)],
    parcels: none,
  },
  "cancelled before the charge": {
    outcome: () => ({ kind: "cancelled" }),
    ledger: (order) => [close(order)],
    parcels: none,
  },
  "cancelled after the charge": {
    outcome: () => ({ kind: "cancelled" }),
    ledger: (order) => [charge(order), refund(order)],
    parcels: none,
  },
  "failed after the charge": {
    outcome: () => ({ kind: "failed", message: "the printer is jammed" }),
    ledger: (order) => [charge(order), refund(order)],
    parcels: none,
  },
};

function tell(orders: readonly Order[], storyOf: (index: number) => Story): AuditInput {
  return {
    orders,
    outcomes: new Map(orders.map((order, index) => [order.id, storyOf(index).outcome(order)])),
    ledger: orders.flatMap((order, index) => storyOf(index).ledger(order)),
    parcels: orders.flatMap((order, index) => storyOf(index).parcels(order)),
  };
}

const problemsOf = (input: AuditInput): readonly string[] =>
  auditOrders(input).findings.map(({ problem }) => problem);
const order = makeOrder(1);
const storyNamed = (name: string): Story =>
  stories[name] ?? { outcome: fulfilled, ledger: none, parcels: none };

describe("an order that went as its workflow says", () => {
  it.each(Object.keys(stories))("has no finding when it was %s", (name) => {
    expect(problemsOf(tell([order], () => storyNamed(name)))).toEqual([]);
  });
});

it("adds up what the shop keeps, by currency", () => {
  const orders = [1, 2, 3, 4, 5, 6].map((number) => makeOrder(number));
  const names = ["fulfilled", "declined", "refused"];
  const input = tell(orders, (index) => storyNamed(names[index % 3] ?? ""));
  const expected: Record<string, number> = {};
  for (const [index, { currency, amount }] of orders.entries()) {
    if (index % 3 === 0) expected[currency] = (expected[currency] ?? 0) + amount;
    if (index % 3 === 2) expected[currency] ??= 0;
  }
  const audit = auditOrders(input);
  expect(audit).toMatchObject({
    orderCount: 6,
    chargeCount: 4,
    refundCount: 2,
    parcelCount: 2,
    findings: [],
  });
  expect(audit.balances).toEqual(expected);
});

/** One planted discrepancy each: the story it is planted in, what is changed, and what the audit must say. */
const planted: readonly (readonly [string, string, (input: AuditInput) => Partial<AuditInput>, RegExp])[] = [
  ["a missing charge", "fulfilled", () => ({ ledger: [] }), /expected 1 charge\(s\), found 0/],
  [
    "a double charge",
    "fulfilled",
    ({ ledger }) => ({ ledger: [...ledger, charge(order, { id: "ch 2" })] }),
    /expected 1 charge\(s\), found 2/,
  ],
  [
    "a wrong amount",
    "fulfilled",
    () => ({ ledger: [charge(order, { amount: order.amount + 1 })] }),
    /is over \d+ \w+, the order over/,
  ],
  [
    "a wrong currency",
    "fulfilled",
    () => ({ ledger: [charge(order, { currency: "XXX" })] }),
    /is over \d+ XXX, the order over/,
  ],
  [
    "another payment than the workflow says",
    "fulfilled",
    () => ({ ledger: [charge(order, { id: "ch 9" })] }),
    /says it was paid by ch order-00001, the ledger says ch 9/,
  ],
  [
    "a refund of a fulfilled order",
    "fulfilled",
    ({ ledger }) => ({ ledger: [...ledger, refund(order)] }),
    /expected 0 refund\(s\), found 1/,
  ],
  ["a parcel that never left", "fulfilled", () => ({ parcels: [] }), /expected 1 parcel\(s\), found 0/],
  [
    "another parcel than the workflow says",
    "fulfilled",
    () => ({ parcels: [{ ...parcel(order), trackingNumber: "RR 0" }] }),
    /says it went as .*, the carrier says RR 0/,
  ],
  [
    "a charge of a declined order",
    "declined",
    ({ ledger }) => ({ ledger: [...ledger, charge(order)] }),
    /expected 0 charge\(s\), found 1/,
  ],
  ["a missing refund", "refused", () => ({ ledger: [charge(order)] }), /expected 1 refund\(s\), found 0/],
  [
    "a missing refund of a late approval",
    "not approved in time",
    () => ({ ledger: [charge(order)] }),
    /expected 1 refund\(s\), found 0/,
  ],
  [
    "a double refund",
    "refused",
    ({ ledger }) => ({ ledger: [...ledger, refund(order, { id: "re 2" })] }),
    /re 2 gives back ch order-00001 once more/,
  ],
  [
    "a refund in part",
    "refused",
    () => ({ ledger: [charge(order), refund(order, { amount: 1 })] }),
    /gives back 1 \w+ of/,
  ],
  [
    "a refund of another charge",
    "refused",
    () => ({ ledger: [charge(order), refund(order, { chargeId: "ch 9" })] }),
    /which is none of its charges/,
  ],
  [
    "a parcel of a refused order",
    "refused",
    () => ({ parcels: [parcel(order)] }),
    /expected 0 parcel\(s\), found 1/,
  ],
  [
    "money kept from a cancelled order",
    "cancelled after the charge",
    () => ({ ledger: [charge(order)] }),
    /expected 1 refund\(s\), found 0/,
  ],
  [
    "money kept from a failed order",
    "failed after the charge",
    () => ({ ledger: [charge(order)] }),
    /expected 1 refund\(s\), found 0/,
  ],
  ["a workflow that has not ended", "fulfilled", () => ({ outcomes: new Map() }), /has not ended/],
  [
    "a charge for no order",
    "fulfilled",
    ({ ledger }) => ({ ledger: [...ledger, charge(order, { reference: "order-x" })] }),
    /there is no such order/,
  ],
];

describe("the audit finds", () => {
  it.each(planted)("%s", (_, name, plant, message) => {
    const sound = tell([order], () => storyNamed(name));
    const problems = problemsOf({ ...sound, ...plant(sound) });
    expect(problems.join("\n")).toMatch(message);
  });

  it("each planted discrepancy among many sound orders, and names its order alone", () => {
    const names = Object.keys(stories);
    assert(
      property(
        array(constantFrom(...names), { minLength: 1, maxLength: 30 }),
        nat(),
        constantFrom("drop", "double"),
        (told, pick, change) => {
          const orders = told.map((_, index) => makeOrder(index + 1));
          const sound = tell(orders, (index) => storyNamed(told[index] ?? ""));
          expect(problemsOf(sound)).toEqual([]);
          const movements = sound.ledger.filter(({ type }) => type === "charge" || type === "refund");
          const victim = movements[pick % Math.max(1, movements.length)];
          if (victim === undefined) return;
          const ledger =
            change === "drop" ? sound.ledger.filter((entry) => entry !== victim) : [...sound.ledger, victim];
          const { findings } = auditOrders({ ...sound, ledger });
          expect(new Set(findings.map(({ orderId }) => orderId))).toEqual(new Set([victim.reference]));
        },
      ),
      { numRuns: 200 },
    );
  });
});

it("lets orders of a longer file be that this run had no part in", () => {
  const later = makeOrder(2);
  const input = tell([order], () => storyNamed("fulfilled"));
  const ledger = [...input.ledger, charge(later)];
  expect(problemsOf({ ...input, ledger })).toHaveLength(1);
  expect(problemsOf({ ...input, ledger, knownOrderIds: new Set([order.id, later.id]) })).toEqual([]);
});
