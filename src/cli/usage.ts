import { readFileSync } from "node:fs";
import { parseAttribute, parseWhere } from "../core/attribute-filter.ts";
import type { AttributeData } from "../core/attributes.ts";
import { parseDuration } from "../core/duration.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf, toPayload } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { parseInstant } from "./instant.ts";

/** The command line is wrong: exit code 2, and nothing was asked of any store. */
export class UsageError extends Error {
  readonly error: AionError;

  constructor(error: AionError) {
    super(error.message, { cause: error });
    this.name = "UsageError";
    this.error = error;
  }
}

/** Runs a check of what stands on the command line. */
export function asUsage<Result>(parse: () => Result): Result {
  try {
    return parse();
  } catch (error) {
    throw isAionError(error) ? new UsageError(error) : error;
  }
}

export function usageError(message: string, hint: string): UsageError {
  return new UsageError(new AionError("invalid_argument", message, { hint }));
}

/** JSON from the command line. White space goes: the engine compares inputs as text. */
export function parseJsonOption(text: string, option: string): Payload {
  return asUsage(() => {
    try {
      return toPayload(JSON.parse(text), option, Number.POSITIVE_INFINITY);
    } catch (error) {
      if (isAionError(error)) throw error;
      throw new AionError("payload_not_serializable", `${option} is no JSON: ${messageOf(error)}`, {
        hint: `Write JSON, for example '{"amount": 5}' or '"text"' (strings need their quotes).`,
      });
    }
  });
}

/** The same from a file, or from stdin when it is named `-`. */
export function readJsonFile(file: string, option: string): Payload {
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw usageError(
      `cannot read ${option}: ${messageOf(error)}`,
      "Name a file with JSON in it, or - for stdin.",
    );
  }
  return parseJsonOption(text, option);
}

export function durationOption(option: string): (text: string) => number {
  return (text) => asUsage(() => parseDuration(/^\d+$/.test(text) ? Number(text) : text, option));
}

export function instantOption(text: string): number {
  return asUsage(() => parseInstant(text, Date.now()));
}

export function countOption(option: string, max: number, min = 1): (text: string) => number {
  return (text) => {
    const count = text.trim() === "" ? Number.NaN : Number(text);
    if (Number.isSafeInteger(count) && count >= min && count <= max) return count;
    throw usageError(
      `${option} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`,
      "Correct the number.",
    );
  };
}

/** May be repeated: all of them hold. */
export function whereOption(text: string, before: readonly string[] = []): readonly string[] {
  const where = [...before, text];
  asUsage(() => parseWhere(where));
  return where;
}

/** May be repeated, each with another name. */
export function attributeOption(
  text: string,
  before: Readonly<Record<string, AttributeData>> = {},
): Readonly<Record<string, AttributeData>> {
  const [name, data] = asUsage(() => parseAttribute(text));
  if (Object.hasOwn(before, name))
    throw usageError(`--attribute names ${name} twice`, 'A list of keywords is JSON: tags=["a", "b"].');
  return { ...before, [name]: data };
}
