/**
 * Makes docs/invariants.md from docs/invariants.ts and from the tests that cite an invariant (`I-16` in a comment):
 * node scripts/bootstrap.mjs docs/generate-invariants.ts
 * A test fails when the page is not what this makes.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { formatMarkdown } from "./format-markdown.ts";
import { groups, inheritedLaws } from "./invariants.ts";
import type { Invariant } from "./invariants.ts";

const root = path.dirname(import.meta.dirname);
const citing = ["{src,bench,sim}/**/*.test.ts", "src/store/conformance/**/*.ts", "test/**/*.ts"];

/** Which files cite which invariant. */
export function readCitations(letter = "I"): ReadonlyMap<number, readonly string[]> {
  const citations = new Map<number, Set<string>>();
  const files = globSync(citing, { cwd: root }).map((file) => file.split(path.sep).join("/"));
  for (const file of files.toSorted()) {
    // These speak of citations and cite nothing.
    if (file.startsWith("test/docs/")) continue;
    for (const [, digits] of readFileSync(path.join(root, file), "utf8").matchAll(
      new RegExp(`\\b${letter}-(\\d+)\\b`, "g"),
    )) {
      const number = Number(digits);
      citations.set(number, (citations.get(number) ?? new Set()).add(file));
    }
  }
  return new Map([...citations].map(([number, cited]) => [number, [...cited]]));
}

export type State = "shown" | "partly" | "waits";

export function stateOf(invariant: Invariant, citationCount: number): State {
  if (citationCount === 0) return "waits";
  return invariant.missing === undefined ? "shown" : "partly";
}

const introduction = `# Invariants

<!-- Made by docs/generate-invariants.ts from docs/invariants.ts and the tests. Change those. -->

What must hold, whatever the code does to get there. A test that shows an invariant cites its number (\`// I-16\`), so
\`grep -rn "I-16" src test\` finds the proof.

- **shown**: tests cite it, and nothing is missing. **partly**: tests cite it, and what they do not show is said.
  **waits**: no test cites it.
- Where it is to be shown: **S** simulation (the real engine on a seeded scheduler with faults), **C** store
  conformance (one suite for all backends), **P** real processes and real faults, **B** random programs against a model,
  **U** ordinary tests.
`;

export async function renderInvariants(citations: ReadonlyMap<number, readonly string[]>): Promise<string> {
  const counts = { shown: 0, partly: 0, waits: 0 };
  const sections = groups.map(({ title, invariants }) => {
    const rows = invariants.map((invariant) => {
      const { number, claim, layers, missing } = invariant;
      const files = citations.get(number) ?? [];
      const state = stateOf(invariant, files.length);
      counts[state] += 1;
      const links = files.map((file) => `[${file.replace(/^.*\//, "")}](../${file})`).join(", ");
      const remark = missing ?? (state === "waits" ? "tests that cite it" : "");
      return `| I-${number} | ${claim} | ${layers.join(" ")} | **${state}** | ${links} | ${remark} |`;
    });
    return `## ${title}\n\n|  | what must hold | where | state | tests | missing |\n| --- | --- | --- | --- | --- | --- |\n${rows.join("\n")}\n`;
  });
  const summary = `${counts.shown} shown, ${counts.partly} partly, ${counts.waits} wait.\n`;
  const inherited = readCitations("C");
  const laws = inheritedLaws.map(({ number, claim, missing }) => {
    const links = (inherited.get(number) ?? []).map((file) => `[${file.replace(/^.*\//, "")}](../${file})`);
    return `| C-${number} | ${claim} | ${links.join(", ")} | ${missing ?? ""} |`;
  });
  const lawsTable = `## Laws of the engine that Aion reimplements\n\nCited as \`C-1\` and so on.\n\n|  | what must hold | tests | missing |\n| --- | --- | --- | --- |\n${laws.join("\n")}\n`;
  return await formatMarkdown(`${introduction}\n${summary}\n${sections.join("\n")}\n${lawsTable}`);
}

export const invariantsPage = path.join(import.meta.dirname, "invariants.md");

if (process.argv[1] === import.meta.filename) {
  writeFileSync(invariantsPage, await renderInvariants(readCitations()));
}
