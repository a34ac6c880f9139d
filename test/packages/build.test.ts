/** What `buildPackage` makes of a project. */
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readArchive } from "../../src/package/archive.ts";
import { buildPackage } from "../../src/package/build.ts";
import { inspect } from "../../src/package/inspect.ts";
import { Project, flow, load, shop, start, toLines } from "./project.ts";
import type { Files } from "./project.ts";

let project: Project;
beforeEach(() => {
  project = new Project();
});
afterEach(() => project.dispose());

describe("the bytes of a package", () => {
  // C-18
  it("are the same for the same files, in another project.directory, and through a link", async () => {
    const first = await buildPackage(project.writeShop(path.join(project.directory, "a")));
    const again = await buildPackage(path.join(project.directory, "a/packages/shop/src/order.ts"));
    const elsewhere = await buildPackage(
      project.writeShop(path.join(project.directory, "other place/deeper/größe")),
    );
    symlinkSync(path.join(project.directory, "a"), path.join(project.directory, "link"));
    const linked = await buildPackage(path.join(project.directory, "link/packages/shop/src/order.ts"));
    for (const other of [again, elsewhere, linked]) {
      expect(other.hash).toBe(first.hash);
      expect(Buffer.compare(other.bytes, first.bytes)).toBe(0);
    }
    expect(first.hash).toBe(readArchive(first.bytes).hash);
  });

  it("hold no path of the machine and nothing of an implementation", async () => {
    const { bytes } = await buildPackage(project.writeShop());
    const text = Buffer.from(bytes).toString("latin1");
    expect(text).not.toContain(project.directory);
    expect(text).not.toContain(tmpdir());
    expect(text).not.toContain("SECRET");
    expect(text).not.toContain("stripe");
    expect(text).toContain("fulfil");
  });

  it("do not depend on the environment of the process", async () => {
    const entry = project.writeShop();
    const { hash } = await buildPackage(entry);
    const { NODE_ENV, NODE_PATH } = process.env;
    process.env["NODE_ENV"] = "development";
    process.env["NODE_PATH"] = path.join(project.directory, "packages");
    expect((await buildPackage(entry)).hash).toBe(hash);
    for (const [name, value] of Object.entries({ NODE_ENV, NODE_PATH })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  it("are others when workflow code is; the script is the same when only an implementation is", async () => {
    const entry = project.writeShop();
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
    const { sourceMap, hash } = await project.build(lib);
    expect((JSON.parse(sourceMap) as { sources: string[] }).sources.toSorted()).toEqual([
      "file:///ci/build/src/lib.ts",
      "node_modules/lib/src/b.ts",
      "order.ts",
    ]);
    project.write(lib, path.join(project.directory, "x/y/z"));
    expect((await buildPackage(path.join(project.directory, "x/y/z/order.ts"))).hash).toBe(hash);
  });
});

describe("the script of a package", () => {
  it("is a function that requires aion/workflow alone and exports what the file does", async () => {
    const { script, dropped, manifest } = await project.buildAt(project.writeShop());
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
    const { manifest, script } = await project.build({ [file]: text }, file);
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
    const { script, sourceMap } = await project.build({ "src/order.ts": lines.join("\n") }, "src/order.ts");
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
      "as a constant of another name",
      {
        "order.ts": task("./aion.ts"),
        "aion.ts": 'import { activity } from "aion/workflow";\nexport const task = activity;',
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
    const { dropped } = await project.build(files);
    expect(dropped).toEqual([{ file: "order.ts", activities: ["a"], imports: ["gone"], names: [] }]);
  });

  it("is recognised in a workspace", async () => {
    const entry = project.writeShop();
    writeFileSync(
      path.join(project.directory, "packages/rules/src/index.ts"),
      'export { activity as task } from "aion/workflow";',
    );
    writeFileSync(entry, task("@acme/rules"));
    const { dropped } = await buildPackage(entry);
    expect(dropped.map(({ file, activities }) => ({ file, activities }))).toEqual([
      { file: "src/order.ts", activities: ["a"] },
    ]);
  });

  it("is told apart from another function of that name", async () => {
    const { script, dropped } = await project.build({
      "order.ts": `${start}import { task } from "./mine.ts";\nexport const a = task("a", () => "KEPT");\n${flow}`,
      "mine.ts": "export const task = (name: string, make: () => string) => make() + name;",
    });
    expect(script).toContain("KEPT");
    expect(dropped).toEqual([]);
  });
});

describe("what a package says of itself", () => {
  it("is what its file defines, with the JSON Schemas that the libraries can tell", async () => {
    mkdirSync(path.join(project.directory, "node_modules"), { recursive: true });
    symlinkSync(realpathSync("node_modules/zod"), path.join(project.directory, "node_modules/zod"));
    const { manifest, schemas, warnings } = await project.build({
      "order.ts": `import { z } from "zod";\n${start}
const plain = { "~standard": { version: 1, vendor: "mine", validate: (value: unknown) => ({ value }) } };
const Order = z.object({ id: z.string(), count: z.number().default(1) });
export const approval = signal("approval", z.object({ ok: z.boolean() }));
export const stop = signal("stop");
export const stage = query("stage", { input: plain, output: z.enum(["a", "b"]) });
export const charge = activity("charge", { input: Order, output: Order, startToClose: "30s", taskQueue: "gpu", retry: { maxAttempts: 3 } }, () => 1);
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
          output: "described",
          options: {
            startToCloseMs: 30_000,
            taskQueue: "gpu",
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
      activities: {
        charge: { input: { ...order, required: ["id"] }, output: { ...order, required: ["id", "count"] } },
      },
      signals: { approval: { payload: { properties: { ok: { type: "boolean" } } } } },
      queries: { stage: { output: { enum: ["a", "b"] } } },
    });
    expect(Object.keys(schemas.workflows)).toEqual(["fulfil"]);
    expect(Object.keys(schemas.queries["stage"] ?? {})).toEqual(["output"]);
  });

  it("names one signal of two that are alike, and describes neither of two that differ", async () => {
    const schema = (vendor: string, type: string): string =>
      `{ "~standard": { version: 1, vendor: "${vendor}", validate: (value: unknown) => ({ value }), jsonSchema: { input: () => ({ type: "${type}" }), output: () => ({}) } } }`;
    const { manifest, warnings } = await project.build({
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
    expect(toLines(await project.problemsOf({ "order.ts": text }))).toEqual(problems);
  });

  it("is an error at the line of the module that throws", async () => {
    const problems = await project.problemsOf({
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
    const { warnings } = await project.build({
      "order.ts": `${start}import { a } from "./lib.ts";\nexport const here = import.meta.url;\nexport const b = activity("b", () => import.meta.url);\nexport const fulfil = workflow("fulfil", () => a);`,
      "lib.ts": 'import { c } from "./other.ts";\nexport const a = 1;\nexport const b = () => c;',
      "other.ts": "export const c = () => import.meta.url;",
    });
    expect(toLines(warnings)).toEqual([
      "order.ts:3:21 `import.meta` is empty in a package: its code is no file",
    ]);
  });

  it("warns of a workflow that is not exported", async () => {
    const { manifest, warnings } = await project.build({
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
    await expect(buildPackage(path.join(project.directory, "none.ts"))).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it("has its package in the directory that it is in when there is no package.json above", async () => {
    writeFileSync(path.join(project.directory, "order.ts"), start + flow);
    const { manifest } = await buildPackage(path.join(project.directory, "order.ts"));
    expect(manifest.entry).toBe("order.ts");
  });
});
