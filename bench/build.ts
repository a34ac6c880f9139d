import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative } from "node:path";
import { benchRoot, dataRoot } from "./paths.ts";

/**
 * Copies the bench as JavaScript. Programs in production run JavaScript; a process that strips
 * types itself starts later and holds a compiler in memory, and both are measured here.
 * Returns the folder of the copy.
 */
export function buildBench(): string {
  const target = join(dataRoot, "build");
  rmSync(target, { recursive: true, force: true });
  for (const file of sourceFiles(benchRoot)) {
    const code = stripTypeScriptTypes(readFileSync(file, "utf8"), { mode: "strip" });
    const output = join(target, relative(benchRoot, file)).replace(/\.ts$/, ".js");
    mkdirSync(dirname(output), { recursive: true });
    writeFileSync(output, code.replaceAll(/((?:from|import)\s*\(?\s*"\.[^"]*)\.ts"/g, '$1.js"'));
  }
  return target;
}

function sourceFiles(folder: string): readonly string[] {
  const files: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === "node_modules" || entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...sourceFiles(path));
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts")) files.push(path);
  }
  return files;
}
