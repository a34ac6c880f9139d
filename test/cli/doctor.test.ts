/** `aion doctor` on real files, beside engines that are well, frozen and dead. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client } from "../../src/client/index.ts";
import { connectRemote } from "../../src/client/remote.ts";
import { createNamespace } from "../../src/client/server-client.ts";
import { checkNames } from "../../src/cli/doctor/finding.ts";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { buildPackage } from "../../src/package/build.ts";
import { Worker } from "../../src/worker/index.ts";
import { activity, ApplicationFailure } from "../../src/workflow/index.ts";
import { CommandTest } from "./command.ts";
import { approval, approve, fulfil, providerKey, settle } from "./workflows.ts";

/** Those that look at a server are not made for a store. */
const storeChecks = checkNames.filter((name) => name !== "server" && name !== "namespaces");

let test: CommandTest;
const processes = new Set<ChildProcess>();
beforeEach(() => {
  test = new CommandTest();
});
afterEach(async () => {
  for (const child of processes) child.kill("SIGKILL");
  processes.clear();
  await test.dispose();
});

interface Report {
  readonly status: string;
  readonly checks: readonly Finding[];
}

async function examine(...args: readonly string[]): Promise<Report & { readonly exitCode: number | null }> {
  const { stdout, exitCode } = await test.run(["doctor", "--json", ...args]);
  return { ...(JSON.parse(stdout) as Report), exitCode };
}

/** The findings that are not ok, by check. */
function troubles({ checks }: Report): Readonly<Record<string, string>> {
  return Object.fromEntries(
    checks.filter(({ status }) => status !== "ok").map(({ check, status }) => [check, status]),
  );
}

function find({ checks }: Report, name: string): Finding {
  const found = checks.find(({ check }) => check === name);
  if (found === undefined) throw new Error(`there is no finding ${name}`);
  return found;
}

/** An engine in a process of its own, with a run that waits in it. */
async function startEngineProcess(): Promise<ChildProcess> {
  const engine = new URL("../../src/embedded/engine.ts", import.meta.url).href;
  const workflows = new URL("./workflows.ts", import.meta.url).href;
  const script = path.join(test.directory, "engine.ts");
  writeFileSync(
    script,
    `import { Engine } from ${JSON.stringify(engine)};
import { approve } from ${JSON.stringify(workflows)};
const engine = await Engine.open({ store: ${JSON.stringify(test.store)}, workflows: [approve] });
await engine.client.start(approve, undefined, { id: "a-1" });
console.log("ready");
setInterval(() => undefined, 1_000);
`,
  );
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  processes.add(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the engine ended with ${code}`)));
  });
  return child;
}

function hashOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** By hand, as nobody should. */
function change(sql: string): void {
  const database = new DatabaseSync(test.file);
  try {
    database.exec(sql);
  } finally {
    database.close();
  }
}

describe("without a store", () => {
  it("looks at the machine alone", async () => {
    const { stdout, stderr, exitCode } = await test.run(["doctor"], { env: { AION_STORE: undefined } });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ok {7}node {8}Node \d+\.\d+\.\d+\n(?:ok|warning) +sqlite .*\n.* port .*/);
    expect(stdout).toMatch(/\n\n\d ok(?:, \d warnings?)?\n$/);
    expect(stderr).toMatch(/^note: no store was named; pass --store sqlite:/);
    const document = (await test.json(["doctor"], { env: { AION_STORE: undefined } })) as Report;
    expect(document.checks.map(({ check }) => check)).toEqual(["node", "sqlite", "port"]);
    expect(document).not.toHaveProperty("store");
  });
});

describe("a store that is well", () => {
  it("is found well, beside its engine too, and stays as it is", async () => {
    const engine = await test.openEngine();
    await engine.client.start(approve, undefined, { id: "a-1" });
    const before = [hashOf(test.file), hashOf(`${test.file}-wal`)];
    const beside = await examine();
    expect([hashOf(test.file), hashOf(`${test.file}-wal`)]).toEqual(before);
    expect(find(beside, "owner")).toMatchObject({
      status: "ok",
      facts: { pid: process.pid, isAlive: true, isAnswering: true },
    });
    // On whatever disk the tests are run.
    const { filesystem: _kind, sync: _sync, space: _space, port: _port, ...others } = troubles(beside);
    expect(others).toEqual({});
    expect(beside.checks.map(({ check }) => check)).toEqual(storeChecks);
    await engine.close();

    const hash = hashOf(test.file);
    const alone = await examine();
    expect(find(alone, "owner").facts).toEqual({ isOwned: false });
    expect(hashOf(test.file)).toBe(hash);
    expect(readdirSync(test.directory).filter((file) => file.includes("doctor"))).toEqual([]);
    expect(alone.exitCode).toBe(0);
  });

  it("is shown to people with a line for each check", async () => {
    await test.makeStore();
    const { stdout, exitCode } = await test.run(["doctor"]);
    expect(exitCode).toBe(0);
    for (const check of storeChecks) expect(stdout).toMatch(new RegExp(`^(?:ok|warning) +${check} `, "m"));
    expect(stdout).toMatch(/\n\n\d+ ok(?:, \d warnings?)?\n$/);
  });

  it("has measured how long a write takes to the disk", async () => {
    await test.makeStore();
    const { facts } = find(await examine(), "sync");
    expect(facts["count"]).toBeGreaterThan(0);
    expect(facts["medianMicros"]).toBeGreaterThan(0);
    expect(Number(facts["maxMicros"])).toBeGreaterThanOrEqual(Number(facts["medianMicros"]));
  });

  it("is not looked through to the end if there is no time", async () => {
    await test.makeStore();
    const report = await examine("--integrity-timeout", "1ms");
    expect(find(report, "integrity")).toMatchObject({ status: "warning", facts: { isComplete: false } });
    expect(report.exitCode).toBe(0);
  });
});

describe("an engine", () => {
  it("that is frozen is found out, and so is one that was killed", async () => {
    const engine = await startEngineProcess();
    engine.kill("SIGSTOP");
    const frozen = await examine();
    expect(find(frozen, "owner")).toMatchObject({
      status: "failed",
      facts: { pid: engine.pid, isAnswering: false },
      remedy: expect.stringContaining(`kill -CONT ${engine.pid}`) as string,
    });
    expect(frozen).toMatchObject({ exitCode: 1, status: "failed" });
    const ended = new Promise((resolve) => engine.once("exit", resolve));
    engine.kill("SIGKILL");
    await ended;
    const dead = await examine();
    expect(find(dead, "owner")).toMatchObject({
      status: "ok",
      message: expect.stringContaining("has ended") as string,
    });
  });

  it("that is missing is missed by what waits for it", async () => {
    await test.makeStore();
    await test.run(["start", "approve", "--id", "a-1"]);
    const report = await examine();
    expect(find(report, "timers")).toMatchObject({ status: "warning", facts: { underWayCount: 1 } });
    expect(find(report, "timers").message).toMatch(/^no engine is running, .*: 1 runs/);
  });

  it("whose clock was ahead has left schedules behind that start nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 30 * 24 * 3_600_000 });
    try {
      await test.makeStore(async ({ client }) => {
        await client.schedules.create("hourly", approve, undefined, { every: "1h" });
        await client.schedules.create("yearly", approve, undefined, { cron: "@yearly" });
      });
    } finally {
      vi.useRealTimers();
    }
    const { message, status, facts } = find(await examine(), "schedules");
    expect(status).toBe("warning");
    expect(message).toContain('"hourly"');
    expect(facts["count"]).toBe(2);
    expect((await test.run(["schedule", "describe", "hourly"])).stdout).toMatch(
      /silent +until .* \(in (?:29|30)d/,
    );
    expect((await test.run(["schedule", "list"])).stdout).toMatch(/^hourly +silent /m);
  });

  it("that lacks a workflow has its run counted as blocked", async () => {
    await test.makeStore(async ({ client }) => {
      await client.start(fulfil, { amount: 5 }, { id: "o-1" });
    });
    const engine = await test.openEngine({ workflows: [approve] });
    await engine.client.get("o-1").signal(approval, { by: "ann" });
    await expect.poll(() => engine.client.count({ isBlocked: true })).toBe(1);
    expect(find(await examine(), "blocked")).toMatchObject({ status: "warning", facts: { blockedCount: 1 } });
  });
});

describe("a server", () => {
  it("is asked for itself, its namespaces, its version and its clock; and missed when it is gone", async () => {
    const server = test.spawn(["server", "--data", "data", "--port", "0", "--json"]);
    const [line] = (await once(createInterface(server.stdout), "line")) as [string];
    const { url, pid } = JSON.parse(line) as { readonly url: string; readonly pid: number };
    const env = { AION_STORE: undefined, AION_URL: url };
    const there = (await test.json(["doctor"], { env })) as Report;
    expect(there.checks.map(({ check }) => check)).toEqual([
      "node",
      "sqlite",
      "port",
      "server",
      "namespaces",
      "version",
      "clock",
      "blocked",
      "parked",
    ]);
    expect(there).toMatchObject({ url });
    const { port: _port, ...others } = troubles(there);
    expect(others).toEqual({});
    expect(find(there, "server").facts).toEqual({ url, pid, isReady: true });
    expect(find(there, "namespaces").facts).toEqual({ count: 1, unavailableCount: 0 });

    server.kill("SIGSTOP");
    const stopped = await test.run(["doctor"], { env });
    expect(stopped.exitCode).toBe(1);
    expect(stopped.stdout).toMatch(/^failed +server +no answer from the server at http/m);
    server.kill("SIGKILL");
    await once(server, "exit");
    const gone = (await test.json(["doctor"], { env })) as Report;
    expect(find(gone, "server")).toMatchObject({
      status: "failed",
      message: expect.stringContaining("ECONNREFUSED") as string,
    });
    expect(find(gone, "namespaces").status).toBe("skipped");
    expect(find(gone, "parked").status).toBe("skipped");
  });

  it("tells in which namespaces activities are parked", async () => {
    const server = test.spawn(["server", "--data", "data", "--port", "0", "--json"]);
    const [line] = (await once(createInterface(server.stdout), "line")) as [string];
    const { url } = JSON.parse(line) as { readonly url: string };
    await createNamespace({ url }, "calm");
    const pay = activity("pay", async (): Promise<number> => {
      throw new ApplicationFailure("expired", { type: "NoKey" });
    });
    const file = path.join(test.directory, "parking.mjs");
    writeFileSync(
      file,
      [
        'import { activity, workflow } from "aion/workflow";',
        'const pay = activity("pay", { retry: { park: ["NoKey"] } }, async () => 1);',
        'export const order = workflow("order", async () => await pay(undefined));',
      ].join("\n"),
    );
    const client = new Client({ url });
    await connectRemote({ url }).deploy({ archive: (await buildPackage(file)).bytes, isRouted: true });
    const worker = new Worker({ url, activities: [pay] });
    const working = worker.run();
    const run = await client.start("order", undefined, { id: "o-1" });
    await expect.poll(async () => (await run.describe()).parked?.count).toBe(1);
    const env = { AION_STORE: undefined, AION_URL: url };
    const all = (await test.json(["doctor"], { env })) as Report;
    expect(find(all, "parked")).toMatchObject({
      status: "warning",
      message: "activities of 1 of 1 running runs wait for an operator, in namespace default",
      facts: { runningCount: 1, parkedCount: 1 },
    });
    const calm = (await test.json(["doctor", "--namespace", "calm"], { env })) as Report;
    expect(find(calm, "parked")).toMatchObject({ status: "ok", facts: { runningCount: 0, parkedCount: 0 } });
    await run.terminate();
    await worker.stop();
    await working;
  });
});

describe("a store that is not well", () => {
  it("is not there", async () => {
    const report = await examine();
    expect(report.exitCode).toBe(1);
    expect(troubles(report)).toMatchObject({ file: "failed", store: "skipped", timers: "skipped" });
    expect(report.checks.map(({ check }) => check)).toEqual(storeChecks);
    expect(existsSync(test.file)).toBe(false);
    const shown = await test.run(["doctor"]);
    expect(shown.stdout).toMatch(/^failed +file +there is no file .*\n +→ /m);
    expect(shown.stdout).toMatch(/^skipped {2}store, log, integrity, .*: there is no file/m);
  });

  it("is something else, or of a version that is still to come", async () => {
    writeFileSync(test.file, "somebody's".repeat(1_000));
    expect(find(await examine(), "store")).toMatchObject({
      status: "failed",
      facts: { code: "store_corrupt" },
    });
    writeFileSync(test.file, "");
    change("PRAGMA application_id = 1097428846; PRAGMA user_version = 99; CREATE TABLE t (x)");
    expect(find(await examine(), "store")).toMatchObject({
      status: "failed",
      facts: { code: "store_newer_format" },
    });
    change("PRAGMA user_version = 1");
    expect(find(await examine(), "store")).toMatchObject({
      status: "warning",
      remedy: expect.stringContaining("brings it to the current format") as string,
    });
  });

  it("has runs that are found by what their histories do not say", async () => {
    await test.makeStore(async ({ client }) => {
      for (const id of ["one", "two", "three"])
        await client.start(approve, undefined, { id, startDelay: "1 hour", attributes: { amount: 5 } });
    });
    expect(find(await examine(), "attributes")).toMatchObject({
      status: "ok",
      facts: { runCount: 3, differingCount: 0 },
    });
    const database = new DatabaseSync(test.file);
    database.exec("UPDATE attributes SET value = 6 WHERE run_key = 2");
    database.close();
    const report = await examine();
    expect(report.exitCode).toBe(1);
    expect(find(report, "attributes")).toMatchObject({
      status: "failed",
      message: expect.stringMatching(/^1 of the newest 3 runs .*: two$/) as string,
    });
  });

  it("has a page that is damaged", async () => {
    await test.makeStore(async ({ client }) => {
      for (let index = 0; index < 30; index++)
        await client.start(approve, undefined, { id: `a-${index}`, startDelay: "1 hour" });
    });
    const database = new DatabaseSync(test.file);
    const page = Number(
      Object.values(
        database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'runs_by_workflow_id'").get() ?? {},
      )[0],
    );
    database.close();
    const descriptor = openSync(test.file, "r+");
    writeSync(descriptor, Buffer.alloc(200, 0xff), 0, 200, (page - 1) * 4_096);
    closeSync(descriptor);
    const report = await examine();
    expect(report.exitCode).toBe(1);
    // Whichever of the two looks at that page first.
    const found = [find(report, "store"), find(report, "integrity")];
    expect(found.map(({ status }) => status)).toContain("failed");
    expect(JSON.stringify(found)).toMatch(/malformed|damaged/);
  });

  it("has a log that is damaged in front of commits", async () => {
    const engine = await startEngineProcess();
    await test.run(["signal", "a-1", "nothing"]);
    await test.run(["signal", "a-1", "nothing"]);
    const ended = new Promise((resolve) => engine.once("exit", resolve));
    engine.kill("SIGKILL");
    await ended;
    const log = `${test.file}-wal`;
    expect(statSync(log).size).toBeGreaterThan(3 * 4_120);
    const descriptor = openSync(log, "r+");
    writeSync(descriptor, Buffer.alloc(8, 0xff), 0, 8, 32 + 24 + 100);
    closeSync(descriptor);
    const report = await examine();
    expect(find(report, "store")).toMatchObject({ status: "failed", facts: { code: "store_corrupt" } });
    expect(find(report, "store").message).toContain("-wal is damaged");
    expect(report.exitCode).toBe(1);
  });

  it("is written by a clock that was ahead, and by a version that is", async () => {
    await test.makeStore(async ({ client }) => {
      const run = await client.start(approve, undefined, { id: "a-1" });
      await run.terminate();
    });
    change(`UPDATE runs SET closed_at = ${Date.now() + 3_600_000};
      UPDATE meta SET value = '99.0.0' WHERE name = 'newest_version'`);
    const report = await examine();
    expect(find(report, "clock")).toMatchObject({ status: "warning" });
    expect(Number(find(report, "clock").facts["aheadMs"])).toBeGreaterThan(3_500_000);
    expect(find(report, "version")).toMatchObject({
      status: "warning",
      facts: { newestVersion: "99.0.0" },
    });
    expect(report).toMatchObject({ status: "warning", exitCode: 0 });
  });

  it("has two names", async () => {
    await test.makeStore();
    linkSync(test.file, path.join(test.directory, "other.db"));
    expect(troubles(await examine())).toMatchObject({ file: "failed", store: "skipped" });
  });

  it("is held by somebody who lets nobody read: the doctor gives up", async () => {
    await test.makeStore();
    const holder = new DatabaseSync(test.file);
    try {
      holder.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; PRAGMA user_version = 2");
      const report = await examine();
      expect(find(report, "store")).toMatchObject({ status: "failed" });
      expect(find(report, "store").message).toMatch(/locked|did not answer/);
    } finally {
      holder.close();
    }
  });

  it("is no file, but a pipe that nobody writes to", async () => {
    expect(spawnSync("mkfifo", [test.file]).status).toBe(0);
    expect(find(await examine(), "file")).toMatchObject({ status: "failed" });
  });
});

describe("a wrong command line", () => {
  it.each([
    ["a store of another kind", ["doctor", "--store", "redis:x"], "error[store_url_invalid]"],
    ["a time that is none", ["doctor", "--integrity-timeout", "soon"], "error[invalid_argument]"],
  ])("with %s ends with code 2", async (_what, args, message) => {
    const { exitCode, stdout, stderr } = await test.run(args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("of which activities wait for an operator has its runs counted as such", async () => {
    providerKey.isValid = false;
    await test.makeStore(async ({ client }) => {
      await client.start(settle, 5, { id: "s-1" });
      await expect.poll(() => client.count({ isParked: true })).toBe(1);
    });
    expect(find(await examine(), "parked")).toMatchObject({ status: "warning", facts: { parkedCount: 1 } });
  });
});
