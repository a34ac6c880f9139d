import { AionError } from "./errors.ts";

/** The names of all options, held against their type by the compiler. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

const nameShownMax = 100;

/**
 * Refuses an option that nobody would read: it is misspelled, or goes by another name elsewhere, and code that no compiler has seen would
 * never hear of it. Throws `invalid_argument`.
 */
export function demandKnownOptions<Options extends object>(
  options: Options,
  names: OptionNames<Options>,
  of: string,
): void {
  if (typeof options !== "object" || options === null)
    throw new AionError("invalid_argument", `the options of ${of} must be an object, got ${typeof options}`);
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(names, name)) continue;
    throw new AionError(
      "invalid_argument",
      `${of} has no option ${JSON.stringify(name.slice(0, nameShownMax))}; it has ${Object.keys(names).join(", ")}`,
    );
  }
}
