/** `btoa` and `atob`: base64 with the forgiving reading of the standard (infra.spec.whatwg.org). */
import { defineMembers } from "./define.ts";
import { DOMException } from "./dom-exception.ts";
import { fromLatin1 } from "./latin1.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const padding = "=".charCodeAt(0);
const codes = Array.from(alphabet, (letter) => letter.charCodeAt(0));
/** The value of each letter, by its code. */
const values: readonly (number | undefined)[] = Array.from({ length: 128 }, (_, code) => {
  const value = codes.indexOf(code);
  return value < 0 ? undefined : value;
});

function encode(text: string): string {
  const encoded = new Uint8Array(Math.ceil(text.length / 3) * 4);
  for (let from = 0, to = 0; from < text.length; from += 3, to += 4) {
    // Past the end is NaN, which counts as 0 in the bits.
    const first = text.charCodeAt(from);
    const second = text.charCodeAt(from + 1);
    const third = text.charCodeAt(from + 2);
    if (first > 255 || second > 255 || third > 255) {
      throw new DOMException("Invalid character", "InvalidCharacterError");
    }
    const bits = (first << 16) | (second << 8) | third;
    encoded[to] = codes[bits >> 18] ?? 0;
    encoded[to + 1] = codes[(bits >> 12) & 63] ?? 0;
    encoded[to + 2] = from + 1 < text.length ? (codes[(bits >> 6) & 63] ?? 0) : padding;
    encoded[to + 3] = from + 2 < text.length ? (codes[bits & 63] ?? 0) : padding;
  }
  return fromLatin1(encoded);
}

function decode(text: string): string {
  let letters = text.replace(/[\t\n\f\r ]/g, "");
  if (letters.length % 4 === 0) letters = letters.replace(/={1,2}$/, "");
  if (letters.length % 4 === 1) throw invalid();
  const decoded = new Uint8Array(Math.floor((letters.length * 6) / 8));
  let bits = 0;
  let bitCount = 0;
  let to = 0;
  for (let from = 0; from < letters.length; from++) {
    const value = values[letters.charCodeAt(from)];
    if (value === undefined) throw invalid();
    bits = ((bits << 6) | value) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      decoded[to++] = (bits >> bitCount) & 255;
    }
  }
  return fromLatin1(decoded);
}

function invalid(): DOMException {
  return new DOMException("The string to be decoded is not correctly encoded.", "InvalidCharacterError");
}

export function installBase64(global: object): void {
  defineMembers(global, {
    btoa: (...given: readonly unknown[]) => encode(required(given)),
    atob: (...given: readonly unknown[]) => decode(required(given)),
  });
}

function required(given: readonly unknown[]): string {
  if (given.length === 0) throw new TypeError('The "input" argument must be specified');
  return String(given[0]);
}
