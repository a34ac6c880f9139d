/**
 * The check of the Python worker (`sdks/python`): its linter, its formatter, its types and its tests, in an environment of its own that
 * holds what `requirements-dev.txt` names, by hash. The environment is made where it is not there, and again when that file changes.
 *
 * Where there is no Python of 3.11 or later, or nothing can be installed, nothing is checked, and the reason is told: that has neither
 * passed nor failed.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

export interface PythonTally {
  readonly passed: number;
  readonly failed: number;
  /** Tests that could not be run. */
  readonly skipped: number;
  /** Why nothing, or not all, was checked. */
  readonly reason?: string;
}

const sdk = path.join(path.dirname(import.meta.dirname), "sdks", "python");
const environment = path.join(sdk, ".venv");
const isWindows = process.platform === "win32";
const installMs = 300_000;
const checkMs = 600_000;

const versionQuestion =
  "import sys; print('%d.%d.%d' % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))";

interface Python {
  readonly command: string;
  readonly version: string;
}

/** The first that is recent enough, of those that go by the usual names. */
export function findPython(
  names: readonly string[] = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"],
): Python | undefined {
  for (const command of names) {
    const { status, stdout } = spawnSync(command, ["-c", versionQuestion], { encoding: "utf8" });
    if (status === 0) return { command, version: stdout.trim() };
  }
  return undefined;
}

function toolOf(name: string): string {
  return isWindows ? path.join(environment, "Scripts", `${name}.exe`) : path.join(environment, "bin", name);
}

/** What pip says where there is no index of packages to be had. */
const unreachable =
  /retrying|connection|timed out|proxy|resolution|could not fetch|from versions: none|network|ssl/i;

interface Fault {
  readonly why: string;
  /** It is for want of a package index, or of a part of Python: nothing is known of the worker. */
  readonly isOfMachine: boolean;
}

/** Returns why it could not be made. */
function makeEnvironment({ command, version }: Python): Fault | undefined {
  const files = ["requirements-dev.txt", "pyproject.toml"].map((name) => path.join(sdk, name));
  const hash = createHash("sha256").update(`${version}\n${sdk}\n`);
  for (const file of files) hash.update(readFileSync(file));
  const stamp = path.join(environment, "made-of");
  const wanted = hash.digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return undefined;
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
  const steps: readonly (readonly [string, readonly string[], isOfMachine: (told: string) => boolean])[] = [
    [command, ["-m", "venv", "--clear", environment], () => true],
    [
      toolOf("python"),
      [...pip, "--require-hashes", "--requirement", "requirements-dev.txt"],
      (told) => unreachable.test(told),
    ],
    [toolOf("python"), [...pip, "--no-deps", "--no-build-isolation", "--editable", "."], () => false],
  ];
  for (const [file, args, isOfMachine] of steps) {
    const { status, error, stderr } = spawnSync(file, args, {
      cwd: sdk,
      encoding: "utf8",
      timeout: installMs,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (status === 0) continue;
    const told = error?.message ?? stderr.trim();
    process.stdout.write(`${told}\n`);
    const why = `${path.basename(file)} ${args.slice(0, 3).join(" ")} failed: ${told.split("\n").at(-1)}`;
    return { why, isOfMachine: isOfMachine(told) };
  }
  writeFileSync(stamp, wanted);
  return undefined;
}

function run(tool: string, args: readonly string[]): boolean {
  const { status } = spawnSync(toolOf(tool), args, {
    cwd: sdk,
    stdio: ["ignore", "inherit", "inherit"],
    timeout: checkMs,
  });
  return status === 0;
}

/** Of a report in the form of JUnit: what its suites add up to. */
export function tallyOf(report: string): { passed: number; failed: number; skipped: number } {
  const sum = (name: string): number =>
    [...report.matchAll(/<testsuite\s[^>]*>/g)].reduce(
      (total, [suite]) => total + Number(new RegExp(`\\s${name}="(\\d+)"`).exec(suite)?.[1] ?? 0),
      0,
    );
  const failed = sum("errors") + sum("failures");
  const skipped = sum("skipped");
  return { passed: sum("tests") - failed - skipped, failed, skipped };
}

function runTests(): { passed: number; failed: number; skipped: number } {
  const folder = mkdtempSync(path.join(tmpdir(), "aion-python-"));
  try {
    const file = path.join(folder, "report.xml");
    const hasPassed = run("pytest", ["--quiet", `--junitxml=${file}`]);
    const tally = existsSync(file)
      ? tallyOf(readFileSync(file, "utf8"))
      : { passed: 0, failed: 0, skipped: 0 };
    return hasPassed || tally.failed > 0 ? tally : { ...tally, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function checkPython(): PythonTally {
  const python = findPython();
  if (python === undefined)
    return { passed: 0, failed: 0, skipped: 1, reason: "there is no Python of version 3.11 or later" };
  const fault = makeEnvironment(python);
  if (fault !== undefined) {
    const { why, isOfMachine } = fault;
    return isOfMachine
      ? { passed: 0, failed: 0, skipped: 1, reason: why }
      : { passed: 0, failed: 1, skipped: 0 };
  }
  const results = [run("ruff", ["check", "."]), run("ruff", ["format", "--check", "."]), run("mypy", ["."])];
  const tests = runTests();
  const passed = results.filter(Boolean).length;
  return {
    passed: passed + tests.passed,
    failed: results.length - passed + tests.failed,
    skipped: tests.skipped,
    ...(tests.skipped === 0 ? {} : { reason: `${tests.skipped} of its tests could not be run` }),
  };
}
