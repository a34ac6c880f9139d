import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findSourceFiles } from "./source-files.ts";

let directory: string;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), "aion-sources-")));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
  writeFileSync(path.join(directory, file), text);
}

const find = async (): Promise<readonly string[] | undefined> =>
  (await findSourceFiles(path.join(directory, "app/main.ts")))
    ?.map((file) => path.relative(directory, file))
    .toSorted();

it("finds the files of the author, wherever they lie, and none of installed libraries", async () => {
  write(
    "app/main.ts",
    `import "node:fs"; import "aion/workflow"; import { pay } from "../lib/pay.ts"; import "installed"; import "linked";
     import "./not-there.ts"; import words from "./words.json" with { type: "json" }; import "./native.node";
     export const later = () => [pay, words, import("./later.ts")];`,
  );
  write("app/words.json", "{}");
  write("app/native.node", "\\u0000");
  write("app/later.ts", "export {};");
  write("lib/pay.ts", 'import "./rates.ts"; export const pay = await 1;');
  write("lib/rates.ts", "export {};");
  write("app/node_modules/installed/index.js", "const = ;");
  write("linked/index.ts", "export {};");
  write("linked/package.json", '{"main":"index.ts"}');
  symlinkSync(path.join(directory, "linked"), path.join(directory, "app/node_modules/linked"));
  expect(await find()).toEqual([
    "app/later.ts",
    "app/main.ts",
    "app/native.node",
    "app/words.json",
    "lib/pay.ts",
    "lib/rates.ts",
    "linked/index.ts",
  ]);
});

it("says so if one of them is no code", async () => {
  write("app/main.ts", 'import "./broken.ts";');
  write("app/broken.ts", "const = ;");
  expect(await find()).toBeUndefined();
});
