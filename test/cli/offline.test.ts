/** The command on a file on which no engine is running. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Engine } from "../../src/embedded/engine.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { CommandTest } from "./command.ts";
import { approval, approve, fulfil, ship, stage } from "./workflows.ts";

const workflowsFile = path.join(import.meta.dirname, "workflows.ts");

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

const idleNote = /note: no engine is running on sqlite:.*; the run will move when one does/;

/** A run that has been charged and waits for its approval. */
async function startWaiting(engine: Engine, id: string): Promise<void> {
  const run = await engine.client.start(fulfil, { amount: 5 }, { id });
  await expect.poll(() => run.query(stage)).toBe("waiting for approval");
}

/** A run that waits for its child. */
async function startShipping(engine: Engine, id: string): Promise<string> {
  const run = await engine.client.start(fulfil, { amount: 5 }, { id });
  await run.signal(approval, { by: "ann" });
  await expect.poll(async () => (await run.describe()).pendingChildren.length).toBe(1);
  const childId = (await run.describe()).pendingChildren[0]?.workflowId ?? "";
  await expect.poll(() => engine.client.count({ workflowId: childId })).toBe(1);
  return childId;
}

describe("what a run said", () => {
  it("is shown from the file, a line each, without what would steer the terminal", async () => {
    const engine = await test.openEngine();
    const run = await engine.client.start(fulfil, { amount: 5 }, { id: "o-1" });
    await run.signal(approval, { by: "eve" });
    await expect(run.result()).rejects.toThrow("not approved");
    await engine.close();
    const shown = await test.run(["logs", "o-1"]);
    expect(shown).toMatchObject({ exitCode: 0, stderr: "" });
    expect(shown.stdout).toMatch(
      /^\d{4}-\d\d-\d\d\n\d\d:\d\d:\d\d\.\d{3} {2}info {3}decided by \\u001b\[31meve {2}\{"by":"eve"\}\n$/,
    );
    expect(await test.json(["logs", "o-1"])).toMatchObject({
      workflowId: "o-1",
      droppedCount: 0,
      lines: [{ level: "info", seq: 5, fields: { by: "eve" } }],
    });
    await test.makeStore(({ client }) => client.start(approve, undefined, { id: "silent" }));
    expect(await test.run(["logs", "silent"])).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "note: its code has said nothing\n",
    });
    expect((await test.run(["logs", "nobody"])).stderr).toMatch(/^error\[run_not_found\]/);
  });
});

describe("search attributes", () => {
  it("are given with a start, shown, and found by", async () => {
    await test.makeStore(async () => undefined);
    const given = [
      "--attribute",
      "customer=c 1",
      "--attribute",
      "amount=99.5",
      "--attribute",
      'tags=["a","b"]',
    ];
    await test.json(["start", "approve", "--id", "one", ...given]);
    await test.json(["start", "approve", "--id", "two", "--attribute", "due=2026-03-01T09:00Z"]);
    await test.json(["start", "approve", "--id", "three"]);
    const found = async (...where: readonly string[]): Promise<unknown> =>
      await test.json(["list", ...where.flatMap((text) => ["--where", text])]);
    expect(await found("customer=c 1", "amount>=99")).toMatchObject({ runs: [{ workflowId: "one" }] });
    expect(await found("tags in (b, c)")).toMatchObject({ runs: [{ workflowId: "one" }] });
    expect(await found("due<2026-03-02")).toMatchObject({ runs: [{ workflowId: "two" }] });
    expect(await found("amount exists", "due exists")).toMatchObject({ runs: [] });
    expect(await test.json(["count", "--where", "amount exists"])).toEqual({ count: 1 });
    expect(await test.json(["list", "--attributes", "--limit", "2"])).toMatchObject({
      runs: [
        { workflowId: "three" },
        { workflowId: "two", attributes: { due: { at: Date.UTC(2026, 2, 1, 9) } } },
      ],
    });
    const shown = await test.run(["list", "--attributes"]);
    expect(shown.stdout).toMatch(/^WORKFLOW ID .* ATTRIBUTES\n/);
    expect(shown.stdout).toContain('amount=99.5  customer="c 1"  tags=["a","b"]');
    expect(shown.stdout).toContain("due=2026-03-01T09:00:00.000Z");
    expect((await test.run(["describe", "one"])).stdout).toMatch(/found by {2}amount=99.5 {2}customer="c 1"/);
    expect((await test.run(["history", "two"])).stdout).toContain("found by due=2026-03-01T09:00:00.000Z");
    for (const [args, message] of [
      [["list", "--where", "amount!=1"], 'error[invalid_argument]: "amount!=1": it is no condition'],
      [["count", "--where", "amount>x"], "ranges are of numbers and of dates"],
      [
        ["start", "approve", "--attribute", "amount"],
        'error[invalid_argument]: "amount": it is no attribute',
      ],
      [["start", "approve", "--attribute", "a b=1"], "error[attribute_invalid]"],
      [["start", "approve", "--attribute", "a=1", "--attribute", "a=2"], "names a twice"],
    ] as const) {
      const refused = await test.run([...args]);
      expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });
});

describe("a start without an engine", () => {
  // I-3
  it("is on disk when it is acknowledged, and runs with its signal when an engine is opened", async () => {
    await test.makeStore();
    const started = await test.run(["start", "approve", "--id", "a-1"]);
    expect(started).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^started a-1 \(run [-0-9a-f]{36}\)\n$/) as string,
    });
    expect(started.stderr).toMatch(idleNote);
    const signalled = await test.run(["signal", "a-1", "approval", "--input", '{"by": "ann"}']);
    expect(signalled).toMatchObject({ exitCode: 0, stdout: "sent approval to a-1\n" });
    expect(signalled.stderr).toMatch(idleNote);
    const waited = await test.run(["result", "a-1", "--timeout", "1ms"]);
    expect(waited.stderr).toMatch(idleNote);

    const engine = await test.openEngine();
    expect(await engine.client.get("a-1").result()).toBe("ann");
    await engine.close();
    // What has ended waits for nobody.
    const told = await Promise.all([
      test.run(["result", "a-1", "--wait"]),
      test.run(["history", "a-1", "--follow"]),
      test.run(["logs", "a-1", "--follow"]),
    ]);
    expect(told.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    expect(told.map(({ stderr }) => stderr)).toEqual(["", "", "note: its code has said nothing\n"]);
  });

  it("records what it was given, unchecked", async () => {
    await test.makeStore();
    const args = [
      "--request-id",
      "q",
      "--run-timeout",
      "1h",
      "--execution-timeout",
      "2h",
      "--start-delay",
      "1 day",
    ];
    await test.run(["start", "fulfil", "--id", "o-1", "--input", '{ "amount": 5 }', ...args]);
    const { events } = (await test.json(["history", "o-1"])) as {
      readonly events: readonly Record<string, unknown>[];
    };
    const at = events[0]?.["recordedAt"] as number;
    expect(events).toEqual([
      {
        seq: 1,
        recordedAt: at,
        workflowId: "o-1",
        type: "WorkflowStarted",
        runId: expect.any(String) as string,
        workflowType: "fulfil",
        version: "inline",
        input: { amount: 5 },
        unchecked: true,
        requestId: "q",
        startAt: at + 86_400_000,
        runTimeoutMs: 3_600_000,
        runDeadlineAt: at + 90_000_000,
        executionDeadlineAt: at + 93_600_000,
      },
    ]);
  });

  // I-5
  it("with the same id gives the run that is there, if type and input are the same", async () => {
    await test.makeStore();
    const args = ["start", "fulfil", "--id", "o-1", "--json"];
    const first = JSON.parse((await test.run([...args, "--input", '{"amount": 5}'])).stdout) as {
      readonly runId: string;
    };
    expect(first).toMatchObject({ workflowId: "o-1", isNew: true });
    const [same, other, type, reject] = await Promise.all([
      test.run([...args, "--input", '{"amount":5}']),
      test.run([...args, "--input", '{"amount":6}']),
      test.run(["start", "ship", "--id", "o-1", "--input", '{"amount":5}']),
      test.run([...args, "--input", '{"amount":5}', "--reuse", "reject"]),
    ]);
    expect(JSON.parse(same.stdout)).toEqual({ workflowId: "o-1", runId: first.runId, isNew: false });
    for (const refused of [other, type, reject]) expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(type?.stderr).toMatch(/^error\[workflow_already_exists\]: workflow id o-1 is taken: .*\nhint: /);
    for (const refused of [other, reject])
      expect(JSON.parse(refused?.stderr ?? "")).toMatchObject({ error: { code: "workflow_already_exists" } });
  });

  it("reuses an id as it is told to", async () => {
    let completed = "";
    await test.makeStore(async ({ client }) => {
      const done = await client.start(approve, undefined, { id: "done", signal: [approval, { by: "ann" }] });
      await done.result();
      completed = done.runId ?? "";
      await client.start(approve, undefined, { id: "open" });
    });
    const start = (id: string, ...args: readonly string[]) =>
      test.json(["start", "approve", "--id", id, ...args]);
    expect(await start("done")).toMatchObject({ isNew: false, runId: completed });
    expect(await start("done", "--reuse", "after-failure")).toMatchObject({ isNew: false, runId: completed });
    expect(await start("done", "--reuse", "after-close")).toMatchObject({ isNew: true });
    expect(await start("open", "--reuse", "after-close")).toMatchObject({ isNew: false });
    expect(await start("open", "--reuse", "terminate")).toMatchObject({ isNew: true });
    expect(await test.json(["describe", "open"])).toMatchObject({
      status: "running",
      runs: [{ status: "terminated" }, { status: "running" }],
    });
    const engine = await test.openEngine();
    await engine.client.get("open").signal(approval, { by: "bob" });
    expect(await engine.client.get("open").result()).toBe("bob");
  });

  // I-25
  it("takes its signal along, or gives it to the run that is there", async () => {
    await test.makeStore();
    const start = (by: string) =>
      test.json([
        "start",
        "approve",
        "--id",
        "a-1",
        "--signal",
        "approval",
        "--signal-input",
        JSON.stringify({ by }),
      ]);
    expect(await start("ann")).toMatchObject({ isNew: true });
    expect(await start("bob")).toMatchObject({ isNew: false });
    const engine = await test.openEngine();
    expect(await engine.client.get("a-1").result()).toBe("ann");
  });

  it("reads its input from a file, or from stdin", async () => {
    await test.makeStore();
    writeFileSync(path.join(test.directory, "input.json"), '{\n  "amount": 7\n}\n');
    await test.run(["start", "fulfil", "--id", "o-1", "--input-file", "input.json"]);
    await test.run(["start", "fulfil", "--id", "o-2", "--input-file", "-"], { stdin: '{"amount": 8}' });
    expect(await test.json(["describe", "o-1"])).toMatchObject({ input: { amount: 7 } });
    expect(await test.json(["describe", "o-2"])).toMatchObject({ input: { amount: 8 } });
  });

  it("makes no store where there is none", async () => {
    const { exitCode, stderr } = await test.run(["start", "fulfil", "--id", "o-1"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[store_unavailable\]: cannot open store .*: no such file\nhint: /);
  });
});

describe("a message without an engine", () => {
  it.each([
    ["signal", ["signal", "ID", "approval"]],
    ["cancel", ["cancel", "ID"]],
    ["terminate", ["terminate", "ID"]],
    ["pause", ["pause", "ID"]],
    ["resume", ["resume", "ID"]],
  ])("%s is refused for a run that is not there, or has ended", async (_what, command) => {
    await test.makeStore(async ({ client }) => {
      await (
        await client.start(approve, undefined, { id: "done", signal: [approval, { by: "ann" }] })
      ).result();
    });
    const [unknown, closed] = await Promise.all(
      ["nope", "done"].map((id) => test.run(command.map((word) => (word === "ID" ? id : word)))),
    );
    expect(unknown?.exitCode).toBe(1);
    expect(unknown?.stderr).toMatch(/^error\[run_not_found\]: there is no workflow nope\nhint: /);
    expect(closed?.exitCode).toBe(1);
    expect(closed?.stderr).toMatch(
      /^error\[run_closed\]: run .* of workflow done has ended: it is completed\nhint: /,
    );
    expect(await test.json(["history", "done"])).toMatchObject({
      events: [
        { signals: [{ name: "approval", payload: { by: "ann" } }] },
        { type: "WorkflowCompleted", result: "ann" },
      ],
    });
  });

  // I-22, I-23
  it("arrives once and in order, however often it was repeated", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    for (const [by, id] of [
      ["ann", "s1"],
      ["bob", "s2"],
      ["ann", "s1"],
    ] as const) {
      await test.run(["signal", "o-1", "approval", "--signal-id", id, "--input", JSON.stringify({ by })]);
    }
    const engine = await test.openEngine();
    const received = async (): Promise<readonly unknown[]> => {
      const found: unknown[] = [];
      for await (const event of engine.client.get("o-1").history()) {
        if (event.type === "SignalReceived") found.push(event.payload);
      }
      return found;
    };
    await expect.poll(received).toEqual(['{"by":"ann"}', '{"by":"bob"}']);
    await engine.close();
    expect(await test.json(["history", "o-1", "--from", "5"])).toMatchObject({
      events: [{ type: "SignalReceived", signalId: "s1", payload: { by: "ann" } }, {}, {}],
    });
  });

  it("asks a run to stop, which it does when an engine is opened", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    const cancelled = await test.run(["cancel", "o-1", "--reason", "no need"]);
    expect(cancelled).toMatchObject({ exitCode: 0, stdout: "asked to stop: o-1\n" });
    expect(cancelled.stderr).toMatch(idleNote);
    const engine = await test.openEngine();
    await expect(engine.client.get("o-1").result()).rejects.toThrow("workflow o-1 was cancelled: no need");
  });

  it("ends a run at once whose start delay is not over", async () => {
    await test.makeStore();
    await test.run(["start", "fulfil", "--id", "o-1", "--start-delay", "1 day"]);
    await test.run(["cancel", "o-1"]);
    expect(await test.json(["describe", "o-1"])).toMatchObject({ status: "cancelled" });
  });
});

describe("a request id without an engine", () => {
  it("makes a repeated cancel or terminate have no second effect", async () => {
    await test.makeStore(async (engine) => {
      await startWaiting(engine, "o-1");
      await startWaiting(engine, "o-2");
    });
    for (let round = 0; round < 2; round += 1) {
      const ended = await test.run(["terminate", "o-1", "--request-id", "r-1"]);
      expect(ended).toMatchObject({ exitCode: 0, stdout: "terminated o-1\n" });
      expect(await test.run(["cancel", "o-2", "--request-id", "r-1"])).toMatchObject({ exitCode: 0 });
    }
    const other = await test.run(["terminate", "o-1", "--request-id", "r-2"]);
    expect(other.stderr).toContain("error[run_closed]");
    const engine = await test.openEngine();
    const run = engine.client.get("o-2");
    await expect(run.result()).rejects.toThrow("workflow o-2 was cancelled");
    const types: string[] = [];
    for await (const event of run.history()) types.push(event.type);
    expect(types.filter((type) => type === "WorkflowCancelRequested")).toHaveLength(1);
    // The engine knows what the command wrote, and the command what the engine wrote.
    await run.cancel(undefined, { requestId: "r-1" });
    await engine.client.get("o-1").terminate(undefined, { requestId: "r-1" });
    await engine.close();
    expect(await test.run(["cancel", "o-2", "--request-id", "r-1"])).toMatchObject({ exitCode: 0 });
    expect((await test.run(["cancel", "o-2", "--request-id", "r-9"])).stderr).toContain("error[run_closed]");
  });
});

describe("pause and resume without an engine", () => {
  it("holds a run until it is resumed, whatever is sent to it meanwhile and however often it is asked", async () => {
    await test.makeStore();
    await test.run(["start", "approve", "--id", "o-1"]);
    expect(await test.run(["pause", "o-1", "--reason", "not yet", "--request-id", "p-1"])).toMatchObject({
      exitCode: 0,
      stdout: "paused o-1\n",
    });
    expect((await test.run(["pause", "o-1", "--request-id", "p-1"])).exitCode).toBe(0);
    expect(await test.json(["list", "--status", "paused"])).toMatchObject({ runs: [{ workflowId: "o-1" }] });
    expect((await test.run(["describe", "o-1"])).stdout).toMatch(/paused +since .*: not yet/);
    await test.run(["signal", "o-1", "approval", "--input", '{"by":"ann"}']);
    const first = await test.openEngine();
    await expect.poll(async () => (await first.client.get("o-1").describe()).historyLength).toBe(3);
    expect((await first.client.get("o-1").describe()).status).toBe("paused");
    await first.close();
    expect(await test.run(["resume", "o-1", "--request-id", "r-1"])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("resumed o-1\n") as string,
    });
    expect((await test.run(["pause", "o-1", "--request-id", "p-1"])).exitCode).toBe(0);
    const second = await test.openEngine();
    expect(await second.client.get("o-1").result()).toBe("ann");
  });
});

it("to reset or fork a run needs an engine", async () => {
  await test.makeStore();
  await test.run(["start", "approve", "--id", "o-1"]);
  expect((await test.run(["reset", "o-1", "--to", "1"])).stderr).toMatch(/^error\[no_owner\]/);
  expect((await test.run(["fork", "o-1", "o-2", "--to", "1"])).stderr).toMatch(/^error\[no_owner\]/);
});

it("to reopen a run, or to decide on a parked activity, needs an engine", async () => {
  await test.makeStore();
  await test.run(["start", "approve", "--id", "o-1"]);
  expect((await test.run(["reopen", "o-1"])).stderr).toMatch(/^error\[no_owner\]/);
  expect((await test.run(["resume", "o-1", "--parked"])).stderr).toMatch(
    /^error\[no_owner\]: no engine is running on .*, and a decision about parked activities needs one .*\nhint: Start the engine/,
  );
});

describe("terminate without an engine", () => {
  it("ends the run at once", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    expect(await test.run(["terminate", "o-1", "--reason", "enough"])).toEqual({
      exitCode: 0,
      stdout: "terminated o-1\n",
      stderr: "",
    });
    expect(await test.json(["describe", "o-1"])).toMatchObject({
      status: "terminated",
      failure: { kind: "terminated", message: "workflow o-1 was terminated: enough" },
    });
    expect(await test.json(["count", "--status", "terminated"])).toEqual({ count: 1 });
    const engine = await test.openEngine();
    await expect(engine.client.get("o-1").result()).rejects.toThrow("workflow o-1 was terminated: enough");
  });

  // I-35
  it("takes the children with it, by their policy", async () => {
    let childId = "";
    await test.makeStore(async (engine) => {
      childId = await startShipping(engine, "o-1");
    });
    await test.run(["terminate", "o-1"]);
    const engine = await test.openEngine();
    await expect(engine.client.get(childId).result()).rejects.toThrow(`workflow ${childId} was terminated`);
  });

  // I-11
  it("ends a run too whose history is damaged, and its children as far as it tells of them", async () => {
    let childId = "";
    await test.makeStore(async (engine) => {
      childId = await startShipping(engine, "o-1");
    });
    const database = new DatabaseSync(test.file);
    // The outcome of the activity; behind it, the start of the child cannot be believed either.
    const damage = "UPDATE events SET checksum = checksum + 1 WHERE run_key = 1 AND first_seq = ?";
    expect(database.prepare(damage).run(4).changes).toBe(1);
    database.close();
    expect((await test.run(["describe", "o-1"])).stderr).toMatch(/^error\[history_corrupt\]: .*event 4/);
    expect(await test.run(["terminate", "o-1", "--reason", "enough"])).toMatchObject({ exitCode: 0 });
    expect(await test.json(["list", "--id", "o-1"])).toMatchObject({ runs: [{ status: "terminated" }] });
    expect((await test.run(["result", "o-1"])).stderr).toContain("workflow o-1 was terminated: enough");
    const engine = await test.openEngine();
    await expect(engine.client.get("o-1").result()).rejects.toThrow("workflow o-1 was terminated: enough");
    expect(await engine.client.get(childId).describe()).toMatchObject({ status: "running" });
  });

  // I-34
  it("is told to the parent", async () => {
    let childId = "";
    await test.makeStore(async (engine) => {
      childId = await startShipping(engine, "o-1");
    });
    await test.run(["terminate", childId]);
    const engine = await test.openEngine();
    await expect(engine.client.get("o-1").result()).rejects.toThrow(
      /child workflow "ship" .* was terminated/,
    );
  });

  it("of another run than the latest is refused", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    const { exitCode, stderr } = await test.run(["terminate", "o-1", "--run", "other"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[run_not_found\]: there is no workflow o-1 with run other/);
  });
});

describe("ownership of the file", () => {
  // I-16
  it("is claimed for each write, with an epoch of its own, and given up again; looking claims nothing", async () => {
    await test.makeStore();
    await test.run(["start", "approve", "--id", "a-1"]);
    await test.run(["terminate", "a-1"]);
    await Promise.all([test.run(["list"]), test.run(["describe", "a-1"]), test.run(["history", "a-1"])]);
    const store = openSqliteStore({ path: test.file });
    try {
      expect(await store.readOwner()).toBeUndefined();
      // The engine had the first, each of the writes one.
      expect(await store.claim({ leaseMs: 1_000 })).toMatchObject({ epoch: 4 });
    } finally {
      await store.close();
    }
  });
});

describe("looking without an engine", () => {
  it("shows lists and counts in one JSON document", async () => {
    await test.makeStore(async (engine) => {
      await startWaiting(engine, "o-1");
      await engine.client.start(approve, undefined, { id: "a-1" });
      await engine.client.get("a-1").terminate("enough");
      await engine.client.start(approve, undefined, { id: "a-2" });
    });
    const summary = {
      workflowId: "a-2",
      runId: expect.any(String) as string,
      workflowType: "approve",
      version: "inline",
      status: "running",
      startedAt: expect.any(Number) as number,
      historyLength: 1,
    };
    const [all, page, filtered, counted, none] = await Promise.all([
      test.json(["list"]),
      test.json(["list", "--limit", "1"]),
      test.json(["list", "--type", "approve", "--status", "terminated", "--started-after", "1h"]),
      test.json(["count", "--type", "approve"]),
      test.json(["list", "--started-before", "2 days"]),
    ]);
    expect(all).toMatchObject({ runs: [summary, { workflowId: "a-1" }, { workflowId: "o-1" }] });
    expect((all as { readonly runs: readonly unknown[] }).runs[0]).toEqual(summary);
    expect(filtered).toMatchObject({
      runs: [{ workflowId: "a-1", status: "terminated", closedAt: expect.any(Number) as number }],
    });
    expect(counted).toEqual({ count: 2 });
    expect(none).toEqual({ runs: [] });
    const { nextCursor } = page as { readonly nextCursor: string };
    expect(await test.json(["list", "--cursor", nextCursor])).toMatchObject({
      runs: [{ workflowId: "a-1" }, { workflowId: "o-1" }],
    });
  });

  it("describes a run with what it waits for", async () => {
    let childId = "";
    await test.makeStore(async (engine) => {
      childId = await startShipping(engine, "o-1");
    });
    expect(await test.json(["describe", "o-1"])).toEqual({
      workflowId: "o-1",
      runId: expect.any(String) as string,
      workflowType: "fulfil",
      version: "inline",
      status: "running",
      startedAt: expect.any(Number) as number,
      historyLength: 6,
      input: { amount: 5 },
      pendingActivities: [],
      pendingTimers: [],
      pendingUpdates: [],
      pendingChildren: [{ workflowId: childId, workflowType: "ship" }],
      isCancelRequested: false,
      historySize: { events: 6, bytes: expect.any(Number) as number, isLong: false },
      runs: [expect.objectContaining({ workflowId: "o-1", status: "running" }) as unknown],
    });
    const shown = await test.run(["describe", childId]);
    expect(shown.stdout).toMatch(/^ {2}parent {4}o-1$/m);
    expect(shown.stdout).toMatch(/^ {2}events {4}\d+, about \d+ bytes$/m);
    expect(shown.stdout).toMatch(/timer {2}#0 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(in 1d 23h\)/);
  });

  it("tells the result of a run that has ended, and that another has not", async () => {
    await test.makeStore(async (engine) => {
      const done = await engine.client.start(approve, undefined, {
        id: "done",
        signal: [approval, { by: "ann" }],
      });
      await done.result();
      const failed = await engine.client.start(
        fulfil,
        { amount: 5 },
        { id: "failed", signal: [approval, { by: "eve" }] },
      );
      await expect(failed.result()).rejects.toThrow("not approved");
      await startWaiting(engine, "open");
    });
    const results = ["done", "failed", "open", "nope"].map((id) => test.run(["result", id]));
    const [done, failed, open, missing] = await Promise.all(results);
    expect(done).toEqual({ exitCode: 0, stdout: '"ann"\n', stderr: "" });
    expect(failed).toMatchObject({ exitCode: 1, stdout: "" });
    expect(failed?.stderr).toMatch(
      /^failed: not approved by \\u001b\[31meve\n {2}at .*\/workflows\.ts:\d+:\d+\n$/,
    );
    expect(open).toMatchObject({ exitCode: 1, stdout: "" });
    expect(open?.stderr).toMatch(
      /^error\[result_timeout\]: run .* of workflow open has not ended\nhint: .*--wait/,
    );
    expect(missing?.stderr).toMatch(/^error\[run_not_found\]/);
    expect(await test.json(["result", "done"])).toEqual({
      workflowId: "done",
      runId: expect.any(String) as string,
      status: "completed",
      result: "ann",
    });
    expect(await test.json(["result", "failed"])).toMatchObject({
      status: "failed",
      failure: { kind: "application", type: "Error", message: "not approved by \u001b[31meve" },
    });
    expect(await test.json(["result", "open", "--timeout", "50ms"])).toMatchObject({ status: "running" });
  });
});

describe("a query without an engine", () => {
  it("needs the code", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    const { exitCode, stderr } = await test.run(["query", "o-1", "stage"]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error\[no_owner\]: .*\nhint: .*--workflows FILE/);
  });

  // I-27
  it("is answered by the code from history, which stays as it is", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    const before = await test.json(["history", "o-1"]);
    const answered = await test.run(["query", "o-1", "stage", "--workflows", workflowsFile]);
    expect(answered).toEqual({ exitCode: 0, stdout: '"waiting for approval"\n', stderr: "" });
    expect(await test.json(["history", "o-1"])).toEqual(before);
  });

  // I-27
  it("is refused while something waits that the answer would have to reflect", async () => {
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    const sent = await test.run(["signal", "o-1", "approval", "--input", '{"by":"ann"}']);
    const started = await test.run(["start", "fulfil", "--id", "o-2", "--input", '{"amount":1}']);
    expect([sent, started]).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
    const queries = ["o-1", "o-2"].map((id) =>
      test.run(["query", id, "stage", "--workflows", workflowsFile]),
    );
    const [waiting, unbegun] = await Promise.all(queries);
    expect(waiting?.stderr).toMatch(/^error\[no_owner\]: a signal waits for workflow o-1, /);
    expect(unbegun?.stderr).toMatch(/^error\[no_owner\]: workflow o-2 has not begun to run, /);
  });

  // I-11
  it("is refused while a damaged message waits for the workflow, and for no other", async () => {
    await test.makeStore(async (engine) => {
      await startWaiting(engine, "o-1");
      await startWaiting(engine, "o-2");
    });
    await test.run(["signal", "o-1", "approval", "--input", '{"by":"ann"}']);
    const database = new DatabaseSync(test.file);
    expect(database.prepare("UPDATE messages SET checksum = checksum + 1").run().changes).toBe(1);
    database.close();
    const query = (id: string) => test.run(["query", id, "stage", "--workflows", workflowsFile]);
    const [held, free] = await Promise.all([query("o-1"), query("o-2")]);
    expect(held).toMatchObject({ exitCode: 1, stdout: "" });
    expect(held.stderr).toMatch(
      /^error\[message_corrupt\]: message 1 to workflow o-1 is damaged: .*\nhint: /,
    );
    expect(free).toEqual({ exitCode: 0, stdout: '"waiting for approval"\n', stderr: "" });
    // The engine opens, holds the one and shows it.
    const engine = await test.openEngine();
    expect(await engine.client.get("o-2").query(stage)).toBe("waiting for approval");
    await expect
      .poll(() => test.json(["list", "--blocked"]))
      .toMatchObject({ runs: [{ workflowId: "o-1", blocked: expect.stringMatching(/^message_corrupt: /) }] });
  });
});

describe("replay", () => {
  /** The same workflow, waiting where it charged before. */
  function writeChanged(): string {
    const authoring = new URL("../../src/workflow/index.ts", import.meta.url).href;
    const file = path.join(test.directory, "changed.ts");
    const code = [
      `import { sleep, workflow } from ${JSON.stringify(authoring)};`,
      'export const fulfil = workflow("fulfil", async (): Promise<void> => {',
      '  await sleep("1s");',
      "});",
    ];
    writeFileSync(file, code.join("\n"));
    return file;
  }

  // I-42
  it("says that the code fits, and where it goes on", async () => {
    await test.makeStore(async (engine) => {
      await startShipping(engine, "o-1");
      await engine.client.start(ship, "x", { id: "s-1" });
    });
    const before = await test.json(["history", "o-1"]);
    const { stdout, exitCode } = await test.run(["replay", "o-1", "--workflows", workflowsFile]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ok: the code fits 6 events of o-1; it goes on at start-child "ship" .*#0\n$/);
    expect(await test.json(["replay", "s-1", "--workflows", workflowsFile])).toEqual({
      workflowId: "s-1",
      runId: expect.any(String) as string,
      workflowType: "ship",
      events: 2,
      outcome: "ok",
      resumesAt: { commandIndex: 0, command: "start-timer 172800000 ms #0" },
    });
    expect(await test.json(["history", "o-1"])).toEqual(before);
  });

  // I-43
  it("says where the code diverges", async () => {
    const changedFile = writeChanged();
    await test.makeStore((engine) => startWaiting(engine, "o-1"));
    const { stdout, stderr, exitCode } = await test.run(["replay", "o-1", "--workflows", changedFile]);
    expect(exitCode).toBe(1);
    expect(stdout).toBe("diverged: o-1 (4 events)\n");
    expect(stderr).toMatch(/^error\[nondeterminism\]: .*changed\.ts:3/);
    expect(await test.json(["replay", "o-1", "--workflows", changedFile])).toMatchObject({
      outcome: "diverged",
      error: { code: "nondeterminism" },
    });
    expect(await test.json(["describe", "o-1"])).toMatchObject({ status: "running", historyLength: 4 });
  });

  it("says that the file does not have the workflow, or is none", async () => {
    await test.makeStore(async ({ client }) => {
      await client.start(ship, "x", { id: "s-1" });
    });
    const files = [writeChanged(), "nowhere.ts", path.join(import.meta.dirname, "command.ts")];
    const [other, missing, none] = await Promise.all(
      files.map((file) => test.run(["replay", "s-1", "--workflows", file])),
    );
    expect(other?.stderr).toMatch(/^error\[workflow_type_unknown\]/);
    expect(missing?.stderr).toMatch(/^error\[invalid_argument\]: there is no file .*nowhere\.ts/);
    expect(none?.stderr).toMatch(/^error\[invalid_argument\]: .*command\.ts exports no workflow/);
  });
});
