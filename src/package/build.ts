import { existsSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { AionError, assert, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { findAbsentGlobals, remedyOf } from "./absent-globals.ts";
import { hashArchive, readArchive, writeArchive } from "./archive.ts";
import { bundle } from "./bundle.ts";
import type { Bundle } from "./bundle.ts";
import { inspect, scriptFile } from "./inspect.ts";
import type { InspectedDefinitions, InspectedSchema } from "./inspect.ts";
import { packageFormat } from "./manifest.ts";
import type { JsonSchema, Manifest, Schemas } from "./manifest.ts";
import { buildFailed } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import { SourcePlaces } from "./source-places.ts";

/** What a build left out of a module. */
export interface Dropped {
  readonly file: string;
  /** The activities whose implementations it left out. */
  readonly activities: readonly string[];
  /** The modules that only they imported, as they are named in the file. */
  readonly imports: readonly string[];
  /** The variables, functions and classes that only they used. */
  readonly names: readonly string[];
}

export interface BuiltPackage {
  /** The archive. The same for the same files, in whatever directory and whenever they are built. */
  readonly bytes: Uint8Array;
  /** SHA-256 of the archive: its version id. */
  readonly hash: string;
  readonly manifest: Manifest;
  readonly dropped: readonly Dropped[];
  readonly warnings: readonly Problem[];
  /** From where the names of files in it go: in manifests, problems and the stacks of errors. */
  readonly root: string;
  /** The files that it is made of, but for installed libraries. */
  readonly sources: readonly string[];
}

/**
 * Builds the package of a workflow file: TypeScript or JavaScript with whatever it imports, as it is.
 *
 * Errors: `invalid_argument` (no such file), `build_failed` (all that stands against it, with places),
 * `package_too_large`.
 *
 * @example
 * const { bytes, hash } = await buildPackage("order.ts");
 * writeFileSync("order.aion", bytes);
 */
export async function buildPackage(entryFile: string): Promise<BuiltPackage> {
  const absolute = path.resolve(entryFile);
  if (!existsSync(absolute)) throw new AionError("invalid_argument", `there is no file ${absolute}`);
  const entry = realpathSync(absolute);
  const root = findRoot(entry);
  const shown = path.relative(root, entry).split(path.sep).join("/");

  const bundled = await bundle({ entry, root });
  const places = new SourcePlaces(bundled.sourceMap, root);
  const definitions = inspectBundle(bundled, { entry: shown, places });
  const warnings = [...bundled.warnings, ...findAbsentGlobals(bundled.script, places)];
  const contents = {
    ...describeDefinitions(definitions, shown, warnings),
    script: bundled.script,
    libraries: bundled.libraries,
    sourceMap: bundled.sourceMap,
  };
  const bytes = writeArchive(contents);
  const hash = hashArchive(bytes);
  assert(readArchive(bytes).hash === hash, "a package that was built can be read");
  const dropped = [...bundled.stripped]
    .map(([file, { activities, imports, names }]) => ({ file, activities, imports, names }))
    .filter(({ activities }) => activities.length > 0)
    .toSorted((a, b) => (a.file < b.file ? -1 : 1));
  const { sources } = bundled;
  return { bytes, hash, manifest: contents.manifest, dropped, warnings, root, sources };
}

/** The directory of the nearest package.json, or of the file itself. */
function findRoot(entry: string): string {
  const start = path.dirname(entry);
  for (let directory = start; ; directory = path.dirname(directory)) {
    if (existsSync(path.join(directory, "package.json"))) return directory;
    if (directory === path.dirname(directory)) return start;
  }
}

function inspectBundle(
  { script, libraries }: Bundle,
  { entry, places }: { readonly entry: string; readonly places: SourcePlaces },
): InspectedDefinitions {
  try {
    return inspect({ script, libraries });
  } catch (error) {
    const place = firstPlace(error, places);
    const missing = /^(\S+) is not defined$/.exec(messageOf(error))?.[1];
    const remedy = isAionError(error)
      ? error.hint
      : (remedyOf(missing ?? "") ??
        "A module of workflow code must load without the outside world: only the language and `aion/workflow`.");
    const text = `the module throws while it is loaded: ${messageOf(error)}`;
    throw buildFailed(entry, [{ text, remedy, ...(place === undefined ? {} : { place }) }], {
      cause: error,
    });
  }
}

/** Where the code of the author, or of a library, is in the stack of an error. */
function firstPlace(error: unknown, places: SourcePlaces): Place | undefined {
  const stack = Error.isError(error) ? (error.stack ?? "") : "";
  for (const [, line, column] of stack.matchAll(frame)) {
    const place = places.find(Number(line), Number(column));
    if (place !== undefined) return place;
  }
  return undefined;
}

const frame = new RegExp(`${RegExp.escape(scriptFile)}:(\\d+):(\\d+)`, "g");

function describeDefinitions(
  definitions: InspectedDefinitions,
  entry: string,
  warnings: Problem[],
): { readonly manifest: Manifest; readonly schemas: Schemas } {
  for (const { type } of definitions.workflows.filter(({ isExported }) => !isExported)) {
    warnings.push({
      text: `workflow ${JSON.stringify(type)} is defined and not exported by ${entry}; the package cannot run it`,
    });
  }
  const exported = definitions.workflows.filter(({ isExported }) => isExported);
  if (exported.length === 0) {
    throw buildFailed(entry, [
      { text: `${entry} exports no workflow`, remedy: 'Export what workflow("name", …) returns.' },
    ]);
  }
  const merge = new DefinitionMerge(entry, warnings);
  const workflows = merge.unique("workflow", exported, ({ type }) => type);
  const activities = merge.unique("activity", definitions.activities, ({ type }) => type);
  const signals = merge.alike("signal", definitions.signals, (name) => ({ name, payload: disputed }));
  const queries = merge.alike("query", definitions.queries, (name) => ({
    name,
    input: disputed,
    output: disputed,
  }));
  const shapeOf = ({ kind }: InspectedSchema) => kind;
  const manifest: Manifest = {
    format: packageFormat,
    aion: readVersion(),
    entry,
    workflows: workflows.map(({ type, input, output, signals: names }) => ({
      type,
      input: shapeOf(input),
      output: shapeOf(output),
      signals: [...new Set(names)].toSorted(byText),
    })),
    activities: activities.map(({ type, input, output, options }) => {
      const shape = shapeOf(output);
      return { type, input: shapeOf(input), ...(shape === "any" ? {} : { output: shape }), options };
    }),
    signals: signals.map(({ name, payload }) => ({ name, payload: shapeOf(payload) })),
    queries: queries.map(({ name, input, output }) => ({
      name,
      input: shapeOf(input),
      output: shapeOf(output),
    })),
  };
  const schemas: Schemas = {
    workflows: described(workflows, ({ type, input, output }) => [type, { input, output }]),
    activities: described(activities, ({ type, input, output }) => [type, { input, output }]),
    signals: described(signals, ({ name, payload }) => [name, { payload }]),
    queries: described(queries, ({ name, input, output }) => [name, { input, output }]),
  };
  return { manifest, schemas };
}

const disputed: InspectedSchema = { kind: "opaque", reason: "it is defined twice" };

/** Definitions of one name. */
class DefinitionMerge {
  readonly #entry: string;
  readonly #warnings: Problem[];

  constructor(entry: string, warnings: Problem[]) {
    this.#entry = entry;
    this.#warnings = warnings;
  }

  /** Two of one name would be one to the engine. */
  unique<Item>(kind: string, items: readonly Item[], nameOf: (item: Item) => string): readonly Item[] {
    const byName = Map.groupBy(items, nameOf);
    const twice = [...byName].filter(([, same]) => same.length > 1);
    if (twice.length > 0) {
      throw buildFailed(
        this.#entry,
        twice.map(([name]) => ({
          text: `the ${kind} ${JSON.stringify(name)} is defined more than once`,
          remedy: "Give each definition its own name, and define it in one place.",
        })),
      );
    }
    return items.toSorted((a, b) => byText(nameOf(a), nameOf(b)));
  }

  /** Two of one name are fine: a message is one of the workflow that asks for it. */
  alike<Item extends { readonly name: string }>(
    kind: string,
    items: readonly Item[],
    dispute: (name: string) => Item,
  ): readonly Item[] {
    const merged = [...Map.groupBy(items, ({ name }) => name)].map(([name, same]) => {
      const [first, ...others] = same;
      const text = JSON.stringify(first);
      if (first !== undefined && others.every((other) => JSON.stringify(other) === text)) return first;
      this.#warnings.push({
        text: `the ${kind} ${JSON.stringify(name)} is defined more than once with different schemas; the package describes none of them`,
      });
      return dispute(name);
    });
    return merged.toSorted((a, b) => byText(a.name, b.name));
  }
}

function described<Item, Part extends string>(
  items: readonly Item[],
  partsOf: (item: Item) => readonly [name: string, Readonly<Record<Part, InspectedSchema>>],
): Record<string, Partial<Record<Part, JsonSchema>>> {
  return Object.fromEntries(
    items.flatMap((item) => {
      const [name, parts] = partsOf(item);
      const known = Object.entries<InspectedSchema>(parts).flatMap(([part, schema]) =>
        schema.kind === "described" ? [[part, schema.schema] as const] : [],
      );
      return known.length === 0 ? [] : [[name, Object.fromEntries(known)] as const];
    }),
  ) as Record<string, Partial<Record<Part, JsonSchema>>>;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function readVersion(): string {
  const file = path.join(import.meta.dirname, "..", "..", "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
}
