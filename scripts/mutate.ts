/**
 * `npm run mutate -- src/store/memory.ts src/store/sqlite --sample 200`: changes one thing in the source at a time and
 * runs the tests. A change that no test notices (a survivor) is either no change at all, or a test that is missing.
 *
 *   --tests PATH     the tests to run, once or more; default: those of the first folder of each source (src/store, test/store).
 *                    Each is a stage: the quickest runs first, and the next one only for what survived it
 *   --sample N       so many changes at most, chosen by --seed (default: all, 1)
 *   --jobs N         so many at one time (default 1)
 *   --report FILE    where the survivors are written as JSON
 *   --again FILE     only the survivors in this report, of sources that have not changed since
 *   -- ARGS          for vitest, such as -t "in memory"
 *
 * Nothing in this tree is changed: each job has a copy of it below .tmp/. The exit code is 1 when something survived.
 * A change with which the tests do not end within their time-out is counted by itself, and as noticed.
 */
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { chooseSample, findMutations } from "./mutations.ts";
import type { Mutation } from "./mutations.ts";

const root = path.dirname(import.meta.dirname);

type Verdict = "killed" | "timed out" | "survived";

interface Stage {
  readonly tests: string;
  readonly limitMs: number;
}

/** A copy of this tree in which files may be broken. */
class Workplace {
  readonly folder: string;

  constructor() {
    mkdirSync(path.join(root, ".tmp"), { recursive: true });
    this.folder = mkdtempSync(path.join(root, ".tmp", "mutate-"));
    for (const name of ["src", "test", "docs", "examples", "bench", "scripts", "sim"]) {
      const filter = (source: string): boolean => !source.includes("node_modules");
      cpSync(path.join(root, name), path.join(this.folder, name), { recursive: true, filter });
    }
    for (const name of globSync("*.{json,ts,md}", { cwd: root })) {
      cpSync(path.join(root, name), path.join(this.folder, name));
    }
    symlinkSync(path.join(root, "node_modules"), path.join(this.folder, "node_modules"));
  }

  /** What becomes of a change in the stages, or of none. The first stage that notices it has the last word. */
  async runStages(stages: readonly Stage[], rest: readonly string[]): Promise<Verdict> {
    for (const stage of stages) {
      const verdict = await this.runTests(stage, rest);
      if (verdict !== "survived") return verdict;
    }
    return "survived";
  }

  async runTests({ tests, limitMs }: Stage, rest: readonly string[]): Promise<Verdict> {
    const args = [
      path.join("node_modules", "vitest", "vitest.mjs"),
      "run",
      "--bail=1",
      "--reporter=dot",
      tests,
      ...rest,
    ];
    // A group of its own, so that what the tests started ends with them.
    const child = spawn(process.execPath, args, { cwd: this.folder, stdio: "ignore", detached: true });
    let isLate = false;
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, limitMs);
    running.add(end);
    const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
    clearTimeout(timer);
    running.delete(end);
    end();
    if (isLate) return "timed out";
    return code === 0 ? "survived" : "killed";
  }

  async try(mutation: Mutation, run: () => Promise<Verdict>): Promise<Verdict> {
    const file = path.join(this.folder, mutation.file);
    const source = readFileSync(file, "utf8");
    writeFileSync(file, source.slice(0, mutation.start) + mutation.text + source.slice(mutation.end));
    try {
      return await run();
    } finally {
      writeFileSync(file, source);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const running = new Set<() => void>();

function findSources(names: readonly string[]): readonly string[] {
  return names.flatMap((name) => {
    if (!existsSync(path.join(root, name))) throw new Error(`${name}: no such file or folder`);
    if (!statSync(path.join(root, name)).isDirectory()) return [name];
    return globSync(`${name}/**/*.ts`, { cwd: root }).filter((file) => !file.endsWith(".test.ts"));
  });
}

function defaultTests(sources: readonly string[]): readonly string[] {
  const folders = new Set(sources.map((file) => file.split("/")[1] ?? ""));
  return [...folders]
    .flatMap((folder) => [`src/${folder}`, `test/${folder}`])
    .filter((one) => existsSync(path.join(root, one)));
}

/** The survivors of an earlier run. Throws where the source is no longer what it was. */
function readAgain(report: string, sources: readonly string[]): readonly Mutation[] {
  const mutations = JSON.parse(readFileSync(report, "utf8")) as readonly Mutation[];
  return mutations.filter(({ file, line, start, end, was }) => {
    if (!sources.includes(file)) return false;
    const now = readFileSync(path.join(root, file), "utf8").slice(start, end);
    if (now !== was) throw new Error(`${file}:${line} is not what it was when ${report} was written`);
    return true;
  });
}

/** The stages, the quickest first; `undefined` when the tests fail as they are. */
async function measureStages(
  workplace: Workplace,
  tests: readonly string[],
  rest: readonly string[],
): Promise<readonly Stage[] | undefined> {
  const measured: (Stage & { readonly tookMs: number })[] = [];
  for (const one of tests) {
    const startedAt = performance.now();
    if ((await workplace.runTests({ tests: one, limitMs: 600_000 }, rest)) !== "survived") return undefined;
    const tookMs = performance.now() - startedAt;
    measured.push({ tests: one, tookMs, limitMs: 20_000 + 4 * tookMs });
  }
  return measured.toSorted((a, b) => a.tookMs - b.tookMs);
}

type Tally = Readonly<Record<Verdict, number>>;

function scoreOf({ killed, "timed out": late, survived }: Tally): string {
  const count = killed + late + survived;
  return ((100 * (killed + late)) / Math.max(1, count)).toFixed(1);
}

function showTable(tallies: ReadonlyMap<string, Tally>): string {
  const cells = [...tallies].map(([file, tally]) => {
    const { killed, "timed out": late, survived } = tally;
    return [file, killed + late + survived, killed, late, survived, `${scoreOf(tally)} %`].map(String);
  });
  const head = ["file", "mutations", "killed", "timed out", "survived", "score"];
  const rows = [head, head.map((name) => "-".repeat(name.length)), ...cells];
  const widths = head.map((_name, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    ),
  );
  return lines.map((row) => `| ${row.join(" | ")} |\n`).join("");
}

function show({ file, line, operator, was, text }: Mutation): string {
  const short = (code: string): string => {
    const flat = code.replaceAll(/\s+/g, " ");
    return flat.length > 70 ? `${flat.slice(0, 67)}…` : flat;
  };
  return `${file}:${line}  ${operator}: ${short(was)}  →  ${short(text)}`;
}

async function main(): Promise<number> {
  const { values, positionals, tokens } = parseArgs({
    allowPositionals: true,
    tokens: true,
    options: {
      tests: { type: "string", multiple: true },
      sample: { type: "string" },
      seed: { type: "string", default: "1" },
      jobs: { type: "string", default: "1" },
      report: { type: "string" },
      again: { type: "string" },
    },
  });
  const end = tokens.find((token) => token.kind === "option-terminator")?.index ?? Number.POSITIVE_INFINITY;
  const given = tokens.flatMap((token) => (token.kind === "positional" ? [token] : []));
  const names = given.filter(({ index }) => index < end).map(({ value }) => value);
  const rest = given.filter(({ index }) => index > end).map(({ value }) => value);
  if (names.length === 0 || positionals.length === 0) {
    process.stderr.write("Name the files or folders to mutate: npm run mutate -- src/store/memory.ts\n");
    return 2;
  }
  const sources = findSources(names);
  const tests = values.tests ?? defaultTests(sources);
  const all =
    values.again === undefined
      ? sources.flatMap((file) => findMutations(file, readFileSync(path.join(root, file), "utf8")))
      : readAgain(values.again, sources);
  const chosen =
    values.sample === undefined ? all : chooseSample(all, Number(values.sample), Number(values.seed));
  process.stdout.write(
    `${all.length} mutations in ${sources.length} files, ${chosen.length} tried; tests: ${tests.join(" ")}\n`,
  );

  const workplaces = Array.from({ length: Number(values.jobs) }, () => new Workplace());
  const clean = (): void => {
    for (const stop of running) stop();
    for (const workplace of workplaces) workplace.remove();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      clean();
      process.exit(1);
    });
  }
  try {
    const [first] = workplaces;
    const stages = first && (await measureStages(first, tests, rest));
    if (stages === undefined) {
      process.stderr.write("The tests fail without a mutation; nothing was tried.\n");
      return 1;
    }
    const survivors: Mutation[] = [];
    const tallies = new Map<string, Record<Verdict, number>>();
    const total: Record<Verdict, number> = { killed: 0, "timed out": 0, survived: 0 };
    for (const file of sources.filter((one) => chosen.some((mutation) => mutation.file === one)))
      tallies.set(file, { killed: 0, "timed out": 0, survived: 0 });
    let next = 0;
    await Promise.all(
      workplaces.map(async (workplace) => {
        for (let mutation = chosen[next++]; mutation !== undefined; mutation = chosen[next++]) {
          const verdict = await workplace.try(mutation, () => workplace.runStages(stages, rest));
          total[verdict] += 1;
          const tally = tallies.get(mutation.file);
          if (tally !== undefined) tally[verdict] += 1;
          if (verdict === "survived") survivors.push(mutation);
          if (verdict !== "killed") process.stdout.write(`${verdict}  ${show(mutation)}\n`);
        }
      }),
    );
    if (values.report !== undefined)
      writeFileSync(values.report, `${JSON.stringify(survivors, undefined, 2)}\n`);
    process.stdout.write(
      `\n${showTable(tallies)}\n${chosen.length} tried: ${total.killed} killed, ${total["timed out"]} timed out, ` +
        `${total.survived} survived; score ${scoreOf(total)} %\n`,
    );
    return survivors.length === 0 ? 0 : 1;
  } finally {
    clean();
  }
}

process.exitCode = await main();
