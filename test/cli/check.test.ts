/** `aion check`: code against the runs that are under way. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { documents } from "../../src/cli/documents.ts";
import { Server } from "../../src/server/server.ts";
import type { CommandOptions } from "./command.ts";
import { CommandTest } from "./command.ts";
import { approval, fulfil, ship, stage } from "./workflows.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
  // As in a project that has it installed.
  writeFileSync(path.join(test.directory, "package.json"), '{"type":"module"}');
  mkdirSync(path.join(test.directory, "node_modules"));
  symlinkSync(path.resolve("."), path.join(test.directory, "node_modules", "aion"));
});
afterEach(() => test.dispose());

/** That of the tests, as a project has it. */
function writeWorkflows(): string {
  const text = readFileSync(path.join(import.meta.dirname, "workflows.ts"), "utf8");
  return write("workflows.ts", text.replace("../../src/workflow/index.ts", "aion/workflow"));
}

function write(name: string, ...code: readonly string[]): string {
  writeFileSync(path.join(test.directory, name), code.join("\n"));
  return name;
}

async function check(args: readonly string[], exitCode: number, options: CommandOptions = {}) {
  const { stdout, stderr, exitCode: found } = await test.run(["check", ...args, "--json"], options);
  expect([found, stderr]).toEqual([exitCode, expect.any(String)]);
  return documents.check.parse(JSON.parse(stdout));
}

/** Two that wait in `fulfil`, one in `ship`, and one that has ended. */
async function makeRuns(): Promise<void> {
  await test.makeStore(async ({ client }) => {
    for (const id of ["o-1", "o-2", "ended"]) {
      const run = await client.start(fulfil, { amount: 5 }, { id });
      await expect.poll(() => run.query(stage)).toBe("waiting for approval");
    }
    await client.get("ended").signal(approval, { by: "eve" });
    await expect(client.get("ended").result()).rejects.toThrow("not approved");
    await client.start(ship, "x", { id: "s-1" });
  });
}

/** The same type, and it sleeps where it charged. */
const changed = [
  'import { sleep, workflow } from "aion/workflow";',
  'export const fulfil = workflow("fulfil", async (): Promise<void> => {',
  '  await sleep("1s");',
  "});",
];

describe("aion check", () => {
  // I-42 I-43
  it("names the running runs that code would break, and writes nothing", async () => {
    await makeRuns();
    const workflowsFile = writeWorkflows();
    const before = await test.json(["history", "o-1"]);
    for (const how of [[], ["--inline"]]) {
      expect(await check([workflowsFile, ...how], 0)).toMatchObject({
        outcome: "ok",
        loader: how.length === 0 ? "package" : "inline",
        workflowTypes: expect.arrayContaining(["fulfil", "ship", "approve"]) as string[],
        checkedCount: 3,
        otherTypes: [],
        broken: [],
      });
      const { broken, ...rest } = await check([write("changed.ts", ...changed), ...how], 1);
      expect(rest).toMatchObject({
        outcome: "broken",
        checkedCount: 2,
        brokenCount: 2,
        workflowTypes: ["fulfil"],
        otherTypes: [{ workflowType: "ship", runningCount: 1 }],
      });
      expect(broken.map(({ workflowId }) => workflowId).toSorted()).toEqual(["o-1", "o-2"]);
      expect(broken[0]).toMatchObject({
        outcome: "diverged",
        version: "inline",
        events: 4,
        error: { code: "nondeterminism", message: expect.stringContaining("changed.ts:3") as string },
      });
    }
    const { stdout, exitCode } = await test.run(["check", "changed.ts", "--limit", "1"]);
    expect([exitCode, stdout]).toEqual([
      1,
      expect.stringMatching(
        /^diverged {2}o-2 \(run .*, 4 events\)\n {10}.*changed\.ts:3[^]*\nbroken: 1 of 1 running run /,
      ),
    ]);
    const fine = await test.run(["check", workflowsFile, "--type", "fulfil"]);
    expect(fine).toMatchObject({ exitCode: 0, stdout: "ok: the code fits 2 running runs of fulfil\n" });
    const narrow = await test.run(["check", "changed.ts", "--limit", "1"]);
    expect(narrow.stderr).toContain("the code has no ship, of which there is 1 running run");
    expect((await test.run(["check", workflowsFile, "--type", "nope"])).stderr).toMatch(
      /^error\[workflow_type_unknown\]/,
    );
    expect(await test.json(["history", "o-1"])).toEqual(before);
  });

  it("takes runs that were continued, and finds one that would never end", async () => {
    const looping = (body: string): readonly string[] => [
      'import { continueAsNew, receive, signal, workflow } from "aion/workflow";',
      'const poke = signal("poke");',
      'export const loop = workflow("loop", async (count: number): Promise<void> => {',
      `  if (count < 3) continueAsNew(count + 1);`,
      body,
      "});",
    ];
    write("loop.ts", ...looping("  await receive(poke);"));
    await test.makeStore(async (engine) => {
      const { buildPackage } = await import("../../src/package/build.ts");
      await engine.deploy((await buildPackage(path.join(test.directory, "loop.ts"))).bytes);
      await engine.client.start("loop", 0, { id: "l-1" });
      await expect.poll(() => engine.client.count({ workflowId: "l-1" })).toBe(4);
    });
    expect(await test.run(["build", "loop.ts"])).toMatchObject({ exitCode: 0 });
    expect(await check(["loop.aion"], 0)).toMatchObject({ outcome: "ok", checkedCount: 1 });
    write("stuck.ts", ...looping("  await new Promise(() => undefined);"));
    const { broken } = await check(["stuck.ts"], 1);
    expect(broken).toMatchObject([
      { workflowId: "l-1", outcome: "failed", error: { code: "nondurable_await" } },
    ]);
  });

  it("asks a server", async () => {
    const server = await Server.open({
      data: path.join(test.directory, "data"),
      port: 0,
      workflows: [fulfil, ship],
      log: () => undefined,
    });
    try {
      const env = { AION_STORE: undefined, AION_URL: server.url };
      await test.json(["start", "ship", "--id", "s-1", "--input", '"x"'], { env });
      await expect
        .poll(async () => test.json(["describe", "s-1"], { env }))
        .toMatchObject({ historyLength: 2 });
      expect(await check([writeWorkflows()], 0, { env })).toMatchObject({ checkedCount: 1 });
      write("other.ts", ...changed.map((line) => line.replaceAll("fulfil", "ship").replace("1s", "3 days")));
      expect(await check(["other.ts"], 1, { env })).toMatchObject({ broken: [{ workflowId: "s-1" }] });
    } finally {
      await server.close();
    }
  });

  it("says what stands against a build; without a place it checks nothing else", async () => {
    const file = write(
      "reads.ts",
      'import { readFileSync } from "node:fs";',
      'import { workflow } from "aion/workflow";',
      'export const reads = workflow("reads", async () => readFileSync("x", "utf8"));',
    );
    const env = { AION_STORE: undefined };
    expect(await check([file], 1, { env })).toMatchObject({
      outcome: "not-built",
      problems: [{ place: { file: "reads.ts", line: 1 }, neededBy: { line: 3 } }],
    });
    const told = await test.run(["check", file], { env });
    expect(told).toMatchObject({ exitCode: 1, stdout: "" });
    expect(told.stderr).toMatch(/^error\[build_failed\]: cannot build reads\.ts/);
    expect(await test.run(["check", write("changed.ts", ...changed)], { env })).toEqual({
      exitCode: 0,
      stdout: "ok: it builds (fulfil)\n",
      stderr: "note: no store and no server is named, so no run was checked\n",
    });
    expect((await test.run(["check", "nowhere.aion"], { env })).stderr).toMatch(/^error\[invalid_argument\]/);
  });
});
