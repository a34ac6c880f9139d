/** The command beside a living engine: everything goes through its socket. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../src/store/index.ts";
import { CommandTest } from "./command.ts";
import { approval, approve, fulfil } from "./workflows.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

async function epochOf(file: string): Promise<number | undefined> {
  const store = openSqliteStore({ path: file, readOnly: true });
  try {
    return (await store.readOwner())?.epoch;
  } finally {
    await store.close();
  }
}

describe("with an engine running", () => {
  // I-16
  it("a run is started, asked, signalled and waited for through it, and nothing is written behind its back", async () => {
    await test.openEngine();
    const epoch = await epochOf(test.file);
    expect(await test.run(["start", "approve", "--id", "a-1"])).toMatchObject({ exitCode: 0, stderr: "" });
    const waiting = test.run(["result", "a-1", "--wait", "--json"]);
    const following = test.run(["history", "a-1", "--follow", "--json"]);
    expect(await test.json(["describe", "a-1"])).toMatchObject({
      status: "running",
      pid: expect.stringMatching(/^1\./) as string,
    });
    expect(await test.run(["signal", "a-1", "approval", "--input", '{"by":"ann"}'])).toEqual({
      exitCode: 0,
      stdout: "sent approval to a-1\n",
      stderr: "",
    });
    expect(JSON.parse((await waiting).stdout)).toMatchObject({ status: "completed", result: "ann" });
    const lines = (await following).stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { seq: 1, type: "WorkflowStarted", workflowType: "approve", input: null },
      { seq: 2, type: "SignalReceived", name: "approval", payload: { by: "ann" } },
      { seq: 3, type: "WorkflowCompleted", result: "ann" },
    ]);
    expect(await epochOf(test.file)).toBe(epoch);
  });

  it("the reset of an old run ends no later one that nobody meant, and says how its events are named", async () => {
    const { client } = await test.openEngine();
    const first = await client.start(approve, undefined, { id: "a-1" });
    await first.terminate();
    const second = await client.start(approve, undefined, { id: "a-1", reuse: "after-close" });
    const [old, open] = [first.runId ?? "", second.runId ?? ""];
    const [asked, unnamed] = await Promise.all([
      test.run(["reset", "a-1", "--run", old, "--to", "1"]),
      test.run(["reset", "a-1", "--to", "1"]),
    ]);
    expect(asked).toMatchObject({ exitCode: 2, stdout: "" });
    expect(asked.stderr).toContain(`run ${open} would be terminated`);
    expect(asked.stderr).toContain("Add --yes");
    expect((await second.describe()).status).toBe("running");
    expect(unnamed.stderr).toContain(`it is of run ${old}: name that\nhint: Name the run`);
    expect(unnamed.stderr).toContain(`--run ${old}`);
    const reset = ["reset", "a-1", "--run", old, "--to", "1", "--request-id", "r1"];
    expect(await test.run([...reset, "--yes"])).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await client.get("a-1", { runId: open }).describe()).status).toBe("terminated");
    // Repeated, it ends nothing.
    expect((await test.run(reset)).stdout).toMatch(/^was there already: reset a-1/);
  });

  it("a query is answered from the live state, and unknown names are refused by the code that knows them", async () => {
    const { client } = await test.openEngine();
    await client.start(fulfil, { amount: 5 }, { id: "o-1" });
    await expect
      .poll(async () => (await test.run(["query", "o-1", "stage"])).stdout)
      .toBe('"waiting for approval"\n');
    const [query, type] = await Promise.all([
      test.run(["query", "o-1", "nope"]),
      test.run(["start", "nope", "--id", "n-1"]),
    ]);
    expect(query.stderr).toMatch(/^error\[query_unknown\]: .*\nhint: /);
    expect(type.stderr).toMatch(/^error\[workflow_type_unknown\]: .*\nhint: /);
    expect([query.exitCode, type.exitCode]).toEqual([1, 1]);
  });

  it("an update is answered, accepted, refused, and told again by its id", async () => {
    const { client } = await test.openEngine();
    await client.start(fulfil, { amount: 5 }, { id: "o-1" });
    const raise = (input: number, ...more: readonly string[]) =>
      test.run(["update", "o-1", "raise", "--input", String(input), ...more]);
    expect(await raise(5, "--update-id", "u-1")).toMatchObject({ stdout: "5\n", exitCode: 0 });
    expect(await raise(5, "--update-id", "u-1")).toMatchObject({ stdout: "5\n", exitCode: 0 });
    const [again, other, bad, less, absent, accepted] = await Promise.all([
      test.run(["update", "o-1", "--update-id", "u-1"]),
      raise(6, "--update-id", "u-1"),
      raise(13),
      raise(-1),
      test.run(["update", "o-1", "nope"]),
      raise(500, "--update-id", "u-2", "--no-wait"),
    ]);
    expect(again).toMatchObject({ stdout: "5\n", exitCode: 0 });
    expect(other).toMatchObject({
      stderr: expect.stringMatching(/^error\[update_conflict\]/) as string,
      exitCode: 1,
    });
    // What comes from outside cannot play tricks with the terminal.
    expect(bad).toMatchObject({
      stderr: expect.stringMatching(/^failed: bad luck \\u001b\[31m13\n/) as string,
      exitCode: 1,
    });
    expect(less.stderr).toMatch(/^error\[update_rejected\]: .*that is less\nhint: /);
    expect(absent.stderr).toMatch(/^error\[update_unknown\]: .*exposed are "raise"\nhint: /);
    expect(accepted).toMatchObject({ stdout: "accepted as u-2\n", exitCode: 0 });
    const waiting = await test.run(["update", "o-1", "--update-id", "u-2", "--timeout", "100ms"]);
    expect(waiting.stderr).toMatch(/^error\[result_timeout\]: update u-2 of workflow o-1 has no outcome yet/);
    expect((await test.run(["describe", "o-1"])).stdout).toMatch(/update +raise +u-2, accepted/);
    expect((await test.run(["history", "o-1"])).stdout).toMatch(/UpdateCompleted +raise \(u-1\) +5/);
    expect((await test.run(["update", "o-1"])).exitCode).toBe(2);
  });

  it("waiting for an update goes on over a restart of the engine", async () => {
    const first = await test.openEngine();
    await first.client.start(fulfil, { amount: 5 }, { id: "o-1" });
    const command = test.spawn(["update", "o-1", "raise", "--input", "500", "--update-id", "u", "--json"]);
    const said: string[] = [];
    command.stdout.on("data", (chunk: Buffer) => said.push(chunk.toString()));
    const ended = new Promise<number | null>((resolve) => command.once("close", resolve));
    const run = first.client.get("o-1");
    await expect.poll(async () => (await run.describe()).pendingUpdates.length).toBe(1);
    await first.close();
    const second = await test.openEngine();
    await second.client.get("o-1").terminate();
    expect(await ended).toBe(1);
    expect(JSON.parse(said.join(""))).toMatchObject({
      status: "failed",
      updateId: "u",
      failure: { kind: "engine", type: "update_unfinished" },
    });
  });

  it("a run is cancelled and terminated through it", async () => {
    const { client } = await test.openEngine();
    const cancelled = await client.start(approve, undefined, { id: "a-1" });
    const terminated = await client.start(approve, undefined, { id: "a-2" });
    await Promise.all([
      test.run(["cancel", "a-1", "--reason", "no need"]),
      test.run(["terminate", "a-2", "--reason", "enough"]),
    ]);
    await expect(cancelled.result()).rejects.toThrow("was cancelled: no need");
    await expect(terminated.result()).rejects.toThrow("was terminated: enough");
  });

  it("a run is paused and resumed through it", async () => {
    const { client } = await test.openEngine();
    const run = await client.start(approve, undefined, { id: "a-1" });
    expect(await test.run(["pause", "a-1", "--reason", "not yet"])).toMatchObject({ stdout: "paused a-1\n" });
    expect(await run.describe()).toMatchObject({ status: "paused", paused: { reason: "not yet" } });
    expect(await test.run(["resume", "a-1"])).toMatchObject({ stdout: "resumed a-1\n" });
    expect((await run.describe()).status).toBe("running");
    await run.terminate();
  });

  it("waiting goes on over a restart of the engine", async () => {
    const first = await test.openEngine();
    await first.client.start(approve, undefined, { id: "a-1" });
    const command = test.spawn(["history", "a-1", "--follow", "--json"]);
    const seen: string[] = [];
    command.stdout.on("data", (chunk: Buffer) => seen.push(chunk.toString()));
    const ended = new Promise<number | null>((resolve) => command.once("close", resolve));
    await expect.poll(() => seen.join("")).toContain("WorkflowStarted");
    await first.close();
    const second = await test.openEngine();
    await second.client.get("a-1").signal(approval, { by: "ann" });
    expect(await ended).toBe(0);
    const events = seen.join("").trimEnd().split("\n");
    expect(events.map((line) => (JSON.parse(line) as { readonly seq: number }).seq)).toEqual([1, 2, 3]);
  });
});

describe("with an engine that cannot be reached", () => {
  it("the file is read beside it, with a note, and never written", async () => {
    const { client } = await test.openEngine({ localSocket: false });
    await client.start(approve, undefined, { id: "a-1" });
    const epoch = await epochOf(test.file);
    const [list, start, signal, query] = await Promise.all([
      test.run(["list", "--json"]),
      test.run(["start", "approve", "--id", "a-2"]),
      test.run(["signal", "a-1", "approval"]),
      test.run(["query", "a-1", "stage"]),
    ]);
    expect((await test.run(["update", "a-1", "raise"])).stderr).toMatch(/^error\[(no_owner|store_owned)\]/);
    expect(list).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("read from the file, beside it") as string,
    });
    expect(JSON.parse(list.stdout)).toMatchObject({ runs: [{ workflowId: "a-1" }] });
    for (const refused of [start, signal, query]) {
      expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
      expect(refused.stderr).toMatch(
        /^error\[store_owned\]: store .* is owned by process \d+ on .*, which cannot be reached: it serves no socket\nhint: /,
      );
    }
    expect(await client.count({})).toBe(1);
    expect(await epochOf(test.file)).toBe(epoch);
  });
});

describe("watch", () => {
  it("follows the feed over a restart of the engine, from the cursor that it is given", async () => {
    const engine = await test.openEngine({ feed: true });
    const { client } = engine;
    await client.start(approve, undefined, { id: "a-1" });
    const [first] = (await test.run(["watch", "--once", "--json"])).stdout.split("\n");
    const { cursor } = JSON.parse(first ?? "") as { readonly cursor: string };
    const watching = test.spawn(["watch", "--after", cursor, "--event", "SignalReceived", "--json"]);
    let shown = "";
    watching.stdout.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
    });
    const seen = (): readonly unknown[] =>
      shown
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as unknown);
    await client.get("a-1").signal(approval, { by: "ann" });
    await expect.poll(seen).toMatchObject([
      {
        workflowId: "a-1",
        workflowType: "approve",
        event: { type: "SignalReceived", payload: { by: "ann" } },
      },
    ]);
    await engine.close();
    const next = await test.openEngine({ feed: true });
    await next.client.start(approve, undefined, { id: "a-2" });
    await next.client.get("a-2").signal(approval, { by: "bob" });
    await expect
      .poll(seen)
      .toMatchObject([{ workflowId: "a-1" }, { workflowId: "a-2", event: { payload: { by: "bob" } } }]);
    watching.kill("SIGTERM");
    const ofOne = await test.run(["watch", "a-2", "--once"]);
    expect(ofOne.stdout).toMatch(/WorkflowStarted +1 {2}a-2 {2}approve\n.*SignalReceived +2 {2}a-2/);
    expect(ofOne.stdout).not.toContain("a-1");
    await next.close();
    // Without an engine it reads the file.
    const offline = await test.run([
      "watch",
      "--once",
      "--type",
      "approve",
      "--event",
      "WorkflowCompleted",
      "--json",
    ]);
    expect(offline.stdout.trimEnd().split("\n")).toHaveLength(2);
  });

  it("says that there is no feed, and what is wrong with its arguments", async () => {
    await test.openEngine();
    expect(await test.run(["watch", "--once"])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("error[feed_off]") as string,
    });
    expect(await test.run(["watch", "--event", "Nothing"])).toMatchObject({ exitCode: 2 });
    expect(await test.run(["watch", "--oldest", "--after", "1.1.1"])).toMatchObject({ exitCode: 2 });
  });
});
