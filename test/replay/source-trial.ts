/** Mutants of real workflow files on the golden histories. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";
import { judge, newTally, recordedOn } from "./divergence.ts";
import type { Tally } from "./divergence.ts";
import type { GoldenPrefix } from "./golden-prefixes.ts";
import { goldenPrefixes } from "./golden-prefixes.ts";
import { sourceMutants } from "./source-mutation.ts";
import type { SourceMutant, SourceOperator } from "./source-mutation.ts";

const root = path.dirname(path.dirname(import.meta.dirname));
export const mutatedFiles = ["test/golden/workflows.ts", "examples/order-fulfilment/workflow.ts"] as const;

export interface SourceTally extends Tally {
  readonly operator: string;
  mutants: number;
  /** Mutants that do not even load. */
  broken: number;
  /** Mutants that were found out on some prefix. */
  killed: number;
  readonly silentOnes: string[];
}

let moduleCount = 0;

/** Loads a changed file. What it imports from beside it is taken from where the file was. */
async function load(file: string, text: string): Promise<readonly AnyWorkflow[]> {
  const beside = path.join(root, path.dirname(file));
  const moved = text.replaceAll(
    /from "(\.{1,2}\/[^"]+)"/g,
    (_whole, specifier: string) => `from ${JSON.stringify(pathToFileURL(path.join(beside, specifier)).href)}`,
  );
  const folder = path.join(root, ".tmp", `mutants-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const place = path.join(folder, `${(moduleCount += 1)}.ts`);
  writeFileSync(place, moved);
  try {
    const module = (await import(/* @vite-ignore */ pathToFileURL(place).href)) as Record<string, unknown>;
    return Object.values(module).filter(isWorkflow);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isWorkflow(value: unknown): value is AnyWorkflow {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "workflow";
}

interface Original {
  readonly prefix: GoldenPrefix;
  readonly commands: readonly string[];
}

export class SourceTrial {
  readonly #files = new Map<string, { readonly text: string; readonly originals: readonly Original[] }>();

  async open(): Promise<void> {
    const prefixes = goldenPrefixes();
    for (const file of mutatedFiles) {
      const text = readFileSync(path.join(root, file), "utf8");
      const workflows = await load(file, text);
      const types = new Set(workflows.map(({ workflowType }) => workflowType));
      const originals: Original[] = [];
      for (const prefix of prefixes) {
        if (!types.has(prefix.workflowType)) continue;
        const commands = await recordedOn(prefix, workflows);
        if (commands !== undefined) originals.push({ prefix, commands });
      }
      this.#files.set(file, { text, originals });
    }
  }

  get prefixCount(): number {
    return [...this.#files.values()].reduce((sum, { originals }) => sum + originals.length, 0);
  }

  /** Tries an operator wherever it applies, at up to so many places of each file. */
  async tryOperator(operator: SourceOperator, placesMax: number): Promise<SourceTally> {
    const tally: SourceTally = {
      ...newTally(),
      operator: operator.name,
      mutants: 0,
      broken: 0,
      killed: 0,
      silentOnes: [],
    };
    for (const [file, { text, originals }] of this.#files) {
      const mutants = sourceMutants(file, text, operator);
      const step = Math.max(1, Math.ceil(mutants.length / placesMax));
      for (const mutant of mutants.filter((_each, index) => index % step === 0)) {
        await this.#tryMutant(file, mutant, originals, tally);
      }
    }
    return tally;
  }

  async #tryMutant(
    file: string,
    mutant: SourceMutant,
    originals: readonly Original[],
    tally: SourceTally,
  ): Promise<void> {
    tally.mutants += 1;
    let workflows: readonly AnyWorkflow[];
    try {
      workflows = await load(file, mutant.text);
    } catch {
      tally.broken += 1;
      return;
    }
    let isKilled = false;
    for (const { prefix, commands } of originals) {
      const verdict = await judge(prefix, commands, workflows);
      tally[verdict] += 1;
      if (verdict === "detected") isKilled = true;
      if (verdict !== "silent") continue;
      tally.silentOnes.push(
        `${operatorAt(mutant, file)}, on ${prefix.run.workflowId} up to event ${prefix.headSeq}`,
      );
    }
    if (isKilled) tally.killed += 1;
  }
}

const operatorAt = (mutant: SourceMutant, file: string): string =>
  `${mutant.operator} (${file}:${mutant.line})`;
