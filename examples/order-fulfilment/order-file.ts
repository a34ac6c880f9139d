import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { prettifyError } from "zod";
import { makeOrder } from "./make-orders.ts";
import { Order } from "./order.ts";

const FILE_BYTES_MAX = 64 * 1024 * 1024;
export const ORDER_COUNT_MAX = 100_000;

/** Reads a file of orders, one JSON object a line. The error of a bad file names its first bad line. */
export function readOrders(path: string): readonly Order[] {
  const { size } = statSync(path);
  if (size > FILE_BYTES_MAX) throw new Error(`${path} has ${size} bytes; at most ${FILE_BYTES_MAX} are read`);
  const orders = new Map<string, Order>();
  for (const [index, line] of readFileSync(path, "utf8").split("\n").entries()) {
    if (line.trim() === "") continue;
    const order = parseOrder(line, `${path}:${index + 1}`);
    if (orders.has(order.id)) throw new Error(`${path}:${index + 1}: the order ${order.id} is there twice`);
    orders.set(order.id, order);
    if (orders.size > ORDER_COUNT_MAX) throw new Error(`${path} has more than ${ORDER_COUNT_MAX} orders`);
  }
  if (orders.size === 0) throw new Error(`${path} has no orders`);
  return [...orders.values()];
}

function parseOrder(line: string, where: string): Order {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new Error(`${where}: not JSON: ${line.slice(0, 80)}`, { cause });
  }
  const parsed = Order.safeParse(value);
  if (!parsed.success)
    throw new Error(`${where}: not an order:\n${prettifyError(parsed.error)}`, { cause: parsed.error });
  return parsed.data;
}

/**
 * All orders of the file, at least `count` of them: it is made when it is not there, and a shorter one is made longer.
 * Every order depends on its own number alone, so those that were there stay what they were.
 */
export function ensureOrders(path: string, count: number): readonly Order[] {
  const found = existsSync(path) ? readOrders(path) : [];
  if (found.length >= count) return found;
  const made = Array.from({ length: count - found.length }, (_, index) =>
    makeOrder(found.length + index + 1),
  );
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.next`, [...found, ...made].map((order) => `${JSON.stringify(order)}\n`).join(""));
  renameSync(`${path}.next`, path);
  return readOrders(path);
}
