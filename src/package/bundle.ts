/**
 * The workflow file and all that its workflow code can reach, as one script.
 *
 * A module that is not there, or that workflow code may not use, is no error by itself: it is one if something that is
 * left after tree shaking mentions it. So the bundler runs once; if it complains of such modules it runs again with an
 * empty module in the place of each, one for each file that imports it, and those that are left in the script are told.
 */
import path from "node:path";
import type * as esbuild from "esbuild";
import type { BuildOptions, BuildResult, Message, Metafile, PluginBuild } from "esbuild";
import { assert } from "../core/errors.ts";
import { isBuildFailure, runBundler } from "./bundler.ts";
import { ImportGraph, describeMissing, describeStep, isInstalled } from "./import-graph.ts";
import type { Missing } from "./import-graph.ts";
import { ModuleLoader, workflowModule } from "./module-loader.ts";
import { buildFailed } from "./problem.ts";
import { SharedLibraries } from "./realm-libraries.ts";
import type { Place, Problem } from "./problem.ts";
import type { StrippedModule } from "./stripped-module.ts";

export interface BundleRequest {
  /** Absolute, without symbolic links. */
  readonly entry: string;
  /** The root of the package that the entry belongs to; likewise. */
  readonly root: string;
}

export interface Bundle {
  readonly script: string;
  /** A script of the same form: it exports the shared libraries by the names under which `script` requires them. May be empty. */
  readonly libraries: string;
  readonly sourceMap: string;
  readonly warnings: readonly Problem[];
  /** The modules that import `aion/workflow`, by file. */
  readonly stripped: ReadonlyMap<string, StrippedModule>;
  /** The files that were read, but for installed libraries. */
  readonly sources: readonly string[];
}

/** Error: `build_failed`, with all that stands against it. */
export async function bundle({ entry, root }: BundleRequest): Promise<Bundle> {
  const loader = new ModuleLoader(root);
  const shared = new SharedLibraries();
  const first = await run({ entry, root }, loader, shared, []);
  const missing = first.errors.flatMap(toMissing);
  const isFirstGood = missing.length === 0 && !shared.hasChanged();
  const { built, errors } = isFirstGood ? first : await run({ entry, root }, loader, shared, missing);
  const shown = loader.relative(entry);
  if (built === undefined) throw buildFailed(shown, errors.map(toProblem));

  const textOf = (name: string): string => {
    const file = built.outputFiles.find((output) => path.basename(output.path) === name);
    assert(file, `the bundler makes ${name}`);
    return file.text;
  };
  const script = textOf(scriptName);
  const graph = new ImportGraph(built.metafile, shown);
  const problems = [
    ...describeMissing(
      missing.filter((module) => graph.isKept(`${missingNamespace}:${keyOf(module)}`)),
      graph,
      loader,
    ),
    ...loader.findSteps(script).map((place) => describeStep(place, graph)),
  ];
  const warnings = [
    ...built.warnings.filter(({ location }) => isOwn(location?.file, graph)).map(toProblem),
    ...[...loader.stripped.values()].flatMap((module) => module.warnings),
  ];
  if (problems.length > 0) throw buildFailed(shown, problems, { warnings });
  return {
    script,
    libraries: await bundleLibraries(shared.usedBy(built.metafile), root),
    sourceMap: toSourceMap(textOf(`${scriptName}.map`), root, built.metafile),
    warnings,
    stripped: loader.stripped,
    sources: Object.keys(built.metafile.inputs)
      .filter((file) => !isInstalled(file) && !file.startsWith(`${missingNamespace}:`))
      .map((file) => path.resolve(root, file)),
  };
}

const scriptName = "workflow.js";

/** Of every script of a package. */
const form = {
  bundle: true,
  write: false,
  format: "cjs",
  // Of a library's builds for Node and for browsers, the latter asks for no module of Node.
  platform: "browser",
  target: "node24",
  // Libraries that look for the global object in an older way would ask for code from text otherwise.
  define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
  banner: { js: '(function (require, module, exports, globalThis) { "use strict";' },
  footer: { js: "})" },
  charset: "utf8",
  legalComments: "eof",
  treeShaking: true,
  // A module that is named only when code runs is asked for as any other, and refused.
  supported: { "dynamic-import": false },
  // Nothing of the environment: it would be in the package.
  nodePaths: [],
  logLevel: "silent",
  logLimit: 0,
} as const satisfies BuildOptions;

async function bundleLibraries(paths: ReadonlyMap<string, string>, root: string): Promise<string> {
  if (paths.size === 0) return "";
  const lines = [...paths].map(
    ([specifier, file]) => `exports[${JSON.stringify(specifier)}] = require(${JSON.stringify(file)});`,
  );
  const { outputFiles } = await runBundler({
    ...form,
    stdin: { contents: lines.join("\n"), resolveDir: root, sourcefile: "libraries.js" },
    absWorkingDir: root,
    // Without comments, which name paths.
    minifyWhitespace: true,
  });
  const [file] = outputFiles;
  assert(file, "the bundler makes a script of libraries");
  return file.text;
}
const missingNamespace = "aion-missing";

interface Ran {
  readonly built: BuildResult<{ metafile: true; write: false }> | undefined;
  readonly errors: readonly Message[];
}

async function run(
  { entry, root }: BundleRequest,
  loader: ModuleLoader,
  shared: SharedLibraries,
  missing: readonly Missing[],
): Promise<Ran> {
  const keys = new Set(missing.map(keyOf));
  const install = (build: PluginBuild): void => {
    build.onResolve({ filter: /^aion(?:\/|$)/ }, ({ path: specifier, importer }) => {
      if (specifier === workflowModule) return { path: specifier, external: true };
      // The engine and its other faces are installed, and no part of a workflow.
      const isKnown = keys.has(toKey(loader.relative(importer), specifier));
      return isKnown ? undefined : { errors: [{ text: `Could not resolve "${specifier}"` }] };
    });
    if (keys.size > 0) {
      build.onResolve({ filter: /.*/ }, ({ path: specifier, importer }) => {
        const key = toKey(loader.relative(importer), specifier);
        return keys.has(key) ? { path: key, namespace: missingNamespace, sideEffects: false } : undefined;
      });
      build.onLoad({ filter: /.*/, namespace: missingNamespace }, () => ({
        contents: "module.exports = {};",
      }));
    }
    shared.install(build);
    loader.install(build);
  };
  const options = {
    ...form,
    entryPoints: [entry],
    absWorkingDir: root,
    outfile: path.join(root, scriptName),
    metafile: true,
    sourcemap: "external",
    plugins: [{ name: "aion", setup: install }],
  } as const satisfies BuildOptions;
  try {
    return { built: await runBundler(options), errors: [] };
  } catch (error) {
    if (isBuildFailure(error)) return { built: undefined, errors: error.errors };
    throw error;
  }
}

function toKey(importer: string, specifier: string): string {
  return `${specifier} in ${importer}`;
}

function keyOf({ specifier, place }: Missing): string {
  return toKey(place.file, specifier);
}

const unresolved = /^Could not resolve "/;
const unloadable = /^No loader is configured for /;

/** What the bundler says of an import that it cannot follow; nothing for other errors. */
function toMissing({ text, location, notes }: Message): readonly Missing[] {
  const isForeign = unloadable.test(text);
  if (location === null || (!isForeign && !unresolved.test(text))) return [];
  const place = toPlace(location);
  const specifier = /^Could not resolve "(.*)"$/s.exec(text)?.[1] ?? literalAt(location);
  if (specifier === undefined) return [];
  // What the bundler advises is about its own options.
  const reason = notes.find((note) => !/^You can |platform: 'node'/.test(note.text))?.text;
  return [{ specifier, place, reason, isForeign }];
}

/** The string that stands at a place, as it is written. */
function literalAt({ lineText, column, length }: esbuild.Location): string | undefined {
  const bytes = Buffer.from(lineText).subarray(column, column + length);
  return /^["'`](.*)["'`]$/s.exec(bytes.toString())?.[1];
}

/** The bundler counts columns from 0, and in bytes. */
function toPlace({ file, line, column, length, lineText }: esbuild.Location): Place {
  const bytes = Buffer.from(lineText);
  const before = bytes.subarray(0, column).toString();
  const marked = bytes.subarray(column, column + length).toString();
  return { file, line, column: before.length + 1, length: Math.max(1, marked.length), lineText };
}

function isOwn(file: string | undefined, graph: ImportGraph): boolean {
  return file === undefined || (!isInstalled(file) && graph.isKept(file));
}

function toProblem({ id, text, location, notes }: Message): Problem {
  const said = text.startsWith("Top-level await")
    ? topLevelAwait
    : id === "empty-import-meta"
      ? emptyImportMeta
      : { text: [text, ...notes.map((note) => note.text)].join(" ") };
  return { ...said, ...(location === null ? {} : { place: toPlace(location) }) };
}

const emptyImportMeta: Problem = {
  text: "`import.meta` is empty in a package: its code is no file",
  remedy: "Look for files in an activity; for data, import it as JSON.",
};

const topLevelAwait: Problem = {
  text: "workflow code cannot wait while its module is loaded (`await` at the top level)",
  remedy: "Put it into the workflow's function, or into an activity.",
};

/** The map with the same text in whatever directory it was made: its paths are relative to the root. */
function toSourceMap(text: string, root: string, metafile: Metafile): string {
  const map = JSON.parse(text) as SourceMapFile;
  const base = commonDirectory(Object.keys(metafile.inputs).map((file) => path.resolve(root, file)));
  const sources = map.sources.map((source) => {
    const absolute = path.resolve(root, source);
    // From the map of a library that was built elsewhere, with a path of that machine.
    return absolute.startsWith(base) ? source : `file://${absolute}`;
  });
  // The text of libraries is at hand where they are installed.
  const sourcesContent = map.sourcesContent?.map((content, index) =>
    isInstalled(sources[index]) ? null : content,
  );
  return JSON.stringify({ ...map, sources, ...(sourcesContent === undefined ? {} : { sourcesContent }) });
}

interface SourceMapFile {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
}

function commonDirectory(files: readonly string[]): string {
  const [first = [], ...others] = files.map((file) => path.dirname(file).split(path.sep));
  const differs = first.findIndex((part, index) => others.some((other) => other[index] !== part));
  const common = differs < 0 ? first : first.slice(0, differs);
  return common.join(path.sep) + path.sep;
}
