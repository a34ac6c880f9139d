/** How the parts of a printed value are put on lines: as `util.inspect` of Node does it at its defaults. */

/** A line is broken before it gets longer. */
export const lineWidth = 80;
/** An object stands on one line while it holds no more than so many levels. */
const levelsOnLineMax = 3;
/** More entries of an array than these are put in columns. */
const ungroupedMax = 6;
const columnsMax = 15;
/** Of a comma and a space. */
const separatorWidth = 2;

export interface Layout {
  readonly entries: readonly string[];
  /** What stands before the opening brace. */
  readonly prefix: string;
  readonly open: string;
  readonly close: string;
  readonly indentation: number;
  /** Levels within this value, counted from it to the one that was printed last. */
  readonly levels: number;
  /** Of an array: the values, which tell to which side columns are aligned, and whether the last entry counts them. */
  readonly list?: { readonly values: ArrayLike<unknown>; readonly isCut: boolean };
}

export function layOut(layout: Layout): string {
  const { prefix, open, close, indentation, list, levels } = layout;
  const prefixText = prefix === "" ? "" : `${prefix} `;
  const isGroupable = list !== undefined && layout.entries.length > ungroupedMax;
  const entries = isGroupable ? groupInColumns(layout.entries, indentation, list) : layout.entries;
  if (levels < levelsOnLineMax && entries.length === layout.entries.length) {
    const start = entries.length + indentation + open.length + prefix.length + 10;
    const joined = entries.join(", ");
    if (fitsOnLine(entries, start, prefix) && !joined.includes("\n")) {
      return `${prefixText}${open} ${joined} ${close}`;
    }
  }
  const newLine = `\n${" ".repeat(indentation)}`;
  return `${prefixText}${open}${newLine}  ${entries.join(`,${newLine}  `)}${newLine}${close}`;
}

function fitsOnLine(entries: readonly string[], start: number, prefix: string): boolean {
  const width = entries.reduce((sum, entry) => sum + entry.length, entries.length + start);
  return width <= lineWidth && !prefix.includes("\n");
}

function groupInColumns(
  entries: readonly string[],
  indentation: number,
  { values, isCut }: NonNullable<Layout["list"]>,
): readonly string[] {
  // The entry that says how many more there are stays on a line of its own.
  const cells = isCut ? entries.slice(0, -1) : entries;
  const widths = cells.map((cell) => cell.length);
  const totalWidth = widths.reduce((sum, width) => sum + width + separatorWidth, 0);
  const maxWidth = Math.max(...widths);
  const cellWidth = maxWidth + separatorWidth;
  const isEven = totalWidth / cellWidth > 5 || maxWidth <= 6;
  if (cellWidth * 3 + indentation >= lineWidth || !isEven) return entries;

  // About as wide as it is high, characters being two and a half times as high as wide.
  const bias = Math.sqrt(cellWidth - totalWidth / entries.length);
  const biasedWidth = Math.max(cellWidth - 3 - bias, 1);
  const columnCount = Math.min(
    Math.round(Math.sqrt(2.5 * biasedWidth * cells.length) / biasedWidth),
    Math.floor((lineWidth - indentation) / cellWidth),
    levelsOnLineMax * 4,
    columnsMax,
  );
  if (columnCount <= 1) return entries;

  const columnWidths = Array.from({ length: columnCount }, (_, column) =>
    Math.max(...widths.filter((_width, index) => index % columnCount === column)),
  );
  const isNumeric = cells.every(
    (_, index) => typeof values[index] === "number" || typeof values[index] === "bigint",
  );
  const lines: string[] = [];
  for (let start = 0; start < cells.length; start += columnCount) {
    const row = cells.slice(start, start + columnCount);
    const padded = row.map((cell, column) => {
      const isLast = column === row.length - 1;
      const text = isLast ? cell : `${cell}, `;
      const width = (columnWidths[column] ?? 0) + (isLast ? 0 : separatorWidth);
      if (isNumeric) return text.padStart(width);
      return isLast ? text : text.padEnd(width);
    });
    lines.push(padded.join(""));
  }
  return isCut ? [...lines, ...entries.slice(-1)] : lines;
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["\b", "\\b"],
  ["\t", "\\t"],
  ["\n", "\\n"],
  ["\f", "\\f"],
  ["\r", "\\r"],
  ["\\", "\\\\"],
]);

/** In the first kind of quotes that need no escaping: single, double, backticks. */
export function quote(text: string): string {
  const isFree = (mark: string): boolean => !text.includes(mark);
  const mark = isFree("'") ? "'" : isFree('"') ? '"' : isFree("`") && isFree("${") ? "`" : "'";
  // oxlint-disable-next-line no-control-regex -- they are what has to be escaped
  const escaped = text.replace(/[\0-\x1f\x7f-\x9f\\']|\p{Surrogate}/gu, (character) => {
    if (character === "'") return mark === "'" ? "\\'" : character;
    const hex = character.charCodeAt(0).toString(16);
    return (
      escapes.get(character) ?? (hex.length > 2 ? `\\u${hex}` : `\\x${hex.toUpperCase().padStart(2, "0")}`)
    );
  });
  return `${mark}${escaped}${mark}`;
}
