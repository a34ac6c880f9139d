/** What V8 sees in the text of a date. */
export type Token =
  | { readonly kind: "number"; readonly value: number; readonly length: number }
  | { readonly kind: "symbol"; readonly text: string }
  | { readonly kind: "word"; readonly meaning: Meaning; readonly value: number; readonly length: number }
  | { readonly kind: "space" | "other" | "end" };

type Meaning = "month" | "zone" | "half" | "separator" | "garbage";

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const zoneHours: ReadonlyMap<string, number> = new Map([
  ["ut", 0],
  ["utc", 0],
  ["z", 0],
  ["gmt", 0],
  ["cdt", -5],
  ["cst", -6],
  ["edt", -4],
  ["est", -5],
  ["mdt", -6],
  ["mst", -7],
  ["pdt", -7],
  ["pst", -8],
]);

/** Digits of a number that count, after zeros in front; V8 passes over the rest. */
export const digitsMax = 9;
export const end: Token = { kind: "end" };

export class Scanner {
  readonly #text: string;
  #position = 0;
  #next: Token;

  constructor(text: string) {
    this.#text = text;
    this.#next = this.#scan();
  }

  get peek(): Token {
    return this.#next;
  }

  take(): Token {
    const taken = this.#next;
    this.#next = this.#scan();
    return taken;
  }

  skip(symbol: string): boolean {
    if (!isSymbol(this.#next, symbol)) return false;
    this.#next = this.#scan();
    return true;
  }

  /** The number that comes next, if it has so many digits and lies within the bounds. */
  takeNumber(length: number, min: number, max: number): number | undefined {
    const token = this.#next;
    if (token.kind !== "number" || token.length !== length) return undefined;
    if (token.value < min || token.value > max) return undefined;
    this.take();
    return token.value;
  }

  #scan(): Token {
    const text = this.#text;
    const start = this.#position;
    const character = text.charAt(start);
    // V8 holds its end of input and a NUL for the same.
    if (character === "" || character === "\0") return end;
    if (isDigit(character)) {
      while (isDigit(text.charAt(this.#position))) this.#position++;
      const digits = text.slice(start, this.#position);
      return {
        kind: "number",
        value: Number(digits.replace(/^0+/, "").slice(0, digitsMax)),
        length: digits.length,
      };
    }
    if (isOfWord(character)) {
      while (isOfWord(text.charAt(this.#position))) this.#position++;
      return readWord(text.slice(start, this.#position));
    }
    if (character === "(") return this.#skipParentheses();
    this.#position++;
    if (":-+.)".includes(character)) return { kind: "symbol", text: character };
    return { kind: /\s/.test(character) ? "space" : "other" };
  }

  #skipParentheses(): Token {
    let depth = 0;
    do {
      const character = this.#text.charAt(this.#position);
      if (character === "" || character === "\0") break;
      if (character === "(") depth++;
      if (character === ")") depth--;
      this.#position++;
    } while (depth > 0);
    return { kind: "other" };
  }
}

function isDigit(character: string): boolean {
  return character >= "0" && character <= "9";
}

/** Letters, and whatever else is not below them. */
function isOfWord(character: string): boolean {
  return character >= "A" && !/\s/.test(character);
}

export function isSymbol(token: Token, ...symbols: readonly string[]): boolean {
  return token.kind === "symbol" && symbols.includes(token.text);
}

export function isWord(token: Token, meaning: Meaning): boolean {
  return token.kind === "word" && token.meaning === meaning;
}

export function isZ(token: Token): boolean {
  return token.kind === "word" && token.meaning === "zone" && token.length === 1;
}

/** Only names of months may go on after their third letter. */
function readWord(word: string): Token {
  // ASCII letters only: to V8 the long s and the Kelvin sign are no letters of a month.
  const prefix = word.slice(0, 3).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const token = (meaning: Meaning, value: number): Token => ({
    kind: "word",
    meaning,
    value,
    length: word.length,
  });
  const month = months.indexOf(prefix);
  if (month >= 0) return token("month", month + 1);
  if (word.length > 3) return token("garbage", 0);
  if (prefix === "am" || prefix === "pm") return token("half", prefix === "am" ? 0 : 12);
  if (prefix === "t") return token("separator", 0);
  const zone = zoneHours.get(prefix);
  return zone === undefined ? token("garbage", 0) : token("zone", zone);
}
