import { styleText } from "node:util";
import type { AionError } from "../core/errors.ts";
import { printable } from "./printable.ts";

export type Style = Parameters<typeof styleText>[0];

/** Where a command writes: what was asked for to stdout, all else to stderr. */
export class Output {
  readonly isJson: boolean;

  constructor(of: { readonly isJson: boolean }) {
    this.isJson = of.isJson;
  }

  /** How many characters a line may have before it is cut. */
  get width(): number {
    return process.stdout.isTTY ? process.stdout.columns : 160;
  }

  line(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  /** One JSON document, in one line. */
  json(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** What was done: a line for people, or the document. */
  told(text: string, document: unknown): void {
    if (this.isJson) this.json(document);
    else this.line(text);
  }

  /** What a person should know, and a program can do without. */
  note(text: string): void {
    process.stderr.write(`${errorStyle("dim", `note: ${printable(text)}`)}\n`);
  }
}

/** `error[code]: message` and the hint. */
export function writeError({ code, message, hint }: Pick<AionError, "code" | "message" | "hint">): void {
  process.stderr.write(`${errorStyle(["bold", "red"], `error[${code}]`)}: ${printable(message)}\n`);
  if (hint !== "") process.stderr.write(`${errorStyle("cyan", "hint")}: ${printable(hint)}\n`);
}

/** Colours where stdout shows them: on a terminal, and not with NO_COLOR. */
export function style(format: Style, text: string): string {
  return styleText(format, text, { stream: process.stdout });
}

export function errorStyle(format: Style, text: string): string {
  return styleText(format, text, { stream: process.stderr });
}
