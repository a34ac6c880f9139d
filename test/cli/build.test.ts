/** `aion build`. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { hashArchive, readArchive } from "../../src/package/archive.ts";
import { CommandTest } from "./command.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(test.directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

const order = `
import { activity, workflow } from "aion/workflow";
import { pay } from "./payments.ts";
const account = "main";
export const charge = activity("charge", { startToClose: "30s" }, async (amount: number) => pay(account, amount));
export const fulfil = workflow("fulfil", async (amount: number) => await charge(amount));
`;

it("writes the package beside where it is run, and tells what is in it and what it left out", async () => {
  write({ "package.json": "{}", "src/order.ts": order });
  const { exitCode, stdout, stderr } = await test.run(["build", "src/order.ts"], { env: { AION_STORE: "" } });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const file = path.join(test.directory, "order.aion");
  const bytes = readFileSync(file);
  expect(readArchive(bytes).manifest.workflows.map(({ type }) => type)).toEqual(["fulfil"]);
  const rows = new Map(stdout.split("\n").map((line) => [line.slice(0, 11).trim(), line.slice(11)]));
  expect(Object.fromEntries(rows)).toMatchObject({
    package: file,
    hash: hashArchive(bytes),
    size: `${bytes.length} bytes`,
    workflows: "fulfil",
    activities: "charge",
    dropped:
      'in src/order.ts the implementations of charge, and what only they use: account, "./payments.ts"',
    time: expect.stringMatching(/^\d+ ms$/) as string,
  });
});

it("gives a document, replaces the package that is there, and leaves nothing else behind", async () => {
  write({ "package.json": "{}", "order.ts": order, "out/mine.aion": "older" });
  const document = await test.json(["build", "order.ts", "--out", "out/mine.aion"]);
  const file = path.join(test.directory, "out/mine.aion");
  const bytes = readFileSync(file);
  expect(document).toEqual({
    file,
    hash: hashArchive(bytes),
    byteCount: bytes.length,
    durationMs: expect.any(Number) as number,
    manifest: readArchive(bytes).manifest,
    dropped: [{ file: "order.ts", activities: ["charge"], imports: ["./payments.ts"], names: ["account"] }],
    warnings: [],
  });
  expect(readdirSync(path.join(test.directory, "out"))).toEqual(["mine.aion"]);
});

it("tells every place that stands against it, with its line, and writes nothing", async () => {
  write({
    "package.json": "{}",
    "order.ts": [
      'import { step, workflow } from "aion/workflow";',
      'import { read } from "./lib/report.ts";',
      'export const a = workflow("a", async () => {',
      '  await step("b", () => 1);',
      "  return read();",
      "});",
    ].join("\n"),
    "lib/report.ts":
      'import { readFileSync } from "node:fs";\nexport const read = () => readFileSync("x", "utf8");',
  });
  const { exitCode, stdout, stderr } = await test.run(["build", "order.ts"]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toBe(
    [
      "error[build_failed]: cannot build order.ts: 2 problems",
      "",
      'lib/report.ts:1:30: workflow code reaches "node:fs", a module of Node, which there is not where it runs',
      '  1 | import { readFileSync } from "node:fs";',
      "    |                              ^^^^^^^^^",
      "    imported by: order.ts → lib/report.ts",
      "    remedy: Do it in the implementation of an activity: the build leaves those out, with all that only they use.",
      "",
      "order.ts:4:9: `step` runs its closure where the engine is embedded; a package has no such place",
      '  4 |   await step("b", () => 1);',
      "    |         ^^^^",
      "    remedy: Define an `activity` and call it instead.",
      "hint: The message names each place and what to do there. Nothing was written.",
      "",
    ].join("\n"),
  );
  expect(existsSync(path.join(test.directory, "order.aion"))).toBe(false);
});

it("tells what is missing: the file, the directory, the argument", async () => {
  write({ "package.json": "{}", "order.ts": order });
  expect(await test.run(["build", "none.ts"])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^error\[invalid_argument\]: there is no file .*none\.ts\n/) as string,
  });
  expect(await test.run(["build", "order.ts", "--out", "none/order.aion"])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^error\[invalid_argument\]: cannot write .*none/) as string,
  });
  expect(await test.run(["build"])).toMatchObject({ exitCode: 2 });
});

it("tells what a person should know beside the package", async () => {
  write({
    "package.json": "{}",
    "order.ts":
      'import { workflow } from "aion/workflow";\nconst b = workflow("b", async () => 1);\nexport const a = workflow("a", async () => 1);',
  });
  const { exitCode, stderr } = await test.run(["build", "order.ts"]);
  expect(exitCode).toBe(0);
  expect(stderr).toBe(
    'note: workflow "b" is defined and not exported by order.ts; the package cannot run it\n',
  );
});
