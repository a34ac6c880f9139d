import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { ApplicationFailure } from "aion/workflow";
import type { ActivityTask } from "aion/workflow";
import { TestEngine } from "aion/testing";
import { addUp } from "./files.ts";
import { summarize, workflows } from "./pipeline.ts";

const input = { folder: "inbox", reportFile: "report.json" };
const one = { rowCount: 1, rejectedCount: 0, amount: 10 };

test("files are added up, and the report is written once", async () => {
  await using t = await TestEngine.open({
    workflows,
    activities: { list: async () => ["a.csv", "b.csv"], read: async () => one, write: async () => undefined },
  });
  const run = await t.client.start(summarize, input);
  const report = { totals: { rowCount: 2, rejectedCount: 0, amount: 20 }, failed: [] };
  assert.deepEqual(await t.result(run), report);
  assert.deepEqual(
    t.calls("write").map((call) => call.input),
    [{ file: "report.json", report }],
  );
});

test("a file that fails now and then is tried again, and a bad one stops nobody else", async () => {
  await using t = await TestEngine.open({
    workflows,
    activities: {
      list: async () => ["bad.csv", "flaky.csv"],
      read: async (file: string, task: ActivityTask) => {
        if (file === "bad.csv") throw new ApplicationFailure("no header", { type: "BadFile" });
        if (task.attempt < 3) throw new Error("the disk is away");
        return one;
      },
      write: async () => undefined,
    },
  });
  const run = await t.client.start(summarize, input);
  assert.deepEqual(await t.result(run), {
    totals: one,
    failed: [{ file: "bad.csv", reason: "no header" }],
  });
  assert.equal(t.calls("read").length, 4);
});

test("a crash in the middle repeats what was under way, and nothing that was done", async () => {
  let isSlow = true;
  await using t = await TestEngine.open({
    workflows,
    activities: {
      list: async () => ["quick.csv", "slow.csv"],
      read: async (file: string, task: ActivityTask) => {
        task.heartbeat();
        if (file === "slow.csv" && isSlow) await t.delay("20s");
        return one;
      },
      write: async () => undefined,
    },
  });
  const run = await t.client.start(summarize, input);
  await t.skip("10s");
  isSlow = false;
  await t.crash();
  assert.equal((await t.result(run)).totals.rowCount, 2);
  assert.deepEqual(
    t.calls("read").map((call) => call.input),
    ["quick.csv", "slow.csv", "slow.csv"],
  );
});

test("reading goes on from the last heartbeat, and counts no row twice", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "pipeline-"));
  try {
    const file = path.join(folder, "a.csv");
    writeFileSync(
      file,
      `id,amount\n${Array.from({ length: 2_500 }, (_, row) => `${row},2\n`).join("")}x,?\n`,
    );
    const heartbeats: unknown[] = [];
    const task = {
      signal: new AbortController().signal,
      heartbeat: (at: unknown) => void heartbeats.push(at),
    };
    const whole = await addUp(file, { ...task, lastHeartbeat: undefined });
    assert.deepEqual(whole, { rowCount: 2_500, rejectedCount: 1, amount: 5_000 });
    assert.equal(heartbeats.length, 2);
    for (const lastHeartbeat of heartbeats)
      assert.deepEqual(await addUp(file, { ...task, lastHeartbeat }), whole);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
