/** `URLSearchParams`, and the form encoding it reads and writes (url.spec.whatwg.org). */
import { addHidden } from "./intrinsics.ts";

type Pair = [name: string, value: string];

const unreserved = /[A-Za-z0-9*\-._]/;

function decodePart(part: string): string {
  const text = part.replaceAll("+", " ");
  if (!text.includes("%")) return toWellFormed(text);
  const bytes: number[] = [];
  const encoded = new TextEncoder().encode(text);
  for (let index = 0; index < encoded.length; index++) {
    const byte = encoded[index] ?? 0;
    const hex = String.fromCharCode(encoded[index + 1] ?? 0, encoded[index + 2] ?? 0);
    if (byte === 0x25 && /^[0-9A-Fa-f]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      index += 2;
    } else {
      bytes.push(byte);
    }
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

function encodePart(part: string): string {
  let encoded = "";
  for (const byte of new TextEncoder().encode(part)) {
    const character = String.fromCharCode(byte);
    if (byte === 0x20) encoded += "+";
    else if (byte < 0x80 && unreserved.test(character)) encoded += character;
    else encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

function parsePairs(text: string): Pair[] {
  return text
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      return at < 0
        ? [decodePart(part), ""]
        : [decodePart(part.slice(0, at)), decodePart(part.slice(at + 1))];
    });
}

function toWellFormed(value: unknown): string {
  return String(value).toWellFormed();
}

/** What a URL tells its parameters when its query changes; parameters tell the URL by `onChange`. */
export let readQuery: (params: URLSearchParams, query: string) => void;
export let linkToUrl: (params: URLSearchParams, onChange: (query: string) => void) => void;

export class URLSearchParams {
  #pairs: Pair[];
  #onChange: (query: string) => void = () => undefined;

  constructor(init: unknown = "") {
    this.#pairs = readInit(init);
  }

  static {
    readQuery = (params, query) => {
      params.#pairs = parsePairs(query);
    };
    linkToUrl = (params, onChange) => {
      params.#onChange = onChange;
    };
  }

  #changed(pairs: Pair[]): void {
    this.#pairs = pairs;
    this.#onChange(this.toString());
  }

  get size(): number {
    return this.#pairs.length;
  }

  append(name: unknown, value: unknown): void {
    this.#changed([...this.#pairs, [toWellFormed(name), toWellFormed(value)]]);
  }

  delete(name: unknown, value?: unknown): void {
    const isMeant = matcher(name, value);
    this.#changed(this.#pairs.filter((pair) => !isMeant(pair)));
  }

  get(name: unknown): string | null {
    return this.#pairs.find(matcher(name))?.[1] ?? null;
  }

  getAll(name: unknown): string[] {
    return this.#pairs.filter(matcher(name)).map(([, value]) => value);
  }

  has(name: unknown, value?: unknown): boolean {
    return this.#pairs.some(matcher(name, value));
  }

  set(name: unknown, value: unknown): void {
    const isMeant = matcher(name);
    const first = this.#pairs.findIndex(isMeant);
    const pair: Pair = [toWellFormed(name), toWellFormed(value)];
    if (first < 0) this.#changed([...this.#pairs, pair]);
    else
      this.#changed(this.#pairs.flatMap((it, index) => (index === first ? [pair] : isMeant(it) ? [] : [it])));
  }

  /** By name, in the order of UTF-16 units; pairs of one name stay in order. */
  sort(): void {
    this.#changed(this.#pairs.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  forEach(callback: (value: string, name: string, params: this) => void, self?: unknown): void {
    if (typeof callback !== "function")
      throw new TypeError('The "callback" argument must be of type function');
    for (const [name, value] of this) Reflect.apply(callback, self, [value, name, this]);
  }

  entries(): Iterator<Pair> {
    return new PairIterator(
      () => this.#pairs,
      ([name, value]): Pair => [name, value],
    );
  }

  keys(): Iterator<string> {
    return new PairIterator(
      () => this.#pairs,
      ([name]) => name,
    );
  }

  values(): Iterator<string> {
    return new PairIterator(
      () => this.#pairs,
      ([, value]) => value,
    );
  }

  [Symbol.iterator](): IterableIterator<Pair> {
    return this.entries() as IterableIterator<Pair>;
  }

  toString(): string {
    return this.#pairs.map(([name, value]) => `${encodePart(name)}=${encodePart(value)}`).join("&");
  }
}

/** Live: it sees what is added while it goes. */
class PairIterator<T> extends Iterator<T> {
  readonly #pairs: () => readonly Pair[];
  readonly #pick: (pair: Pair) => T;
  #index = 0;

  static {
    addHidden(PairIterator.prototype);
    Object.defineProperty(PairIterator.prototype, Symbol.toStringTag, { value: "URLSearchParams Iterator" });
  }

  constructor(pairs: () => readonly Pair[], pick: (pair: Pair) => T) {
    super();
    this.#pairs = pairs;
    this.#pick = pick;
  }

  override next(): IteratorResult<T, undefined> {
    const pair = this.#pairs()[this.#index++];
    return pair === undefined ? { done: true, value: undefined } : { done: false, value: this.#pick(pair) };
  }
}

function matcher(name: unknown, value?: unknown): (pair: Pair) => boolean {
  const wantedName = toWellFormed(name);
  const wantedValue = value === undefined ? undefined : toWellFormed(value);
  return ([itsName, itsValue]) =>
    itsName === wantedName && (wantedValue === undefined || itsValue === wantedValue);
}

/** Text, pairs or a record. */
function readInit(init: unknown): Pair[] {
  if ((typeof init !== "object" && typeof init !== "function") || init === null) {
    return parsePairs(String(init).replace(/^\?/, ""));
  }
  const iterate: unknown = Reflect.get(init, Symbol.iterator);
  if (iterate === undefined || iterate === null) {
    const record = new Map<string, string>();
    for (const key of Object.keys(init)) record.set(toWellFormed(key), toWellFormed(Reflect.get(init, key)));
    return [...record];
  }
  if (typeof iterate !== "function") throw new TypeError("Query pairs must be iterable");
  return [...(init as Iterable<unknown>)].map((pair) => {
    const parts =
      typeof pair === "object" && pair !== null && Symbol.iterator in pair
        ? [...(pair as Iterable<unknown>)]
        : [];
    if (parts.length !== 2) throw new TypeError("Each query pair must be an iterable [name, value] tuple");
    return [toWellFormed(parts[0]), toWellFormed(parts[1])];
  });
}
