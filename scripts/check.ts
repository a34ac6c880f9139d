/**
 * `npm test`, `npm run check` and `npm run check:…`: the checks of this repository, each one of its own kind.
 *
 * Every check runs to its end whatever the ones before it found. The last line on standard output is exactly
 * `N passed, N failed`, and `, N skipped` where something could not be checked on this machine: each test counts as one, and so does
 * each of the other checks. The exit code is 0 only when nothing failed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { stripVTControlCharacters } from "node:util";
import { checkPython } from "./python.ts";

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped?: number;
  /** Why something was skipped. */
  readonly reason?: string;
  /** What failed, a line each: the end of the output says it, since logs are often kept by their end. */
  readonly failures?: readonly string[];
}

interface Check {
  readonly title: string;
  /** What to do when it fails. */
  readonly remedy: string;
  readonly run: () => Tally;
}

const root = path.dirname(import.meta.dirname);

/** Runs a tool of node_modules on this very Node; its output goes where ours goes. */
function runTool(file: string, args: readonly string[]): boolean {
  const { status } = spawnSync(process.execPath, [path.join(root, "node_modules", file), ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return status === 0;
}

function asOne(hasPassed: boolean): Tally {
  return hasPassed ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

interface TestReport {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    /** The file. */
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

/** The first lines of what a failure said, without colours: enough to know it again. */
function firstLines(text: string): string {
  const lines = stripVTControlCharacters(text).trim().split("\n");
  return lines
    .slice(0, 6)
    .map((line) => `        ${line.slice(0, 300)}`)
    .join("\n");
}

/** What the tests' report says, where a file that could not even be loaded counts as one failure. */
function tallyOf(report: TestReport): Tally {
  const failures = report.testResults.flatMap((file) => {
    const name = path.relative(root, file.name);
    const failed = file.assertionResults.filter((it) => it.status === "failed");
    const said = failed.map((it) => ({ title: it.fullName, text: (it.failureMessages ?? []).join("\n") }));
    if (file.status === "failed" && failed.length === 0) said.push({ title: "the file", text: file.message });
    return said.map(({ title, text }) => `FAILED  ${name}: ${title}\n${firstLines(text)}`);
  });
  return { passed: report.numPassedTests, failed: failures.length, failures };
}

function runTests(): Tally {
  const folder = mkdtempSync(path.join(tmpdir(), "aion-check-"));
  try {
    const file = path.join(folder, "report.json");
    const args = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const hasPassed = runTool("vitest/vitest.mjs", args);
    const tally = existsSync(file)
      ? tallyOf(JSON.parse(readFileSync(file, "utf8")) as TestReport)
      : { passed: 0, failed: 0 };
    // An error outside every test, such as an unhandled rejection, is in the exit code alone.
    return hasPassed || tally.failed > 0 ? tally : { ...tally, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const checks = {
  format: {
    title: "format",
    remedy: "npm run format",
    run: () => asOne(runTool("oxfmt/bin/oxfmt", ["--check", "."])),
  },
  types: {
    title: "types",
    remedy: "npm run check:types",
    run: () => asOne(runTool("typescript/bin/tsc", ["--noEmit", "-p", "."])),
  },
  lint: {
    title: "lint",
    remedy: "npm run check:lint",
    run: () => asOne(runTool("oxlint/bin/oxlint", ["."])),
  },
  dead: {
    title: "dead code",
    remedy: "npm run check:dead",
    run: () => asOne(runTool("knip/bin/knip.js", ["--no-progress"])),
  },
  tests: {
    title: "tests",
    remedy: "npm run test:unit -- <path>",
    run: runTests,
  },
  python: {
    title: "the Python worker",
    remedy: "npm run check:python",
    run: checkPython,
  },
} as const satisfies Readonly<Record<string, Check>>;

type CheckName = keyof typeof checks;

function isCheckName(name: string): name is CheckName {
  return Object.hasOwn(checks, name);
}

function main(args: readonly string[]): number {
  const names = args.length === 1 && args[0] === "all" ? Object.keys(checks) : args;
  const wanted = names.filter(isCheckName);
  if (wanted.length === 0 || wanted.length !== names.length) {
    process.stderr.write(`Say "all", or some of: ${Object.keys(checks).join(", ")}.\n`);
    process.stderr.write("To run only some tests: npm run test:unit -- <path>\n");
    return 2;
  }

  let passed = 0;
  let failed = 0;
  let skipped = 0;
  const remarks: string[] = [];
  for (const name of wanted) {
    const { title, remedy, run } = checks[name];
    process.stdout.write(`\n── ${title}\n`);
    const startedAtMs = performance.now();
    const tally: Tally = run();
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    passed += tally.passed;
    failed += tally.failed;
    skipped += tally.skipped ?? 0;
    if (tally.reason !== undefined) remarks.push(`SKIPPED ${title}: ${tally.reason}`);
    const isNothing = tally.passed + tally.failed === 0 && tally.reason !== undefined;
    if (isNothing) continue;
    remarks.push(
      ...(tally.failures ?? []),
      tally.failed === 0 ? `ok      ${title} (${seconds} s)` : `FAILED  ${title} (${seconds} s): ${remedy}`,
    );
  }
  const rest = skipped === 0 ? "" : `, ${skipped} skipped`;
  process.stdout.write(`\n${remarks.join("\n")}\n${passed} passed, ${failed} failed${rest}\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
