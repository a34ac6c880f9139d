import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import {
  type ChargeRequest,
  ledgerPath,
  PaymentLedger,
} from "../../examples/order-fulfilment/outside/payment-ledger.ts";
import { scratchDirectory } from "./scratch-directory.ts";

const request: ChargeRequest = {
  reference: "order-1",
  amount: 500,
  currency: "EUR",
  cardToken: "tok_visa_00000001",
};
const charges = (ledger: PaymentLedger): number =>
  ledger.entries.filter(({ type }) => type === "charge").length;
const refunds = (ledger: PaymentLedger): number =>
  ledger.entries.filter(({ type }) => type === "refund").length;

it("answers a repeated key the same, charges once, and does so after a restart too", async () => {
  const directory = scratchDirectory();
  const ledger = await PaymentLedger.open(directory);
  const first = await ledger.charge("k1", request);
  expect(first.status).toBe(201);
  expect(await ledger.charge("k1", request)).toEqual(first);
  await ledger.close();
  const again = await PaymentLedger.open(directory);
  expect(await again.charge("k1", request)).toEqual(first);
  expect(charges(again)).toBe(1);
  await again.close();
});

it("charges once when one key comes in many times at the same moment", async () => {
  const ledger = await PaymentLedger.open(scratchDirectory());
  const answers = await Promise.all(Array.from({ length: 50 }, () => ledger.charge("k1", request)));
  expect(new Set(answers.map(({ body }) => body["id"])).size).toBe(1);
  expect(charges(ledger)).toBe(1);
  await ledger.close();
});

it("refuses a key that comes with another request, and with another operation", async () => {
  const ledger = await PaymentLedger.open(scratchDirectory());
  await ledger.charge("k1", request);
  expect((await ledger.charge("k1", { ...request, amount: 501 })).status).toBe(422);
  expect((await ledger.refund("k1", { reference: "order-1" })).status).toBe(422);
  expect(charges(ledger)).toBe(1);
  expect(refunds(ledger)).toBe(0);
  await ledger.close();
});

it("charges again under another key: keeping to one key is the caller's part", async () => {
  const ledger = await PaymentLedger.open(scratchDirectory());
  await ledger.charge("k1", request);
  await ledger.charge("k2", request);
  expect(charges(ledger)).toBe(2);
  await ledger.close();
});

it("declines a declined card every time and charges nothing", async () => {
  const directory = scratchDirectory();
  const ledger = await PaymentLedger.open(directory);
  const declined = { ...request, cardToken: "tok_declined_00000001" };
  expect((await ledger.charge("k1", declined)).status).toBe(402);
  await ledger.close();
  const again = await PaymentLedger.open(directory);
  expect((await again.charge("k1", declined)).status).toBe(402);
  expect(charges(again)).toBe(0);
  await again.close();
});

it("gives a charge back once and in full, whatever key asks", async () => {
  const directory = scratchDirectory();
  const ledger = await PaymentLedger.open(directory);
  await ledger.charge("k1", request);
  const [first, second] = await Promise.all([
    ledger.refund("r1", { reference: "order-1" }),
    ledger.refund("r2", { reference: "order-1" }),
  ]);
  expect(first).toMatchObject({ status: 200, body: { refunds: [{ amount: 500, currency: "EUR" }] } });
  expect(second.body).toEqual(first?.body);
  await ledger.close();
  const again = await PaymentLedger.open(directory);
  expect(await again.refund("r1", { reference: "order-1" })).toEqual(first);
  expect(refunds(again)).toBe(1);
  await again.close();
});

it("lets a charge that arrives after its refund move no money, after a restart too", async () => {
  const directory = scratchDirectory();
  const ledger = await PaymentLedger.open(directory);
  expect(await ledger.refund("r1", { reference: "order-1" })).toMatchObject({
    status: 200,
    body: { refunds: [] },
  });
  expect((await ledger.charge("k1", request)).status).toBe(409);
  await ledger.close();
  const again = await PaymentLedger.open(directory);
  expect((await again.charge("k1", request)).status).toBe(409);
  expect(charges(again)).toBe(0);
  await again.close();
});

it("forgets a charge whose line is torn, and charges it when it is asked again", async () => {
  const directory = scratchDirectory();
  const ledger = await PaymentLedger.open(directory);
  await ledger.charge("k1", request);
  await ledger.charge("k2", { ...request, reference: "order-2" });
  await ledger.close();
  const text = readFileSync(ledgerPath(directory), "utf8");
  writeFileSync(ledgerPath(directory), text.slice(0, -10));
  const torn = await PaymentLedger.open(directory);
  expect(torn.tornBytes).toBeGreaterThan(0);
  expect(torn.entries.map(({ reference }) => reference)).toEqual(["order-1"]);
  expect((await torn.charge("k2", { ...request, reference: "order-2" })).status).toBe(201);
  expect(torn.entries.map(({ reference }) => reference)).toEqual(["order-1", "order-2"]);
  await torn.close();
});

it("gives no id twice, over restarts", async () => {
  const directory = scratchDirectory();
  const ids: unknown[] = [];
  for (const round of [1, 2, 3]) {
    const ledger = await PaymentLedger.open(directory);
    for (const part of ["a", "b"]) {
      const reference = `order-${round}-${part}`;
      ids.push((await ledger.charge(`k ${reference}`, { ...request, reference })).body["id"]);
    }
    await ledger.refund(`r ${round}`, { reference: `order-${round}-a` });
    ids.push(
      ...ledger.entries
        .filter(({ type }) => type === "refund")
        .slice(-1)
        .map((entry) => "id" in entry && entry.id),
    );
    await ledger.close();
  }
  expect(new Set(ids).size).toBe(ids.length);
});

it("refuses to open a ledger in which somebody wrote", async () => {
  const directory = scratchDirectory();
  const ledger = await PaymentLedger.open(directory);
  await ledger.charge("k1", request);
  await ledger.close();
  appendFileSync(ledgerPath(directory), '{"type":"gift"}\n');
  await expect(PaymentLedger.open(directory)).rejects.toThrow(/damaged in line 2/);
});
