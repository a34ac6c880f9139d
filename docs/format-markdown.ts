import { readFileSync } from "node:fs";
import path from "node:path";
import { format } from "oxfmt";

const options = JSON.parse(
  readFileSync(path.join(path.dirname(import.meta.dirname), ".oxfmtrc.json"), "utf8"),
) as { readonly printWidth: number };

/** As `npm run format` would write it, so that a page that was made passes the check of the format. */
export async function formatMarkdown(text: string): Promise<string> {
  const { code, errors } = await format("page.md", text, { printWidth: options.printWidth });
  if (errors.length > 0) throw new Error(`the page cannot be formatted: ${errors[0]?.message}`);
  return code;
}
