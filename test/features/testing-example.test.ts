/** The examples in the docstrings of `TestEngine` and `Worker` do what they say. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");

function readExample(file: string, name: string): string {
  const text = readFileSync(path.join(root, file), "utf8");
  const pattern = new RegExp(`@example\\n(?<lines>(?: \\*.*\\n)+?) \\*\\/\\nexport class ${name} `);
  const block = pattern.exec(text)?.groups?.["lines"];
  if (block === undefined) throw new Error(`${file} has no example before the class`);
  return block.replaceAll(/^ \* ?/gm, "");
}

it.each([
  ["src/testing/test-engine.ts", "TestEngine"],
  ["src/worker/worker.ts", "Worker"],
])("prints what its comments say: %s", (source, name) => {
  const example = readExample(source, name);
  const expected = [...example.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]);
  expect(expected.length).toBeGreaterThan(0);
  // Inside the repository, where `aion/…` means the source.
  mkdirSync(path.join(root, ".tmp"), { recursive: true });
  const folder = mkdtempSync(path.join(root, ".tmp", "example-"));
  try {
    const file = path.join(folder, "example.ts");
    writeFileSync(file, example);
    const { stdout, stderr, status } = spawnSync(process.execPath, [file], { cwd: folder, encoding: "utf8" });
    expect(stderr).toBe("");
    expect(stdout.trimEnd().split("\n")).toEqual(expected);
    expect(status).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
