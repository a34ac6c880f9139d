/** `aion init`: what it makes is type-checked, tested and started here, as its owner would. */
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { templateNames, toPackageName } from "../../src/cli/project.ts";
import type { TemplateName } from "../../src/cli/project.ts";
import { CommandTest } from "./command.ts";

const root = path.dirname(path.dirname(import.meta.dirname));

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

interface Manifest {
  readonly name: string;
  readonly files?: readonly string[];
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** A project with what `npm install` would put there. */
async function makeProject(template: TemplateName): Promise<string> {
  const directory = path.join(test.directory, template);
  const { exitCode, stderr } = await test.run(["init", directory, "--template", template]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const { dependencies, devDependencies } = readManifest(directory);
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    const link = path.join(directory, "node_modules", name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(name === "aion" ? root : path.join(root, "node_modules", name), link);
  }
  return directory;
}

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8")) as Manifest;
}

/** `node ARGS`, as the scripts of the project say, with aion's own variables taken away. */
function startNode(directory: string, args: readonly string[]) {
  const { AION_STORE: _store, FORCE_COLOR: _color, NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const child = spawn(process.execPath, args, { cwd: directory, env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]).then(([stdout, stderr, exitCode]) => ({ stdout, stderr, exitCode }));
  return { child, ended };
}

describe.each(templateNames)("a project from the template %s", (template) => {
  it("passes the strict compiler and its own tests", async () => {
    const directory = await makeProject(template);
    const { scripts } = readManifest(directory);
    expect(scripts).toEqual({ start: "node main.ts", test: "node --test", check: "tsc" });
    const compiler = path.join(root, "node_modules/typescript/bin/tsc");
    const types = spawnSync(process.execPath, [compiler, "--customConditions", "aion-source"], {
      cwd: directory,
      encoding: "utf8",
    });
    expect({ status: types.status, stdout: types.stdout }).toEqual({ status: 0, stdout: "" });
    const { stdout, exitCode } = await startNode(directory, ["--test", "--test-reporter=tap"]).ended;
    expect({ exitCode, stdout }).toMatchObject({ exitCode: 0 });
    expect(stdout).toMatch(/^# pass [1-9]\d*$/m);
    expect(stdout).toMatch(/^# fail 0$/m);
  });

  it("is built into a package, without a warning", async () => {
    const directory = await makeProject(template);
    const { exitCode, stderr } = await test.run(["build", path.join(directory, `${template}.ts`)]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  });
});

describe("npm start of a project", () => {
  it("from order sells an order once, and says how to approve a large one", async () => {
    const directory = await makeProject("order");
    const first = await startNode(directory, ["main.ts"]).ended;
    expect(first).toMatchObject({ exitCode: 0, stderr: "" });
    expect(first.stdout).toContain("charge 40 for order 1 (attempt 1)\n");
    expect(first.stdout).toMatch(/order 1 is done: payment-1, parcel-1\n$/);
    const again = await startNode(directory, ["main.ts"]).ended;
    expect(again.stdout).toBe("order 1 was there already\norder 1 is done: payment-1, parcel-1\n");

    const large = startNode(directory, ["main.ts", "2", "250"]);
    let seen = "";
    large.child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    await expect.poll(() => seen).toContain("npx aion signal");
    const words = /npx aion signal (\S+) (\S+) --input '(.*)' --store (\S+)/.exec(seen) ?? [];
    const [, id = "", name = "", input = "", store = ""] = words;
    const there = `sqlite:${path.join(directory, store.replace("sqlite:", ""))}`;
    expect(await test.run(["signal", id, name, "--input", input, "--store", there])).toMatchObject({
      exitCode: 0,
    });
    expect((await large.ended).stdout).toMatch(/order 2 is done: payment-2, parcel-2\n$/);
  });

  it("from subscription charges until it is stopped, and goes on until its end", async () => {
    const directory = await makeProject("subscription");
    const store = `sqlite:${path.join(directory, "aion.db")}`;
    const first = startNode(directory, ["main.ts"]);
    let seen = "";
    first.child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    await expect
      .poll(() => seen)
      .toMatch(/charge ann for basic, payment 1\n[^]*export AION_STORE|export AION_STORE[^]*payment 1\n/);
    first.child.kill("SIGTERM");
    expect(await first.ended).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("stopped; npm start goes on from here") as string,
    });
    const signal = await test.run(["signal", "subscription-ann", "unsubscribe", "--store", store]);
    expect(signal).toMatchObject({ exitCode: 0 });
    const second = await startNode(directory, ["main.ts"]).ended;
    expect(second).toMatchObject({ exitCode: 0, stderr: "" });
    expect(second.stdout).toContain("ann is a subscriber already\n");
    expect(second.stdout).toMatch(/ann is gone \(unsubscribed\); payments: \d\n$/);
  });

  it("from pipeline reads its inbox and writes the report", async () => {
    const directory = await makeProject("pipeline");
    const { stdout, stderr, exitCode } = await startNode(directory, ["main.ts", "monday"]).ended;
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    expect(stdout).toBe(
      'summarize-monday has begun\n5 rows, 1 rejected, 600 in all\ngiven up: inbox/west.csv: it does not begin with "id,amount"\n',
    );
    expect(JSON.parse(readFileSync(path.join(directory, "report.json"), "utf8"))).toMatchObject({
      totals: { rowCount: 5, rejectedCount: 1, amount: 600 },
      failed: [{ file: "inbox/west.csv" }],
    });
  });
});

describe("aion init", () => {
  it("gives a project to the compiler that finds a wrong type in it", async () => {
    const directory = await makeProject("order");
    writeFileSync(path.join(directory, "wrong.ts"), "export const wrong: number = [1][0];\n");
    const compiler = path.join(root, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(
      process.execPath,
      [compiler, "--customConditions", "aion-source", "--pretty", "false"],
      { cwd: directory, encoding: "utf8" },
    );
    expect(status).not.toBe(0);
    expect(stdout).toMatch(/^wrong\.ts\(1,14\): error TS2322/);
  });

  it("says what it wrote and what comes next", async () => {
    const { stdout, stderr, exitCode } = await test.run(["init", "My Shop"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^my-shop, from the template order, in /);
    // The command runs from the source here, and the project gets what is built of it.
    expect(stdout).toMatch(
      /\n {2}npm run build --prefix \S+\n {2}cd 'My Shop'\n {2}npm install\n {2}npm test\n {2}npm start\n$/,
    );
    expect(stderr).toBe(
      "note: this is the template order; there are others: --template subscription, pipeline\n",
    );
    const directory = path.join(test.directory, "My Shop");
    const written = stdout.split("\n").flatMap((line) => /^ {2}([\w./-]+)$/.exec(line)?.[1] ?? []);
    expect(written).toContain("order.test.ts");
    expect(written.filter((file) => !existsSync(path.join(directory, file)))).toEqual([]);
    expect(readdirSync(directory)).toContain(".gitignore");
  });

  // `script` (of util-linux) makes the terminal.
  it.skipIf(spawnSync("script", ["--version"]).error !== undefined)(
    "asks on a terminal which template it shall be, and writes nothing without an answer",
    () => {
      const onTerminal = (directory: string, input: string): string => {
        const main = path.join(root, "src/cli/main.ts");
        const command = `'${process.execPath}' '${main}' init ${directory}`;
        const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
          cwd: test.directory,
          input,
          encoding: "utf8",
          timeout: 240_000,
          env: { ...process.env, TERM: "dumb", NO_COLOR: "1" },
        });
        return stdout.replaceAll("\r", "");
      };
      const chosen = onTerminal("chosen", "9\n2\n");
      expect(chosen).toContain("Say a number from 1 to 3, or a name.\n");
      expect(chosen).toContain("chosen, from the template subscription, in ");
      expect(chosen).not.toContain("note: ");
      expect(existsSync(path.join(test.directory, "chosen/subscription.ts"))).toBe(true);
      // Ctrl-D.
      expect(onTerminal("given-up", "\u0004")).toContain("error[invalid_argument]: no template was chosen");
      expect(existsSync(path.join(test.directory, "given-up"))).toBe(false);
    },
  );

  it("takes the versions of what it needs from the package that it is part of", async () => {
    await test.run(["init", "a"]);
    const own = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as Manifest;
    expect(own.files).toContain("templates");
    const { name, dependencies, devDependencies } = readManifest(path.join(test.directory, "a"));
    expect(name).toBe("a");
    expect(dependencies["zod"]).toBe(own.dependencies["zod"]);
    expect(devDependencies["typescript"]).toBe(own.devDependencies["typescript"]);
    // Not on npm yet: this very copy.
    const [, target = ""] = /^file:(.*)$/.exec(dependencies["aion"] ?? "") ?? [];
    expect(realpathSync(target)).toBe(realpathSync(root));
  });

  it("works in this directory, if it is empty or has other files", async () => {
    writeFileSync(path.join(test.directory, "LICENSE"), "mine");
    const document = (await test.json(["init", "--template", "pipeline"])) as {
      readonly directory: string;
      readonly files: readonly string[];
      readonly next: readonly string[];
    };
    expect(document).toMatchObject({ template: "pipeline" });
    expect(realpathSync(document.directory)).toBe(realpathSync(test.directory));
    expect(document.files).toContain("inbox/north.csv");
    expect(document.next.slice(-3)).toEqual(["npm install", "npm test", "npm start"]);
    expect(document.next.join("\n")).not.toContain("cd ");
    expect(readFileSync(path.join(test.directory, "LICENSE"), "utf8")).toBe("mine");
  });

  it("replaces nothing, and says what stands in the way", async () => {
    writeFileSync(path.join(test.directory, "package.json"), "mine");
    mkdirSync(path.join(test.directory, "main.ts"));
    symlinkSync("nowhere", path.join(test.directory, "README.md"));
    const before = readdirSync(test.directory);
    const { exitCode, stdout, stderr } = await test.run(["init"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(
      /^error\[invalid_argument\]: files stand in the way in .*: README\.md, main\.ts, package\.json\nhint: Nothing was written\./,
    );
    expect(readdirSync(test.directory)).toEqual(before);
    expect(readFileSync(path.join(test.directory, "package.json"), "utf8")).toBe("mine");
  });

  it("leaves nothing behind where nothing can be made", async () => {
    writeFileSync(path.join(test.directory, "file"), "mine");
    const before = readdirSync(test.directory);
    const [here, below] = await Promise.all([test.run(["init", "file"]), test.run(["init", "file/below"])]);
    expect(here.stderr).toMatch(/^error\[invalid_argument\]: .*file is no directory\nhint: /);
    expect(below.stderr).toMatch(/^error\[invalid_argument\]: cannot make a project in .*below: .*\nhint: /);
    expect([here.exitCode, below.exitCode]).toEqual([1, 1]);
    expect(readdirSync(test.directory)).toEqual(before);
  });

  it("knows no other template than those that there are", async () => {
    const { exitCode, stderr } = await test.run(["init", "a", "--template", "empty"]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`Allowed choices are ${templateNames.join(", ")}.`);
    expect(readdirSync(path.join(root, "templates")).toSorted()).toEqual(
      ["base", ...templateNames].toSorted(),
    );
  });

  it.each([
    ["shop", "shop"],
    ["My Shop!", "my-shop"],
    ["Bücher", "bucher"],
    ["..", "my-workflows"],
    ["_x", "x"],
    ["日本", "my-workflows"],
    ["aion", "aion-workflows"],
  ])("makes of the directory %s the name %s", (directory, name) => {
    expect(toPackageName(directory)).toBe(name);
  });
});
