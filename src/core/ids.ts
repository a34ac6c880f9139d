import { AionError } from "./errors.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Chosen by the caller: names a chain of runs. 1 to 255 characters, no control characters. */
export type WorkflowId = Branded<"WorkflowId">;
/** Minted by the engine: names one run of a chain. */
export type RunId = Branded<"RunId">;
/** Names the process of a resident run: `<epoch>.<number>`, never used twice by one store. */
export type Pid = Branded<"Pid">;

export const idLengthMax = 255;

// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
const controlCharacter = /[\u0000-\u001f\u007f]/;

/** Checks a workflow id that came from outside. Throws `invalid_argument`. */
export function parseWorkflowId(text: string): WorkflowId {
  return parseName(text, "workflow id") as WorkflowId;
}

/** Checks a run id that came from outside. Throws `invalid_argument`. */
export function parseRunId(text: string): RunId {
  return parseName(text, "run id") as RunId;
}

/** Checks a name of a workflow type, activity type, signal, query, … Throws `invalid_argument`. */
export function parseName(text: unknown, what: string): string {
  if (
    typeof text !== "string" ||
    text.length === 0 ||
    text.length > idLengthMax ||
    controlCharacter.test(text) ||
    // A lone surrogate does not survive UTF-8: two such ids would be one in a file.
    !text.isWellFormed()
  ) {
    const shown = typeof text === "string" ? JSON.stringify(text.slice(0, 60)) : typeof text;
    throw new AionError(
      "invalid_argument",
      `${what} must be a string of 1 to ${idLengthMax} characters without control characters, got ${shown}`,
    );
  }
  return text;
}

/** The one place where a minted string becomes a run id. */
export function toRunId(minted: string): RunId {
  return minted as RunId;
}

/** The one place where an epoch and a number become a pid. */
export function toPid(epoch: number, number: number): Pid {
  return `${epoch}.${number}` as Pid;
}
