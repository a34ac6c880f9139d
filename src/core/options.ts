import { AionError } from "./errors.ts";

/** The names of all options, held against their type by the compiler. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

const nameShownMax = 100;

/**
 * Refuses an option that nobody would read: it is misspelled, or goes by another name elsewhere, and code that no compiler has seen would
 * never hear of it. Throws `invalid_argument`; its hint names the option that is nearest.
 */
export function demandKnownOptions<Options extends object>(
  options: Options,
  names: OptionNames<Options>,
  of: string,
): void {
  if (typeof options !== "object" || options === null)
    throw new AionError(
      "invalid_argument",
      `the options of ${of} must be an object, got ${options === null ? "null" : typeof options}`,
    );
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(names, name)) continue;
    const known = Object.keys(names);
    const near = nearestName(name, known);
    throw new AionError(
      "invalid_argument",
      `${of} has no option ${JSON.stringify(name.slice(0, nameShownMax))}; it has ${known.join(", ")}`,
      near === undefined ? {} : { hint: `Did you mean \`${near}\`?` },
    );
  }
}

/** The one that `name` may be a slip of, or part of; if none is near enough, none. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const slip = nearestSpelling(name, known);
  if (slip !== undefined || name.length > nameShownMax) return slip;
  const parts = known.filter((candidate) => isPart(name.toLowerCase(), candidate.toLowerCase()));
  return parts.length === 1 ? parts[0] : undefined;
}

/** The one that `name` may be a slip of; if none is near enough, none. */
export function nearestSpelling(name: string, known: readonly string[]): string | undefined {
  const given = name.toLowerCase();
  if (given.length > nameShownMax) return undefined;
  let nearest: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = distanceOf(given, candidate.toLowerCase());
    if (distance < (nearest?.distance ?? Number.POSITIVE_INFINITY)) nearest = { name: candidate, distance };
  }
  const distanceMax = Math.max(1, Math.floor(given.length / 3));
  return nearest !== undefined && nearest.distance <= distanceMax ? nearest.name : undefined;
}

const partLengthMin = 2;

/** `queues` of `taskQueues`, and the other way round. */
function isPart(given: string, known: string): boolean {
  return (
    Math.min(given.length, known.length) >= partLengthMin && (known.includes(given) || given.includes(known))
  );
}

/** How many letters have to be put in, left out, replaced or swapped with their neighbour. */
function distanceOf(from: string, to: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      let least = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (isSame ? 0 : 1),
      );
      const isSwap =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwap) least = Math.min(least, at(beforeLast, column - 2) + 1);
      current.push(least);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
