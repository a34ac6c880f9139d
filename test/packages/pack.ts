/** Makes packages out of source text, for tests of how they run. */
import path from "node:path";
import { build } from "esbuild";
import { CodeHost } from "../../src/host/code-host.ts";
import type { HostLine } from "../../src/host/code-host.ts";
import type { PackageCode } from "../../src/program/border.ts";
import type { ProgramSource } from "../../src/program/program.ts";

const form = {
  bundle: true,
  write: false,
  format: "cjs",
  target: "es2024",
  banner: { js: '(function (require, module, exports, globalThis) { "use strict";' },
  define: { global: "globalThis" },
  footer: { js: "})" },
} as const;

/** As a build of a package has it. */
const libraries = build({
  ...form,
  stdin: { contents: 'exports["zod"] = require("zod");', resolveDir: import.meta.dirname },
});

/** What `aion build` would make of it: `source` is TypeScript in `directory`, with imports as they come. */
export async function pack(
  source: string,
  { directory = import.meta.dirname, version = "test" } = {},
): Promise<PackageCode> {
  const { outputFiles } = await build({
    ...form,
    stdin: { contents: source, resolveDir: directory, sourcefile: "entry.ts", loader: "ts" },
    sourcemap: "external",
    outfile: path.join(directory, "workflow.js"),
    external: ["zod"],
    plugins: [
      {
        name: "aion",
        setup: (made) =>
          made.onResolve({ filter: /^aion\/workflow$|\/src\/workflow\/index\.ts$/ }, () => ({
            path: "aion/workflow",
            external: true,
          })),
      },
    ],
  });
  const textOf = (ending: string): string =>
    outputFiles.find(({ path: name }) => name.endsWith(ending))?.text ?? "";
  return {
    version,
    script: textOf(".js"),
    sourceMap: textOf(".map"),
    ...(source.includes('"zod"') ? { libraries: (await libraries).outputFiles[0]?.text ?? "" } : {}),
  };
}

/** An engine's programs: one package, whatever version a history names. What is asked of it waits until it is loaded. */
export function hostPackage(
  code: PackageCode,
  workflowTypes: readonly string[],
  line: HostLine,
): { readonly host: CodeHost; readonly programs: ProgramSource } {
  const host = new CodeHost(line);
  void host.load(code);
  const find: ProgramSource["route"] = (workflowType) =>
    workflowTypes.includes(workflowType) ? host.program(workflowType, code.version) : undefined;
  return { host, programs: { route: find, find, workflowTypes } };
}
