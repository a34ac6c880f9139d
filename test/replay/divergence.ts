/** What becomes of changed code on a recorded history: found out, harmless, or, what must never be, silently accepted. */
import { isAionError } from "../../src/core/errors.ts";
import type { RunRecord, Store } from "../../src/store/contract.ts";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";
import { replay } from "./recording.ts";

export const verdicts = [
  /** Replay says that the code diverges, or that it cannot be replayed at all. */
  "detected",
  /** The code asks for the same, byte for byte, as far as the history goes. */
  "equal",
  /** It asks for the same but in what history answers in its place: options, recorded values, details of a failure. */
  "answered",
  /** It asks for something else, and replay accepts it. */
  "silent",
] as const;
export type Verdict = (typeof verdicts)[number];

export interface Prefix {
  readonly store: Store;
  readonly run: RunRecord;
  readonly headSeq: number;
}

/**
 * The commands that code issues on a prefix, one a line, and how many of them are beyond it; or the code of the error that
 * ends the replay.
 */
async function commandsOn(
  { store, run, headSeq }: Prefix,
  workflows: readonly AnyWorkflow[],
): Promise<
  { readonly commands: readonly string[]; readonly liveCount: number } | { readonly refusal: string }
> {
  try {
    const { commands, liveCount } = await replay({ store, run, headSeq, workflows });
    return { commands: commands.split("\n").filter((line) => line !== ""), liveCount };
  } catch (error) {
    if (isAionError(error)) return { refusal: error.code };
    throw error;
  }
}

/** What of a command history holds against the code. The rest is recorded once, and history answers with it. */
function essenceOf(line: string): string | undefined {
  const command = JSON.parse(line) as Record<string, unknown> & {
    readonly kind: string;
    readonly failure?: { readonly kind: string; readonly message: string };
  };
  switch (command.kind) {
    // Recorded when it arrives, not when it is asked for.
    case "await-signal":
      return undefined;
    case "run-activity":
      return JSON.stringify({ ...command, options: undefined });
    case "start-child":
      return JSON.stringify({ ...command, runTimeoutMs: undefined });
    case "side-effect":
      return JSON.stringify({ ...command, value: undefined, failure: undefined });
    case "cancelled":
      return JSON.stringify({ ...command, reason: undefined });
    case "fail":
      return JSON.stringify([command.kind, command.failure?.kind, command.failure?.message]);
    default:
      return line;
  }
}

const isPrefix = (shorter: readonly string[], longer: readonly string[]): boolean =>
  shorter.every((line, index) => longer[index] === line);

/** The commands that the code which was recorded issued as far as the prefix goes; `undefined`: it cannot be replayed. */
export async function recordedOn(
  prefix: Prefix,
  workflows: readonly AnyWorkflow[],
): Promise<readonly string[] | undefined> {
  const found = await commandsOn(prefix, workflows);
  return "refusal" in found ? undefined : found.commands.slice(0, found.commands.length - found.liveCount);
}

/** `original`: what `recordedOn` gives. */
export async function judge(
  prefix: Prefix,
  original: readonly string[],
  workflows: readonly AnyWorkflow[],
): Promise<Verdict> {
  const found = await commandsOn(prefix, workflows);
  if ("refusal" in found) return "detected";
  const recorded = (lines: readonly string[]): readonly string[] =>
    lines.filter((line) => essenceOf(line) !== undefined);
  const essence = (lines: readonly string[]): readonly string[] =>
    lines.flatMap((line) => essenceOf(line) ?? []);
  if (isPrefix(recorded(original), recorded(found.commands))) return "equal";
  return isPrefix(essence(original), essence(found.commands)) ? "answered" : "silent";
}

export type Tally = Record<Verdict, number>;
export const newTally = (): Tally => ({ detected: 0, equal: 0, answered: 0, silent: 0 });
