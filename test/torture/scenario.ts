import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Death, LifeOptions } from "./life.ts";
import { Life } from "./life.ts";
import type { Said } from "./workload.ts";

export interface ScenarioOptions {
  /** What is random comes from it. */
  readonly seed: number;
  /** How often the fault is to hit; each scenario has its own measure where it is not said. */
  readonly cycles?: number;
}

/** A row of the table: what was done, and what came of it. */
export interface ScenarioResult {
  readonly name: string;
  /** Times that a fault was planned. */
  readonly cycles: number;
  /** Times that it hit. */
  readonly hits: number;
  /** Things said to the outside world that were held against a file. */
  readonly audited: number;
  readonly violations: readonly string[];
  /** Figures worth keeping. */
  readonly notes?: readonly string[];
  /** Why nothing was done. */
  readonly skipped?: string;
}

export function skip(name: string, reason: string): ScenarioResult {
  return { name, cycles: 0, hits: 0, audited: 0, violations: [], skipped: reason };
}

/** Adds up what a scenario finds. */
export class Tally {
  readonly name: string;
  cycles = 0;
  hits = 0;
  audited = 0;
  readonly violations: string[] = [];
  readonly notes: string[] = [];

  constructor(name: string) {
    this.name = name;
  }

  result(): ScenarioResult {
    const { name, cycles, hits, audited, violations, notes } = this;
    // A fault that never hit has shown nothing.
    const idle = hits === 0 ? [`no fault of ${name} ever hit`] : [];
    return { name, cycles, hits, audited, violations: [...violations, ...idle], notes };
  }
}

/**
 * Numbers that depend on the given parts alone: mulberry32, public domain, by Tommy Ettinger.
 */
export class Seeded {
  #state: number;

  constructor(...parts: readonly (string | number)[]) {
    this.#state = createHash("sha256").update(parts.join("\u0000")).digest().readUInt32LE(0);
  }

  /** A number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Choice>(choices: readonly [Choice, ...(readonly Choice[])]): Choice {
    return choices[this.integer(0, choices.length - 1)] ?? choices[0];
  }
}

/** Each commit tries other moments than the one before it, and the same ones however often it is tested. */
export function seedOfCommit(): number {
  const { stdout, status } = spawnSync("git", ["rev-parse", "HEAD"], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  return status === 0 ? Number.parseInt(stdout.slice(0, 8), 16) : 1;
}

/** A folder that goes when the work is done, unless it found something: `work` returns what. */
export async function inFolder(
  tally: Tally,
  work: (folder: string) => Promise<readonly string[]>,
): Promise<void> {
  const folder = mkdtempSync(path.join(realpathSync(tmpdir()), "aion-torture-"));
  const found = await work(folder);
  if (found.length === 0) {
    rmSync(folder, { recursive: true, force: true });
    return;
  }
  tally.violations.push(...found.map((what) => `${what} (${path.basename(folder)})`));
}

/** A life from its birth to its death. */
export async function live(
  options: LifeOptions,
): Promise<{ readonly death: Death; readonly said: readonly Said[]; readonly complaints: string }> {
  const life = new Life(options);
  const death = await life.ended;
  return { death, said: life.said(), complaints: life.complaints() };
}

/** How a life ended, for a message. */
export function tellOf(death: Death, complaints: string): string {
  const how = death.isHung ? "hung" : (death.signal ?? `exit code ${death.code}`);
  return complaints === "" ? how : `${how}: ${complaints.slice(-600)}`;
}
