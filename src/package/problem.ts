import { AionError } from "../core/errors.ts";

/** A place in a source file. */
export interface Place {
  /** Relative to the root of the package, with forward slashes. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 units. */
  readonly column: number;
  /** How many units of the line it takes. */
  readonly length: number;
  readonly lineText: string;
}

/** Something that stands against a build. */
export interface Problem {
  readonly text: string;
  readonly place?: Place;
  /** The way from the entry to the file: each imports the next. */
  readonly chain?: readonly string[];
  /** What needs it, where that is known. */
  readonly neededBy?: Place;
  /** What to do. */
  readonly remedy?: string | undefined;
}

export function placeIn(file: string, text: string, start: number, end: number): Place {
  const before = text.slice(0, start);
  const line = before.split("\n").length;
  const lineStart = before.lastIndexOf("\n") + 1;
  const lineText = (text.slice(lineStart).split("\n", 1)[0] ?? "").replace(/\r$/, "");
  const column = start - lineStart + 1;
  return {
    file,
    line,
    column,
    length: Math.max(1, Math.min(end, lineStart + lineText.length) - start),
    lineText,
  };
}

export interface BuildFailedOptions {
  readonly cause?: unknown;
  /** What is no problem by itself, and may explain one. */
  readonly warnings?: readonly Problem[];
}

/** All of them in one error, each with its frame. They are in `details.problems` too. */
export function buildFailed(
  entry: string,
  problems: readonly Problem[],
  { cause, warnings = [] }: BuildFailedOptions = {},
): AionError {
  const count = problems.length === 1 ? "" : `: ${problems.length} problems`;
  const remedies = new Set(problems.map(({ remedy }) => remedy));
  const [only] = remedies;
  // One remedy for all is the hint.
  const isShared = remedies.size === 1 && only !== undefined;
  const shown = problems
    .toSorted(byPlace)
    .map((problem) => (isShared ? { ...problem, remedy: undefined } : problem));
  const blocks = [
    ...shown.map(describeProblem),
    ...warnings.map((warning) => `note: ${describeProblem(warning)}`),
  ];
  return new AionError("build_failed", [`cannot build ${entry}${count}`, ...blocks].join("\n\n"), {
    ...(cause === undefined ? {} : { cause }),
    ...(isShared ? { hint: only } : {}),
    details: { problems, warnings },
  });
}

function byPlace(a: Problem, b: Problem): number {
  const [left, right] = [a.place, b.place];
  if (left === undefined || right === undefined)
    return Number(left !== undefined) - Number(right !== undefined);
  if (left.file !== right.file) return left.file < right.file ? -1 : 1;
  return left.line - right.line || left.column - right.column;
}

/** `file:line:column: text`, the line with a mark under the place, and how the file is reached. */
export function describeProblem({ text, place, chain, neededBy, remedy }: Problem): string {
  const lines: string[] = [];
  if (place === undefined) lines.push(text);
  else lines.push(`${place.file}:${place.line}:${place.column}: ${text}`, ...frameOf(place));
  if (chain !== undefined && chain.length > 1) lines.push(`    imported by: ${chain.join(" → ")}`);
  if (neededBy !== undefined) {
    lines.push(`    needed by: ${neededBy.file}:${neededBy.line}:${neededBy.column}`, ...frameOf(neededBy));
  }
  if (remedy !== undefined) lines.push(`    remedy: ${remedy}`);
  return lines.join("\n");
}

const frameWidthMax = 120;

/** The line with a mark under the place. */
export function frameOf({ line, column, length, lineText }: Place): readonly string[] {
  if (lineText === "") return [];
  // Of a long line (minified code), the part around the place.
  const from = lineText.length <= frameWidthMax ? 0 : Math.max(0, column - 1 - frameWidthMax / 2);
  const shown = lineText.slice(from, from + frameWidthMax).replaceAll("\t", " ");
  const at = column - 1 - from;
  const marked = Math.max(1, Math.min(length, shown.length - at));
  const number = String(line);
  return [
    `  ${number} | ${shown}`,
    `  ${" ".repeat(number.length)} | ${" ".repeat(at)}${"^".repeat(marked)}`,
  ];
}
