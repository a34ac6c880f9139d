import type { JsonObject } from "@bufbuild/protobuf";

/**
 * As JSON has it: a field that is not set is not there. Halves of surrogate pairs, which no text of a message may have, become U+FFFD.
 */
export function plain(fields: object): JsonObject {
  const text = JSON.stringify(fields);
  // That is how such halves are written, and little else.
  return JSON.parse(text, text.includes(String.raw`\ud`) ? wellFormed : undefined) as JsonObject;
}

function wellFormed(_name: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}
