/** A package behind a codec: its code, in a process of its own, sees plaintext, and nothing else does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { aes256gcm } from "../../src/codec/index.ts";
import { Engine } from "../../src/embedded/engine.ts";
import { buildPackage } from "../../src/package/build.ts";
import { activity } from "../../src/workflow/index.ts";
import { bytesBelow, wordsIn } from "./wire-tap.ts";

const key = new Uint8Array(32).fill(3);
const codec = aes256gcm({ keys: { k: key }, current: "k", requireEncoded: true });

let directory: string;
let engine: Engine;

beforeEach(() => {
  // Where zod is found.
  const near = path.resolve(import.meta.dirname, "../../.tmp");
  mkdirSync(near, { recursive: true });
  directory = mkdtempSync(path.join(near, "codec-"));
});

afterEach(async () => {
  await engine.close({ drain: 0 });
  rmSync(directory, { recursive: true });
});

// The text of the package is on the disk, too: its words are made of what it is given.
const source = `
  import { ApplicationFailure, activity, child, continueAsNew, expose, query, receive, sideEffect, signal, workflow } from "aion/workflow";
  import { z } from "zod";
  const work = activity("work", async (word: string) => word);
  const go = signal("go", z.string());
  const keep = signal("keep", z.string());
  const at = query("at", { input: z.string(), output: z.string() });
  export const leaf = workflow("leaf", async (word: string) => {
    if (word.endsWith("FAILS")) throw new ApplicationFailure(word + "MESSAGE", { type: "Leaf", details: word + "DETAILS" });
    return word + "LEAF";
  });
  export const main = workflow("main", { input: z.object({ word: z.string(), round: z.number() }) }, async ({ word, round }) => {
    expose(at, (asked) => word + asked);
    if (round === 1) return [word, await receive(keep)];
    const side = sideEffect(() => word + "SIDE");
    const worked = await work(word + "INPUT");
    const leafed = await child(leaf, word + "CHILD");
    let failed = "";
    try { await child(leaf, word + "FAILS"); } catch (error) { failed = error.message.split(" ").at(-1) + error.cause.details; }
    const heard = await receive(go);
    return continueAsNew({ word: [side, worked, leafed, failed, heard].join(), round: 1 });
  });
`;

it("a package sees plaintext, and the disk does not", async () => {
  const inputs: unknown[] = [];
  const work = activity("work", async (word: string) => {
    inputs.push(word);
    return `${word}RESULT`;
  });
  const open = async (): Promise<void> => {
    engine = await Engine.open({
      store: `sqlite:${path.join(directory, "aion.db")}`,
      activities: [work],
      localSocket: false,
      log: () => undefined,
      codec,
    });
  };
  await open();
  const file = path.join(directory, "main.ts");
  writeFileSync(file, source);
  await engine.deploy((await buildPackage(file)).bytes);
  const { client } = engine;
  await expect(client.start("main", { word: 5 })).rejects.toMatchObject({
    code: "payload_invalid",
    message: expect.stringContaining("word"),
  });
  const run = await client.start("main", { word: "SECRET", round: 0 }, { id: "main" });
  await run.signal("keep", "SECRETKEPT");
  await expect.poll(async () => (await run.describe()).historyLength).toBe(10);
  await expect(run.signal("go", 5)).rejects.toMatchObject({ message: expect.stringContaining("string") });
  expect(await run.query("at", "ASKED")).toBe("SECRETASKED");
  await engine.close({ drain: 0 });
  // A replay in the realm, from ciphertext.
  await open();
  await engine.client.get("main").signal("go", "SECRETGO");
  const result = await engine.client.get("main", { runId: run.runId ?? "" }).result();
  expect(result).toEqual([
    "SECRETSIDE,SECRETINPUTRESULT,SECRETCHILDLEAF,SECRETFAILSMESSAGESECRETFAILSDETAILS,SECRETGO",
    "SECRETKEPT",
  ]);
  expect(inputs).toEqual(["SECRETINPUT"]);
  await engine.close({ drain: 0 });
  await open();
  // Answered by a replay of the run that has ended.
  expect(await engine.client.get("main").query("at", "!")).toContain("SECRETGO!");
  await engine.close({ drain: 0 });
  rmSync(file);
  expect(wordsIn(bytesBelow(directory), ["SECRET"])).toEqual([]);
});
