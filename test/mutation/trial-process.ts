/**
 * What a mutant of the engine does, as a digest: golden histories from every prefix, changed programs on recorded
 * histories, and random programs under kills. The mutant takes the place of the file that `AION_MUTATED_FILE` names.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";
import { registerHooks } from "node:module";
import process from "node:process";
import { pathToFileURL } from "node:url";

const { AION_MUTATED_FILE: file, AION_MUTANT: mutant } = process.env;
if (file !== undefined && mutant !== undefined) {
  const url = pathToFileURL(file).href;
  const source = readFileSync(mutant, "utf8");
  registerHooks({
    load: (specifier, context, next) =>
      specifier === url ? { ...next(specifier, context), source } : next(specifier, context),
  });
}

const { observe } = await import("./observation.ts");
const lines = await observe();
writeSync(1, createHash("sha256").update(lines.join("\n")).digest("hex"));
// What a mutant leaves turning is not waited for.
process.exit(0);
