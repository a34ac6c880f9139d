/**
 * `npm run mutate -- src/store/memory.ts src/store/sqlite --sample 200`: changes one thing in the source at a time and
 * runs the tests. A change that no test notices (a survivor) is either no change at all, or a test that is missing.
 *
 *   --tests PATH     the tests to run, once or more; default: those of the first folder of each source (src/store, test/store)
 *   --sample N       so many changes at most, chosen by --seed (default: all, 1)
 *   --jobs N         so many at one time (default 1)
 *   --report FILE    where the survivors are written as JSON
 *   -- ARGS          for vitest, such as -t "in memory"
 *
 * Nothing in this tree is changed: each job has a copy of it below .tmp/. The exit code is 1 when something survived.
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

/** A copy of this tree in which files may be broken. */
class Workplace {
  readonly folder: string;

  constructor() {
    mkdirSync(path.join(root, ".tmp"), { recursive: true });
    this.folder = mkdtempSync(path.join(root, ".tmp", "mutate-"));
    for (const name of ["src", "test", "docs", "examples", "bench", "scripts"]) {
      const filter = (source: string): boolean => !source.includes("node_modules");
      cpSync(path.join(root, name), path.join(this.folder, name), { recursive: true, filter });
    }
    for (const name of globSync("*.{json,ts,md}", { cwd: root })) {
      cpSync(path.join(root, name), path.join(this.folder, name));
    }
    symlinkSync(path.join(root, "node_modules"), path.join(this.folder, "node_modules"));
  }

  /** Whether the tests pass; `undefined` when they took too long. */
  async runTests(
    tests: readonly string[],
    rest: readonly string[],
    limitMs: number,
  ): Promise<boolean | undefined> {
    const args = [
      path.join("node_modules", "vitest", "vitest.mjs"),
      "run",
      "--bail=1",
      "--reporter=dot",
      ...tests,
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
    return isLate ? undefined : code === 0;
  }

  async try(mutation: Mutation, run: () => Promise<boolean | undefined>): Promise<boolean | undefined> {
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
  const all = sources.flatMap((file) => findMutations(file, readFileSync(path.join(root, file), "utf8")));
  const chosen = chooseSample(all, Number(values.sample ?? all.length), Number(values.seed));
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
    const startedAt = performance.now();
    const [first] = workplaces;
    if ((await first?.runTests(tests, rest, 600_000)) !== true) {
      process.stderr.write("The tests fail without a mutation; nothing was tried.\n");
      return 1;
    }
    const limitMs = 20_000 + 4 * (performance.now() - startedAt);
    const survivors: Mutation[] = [];
    let [killed, late, next] = [0, 0, 0];
    await Promise.all(
      workplaces.map(async (workplace) => {
        for (let mutation = chosen[next++]; mutation !== undefined; mutation = chosen[next++]) {
          const hasPassed = await workplace.try(mutation, () => workplace.runTests(tests, rest, limitMs));
          if (hasPassed === undefined) late += 1;
          else if (hasPassed) survivors.push(mutation);
          else killed += 1;
          if (hasPassed === true) process.stdout.write(`survived  ${show(mutation)}\n`);
        }
      }),
    );
    const score = ((100 * (killed + late)) / Math.max(1, chosen.length)).toFixed(1);
    if (values.report !== undefined)
      writeFileSync(values.report, `${JSON.stringify(survivors, undefined, 2)}\n`);
    process.stdout.write(
      `${chosen.length} tried: ${killed} killed, ${late} timed out, ${survivors.length} survived; score ${score} %\n`,
    );
    return survivors.length === 0 ? 0 : 1;
  } finally {
    clean();
  }
}

process.exitCode = await main();
