/**
 * What every command really prints with `--json`, held against its schema and against the schema as it is published.
 * A command without a schema, or without a case here, fails.
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createProgram } from "../../src/cli/command-line.ts";
import { documents, lines } from "../../src/cli/documents.ts";
import type { DocumentName } from "../../src/cli/documents.ts";
import { toEventView } from "../../src/cli/json-view.ts";
import { isEventType } from "../../src/core/event.ts";
import { decodeRow } from "../../src/core/codec.ts";
import { parseWorkflowId } from "../../src/core/ids.ts";
import { goldenNames, readGolden } from "../golden/golden-file.ts";
import { CommandTest } from "./command.ts";
import type { CommandOptions } from "./command.ts";
import { approval, approve, fulfil, providerKey, settle, ship, stage } from "./workflows.ts";

const root = path.dirname(path.dirname(import.meta.dirname));
const workflowsFile = path.join(import.meta.dirname, "workflows.ts");

const published = JSON.parse(readFileSync(path.join(root, "docs/cli-json.schema.json"), "utf8")) as {
  readonly $defs: Readonly<Record<string, object>>;
};

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

/** It has what the schema says, and nothing that the schema does not say. */
function expectFits(name: string, schema: z.ZodType, value: unknown): void {
  expect(schema.parse(value)).toEqual(value);
  const there = z.fromJSONSchema({ $defs: published.$defs, $ref: `#/$defs/${name}` } as never);
  expect(there.safeParse(value).error).toBeUndefined();
}

/** Runs a command with `--json`; its one line fits, and what it says on stderr does, too. */
async function expectDocument(
  name: DocumentName,
  args: readonly string[],
  options: CommandOptions & { readonly exitCode?: number } = {},
): Promise<unknown> {
  const { stdout, stderr, exitCode } = await test.run([name, "--json", ...args], options);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: options.exitCode ?? 0 });
  expect(stdout).toMatch(/^[^\n]+\n$/);
  const value: unknown = JSON.parse(stdout);
  expectFits(name, documents[name], value);
  for (const line of stderr.split("\n").filter((text) => text !== "")) expectStderrLine(line);
  return value;
}

function expectStderrLine(line: string): void {
  const value = JSON.parse(line) as object;
  const name = "error" in value ? "error-line" : "note-line";
  expectFits(name, lines[name], value);
}

/** An order that waits for its child, one that failed, and one that waits for an approval; then no engine. */
async function makeRuns(): Promise<void> {
  await test.makeStore(async ({ client }) => {
    const shipping = await client.start(
      fulfil,
      { amount: 5 },
      { id: "shipping", signal: [approval, { by: "ann" }] },
    );
    const failed = await client.start(
      fulfil,
      { amount: 5 },
      { id: "failed", signal: [approval, { by: "eve" }] },
    );
    const waiting = await client.start(fulfil, { amount: 5 }, { id: "waiting" });
    const done = await client.start(approve, undefined, { id: "done", signal: [approval, { by: "ann" }] });
    await expect(failed.result()).rejects.toThrow("not approved");
    await done.result();
    await expect.poll(async () => (await shipping.describe()).pendingChildren.length).toBe(1);
    await expect.poll(() => waiting.query(stage)).toBe("waiting for approval");
  });
}

describe("every command", () => {
  const commands = createProgram().commands.map((command) => command.name());

  it("has a schema, and a case below", () => {
    expect(Object.keys(documents).toSorted()).toEqual(commands.toSorted());
    const cases = readFileSync(import.meta.filename, "utf8");
    const missing = commands.filter(
      // The documents of `dev` are held against their schema where it is tested.
      (name) =>
        name !== "dev" && !["Document", "Fits"].some((how) => cases.includes(`expect${how}("${name}"`)),
    );
    expect(missing).toEqual([]);
  });

  it("has its schema published", () => {
    const names = [...Object.keys(documents), ...Object.keys(lines)];
    expect(names.filter((name) => !Object.hasOwn(published.$defs, name))).toEqual([]);
    const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
      readonly files: readonly string[];
    };
    expect(manifest.files).toContain("docs/cli-json.schema.json");
  });
});

describe("with --json", () => {
  it("the commands that look print what their schemas say", async () => {
    await makeRuns();
    const ids = ["shipping", "failed", "waiting", "done"];
    await Promise.all([
      expectDocument("list", []),
      expectDocument("count", ["--status", "running"]),
      expectDocument("list", ["--where", "none exists", "--attributes"]),
      ...ids.flatMap((id) => [expectDocument("describe", [id]), expectDocument("history", [id])]),
      expectDocument("logs", ["failed"]),
    ]);
    expect(await expectDocument("list", ["--limit", "1"])).toHaveProperty("nextCursor");
    expect(await expectDocument("describe", ["shipping"])).toMatchObject({ pendingChildren: [{}] });
    const { stdout } = await test.run(["history", "failed", "--follow", "--json"]);
    const events = stdout.trimEnd().split("\n");
    expect(events.length).toBeGreaterThan(4);
    for (const line of events) expectFits("history-follow", lines["history-follow"], JSON.parse(line));
    const said = await test.run(["logs", "failed", "--follow", "--json"]);
    const [line] = said.stdout.trimEnd().split("\n");
    expectFits("logs-follow", lines["logs-follow"], JSON.parse(line ?? ""));
  });

  it("the feed is watched as its schema says, a line for each event", async () => {
    const { client } = await test.openEngine({ feed: true });
    await client.start(approve, undefined, { id: "a-1", signal: [approval, { by: "ann" }] });
    expect(await client.get("a-1").result()).toBe("ann");
    const one = await expectDocument("watch", ["--once", "--event", "WorkflowStarted"]);
    expect(one).toMatchObject({ workflowId: "a-1", event: { type: "WorkflowStarted" } });
    const { stdout } = await test.run(["watch", "--once", "--json"]);
    const said = stdout.trimEnd().split("\n");
    expect(said.length).toBeGreaterThan(1);
    for (const line of said) expectFits("watch", documents.watch, JSON.parse(line));
  });

  it("a server that asks who calls shows what was asked of it as its schema says", async () => {
    const made = await expectDocument("key", ["create", "ann", "--grant", "admin@*", "--data", "data"]);
    const args = ["server", "--data", "data", "--port", "0", "--auth", "required", "--json"];
    const server = test.spawn(args);
    const [line] = (await once(createInterface(server.stdout), "line")) as [string];
    const { url } = JSON.parse(line) as { readonly url: string };
    const { token } = made as { readonly token: string };
    const env = { AION_STORE: "", AION_URL: url, AION_TOKEN: token };
    await test.run(["cancel", "nobody"], { env });
    await test.run(["count"], { env: { ...env, AION_TOKEN: "" } });
    const page = await expectDocument("audit", ["--operation", "cancel"], { env });
    expect(page).toMatchObject({ entries: [{ subject: "key:ann", outcome: "run_not_found" }] });
    server.kill("SIGTERM");
    expect(await once(server, "exit")).toEqual([0, null]);
    // Beside no server, from the file.
    const { entries } = (await expectDocument("audit", ["--data", "data"])) as { readonly entries: object[] };
    expect(entries).toMatchObject([
      { operation: "count", outcome: "unauthenticated" },
      { operation: "cancel" },
    ]);
  });

  it("a server and the commands for what it holds print what their schemas say", async () => {
    const server = test.spawn(["server", "--data", "data", "--port", "0", "--json"]);
    const [line] = (await once(createInterface(server.stdout), "line")) as [string];
    const said = JSON.parse(line) as { readonly url: string };
    expectFits("server", documents.server, said);
    const env = { AION_STORE: "", AION_URL: said.url };
    await expectDocument("namespace", ["create", "one"], { env });
    expect(await expectDocument("namespace", ["list"], { env })).toMatchObject({
      namespaces: [{ name: "default" }, { name: "one" }],
    });
    const data = ["--data", "data"];
    const made = await expectDocument("key", ["create", "ann", "--grant", "admin@*", "read@a", ...data]);
    const { key } = made as { readonly key: { readonly id: string } };
    expect(await expectDocument("key", ["list", ...data])).toMatchObject({ keys: [{ id: key.id }] });
    await expectDocument("key", ["rotate", key.id, ...data]);
    expect(await expectDocument("key", ["revoke", key.id, ...data])).toMatchObject({ key: { id: key.id } });
    const worker = test.spawn(["worker", workflowsFile, "--json"], { env });
    const [told] = (await once(createInterface(worker.stdout), "line")) as [string];
    expectFits("worker", documents.worker, JSON.parse(told));
    worker.kill("SIGTERM");
    expect(await once(worker, "exit")).toEqual([0, null]);
    server.kill("SIGTERM");
    expect(await once(server, "exit")).toEqual([0, null]);
  });

  it("the commands that act print what their schemas say, with an engine and without", async () => {
    await test.makeStore();
    await expectDocument("start", ["approve", "--id", "a-1"]);
    await expectDocument("signal", ["a-1", "approval", "--input", '{"by":"ann"}']);
    const { client } = await test.openEngine();
    expect(await client.get("a-1").result()).toBe("ann");
    expect(await expectDocument("start", ["approve", "--id", "a-1"])).toMatchObject({ isNew: false });
    await client.start(approve, undefined, { id: "a-2" });
    await client.start(approve, undefined, { id: "a-3" });
    await expectDocument("pause", ["a-2", "--reason", "wait"]);
    expect(await expectDocument("describe", ["a-2"])).toMatchObject({
      status: "paused",
      paused: { reason: "wait" },
    });
    await expectDocument("resume", ["a-2"]);
    await expectDocument("cancel", ["a-2"]);
    await client
      .get("a-2")
      .result()
      .catch(() => undefined);
    await expectDocument("reopen", ["a-2", "--reason", "after all"]);
    expect(await expectDocument("describe", ["a-2"])).toMatchObject({ status: "running" });
    expect(await expectDocument("history", ["a-2", "--points"])).toMatchObject({
      points: expect.arrayContaining([{ seq: 1, isRedone: false }]) as unknown,
    });
    expect(await expectDocument("reset", ["a-2", "--to", "1", "--reason", "anew"])).toMatchObject({
      workflowId: "a-2",
      toSeq: 1,
      isNew: true,
    });
    expect(await expectDocument("fork", ["a-3", "a-4", "--to", "1"])).toMatchObject({ workflowId: "a-4" });
    await expectDocument("terminate", ["a-3"]);
    providerKey.isValid = false;
    await client.start(settle, 7, { id: "s-1" });
    await expect.poll(async () => await client.count({ isParked: true })).toBe(1);
    await expect.poll(async () => (await client.get("s-1").describe()).parked?.count).toBe(2);
    expect(await expectDocument("list", ["--parked"])).toMatchObject({ runs: [{ parked: { count: 2 } }] });
    expect(await expectDocument("describe", ["s-1"])).toMatchObject({
      pendingActivities: [{ state: "parked" }, { state: "parked" }],
    });
    expect(await expectDocument("resume", ["s-1", "--activity", "1", "--result", '"by hand"'])).toMatchObject(
      {
        workflowId: "s-1",
        ordinals: [1],
      },
    );
    providerKey.isValid = true;
    expect(await expectDocument("resume", ["--parked"])).toMatchObject({
      runs: [{ workflowId: "s-1", ordinals: [0] }],
    });
    expect(await client.get("s-1").result()).toEqual(["paid 7", "by hand"]);
    await expectDocument("history", ["s-1"]);
    expect(await expectDocument("describe", ["a-3"])).toMatchObject({ status: "terminated" });
  });

  it("the commands that ask print what their schemas say, however a run has ended", async () => {
    await makeRuns();
    expect(await expectDocument("query", ["waiting", "stage", "--workflows", workflowsFile])).toBe(
      "waiting for approval",
    );
    await expectDocument("result", ["done"]);
    expect(await expectDocument("result", ["failed"], { exitCode: 1 })).toMatchObject({ status: "failed" });
    expect(await expectDocument("result", ["waiting"], { exitCode: 1 })).toMatchObject({ status: "running" });
    await test.openEngine();
    const make = ["waiting", "raise", "--update-id"];
    expect(await expectDocument("update", [...make, "u-1", "--input", "5"])).toMatchObject({
      status: "completed",
      result: 5,
      updateId: "u-1",
    });
    const failed = await expectDocument("update", [...make, "u-2", "--input", "13"], { exitCode: 1 });
    expect(failed).toMatchObject({
      status: "failed",
      failure: { message: expect.stringContaining("bad luck") as string },
    });
    expect(await expectDocument("update", [...make, "u-3", "--input", "500", "--no-wait"])).toMatchObject({
      status: "accepted",
    });
    expect(await expectDocument("update", ["waiting", "--update-id", "u-1"])).toMatchObject({ result: 5 });
    expect(await expectDocument("describe", ["waiting"])).toMatchObject({
      pendingUpdates: [{ updateId: "u-3", name: "raise" }],
    });
    await expectDocument("history", ["waiting"]);
    await test.run(["terminate", "waiting"]);
    await expectDocument("result", ["waiting"], { exitCode: 1 });
    await expectDocument("replay", ["shipping", "--workflows", workflowsFile]);
    const changed = path.join(test.directory, "changed.ts");
    const authoring = new URL("../../src/workflow/index.ts", import.meta.url).href;
    writeFileSync(
      changed,
      `import { sleep, workflow } from ${JSON.stringify(authoring)};
export const fulfil = workflow("fulfil", async (): Promise<void> => {
  await sleep("1s");
});
`,
    );
    const diverged = await expectDocument("replay", ["shipping", "--workflows", changed], { exitCode: 1 });
    expect(diverged).toMatchObject({ outcome: "diverged", error: { code: "nondeterminism" } });
    await expectDocument("check", [workflowsFile, "--inline"]);
    expect(await expectDocument("check", [changed, "--inline"], { exitCode: 1 })).toMatchObject({
      outcome: "broken",
    });
  });

  it("a blocked run is described and waited for as the schemas say", async () => {
    await makeRuns();
    const engine = await test.openEngine({ workflows: [ship] });
    await engine.client.get("waiting").signal(approval, { by: "ann" });
    await expect.poll(() => engine.client.count({ isBlocked: true })).toBe(1);
    expect(await expectDocument("list", ["--blocked"])).toMatchObject({ runs: [{ workflowId: "waiting" }] });
    expect(await expectDocument("describe", ["waiting"])).toHaveProperty("blocked");
    expect(await expectDocument("result", ["waiting"], { exitCode: 1 })).toHaveProperty("blocked");
  });

  it("the commands for packages print what their schemas say", async () => {
    await test.makeStore();
    writeFileSync(
      path.join(test.directory, "greet.ts"),
      `import { activity, query, signal, sleep, workflow } from "aion/workflow";
export const say = activity("say", { startToClose: "1s", retry: { maxAttempts: 3 } }, async (text: string) => text);
export const stop = signal("stop");
export const state = query<string>("state");
export const greet = workflow("greet", { signals: [stop] }, async (name: string) => {
  await sleep("1s");
  return say(name);
});
`,
    );
    expect(await expectDocument("build", ["greet.ts"])).toMatchObject({
      manifest: { activities: [{ type: "say" }] },
      dropped: [{ activities: ["say"] }],
    });
    expect(await expectDocument("workers", [])).toEqual({ workers: [], taskQueues: [] });
    const { version } = (await expectDocument("deploy", ["greet.aion"])) as { readonly version: string };
    expect(await expectDocument("versions", [])).toMatchObject({ packages: [{ version }], routes: [{}] });
    await expectDocument("route", ["greet", "--to", version]);
    await test.run(["deploy", "--no-route", path.join(test.directory, "greet.aion")]);
    writeFileSync(
      path.join(test.directory, "greet.ts"),
      `import { workflow } from "aion/workflow";
export const greet = workflow("greet", async (name: string) => name);
`,
    );
    await expectDocument("deploy", ["greet.ts"]);
    await expectDocument("unload", [version]);
  });

  it("the commands for schedules print what their schemas say; without an engine they read, and change nothing", async () => {
    await test.makeStore();
    expect(await expectDocument("schedule", ["list"])).toEqual({ schedules: [] });
    const alone = await test.run(["schedule", "create", "s", "approve", "--every", "1h"]);
    expect([alone.exitCode, alone.stderr]).toEqual([
      1,
      expect.stringMatching(/^error\[no_owner\]: .*\nhint: Start/),
    ]);
    for (const [verb, ...rest] of [["signal", "x"], ["terminate"], ["pause"]]) {
      const refused = await test.run([verb ?? "", "aion.schedule:s", ...rest]);
      expect(refused.stderr).toMatch(/^error\[invalid_argument\]: .* is the coordinator of a schedule/);
    }
    const engine = await test.openEngine();
    const made = [
      "create",
      "s",
      "approve",
      "--cron",
      "0 9 * * 1-5",
      "--time-zone",
      "Europe/Berlin",
      "--attribute",
      "n=5",
    ];
    expect(await expectDocument("schedule", made)).toEqual({ scheduleId: "s", isNew: true });
    expect(await expectDocument("schedule", made)).toEqual({ scheduleId: "s", isNew: false });
    await expectDocument("schedule", ["update", "s", "--overlap", "buffer-one", "--actions-max", "7"]);
    await expectDocument("schedule", ["pause", "s", "--note", "not now"]);
    const { workflowId } = (await expectDocument("schedule", ["trigger", "s"])) as {
      readonly workflowId: string;
    };
    expect((await test.run(["schedule", "trigger", "s"])).stderr).toMatch(/^error\[schedule_busy\]/);
    const back = ["backfill", "s", "--from", "2026-03-02T00:00:00Z", "--to", "2026-03-04T00:00:00Z"];
    expect(await expectDocument("schedule", back)).toEqual({ scheduleId: "s", count: 2 });
    expect(await expectDocument("schedule", ["describe", "s", "--next", "3"])).toMatchObject({
      state: "paused",
      note: "not now",
      overlap: "buffer-one",
      actionsLeft: 7,
      action: { workflowType: "approve", input: null, attributes: { n: 5 } },
      running: [{ workflowId }],
      recent: [{ outcome: "started", workflowId, cause: "trigger" }],
    });
    expect(await expectDocument("schedule", ["list"])).toMatchObject({ schedules: [{ scheduleId: "s" }] });
    const told = await test.run(["schedule", "describe", "s"]);
    expect(told.stdout).toMatch(/state +paused: not now\n +times +0 9 \* \* 1-5 Europe\/Berlin/);
    expect(told.stdout).toMatch(/found by +n=5\n/);
    expect((await test.run(["schedule", "list"])).stdout).toMatch(/^SCHEDULE .*\ns +paused +approve/);
    await expectDocument("history", ["aion.schedule:s"]);
    expect((await test.run(["history", "aion.schedule:s"])).stdout).toMatch(
      /ScheduleTriggered +#1 as s-.* \(trigger\)/,
    );
    await engine.close();
    expect(await expectDocument("schedule", ["describe", "s"])).toMatchObject({
      running: [{ workflowId }],
    });
    expect(await expectDocument("schedule", ["list"])).toMatchObject({ schedules: [{ scheduleId: "s" }] });
    expect((await test.run(["schedule", "describe", "t"])).stderr).toMatch(/^error\[schedule_not_found\]/);
    expect((await test.run(["schedule", "resume", "s"])).stderr).toMatch(/^error\[no_owner\]/);
    await test.openEngine();
    await expectDocument("schedule", ["resume", "s"]);
    await expectDocument("schedule", ["delete", "s"]);
    for (const wrong of [
      ["create", "s", "approve"],
      ["create", "s", "approve", "--every", "soon"],
      ["update", "s", "--input", "1"],
      ["update", "s", "--overlap", "skip", "--run-timeout", "5s"],
      ["update", "s", "--overlap", "skip", "--execution-timeout", "5s"],
      ["update", "s", "--time-zone", "UTC"],
      ["create", "s", "approve", "--every", "1h", "--time-zone", "UTC"],
    ])
      expect((await test.run(["schedule", ...wrong])).exitCode).toBe(2);
  });

  it("the commands around it print what their schemas say", async () => {
    await makeRuns();
    expect(await expectDocument("backup", ["copy.db"])).toMatchObject({ runCount: 5 });
    await expectDocument("doctor", []);
    await expectDocument("doctor", ["--store", "sqlite:nowhere.db"], { exitCode: 1 });
    await expectDocument("init", ["project"]);
    for (const shell of ["bash", "zsh", "fish"]) await expectDocument("completion", [shell]);
  });

  it("the command for workers of other makes prints what its schema says", async () => {
    const one = ["--only", "completes it", "--within", "5s", "--", process.execPath];
    const worker = path.join(root, "test/workers/conforming-worker-process.ts");
    const passed = await expectDocument("worker-conformance", [...one, worker]);
    expect(passed).toMatchObject({ scenarios: [{ status: "passed" }] });
    const failed = await expectDocument("worker-conformance", [...one, "-e", "console.log('gone')"], {
      exitCode: 1,
    });
    expect(failed).toMatchObject({ scenarios: [{ status: "failed", output: "gone\n" }] });
  });

  it.each([
    ["no command", [], 2, "invalid_argument"],
    ["an unknown command", ["lst"], 2, "invalid_argument"],
    ["an option that is none", ["list", "--frob"], 2, "invalid_argument"],
    ["a wrong value", ["list", "--limit", "many"], 2, "invalid_argument"],
    ["no store", ["list", "--store", "redis:x"], 2, "store_url_invalid"],
    ["a store that is not there", ["list"], 1, "store_unavailable"],
    ["a file that is not there", ["build", "nowhere.ts"], 1, "invalid_argument"],
    ["a file without a workflow", ["build", "main.ts"], 1, "build_failed"],
    ["files in the way", ["init", "."], 1, "invalid_argument"],
    ["a wrong time for the doctor", ["doctor", "--integrity-timeout", "soon"], 2, "invalid_argument"],
  ])("%s is one error on stderr, and nothing on stdout", async (_what, args, exit, code) => {
    writeFileSync(path.join(test.directory, "main.ts"), "");
    const { stdout, stderr, exitCode } = await test.run([...args, "--json"]);
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: exit });
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expectStderrLine(stderr);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code } });
  });

  it("notes are lines, too", async () => {
    await test.makeStore();
    const { stderr } = await test.run(["start", "approve", "--json"]);
    expectStderrLine(stderr);
    expect(JSON.parse(stderr)).toMatchObject({
      note: expect.stringContaining("no engine is running") as string,
    });
  });
});

describe("events", () => {
  it("of every type that was ever recorded fit their schema", () => {
    const seen = new Set<string>();
    for (const { histories } of goldenNames().map(readGolden)) {
      for (const [id, rows] of Object.entries(histories)) {
        for (const { firstSeq, row } of rows) {
          for (const event of decodeRow(row, { workflowId: parseWorkflowId(id), firstSeq })) {
            seen.add(event.type);
            const view: unknown = JSON.parse(JSON.stringify(toEventView(event)));
            expect(lines["history-follow"].parse(view)).toEqual(view);
          }
        }
      }
    }
    expect([...seen].every(isEventType)).toBe(true);
    expect(seen.size).toBeGreaterThan(25);
  });

  it("that lack a field, or have one that is not named, do not", () => {
    const fired = { seq: 1, recordedAt: 1, workflowId: "a", type: "TimerFired", ordinal: 0 };
    expectFits("history-follow", lines["history-follow"], fired);
    const { ordinal: _ordinal, ...without } = fired;
    expect(() => expectFits("history-follow", lines["history-follow"], without)).toThrow(/"ordinal"/);
    expect(() => expectFits("history-follow", lines["history-follow"], { ...fired, x: 1 })).toThrow(
      /deeply equal/,
    );
    const there = z.fromJSONSchema({ $defs: published.$defs, $ref: "#/$defs/history-follow" } as never);
    expect(there.safeParse(without).success).toBe(false);
    // Who reads must pass over what was added later.
    expect(there.safeParse({ ...fired, x: 1 }).success).toBe(true);
  });
});
