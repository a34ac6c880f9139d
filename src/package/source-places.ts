import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import path from "node:path";
import type { Place } from "./problem.ts";

/** Finds where a place of the script comes from. */
export class SourcePlaces {
  readonly #map: SourceMap;
  readonly #root: string;

  constructor(sourceMap: string, root: string) {
    this.#map = new SourceMap(JSON.parse(sourceMap) as ConstructorParameters<typeof SourceMap>[0]);
    this.#root = root;
  }

  /** Line and column are 1-based. */
  find(line: number, column: number, length = 1): Place | undefined {
    const found = this.#map.findEntry(line - 1, column - 1);
    if (!("originalSource" in found)) return undefined;
    const { originalSource: file, originalLine, originalColumn } = found;
    const lineText = readLine(path.join(this.#root, file), originalLine);
    return { file, line: originalLine + 1, column: originalColumn + 1, length, lineText };
  }
}

function readLine(file: string, index: number): string {
  // What a library's own map names need not be there.
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text.split(/\r?\n/)[index] ?? "";
}
