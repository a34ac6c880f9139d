/**
 * Which folder of src/ may import from which. An arrow never points up; an edge that is not in the table is a
 * fault, and so is a folder that is not in it.
 */
import { builtinModules } from "node:module";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { readSourceFiles } from "./source-files.ts";
import type { SourceFile } from "./source-files.ts";
import { readImports } from "./source-imports.ts";

interface Layer {
  /** Folders of src/ besides its own. */
  readonly layers: readonly string[];
  /** npm packages. */
  readonly packages?: readonly string[];
  /** Modules of Node: none, these, or all of them. */
  readonly builtins?: readonly string[] | "all";
  /** Whether it may load code by a path that only the user knows. */
  readonly loadsUserCode?: boolean;
}

const table: Readonly<Record<string, Layer>> = {
  core: { layers: [], packages: ["@standard-schema/spec"] },
  workflow: { layers: ["core"], packages: ["@standard-schema/spec"] },
  replay: { layers: ["core"] },
  program: { layers: ["core", "workflow"], builtins: ["node:async_hooks"] },
  guest: { layers: ["core", "workflow", "program"] },
  // esbuild makes the guest's script in the repository; a published build has it.
  host: { layers: ["core", "program", "guest"], packages: ["esbuild"], builtins: "all" },
  // fast-check drives the conformance suite, and is loaded by nothing else.
  store: { layers: ["core"], packages: ["fast-check"], builtins: "all" },
  metrics: { layers: ["core"], builtins: ["node:perf_hooks"] },
  protocol: { layers: ["core"] },
  codec: { layers: ["core"], builtins: ["node:crypto"] },
  attempt: { layers: ["core", "workflow"] },
  // Cron expressions and time zones.
  schedule: { layers: ["core"], packages: ["croner"] },
  engine: {
    layers: ["core", "workflow", "replay", "schedule", "program", "store", "client", "protocol", "attempt"],
  },
  worker: { layers: ["core", "workflow", "client", "protocol", "attempt", "http"], builtins: "all" },
  client: { layers: ["core", "workflow"] },
  http: {
    layers: ["core", "client", "protocol"],
    packages: [
      "hono",
      "@hono/node-server",
      "ws",
      "zod",
      "@connectrpc/connect",
      "@connectrpc/connect-node",
      "@bufbuild/protobuf",
    ],
    builtins: "all",
  },
  local: { layers: ["core", "client", "http"], builtins: "all" },
  embedded: {
    layers: [
      "core",
      "workflow",
      "replay",
      "program",
      "host",
      "package",
      "store",
      "engine",
      "client",
      "local",
      "protocol",
      "metrics",
    ],
    packages: ["zod"],
    builtins: "all",
  },
  package: {
    layers: ["core", "workflow", "guest"],
    packages: ["esbuild", "fflate", "magic-string", "oxc-parser", "zod", "@standard-schema/spec"],
    builtins: "all",
  },
  auth: { layers: ["core", "client", "http"], packages: ["jose"], builtins: "all" },
  server: { layers: ["core", "client", "http", "auth", "store", "embedded", "metrics"], builtins: "all" },
  testing: {
    layers: ["core", "workflow", "replay", "program", "store", "engine", "client", "protocol"],
    builtins: "all",
  },
  cli: {
    layers: [
      "core",
      "workflow",
      "replay",
      "program",
      "store",
      "engine",
      "client",
      "codec",
      "local",
      "embedded",
      "package",
      "http",
      "auth",
      "server",
      "worker",
      "otel",
    ],
    packages: ["cli-truncate", "commander", "string-width", "zod"],
    builtins: "all",
    loadsUserCode: true,
  },
  otel: { layers: ["core"], packages: ["@opentelemetry/api"] },
  // src/index.ts, the entry of the package.
  index: { layers: ["core", "client", "engine", "embedded", "metrics"] },
};

/** Unit tests keep to the layers of the code beside them, and may use the test tools and all of Node too. */
const testPackages: readonly string[] = ["vitest", "fast-check", "zod", "@standard-schema/spec"];

const drawers: ReadonlySet<string> = new Set(["utils", "util", "shared", "common", "helpers", "lib", "misc"]);

function layerOf(file: string): string {
  const [first = "", second] = path.posix.relative("src", file).split("/");
  return second === undefined ? first.replace(/\.[cm]?ts$/, "") : first;
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith("node:") || builtinModules.includes(specifier);
}

function faultOf(file: string, layer: Layer, specifier: string | undefined): string | undefined {
  const isTest = file.endsWith(".test.ts");
  const own = layerOf(file);
  if (specifier === undefined) {
    return isTest || layer.loadsUserCode === true ? undefined : "loads a module by a computed path";
  }
  if (specifier.startsWith(".")) {
    const target = path.posix.join(path.posix.dirname(file), specifier);
    if (!target.startsWith("src/")) return isTest ? undefined : `reaches out of src/ with ${specifier}`;
    const other = layerOf(target);
    return other === own || layer.layers.includes(other)
      ? undefined
      : `${own} may not import ${other} (${specifier})`;
  }
  if (isBuiltin(specifier)) {
    const allowed = isTest ? "all" : (layer.builtins ?? []);
    return allowed === "all" || allowed.includes(specifier)
      ? undefined
      : `${own} may not import ${specifier}`;
  }
  const name = packageOf(specifier);
  if (name === "aion") return `imports ${specifier} by the package's name; use a relative path`;
  const packages = [...(layer.packages ?? []), ...(isTest ? testPackages : [])];
  return packages.includes(name) ? undefined : `${own} may not import the package ${name}`;
}

function findFaults(files: readonly SourceFile[]): readonly string[] {
  const faults: string[] = [];
  for (const { path: file, text } of files) {
    const drawer = file.split("/").find((part) => drawers.has(part.replace(/\.[cm]?ts$/, "")));
    if (drawer !== undefined) {
      faults.push(`${file}: nobody owns "${drawer}"; put it where its subject lives`);
      continue;
    }
    const layer = Object.hasOwn(table, layerOf(file)) ? table[layerOf(file)] : undefined;
    if (layer === undefined) {
      faults.push(`${file}: "${layerOf(file)}" is not in the table of layers`);
      continue;
    }
    for (const { specifier, line } of readImports(file, text)) {
      const fault = faultOf(file, layer, specifier);
      if (fault !== undefined) faults.push(`${file}:${line}: ${fault}`);
    }
  }
  return faults;
}

const sources = readSourceFiles(["src/**/*.{ts,mts,js,mjs}"]);

describe("the layers of src/", () => {
  it("are imported only along the arrows of the table", () => {
    expect(sources.length).toBeGreaterThan(0);
    expect(findFaults(sources)).toEqual([]);
  });

  it("have no circle among themselves", () => {
    const settled = new Set<string>();
    const visit = (name: string, trail: readonly string[]): void => {
      expect(trail, "a circle of layers").not.toContain(name);
      if (settled.has(name)) return;
      for (const below of table[name]?.layers ?? []) visit(below, [...trail, name]);
      settled.add(name);
    };
    for (const name of Object.keys(table)) visit(name, []);
    expect(settled.size).toBe(Object.keys(table).length);
  });
});

describe("the check of the layers", () => {
  it.each([
    [
      "an import that points up",
      "src/core/a.ts",
      'import { b } from "../engine/b.ts";',
      "core may not import engine",
    ],
    [
      "a type imported from above",
      "src/core/a.ts",
      'import type { B } from "../store/b.ts";',
      "core may not import store",
    ],
    [
      "a re-export from above",
      "src/replay/a.ts",
      'export * from "../workflow/b.ts";',
      "replay may not import workflow",
    ],
    [
      "a named re-export",
      "src/store/a.ts",
      'export { b } from "../engine/b.ts";',
      "store may not import engine",
    ],
    ["a dynamic import", "src/client/a.ts", 'await import("../local/b.ts");', "client may not import local"],
    [
      "an import in a type",
      "src/client/a.ts",
      'export type B = import("../engine/b.ts").B;',
      "client may not import engine",
    ],
    [
      "a thread's entry",
      "src/store/a.ts",
      'new URL("../engine/b.ts", import.meta.url);',
      "store may not import engine",
    ],
    [
      "the entry of the package",
      "src/cli/a.ts",
      'import { b } from "../index.ts";',
      "cli may not import index",
    ],
    ["a file outside of src", "src/cli/a.ts", 'import { b } from "../../bench/b.ts";', "reaches out of src/"],
    [
      "a module of Node in a pure layer",
      "src/core/a.ts",
      'import { readFileSync } from "node:fs";',
      "core may not import node:fs",
    ],
    [
      "a module of Node without its scheme",
      "src/core/a.ts",
      'import { readFileSync } from "fs";',
      "core may not import fs",
    ],
    ["require", "src/core/a.ts", 'require("node:fs");', "core may not import node:fs"],
    [
      "AsyncLocalStorage outside of program",
      "src/engine/a.ts",
      'import "node:async_hooks";',
      "engine may not import node:async_hooks",
    ],
    ["a computed import", "src/engine/a.ts", "await import(name);", "loads a module by a computed path"],
    [
      "a package that the layer does not have",
      "src/engine/a.ts",
      'import { z } from "zod";',
      "engine may not import the package zod",
    ],
    [
      "the package by its own name",
      "src/cli/a.ts",
      'import { b } from "aion/workflow";',
      "by the package's name",
    ],
    [
      "a unit test that crosses layers",
      "src/core/a.test.ts",
      'import { b } from "../engine/b.ts";',
      "core may not import engine",
    ],
    ["a drawer", "src/utils/a.ts", "export {};", "put it where its subject lives"],
    ["a drawer inside a layer", "src/core/shared/a.ts", "export {};", "put it where its subject lives"],
    ["a folder without a place in the table", "src/planner/a.ts", "export {};", "not in the table"],
  ])("catches %s", (_what, file, text, fault) => {
    expect(findFaults([{ path: file, text }])).toEqual([expect.stringContaining(fault)]);
  });

  it.each([
    ["an edge of the table", "src/engine/a.ts", 'import { b } from "../core/b.ts";'],
    ["a neighbour", "src/core/a.ts", 'import { b } from "./b.ts";'],
    ["AsyncLocalStorage in program", "src/program/a.ts", 'import "node:async_hooks";'],
    ["a computed import in the command line", "src/cli/a.ts", "await import(name);"],
    ["a unit test that uses Node", "src/core/a.test.ts", 'import { readFileSync } from "node:fs";'],
    [
      "an import in a comment or a string",
      "src/core/a.ts",
      '// import "../engine/b.ts"\nconst text = \'import "node:fs"\';',
    ],
    ["a data file", "src/store/a.ts", "new URL(`./migrations/${name}`, import.meta.url);"],
    ["a thread's entry beside it", "src/engine/a.ts", 'new URL("b.ts", import.meta.url);'],
  ])("lets %s pass", (_what, file, text) => {
    expect(findFaults([{ path: file, text }])).toEqual([]);
  });

  it("refuses a file that it cannot read", () => {
    expect(() => findFaults([{ path: "src/core/a.ts", text: "import {" }])).toThrow(/does not parse/);
  });
});
