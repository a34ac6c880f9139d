/** What workflow code can reach, and what never matters. */
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildPackage } from "../../src/package/build.ts";
import { Project, flow, load, money, start, stripe, toLines } from "./project.ts";
import type { Files } from "./project.ts";

let project: Project;
beforeEach(() => {
  project = new Project();
});
afterEach(() => project.dispose());

describe("what workflow code never calls", () => {
  it.each<readonly [what: string, files: Files]>([
    [
      "a library that is not installed",
      {
        "order.ts": `${start}import { S3 } from "aws";\nexport const a = activity("a", () => new S3());\n${flow}`,
      },
    ],
    [
      "a module of Node",
      {
        "order.ts": `${start}import fs from "node:fs";\nexport const a = activity("a", () => fs.readFileSync("x"));\n${flow}`,
      },
    ],
    [
      "native code",
      {
        "order.ts": `${start}import addon from "./addon.node";\nexport const a = activity("a", () => addon());\n${flow}`,
        "addon.node": "\0ELF",
      },
    ],
    [
      "a library that asks for Node",
      {
        "order.ts": `${start}import S from "stripe";\nconst s = new S();\nexport const a = activity("a", () => s.pay());\n${flow}`,
        ...stripe,
      },
    ],
    [
      "a function of a library that asks for Node",
      {
        "order.ts": `${start}import { cents } from "money";\nexport const fulfil = workflow("fulfil", () => cents(1));`,
        ...money,
      },
    ],
    [
      "a function of a module of one's own, that asks for what is not there",
      {
        "order.ts": `${start}import { tidy } from "./lib.ts";\nexport const fulfil = workflow("fulfil", () => tidy(1));`,
        "lib.ts":
          'import native from "./x.node";\nimport { S3 } from "aws";\nexport const tidy = (a: number) => a;\nexport const send = () => new S3(native);',
      },
    ],
    [
      "what is asked for in vain, on purpose",
      {
        "order.ts": `${start}import { a } from "./lib.cjs";\nexport const fulfil = workflow("fulfil", () => a);`,
        "lib.cjs": 'let fs;\ntry { fs = require("fs"); } catch {}\nexports.a = 1;',
      },
    ],
    [
      "a type of Aion's engine",
      { "order.ts": `${start}import type { Engine } from "aion";\nexport type E = Engine;\n${flow}` },
    ],
    [
      "the engine, in an implementation",
      {
        "order.ts": `${start}import { Engine } from "aion";\nexport const a = activity("a", () => Engine);\n${flow}`,
      },
    ],
    [
      "a step in an implementation",
      { "order.ts": `${start}export const a = activity("a", () => step("b", () => 1));\n${flow}` },
    ],
    [
      "a step in a function that nothing calls",
      {
        "order.ts": `${start}import { tidy } from "./lib.ts";\nexport const fulfil = workflow("fulfil", () => tidy());`,
        "lib.ts":
          'import { step } from "aion/workflow";\nexport const tidy = () => 1;\nexport const send = () => step("a", () => 1);',
      },
    ],
  ])("does not matter: %s", async (_what, files) => {
    const { script, warnings } = await project.build(files);
    expect(warnings).toEqual([]);
    expect(load(script)["fulfil"]).toMatchObject({ kind: "workflow" });
    expect(script).not.toMatch(/aion-missing|__aion_step|node:/);
  });
});

describe("what workflow code could reach", () => {
  const node = (name: string): string =>
    `workflow code reaches "${name}", a module of Node, which there is not where it runs`;

  it.each<readonly [what: string, files: Files, problems: readonly string[]]>([
    [
      "a module of Node",
      {
        "order.ts": `${start}import { join } from "node:path";\nexport const fulfil = workflow("fulfil", () => join("a"));`,
      },
      [`order.ts:2:22 ${node("node:path")}`],
    ],
    [
      "a module of Node, without its scheme",
      {
        "order.ts": `${start}import fs from "fs/promises";\nexport const fulfil = workflow("fulfil", () => fs.readFile("a"));`,
      },
      [`order.ts:2:16 ${node("fs/promises")}`],
    ],
    [
      "a module of Node, by a dynamic import",
      { "order.ts": `${start}export const fulfil = workflow("fulfil", () => import("node:os"));` },
      [`order.ts:2:55 ${node("node:os")}`],
    ],
    [
      "a module of Node in a library",
      {
        "order.ts": `${start}import S from "stripe";\nexport const fulfil = workflow("fulfil", () => new S());`,
        ...stripe,
      },
      [
        'order.ts:2:15 workflow code reaches "stripe", which asks for "http": there is no such module where it runs',
      ],
    ],
    [
      "a module of Node, used by an exported function",
      {
        "order.ts": `${start}import fs from "fs";\nexport const read = () => fs.readFileSync("a");\nexport const a = activity("a", read);\n${flow}`,
      },
      [`order.ts:2:16 ${node("fs")}`],
    ],
    [
      "a module of Node after a wide character",
      {
        "order.ts": `${start}const text = "größe \u{1f4a5}"; import os from "os";\nexport const fulfil = workflow("fulfil", () => os.type() + text);`,
      },
      [`order.ts:2:41 ${node("os")}`],
    ],
    [
      "two of them, and a step",
      {
        "order.ts": `${start}import { a } from "./lib/a.ts";\nimport os from "os";\nexport const fulfil = workflow("fulfil", () => [a(), os.type(), step("s", () => 1)]);`,
        "lib/a.ts": 'import fs from "fs";\nexport const a = () => fs.readFileSync("a");',
      },
      [
        `lib/a.ts:1:16 ${node("fs")}`,
        `order.ts:3:16 ${node("os")}`,
        "order.ts:4:65 `step` runs its closure where the engine is embedded; a package has no such place",
      ],
    ],
    [
      "a step by another name",
      {
        "order.ts": `import { step as s, workflow } from "aion/workflow";\nexport const fulfil = workflow("fulfil", () => s("s", () => 1));`,
      },
      ["order.ts:2:48 `step` runs its closure where the engine is embedded; a package has no such place"],
    ],
    [
      "a library that is not installed",
      {
        "order.ts": `${start}import { a } from "nowhere";\nexport const fulfil = workflow("fulfil", () => a);`,
      },
      ['order.ts:2:19 "nowhere" cannot be found'],
    ],
    [
      "a file that is not there",
      {
        "order.ts": `${start}import { a } from "./nowhere.ts";\nexport const fulfil = workflow("fulfil", () => a);`,
      },
      ['order.ts:2:19 "./nowhere.ts" cannot be found'],
    ],
    [
      "native code",
      {
        "order.ts": `${start}import a from "./a.node";\nexport const fulfil = workflow("fulfil", () => a);`,
        "a.node": "\0",
      },
      ['order.ts:2:15 workflow code reaches "./a.node", which is neither JavaScript nor JSON'],
    ],
    [
      "the engine",
      {
        "order.ts": `${start}import { Engine } from "aion";\nexport const fulfil = workflow("fulfil", () => 1);\nawaitIt(Engine);\nfunction awaitIt(a: unknown) { return a; }`,
      },
      ['order.ts:2:24 workflow code reaches "aion"; of Aion it may import "aion/workflow" alone'],
    ],
    [
      "an export that a module does not have",
      {
        "order.ts": `${start}import { b } from "./lib.ts";\nexport const fulfil = workflow("fulfil", () => b);`,
        "lib.ts": "export const a = 1;",
      },
      ['order.ts:2:10 No matching export in "lib.ts" for import "b"'],
    ],
    [
      "waiting while a module is loaded",
      {
        "order.ts": `${start}const a = await Promise.resolve(1);\nexport const fulfil = workflow("fulfil", () => a);`,
      },
      ["order.ts:2:11 workflow code cannot wait while its module is loaded (`await` at the top level)"],
    ],
    [
      "text that is no TypeScript",
      { "order.ts": `${start}export const = 1;` },
      ['order.ts:2:14 Expected identifier but found "="'],
    ],
  ])("is told: %s", async (_what, files, problems) => {
    const found = await project.problemsOf(files);
    expect(toLines(found)).toEqual(problems);
  });

  it("is told with the line, the chain of imports and what to do", async () => {
    project.write({
      "order.ts": `${start}import { a } from "./a.ts";\nexport const fulfil = workflow("fulfil", () => a());`,
      "a.ts": 'export { b as a } from "./deep/b.ts";',
      "deep/b.ts": '\timport { type } from "os"; export const b = () => type();',
    });
    await expect(buildPackage(path.join(project.directory, "order.ts"))).rejects.toMatchObject({
      code: "build_failed",
      message: [
        "cannot build order.ts",
        "",
        `deep/b.ts:1:23: ${node("os")}`,
        '  1 |  import { type } from "os"; export const b = () => type();',
        "    |                       ^^^^",
        "    imported by: order.ts → a.ts → deep/b.ts",
      ].join("\n"),
      hint: "Do it in the implementation of an activity: the build leaves those out, with all that only they use.",
    });
  });
});

it("tells once what a library asks for, where it is imported, with what needs it and what to do", async () => {
  const asks = ["a", "b", "c", "d", "e"].map((name) => `require("${name}-native");`);
  project.write({
    "order.ts": `${start}import { pool } from "./db/pool.ts";
export const fulfil = workflow("fulfil", () => pool);`,
    "db/pool.ts": `import { activity } from "aion/workflow";
import { Pool } from "pg";
export const pool = 1;
const connections = new Pool();
export const read = activity("read", () => connections.query());
connections.on("error", () => undefined);`,
    "node_modules/pg/index.js": 'exports.Pool = require("./lib/pool.js");',
    "node_modules/pg/lib/pool.js": `require("net"); require("tls");\n${asks.join("\n")}`,
  });
  await expect(buildPackage(path.join(project.directory, "order.ts"))).rejects.toMatchObject({
    message: [
      "cannot build order.ts",
      "",
      'db/pool.ts:2:22: workflow code reaches "pg", which asks for "net", "tls", "a-native", "b-native", "c-native" and 2 more: there is no such module where it runs',
      '  2 | import { Pool } from "pg";',
      "    |                      ^^^^",
      "    imported by: order.ts → db/pool.ts → node_modules/pg/index.js → node_modules/pg/lib/pool.js:1:9",
      "    needed by: db/pool.ts:6:1",
      '  6 | connections.on("error", () => undefined);',
      "    | ^^^^^^^^^^^",
    ].join("\n"),
  });
});

it("tells with a failure what may explain it", async () => {
  project.write({
    "order.ts": `${start}import fs from "fs";
const task = (name: string, run: () => unknown) => activity(name, run);
export const a = task("a", () => fs.readFileSync("a"));
${flow}`,
  });
  await expect(buildPackage(path.join(project.directory, "order.ts"))).rejects.toMatchObject({
    message: expect.stringMatching(
      /^cannot build order\.ts\n\norder\.ts:2:16: .*"fs"(?:.*\n)*\nnote: order\.ts:3:67: .*call `activity` where the implementation stands/,
    ) as string,
    details: { problems: [expect.anything()], warnings: [expect.anything()] },
  });
});

it("takes the implementations out of a library too, if it says that it needs Aion", async () => {
  const library = {
    "node_modules/acme/index.js":
      'import { activity } from "aion/workflow";\nimport fs from "fs";\nexport const read = activity("read", () => fs.readFileSync("a"));\n',
  };
  const files = {
    ...library,
    "node_modules/acme/package.json":
      '{ "name": "acme", "type": "module", "peerDependencies": { "aion": "*" } }',
    "order.ts": `${start}import { read } from "acme";\nexport const fulfil = workflow("fulfil", () => read());`,
  };
  const { dropped } = await project.build(files);
  expect(dropped).toEqual([
    { file: "node_modules/acme/index.js", activities: ["read"], imports: ["fs"], names: [] },
  ]);
});

describe("a global that there is not where workflow code runs", () => {
  it("is told where workflow code mentions it first in a file, with what to use instead", async () => {
    const { warnings } = await project.build({
      "order.ts": `${start}import { late } from "./lib.ts";
export const fulfil = workflow("fulfil", async () => {
  const home = process.env["HOME"] ?? process.cwd();
  return [await fetch(home), late()];
});`,
      "lib.ts": `type T = typeof process;
export const late = (process?: T) => [process, globalThis.process, new Date(), Math.random()];
export const never = () => Buffer.from("a");
export const { localStorage: own } = { localStorage: 1 };`,
    });
    expect(toLines(warnings)).toEqual([
      "order.ts:4:16 `process` is nothing that workflow code can use",
      "order.ts:5:17 `fetch` is nothing that workflow code can use",
    ]);
    expect(warnings.map(({ remedy }) => remedy)).toEqual([
      "What the process has differs between machines: pass it in the input, or read it in an activity.",
      "Workflow code may not use the network: do it in an activity, whose result is recorded.",
    ]);
  });

  it("is not told of libraries, of activities, and where the file looks for it first", async () => {
    const { warnings } = await project.build({
      "order.ts": `${start}import { log } from "lib";
const isNode = typeof process !== "undefined" && process.version !== "";
export const a = activity("a", () => fetch("a"));
export const fulfil = workflow("fulfil", () => log(isNode));`,
      "node_modules/lib/package.json": '{ "name": "lib", "main": "index.js" }',
      "node_modules/lib/index.js": "exports.log = (a) => process.stdout.write(String(a));",
    });
    expect(warnings).toEqual([]);
  });

  it("is told with what to use instead when a module throws for it", async () => {
    const [problem] = await project.problemsOf({
      "order.ts": `${start}${flow}const path = __dirname + "/data";\nexport const a = path;`,
    });
    expect(problem).toMatchObject({
      text: "the module throws while it is loaded: __dirname is not defined",
      remedy: "Workflow code has no file system: do it in an activity, whose result is recorded.",
    });
  });
});
