import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import vm from "node:vm";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAionError } from "../core/errors.ts";
import { readArchive } from "./archive.ts";
import type { Package } from "./archive.ts";
import { buildPackage } from "./build.ts";
import type { BuiltPackage } from "./build.ts";
import { inspect } from "./inspect.ts";
import type { Problem } from "./problem.ts";

let directory = "";
beforeEach(() => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), "aion-build-")));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

type Files = Readonly<Record<string, string>>;

function write(files: Files, root = directory): void {
  for (const [name, text] of Object.entries({ "package.json": "{}", ...files })) {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

async function build(files: Files, entry = "order.ts"): Promise<BuiltPackage & Package> {
  write(files);
  const built = await buildPackage(path.join(directory, entry));
  return { ...built, ...readArchive(built.bytes) };
}

async function problemsOf(files: Files, entry = "order.ts"): Promise<readonly Problem[]> {
  try {
    await build(files, entry);
  } catch (error) {
    if (!isAionError(error) || error.code !== "build_failed") throw error;
    return error.details["problems"] as readonly Problem[];
  }
  throw new Error("it was built");
}

/** `file:line:column text` */
function toLines(problems: readonly Problem[]): readonly string[] {
  return problems.map(({ text, place }) =>
    place === undefined ? text : `${place.file}:${place.line}:${place.column} ${text}`,
  );
}

/** The module of a script, made with stand-ins for the definitions that say how they were called. */
function load(script: string): Readonly<Record<string, unknown>> {
  const define =
    (kind: string) =>
    (...args: readonly unknown[]) => ({ kind, args });
  const provided = { activity: define("activity"), workflow: define("workflow"), signal: define("signal") };
  const require = (name: string): unknown => {
    if (name === "aion/workflow") return provided;
    throw new Error(`there is no ${name}`);
  };
  const module = { exports: {} };
  const value = vm.runInNewContext(script) as unknown;
  if (typeof value !== "function") throw new Error("the value of the script is no function");
  Reflect.apply(value, undefined, [require, module, module.exports]);
  return module.exports;
}

const start = 'import { activity, signal, query, step, workflow } from "aion/workflow";\n';
const flow = 'export const fulfil = workflow("fulfil", async () => 1);\n';

const stripe = {
  "node_modules/stripe/package.json": '{ "name": "stripe", "main": "index.js" }',
  "node_modules/stripe/index.js":
    'const http = require("http");\nmodule.exports = class Stripe { pay() { return http; } };',
};
const money = {
  "node_modules/money/package.json": '{ "name": "money", "type": "module", "exports": "./index.js" }',
  "node_modules/money/index.js":
    'import { readFileSync } from "fs";\nexport const cents = (a) => a * 100;\nexport const rates = () => readFileSync("rates");\n',
};

/** A shop in a monorepo: a workspace beside it, paths of tsconfig, JSON, an npm package. */
const shop = {
  "package.json": '{ "workspaces": ["packages/*"] }',
  "packages/shop/package.json": '{ "name": "shop", "type": "module" }',
  "packages/shop/tsconfig.json":
    '{ "compilerOptions": { "paths": { "#model/*": ["./src/model/*"] }, "verbatimModuleSyntax": true } }',
  "packages/shop/src/order.ts": `${start}
import { cents } from "money";
import Stripe from "stripe";
import { limit } from "@acme/rules";
import { Size } from "#model/size.ts";
import texts from "./texts.json" with { type: "json" };
const client = new Stripe("SECRET");
export const charge = activity("charge", { retry: {} }, async (amount: number) => client.pay(amount));
export const fulfil = workflow("fulfil", async (amount: number) => {
  if (cents(amount) > limit || Size.Large > 3) throw new Error(texts.tooMuch);
  return await charge(amount);
});
`,
  "packages/shop/src/texts.json": '{ "tooMuch": "größer als erlaubt" }',
  "packages/shop/src/model/size.ts": "export enum Size { Small, Large }\n",
  "packages/rules/package.json": '{ "name": "@acme/rules", "type": "module", "exports": "./src/index.ts" }',
  "packages/rules/src/index.ts": 'export { limit } from "./limit.js";\n',
  "packages/rules/src/limit.ts": "export const limit: number = 5_000;\n",
  ...stripe,
  ...money,
};

function writeShop(root: string): string {
  write(shop, root);
  mkdirSync(path.join(root, "node_modules/@acme"), { recursive: true });
  symlinkSync("../../packages/rules", path.join(root, "node_modules/@acme/rules"));
  return path.join(root, "packages/shop/src/order.ts");
}

describe("the bytes of a package", () => {
  it("are the same for the same files, in another directory, and through a link", async () => {
    const first = await buildPackage(writeShop(path.join(directory, "a")));
    const again = await buildPackage(path.join(directory, "a/packages/shop/src/order.ts"));
    const elsewhere = await buildPackage(writeShop(path.join(directory, "other place/deeper/größe")));
    symlinkSync(path.join(directory, "a"), path.join(directory, "link"));
    const linked = await buildPackage(path.join(directory, "link/packages/shop/src/order.ts"));
    for (const other of [again, elsewhere, linked]) {
      expect(other.hash).toBe(first.hash);
      expect(Buffer.compare(other.bytes, first.bytes)).toBe(0);
    }
    expect(first.hash).toBe(readArchive(first.bytes).hash);
  });

  it("hold no path of the machine and nothing of an implementation", async () => {
    const { bytes } = await buildPackage(writeShop(directory));
    const text = Buffer.from(bytes).toString("latin1");
    expect(text).not.toContain(directory);
    expect(text).not.toContain(tmpdir());
    expect(text).not.toContain("SECRET");
    expect(text).not.toContain("stripe");
    expect(text).toContain("fulfil");
  });

  it("do not depend on the environment of the process", async () => {
    const entry = writeShop(directory);
    const { hash } = await buildPackage(entry);
    const { NODE_ENV, NODE_PATH } = process.env;
    process.env["NODE_ENV"] = "development";
    process.env["NODE_PATH"] = path.join(directory, "packages");
    expect((await buildPackage(entry)).hash).toBe(hash);
    for (const [name, value] of Object.entries({ NODE_ENV, NODE_PATH })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  it("are others when workflow code is; the script is the same when only an implementation is", async () => {
    const entry = writeShop(directory);
    const { hash, bytes } = await buildPackage(entry);
    const text = shop["packages/shop/src/order.ts"];
    writeFileSync(entry, text.replace("client.pay(amount)", "client.refund(amount + 1)"));
    expect(readArchive((await buildPackage(entry)).bytes).script).toBe(readArchive(bytes).script);
    writeFileSync(entry, text.replace("> 3", "> 4"));
    expect((await buildPackage(entry)).hash).not.toBe(hash);
  });

  it("name the sources of a library's own map without a path that depends on where it lies", async () => {
    const map = JSON.stringify({
      version: 3,
      sources: ["/ci/build/src/lib.ts", "../src/b.ts"],
      mappings: "AAAA;ACAA",
    });
    const lib = {
      "node_modules/lib/package.json": '{ "name": "lib", "main": "dist/index.js" }',
      "node_modules/lib/dist/index.js": `exports.a = 1;\nexports.b = 2;\n//# sourceMappingURL=index.js.map\n`,
      "node_modules/lib/dist/index.js.map": map,
      "order.ts": `${start}import { a } from "lib";\nexport const fulfil = workflow("fulfil", async () => a);\n`,
    };
    const { sourceMap, hash } = await build(lib);
    expect((JSON.parse(sourceMap) as { sources: string[] }).sources.toSorted()).toEqual([
      "file:///ci/build/src/lib.ts",
      "node_modules/lib/src/b.ts",
      "order.ts",
    ]);
    write(lib, path.join(directory, "x/y/z"));
    expect((await buildPackage(path.join(directory, "x/y/z/order.ts"))).hash).toBe(hash);
  });
});

describe("the script of a package", () => {
  it("is a function that requires aion/workflow alone and exports what the file does", async () => {
    const { script, dropped, manifest } = await buildAt(writeShop(directory));
    const exports = load(script);
    expect(Object.keys(exports).toSorted()).toEqual(["charge", "fulfil"]);
    expect(exports["charge"]).toMatchObject({ kind: "activity", args: ["charge", { retry: {} }, undefined] });
    expect(exports["fulfil"]).toMatchObject({ kind: "workflow", args: ["fulfil", expect.any(Function)] });
    expect(dropped).toEqual([
      { file: "src/order.ts", activities: ["charge"], imports: ["stripe"], names: ["client"] },
    ]);
    expect(manifest).toMatchObject({ entry: "src/order.ts", format: 1 });
  });

  it.each([
    [
      "an ES module",
      "order.mjs",
      'import { workflow } from "aion/workflow";\nexport const fulfil = workflow("fulfil", () => 1);',
    ],
    [
      "a CommonJS module",
      "order.cjs",
      'const { workflow } = require("aion/workflow");\nexports.fulfil = workflow("fulfil", () => 1);',
    ],
    [
      "JavaScript",
      "order.js",
      'import * as aion from "aion/workflow";\nexport const fulfil = aion.workflow("fulfil", () => 1);',
    ],
    [
      "TypeScript by .mts",
      "order.mts",
      `${start}export const fulfil = workflow("fulfil", (a: number) => a satisfies number);`,
    ],
    ["a file with JSX", "order.tsx", `${start}export const fulfil = workflow("fulfil", <A,>(a: A) => a);`],
    [
      "an array of workflows",
      "order.ts",
      `${start}const fulfil = workflow("fulfil", () => 1);\nexport const all = [fulfil];`,
    ],
    ["a default export", "order.ts", `${start}export default workflow("fulfil", () => 1);`],
    [
      "a class with decorators",
      "order.ts",
      `${start}const d = <T,>(a: T) => a;\n@d class A { accessor b = 1; }\nexport const fulfil = workflow("fulfil", () => new A().b);`,
    ],
  ])("is made from %s", async (_what, file, text) => {
    const { manifest, script } = await build({ [file]: text }, file);
    expect(manifest.workflows.map(({ type }) => type)).toEqual(["fulfil"]);
    expect(Object.keys(load(script))).toHaveLength(1);
  });

  it("leads back to the TypeScript line and column, also after what was dropped", async () => {
    const lines = [
      'import { activity, workflow } from "aion/workflow";',
      'import { gone } from "gone"; export const MARK1 = 1;',
      "interface Order { readonly id: string }",
      'export const a = activity("a", async (order: Order) => {',
      "  return gone(order);",
      "}); export const MARK2 = 2;",
      'export const b = activity("b", f), MARK3 = 3;',
      "function f() { return gone(); }",
      "export const MARK4: string = `",
      "größer`; export const MARK5 = <Order>{ id: MARK4 };",
      'export const fulfil = workflow("fulfil", async () => [MARK1, MARK2, MARK3, MARK5]);',
    ];
    const { script, sourceMap } = await build({ "src/order.ts": lines.join("\n") }, "src/order.ts");
    const map = new SourceMap(JSON.parse(sourceMap) as ConstructorParameters<typeof SourceMap>[0]);
    const found = new Set<string>();
    for (const [line, text] of script.split("\n").entries()) {
      const declared = /^var (MARK\d)/.exec(text)?.[1];
      if (declared === undefined) continue;
      const at = text.indexOf(declared);
      const row = lines.findIndex((original) => new RegExp(`(?:const|,) ${declared}`).test(original));
      expect(map.findEntry(line, at)).toMatchObject({
        originalSource: "src/order.ts",
        originalLine: row,
        originalColumn: lines[row]?.lastIndexOf(declared),
      });
      found.add(declared);
    }
    expect(found.size).toBe(5);
  });
});

async function buildAt(entry: string): Promise<BuiltPackage & Package> {
  const built = await buildPackage(entry);
  return { ...built, ...readArchive(built.bytes) };
}

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
    const { script, warnings } = await build(files);
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
    const found = await problemsOf(files);
    expect(toLines(found)).toEqual(problems);
  });

  it("is told with the line, the chain of imports and what to do", async () => {
    write({
      "order.ts": `${start}import { a } from "./a.ts";\nexport const fulfil = workflow("fulfil", () => a());`,
      "a.ts": 'export { b as a } from "./deep/b.ts";',
      "deep/b.ts": '\timport { type } from "os"; export const b = () => type();',
    });
    await expect(buildPackage(path.join(directory, "order.ts"))).rejects.toMatchObject({
      code: "build_failed",
      message: [
        "cannot build order.ts",
        "",
        `deep/b.ts:1:23: ${node("os")}`,
        '  1 |  import { type } from "os"; export const b = () => type();',
        "    |                       ^^^^",
        "    imported by: order.ts → a.ts → deep/b.ts",
        "    remedy: Do it in the implementation of an activity: the build leaves those out, with all that only they use.",
      ].join("\n"),
      hint: "Do it in the implementation of an activity: the build leaves those out, with all that only they use.",
    });
  });
});

it("tells once what a library asks for, where it is imported, with what needs it and what to do", async () => {
  const asks = ["a", "b", "c", "d", "e"].map((name) => `require("${name}-native");`);
  write({
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
  await expect(buildPackage(path.join(directory, "order.ts"))).rejects.toMatchObject({
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
      "    remedy: Do it in the implementation of an activity: the build leaves those out, with all that only they use.",
    ].join("\n"),
  });
});

it("tells with a failure what may explain it", async () => {
  write({
    "order.ts": `${start}import fs from "fs";
const task = (name: string, run: () => unknown) => activity(name, run);
export const a = task("a", () => fs.readFileSync("a"));
${flow}`,
  });
  await expect(buildPackage(path.join(directory, "order.ts"))).rejects.toMatchObject({
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
  const { dropped } = await build(files);
  expect(dropped).toEqual([
    { file: "node_modules/acme/index.js", activities: ["read"], imports: ["fs"], names: [] },
  ]);
});

describe("activity through a module of one's own", () => {
  const task = (from: string): string =>
    `${start}import { task } from "${from}";\nimport gone from "gone";\nexport const a = task("a", () => gone());\n${flow}`;

  it.each<readonly [what: string, files: Files]>([
    [
      "by name",
      { "order.ts": task("./aion.ts"), "aion.ts": 'export { activity as task } from "aion/workflow";' },
    ],
    [
      "imported and exported",
      {
        "order.ts": task("./aion.js"),
        "aion.ts": 'import { activity } from "aion/workflow";\nexport { activity as task };',
      },
    ],
    [
      "with everything else, over two modules that import each other",
      {
        "order.ts": task("./lib/index.ts"),
        "lib/index.ts": 'export * from "./aion.ts";',
        "lib/aion.ts": 'export { task } from "./other.ts";',
        "lib/other.ts":
          'export * from "./aion.ts";\nimport { activity } from "aion/workflow";\nexport { activity as task };',
      },
    ],
    [
      "all of it, as a namespace",
      {
        "order.ts": `import * as own from "./aion.ts";\nimport gone from "gone";\nexport const a = own.activity("a", () => gone());\nexport const fulfil = own.workflow("fulfil", () => 1);`,
        "aion.ts": 'export * from "aion/workflow";',
      },
    ],
  ])("is recognised %s", async (_what, files) => {
    const { dropped } = await build(files);
    expect(dropped).toEqual([{ file: "order.ts", activities: ["a"], imports: ["gone"], names: [] }]);
  });

  it("is recognised in a workspace", async () => {
    const entry = writeShop(directory);
    writeFileSync(
      path.join(directory, "packages/rules/src/index.ts"),
      'export { activity as task } from "aion/workflow";',
    );
    writeFileSync(entry, task("@acme/rules"));
    const { dropped } = await buildPackage(entry);
    expect(dropped.map(({ file, activities }) => ({ file, activities }))).toEqual([
      { file: "src/order.ts", activities: ["a"] },
    ]);
  });

  it("is told apart from another function of that name", async () => {
    const { script, dropped } = await build({
      "order.ts": `${start}import { task } from "./mine.ts";\nexport const a = task("a", () => "KEPT");\n${flow}`,
      "mine.ts": "export const task = (name: string, make: () => string) => make() + name;",
    });
    expect(script).toContain("KEPT");
    expect(dropped).toEqual([]);
  });
});

describe("what a package says of itself", () => {
  it("is what its file defines, with the JSON Schemas that the libraries can tell", async () => {
    mkdirSync(path.join(directory, "node_modules"), { recursive: true });
    symlinkSync(realpathSync("node_modules/zod"), path.join(directory, "node_modules/zod"));
    const { manifest, schemas, warnings } = await build({
      "order.ts": `import { z } from "zod";\n${start}
const plain = { "~standard": { version: 1, vendor: "mine", validate: (value: unknown) => ({ value }) } };
const Order = z.object({ id: z.string(), count: z.number().default(1) });
export const approval = signal("approval", z.object({ ok: z.boolean() }));
export const stop = signal("stop");
export const stage = query("stage", { input: plain, output: z.enum(["a", "b"]) });
export const charge = activity("charge", { input: Order, startToClose: "30s", retry: { maxAttempts: 3 } }, () => 1);
export const note = activity("note", () => 1);
export const ship = workflow("ship", { input: z.date() }, async () => 1);
export const fulfil = workflow("fulfil", { input: Order, output: Order, signals: [stop, approval] }, async (o) => o);
`,
    });
    expect(warnings).toEqual([]);
    expect(manifest).toEqual({
      format: 1,
      aion: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      entry: "order.ts",
      workflows: [
        { type: "fulfil", input: "described", output: "described", signals: ["approval", "stop"] },
        { type: "ship", input: "opaque", output: "any", signals: [] },
      ],
      activities: [
        {
          type: "charge",
          input: "described",
          options: {
            startToCloseMs: 30_000,
            retry: {
              maxAttempts: 3,
              backoff: "exponential",
              initialMs: 1_000,
              maxMs: 60_000,
              multiplier: 2,
              incrementMs: 1_000,
              jitter: 0.2,
              nonRetryable: [],
            },
          },
        },
        { type: "note", input: "any", options: {} },
      ],
      signals: [
        { name: "approval", payload: "described" },
        { name: "stop", payload: "any" },
      ],
      queries: [{ name: "stage", input: "opaque", output: "described" }],
    });
    const order = {
      type: "object",
      properties: { id: { type: "string" }, count: { type: "number", default: 1 } },
    };
    expect(schemas).toMatchObject({
      // Who starts it may leave out what has a default; the result has it.
      workflows: {
        fulfil: { input: { ...order, required: ["id"] }, output: { ...order, required: ["id", "count"] } },
      },
      activities: { charge: { input: { ...order, required: ["id"] } } },
      signals: { approval: { payload: { properties: { ok: { type: "boolean" } } } } },
      queries: { stage: { output: { enum: ["a", "b"] } } },
    });
    expect(Object.keys(schemas.workflows)).toEqual(["fulfil"]);
    expect(Object.keys(schemas.queries["stage"] ?? {})).toEqual(["output"]);
  });

  it("names one signal of two that are alike, and describes neither of two that differ", async () => {
    const schema = (vendor: string, type: string): string =>
      `{ "~standard": { version: 1, vendor: "${vendor}", validate: (value: unknown) => ({ value }), jsonSchema: { input: () => ({ type: "${type}" }), output: () => ({}) } } }`;
    const { manifest, warnings } = await build({
      "order.ts": `${start}signal("a", ${schema("x", "string")});\nsignal("a", ${schema("y", "string")});\nsignal("b", ${schema("x", "string")});\nsignal("b", ${schema("x", "number")});\n${flow}`,
    });
    expect(manifest.signals).toEqual([
      { name: "a", payload: "described" },
      { name: "b", payload: "opaque" },
    ]);
    expect(warnings.map(({ text }) => text)).toEqual([
      'the signal "b" is defined more than once with different schemas; the package describes none of them',
    ]);
  });

  it.each([
    ["no workflow", `${start}export const a = activity("a", () => 1);`, ["order.ts exports no workflow"]],
    [
      "two workflows of one name",
      `${start}${flow}export const other = workflow("fulfil", () => 2);`,
      ['the workflow "fulfil" is defined more than once'],
    ],
    [
      "two activities of one name",
      `${start}${flow}const a = activity("a", () => 1);\nconst b = activity("a", () => 2);`,
      ['the activity "a" is defined more than once'],
    ],
    [
      "a module that throws",
      `${start}${flow}function fail(): never {\n  throw new TypeError("not today");\n}\nfail();`,
      ["order.ts:4:9 the module throws while it is loaded: not today"],
    ],
    [
      "a module that asks for what is not there",
      `${start}${flow}export const home = process.env["HOME"];`,
      ["order.ts:3:21 the module throws while it is loaded: process is not defined"],
    ],
    [
      "a definition that is wrong",
      `${start}${flow}\n  export const a = activity("a", { startToClose: "soon" }, () => 1);`,
      [
        'order.ts:4:20 the module throws while it is loaded: startToClose of activity "a" "soon" is no duration',
      ],
    ],
    [
      "a durable function called at once",
      `import { sleep, workflow } from "aion/workflow";\n${flow}sleep("1s");`,
      ["order.ts:3:1 the module throws while it is loaded: sleep() was called outside a workflow"],
    ],
    [
      "an activity called at once",
      `${start}${flow}const a = activity("a", () => 1);\nvoid a(1);`,
      [
        'order.ts:4:6 the module throws while it is loaded: activity "a" was called while the module was loaded',
      ],
    ],
    [
      "code from text",
      `${start}${flow}export const f = new Function("return 1");`,
      [
        "order.ts:3:18 the module throws while it is loaded: Code generation from strings disallowed for this context",
      ],
    ],
  ])("is an error when the file has %s", async (_what, text, problems) => {
    expect(toLines(await problemsOf({ "order.ts": text }))).toEqual(problems);
  });

  it("is an error at the line of the module that throws", async () => {
    const problems = await problemsOf({
      "order.ts": `${start}import { limit } from "./lib/limit.ts";\nexport const fulfil = workflow("fulfil", () => limit);`,
      "lib/limit.ts":
        "type Limit = number;\n\nexport const limit: Limit = read();\nfunction read(): Limit {\n  throw new Error('no limit');\n}",
    });
    expect(toLines(problems)).toEqual(["lib/limit.ts:5:9 the module throws while it is loaded: no limit"]);
    expect(problems[0]?.place?.lineText).toBe("  throw new Error('no limit');");
  });

  it("is asked for within a time limit", () => {
    const endless = "(function (require, module, exports) { for (;;); })";
    expect(() => inspect({ script: endless, libraries: "" }, 50)).toThrow(/timed out/);
  });

  it("warns of what is empty in a package, where workflow code can reach it", async () => {
    const { warnings } = await build({
      "order.ts": `${start}import { a } from "./lib.ts";\nexport const here = import.meta.url;\nexport const b = activity("b", () => import.meta.url);\nexport const fulfil = workflow("fulfil", () => a);`,
      "lib.ts": 'import { c } from "./other.ts";\nexport const a = 1;\nexport const b = () => c;',
      "other.ts": "export const c = () => import.meta.url;",
    });
    expect(toLines(warnings)).toEqual([
      "order.ts:3:21 `import.meta` is empty in a package: its code is no file",
    ]);
  });

  it("warns of a workflow that is not exported", async () => {
    const { manifest, warnings } = await build({
      "order.ts": `${start}${flow}const b = workflow("b", () => 1);`,
    });
    expect(manifest.workflows.map(({ type }) => type)).toEqual(["fulfil"]);
    expect(warnings.map(({ text }) => text)).toEqual([
      'workflow "b" is defined and not exported by order.ts; the package cannot run it',
    ]);
  });
});

describe("a file that cannot be built", () => {
  it("is one that is not there", async () => {
    await expect(buildPackage(path.join(directory, "none.ts"))).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it("has its package in the directory that it is in when there is no package.json above", async () => {
    writeFileSync(path.join(directory, "order.ts"), start + flow);
    const { manifest } = await buildPackage(path.join(directory, "order.ts"));
    expect(manifest.entry).toBe("order.ts");
  });
});
