/**
 * The example as a user starts it: processes of its own, killed in the middle. The books are read here from the files
 * of the payment provider, beside the audit that the example makes itself.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "aion/client";
import { expect, it, onTestFinished } from "vitest";
import { makeOrder } from "../../examples/order-fulfilment/make-orders.ts";
import { needsApproval, type Order } from "../../examples/order-fulfilment/order.ts";
import { LedgerEntry, ledgerPath } from "../../examples/order-fulfilment/outside/payment-ledger.ts";
import { World } from "../../examples/order-fulfilment/world.ts";
import { scratchDirectory } from "./scratch-directory.ts";

const program = fileURLToPath(new URL("../../examples/order-fulfilment/main.ts", import.meta.url));

interface Started {
  /** Resolves with what `look` finds, looking again and again; rejects when the program ends before. */
  readonly until: <Found>(look: (text: string) => Found | undefined) => Promise<Found>;
  readonly kill: (signal: "SIGKILL" | "SIGINT") => void;
  /** How it ended: exit code or signal, and all that it said. */
  readonly ended: Promise<{ readonly end: number | string; readonly text: string }>;
}

function start(dataDir: string, flags: readonly string[]): Started {
  const child = spawn(process.execPath, [program, "--plain", "--data", dataDir, "--port", "0", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  const ended = new Promise<Awaited<Started["ended"]>>((resolve) => {
    child.once("close", (code, signal) => resolve({ end: signal ?? code ?? "unknown", text }));
  });
  let isRunning = true;
  void ended.then(() => {
    isRunning = false;
  });
  return {
    until: async (look) => {
      for (;;) {
        const wasRunning = isRunning;
        const found = look(text);
        if (found !== undefined) return found;
        if (!wasRunning) throw new Error(`it ended too early:\n${text}`);
        await delay(20);
      }
    },
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** A directory whose services end with the test. */
function dataDirectory(): string {
  const dataDir = scratchDirectory();
  const world = new World({ dataDir, faultRate: 0, seed: 1, serverUrl: "" });
  onTestFinished(() => world.disconnect());
  return dataDir;
}

function readLedger(dataDir: string): readonly LedgerEntry[] {
  const path = ledgerPath(dataDir);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => LedgerEntry.parse(JSON.parse(line)));
}

/** So much money has moved: the middle of the work, however fast the machine. */
function hasCharged(dataDir: string, count: number): true | undefined {
  const charges = readLedger(dataDir).filter(({ type }) => type === "charge");
  return charges.length >= count ? true : undefined;
}

function recoveredCountIn(text: string): number | undefined {
  const found = /recovered (\d+) orders under way/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** What may be in the books of the provider for an order that nobody cancelled. */
function allowedMovements(order: Order): readonly string[] {
  if (order.cardToken.startsWith("tok_declined_")) return ["none"];
  if (!needsApproval(order)) return ["charge"];
  // An approval that was given may still come too late, where starting again takes long.
  return order.customer.credit === "good" ? ["charge", "charge, refund"] : ["charge, refund"];
}

function movementsOf({ id }: Order, ledger: readonly LedgerEntry[]): string {
  const types = ledger
    .filter(({ reference, type }) => reference === id && (type === "charge" || type === "refund"))
    .map(({ type }) => type);
  return types.length === 0 ? "none" : types.join(", ");
}

// I-1, I-8: what was acknowledged is there after kill -9, and no outcome is made twice.
it("goes on after kill -9, twice, and charges and refunds every order exactly as it should", async () => {
  const dataDir = dataDirectory();
  const flags = ["--orders", "60", "--in-flight", "30"];
  const first = start(dataDir, flags);
  await first.until(() => hasCharged(dataDir, 10));
  first.kill("SIGKILL");
  expect(await first.ended).toMatchObject({ end: "SIGKILL" });

  const second = start(dataDir, flags);
  expect(await second.until(recoveredCountIn)).toBeGreaterThan(0);
  await second.until(() => hasCharged(dataDir, 30));
  second.kill("SIGKILL");
  expect(await second.ended).toMatchObject({ end: "SIGKILL" });

  const third = start(dataDir, flags);
  expect(await third.until(recoveredCountIn)).toBeGreaterThan(0);
  expect(await third.ended).toEqual({
    end: 0,
    text: expect.stringMatching(/Audit passed: each of 60 orders/),
  });

  const ledger = readLedger(dataDir);
  const surprises = Array.from({ length: 60 }, (_, index) => makeOrder(index + 1))
    .map((order) => ({ order, found: movementsOf(order, ledger), allowed: allowedMovements(order) }))
    .filter(({ found, allowed }) => !allowed.includes(found));
  expect(surprises).toEqual([]);
});

it("takes an order back that another process cancels, and has nothing left to do when started again", async () => {
  const dataDir = dataDirectory();
  const flags = ["--orders", "30"];
  const run = start(dataDir, flags);
  // The credit is unknown: nobody will decide, so it can be cancelled while it waits.
  const order = Array.from({ length: 30 }, (_, index) => makeOrder(index + 1)).find(
    (candidate) => needsApproval(candidate) && candidate.customer.credit === "unknown",
  );
  if (order === undefined) throw new Error("none of the first 30 orders waits in vain");
  await run.until(() => (movementsOf(order, readLedger(dataDir)) === "none" ? undefined : true));
  const url = await run.until((text) => /The server is at (\S+) /.exec(text)?.[1]);
  await new Client({ url }).get(order.id).cancel("the customer called");

  expect(await run.ended).toEqual({ end: 0, text: expect.stringMatching(/cancelled +│ +1 │/) });
  expect(movementsOf(order, readLedger(dataDir))).toBe("charge, refund");

  const again = start(dataDir, flags);
  expect(await again.ended).toEqual({
    end: 0,
    text: expect.stringMatching(/30 orders had ended before[^]*Everything was done already/),
  });
});

it("with --chaos kills server and worker as often as told; stopped by Ctrl-C in between, it says how to go on", async () => {
  const dataDir = dataDirectory();
  const chaos = start(dataDir, ["--chaos", "--kills", "3", "--orders", "30", "--seed", "5"]);
  await chaos.until((text) => /kill 2\/3/.exec(text) ?? undefined);
  chaos.kill("SIGINT");
  const { end, text } = await chaos.ended;
  expect(end).toBe(130);
  const [, dataDirOfChaos = "", flags = ""] =
    /`npm start -- --data (\S+) ([^`]*)` goes on from here/.exec(text) ?? [];
  onTestFinished(() =>
    new World({ dataDir: dataDirOfChaos, faultRate: 0, seed: 1, serverUrl: "" }).disconnect(),
  );

  const rest = start(dataDirOfChaos, flags.split(" "));
  expect(await rest.ended).toEqual({
    end: 0,
    text: expect.stringMatching(/Audit passed: each of 30 orders/),
  });
});
