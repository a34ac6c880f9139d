/** The files of this folder: histories as a store holds them. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";

export const goldenFolder = import.meta.dirname;

const GoldenFile = z.strictObject({
  /** A name of `goldenScenarios`. */
  scenario: z.string(),
  /** The version of Aion that recorded it. */
  recordedBy: z.string(),
  /** Rows as they lie in a store, by workflow id. */
  histories: z.record(z.string(), z.array(z.strictObject({ firstSeq: z.int(), row: z.string() }))),
});
export type GoldenFile = z.infer<typeof GoldenFile>;

export function goldenNames(): readonly string[] {
  return readdirSync(goldenFolder)
    .filter((name) => name.endsWith(".json"))
    .toSorted();
}

export function readGolden(name: string): GoldenFile {
  return GoldenFile.parse(JSON.parse(readFileSync(path.join(goldenFolder, name), "utf8")));
}

/** One line for each file, `<sha256>  <name>`: a file that was edited does not fit its line. */
export const checksumsPath = path.join(goldenFolder, "checksums.txt");

export function checksumLine(name: string): string {
  const text = readFileSync(path.join(goldenFolder, name));
  return `${createHash("sha256").update(text).digest("hex")}  ${name}`;
}
