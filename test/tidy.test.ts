/**
 * What no file of this repository may contain, and what to write instead. For what the linter and the formatter
 * cannot see: words, names, length, other kinds of file.
 */
import path from "node:path";
import { describe, expect, it } from "vitest";
import { readSourceFiles } from "./source-files.ts";
import type { SourceFile } from "./source-files.ts";

interface Ban {
  readonly what: string;
  readonly pattern: RegExp;
  readonly instead: string;
  /** All files unless told. */
  readonly files?: RegExp;
}

const code = /\.[cm]?[jt]s$/;

const lineBans: readonly Ban[] = [
  { what: "a note to do it later", pattern: /\b(?:TO[D]O|FIX[M]E)\b/, instead: "do it now, or file it" },
  {
    what: "a test run alone",
    pattern: /\.only\(/,
    instead: "run it with: npm run test:unit -- <path>",
    files: code,
  },
  {
    what: "a silenced compiler",
    pattern: /@ts-(?:[i]gnore|[n]ocheck)/,
    instead: "say what the type is; parse what comes from outside",
    files: code,
  },
  {
    what: "a type thrown away",
    pattern: /\bas any(?=[;,)\]}.>[])/,
    instead: "narrow from `unknown`, or give the type a name",
  },
  { what: "white space at the end of a line", pattern: /[ \t]+$/, instead: "npm run format" },
  {
    what: "a path of one machine",
    pattern: /(?<![\w.~$}\]/-])\/(?:work|home|root|Users)\/\w/,
    instead: "a path from the root of the repository, or os.tmpdir()",
  },
  {
    what: "a package registry",
    pattern: /registry\.npm[j]s/,
    instead: "the package's name: who installs it chooses the registry",
  },
  {
    what: "a name with a shouted unit",
    pattern: /\b[a-z][a-zA-Z]*[a-z](?:ID|MS)\b/,
    instead: "workflowId, timeoutMs",
    // Not in bench/, where other people's interfaces are spelled as they are.
    files: /^(?:src|test|sim|examples|scripts)\/.*\.[cm]?[jt]s$/,
  },
];

const drawers: ReadonlySet<string> = new Set([
  "util",
  "utils",
  "helper",
  "helpers",
  "common",
  "shared",
  "misc",
]);

const lineCountMax = 800;

function findUntidiness({ path: file, text }: SourceFile): readonly string[] {
  const found: string[] = [];
  const name = path.posix.basename(file).split(".")[0] ?? "";
  const drawer = name.split("-").find((word) => drawers.has(word));
  if (drawer !== undefined) found.push(`${file}: "${drawer}" says nothing; name the file by the noun inside`);

  const lines = text.split("\n");
  const isWritten = file.startsWith("src/") && code.test(file) && !file.includes("/gen/");
  if (isWritten && lines.length > lineCountMax) {
    found.push(`${file}: ${lines.length} lines, at most ${lineCountMax}; one thing in each file`);
  }
  const bans = lineBans.filter((ban) => ban.files?.test(file) ?? true);
  for (const [index, line] of lines.entries()) {
    for (const { what, pattern, instead } of bans) {
      if (pattern.test(line)) found.push(`${file}:${index + 1}: ${what}; instead: ${instead}`);
    }
  }
  return found;
}

const files = readSourceFiles([
  "*.{md,json,ts,jsonc}",
  ".ci/*",
  "{src,test,sim,docs,examples,templates,bench,scripts}/**/*.{ts,mts,js,mjs,md,json,sql,html,css,c}",
  "sdks/**/*.{py,md,toml,txt}",
]).filter((file) => file.path !== "package-lock.json");

describe("this repository", () => {
  it("holds nothing untidy", () => {
    expect(files.map((file) => file.path)).toContain("test/tidy.test.ts");
    expect(files.flatMap(findUntidiness)).toEqual([]);
  });
});

describe("the check for untidiness", () => {
  // Planted in halves, so that this file passes its own check.
  it.each([
    ["a note to do it later", "docs/a.md", ["TO", "DO: explain"]],
    ["a note to mend it later", "src/core/a.ts", ["// FIX", "ME"]],
    ["a test run alone", "test/a.test.ts", ["it", ".on", "ly("]],
    ["a silenced compiler", "src/core/a.ts", ["// @ts", "-ignore"]],
    ["a silenced file", "src/core/a.ts", ["// @ts", "-nocheck"]],
    ["a type thrown away", "docs/a.md", ["const a = b as ", "any;"]],
    ["a type thrown away on the way", "test/a.test.ts", ["(a as ", "any).b"]],
    ["white space at the end of a line", "README.md", ["a", " "]],
    ["a path of one machine", "docs/a.md", ["see `/", "home/ann/aion`"]],
    ["a package registry", "docs/a.md", ["from registry.npm", "js.org"]],
    ["a name with a shouted unit", "src/core/a.ts", ["const workflow", "ID = 1;"]],
    ["a file of odds and ends", "src/core/string-utils.ts", ["export {};"]],
    ["a drawer of tests", "test/helpers.ts", ["export {};"]],
    ["a file that does too much", "src/core/a.ts", ["\n".repeat(lineCountMax)]],
  ])("catches %s", (_what, file, parts) => {
    expect(findUntidiness({ path: file, text: parts.join("") })).toHaveLength(1);
  });

  it.each([
    ["prose that says any", "docs/a.md", "It is as safe as any other."],
    ["a skipped span of time", "test/a.test.ts", 'await engine.skip("2 days");'],
    ["a constant", "src/core/a.ts", "const ID = 1;"],
    ["a long page", "docs/a.md", "\n".repeat(lineCountMax)],
    ["code that was made", "src/http/gen/a.ts", "\n".repeat(lineCountMax)],
    ["a path within a path", "src/cli/a.ts", 'const a = "examples/work/a.ts";'],
  ])("lets %s pass", (_what, file, text) => {
    expect(findUntidiness({ path: file, text })).toEqual([]);
  });
});
