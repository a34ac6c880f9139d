/** Encrypted payloads over a server, workers and a network of which every byte is looked at. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Client } from "../../src/client/index.ts";
import { aes256gcm } from "../../src/codec/index.ts";
import type { PayloadCodec } from "../../src/codec/index.ts";
import { Server } from "../../src/server/server.ts";
import { Worker } from "../../src/worker/index.ts";
import {
  change,
  everything,
  everythingWorkflows,
  far,
  go,
  listener,
  near,
  note,
  secret,
  secrets,
  stage,
} from "./everything.ts";
import type { Word } from "./everything.ts";
import { bytesBelow, tapWire, wordsIn } from "./wire-tap.ts";
import type { WireTap } from "./wire-tap.ts";

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const strict = aes256gcm({ keys: { k1: key(1) }, current: "k1", scope: "test", requireEncoded: true });

let data: string;
const closers: (() => unknown)[] = [];

beforeEach(() => {
  data = mkdtempSync(path.join(tmpdir(), "aion-codec-"));
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(data, { recursive: true });
});

async function serve(codec: PayloadCodec | undefined, residentMax = 2_000) {
  const server = await Server.open({
    data,
    port: 0,
    workflows: everythingWorkflows,
    activities: [near],
    residentMax,
    log: () => undefined,
    ...(codec === undefined ? {} : { codec }),
  });
  const tap = await tapWire(server.url);
  const worker = new Worker({
    url: tap.url,
    activities: [far],
    taskQueues: ["far"],
    log: () => undefined,
    ...(codec === undefined ? {} : { codec }),
  });
  const working = worker.run();
  const client = new Client({ url: tap.url, ...(codec === undefined ? {} : { codec }) });
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await worker.stop({ drain: 100 });
    await working;
    await server.close({ drain: 0 });
    tap.close();
  };
  closers.push(close);
  return { client, tap, close };
}

/** The whole story; `again` closes everything and opens it anew. Every value arrives as it was sent. */
async function play(open: () => ReturnType<typeof serve>): Promise<readonly WireTap[]> {
  let at = await open();
  const taps = [at.tap];
  const again = async (): Promise<void> => {
    await at.close();
    at = await open();
    taps.push(at.tap);
  };
  const heard = await at.client.start(listener, undefined, { id: "listener" });
  const input = { word: secret("start-input"), listener: "listener" };
  const options = { id: "main", signal: [go, secret("start-signal")] as const };
  const first = await at.client.start(everything, input, options);
  await expect.poll(async () => (await first.describe()).pendingActivities.length).toBe(0);
  await again();
  const run = at.client.get("main", { workflow: everything });
  expect(await run.query(stage, secret("query-input"))).toEqual({
    at: secret("query-answer"),
    of: secret("query-input"),
  });
  await expect(at.client.get("main").query("stage", secret("query-refusal"))).rejects.toThrow(
    secret("query-refusal"),
  );
  await expect(at.client.get("main").signal("go", secret("signal-refusal"))).rejects.toThrow(
    secret("signal-refusal"),
  );
  const changed = { answer: secret("update-answer") };
  const made = [change, ` ${secret("update-input")} `, { updateId: "u" }] as const;
  expect(await run.update(...made)).toEqual(changed);
  await expect(run.update(change, "fail", { updateId: "f" })).rejects.toMatchObject({
    message: secret("update-message"),
    details: secret("update-details"),
  });
  await expect(run.update(change, "reject")).rejects.toMatchObject({
    code: "update_rejected",
    message: expect.stringContaining(secret("rejection")) as string,
    cause: { message: secret("rejection"), details: secret("rejection-details") },
  });
  await expect(at.client.get("main").update("change", secret("update-refusal"))).rejects.toThrow(
    secret("update-refusal"),
  );
  const refused = { word: secret("start-refusal"), listener: "" };
  await expect(at.client.start("everything", refused)).rejects.toThrow(secret("start-refusal"));
  // Two that nobody asks for yet: they go on to the next run.
  await run.signal(note, { text: secret("kept-signal") });
  await run.signal(go, secret("signal-payload"));
  expect(await at.client.get(heard.workflowId).result()).toBe(secret("sent-signal"));
  await again();
  expect(await at.client.get("main").update(...made)).toEqual(changed);
  await expect(at.client.get("main").update(change, "other", { updateId: "u" })).rejects.toMatchObject({
    code: "update_conflict",
  });
  await at.client.get("main").signal("continue");
  const result = await at.client.get("main", { runId: first.runId ?? "" }).result();
  expect(result).toEqual({ ends: secret("last-result"), kept: secret("kept-signal") });
  await again();
  // After the end a query is answered by replay of what was recorded.
  expect(await at.client.get("main").query("stage", "x")).toEqual({ at: secret("query-answer"), of: "x" });
  expect(await at.client.get("main").update(...made)).toEqual(changed);
  const events = [];
  for await (const event of at.client.get("main").history()) events.push(event);
  for await (const line of at.client.get("main").logs()) events.push(line);
  const history = JSON.stringify(events);
  const never: readonly Word[] = [
    "query-input",
    "query-answer",
    "query-refusal",
    "signal-refusal",
    "start-refusal",
    "update-refusal",
    "rejection",
    "rejection-details",
  ];
  const elsewhere: readonly Word[] = ["near-heartbeat", "far-heartbeat"];
  const shown = secrets.filter((word) => ![...never, ...elsewhere].map(secret).includes(word));
  expect(shown.filter((word) => !history.includes(word))).toEqual([]);
  await again();
  await at.close();
  return taps;
}

describe("with a codec in the client, the worker and the engine", () => {
  it.each([2_000, 1])(
    "no byte of the store or of the network is plaintext, and every value arrives (residentMax %i)",
    async (residentMax) => {
      const taps = await play(() => serve(strict, residentMax));
      expect(wordsIn(bytesBelow(data), secrets)).toEqual([]);
      for (const tap of taps) expect(wordsIn(tap.bytes(), secrets)).toEqual([]);
      expect(bytesBelow(data).includes("xaes-256-gcm")).toBe(true);
    },
  );

  it("is looked at where plaintext would be: without a codec the same story shows it", async () => {
    const taps = await play(() => serve(undefined));
    const never = (
      [
        "query-input",
        "query-answer",
        "query-refusal",
        "signal-refusal",
        "start-refusal",
        "update-refusal",
        "rejection",
        "rejection-details",
      ] as const
    ).map(secret);
    const onDisk = wordsIn(bytesBelow(data), secrets);
    expect(secrets.filter((word) => !onDisk.includes(word) && !never.includes(word))).toEqual([]);
    const sent = wordsIn(Buffer.concat(taps.map((tap) => tap.bytes())), secrets);
    expect(secrets.filter((word) => !sent.includes(word))).toEqual([]);
  });
});
