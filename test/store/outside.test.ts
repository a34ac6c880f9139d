/** The conformance suite as those have it who write a backend: from the package, in a project of their own. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = path.dirname(path.dirname(import.meta.dirname));
const directory = mkdtempSync(path.join(tmpdir(), "aion-outside-"));
const project = path.join(directory, "project");

/** Packs what is published and unpacks it as an installation would. */
function install(): void {
  const staged = path.join(directory, "staged");
  const source = path.join(root, "src");
  mkdirSync(staged);
  const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const outDir = path.join(staged, "dist");
  execFileSync(process.execPath, [
    compiler,
    "-p",
    path.join(root, "tsconfig.build.json"),
    "--outDir",
    outDir,
  ]);
  for (const file of globSync("**/*.sql", { cwd: source })) {
    mkdirSync(path.dirname(path.join(outDir, file)), { recursive: true });
    copyFileSync(path.join(source, file), path.join(outDir, file));
  }
  for (const file of ["package.json", "CHANGELOG.md", "LICENSE"]) {
    copyFileSync(path.join(root, file), path.join(staged, file));
  }
  execFileSync("npm", ["pack", "--ignore-scripts", "--silent", staged], { cwd: directory });
  const installed = path.join(project, "node_modules", "aion");
  mkdirSync(installed, { recursive: true });
  const [tarball = ""] = globSync("*.tgz", { cwd: directory });
  execFileSync("tar", ["-xzf", path.join(directory, tarball), "--strip-components=1", "-C", installed]);
  for (const name of ["fast-check", "pure-rand", "zod", "@standard-schema"]) {
    symlinkSync(path.join(root, "node_modules", name), path.join(project, "node_modules", name));
  }
}

const backend = `
import { describe, it } from "node:test";
import { describeStoreConformance, openMemoryStore } from "aion/store";

const append = (store) => BEND;

/** Keeps a clock of its own, and passes everything on. */
class Backend {
  #now = 5_000;
  async open() {
    const time = { now: () => this.#now, advance: async (millis) => void (this.#now += millis) };
    const memory = openMemoryStore({ clock: time });
    const store = new Proxy(memory, {
      get: (target, name) => name === "append" ? append(target) : typeof target[name] === "function" ? target[name].bind(target) : target[name],
    });
    return { store, time, dispose: () => memory.close() };
  }
}

describeStoreConformance("of my own", new Backend(), { describe, it }, { runCount: 5 });
`;

function runProject(bend: string) {
  writeFileSync(path.join(project, "backend.test.mjs"), backend.replace("BEND", bend));
  const { NODE_OPTIONS: _options, NODE_TEST_CONTEXT: _context, VITEST: _vitest, ...env } = process.env;
  const args = ["--test", "--test-reporter=tap", "backend.test.mjs"];
  return spawnSync(process.execPath, args, { cwd: project, env, encoding: "utf8" });
}

describe("from the packed package, with node:test", () => {
  beforeAll(install, 120_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it("the suite passes a sound backend that keeps a clock of its own", () => {
    const { stdout, status } = runProject("(token, commits) => store.append(token, commits)");
    expect({ status, failures: stdout.match(/not ok .*/g) }).toEqual({ status: 0, failures: null });
    expect(Number(/^# pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(60);
    // What this backend does not have is left out, and not passed.
    expect(stdout).not.toContain("two objects on the same data");
  });

  it("the suite fails a broken one, and names the law", () => {
    const { stdout, status } = runProject(
      "async (token, commits) => (await store.append(token, commits)).toReversed()",
    );
    expect(status).not.toBe(0);
    expect(stdout).toContain("not ok");
    expect(stdout).toMatch(
      /not ok \d+ - commits of one call succeed or are refused each by itself, in order/,
    );
    expect(stdout).toMatch(/Again with \{ seed: -?\d+, path: /);
  });
});
