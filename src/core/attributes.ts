import { AionError } from "./errors.ts";
import { utf8Length } from "./payload.ts";

/**
 * Search attributes: what a run is found by. Plain facts beside its data: they are in no payload, and no codec hides them.
 *
 * A value has the type that it was given with, and is compared with values of that type alone.
 */
export type AttributeValue = string | number | boolean | Date | readonly string[];

/** What is set; `null`, `undefined` and an empty list take an attribute away. */
export type AttributeValues = Readonly<Record<string, AttributeValue | null | undefined>>;

/** As it is recorded and sent. An instant is `{ at: <milliseconds since 1970> }`. */
export type AttributeData = string | number | boolean | AttributeInstant | readonly string[];

export interface AttributeInstant {
  readonly at: number;
}

/** By name, in the order of the names. */
export type Attributes = Readonly<Record<string, AttributeData>>;

/** `null`: taken away. In the order of the names. */
export type AttributeChanges = Readonly<Record<string, AttributeData | null>>;

export const attributesMax = 50;
export const attributeNameMax = 100;
/** Of one keyword, in UTF-8. */
export const keywordBytesMax = 1_000;
export const keywordsMax = 50;
/** Of all attributes of a run, as JSON. */
export const attributesBytesMax = 16 * 1_024;
/** Of both signs: beyond them an instant is no date. */
export const instantMsMax = 8.64e15;

export const attributeNameText = String.raw`[A-Za-z][A-Za-z0-9_.-]{0,${attributeNameMax - 1}}`;
const namePattern = new RegExp(`^${attributeNameText}$`);
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
const controlCharacter = /[\u0000-\u001f\u007f]/;
const shownMax = 60;

export const noAttributes: Attributes = Object.freeze({});

/** Checks what is to be set; `null`, `undefined` and an empty list take an attribute away. Also takes the recorded form. Throws `attribute_invalid`. */
export function toAttributeChanges(values: unknown, what: string): AttributeChanges {
  if (!isNamed(values)) throw invalid(`${what}:`, `they must be an object, got ${kindOf(values)}`);
  const names = Object.keys(values).toSorted();
  if (names.length > 2 * attributesMax) throw invalid(`${what}:`, `they are ${names.length}`);
  return Object.fromEntries(
    names.map((name) => [parseAttributeName(name, what), toData(values[name], `${what}: ${name}`)]),
  );
}

/** Checks what a run is to begin with; `undefined`: it has none. Throws `attribute_invalid`. */
export function parseAttributes(values: unknown, what: string): Attributes | undefined {
  if (values === undefined) return undefined;
  const attributes = changeAttributes(noAttributes, toAttributeChanges(values, what));
  demandAttributeBounds(attributes, what);
  return Object.keys(attributes).length === 0 ? undefined : attributes;
}

/** The last one set counts. */
export function changeAttributes(attributes: Attributes, changes: AttributeChanges): Attributes {
  const changed = Object.entries({ ...attributes, ...changes }).filter(
    (entry): entry is [string, AttributeData] => entry[1] !== null,
  );
  return Object.fromEntries(changed.toSorted(([one], [two]) => (one < two ? -1 : 1)));
}

/** Throws `attribute_invalid`. */
export function demandAttributeBounds(attributes: Attributes, what: string): void {
  const count = Object.keys(attributes).length;
  if (count > attributesMax)
    throw invalid(`${what}:`, `a run has ${attributesMax} at the most, and not ${count}`);
  const bytes = utf8Length(JSON.stringify(attributes));
  if (bytes > attributesBytesMax)
    throw invalid(
      `${what}:`,
      `together those of a run take ${attributesBytesMax} bytes at the most, and not ${bytes}`,
    );
}

/** Both in the order of their names. */
export function isSameAttributes(
  left: AttributeChanges | undefined,
  right: AttributeChanges | undefined,
): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}

/** Throws `attribute_invalid`. */
export function parseAttributeName(name: string, what: string): string {
  if (namePattern.test(name)) return name;
  throw invalid(
    `${what}:`,
    `a name is a letter and then letters, digits, "_", "." and "-", ${attributeNameMax} in all at the most, got ${shown(name)}`,
  );
}

/** Something by names, of whatever realm: what a Map or a list has would be passed over. */
export function isNamed(values: unknown): values is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(values) === "[object Object]";
}

/** Of one value, in the form in which authors and clients have it. */
export function fromAttributeData(data: AttributeData): AttributeValue {
  return isInstant(data) ? new Date(data.at) : data;
}

export function fromAttributes(attributes: Attributes): Readonly<Record<string, AttributeValue>> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, data]) => [name, fromAttributeData(data)]),
  );
}

export function isInstant(data: AttributeData): data is AttributeInstant {
  return typeof data === "object" && !Array.isArray(data);
}

export function toInstant(atMs: number, what: string): AttributeInstant {
  // A part of a millisecond is no part of a date.
  const at = Math.trunc(atMs) + 0;
  if (Number.isNaN(at) || Math.abs(at) > instantMsMax) throw invalid(what, "is no valid date");
  return { at };
}

function toData(value: unknown, what: string): AttributeData | null {
  switch (typeof value) {
    case "undefined":
      return null;
    case "boolean":
      return value;
    case "string":
      return toKeyword(value, what);
    case "number":
      if (!Number.isFinite(value)) throw invalid(what, `is ${value}, which is no finite number`);
      // JSON has one zero.
      return value + 0;
    case "object":
      if (value === null) return null;
      if (value instanceof Date) return toInstant(value.getTime(), what);
      if (Array.isArray(value)) return toKeywords(value, what);
      if (Object.keys(value).length === 1 && "at" in value && typeof value.at === "number")
        return toInstant(value.at, what);
      break;
    default:
  }
  throw invalid(
    what,
    `is ${kindOf(value)}; it may be a string, a number, a boolean, a Date, or a list of strings`,
  );
}

function toKeywords(values: readonly unknown[], what: string): readonly string[] | null {
  // Places of a list that nothing was put into are no keywords either; a list passes over them by itself.
  const keywords = [...new Set(Array.from(values, (value) => toKeyword(value, what)))];
  if (keywords.length > keywordsMax)
    throw invalid(what, `is a list of ${keywords.length}, more than ${keywordsMax}`);
  return keywords.length === 0 ? null : keywords;
}

function toKeyword(value: unknown, what: string): string {
  if (typeof value !== "string") throw invalid(what, `is a list with ${kindOf(value)}; it may hold strings`);
  if (value.length > keywordBytesMax || utf8Length(value) > keywordBytesMax)
    throw invalid(what, `is a text of more than ${keywordBytesMax} bytes`);
  if (controlCharacter.test(value) || !value.isWellFormed())
    throw invalid(what, `is a text with control characters, or one that is not well-formed: ${shown(value)}`);
  return value;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return isNamed(value) ? "an object" : "an object of a kind of its own";
  return value === undefined ? "undefined" : `a ${typeof value}`;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, shownMax).toWellFormed());
}

function invalid(what: string, why: string): AionError {
  return new AionError("attribute_invalid", `${what} ${why}`);
}
