import { styleText } from "node:util";
import type { AionError } from "../core/errors.ts";
import type {
  DocumentName,
  DocumentOf,
  ErrorLine,
  EventDocument,
  LogsLineDocument,
  NoteLine,
} from "./documents.ts";
import { printable } from "./printable.ts";

export type Style = Parameters<typeof styleText>[0];

/** Where a command writes: what was asked for to stdout, all else to stderr. With `--json`, JSON on both. */
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

  /** The JSON document of a command, in one line: one, or one for each thing that it tells of. */
  json<Name extends DocumentName>(_name: Name, document: DocumentOf<Name>): void {
    process.stdout.write(`${JSON.stringify(document)}\n`);
  }

  /** One of many, in one line. */
  jsonEvent(event: EventDocument | LogsLineDocument): void {
    process.stdout.write(`${JSON.stringify(event)}\n`);
  }

  /** What was done: a line for people, or the document. */
  told<Name extends DocumentName>(name: Name, text: string, document: DocumentOf<Name>): void {
    if (this.isJson) this.json(name, document);
    else this.line(text);
  }

  /** What a person should know, and a program can do without. */
  note(text: string): void {
    if (this.isJson) writeLine({ note: text });
    else process.stderr.write(`${errorStyle("dim", `note: ${printable(text)}`)}\n`);
  }

  error(error: AionError): void {
    writeError(error, this);
  }
}

type WrittenError = Pick<AionError, "code" | "message" | "hint"> &
  Partial<Pick<AionError, "details" | "stack">>;

/** `error[code]: message` and the hint. The stack of a bug, too: it is wanted for the report. */
export function writeError(error: WrittenError, { isJson }: { readonly isJson: boolean }): void {
  const { code, message, hint, details = {} } = error;
  const stack = code === "internal" ? error.stack : undefined;
  if (isJson) {
    writeLine({ error: { code, message, hint, details, ...(stack === undefined ? {} : { stack }) } });
    return;
  }
  process.stderr.write(
    `${errorStyle(["bold", "red"], `error[${code}]`)}: ${paintFrames(printable(message), errorStyle)}\n`,
  );
  if (hint !== "") process.stderr.write(`${errorStyle("cyan", "hint")}: ${printable(hint)}\n`);
  if (stack !== undefined) process.stderr.write(`${printable(stack)}\n`);
}

function writeLine(line: ErrorLine | NoteLine): void {
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

/** Colours where stdout shows them: on a terminal, and not with NO_COLOR. */
export function style(format: Style, text: string): string {
  return styleText(format, text, { stream: process.stdout });
}

export function errorStyle(format: Style, text: string): string {
  return styleText(format, text, { stream: process.stderr });
}

/** Source frames in a text, in colour: the place, and the mark under it. */
export function paintFrames(text: string, paint: typeof style): string {
  return text
    .replaceAll(
      /^([^\s:][^\n:]*:\d+:\d+)(: |$)/gm,
      (_all, place: string, end: string) => `${paint("bold", place)}${end}`,
    )
    .replaceAll(
      /^( *\| *)(\^+)$/gm,
      (_all, before: string, mark: string) => `${paint("dim", before)}${paint("red", mark)}`,
    )
    .replaceAll(/^( *\d+ \| )/gm, (number: string) => paint("dim", number));
}
