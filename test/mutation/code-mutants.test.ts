import { expect, it } from "vitest";
import { codeMutants } from "./code-mutants.ts";

it("a small fault is made at every place of a file, one at a time", () => {
  const text =
    "export function f(a: number): number {\n  if (!(a > 1) && a !== 3) return a + 2;\n  g(a);\n  return a;\n}\n";
  const mutants = codeMutants("f.ts", text);
  expect(mutants.map(({ line, what }) => `${line}: ${what}`)).toEqual(
    expect.arrayContaining([
      "2: always",
      "2: never",
      "2: && is ||",
      "2: no negation",
      "2: > is >=",
      "2: !== is ===",
      "2: + is -",
      "2: one more",
      "2: returns nothing",
      "3: left out",
      "4: returns nothing",
    ]),
  );
  expect(new Set(mutants.map((mutant) => mutant.text)).size).toBe(mutants.length);
  expect(mutants.every((mutant) => mutant.text !== text)).toBe(true);
});
