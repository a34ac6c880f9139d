import { isBuiltin } from "node:module";
import type { Metafile } from "esbuild";
import type { Place, Problem } from "./problem.ts";

/** An import that cannot be followed. */
export interface Missing {
  readonly specifier: string;
  readonly place: Place;
  /** What the bundler adds. */
  readonly reason: string | undefined;
  /** It is there, and is nothing that can be bundled. */
  readonly isForeign: boolean;
}

/** Which modules are in a script, and how they came there. */
export class ImportGraph {
  readonly #inputs: Metafile["inputs"];
  readonly #kept: ReadonlySet<string>;
  readonly #from: ReadonlyMap<string, string | undefined>;

  constructor(metafile: Metafile, entry: string) {
    this.#inputs = metafile.inputs;
    const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
    this.#kept = new Set(inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file));
    const from = new Map<string, string | undefined>([[entry, undefined]]);
    for (const [file] of from) {
      for (const { path: next } of this.#inputs[file]?.imports ?? []) {
        if (!from.has(next)) from.set(next, file);
      }
    }
    this.#from = from;
  }

  /** Whether something of a module is in the script. */
  isKept(module: string): boolean {
    return this.#kept.has(module);
  }

  /** The shortest way from the entry. */
  chainTo(file: string): readonly string[] {
    const chain: string[] = [];
    for (let at = this.#from.has(file) ? file : undefined; at !== undefined; at = this.#from.get(at)) {
      chain.unshift(at);
    }
    return chain;
  }

  /** How a file names another one that it imports. */
  specifierOf(file: string, imported: string): string | undefined {
    return this.#inputs[file]?.imports.find((one) => one.path === imported)?.original;
  }
}

export function isInstalled(file: string | undefined): boolean {
  return file?.split(/[\\/]/).includes("node_modules") === true;
}

const activityRemedy =
  "Do it in the implementation of an activity: the build leaves those out, with all that only they use.";

const shownMax = 5;

/** What is known of the author's modules. */
export interface ModulePlaces {
  /** Where a file imports, or requires, a module. */
  placeOfImport(file: string, specifier: string): Place | undefined;
  /** What needs it there. */
  placeOfNeed(file: string, specifier: string): Place | undefined;
}

/**
 * What stands against a build because workflow code can reach it. What a library asks for is told where the author imports
 * the library, once for all that it asks for.
 */
export function describeMissing(
  modules: readonly Missing[],
  graph: ImportGraph,
  places: ModulePlaces,
): readonly Problem[] {
  const problems: Problem[] = [];
  const byLibrary = new Map<
    string,
    { readonly place: Place; readonly library: string; modules: Missing[] }
  >();
  for (const module of modules) {
    const chain = graph.chainTo(module.place.file);
    const at = chain.findIndex(isInstalled);
    const [file, imported] = [chain[at - 1], chain[at]];
    const library =
      file === undefined || imported === undefined ? undefined : graph.specifierOf(file, imported);
    const place =
      file === undefined || library === undefined ? undefined : places.placeOfImport(file, library);
    if (library === undefined || place === undefined) {
      const neededBy = places.placeOfNeed(module.place.file, module.specifier);
      problems.push({ ...describeOwn(module, chain), ...(neededBy === undefined ? {} : { neededBy }) });
      continue;
    }
    const key = `${library} in ${place.file}`;
    const group = byLibrary.get(key) ?? { place, library, modules: [] };
    group.modules.push(module);
    byLibrary.set(key, group);
  }
  for (const { place, library, modules: asked } of byLibrary.values()) {
    const names = [...new Set(asked.map(({ specifier }) => JSON.stringify(specifier)))];
    const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : "";
    const [first] = asked;
    const neededBy = places.placeOfNeed(place.file, library);
    const chain = first === undefined ? [] : graph.chainTo(first.place.file);
    const line = first === undefined ? "" : `:${first.place.line}:${first.place.column}`;
    problems.push({
      text: `workflow code reaches ${JSON.stringify(library)}, which asks for ${names.slice(0, shownMax).join(", ")}${more}: there is no such module where it runs`,
      place,
      chain: chain.map((file, index) => (index === chain.length - 1 ? `${file}${line}` : file)),
      ...(neededBy === undefined ? {} : { neededBy }),
      remedy: activityRemedy,
    });
  }
  return problems;
}

function describeOwn({ specifier, place, reason, isForeign }: Missing, chain: readonly string[]): Problem {
  const name = JSON.stringify(specifier);
  if (isBuiltin(specifier)) {
    return {
      text: `workflow code reaches ${name}, a module of Node, which there is not where it runs`,
      place,
      chain,
      remedy: activityRemedy,
    };
  }
  if (/^aion(?:\/|$)/.test(specifier)) {
    return {
      text: `workflow code reaches ${name}; of Aion it may import "aion/workflow" alone`,
      place,
      chain,
      remedy: "Open engines and clients in another file, and let that one import the workflows.",
    };
  }
  if (isForeign) {
    return {
      text: `workflow code reaches ${name}, which is neither JavaScript nor JSON`,
      place,
      chain,
      remedy: activityRemedy,
    };
  }
  return {
    text: `${name} cannot be found${reason === undefined ? "" : `: ${reason}`}`,
    place,
    chain,
    remedy: "Install it, correct its name, or use it in the implementations of activities only.",
  };
}

export function describeStep(place: Place, graph: ImportGraph): Problem {
  return {
    text: "`step` runs its closure where the engine is embedded; a package has no such place",
    place,
    chain: graph.chainTo(place.file),
    remedy: "Define an `activity` and call it instead.",
  };
}
