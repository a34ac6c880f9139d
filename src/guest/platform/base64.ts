/** `btoa` and `atob`: base64 with the forgiving reading of the standard (infra.spec.whatwg.org). */
import { defineMembers } from "./define.ts";
import { DOMException } from "./dom-exception.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values: ReadonlyMap<string, number> = new Map(Array.from(alphabet, (letter, value) => [letter, value]));

function encode(text: string): string {
  let encoded = "";
  for (let index = 0; index < text.length; index += 3) {
    const [first, second, third] = [0, 1, 2].map((offset) => text.charCodeAt(index + offset));
    const group = [first, second, third].filter((unit): unit is number => !Number.isNaN(unit));
    if (group.some((unit) => unit > 255))
      throw new DOMException("Invalid character", "InvalidCharacterError");
    const bits = group.reduce((sum, unit, place) => sum | (unit << (16 - 8 * place)), 0);
    for (let place = 0; place < 4; place++) {
      encoded += place > group.length ? "=" : alphabet.charAt((bits >> (18 - 6 * place)) & 63);
    }
  }
  return encoded;
}

function decode(text: string): string {
  let letters = text.replace(/[\t\n\f\r ]/g, "");
  if (letters.length % 4 === 0) letters = letters.replace(/={1,2}$/, "");
  if (letters.length % 4 === 1) throw invalid();
  let decoded = "";
  let bits = 0;
  let bitCount = 0;
  for (const letter of letters) {
    const value = values.get(letter);
    if (value === undefined) throw invalid();
    bits = ((bits << 6) | value) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      decoded += String.fromCharCode((bits >> bitCount) & 255);
    }
  }
  return decoded;
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
