import { SourceMap } from "node:module";
import vm from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assert } from "../core/errors.ts";
import { parseModule, stripModule } from "./stripped-module.ts";
import type { ApiExports, StrippedModule } from "./stripped-module.ts";

const api: ApiExports = new Map([
  ["activity", "activity"],
  ["step", "step"],
]);

function strip(text: string, file = "order.ts"): StrippedModule {
  const program = parseModule(file, text);
  assert(program, `the case parses: ${text}`);
  return stripModule({
    file,
    program,
    text,
    apis: new Map([
      ["aion/workflow", api],
      ["./barrel.ts", new Map([["task", "activity"]])],
    ]),
    markStep: ({ line, column }) => `STEP_${line}_${column}`,
  });
}

/** What is left, without the white space and the empty statements where something was. */
function left(text: string, file?: string): string {
  return tidy(strip(text, file).changed?.code ?? text);
}

function tidy(code: string): string {
  return code
    .split(/\n/)
    .map((line) => line.replaceAll(/\s+/g, " ").trim())
    .filter((line) => line !== "" && line !== ";")
    .map((line) => line.replace(/^; (?=\w)/, ""))
    .join("\n");
}

const head = 'import { activity, workflow } from "aion/workflow";';

describe("an activity without its implementation", () => {
  it.each([
    [
      "with options",
      'export const a = activity("a", { retry: {} }, async () => 1);',
      'export const a = activity("a", { retry: {} }, void 0);',
    ],
    [
      "without options",
      'export const a = activity("a", () => 1);',
      'export const a = activity("a", {}, void 0);',
    ],
    [
      "with types",
      'export const a = activity<string, number>("a", {}, async (x: string): Promise<number> => x.length);',
      'export const a = activity<string, number>("a", {}, void 0);',
    ],
    [
      "with a comma at the end",
      'export const a = activity(\n  "a",\n  () => 1,\n);',
      'export const a = activity(\n"a",\n{}, void 0,\n);',
    ],
    [
      "in parentheses",
      'export const a = (activity)("a", (() => 1));',
      'export const a = (activity)("a", {}, void 0);',
    ],
    [
      "by a computed name",
      "export const a = activity(`a${1}`, () => 1);",
      "export const a = activity(`a${1}`, {}, void 0);",
    ],
    [
      "in a function",
      "export function make(name: string) {\n  return activity(name, () => name);\n}",
      "export function make(name: string) {\nreturn activity(name, {}, void 0);\n}",
    ],
    [
      "inside the implementation of another",
      'export const a = activity("a", () => activity("b", () => 1));',
      'export const a = activity("a", {}, void 0);',
    ],
    [
      "with options that are computed",
      'const retry = { maxAttempts: 3 };\nexport const a = activity("a", { retry }, () => retry);',
      'const retry = { maxAttempts: 3 };\nexport const a = activity("a", { retry }, void 0);',
    ],
  ])("is written %s", (_what, text, expected) => {
    expect(left(`${head}\n${text}`)).toBe(`${head}\n${expected}`);
  });

  it.each([
    ["under another name", 'import { activity as task } from "aion/workflow";', "task"],
    ["by a string name", 'import { "activity" as task } from "aion/workflow";', "task"],
    ["through the namespace", 'import * as aion from "aion/workflow";', "aion.activity"],
    ["through the namespace, computed", 'import * as aion from "aion/workflow";', 'aion["activity"]'],
    ["through a barrel", 'import { task } from "./barrel.ts";', "task"],
    ["through the namespace of a barrel", 'import * as barrel from "./barrel.ts";', "barrel.task"],
    ["by another name", 'import { activity } from "aion/workflow";\nconst task = activity;', "task"],
    [
      "taken out of the namespace",
      'import * as aion from "aion/workflow";\nconst { activity: task } = aion;',
      "task",
    ],
    ["by require", 'const { activity } = require("aion/workflow");', "activity"],
    ["by require, under another name", 'const { activity: task } = require("aion/workflow");', "task"],
    ["by require, whole", 'const aion = require("aion/workflow");', "aion.activity"],
  ])("is recognised %s", (_what, imported, name) => {
    expect(left(`${imported}\nexport const a = ${name}("a", () => 1);`)).toBe(
      `${imported}\nexport const a = ${name}("a", {}, void 0);`,
    );
  });

  it.each([
    ["a parameter of that name", `${head}\nexport const f = (activity: Function) => activity("a", () => 1);`],
    [
      "a local of that name",
      `${head}\nexport function f() {\n  const activity = (...x: unknown[]) => x;\n  return activity("a", () => 1);\n}`,
    ],
    [
      "a function of another module",
      'import { activity } from "./mine.ts";\nexport const a = activity("a", () => 1);',
    ],
    ["a method of that name", `${head}\nexport const a = log.activity("a", () => 1);`],
    ["a type of that name", `${head}\nexport type A = typeof activity;`],
    ["a call without an implementation", `${head}\nexport const a = activity("a");`],
    ["options alone", `${head}\nexport const a = activity("a", { input: Order } as const);`],
    [
      "options alone, by name",
      `${head}\nconst options = { retry: {} };\nexport const a = activity("a", options);`,
    ],
    [
      "options alone, by the name of a constant",
      `${head}\nconst options = { retry: {} } as const satisfies object;\nexport const a = activity("a", options);`,
    ],
    [
      "a member of another namespace",
      'import * as other from "./mine.ts";\nexport const a = other.activity("a", () => 1);',
    ],
    ["text", `${head}\nexport const text = 'activity("a", () => 1)';`],
  ])("is not taken for %s", (_what, text) => {
    expect(strip(text).changed).toBeUndefined();
  });
});

describe("what goes with the implementations", () => {
  const call = 'export const a = activity("a", {}, () => used());';
  const called = 'export const a = activity("a", {}, void 0);';

  it.each([
    ["a named import", 'import { used } from "stripe";', ""],
    ["a default import", 'import used from "stripe";', ""],
    ["a namespace", 'import * as used from "stripe";', ""],
    [
      "the part of an import that only they use",
      'import { used, other } from "x";\nexport { other };',
      'import { other } from "x";\nexport { other };',
    ],
    [
      "the default of an import whose rest is used",
      'import used, { other as o } from "x" with { type: "json" };\nexport { o };',
      'import { other as o } from "x" with { type: "json" };\nexport { o };',
    ],
    [
      "the named part of an import whose default is used",
      'import o, { used } from "x";\nexport { o };',
      'import o from "x";\nexport { o };',
    ],
    [
      "the types of an import that goes",
      'import { used, type Used } from "x";\nexport type Mine = Used;',
      "export type Mine = Used;",
    ],
    ["a constant", "const used = () => 1;", ""],
    ["a constant that does something", 'import S from "stripe";\nconst used = new S(process.env.KEY);', ""],
    ["a variable that is assigned by them", "let used = () => 1;", ""],
    ["a function", "async function used() { return 1; }", ""],
    [
      "a function with overloads",
      "function used(): void;\nfunction used(a?: string): void {}",
      "function used(): void;",
    ],
    ["a class", "class used { static #a = 1; }", ""],
    [
      "a chain of them",
      'import S from "stripe";\nconst key = "k";\nconst client = new S(key);\nfunction used() { return client.pay(); }',
      "",
    ],
    [
      "a circle of them",
      "function used(): unknown { return other(); }\nfunction other() { return used(); }",
      "",
    ],
    [
      "one of several variables",
      "const one = 1, used = () => 2, two = 3;\nexport { one, two };",
      "const one = 1, two = 3;\nexport { one, two };",
    ],
    [
      "the first of several variables",
      "const used = () => 1, two = 3;\nexport { two };",
      "const two = 3;\nexport { two };",
    ],
    [
      "the last of several variables",
      "const two = 3, used = () => 1;\nexport { two };",
      "const two = 3 ;\nexport { two };",
    ],
    [
      "the last two of several variables",
      "const two = 3, more = 4, used = () => more;\nexport { two };",
      "const two = 3 ;\nexport { two };",
    ],
    ["a name taken apart", "const { used } = makeClient();", ""],
    ["a required module", 'const used = require("stripe");', ""],
    ["a module imported by assignment", 'import used = require("stripe");', ""],
    [
      "what is otherwise only named in types",
      'import { used } from "stripe";\nexport type Charge = ReturnType<typeof used>;',
      "export type Charge = ReturnType<typeof used>;",
    ],
    [
      "what a local of the same name hides elsewhere",
      'import { used } from "stripe";\nexport const f = (used: number) => used + 1;',
      "export const f = (used: number) => used + 1;",
    ],
    [
      "what a label, a key and a property of the same name do not mention",
      'import { used } from "stripe";\nexport const o = { used: 1 };\nexport const p = o.used;\nused: for (;;) break used;',
      "export const o = { used: 1 };\nexport const p = o.used;\nused: for (;;) break used;",
    ],
    [
      "what the name of a function expression hides",
      'import { used } from "stripe";\nexport const f = function used(): unknown { return used; };',
      "export const f = function used(): unknown { return used; };",
    ],
    [
      "what a block, a loop, a catch and a class hide",
      'import { used } from "stripe";\n{ const used = 1; console.log(used); }\nfor (const used of []) console.log(used);\ntry {} catch (used) { console.log(used); }\nexport const C = class used { a = used; };',
      "{ const used = 1; console.log(used); }\nfor (const used of []) console.log(used);\ntry {} catch (used) { console.log(used); }\nexport const C = class used { a = used; };",
    ],
    [
      "what a `var` hides before it is declared",
      'import { used } from "stripe";\nexport function f() { console.log(used); { var used = 1; } }',
      "export function f() { console.log(used); { var used = 1; } }",
    ],
    [
      "what a member of an enum hides",
      'import { used } from "stripe";\nexport enum E { used = 1, other = used }',
      "export enum E { used = 1, other = used }",
    ],
  ])("is %s", (_what, before, expected) => {
    const lines = (...parts: readonly string[]): string => parts.filter((part) => part !== "").join("\n");
    expect(left(lines(head, before, call))).toBe(lines(head, expected, called));
  });

  it.each([
    ["what an export names", "const used = () => 1;\nexport { used };"],
    ["what is exported where it is declared", "export const used = () => 1;"],
    ["what is the default export", "const used = () => 1;\nexport default used;"],
    [
      "what a workflow calls",
      'import { used } from "x";\nexport const w = workflow("w", async () => used());',
    ],
    [
      "what an option of an activity holds",
      'import { used } from "x";\nexport const b = activity("b", { input: used }, void 0);',
    ],
    [
      "what a default of a parameter names",
      "const used = () => 1;\nexport function f(a = used) { var used; return a; }",
    ],
    ["what a computed key names", 'const used = () => "k";\nexport const o = { [used()]: 1 };'],
    [
      "what a computed key of a pattern names",
      "const used = () => 1;\nexport const { [used()]: one } = [1, 2];",
    ],
    ["what a class extends", "class used {}\nexport class B extends used {}"],
    ["what a decorator is", "function used() {}\n@used export class B {}"],
    ["what a template holds", "const used = () => 1;\nexport const t = `${used()}`;"],
    ["what a statement of its own touches", 'import { used } from "x";\nused.configure();'],
    ["what is assigned elsewhere", "let used = () => 1;\nexport const set = () => { used = () => 2; };"],
    ["what a shorthand names", "const used = () => 1;\nexport const o = { used };"],
    [
      "what `as` and `satisfies` stand on",
      "const used = () => 1;\nexport const o = (used as unknown) satisfies unknown;",
    ],
    ["what is also declared in a block", "var used = () => 1;\n{ var used = () => 2; }"],
    ["what a namespace adds to", "function used() {}\nnamespace used { export const a = 1; }"],
    ["what is disposed of at the end", "using used = open();"],
    ["what an enum is made of", "const used = () => 1;\nexport enum E { A = used() }"],
    ["what a namespace names", "const used = () => 1;\nexport namespace N { export const a = used; }"],
    ["what is taken apart with something that is used", "const { used, other } = make();\nexport { other };"],
    ["what is exported by assignment", "const used = () => 1;\nexport = used;"],
    [
      "what a parameter property has as its default",
      "const used = () => 1;\nexport class B { constructor(private a = used) {} }",
    ],
    ["what a field holds", "const used = () => 1;\nexport class B { a = used; static { used(); } }"],
    ["what a `switch` compares", "const used = () => 1;\nswitch (used()) { case 1: break; }"],
    ["what an assignment takes apart into", "let used = () => 1;\n({ a: used } = { a: () => 2 });"],
  ])("is not %s", (_what, before) => {
    const expected = `${tidy(before)}\nexport const a = activity("a", {}, void 0);`;
    expect(left(`${head}\n${before}\n${call}`)).toBe(`${head}\n${expected}`);
  });

  it("is nothing that no implementation mentions, used or not", () => {
    const rest = 'import "./setup.ts";\nimport { unused } from "x";\nconst alone = start();';
    expect(left(`${head}\n${rest}\n${call}`)).toBe(`${head}\n${rest}\n${called}`);
  });

  it("includes components that only they show, and keeps those that are shown elsewhere", () => {
    const parts = 'import { Mail } from "./mail.tsx";\nimport { Page, Kit } from "./page.tsx";';
    const text = `${head}\n${parts}\nexport const a = activity("a", () => <Mail to="x"><div /></Mail>);\nexport const p = <Page><Kit.Row /></Page>;`;
    expect(left(text, "order.tsx")).toBe(
      `${head}\nimport { Page, Kit } from "./page.tsx";\nexport const a = activity("a", {}, void 0);\nexport const p = <Page><Kit.Row /></Page>;`,
    );
  });

  it("does not join what stood around it", () => {
    const text = `${head}\nconst before = 1\nconst used = () => 1\n;[before].at(0)\n${call}`;
    expect(strip(text).changed?.code).toContain("const before = 1\n;\n[before].at(0)");
  });

  it("is told", () => {
    const text = `${head}\nimport S from "stripe";\nimport { a, b } from "./x.ts";\nconst client = new S(a);\nexport const pay = activity("pay", () => client.pay(b));`;
    expect(strip(text)).toMatchObject({
      activities: ["pay"],
      imports: ["stripe", "./x.ts"],
      names: ["client"],
      warnings: [],
    });
  });
});

describe("what cannot be dropped", () => {
  it.each([
    ["spread arguments", `${head}\nexport const a = activity(...args);`, /spread/],
    ["the function passed on", `${head}\nexport const a = define(activity);`, /passed on as a value/],
  ])("is told: %s", (_what, text, warning) => {
    const { changed, warnings } = strip(text);
    expect(changed).toBeUndefined();
    expect(warnings).toEqual([
      {
        text: expect.stringMatching(warning) as string,
        place: expect.objectContaining({ line: 2 }) as unknown,
      },
    ]);
  });

  it.each([
    [
      "in a workflow",
      'import { step } from "aion/workflow";\nexport const f = () => step("a", () => 1);',
      "2:24",
    ],
    ["by another name", 'import { step as s } from "aion/workflow";\nexport const f = () => s("a");', "2:24"],
    [
      "of the namespace",
      'import * as aion from "aion/workflow";\nexport const f = () => aion.step("a");',
      "2:24",
    ],
    ["as a value", 'import { step } from "aion/workflow";\nexport const o = { step };', "2:20"],
  ])("is marked: step %s", (_what, text, place) => {
    expect(strip(text).changed?.code).toContain(`STEP_${place.replace(":", "_")}`);
  });

  it("is no step in an implementation, of another module, or only imported", () => {
    const text =
      'import { activity, step } from "aion/workflow";\nexport const a = activity("a", () => step("b", () => 1));';
    expect(strip(text).changed?.code).not.toContain("STEP");
    expect(strip('import { step } from "./mine.ts";\nexport const a = step();').changed).toBeUndefined();
    expect(strip('export { step } from "aion/workflow";').changed).toBeUndefined();
    expect(strip('import { step } from "aion/workflow";\nexport { step };').changed).toBeUndefined();
  });
});

describe("the text that is left", () => {
  const implementation = fc.constantFrom(
    "async () => SECRET",
    "SECRET",
    "(x) => {\n  const y = SECRET;\n  return y + x;\n}",
    "function f() { return SECRET; }",
    "SECRET.make",
    "makeIn(SECRET, () => SECRET)",
  );
  const statement = fc.constantFrom(
    "const kept = 1;",
    "export const f = (a) => {\n  return a;\n};",
    "// a comment: SECRETLY kept?".replace("SECRETLY", "not"),
    'const emoji = "\u{1f4a5}";',
    "",
  );
  const only = fc.constantFrom(
    'import { SECRET } from "secret";',
    'import lib, { SECRET } from "secret";',
    "const SECRET = () => 1;",
    "function SECRET() {}",
    "let a1 = 1, SECRET = 2;\nexport { a1 };",
    "",
  );

  it("holds nothing of an implementation, keeps the numbers of lines, and maps to where it was", () => {
    const module = fc.record({
      only,
      parts: fc.array(fc.tuple(statement, fc.option(implementation, { nil: undefined }), fc.boolean()), {
        minLength: 1,
        maxLength: 6,
      }),
    });
    fc.assert(
      fc.property(module, ({ only: dependency, parts }) => {
        const lines = [head, dependency];
        for (const [index, [text, implemented, hasOptions]] of parts.entries()) {
          lines.push(text);
          if (implemented === undefined) continue;
          lines.push(
            `export const p${index} = activity("p${index}", ${hasOptions ? "{}, " : ""}${implemented});`,
          );
          lines.push(`export const after${index} = [p${index}];`);
        }
        const text = lines
          .filter((line, index) => lines.indexOf(line) === index || !line.includes("const "))
          .join("\n");
        const { changed } = strip(text, "order.js");
        if (changed === undefined) return;
        expect(changed.code).not.toContain("SECRET");
        expect(changed.map).not.toContain("SECRET");
        expect(changed.code.split("\n").length).toBe(text.split("\n").length);
        expect(parseModule("order.js", changed.code)).toBeDefined();
        const map = new SourceMap(JSON.parse(changed.map) as ConstructorParameters<typeof SourceMap>[0]);
        for (const [line, content] of changed.code.split("\n").entries()) {
          const at = content.indexOf("after");
          if (at < 0) continue;
          const original = (text.split("\n")[line] ?? "").indexOf("after");
          expect(map.findEntry(line, at)).toMatchObject({ originalLine: line, originalColumn: original });
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a random module", () => {
  const names = ["a", "b", "c", "d"] as const;
  const name = fc.constantFrom(...names);

  /** Expressions and bodies in which names are mentioned, and hidden in every way that the language has. */
  const { expression } = fc.letrec<{ expression: string; body: string }>((tie) => ({
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      name.map((x) => `seen(() => ${x})`),
      fc.tuple(name, tie("expression")).map(([x, inner]) => `((${x}) => ${inner})(0)`),
      fc.tuple(name, tie("expression")).map(([x, inner]) => `(function ${x}() { return ${inner}; })()`),
      fc
        .tuple(name, name, tie("expression"))
        .map(([x, y, inner]) => `((${x} = ${y}, ...rest) => [${inner}])()`),
      fc.tuple(name, name).map(([x, y]) => `({ ${x}, [typeof ${y}]: 1, ${y}: 2 })`),
      fc
        .tuple(name, tie("expression"))
        .map(([x, inner]) => `(class ${x} { static v = ${inner}; ${x}() {} }).v`),
      tie("body").map((body) => `(() => { ${body} })()`),
      fc.tuple(tie("expression"), tie("expression")).map(([x, y]) => `[${x}, ${y}]`),
      name.map((x) => `\`\${typeof ${x}}\``),
    ),
    body: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      tie("expression").map((value) => `return ${value};`),
      fc.tuple(name, tie("body")).map(([x, rest]) => `const ${x} = 1; { ${rest} }`),
      fc
        .tuple(name, tie("expression"), tie("body"))
        .map(([x, value, rest]) => `{ var ${x} = ${value}; } ${rest}`),
      fc.tuple(name, tie("body")).map(([x, rest]) => `for (let ${x} = 0; ${x} < 1; ${x}++) { ${rest} }`),
      fc.tuple(name, name, tie("body")).map(([x, y, rest]) => `for (const ${x} of [${y}, 1]) { ${rest} }`),
      fc.tuple(name, tie("body")).map(([x, rest]) => `try { throw 1; } catch (${x}) { ${rest} }`),
      fc.tuple(name, tie("body")).map(([x, rest]) => `{ function ${x}() {} ${rest} }`),
      fc
        .tuple(name, name, tie("body"))
        .map(([x, y, rest]) => `const { ${x}: { ${y} } = { ${y}: 1 } } = {}; { ${rest} }`),
      fc
        .tuple(name, name, tie("body"))
        .map(([x, y, rest]) => `switch (1) { case 1: let ${x} = 2; ${y}; ${rest} }`),
      fc.tuple(name, tie("body")).map(([x, rest]) => `${x}: for (;;) { ${rest} break ${x}; }`),
      // Not of a name outside: that would be an effect of a declaration that may go.
      fc
        .tuple(name, name, tie("body"))
        .map(([x, y, rest]) => `{ let ${x}; [, { k: ${x} = [${y}] }] = [1, {}]; } ${rest}`),
    ),
  }));

  const value = fc.oneof({ weight: 3, arbitrary: fc.constant("1") }, { weight: 1, arbitrary: expression });
  const declaration = value.chain((text) =>
    fc.constantFrom<(x: string) => string>(
      (x) => `const ${x} = ${text};`,
      (x) => `let ${x} = ${text};`,
      (x) => `var ${x} = ${text};`,
      (x) => `function ${x}() { return ${text}; }`,
      (x) => `class ${x} { static v() { return ${text}; } }`,
      (x) => `const { ${x} } = { ${x}: ${text} };`,
      (x) => `const other_${x} = 1, ${x} = () => ${text};`,
    ),
  );

  /** What every function that the module gives out answers; `seen` is what a mention came to. */
  function run(code: string): unknown {
    const out: Record<string, () => unknown> = {};
    const seen = (read: () => unknown): string => {
      try {
        return typeof read();
      } catch (error) {
        return (error as Error).name;
      }
    };
    const activity = () => undefined;
    const globals = { out, seen, activity, require: () => ({ activity }) };
    vm.runInNewContext(code, globals);
    return Object.entries(out).map(([key, give]) => {
      try {
        return [key, JSON.stringify(give())];
      } catch (error) {
        return [key, (error as Error).name];
      }
    });
  }

  it("does the same without the implementations", () => {
    const module = fc.record({
      declared: fc.tuple(...names.map(() => declaration)),
      implementation: expression,
      given: fc.array(expression, { minLength: 1, maxLength: 2 }),
    });
    const counts = { removed: 0, kept: 0 };
    fc.assert(
      fc.property(module, ({ declared, implementation, given }) => {
        const code = [
          '"use strict";',
          'const aion = require("aion/workflow");',
          ...declared.map((write, index) => write(names[index] ?? "")),
          // Mentions every name: whatever else mentions one, and is not seen to, is found out.
          `aion.activity("x", () => [${names.join(", ")}, ${implementation}]);`,
          ...given.map((text, index) => `out.f${index} = () => ${text};`),
        ].join("\n");
        const wanted = (() => {
          try {
            return { answers: run(code) };
          } catch {
            return undefined;
          }
        })();
        // A module that does not load by itself shows nothing.
        fc.pre(wanted !== undefined);
        const { changed, names: removed } = strip(code, "order.cjs");
        expect(run(changed?.code ?? code)).toEqual(wanted?.answers);
        counts.removed += removed.length;
        counts.kept += names.length - removed.length;
      }),
      { numRuns: 250 },
    );
    // Neither everything goes nor nothing does.
    expect(counts.removed).toBeGreaterThan(50);
    expect(counts.kept).toBeGreaterThan(50);
  });
});
