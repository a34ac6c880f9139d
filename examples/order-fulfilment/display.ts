/**
 * Draws the progress: a block redrawn in place on a terminal, a plain line now and then anywhere else.
 *
 * Owner: the process that has the terminal; in chaos mode the supervisor.
 * 1. Between `start` and `stop` everything for standard output goes through `note`, or the block would be torn.
 * 2. The cursor rests below the block and is never hidden: a process that is killed could not bring it back.
 */
import type { WriteStream } from "node:tty";
import { renderBlock, renderLine, type Snapshot } from "./progress.ts";

const REDRAW_INTERVAL_MS = 125;
const LINE_INTERVAL_MS = 2_000;

export interface DisplayOptions {
  readonly stream: WriteStream | NodeJS.WritableStream;
  readonly isPlain: boolean;
  readonly read: () => { readonly snapshot: Snapshot | undefined; readonly killCount?: number | undefined };
}

export class Display {
  readonly #options: DisplayOptions;
  readonly #terminal: WriteStream | undefined;
  readonly #startedAtMs = Date.now();
  #drawnLineCount = 0;
  #lastLine = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DisplayOptions) {
    this.#options = options;
    this.#terminal = options.isPlain ? undefined : asTerminal(options.stream);
  }

  start(): void {
    this.#timer = setInterval(
      () => this.#draw(),
      this.#terminal === undefined ? LINE_INTERVAL_MS : REDRAW_INTERVAL_MS,
    );
    this.#draw();
  }

  /** Prints a line that stays. */
  note(text: string): void {
    this.#options.stream.write(`${this.#takeBack()}${text}\n`);
    if (this.#terminal !== undefined && this.#timer !== undefined) this.#draw();
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw();
    this.#drawnLineCount = 0;
  }

  #draw(): void {
    const { snapshot, killCount } = this.#options.read();
    if (snapshot === undefined) return;
    const elapsedMs = Date.now() - this.#startedAtMs;
    if (this.#terminal === undefined) {
      const line = renderLine(snapshot, { elapsedMs, killCount });
      if (line !== this.#lastLine) this.#options.stream.write(`${line}\n`);
      this.#lastLine = line;
      return;
    }
    const lines = renderBlock(snapshot, {
      columns: this.#terminal.columns,
      hasColor: this.#terminal.hasColors(),
      elapsedMs,
      killCount,
    });
    // One write: the terminal never shows the moment between.
    this.#terminal.write(`${this.#takeBack()}${lines.join("\n")}\n`);
    this.#drawnLineCount = lines.length;
  }

  /** What removes the block from the terminal, and with it whatever was typed below it. */
  #takeBack(): string {
    if (this.#drawnLineCount === 0) return "";
    const sequence = `\r\u001B[${this.#drawnLineCount}A\u001B[J`;
    this.#drawnLineCount = 0;
    return sequence;
  }
}

function asTerminal(stream: DisplayOptions["stream"]): WriteStream | undefined {
  return "isTTY" in stream && stream.isTTY ? stream : undefined;
}
