import { findRemedy } from "../guest/platform/absent.ts";
import { isInstalled } from "./import-graph.ts";
import { readModuleScope } from "./module-scope.ts";
import type { Problem } from "./problem.ts";
import type { SourcePlaces } from "./source-places.ts";
import { parseModule } from "./stripped-module.ts";

/** What to use instead of a global that workflow code does not have. */
export function remedyOf(name: string): string | undefined {
  const remedy = findRemedy(new ReferenceError(`${name} is not defined`));
  return remedy === undefined ? undefined : `${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}.`;
}

/**
 * Globals that there are where the author tests his code, and not where a package runs. Of his own modules: libraries look
 * before they use, as he does where a file asks for the type of such a name.
 */
export function findAbsentGlobals(script: string, places: SourcePlaces): readonly Problem[] {
  const program = parseModule("workflow.cjs", script);
  if (program === undefined) return [];
  const { mentions, declarations } = readModuleScope(program);
  const lines = new LineIndex(script);
  const problems = new Map<string, Problem>();
  const lookedFor = new Set<string>();
  for (const { name, start, parents } of mentions) {
    const remedy = declarations.has(name) ? undefined : remedyOf(name);
    if (remedy === undefined) continue;
    const { line, column } = lines.at(start);
    const place = places.find(line, column, name.length);
    if (place === undefined || isInstalled(place.file)) continue;
    const key = `${name} in ${place.file}`;
    const [parent] = parents;
    if (parent?.type === "UnaryExpression" && parent.operator === "typeof") lookedFor.add(key);
    else if (!problems.has(key)) {
      problems.set(key, { text: `\`${name}\` is nothing that workflow code can use`, place, remedy });
    }
  }
  return [...problems].flatMap(([key, problem]) => (lookedFor.has(key) ? [] : [problem]));
}

/** Lines and columns, 1-based, of positions that come in any order. */
class LineIndex {
  readonly #starts: readonly number[];

  constructor(text: string) {
    this.#starts = [0, ...text.matchAll(/\n/g).map(({ index }) => index + 1)];
  }

  at(position: number): { readonly line: number; readonly column: number } {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0) <= position) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: position - (this.#starts[low] ?? 0) + 1 };
  }
}
