/** The scopes of real modules, by a law that holds of each: what a module mentions, it declares, or it is a global. */
import { expect, it } from "vitest";
import { readModuleScope } from "../../src/package/module-scope.ts";
import { parseModule } from "../../src/package/stripped-module.ts";
import { readSourceFiles } from "../source-files.ts";

it("are closed: every module of src and of the examples mentions globals and what it declares", () => {
  const files = readSourceFiles(["{src,examples}/**/*.ts"]);
  const globals: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(globalThis));
  const undeclared: string[] = [];
  let mentionCount = 0;
  for (const { path, text } of files) {
    const program = parseModule(path, text);
    if (program === undefined) throw new Error(`${path} does not parse`);
    const { mentions, declarations } = readModuleScope(program);
    mentionCount += mentions.length;
    for (const { name, isType } of mentions) {
      if (!isType && !declarations.has(name) && !globals.has(name)) undeclared.push(`${name} in ${path}`);
    }
  }
  expect(undeclared).toEqual([]);
  expect(files.length).toBeGreaterThan(200);
  expect(mentionCount).toBeGreaterThan(10_000);
});
