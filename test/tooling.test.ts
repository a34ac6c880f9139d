/**
 * The linter, the compiler and the package's own face, each tried on a planted fault: a check that does not
 * catch what it is there for is no check.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = path.dirname(import.meta.dirname);

interface Planted {
  readonly what: string;
  readonly rule: string;
  readonly code: string;
  /** Where it is planted; in the middle of the engine unless told. */
  readonly folder?: string;
}

const globalsRule = "eslint(no-restricted-globals)";
const importsRule = "eslint(no-restricted-imports)";
const propertiesRule = "eslint(no-restricted-properties)";
const dateRule = "aion(no-ambient-date)";

const sealed = ["core", "replay", "workflow", "program", "engine"] as const;

const ambient: readonly Planted[] = [
  { what: "the clock", rule: dateRule, code: "export const a = Date.now();" },
  { what: "a date of now", rule: dateRule, code: "export const a = new Date();" },
  { what: "the date constructor passed on", rule: dateRule, code: "export const a = [Date];" },
  { what: "the clock through globalThis", rule: dateRule, code: "export const a = globalThis.Date.now();" },
  { what: "performance", rule: globalsRule, code: "export const a = performance.now();" },
  { what: "a timer", rule: globalsRule, code: "setTimeout(() => undefined, 1);" },
  {
    what: "a timer through globalThis",
    rule: globalsRule,
    code: "globalThis.setTimeout(() => undefined, 1);",
  },
  { what: "an interval", rule: globalsRule, code: "setInterval(() => undefined, 1);" },
  { what: "an immediate", rule: globalsRule, code: "setImmediate(() => undefined);" },
  { what: "a message channel", rule: globalsRule, code: "export const a = new MessageChannel();" },
  { what: "a time-out signal", rule: propertiesRule, code: "export const a = AbortSignal.timeout(5);" },
  { what: "a random number", rule: propertiesRule, code: "export const a = Math.random();" },
  { what: "a random number taken apart", rule: propertiesRule, code: "export const { random } = Math;" },
  { what: "a random id", rule: globalsRule, code: "export const a = crypto.randomUUID();" },
  { what: "the process", rule: globalsRule, code: 'export const a = process.env["HOME"];' },
  { what: "the network", rule: globalsRule, code: 'export const a = fetch("http://127.0.0.1/");' },
  { what: "the console", rule: globalsRule, code: 'console.log("a");' },
  { what: "a weak reference", rule: globalsRule, code: "export const a = new WeakRef({});" },
  {
    what: "a finalizer",
    rule: globalsRule,
    code: "export const a = new FinalizationRegistry(() => undefined);",
  },
  { what: "atomics", rule: globalsRule, code: "export const a = Atomics.load(new Int32Array(1), 0);" },
  ...[
    "fs",
    "fs/promises",
    "timers",
    "timers/promises",
    "crypto",
    "perf_hooks",
    "process",
    "worker_threads",
  ].map((name): Planted => ({ what: `node:${name}`, rule: importsRule, code: `import "node:${name}";` })),
];

const planted: readonly Planted[] = [
  ...sealed.flatMap((layer) =>
    ambient.map((fault): Planted => ({
      ...fault,
      what: `${fault.what} in ${layer}`,
      folder: `src/${layer}`,
    })),
  ),
  ...sealed
    .filter((layer) => layer !== "program")
    .map((layer): Planted => ({
      what: `AsyncLocalStorage in ${layer}`,
      rule: importsRule,
      folder: `src/${layer}`,
      code: 'export { AsyncLocalStorage } from "node:async_hooks";',
    })),
  {
    what: "the process in guest",
    rule: globalsRule,
    folder: "src/guest",
    code: 'export const a = process.env["HOME"];',
  },
  {
    what: "a floating promise",
    rule: "typescript(no-floating-promises)",
    code: "export const a = async () => 1;\na();",
  },
  {
    what: "a promise where a claim is asked for",
    rule: "typescript(no-misused-promises)",
    code: "declare const a: () => Promise<boolean>;\nexport const b = a() ? 1 : 2;",
  },
  {
    what: "a switch that forgets a case",
    rule: "typescript(switch-exhaustiveness-check)",
    code: 'export function f(a: "x" | "y"): void {\n  switch (a) {\n    case "x":\n      break;\n  }\n}',
  },
  { what: "any", rule: "typescript(no-explicit-any)", code: "export type A = any;" },
  {
    what: "a value of unchecked type",
    rule: "typescript(no-unsafe-member-access)",
    code: 'export const a: unknown = JSON.parse("{}").b;',
  },
  {
    what: "a non-null assertion",
    rule: "typescript(no-non-null-assertion)",
    code: "export const f = (a: string | undefined): string => a!;",
  },
  {
    what: "a type imported as a value",
    rule: "typescript(consistent-type-imports)",
    code: 'import { Circle } from "./circle-one.ts";\nexport type A = Circle;',
  },
  {
    what: "a comment that silences the compiler",
    rule: "typescript(ban-ts-comment)",
    code: ["// @ts", "-ignore: it does not matter\nexport const a = 1;"].join(""),
  },
  {
    what: "something thrown that is no error",
    rule: "typescript(only-throw-error)",
    code: 'export function f(): never {\n  throw "a";\n}',
  },
  {
    what: "a default export",
    rule: "import(no-default-export)",
    code: "export default 1;",
  },
  {
    what: "the console in a library",
    rule: "eslint(no-console)",
    folder: "src/client",
    code: 'console.log("a");',
  },
  {
    what: "a module of Node without its scheme",
    rule: "unicorn(prefer-node-protocol)",
    folder: "src/cli",
    code: 'export { readFileSync } from "fs";',
  },
  {
    what: "loose equality",
    rule: "eslint(eqeqeq)",
    code: "export const f = (a: number, b: number): boolean => a == b;",
  },
  {
    what: "a directive that silences nothing",
    rule: "",
    code: "// oxlint-disable-next-line no-console\nexport const a = 1;",
  },
  {
    what: "a test that is left out",
    rule: "vitest(no-disabled-tests)",
    folder: "test",
    code: [
      'import { expect, it } from "vitest";\nit',
      '.skip("holds", () => {\n  expect(1).toBe(1);\n});',
    ].join(""),
  },
  {
    what: "a test that asserts nothing",
    rule: "vitest(expect-expect)",
    folder: "test",
    code: 'import { it } from "vitest";\nit("holds", () => undefined);',
  },
];

const sound: readonly Pick<Planted, "what" | "code" | "folder">[] = [
  ...sealed.flatMap((layer) => [
    {
      what: `a given instant in ${layer}`,
      folder: `src/${layer}`,
      code: "export const f = (atMs: number) => new Date(atMs);",
    },
    {
      what: `the type Date in ${layer}`,
      folder: `src/${layer}`,
      code: "export const f = (a: unknown): a is Date => a instanceof Date;",
    },
    { what: `Date.UTC in ${layer}`, folder: `src/${layer}`, code: "export const a = Date.UTC(2026, 0);" },
    { what: `queueMicrotask in ${layer}`, folder: `src/${layer}`, code: "queueMicrotask(() => undefined);" },
    {
      what: `a port named as the global in ${layer}`,
      folder: `src/${layer}`,
      code: "export const f = (setTimeout: (ms: number) => void): void => setTimeout(5);",
    },
  ]),
  {
    what: "AsyncLocalStorage in program",
    folder: "src/program",
    code: 'import { AsyncLocalStorage } from "node:async_hooks";\nexport const a = new AsyncLocalStorage<string>();',
  },
  { what: "a timer in the command line", folder: "src/cli", code: "setTimeout(() => undefined, 1);" },
  {
    what: "the file system in a store",
    folder: "src/store",
    code: 'export { readFileSync } from "node:fs";',
  },
  {
    what: "a switch with a default",
    code: 'export function f(a: "x" | "y"): number {\n  switch (a) {\n    case "x":\n      return 1;\n    default:\n      return 2;\n  }\n}',
  },
];

interface Finding {
  readonly file: string;
  readonly rule: string;
}

function nameOf(index: number, kind: "planted" | "sound", folder = "src/engine"): string {
  return `${folder}/${kind}-${index}${folder === "test" ? ".test" : ""}.ts`;
}

/** Runs the linter as the repository has it set up over a tree that holds the given files. */
function lint(files: Readonly<Record<string, string>>): readonly Finding[] {
  const folder = mkdtempSync(path.join(tmpdir(), "aion-lint-"));
  try {
    for (const config of [".oxlintrc.json", "tsconfig.json", "package.json", "scripts/lint-rules.ts"]) {
      mkdirSync(path.dirname(path.join(folder, config)), { recursive: true });
      copyFileSync(path.join(root, config), path.join(folder, config));
    }
    symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"));
    for (const [name, code] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeFileSync(path.join(folder, name), `${code}\n`);
    }
    const linter = path.join(root, "node_modules/oxlint/bin/oxlint");
    const { stdout, stderr } = spawnSync(process.execPath, [linter, "--format=json", "src", "test"], {
      cwd: folder,
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    if (!stdout.startsWith("{")) throw new Error(`the linter did not report: ${stdout}${stderr}`);
    const report = JSON.parse(stdout) as {
      readonly diagnostics: readonly { readonly filename: string; readonly code?: string }[];
    };
    return report.diagnostics.map(({ filename, code }) => ({ file: filename, rule: code ?? "" }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("the linter", () => {
  let findings: readonly Finding[] = [];

  beforeAll(() => {
    findings = lint({
      ...Object.fromEntries(
        planted.map((fault, index) => [nameOf(index, "planted", fault.folder), fault.code]),
      ),
      ...Object.fromEntries(sound.map((code, index) => [nameOf(index, "sound", code.folder), code.code])),
      "src/engine/circle-one.ts":
        'export interface Circle {\n  a: string;\n}\nexport { b } from "./circle-two.ts";',
      "src/engine/circle-two.ts": 'export * from "./circle-one.ts";\nexport const b = 1;',
      "src/engine/CamelCase.ts": "export const a = 1;",
    });
  });

  const rulesFor = (file: string): readonly string[] =>
    findings.filter((finding) => finding.file === file).map((finding) => finding.rule);

  it.each(
    planted.map(({ what, rule, folder }, index) => [what, rule, nameOf(index, "planted", folder)] as const),
  )("catches %s", (_what, rule, file) => {
    expect(rulesFor(file)).toContain(rule);
  });

  it("catches a circle of imports", () => {
    expect(rulesFor("src/engine/circle-one.ts")).toContain("import(no-cycle)");
  });

  it("catches a file name that is not in kebab case", () => {
    expect(rulesFor("src/engine/CamelCase.ts")).toContain("unicorn(filename-case)");
  });

  it.each(sound.map(({ what, folder }, index) => [what, nameOf(index, "sound", folder)] as const))(
    "lets %s pass",
    (_what, file) => {
      expect(rulesFor(file)).toEqual([]);
    },
  );
});

describe("the compiler", () => {
  let output = "";
  let folder = "";

  const faults: readonly (readonly [what: string, code: string, error: string])[] = [
    ["an index that may be missing", "export const f = (a: readonly string[]): string => a[0];", "TS2322"],
    [
      "undefined given to an optional field",
      "export const a: { readonly b?: string } = { b: undefined };",
      "TS2375",
    ],
    ["an enum, which cannot be stripped", "export enum E {\n  A,\n}", "TS1294"],
    [
      "a type imported as a value",
      'import { PathLike } from "node:fs";\nexport type A = PathLike;',
      "TS1484",
    ],
    [
      "a path that returns nothing",
      "export function f(a: boolean): number | undefined {\n  if (a) return 1;\n}",
      "TS7030",
    ],
    [
      "a method that overrides silently",
      "class A {\n  f() {}\n}\nexport class B extends A {\n  f() {}\n}",
      "TS4114",
    ],
  ];

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "aion-types-"));
    copyFileSync(path.join(root, "tsconfig.json"), path.join(folder, "tsconfig.json"));
    copyFileSync(path.join(root, "package.json"), path.join(folder, "package.json"));
    symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"));
    mkdirSync(path.join(folder, "src"));
    for (const [index, [, code]] of faults.entries()) {
      writeFileSync(path.join(folder, `src/planted-${index}.ts`), `${code}\n`);
    }
    const compiler = path.join(root, "node_modules/typescript/bin/tsc");
    output = spawnSync(process.execPath, [compiler, "--noEmit", "--pretty", "false", "-p", "."], {
      cwd: folder,
      encoding: "utf8",
    }).stdout;
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(faults.map(([what, , error], index) => [what, error, index] as const))(
    "catches %s",
    (_what, error, index) => {
      const lines = output.split("\n").filter((line) => line.startsWith(`src/planted-${index}.ts`));
      expect(lines.join("\n")).toContain(error);
    },
  );
});

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as Manifest;

describe("the package", () => {
  const subpaths = Object.entries(manifest.exports).filter(([, target]) => typeof target === "object");

  it.each(subpaths)("gives %s from dist to its users and from src to this repository", (subpath, target) => {
    const name = subpath === "." ? "index" : `${subpath.slice(2)}/index`;
    expect(target).toEqual({
      "aion-source": `./src/${name}.ts`,
      types: `./dist/${name}.d.ts`,
      default: `./dist/${name}.js`,
    });
    // The first condition that holds wins.
    expect(Object.keys(target)[0]).toBe("aion-source");
  });

  it("is one module, whether a test names it or reaches it by path", async () => {
    const byName = (await import("aion/workflow")) as object;
    const byPath = (await import("../src/workflow/index.ts")) as object;
    expect(byName).toBe(byPath);
  });

  it("pins the Node that runs this test", () => {
    expect(process.versions.node).toBe(manifest.devDependencies["node"]);
  });
});

describe("the lock file", () => {
  it("names no host to download from", () => {
    const lock = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")) as {
      readonly packages: Readonly<Record<string, { readonly resolved?: string }>>;
    };
    const named = Object.entries(lock.packages).filter(([, { resolved }]) => resolved !== undefined);
    expect(Object.keys(lock.packages).length).toBeGreaterThan(1);
    expect(named).toEqual([]);
  });
});

describe("the bootstrap script", () => {
  it("runs a script on the pinned Node with its arguments, its output alone on stdout, and its exit code", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "aion-bootstrap-"));
    try {
      const script = path.join(folder, "script.ts");
      writeFileSync(
        script,
        "const args: readonly string[] = process.argv.slice(2);\nconsole.log(process.version, ...args);\nprocess.exitCode = 7;\n",
      );
      const { status, stdout } = spawnSync(
        process.execPath,
        [path.join(root, "scripts/bootstrap.mjs"), script, "--chaos", "a b"],
        { cwd: folder, encoding: "utf8" },
      );
      expect(stdout).toBe(`${process.version} --chaos a b\n`);
      expect(status).toBe(7);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("names what it cannot run", () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [path.join(root, "scripts/bootstrap.mjs"), "no-such-tool"],
      {
        encoding: "utf8",
      },
    );
    expect(stderr).toContain("no-such-tool");
    expect(status).toBe(1);
  });
});
