/** `TextEncoder` and `TextDecoder` for UTF-8, after encoding.spec.whatwg.org. */
import { defineInterface } from "./define.ts";
import { fromLatin1 } from "./latin1.ts";

const replacement = 0xfffd;
const labels: ReadonlySet<string> = new Set([
  "unicode-1-1-utf-8",
  "unicode11utf8",
  "unicode20utf8",
  "utf-8",
  "utf8",
  "x-unicode20utf8",
]);

/** Code points of a text; halves of pairs that stand alone become the replacement character. */
function codePointAt(text: string, index: number): number {
  const point = text.codePointAt(index) ?? replacement;
  return point >= 0xd800 && point <= 0xdfff ? replacement : point;
}

function byteCountOf(point: number): number {
  return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4;
}

function writePoint(point: number, bytes: Uint8Array, at: number): void {
  const count = byteCountOf(point);
  if (count === 1) {
    bytes[at] = point;
    return;
  }
  bytes[at] = ((0xf00 >> count) & 0xff) | (point >> (6 * (count - 1)));
  for (let place = 1; place < count; place++) {
    bytes[at + place] = 0x80 | ((point >> (6 * (count - 1 - place))) & 0x3f);
  }
}

class TextEncoder {
  get encoding(): string {
    return "utf-8";
  }

  encode(input: unknown = ""): Uint8Array {
    const text = String(input);
    const bytes = new Uint8Array(text.length * 3);
    return bytes.slice(0, write(text, bytes).written);
  }

  encodeInto(source: unknown, bytes: Uint8Array): { read: number; written: number } {
    if (!(bytes instanceof Uint8Array))
      throw new TypeError('The "dest" argument must be an instance of Uint8Array');
    return write(String(source), bytes);
  }
}

/** As much of the text as there is room for, by whole characters. */
function write(text: string, bytes: Uint8Array): { read: number; written: number } {
  let read = 0;
  let written = 0;
  while (read < text.length) {
    const point = codePointAt(text, read);
    const byteCount = byteCountOf(point);
    if (written + byteCount > bytes.length) break;
    writePoint(point, bytes, written);
    written += byteCount;
    read += byteCount === 4 ? 2 : 1;
  }
  return { read, written };
}

class TextDecoder {
  readonly #isFatal: boolean;
  readonly #ignoresBom: boolean;
  #state = new Utf8State();

  constructor(label: unknown = "utf-8", options?: unknown) {
    const name = String(label);
    if (!labels.has(name.trim().toLowerCase())) {
      throw new RangeError(`The "${name}" encoding is not supported in a workflow: only utf-8 is`);
    }
    this.#isFatal = readFlag(options, "fatal");
    this.#ignoresBom = readFlag(options, "ignoreBOM");
  }

  get encoding(): string {
    return "utf-8";
  }
  get fatal(): boolean {
    return this.#isFatal;
  }
  get ignoreBOM(): boolean {
    return this.#ignoresBom;
  }

  decode(input?: unknown, options?: unknown): string {
    const bytes = toBytes(input);
    const state = this.#state;
    if (!state.isUnfinished && isAscii(bytes)) {
      this.#state = new Utf8State();
      this.#state.hasBegun = readFlag(options, "stream") && (state.hasBegun || bytes.length > 0);
      return fromLatin1(bytes);
    }
    const points = state.read(bytes);
    if (!readFlag(options, "stream")) {
      if (state.isUnfinished) points.push(malformed);
      this.#state = new Utf8State();
    }
    if (this.#isFatal && points.includes(malformed)) {
      this.#state = new Utf8State();
      throw new TypeError("The encoded data was not valid for encoding utf-8");
    }
    if (!this.#ignoresBom && points.length > 0 && !state.hasBegun && points[0] === 0xfeff) points.shift();
    state.hasBegun ||= points.length > 0;
    return toText(points);
  }
}

/** Stands for bytes that are no UTF-8 among code points. */
const malformed = -1;

/** The decoder of the standard: at most one unfinished sequence, and the bounds of its next byte. */
class Utf8State {
  hasBegun = false;
  #point = 0;
  #needed = 0;
  #lower = 0x80;
  #upper = 0xbf;

  get isUnfinished(): boolean {
    return this.#needed > 0;
  }

  read(bytes: Uint8Array): number[] {
    const points: number[] = [];
    for (const byte of bytes) {
      if (this.#needed > 0) {
        if (byte >= this.#lower && byte <= this.#upper) {
          this.#continue(byte, points);
          continue;
        }
        // The sequence breaks off here, and this byte begins another one.
        points.push(malformed);
        this.#needed = 0;
      }
      this.#begin(byte, points);
    }
    return points;
  }

  #continue(byte: number, points: number[]): void {
    this.#point = (this.#point << 6) | (byte & 0x3f);
    this.#needed--;
    this.#lower = 0x80;
    this.#upper = 0xbf;
    if (this.#needed === 0) points.push(this.#point);
  }

  #begin(byte: number, points: number[]): void {
    this.#lower = 0x80;
    this.#upper = 0xbf;
    if (byte < 0x80) {
      points.push(byte);
    } else if (byte >= 0xc2 && byte <= 0xdf) {
      this.#needed = 1;
      this.#point = byte & 0x1f;
    } else if (byte >= 0xe0 && byte <= 0xef) {
      // Neither longer than need be, nor half of a pair.
      if (byte === 0xe0) this.#lower = 0xa0;
      if (byte === 0xed) this.#upper = 0x9f;
      this.#needed = 2;
      this.#point = byte & 0xf;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      if (byte === 0xf0) this.#lower = 0x90;
      if (byte === 0xf4) this.#upper = 0x8f;
      this.#needed = 3;
      this.#point = byte & 0x7;
    } else {
      points.push(malformed);
    }
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) {
    if ((bytes[index] ?? 0) >= 0x80) return false;
  }
  return true;
}

function toText(points: readonly number[]): string {
  let text = "";
  // In portions: a call takes only so many arguments.
  for (let index = 0; index < points.length; index += 4096) {
    const portion = points.slice(index, index + 4096);
    text += String.fromCodePoint(...portion.map((point) => (point === malformed ? replacement : point)));
  }
  return text;
}

function toBytes(input: unknown): Uint8Array {
  if (input === undefined) return new Uint8Array();
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (input instanceof ArrayBuffer) return new Uint8Array(input);
  throw new TypeError('The "input" argument must be an instance of ArrayBuffer or ArrayBufferView');
}

function readFlag(options: unknown, name: string): boolean {
  return typeof options === "object" && options !== null && Boolean(Reflect.get(options, name));
}

export function installTextEncoding(global: object): void {
  defineInterface(global, "TextEncoder", TextEncoder);
  defineInterface(global, "TextDecoder", TextDecoder);
}
