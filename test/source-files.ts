/** The files of this repository that people write, found on disk: the tests that read them need no git. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

const root = path.dirname(import.meta.dirname);

/** Made or brought by a tool. */
const foreign: ReadonlySet<string> = new Set(["node_modules", "dist", "coverage", ".git", ".tmp", ".venv"]);

export function readSourceFiles(patterns: readonly string[]): readonly SourceFile[] {
  return globSync([...patterns], { cwd: root, exclude: (name) => foreign.has(path.basename(name)) })
    .toSorted()
    .map((file) => ({
      path: file.split(path.sep).join("/"),
      text: readFileSync(path.join(root, file), "utf8"),
    }));
}
