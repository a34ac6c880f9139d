/**
 * `Date.parse` with UTC where the text names no zone: the grammar of V8, which first tries ISO 8601 and falls back to
 * a lenient reading of words and numbers. V8's own cannot be asked, since it takes the process's time zone, and what it
 * does with hours that a change of clocks leaves out cannot be undone afterwards.
 */

import { DayParts, TimeParts, ZoneParts } from "./date-parts.ts";
import { digitsMax, end, isSymbol, isWord, isZ, Scanner } from "./date-scanner.ts";
import type { Token } from "./date-scanner.ts";

class DateText {
  readonly #scanner: Scanner;
  readonly #day = new DayParts();
  readonly #time = new TimeParts();
  readonly #zone = new ZoneParts();

  constructor(text: string) {
    this.#scanner = new Scanner(text);
  }

  parse(): number {
    let token = this.#readIso();
    if (token === undefined) return Number.NaN;
    let hasReadNumber = this.#day.numbers.length > 0;
    for (; token.kind !== "end"; token = this.#scanner.take()) {
      const isSign = isSymbol(token, "+", "-");
      if (token.kind === "number") {
        hasReadNumber = true;
        if (!this.#readNumber(token.value)) return Number.NaN;
      } else if (token.kind === "word") {
        if (!this.#readWord(token, hasReadNumber)) return Number.NaN;
      } else if (isSign && (this.#zone.isUtc || !this.#time.isEmpty)) {
        hasReadNumber = true;
        if (!this.#readOffset(isSymbol(token, "-") ? -1 : 1)) return Number.NaN;
      } else if ((isSign || isSymbol(token, ")")) && hasReadNumber) {
        return Number.NaN;
      }
    }
    return this.#resolve();
  }

  #resolve(): number {
    const date = this.#day.resolve();
    const timeMs = this.#time.resolveMs();
    const zoneMs = this.#zone.resolveMs();
    if (date === undefined || timeMs === undefined || zoneMs === undefined) return Number.NaN;
    const [year, month, day] = date;
    // By way of a year that `Date.UTC` does not take for one of the last century.
    const shift = Math.floor(year / 400) * 400 - 2000;
    const days = Date.UTC(year - shift, month - 1, day) / 86_400_000 + (shift / 400) * 146_097;
    const instant = days * 86_400_000 + timeMs - zoneMs;
    return Math.abs(instant) <= 8.64e15 ? instant : Number.NaN;
  }

  #readNumber(value: number): boolean {
    const scanner = this.#scanner;
    if (scanner.skip(":")) {
      if (scanner.skip(":")) {
        if (!this.#time.isEmpty) return false;
        this.#time.add(value);
        return this.#time.add(0);
      }
      if (!this.#time.add(value)) return false;
      scanner.skip(".");
      return true;
    }
    // A full stop after a number is passed over in any case.
    if (scanner.skip(".") && this.#time.isExpecting(value)) {
      this.#time.add(value);
      const fraction = scanner.take();
      if (fraction.kind !== "number") return false;
      this.#time.addFinal(toMilliseconds(fraction.value, fraction.length));
      return true;
    }
    if (this.#zone.isExpecting(value)) {
      this.#zone.minute = value;
      return true;
    }
    if (this.#time.isExpecting(value)) {
      this.#time.addFinal(value);
      const next = scanner.peek;
      return next.kind === "end" || next.kind === "space" || isZ(next) || isSymbol(next, "+", "-");
    }
    if (!this.#day.add(value)) return false;
    scanner.skip("-");
    return true;
  }

  #readWord(token: Token & { readonly kind: "word" }, hasReadNumber: boolean): boolean {
    if (token.meaning === "half" && !this.#time.isEmpty) {
      this.#time.halfDay = token.value;
    } else if (token.meaning === "month") {
      this.#day.namedMonth = token.value;
      this.#scanner.skip("-");
    } else if (token.meaning === "zone" && hasReadNumber) {
      this.#zone.set(token.value);
    } else {
      // Other words may come before the first number, and not touch it.
      return !hasReadNumber && this.#scanner.peek.kind !== "number";
    }
    return true;
  }

  #readOffset(sign: number): boolean {
    this.#zone.sign = sign;
    let value = 0;
    let length = 0;
    if (this.#scanner.peek.kind === "number") ({ value, length } = this.#scanner.peek);
    if (length > 0) this.#scanner.take();
    if (isSymbol(this.#scanner.peek, ":")) {
      this.#zone.hour = value;
      this.#zone.minute = undefined;
    } else if (length === 1 || length === 2) {
      this.#zone.hour = value;
      this.#zone.minute = 0;
    } else if (length === 3 || length === 4) {
      this.#zone.hour = Math.floor(value / 100);
      this.#zone.minute = value % 100;
    } else {
      return false;
    }
    return true;
  }

  /** Reads as far as it is ISO 8601; the first token that is not, or `undefined` when nothing can save it. */
  #readIso(): Token | undefined {
    const scanner = this.#scanner;
    const year = this.#readIsoYear();
    if (typeof year !== "number") return year;
    this.#day.add(year);
    // Month, then day: each only after the one before it.
    for (const max of [12, 31]) {
      if (!scanner.skip("-")) break;
      const part = scanner.takeNumber(2, 1, max);
      if (part === undefined) return scanner.take();
      this.#day.add(part);
    }
    if (isWord(scanner.peek, "separator")) {
      scanner.take();
      if (!this.#readIsoTime() || scanner.peek.kind !== "end") return undefined;
    } else if (scanner.peek.kind !== "end") {
      return scanner.take();
    }
    this.#day.isIso = true;
    return end;
  }

  #readIsoYear(): number | Token {
    const scanner = this.#scanner;
    if (!isSymbol(scanner.peek, "+", "-")) return scanner.takeNumber(4, 0, 9999) ?? scanner.take();
    const signToken = scanner.take();
    const year = scanner.takeNumber(6, 0, 999_999);
    if (year === undefined) return signToken;
    const isNegative = isSymbol(signToken, "-");
    return isNegative && year === 0 ? signToken : isNegative ? -year : year;
  }

  #readIsoTime(): boolean {
    const scanner = this.#scanner;
    const hour = scanner.takeNumber(2, 0, 24);
    if (hour === undefined || !scanner.skip(":")) return false;
    const max = hour === 24 ? 0 : 59;
    const minute = scanner.takeNumber(2, 0, max);
    if (minute === undefined) return false;
    this.#time.add(hour);
    this.#time.add(minute);
    if (scanner.skip(":")) {
      const second = scanner.takeNumber(2, 0, max);
      if (second === undefined) return false;
      this.#time.add(second);
      if (scanner.skip(".")) {
        const fraction = scanner.take();
        if (fraction.kind !== "number" || (hour === 24 && fraction.value > 0)) return false;
        this.#time.add(toMilliseconds(fraction.value, fraction.length));
      }
    }
    return this.#readIsoZone();
  }

  #readIsoZone(): boolean {
    const scanner = this.#scanner;
    if (isZ(scanner.peek)) {
      scanner.take();
      this.#zone.set(0);
    } else if (isSymbol(scanner.peek, "+", "-")) {
      this.#zone.sign = isSymbol(scanner.take(), "-") ? -1 : 1;
      const together = scanner.takeNumber(4, 0, 9999);
      const hour = together === undefined ? scanner.takeNumber(2, 0, 23) : Math.floor(together / 100);
      if (hour === undefined || hour > 23) return false;
      if (together === undefined && !scanner.skip(":")) return false;
      const minute = together === undefined ? scanner.takeNumber(2, 0, 59) : together % 100;
      if (minute === undefined || minute > 59) return false;
      this.#zone.hour = hour;
      this.#zone.minute = minute;
    }
    return true;
  }
}

/** The first three digits of a fraction of a second. */
function toMilliseconds(value: number, length: number): number {
  const digits = Math.min(length, digitsMax);
  return Math.floor(value * 10 ** (3 - digits));
}

/** The forms of ISO 8601 that are met every day; with a zone, a date alone, and a time without a zone. */
const plain = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z)?)?$/;
const parseNative = Date.parse;

export function parseDate(text: string): number {
  const match = plain.exec(text);
  if (match === null) return new DateText(text).parse();
  const isLocal = text.length > 10 && match[1] === undefined;
  return parseNative(isLocal ? `${text}Z` : text);
}
