import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { expect, it, onTestFinished } from "vitest";
import { end } from "../blackbox/processes.ts";
import { autopsyFlags, examine } from "./autopsy.ts";

async function examineProgram(
  program: string,
  answersWithin: { readonly reportMs: number; readonly codeMs: number },
): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-autopsy-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const errorFile = path.join(directory, "stderr");
  const errors = openSync(errorFile, "a");
  const started = spawn(process.execPath, [...autopsyFlags(directory), "--eval", program], {
    stdio: ["ignore", "pipe", errors],
  });
  closeSync(errors);
  onTestFinished(async () => void (await end(started)));
  assert(started.stdout);
  await once(started.stdout, "data");
  const complaints = (): string => readFileSync(errorFile, "utf8");
  return await examine({ process: started, directory, complaints }, answersWithin);
}

const longMs = 30_000;
const shortMs = 1_000;

it("of a process in an endless loop it is told where", async () => {
  const found = await examineProgram(
    'function turning() { for (;;); } setTimeout(turning); process.stdout.write("begun");',
    { reportMs: shortMs, codeMs: longMs },
  );
  expect(found).toMatch(/event loop: it does not turn\ncode: it runs\n {2}at turning/u);
});

it("of a process whose code waits for another thread it is told where", async () => {
  const found = await examineProgram(
    `function waiting() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }
     setTimeout(waiting); process.stdout.write("begun");`,
    { reportMs: shortMs, codeMs: longMs },
  );
  expect(found).toMatch(/event loop: it does not turn\ncode: it runs\n {2}at waiting/u);
  if (process.platform === "linux") expect(found).toMatch(/threads: \S+ [A-Z] in /u);
});

it("of a process that nobody resumes it is told what it waits for", async () => {
  const found = await examineProgram('setInterval(() => {}, 3_600_000); process.stdout.write("begun");', {
    reportMs: longMs,
    codeMs: shortMs,
  });
  expect(found).toMatch(/event loop: it turns, and has .*1 timer.*\ncode: none runs/u);
});
