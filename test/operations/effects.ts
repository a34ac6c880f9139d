/**
 * What activities do to the world: lines in a file beside the store, which nothing undoes, of as many processes as like. And what they
 * need of it: files that are there or not.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";

export interface Effect {
  /** An attempt began, or did what it had to do. */
  readonly kind: "began" | "done";
  readonly id: string;
  readonly name: string;
  readonly key: string;
  readonly attempt: number;
  /** Milliseconds of the machine's steady clock, the same in all processes, and of the one that may be set. */
  readonly steadyAt: number;
  readonly at: number;
}

/** Names the directory in the environment of whoever has effects. */
export const directoryVariable = "AION_DESK";

const ledgerOf = (directory: string): string => path.join(directory, "effects.jsonl");
const fixOf = (directory: string, what: string): string =>
  path.join(directory, `fixed-${what.replaceAll("/", "-")}`);
const ownDirectory = (): string => process.env[directoryVariable] ?? ".";

export function noteEffect(effect: Omit<Effect, "steadyAt" | "at">): void {
  const line = { ...effect, steadyAt: steadyNow(), at: Date.now() };
  appendFileSync(ledgerOf(ownDirectory()), `${JSON.stringify(line)}\n`);
}

export function readEffects(directory: string): readonly Effect[] {
  const file = ledgerOf(directory);
  if (!existsSync(file)) return [];
  const text = readFileSync(file, "utf8");
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Effect);
}

/** What was wrong is put right. */
export function fix(directory: string, what: string): void {
  writeFileSync(fixOf(directory, what), "");
}

export function isFixed(what: string): boolean {
  return existsSync(fixOf(ownDirectory(), what));
}

export function steadyNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
