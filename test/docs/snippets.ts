/**
 * The TypeScript in the documents as files: a folder for each document, below `.tmp/` of this repository, where
 * `aion/…` means the source. A block that begins with a comment such as `// order.ts` gets that name, so that the
 * blocks after it can import it; the others are named by their line.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import path from "node:path";
import process from "node:process";
import type { Document, Fence } from "./documents.ts";
import { root } from "./documents.ts";

export interface Snippet {
  /** The document and the line, for messages: `docs/guide.md:120`. */
  readonly place: string;
  readonly file: string;
  readonly isRun: boolean;
  /** What it prints, if the document says so: the `text` block right after it. */
  readonly output: string | undefined;
}

export interface Workspace {
  readonly folder: string;
  readonly snippets: readonly Snippet[];
  folderOf(document: string): string;
  remove(): void;
}

export function writeSnippets(documents: readonly Document[]): Workspace {
  mkdirSync(path.join(root, ".tmp"), { recursive: true });
  const folder = mkdtempSync(path.join(root, ".tmp", "docs-"));
  const folderOf = (document: string): string =>
    path.join(folder, path.basename(document, ".md").toLowerCase());
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    writeFileSync(
      path.join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: path.join(root, "tsconfig.json"),
        // An example may define what it does not use.
        compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
        include: ["**/*.ts"],
        exclude: [],
      }),
    );
    const snippets = documents.flatMap((document) => writeOne(document, folderOf(document.path)));
    return { folder, snippets, folderOf, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function writeOne(document: Document, folder: string): Snippet[] {
  mkdirSync(folder, { recursive: true });
  return document.fences.flatMap((fence, index): Snippet[] => {
    if (fence.language !== "ts") return [];
    const file = path.join(folder, nameOf(fence));
    // "wx": two blocks of one name would hide each other.
    writeFileSync(file, fence.text, { flag: "wx" });
    const next = document.fences[index + 1];
    return [
      {
        place: `${document.path}:${fence.line}`,
        file,
        isRun: fence.marks.includes("run"),
        output: next?.language === "text" ? next.text : undefined,
      },
    ];
  });
}

function nameOf(fence: Fence): string {
  return /^\/\/ ([a-z][a-z0-9-]*\.ts)\b/.exec(fence.text)?.[1] ?? `line-${fence.line}.ts`;
}

/** What the compiler has to say, with each file as its place in the document; empty when nothing is wrong. */
export function checkTypes(workspace: Workspace): string {
  const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const { stdout, stderr, status, error } = spawnSync(
    process.execPath,
    [compiler, "--noEmit", "--pretty", "false", "-p", workspace.folder],
    { cwd: root, encoding: "utf8" },
  );
  if (error !== undefined) throw error;
  if (status === 0) return "";
  return workspace.snippets.reduce(
    (text, { place, file }) => text.replaceAll(path.relative(root, file), place),
    `${stdout}${stderr}`,
  );
}
