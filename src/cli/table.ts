import truncate from "cli-truncate";
import stringWidth from "string-width";
import { style } from "./output.ts";

/** A column; with `cut` or `leaveOut` it gives way when the terminal is too narrow for all of them. */
export interface Column {
  readonly title: string;
  /** Where its cells may be cut: ids in their middle, so that both ends can be told, texts at their end. */
  readonly cut?: "middle" | "end";
  /** It may be left out: of several, the one with the lowest number first. */
  readonly leaveOut?: number;
}

const gap = "  ";
/** What is left out goes before cells are cut shorter than this. */
const cutWidthMin = 24;
/** Less says nothing any more: then the terminal may wrap. */
const cutWidthLeast = 8;

/** Where it is none, no line is too long. */
export function terminalWidth(): number {
  return process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
}

/**
 * Columns for people, without lines. On a terminal a line is no longer than the terminal is wide, as far as columns may be cut or left
 * out; elsewhere nothing is cut.
 */
export function table(
  columns: readonly (Column | string)[],
  rows: readonly (readonly string[])[],
  width: number = terminalWidth(),
): string {
  const all = columns.map((column) => (typeof column === "string" ? { title: column } : column));
  const hasHead = all.some(({ title }) => title !== "");
  const lines = [...(hasHead ? [all.map(({ title }) => style("dim", title))] : []), ...rows];
  const fitted = fit(
    all.map((column, index) => ({
      ...column,
      index,
      width: Math.max(0, ...lines.map((line) => widthOf(line[index] ?? ""))),
    })),
    width,
  );
  return lines
    .map((line) =>
      fitted
        .map((column) => toCell(line[column.index] ?? "", column))
        .join(gap)
        .trimEnd(),
    )
    .join("\n");
}

interface SizedColumn extends Column {
  readonly index: number;
  readonly width: number;
}

function fit(columns: readonly SizedColumn[], width: number): readonly SizedColumn[] {
  let kept = columns;
  const least = (of: SizedColumn): number =>
    of.cut === undefined ? of.width : Math.min(of.width, cutWidthMin);
  for (const { index } of columns.filter(({ leaveOut }) => leaveOut !== undefined).toSorted(byLeaveOut)) {
    if (lineWidth(kept, least) <= width) break;
    kept = kept.filter((column) => column.index !== index);
  }
  let excess = lineWidth(kept) - width;
  if (excess <= 0) return kept;
  // The widest gives first, until it is as narrow as the next.
  const widths = new Map(kept.map((column) => [column.index, column.width]));
  const widthNow = ({ index }: SizedColumn): number => widths.get(index) ?? 0;
  for (; excess > 0; excess--) {
    const [widest] = kept
      .filter(({ cut }) => cut !== undefined)
      .toSorted((a, b) => widthNow(b) - widthNow(a));
    if (widest === undefined || widthNow(widest) <= cutWidthLeast) break;
    widths.set(widest.index, widthNow(widest) - 1);
  }
  return kept.map((column) => ({ ...column, width: widthNow(column) }));
}

function byLeaveOut(one: SizedColumn, other: SizedColumn): number {
  return (one.leaveOut ?? 0) - (other.leaveOut ?? 0);
}

function lineWidth(
  columns: readonly SizedColumn[],
  of: (column: SizedColumn) => number = (column) => column.width,
): number {
  return columns.reduce((sum, column) => sum + of(column), gap.length * Math.max(0, columns.length - 1));
}

function toCell(text: string, { cut, width }: SizedColumn): string {
  const line = text.replaceAll("\n", String.raw`\n`);
  const shown = cut === undefined ? line : shorten(line, width, cut);
  return `${shown}${" ".repeat(Math.max(0, width - widthOf(shown)))}`;
}

/** No wider than `width`, with `…` where something is missing. Colours stay. */
export function shorten(text: string, width: number, cut: "middle" | "end"): string {
  return Number.isFinite(width) ? truncate(text, width, { position: cut }) : text;
}

/** Places that a text takes on a terminal: wide letters (of East Asia, emoji) take two. */
export function widthOf(text: string): number {
  return stringWidth(text);
}
