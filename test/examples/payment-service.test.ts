import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { Companion, PAYMENT_SERVICE } from "../../examples/order-fulfilment/outside/companion.ts";
import { FaultInjector } from "../../examples/order-fulfilment/outside/faults.ts";
import { startPaymentService } from "../../examples/order-fulfilment/outside/payment-service.ts";
import { CardDeclined, PaymentRejected, Payments } from "../../examples/order-fulfilment/outside/payments.ts";
import { ServiceState, statePath } from "../../examples/order-fulfilment/outside/service-host.ts";
import { scratchDirectory } from "./scratch-directory.ts";

interface Settings {
  readonly faultRate?: number;
  readonly seed?: number;
}

function companionFor(dataDir: string, settings: Settings = {}): Companion {
  const { faultRate = 0, seed = 1 } = settings;
  const companion = new Companion({
    name: PAYMENT_SERVICE,
    dataDir,
    script: "payment-service.ts",
    arguments: [
      "--data",
      dataDir,
      "--fault-rate",
      String(faultRate),
      "--seed",
      String(seed),
      "--idle-exit-ms",
      "60000",
    ],
    settings: { faultRate, seed },
  });
  onTestFinished(() => companion.stop());
  return companion;
}

/** The service in this process: quick to start, and with the same HTTP in between. */
async function serveHere(dataDir: string, settings: Settings = {}): Promise<Companion> {
  const { faultRate = 0, seed = 1 } = settings;
  const hosted = await startPaymentService({ dataDir, faultRate, seed, latencyMsMax: 0 });
  if (hosted === undefined) throw new Error("another service has the directory");
  onTestFinished(() => hosted.close());
  return companionFor(dataDir, settings);
}

const order = (reference: string, cardToken = "tok_visa_00000001") => ({
  reference,
  amount: 700,
  currency: "EUR",
  cardToken,
});
const context = (idempotencyKey: string, timeoutMs = 5_000) => ({
  idempotencyKey,
  signal: AbortSignal.timeout(timeoutMs),
});

/** What the engine does with an activity: try again, with the same key, until there is an answer. */
async function untilAnswered<Answer>(attempt: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
  for (let count = 0; count < 100; count += 1) {
    try {
      return await attempt(AbortSignal.timeout(400));
    } catch (error) {
      if (error instanceof PaymentRejected) throw error;
    }
  }
  throw new Error("no answer in 100 attempts");
}

it("charges over HTTP, and says what went wrong in the client's words", async () => {
  const payments = new Payments(await serveHere(scratchDirectory()));
  const charge = await payments.charge(order("order-1"), context("k1"));
  expect(charge).toMatchObject({ reference: "order-1", amount: 700, currency: "EUR" });
  expect(await payments.charge(order("order-1"), context("k1"))).toEqual(charge);
  await expect(payments.charge(order("order-2"), context("k1"))).rejects.toBeInstanceOf(PaymentRejected);
  await expect(
    payments.charge(order("order-3", "tok_declined_00000001"), context("k3")),
  ).rejects.toBeInstanceOf(CardDeclined);
  await expect(payments.charge({ ...order("order-4"), amount: -1 }, context("k4"))).rejects.toThrow(
    /invalid_request/,
  );
  expect(await payments.ledger()).toHaveLength(2);
});

it("turns away whoever has no token, no idempotency key, no JSON or too much of it", async () => {
  const companion = await serveHere(scratchDirectory());
  const { url, token } = await companion.locate();
  expect((await fetch(`${url}/ledger`)).status).toBe(401);
  expect((await fetch(`${url}/ledger`, { headers: { authorization: "Bearer x" } })).status).toBe(401);
  const post = async (body: string, path = "/charges"): Promise<number> =>
    (await fetch(url + path, { method: "POST", headers: { authorization: `Bearer ${token}` }, body })).status;
  expect(await post(JSON.stringify(order("order-1")))).toBe(400);
  expect(await post("{")).toBe(400);
  expect(await post("x".repeat(100_000))).toBe(413);
  expect(await post("{}", "/elsewhere")).toBe(404);
});

it("charges once when the reply is lost and the caller asks again", async () => {
  const seed = seedWhose("order-1", "lost-reply");
  const payments = new Payments(await serveHere(scratchDirectory(), { faultRate: 0.5, seed }));
  await expect(payments.charge(order("order-1"), context("k1"))).rejects.toThrow(/fetch failed/);
  expect(await payments.ledger()).toMatchObject([{ type: "charge", reference: "order-1" }]);
  const charge = await untilAnswered((signal) =>
    payments.charge(order("order-1"), { idempotencyKey: "k1", signal }),
  );
  expect(await payments.ledger()).toMatchObject([{ type: "charge", id: charge.id }]);
});

it("does nothing when it never answers, and leaves the caller to time out", async () => {
  const seed = seedWhose("order-1", "time-out");
  const payments = new Payments(await serveHere(scratchDirectory(), { faultRate: 0.5, seed }));
  await expect(payments.charge(order("order-1"), context("k1", 200))).rejects.toThrow(/timeout/);
  expect(await payments.ledger()).toEqual([]);
});

it("turns a flaky customer's card away twice, and then takes it", async () => {
  const payments = new Payments(await serveHere(scratchDirectory()));
  const flaky = order("order-1", "tok_flaky_00000001");
  await expect(payments.charge(flaky, context("k1"))).rejects.toThrow(/unavailable/);
  await expect(payments.charge(flaky, context("k1"))).rejects.toThrow(/unavailable/);
  await expect(payments.charge(flaky, context("k1"))).resolves.toMatchObject({ reference: "order-1" });
});

it("comes to the same ledger through every kind of fault, each of which is hit", async () => {
  const payments = new Payments(await serveHere(scratchDirectory(), { faultRate: 0.6, seed: 3 }));
  await Promise.all(
    Array.from({ length: 60 }, async (_, index) => {
      const reference = `order-${index}`;
      await untilAnswered((signal) =>
        payments.charge(order(reference), { idempotencyKey: `k${index}`, signal }),
      );
      if (index % 3 === 0)
        await untilAnswered((signal) => payments.refund(reference, { idempotencyKey: `r${index}`, signal }));
    }),
  );
  const ledger = await payments.ledger();
  const references = (type: string): readonly string[] =>
    ledger.filter((entry) => entry.type === type).map(({ reference }) => reference);
  expect(references("charge").toSorted()).toEqual(
    Array.from({ length: 60 }, (_, index) => `order-${index}`).toSorted(),
  );
  expect(references("refund")).toHaveLength(20);
  expect(new Set(references("refund")).size).toBe(20);
  const { faults } = await payments.stats();
  for (const kind of ["unavailable", "time-out", "slow", "lost-reply"])
    expect(faults[kind]).toBeGreaterThan(0);
});

it("injects the same faults for the same seed, whatever the order of the requests", () => {
  const subjects = Array.from({ length: 50 }, (_, index) => `order-${index}`);
  const faultsOf = (seed: number, inOrder: readonly string[]) => {
    const injector = new FaultInjector({ rate: 0.5, seed });
    return new Map(inOrder.map((subject) => [subject, injector.next(subject, { flaky: false })?.kind]));
  };
  expect(new Map([...faultsOf(1, subjects.toReversed())].toReversed())).toEqual(faultsOf(1, subjects));
  expect(faultsOf(2, subjects)).not.toEqual(faultsOf(1, subjects));
});

it("runs as a process of its own that survives its starter's companion, and is found again", async () => {
  const dataDir = scratchDirectory();
  const first = await companionFor(dataDir).locate();
  expect(first.pid).not.toBe(process.pid);
  expect(await companionFor(dataDir).locate()).toEqual(first);
});

it("is started once when many look for it at the same moment", async () => {
  const dataDir = scratchDirectory();
  const found = await Promise.all(Array.from({ length: 4 }, () => companionFor(dataDir).locate()));
  expect(new Set(found.map(({ pid }) => pid)).size).toBe(1);
});

it("is back with its ledger after kill -9, on the caller's next attempts", async () => {
  const dataDir = scratchDirectory();
  const companion = companionFor(dataDir);
  const payments = new Payments(companion);
  const charge = await payments.charge(order("order-1"), context("k1"));
  const { pid } = await companion.locate();
  process.kill(pid, "SIGKILL");
  await untilDead(pid);
  await expect(payments.charge(order("order-1"), context("k1"))).rejects.toThrow(/fetch failed/);
  expect(await payments.charge(order("order-1"), context("k1"))).toEqual(charge);
  expect((await companion.locate()).pid).not.toBe(pid);
  expect(await payments.ledger()).toHaveLength(1);
});

it("is restarted by `ensure` when it died, and left alone when it did not", async () => {
  const companion = companionFor(scratchDirectory());
  const { pid } = await companion.locate();
  expect(await companion.ensure()).toBe(false);
  process.kill(pid, "SIGKILL");
  await untilDead(pid);
  expect(await companion.ensure()).toBe(true);
});

it("gives way to one with other settings, with the same ledger", async () => {
  const dataDir = scratchDirectory();
  const calm = new Payments(companionFor(dataDir));
  await calm.charge(order("order-1"), context("k1"));
  const stormy = companionFor(dataDir, { faultRate: 0.3 });
  expect(await new Payments(stormy).ledger()).toHaveLength(1);
});

it("is not mistaken for a stranger on the port that an old state file names", async () => {
  const dataDir = scratchDirectory();
  const companion = companionFor(dataDir);
  const { pid } = await companion.locate();
  const state = ServiceState.parse(JSON.parse(readFileSync(statePath(dataDir, PAYMENT_SERVICE), "utf8")));
  await companion.stop();
  await untilDead(pid);
  const otherDir = scratchDirectory();
  const stranger = await companionFor(otherDir).locate();
  const port = Number(new URL(stranger.url).port);
  writeFileSync(statePath(dataDir, PAYMENT_SERVICE), JSON.stringify({ ...state, port }));
  const found = await companion.locate();
  expect(found.pid).not.toBe(stranger.pid);
  expect(found.pid).not.toBe(pid);
});

it("says where to look when it cannot start", async () => {
  const dataDir = scratchDirectory();
  const companion = companionFor(dataDir);
  writeFileSync(`${dataDir}/payments.ledger.jsonl`, "no ledger\n");
  await expect(companion.locate()).rejects.toThrow(/ended with 1; see .*payment-service\.log/);
});

function seedWhose(reference: string, kind: string): number {
  for (let seed = 1; seed < 1_000; seed += 1) {
    const injector = new FaultInjector({ rate: 0.5, seed });
    if (injector.next(`/charges ${reference}`, { flaky: false })?.kind === kind) return seed;
  }
  throw new Error(`no seed below 1,000 makes the first fault a ${kind}`);
}

async function untilDead(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await delay(10);
  }
}
