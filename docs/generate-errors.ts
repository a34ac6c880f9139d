/**
 * Makes docs/errors.md from the table of errors: node scripts/bootstrap.mjs docs/generate-errors.ts
 * A test fails when the page is not what this makes.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { errorTable } from "../src/core/errors.ts";
import type { ErrorKind } from "../src/core/errors.ts";
import { formatMarkdown } from "./format-markdown.ts";

const kinds: readonly { readonly kind: ErrorKind; readonly title: string; readonly text: string }[] = [
  {
    kind: "usage",
    title: "Wrong use",
    text: "The call or the program has to be changed; repeating it changes nothing.",
  },
  { kind: "denied", title: "Denied", text: "The caller has not the right." },
  { kind: "conflict", title: "Conflicts", text: "The state of a run or of the store does not allow it." },
  { kind: "not_found", title: "Not found", text: "There is nothing of that name." },
  { kind: "failed", title: "Failed", text: "Something is broken that somebody has to mend." },
  {
    kind: "unavailable",
    title: "Not now",
    text: "It may succeed later, or at another place. Nothing acknowledged is lost.",
  },
  { kind: "bug", title: "Bugs", text: "Aion is wrong." },
];

const introduction = `# Errors

<!-- Made by docs/generate-errors.ts from src/core/errors.ts. Change the table there. -->

Whenever Aion itself refuses or fails it throws an \`AionError\`: from \`aion\`, from the client, from the command. Match
on \`code\`, which is stable; \`message\` says what happened with the values, \`hint\` what to do, \`cause\` what led to
it, and \`details\` holds facts for programs. Recognise one with \`isAionError(error)\`.

What *workflows and activities* throw is no \`AionError\` but a failure: see the [guide](guide.md#failures). Where the
engine fails a run, its \`EngineFailure\` has one of these codes.
`;

export async function renderErrors(): Promise<string> {
  const sections = kinds.map(({ kind, title, text }) => {
    const entries = Object.entries(errorTable).filter(([, entry]) => entry.kind === kind);
    const bodies = entries.map(
      ([code, { cause, hint }]) => `### \`${code}\`\n\n${cause}\n\n**What to do:** ${hint}\n`,
    );
    return `## ${title}\n\n${text}\n\n${bodies.join("\n")}`;
  });
  return await formatMarkdown(`${introduction}\n${sections.join("\n")}`);
}

export const errorsPage = path.join(import.meta.dirname, "errors.md");

if (process.argv[1] === import.meta.filename) writeFileSync(errorsPage, await renderErrors());
