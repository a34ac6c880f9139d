/** The mutator: it finds what can be changed, changes nothing in this tree, and tells survivors from the rest. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { describe, expect, it, onTestFinished } from "vitest";
import { chooseSample, findMutations } from "../scripts/mutations.ts";

const root = path.dirname(import.meta.dirname);

/** The whole text after each change. */
function mutate(source: string): readonly string[] {
  return findMutations("a.ts", source).map(
    ({ start, end, text }) => source.slice(0, start) + text + source.slice(end),
  );
}

const lastLine = (text: string): string | undefined => text.trimEnd().split("\n").at(-1);

describe("the mutator", () => {
  it.each([
    ["a comparison", "const a = b < c;", ["const a = b <= c;", "const a = b >= c;"]],
    ["a sum", "const a = b + c;", ["const a = b - c;"]],
    ["and", "const a = b && c;", ["const a = b || c;"]],
    ["a default", "const a = b ?? c;", ["const a = b;"]],
    ["a negation", "const a = !b;", ["const a = b;"]],
    ["a choice", "const a = b ? c : d;", ["const a = (c);", "const a = (d);"]],
    ["a condition", "if (a) b;", ["if (false) b;", "if (true) b;", "if (a) ;"]],
    ["a statement", "a();", [";"]],
    ["a number", "const a = 7;", ["const a = 8;"]],
    ["a claim", "const a = true;", ["const a = false;"]],
    ["a step", "const a = b++;", ["const a = b--;"]],
    ["an order", "const a = b.toSorted(c);", ["const a = b;"]],
    ["a list", "const a = [b];", ["const a = [];"]],
    ["a place beyond ASCII", 'const u = "ünï🚀"; const a = !b;', ['const u = "ünï🚀"; const a = b;']],
    [
      "SQL",
      "const a = `SELECT b FROM c WHERE d <= ? ORDER BY e DESC LIMIT ?`;",
      [
        "const a = `SELECT b FROM c WHERE d < ? ORDER BY e DESC LIMIT ?`;",
        "const a = `SELECT b FROM c WHERE d <= ? ORDER BY e LIMIT ?`;",
        "const a = `SELECT b FROM c WHERE d <= ? DESC LIMIT ?`;",
      ],
    ],
  ])("changes %s", (_, source, changed) => {
    expect(mutate(source).toSorted()).toEqual(changed.toSorted());
  });

  it("leaves types, imports and texts as they are", () => {
    const source =
      'import { a } from "b";\ntype C = 1 | 2;\ninterface D { e: -1 }\nexport const f: Array<7> = a("text");\n';
    expect(mutate(source)).toEqual([]);
  });

  it("chooses the same for the same seed, and something else for another", () => {
    const all = findMutations("a.ts", Array.from({ length: 50 }, (_, index) => `a(${index});`).join("\n"));
    expect(chooseSample(all, 10, 1)).toEqual(chooseSample(all, 10, 1));
    expect(chooseSample(all, 10, 1)).not.toEqual(chooseSample(all, 10, 2));
    expect(new Set(chooseSample(all, all.length, 1)).size).toBe(all.length);
  });

  it("tells what survives the tests, and leaves the tree as it was", () => {
    const file = "src/core/duration.ts";
    const before = readFileSync(path.join(root, file), "utf8");
    const folder = mkdtempSync(path.join(os.tmpdir(), "aion-mutate-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const report = path.join(folder, "survivors.json");
    const run = (tests: string, ...rest: readonly string[]) => {
      const { NODE_OPTIONS: _options, VITEST: _vitest, ...env } = process.env;
      const args = ["scripts/mutate.ts", file, "--tests", tests, "--sample", "3", ...rest];
      return spawnSync(process.execPath, args, { cwd: root, env, encoding: "utf8" });
    };
    const noticed = run("src/core/duration.test.ts", "--", "-t", "duration");
    expect(noticed.stdout).toMatch(/\n3 tried: [1-3] killed, 0 timed out, [0-2] survived; score [\d.]+ %\n$/);
    const blind = run("src/core/ids.test.ts", "--report", report);
    expect(blind.stdout.match(/^survived {2}src\/core\/duration\.ts:\d+ {2}/gm)).toHaveLength(3);
    expect(blind.stdout).toContain("3 tried: 0 killed, 0 timed out, 3 survived; score 0.0 %");
    expect(blind.stdout).toMatch(
      /\n\| file +\| mutations \| killed \| timed out \| survived \| +score \|\n\| -/,
    );
    expect(blind.stdout).toMatch(/\n\| src\/core\/duration\.ts \| +3 \| +0 \| +0 \| +3 \| 0\.0 % \|\n/);
    expect(blind.status).toBe(1);
    // The stages: what the first does not notice is left to the second.
    const again = run("src/core/ids.test.ts", "--tests", "src/core/duration.test.ts", "--again", report);
    expect(again.stdout).toContain("3 mutations in 1 files, 3 tried");
    expect(lastLine(again.stdout)).toBe(lastLine(noticed.stdout));
    expect(readFileSync(path.join(root, file), "utf8")).toBe(before);
  });
});
