/** What people see, how errors look, and what a wrong command line does. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createProgram } from "../../src/cli/command-line.ts";
import { commandFile, CommandTest } from "./command.ts";
import { approval, approve, fulfil } from "./workflows.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

describe("a wrong command line", () => {
  it.each([
    ["no command", [], "Usage: aion"],
    [
      "a command that does not exist",
      ["lst"],
      "error[invalid_argument]: unknown command 'lst'\nhint: Did you mean list? `aion --help` and",
    ],
    ["help for a command that does not exist", ["help", "lst"], "Usage: aion"],
    ["an option that does not exist", ["list", "--frob"], "error[invalid_argument]: unknown option '--frob'"],
    ["a missing argument", ["describe"], "error[invalid_argument]: missing required argument 'id'"],
    ["one argument too many", ["count", "x"], "error[invalid_argument]: too many arguments"],
    ["a status that is none", ["list", "--status", "asleep"], "error[invalid_argument]: option '--status"],
    [
      "a limit that is none",
      ["list", "--limit", "many"],
      "error[invalid_argument]: --limit must be a whole number",
    ],
    [
      "a time that is none",
      ["list", "--started-after", "soon"],
      'error[invalid_argument]: "soon" is no time',
    ],
    ["a duration that is none", ["result", "a", "--timeout", "soon"], "error[invalid_argument]: --timeout"],
    [
      "an input that is no JSON",
      ["start", "t", "--input", "{"],
      "error[payload_not_serializable]: --input is no JSON",
    ],
    [
      "a file that is not there",
      ["start", "t", "--input-file", "no.json"],
      "error[invalid_argument]: cannot read",
    ],
    [
      "two inputs",
      ["start", "t", "--input", "1", "--input-file", "-"],
      "error[invalid_argument]: option '--input",
    ],
    [
      "a payload without a signal",
      ["start", "t", "--signal-input", "1"],
      "error[invalid_argument]: --signal-input",
    ],
    ["a policy that is none", ["start", "t", "--reuse", "maybe"], "error[invalid_argument]: option '--reuse"],
    ["a replay without code", ["replay", "a"], "error[invalid_argument]: a replay needs the workflow's code"],
    [
      "a store of another kind",
      ["list", "--store", "redis:x"],
      'error[store_url_invalid]: "redis:x" names no store',
    ],
    ["a store in memory", ["list", "--store", "memory:"], "error[store_url_invalid]"],
    ["an empty path", ["list", "--store", "sqlite:"], "error[store_url_invalid]"],
  ])("with %s ends with code 2 and asks nothing of a store", async (_what, args, message) => {
    const { exitCode, stdout, stderr } = await test.run(args);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(exitCode).toBe(2);
  });

  it("without a store says how to name one", async () => {
    const { exitCode, stderr } = await test.run(["list"], { env: { AION_STORE: "" } });
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^error\[invalid_argument\]: neither a store nor .*\nhint: Pass --store sqlite:/);
  });

  it("that asks for help or the version is none", async () => {
    const [help, version, one, ...others] = await Promise.all([
      test.run(["--help"]),
      test.run(["--version"]),
      test.run(["start", "--help"]),
      test.run(["help", "start"]),
      test.run(["help", "start", "--json"]),
    ]);
    for (const other of others) expect(other).toEqual(one);
    expect(await test.run(["help"])).toEqual(help);
    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    expect(help.stdout).toContain("Exit codes: 0 fine, 1 failed, 2 wrong usage.");
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(one.stdout).toContain("--store <url>");
  });

  it("is helped with in 80 columns", () => {
    const helpOf = (command: Command): readonly string[] => {
      let text = "";
      command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 80 });
      command.outputHelp();
      return [text, ...command.commands.flatMap(helpOf)];
    };
    const helps = helpOf(createProgram());
    expect(helps.length).toBeGreaterThan(50);
    expect(helps.flatMap((help) => help.split("\n")).filter((line) => line.length > 80)).toEqual([]);
  });

  // Those of the program are taken wherever they stand: a command would never see its own.
  it("is not what an option of a command means: none has the name of one of the program's", () => {
    const program = createProgram();
    const common = new Set(program.options.map(({ long }) => long));
    const optionsOf = (command: Command): readonly string[] =>
      command.commands.flatMap((inner) => [
        ...inner.options.map(({ long }) => `${inner.name()} ${long ?? ""}`),
        ...optionsOf(inner),
      ]);
    const all = optionsOf(program);
    expect(all.length).toBeGreaterThan(100);
    expect(all.filter((option) => common.has(option.split(" ")[1]))).toEqual([]);
  });
});

describe("a store that cannot be used", () => {
  it("is told with its code and what to do, and is left as it is", async () => {
    const foreign = path.join(test.directory, "foreign.db");
    writeFileSync(foreign, "this is no database, and somebody wants to keep it".repeat(100));
    const results = await Promise.all([
      test.run(["list", "--store", `sqlite:${path.join(test.directory, "missing", "a.db")}`]),
      test.run(["list", "--store", `sqlite:${foreign}`]),
      test.run(["start", "t", "--store", `sqlite:${foreign}`]),
    ]);
    for (const { exitCode, stdout } of results) expect([exitCode, stdout]).toEqual([1, ""]);
    expect(results.map(({ stderr }) => /^error\[(\w+)\]: .*\nhint: ./.exec(stderr)?.[1])).toEqual([
      "store_unavailable",
      "store_corrupt",
      "store_corrupt",
    ]);
  });
});

describe("what people see", () => {
  it("is plain where it is no terminal, and coloured where colours are wanted", async () => {
    await test.makeStore(async ({ client }) => {
      await client.start(approve, undefined, { id: "a-1" });
    });
    const [plain, coloured] = await Promise.all([
      test.run(["list"]),
      test.run(["list"], { env: { FORCE_COLOR: "1" } }),
    ]);
    expect(plain.stdout).toMatch(/^WORKFLOW ID {2}TYPE {5}STATUS {3}STARTED .* EVENTS\n/);
    expect(plain.stdout).toMatch(
      /\na-1 {10}approve {2}running {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}(?:now|.* ago) +1\n$/,
    );
    expect(coloured.stdout).toContain("\u001b[36mrunning\u001b[39m");
  });

  // `script` (of util-linux) makes the terminal.
  it.skipIf(spawnSync("script", ["--version"]).error !== undefined)(
    "is no wider than a terminal, and whole where there is none",
    async () => {
      const id = `order-${"0123456789-".repeat(10)}end`;
      const engine = await test.openEngine({ feed: true });
      await engine.client.start(approve, undefined, { id });
      await engine.close();
      const commands = ["list --attributes", "watch --once", `describe ${id}`].map(
        (command) => `"${process.execPath}" "${commandFile}" ${command}`,
      );
      const narrow = spawnSync("script", ["-qec", `stty cols 72; ${commands.join("; ")}`, "/dev/null"], {
        encoding: "utf8",
        env: { ...process.env, AION_STORE: test.store, NO_COLOR: "1", TERM: "xterm" },
      });
      const lines = narrow.stdout.replaceAll("\r", "").trimEnd().split("\n");
      const [list, watched] = [lines.slice(0, 2), lines.slice(3, 4)];
      expect(list[0]).toMatch(/^WORKFLOW ID {2,}TYPE {5}STATUS .* TOOK {2}ATTRIBUTES$/);
      expect(list[1]).toMatch(/^order-0123.*…[\d-]*-end {2}approve {2}running/);
      expect(watched[0]).toMatch(/WorkflowStarted .* orde.*….*end {2}approve$/);
      for (const line of [...list, ...watched]) expect(line.length).toBeLessThanOrEqual(72);
      expect(lines).toContain(id);
      expect((await test.run(["list"])).stdout).toContain(`${id}  approve  running  20`);
    },
  );

  it("tells that nothing matches, and that there is more, beside the table", async () => {
    await test.makeStore(async ({ client }) => {
      await client.start(approve, undefined, { id: "a-1" });
      await client.start(approve, undefined, { id: "a-2" });
    });
    const [none, more] = await Promise.all([
      test.run(["list", "--type", "x"]),
      test.run(["list", "--limit", "1"]),
    ]);
    expect(none).toEqual({ exitCode: 0, stdout: "", stderr: "note: no run matches\n" });
    expect(more.stderr).toMatch(/^note: there are more: --cursor \d+, or --all\n$/);
  });

  it("shows a history line by line, payloads cut unless they are wanted in full", async () => {
    const long = "x".repeat(1_000);
    await test.makeStore(async ({ client }) => {
      const run = await client.start(approve, undefined, { id: "a-1" });
      await run.signal(approval, { by: long });
      await run.result();
    });
    const [cut, full] = await Promise.all([
      test.run(["history", "a-1"]),
      test.run(["history", "a-1", "--full"]),
    ]);
    const lines = cut.stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(lines[1]).toMatch(
      /^ {4}1 {2}\d\d:\d\d:\d\d\.\d{3} {6}\+0ms {2}WorkflowStarted {10}approve {2}null {2}run /,
    );
    expect(lines[2]).toMatch(/SignalReceived {11}approval {2}\{"by":"x+…$/);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(160);
    expect(full.stdout).toContain(long);
  });

  it("lets no workflow write to the terminal", async () => {
    const hostile = "\u001b]52;c;ZXZpbA==\u0007\u009b31m\u202e";
    await test.makeStore(async ({ client }) => {
      const run = await client.start(
        fulfil,
        { amount: 1 },
        { id: "o-1", signal: [approval, { by: hostile }] },
      );
      await run.terminate(hostile);
    });
    const results = await Promise.all([
      test.run(["describe", "o-1"]),
      test.run(["history", "o-1"]),
      test.run(["result", "o-1"]),
    ]);
    for (const { stdout, stderr } of results) {
      // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
      expect(`${stdout}${stderr}`).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
      expect(`${stdout}${stderr}`).toContain(String.raw`\u001b]52;c;`);
    }
    const document = (await test.json(["result", "o-1"])) as {
      readonly failure: { readonly message: string };
    };
    expect(document.failure.message).toContain(hostile);
  });

  it("ends quietly when nobody reads on", async () => {
    await test.makeStore(async ({ client }) => {
      await client.start(approve, undefined, { id: "a-1" });
    });
    const helped = test.spawn(["schedule"]);
    helped.stderr.destroy();
    expect(await new Promise((resolve) => helped.once("close", resolve))).toBe(2);
    const command = test.spawn(["list"]);
    command.stdout.destroy();
    let stderr = "";
    command.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    expect(await new Promise((resolve) => command.once("close", resolve))).toBe(0);
    expect(stderr).toBe("");
  });
});
