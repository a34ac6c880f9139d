/** The documents of this repository and what stands in them: fenced blocks, headings, links. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

export const root = path.dirname(path.dirname(import.meta.dirname));

export interface Fence {
  readonly language: string;
  /** Words after the language: `run`. */
  readonly marks: readonly string[];
  readonly text: string;
  /** The line of the document on which the text begins, 1-based. */
  readonly line: number;
}

export interface Document {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly fences: readonly Fence[];
  /** What a link may point to after `#`. */
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly { readonly target: string; readonly line: number }[];
}

export function readDocuments(): readonly Document[] {
  return globSync(["README.md", "CONTRIBUTING.md", "docs/*.md"], { cwd: root })
    .map((file) => file.split(path.sep).join("/"))
    .toSorted()
    .map(readDocument);
}

export function readDocument(file: string): Document {
  return parseDocument(file, readFileSync(path.join(root, file), "utf8"));
}

export function parseDocument(file: string, text: string): Document {
  const fences: Fence[] = [];
  const anchors = new Set<string>();
  const links: { target: string; line: number }[] = [];
  let open:
    | { readonly language: string; readonly marks: readonly string[]; readonly line: number }
    | undefined;
  let body: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.startsWith("```")) {
      if (open === undefined) {
        const [language = "", ...marks] = line.slice(3).trim().split(/\s+/);
        open = { language, marks, line: index + 2 };
        body = [];
      } else {
        fences.push({ ...open, text: `${body.join("\n")}\n` });
        open = undefined;
      }
      continue;
    }
    if (open !== undefined) {
      body.push(line);
      continue;
    }
    const heading = /^#+ (.*)$/.exec(line)?.[1];
    if (heading !== undefined) anchors.add(toAnchor(heading));
    for (const match of line.matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = match[1];
      if (target !== undefined) links.push({ target, line: index + 1 });
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line}: a block that is never closed`);
  return { path: file, text, fences, anchors, links };
}

/** As GitHub makes them. */
function toAnchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");
}

/** The rows of the first table after a heading, without its head; each cell without its backticks. */
export function readTable(document: Document, heading: string): readonly (readonly string[])[] {
  const lines = document.text.split("\n");
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === heading);
  if (start < 0) throw new Error(`${document.path} has no heading ${JSON.stringify(heading)}`);
  const first = lines.findIndex((line, index) => index > start && line.startsWith("|"));
  if (first < 0) throw new Error(`${document.path}: no table after ${JSON.stringify(heading)}`);
  const rows: (readonly string[])[] = [];
  for (const line of lines.slice(first + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
  }
  return rows;
}
