import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeOrder } from "../../examples/order-fulfilment/make-orders.ts";
import { ensureOrders, readOrders } from "../../examples/order-fulfilment/order-file.ts";
import { needsApproval, Order } from "../../examples/order-fulfilment/order.ts";
import { scratchDirectory } from "./scratch-directory.ts";

const orders = Array.from({ length: 1_000 }, (_, index) => makeOrder(index + 1));

it("makes the same orders every time, each of them valid and with an id of its own", () => {
  expect(makeOrder(7)).toEqual(orders[6]);
  for (const order of orders) expect(Order.parse(order)).toEqual(order);
  expect(new Set(orders.map(({ id }) => id)).size).toBe(1_000);
});

it("makes all the kinds there are, and mostly ordinary ones", () => {
  const count = (test: (order: Order) => boolean): number => orders.filter(test).length;
  const ordinary = count((order) => !needsApproval(order) && order.cardToken.startsWith("tok_visa_"));
  expect(ordinary).toBeGreaterThan(600);
  for (const card of ["declined", "flaky"]) {
    expect(count(({ cardToken }) => cardToken.startsWith(`tok_${card}_`))).toBeGreaterThan(20);
  }
  for (const credit of ["good", "poor", "unknown"]) {
    const waiting = count((order) => needsApproval(order) && order.customer.credit === credit);
    expect(waiting).toBeGreaterThan(5);
  }
  expect(new Set(orders.map(({ currency }) => currency)).size).toBe(5);
});

it("makes a file that is missing, makes a short one longer, and leaves a long one alone", () => {
  const path = join(scratchDirectory(), "data", "orders.jsonl");
  expect(ensureOrders(path, 10)).toEqual(orders.slice(0, 10));
  expect(ensureOrders(path, 25)).toEqual(orders.slice(0, 25));
  const text = readFileSync(path, "utf8");
  expect(ensureOrders(path, 5)).toEqual(orders.slice(0, 25));
  expect(readFileSync(path, "utf8")).toBe(text);
});

const [good, other] = orders.map((order) => JSON.stringify(order));
it.each([
  ["that is no JSON", `${good}\n{`, /:2: not JSON/],
  ["with a field too many", `{"x":1,${good?.slice(1)}`, /:1: not an order[\s\S]*"x"/],
  [
    "whose amount is not the sum of its items",
    good?.replace(/"amount":\d+/, '"amount":1'),
    /amount is not the sum/,
  ],
  ["of no money", good?.replace(/"amount":\d+/, '"amount":0'), /:1: not an order/],
  ["with a card number in place of a token", good?.replace(/tok_\w+/, "4242424242424242"), /cardToken/],
  ["that is there twice", `${good}\n${other}\n${good}\n`, /:3: the order order-00001 is there twice/],
  ["of which there is none", "\n\n", /has no orders/],
])("refuses an order %s, and names the line", (_, text, message) => {
  const path = join(scratchDirectory(), "orders.jsonl");
  writeFileSync(path, text ?? "");
  expect(() => readOrders(path)).toThrow(message);
});
