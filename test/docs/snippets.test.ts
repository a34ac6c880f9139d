/** Every piece of TypeScript in the documents compiles, and those that say what they print are run. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { connect } from "aion";
import type { EventType } from "aion/client";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parseDocument, readDocument, readDocuments, readTable, root } from "./documents.ts";
import type { Ended } from "./run-program.ts";
import { killAll, runProgram } from "./run-program.ts";
import type { Workspace } from "./snippets.ts";
import { checkTypes, writeSnippets } from "./snippets.ts";

const workspaces: Workspace[] = [];

function write(...documents: Parameters<typeof writeSnippets>[0]): Workspace {
  const workspace = writeSnippets(documents);
  workspaces.push(workspace);
  return workspace;
}

/** Resolves when the engine that owns the file has recorded such an event. */
async function recorded(file: string, type: EventType): Promise<void> {
  const connection = await connect(`sqlite:${file}`);
  try {
    const run = connection.client.get("order-42");
    for await (const event of run.follow()) if (event.type === type) return;
  } finally {
    connection.close();
  }
}

afterEach(killAll);
afterAll(() => {
  for (const workspace of workspaces) workspace.remove();
});

describe("the TypeScript in the documents", () => {
  let workspace: Workspace;
  beforeAll(() => {
    workspace = write(...readDocuments());
  });

  it("compiles, all of it", () => {
    expect(workspace.snippets.length).toBeGreaterThan(20);
    expect(checkTypes(workspace)).toBe("");
  });

  it("prints what the document says where it is marked to be run", async () => {
    const marked = workspace.snippets.filter((snippet) => snippet.isRun);
    expect(marked.map(({ place }) => place)).toContainEqual(expect.stringMatching(/^README\.md:/));
    for (const { place, file, output } of marked) {
      const ended = await runProgram(file).ended;
      expect({ place, ...ended }).toEqual({ place, code: 0, signal: null, output });
    }
  });
});

describe("the check of the snippets", () => {
  it("catches a snippet that does not compile, and says where it stands", () => {
    const good = "```ts\n// good.ts\nexport const n = 1;\n```\n";
    const bad = '```ts\nimport { n } from "./good.ts";\nn.length;\n```\n';
    const workspace = write(parseDocument("docs/a.md", `# A\n\n${good}\n${bad}`));
    expect(checkTypes(workspace)).toMatch(/^docs\/a\.md:9\(2,3\): error TS2339/);
  });

  it("refuses two snippets of one name, and a block that is never closed", () => {
    const twice = "```ts\n// a.ts\n```\n\n```ts\n// a.ts\n```\n";
    expect(() => write(parseDocument("docs/a.md", twice))).toThrow(/EEXIST/);
    expect(() => parseDocument("docs/a.md", "```ts\nconst a = 1;\n")).toThrow(
      /docs\/a\.md:2: .*never closed/,
    );
  });
});

describe("the example of the README", () => {
  const readme = readDocument("README.md");

  it("has fewer than thirty lines", () => {
    const example = readme.fences.find((fence) => fence.marks.includes("run"));
    expect(example?.text.trimEnd().split("\n").length).toBeLessThan(30);
  });

  it("goes on when it is killed, and charges nothing again when it has ended", async () => {
    const workspace = write(readme);
    const file = workspace.snippets.find((snippet) => snippet.isRun)?.file ?? "";
    const killed = runProgram(file);
    await killed.printed("charging 99");
    await recorded(path.join(path.dirname(file), "orders.db"), "ActivityCompleted");
    killed.kill();
    expect((await killed.ended).signal).toBe("SIGKILL");
    expect(await runProgram(file).ended).toEqual({ code: 0, signal: null, output: "parcel-42\n" });
    expect(await runProgram(file).ended).toEqual({ code: 0, signal: null, output: "parcel-42\n" });
  });
});

describe("the command lines", () => {
  const readme = readDocument("README.md");
  const document = readDocument("docs/getting-started.md");
  const command = [process.execPath, path.join(root, "src/cli/main.ts")].map((part) => `'${part}'`).join(" ");

  /** As in a terminal where the package is installed. */
  async function inShell(folder: string, script: string): Promise<Ended> {
    const file = path.join(folder, "script.sh");
    writeFileSync(file, `set -eu\naion() { ${command} "$@"; }\n${script}`);
    return await runProgram(file, "/bin/sh").ended;
  }

  it("of the README do what they say, on the file of getting started", async () => {
    const workspace = write(document);
    const folder = workspace.folderOf(document.path);
    const lines = readme.fences.find(({ text }) => text.includes("aion list"))?.text ?? "";
    const program = runProgram(path.join(folder, "main.ts"));
    await program.printed("started");
    const ended = await inShell(folder, lines);
    expect(ended).toMatchObject({ code: 0, output: expect.stringContaining('"approvedBy": "ann"') });
    expect(ended.output).toContain('"WorkflowCompleted"');
    expect((await program.ended).code).toBe(0);
  });

  it.each(["replay", "check"])(
    "of the guide %s histories against code, and tell by the exit code whether it fits",
    async (name) => {
      const workspace = write(document);
      const folder = workspace.folderOf(document.path);
      const line =
        new RegExp(`\`(aion ${name} [^\`]*)\``).exec(readDocument("docs/guide.md").text)?.[1] ?? "";
      const replay = line.replace("aion.db", "orders.db");
      const program = runProgram(path.join(folder, "main.ts"));
      await program.printed("started");
      await recorded(path.join(folder, "orders.db"), "TimerStarted");
      expect(await inShell(folder, replay)).toMatchObject({
        code: 0,
        output: expect.stringMatching(/^ok: /),
      });

      const definitions = path.join(folder, "order.ts");
      const changed = readFileSync(definitions, "utf8").replace('timeout: "2 days"', 'timeout: "3 days"');
      writeFileSync(definitions, changed);
      expect(await inShell(folder, replay)).toMatchObject({
        code: 1,
        output: expect.stringMatching(
          /error\[nondeterminism\]|^diverged [^]*the code asked for start-timer/,
        ) as string,
      });
    },
  );

  it("of the guide are all that the command has, and the other way round", async () => {
    const { output } = await inShell(write(document).folderOf(document.path), "aion --help");
    const known = [...output.matchAll(/^ {2}([a-z]+)(?: \[options\])?(?: [<[]|\s{2,})/gm)].map(
      ([, name]) => name,
    );
    const table = readTable(readDocument("docs/guide.md"), "The command");
    const told = table.flatMap(([cell = ""]) => cell.split(", ").map((one) => one.split(" ")[0]));
    expect(told.length).toBeGreaterThan(5);
    expect(new Set(told)).toEqual(new Set(known.filter((name) => name !== "help")));
  });
});

describe("getting started", () => {
  const document = readDocument("docs/getting-started.md");
  const said = document.fences.filter((fence) => fence.language === "text").map((fence) => fence.text);

  it("happens as it is told: a charge, a crash, an approval from another process, the history", async () => {
    const workspace = write(document);
    const at = (name: string): string => path.join(workspace.folderOf(document.path), name);
    const [beforeCrash = "", afterCrash = "", asked = "", result = "", history = ""] = said;

    const first = runProgram(at("main.ts"));
    await first.printed(beforeCrash);
    await recorded(at("orders.db"), "TimerStarted");
    first.kill();
    expect((await first.ended).output).toBe(beforeCrash);

    const second = runProgram(at("main.ts"));
    await second.printed(afterCrash);
    expect(await runProgram(at("approve.ts")).ended).toEqual({ code: 0, signal: null, output: asked });
    expect(await second.ended).toEqual({ code: 0, signal: null, output: `${afterCrash}${result}` });
    expect(await runProgram(at("history.ts")).ended).toEqual({ code: 0, signal: null, output: history });
  });

  it("charges again as the second attempt when it is killed in the middle of the first", async () => {
    const workspace = write(document);
    const folder = workspace.folderOf(document.path);
    const definitions = path.join(folder, "order.ts");
    const quick = "return `payment-${order.id}`;";
    const text = readFileSync(definitions, "utf8");
    expect(text).toContain(quick);
    writeFileSync(definitions, text.replace(quick, "return new Promise<string>(() => undefined);"));

    const first = runProgram(path.join(folder, "main.ts"));
    await first.printed("charge 42, attempt 1");
    first.kill();
    await first.ended;
    const second = runProgram(path.join(folder, "main.ts"));
    await second.printed("charge 42, attempt 2");
    await second.printed("recovered 1\n");
  });
});
