import type { AttributeData, AttributeInstant, AttributeValue, Attributes } from "./attributes.ts";
import {
  attributeNameText,
  isInstant,
  isNamed,
  keywordsMax,
  parseAttributeName,
  toAttributeChanges,
  toInstant,
} from "./attributes.ts";
import { AionError } from "./errors.ts";

/**
 * What is asked of search attributes, as text: one form for clients, HTTP, gRPC and the command line.
 *
 *     customerId=c-1        amount>=100        region in (eu, "us east")        dueAt exists
 *
 * Law: a condition compares within one type, that of its value. A list of keywords is met by one of them.
 */
export type AttributeCondition = { readonly name: string } & (
  | { readonly kind: "exists" }
  /** One of them; mostly there is one. */
  | { readonly kind: "in"; readonly values: readonly AttributeScalar[] }
  | AttributeRange
);

export interface AttributeRange {
  readonly kind: "range";
  readonly of: "number" | "datetime";
  readonly from?: AttributeBound;
  readonly to?: AttributeBound;
}

export interface AttributeBound {
  readonly value: number;
  /** The bound itself is not meant. */
  readonly isOpen: boolean;
}

export type AttributeScalar = string | number | boolean | AttributeInstant;

export const conditionsMax = 20;
const textLengthMax = 10_000;
const shownMax = 100;

/** What a client asks for, by name. Several names: all must hold. */
export type AttributeWhere = Readonly<Record<string, WhereValue>>;

type WhereScalar = string | number | boolean | Date;

/** A value; one of several; a range of numbers or dates (`from` and `to` included, `above` and `below` not); or that there is one. */
export type WhereValue = WhereScalar | readonly WhereScalar[] | WhereRange | { readonly exists: true };

export interface WhereRange {
  readonly from?: number | Date;
  readonly above?: number | Date;
  readonly to?: number | Date;
  readonly below?: number | Date;
}

const rangeOperators = { from: ">=", above: ">", to: "<=", below: "<" } as const;

/** The same as text. Throws `invalid_argument`. */
export function formatWhere(where: AttributeWhere | readonly string[]): readonly string[] {
  if (isTexts(where)) return where;
  // Anything else asks for nothing, and would find all runs.
  if (!isNamed(where))
    throw new AionError(
      "invalid_argument",
      `a filter by search attributes is an object with names and values, or a list of conditions as text, got ${shownKind(where)}`,
    );
  return Object.entries(where).flatMap(([name, value]) => formatOne(name, value));
}

/** Such as `null`, `number`, `Map`. */
function shownKind(value: unknown): string {
  return typeof value === "object" ? Object.prototype.toString.call(value).slice(8, -1) : typeof value;
}

function isTexts(where: AttributeWhere | readonly string[]): where is readonly string[] {
  return Array.isArray(where);
}

function formatOne(name: string, value: WhereValue): readonly string[] {
  // Whoever writes JavaScript may hand in anything.
  if (typeof value !== "object" || (value as unknown) === null || value instanceof Date)
    return [`${name}=${formatScalar(value)}`];
  if (isScalars(value)) return [`${name} in (${value.map(formatScalar).join(", ")})`];
  const conditions = Object.entries(value).flatMap(([key, bound]: [string, unknown]) => {
    if (bound === undefined) return [];
    if (key === "exists" && bound === true) return [`${name} exists`];
    const isBound = typeof bound === "number" || bound instanceof Date;
    if (isBound && Object.hasOwn(rangeOperators, key))
      return [`${name}${rangeOperators[key as keyof typeof rangeOperators]}${formatScalar(bound)}`];
    throw malformed(
      name,
      `of a filter, \`${key}\` is none of from, above, to, below (numbers or dates), exists (true)`,
    );
  });
  if (conditions.length === 0) throw malformed(name, "a filter asks for nothing of it");
  return conditions;
}

function isScalars(value: Exclude<WhereValue, WhereScalar>): value is readonly WhereScalar[] {
  return Array.isArray(value);
}

function formatScalar(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isFinite(value)) return String(value + 0);
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw new AionError(
    "invalid_argument",
    "a filter by search attributes compares with strings, finite numbers, booleans and dates",
  );
}

const conditionForm = new RegExp(
  String.raw`^\s*(${attributeNameText})(?:\s*(<=|>=|=|<|>)(.*)|\s+in\s*\((.*)\)\s*|\s+(exists)\s*)$`,
  "s",
);

/** Reads conditions, all of which must hold. Throws `invalid_argument`. */
export function parseWhere(texts: readonly string[] | undefined): readonly AttributeCondition[] {
  if (texts === undefined) return [];
  if (texts.length > conditionsMax)
    throw new AionError(
      "invalid_argument",
      `a filter has ${conditionsMax} conditions at the most, and not ${texts.length}`,
    );
  const conditions: AttributeCondition[] = [];
  for (const text of texts) {
    const condition = parseCondition(text);
    const place = conditions.findIndex((other) => isSameRange(other, condition));
    const other = conditions[place];
    // Both ends of a range are one look at an index.
    if (condition.kind === "range" && other?.kind === "range") conditions[place] = narrowed(other, condition);
    else conditions.push(condition);
  }
  return conditions;
}

function isSameRange(one: AttributeCondition, other: AttributeCondition): boolean {
  return one.kind === "range" && other.kind === "range" && one.name === other.name && one.of === other.of;
}

function narrowed(
  one: AttributeRange & { readonly name: string },
  other: AttributeRange,
): AttributeRange & { readonly name: string } {
  const from = later(one.from, other.from, 1);
  const to = later(one.to, other.to, -1);
  const { name, kind, of } = one;
  return { name, kind, of, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}

/** The one that lets less pass. */
function later(
  one: AttributeBound | undefined,
  other: AttributeBound | undefined,
  sign: 1 | -1,
): AttributeBound | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  if (one.value === other.value) return one.isOpen ? one : other;
  return one.value * sign > other.value * sign ? one : other;
}

function parseCondition(text: string): AttributeCondition {
  if (typeof text !== "string" || text.length > textLengthMax)
    throw new AionError(
      "invalid_argument",
      `a condition is a text of ${textLengthMax} characters at the most`,
    );
  const [, name, operator, right = "", list] = conditionForm.exec(text) ?? [];
  if (name === undefined)
    throw malformed(text, "it is no condition", {
      hint: 'Write `name=value`, `name>=value` (also `<=`, `<`, `>`), `name in (value, value)` or `name exists`; put text in quotes (`"…"`) that would be read as something else.',
    });
  if (list !== undefined) {
    const values = parseLiterals(list, text);
    if (values.length > keywordsMax)
      throw malformed(text, `it names ${values.length} values, more than ${keywordsMax}`);
    return { name, kind: "in", values };
  }
  if (operator === undefined) return { name, kind: "exists" };
  const value = parseLiteral(right, text);
  if (operator === "=") return { name, kind: "in", values: [value] };
  const bound = typeof value === "object" ? value.at : value;
  if (typeof bound !== "number")
    throw malformed(text, `ranges are of numbers and of dates, and ${JSON.stringify(value)} is neither`);
  const end = { value: bound, isOpen: operator === "<" || operator === ">" };
  const of = typeof value === "object" ? "datetime" : "number";
  return { name, kind: "range", of, ...(operator.startsWith(">") ? { from: end } : { to: end }) };
}

/** `name=value` of what a run is to begin with: a value as in a condition, or a list of keywords as JSON. Throws `invalid_argument`. */
export function parseAttribute(text: string): readonly [name: string, data: AttributeData] {
  const at = text.indexOf("=");
  if (at < 1)
    throw malformed(text, "it is no attribute", {
      hint: 'Write `name=value`; a list of keywords is JSON: `tags=["a", "b"]`.',
    });
  const name = parseAttributeName(text.slice(0, at).trim(), "an attribute");
  const right = text.slice(at + 1).trim();
  if (!right.startsWith("[")) return [name, parseLiteral(right, text)];
  let list: unknown;
  try {
    list = JSON.parse(right);
  } catch (error) {
    throw malformed(text, "its list is no JSON", { cause: error });
  }
  const data = toAttributeChanges({ [name]: list }, "an attribute")[name];
  if (data === undefined || data === null) throw malformed(text, "its list is empty");
  return [name, data];
}

const numberForm = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const dateForm =
  /^(?!-000000)(?:\d{4}|[+-]\d{6})-\d{2}-\d{2}(T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/;
const quotedForm = /^"(?:[^"\\]|\\.)*"/;

function parseLiteral(text: string, of: string): AttributeScalar {
  const literal = text.trim();
  if (!literal.isWellFormed()) throw malformed(of, "it is not well-formed Unicode");
  if (literal.startsWith('"')) {
    if (quotedForm.exec(literal)?.[0] !== literal) throw malformed(of, "its quotes do not end where it does");
    return unquote(literal, of);
  }
  if (literal === "") throw malformed(of, 'it has no value; an empty text is `""`');
  if (literal === "true" || literal === "false") return literal === "true";
  if (numberForm.test(literal)) {
    const value = Number(literal) + 0;
    if (!Number.isFinite(value)) throw malformed(of, `${literal} is too large a number`);
    return value;
  }
  const [isDate, time, zone] = dateForm.exec(literal) ?? [];
  if (isDate === undefined) return literal;
  if (time !== undefined && zone === undefined)
    throw malformed(of, `${literal} has no time zone`, {
      hint: "End it with Z or an offset (+02:00); or put it in quotes if it is a text.",
    });
  const at = new Date(literal).getTime();
  const [day = ""] = literal.split("T");
  // The 30th of February would be taken for one in March.
  if (Number.isNaN(at) || new Date(day).getUTCDate() !== Number(day.slice(-2)))
    throw malformed(of, `there is no ${literal}`);
  return toInstant(at, literal);
}

function parseLiterals(list: string, of: string): readonly AttributeScalar[] {
  const values = new Map<string, AttributeScalar>();
  for (let rest = list.trim(); ;) {
    const quoted = quotedForm.exec(rest)?.[0];
    const end = quoted?.length ?? (rest.includes(",") ? rest.indexOf(",") : rest.length);
    const value = parseLiteral(rest.slice(0, end), of);
    values.set(JSON.stringify(value), value);
    const after = rest.slice(end).trim();
    if (after === "") return [...values.values()];
    if (!after.startsWith(",")) throw malformed(of, "between two values of a list stands a comma");
    rest = after.slice(1).trim();
  }
}

function unquote(literal: string, of: string): string {
  let value: string;
  try {
    value = JSON.parse(literal) as string;
  } catch (error) {
    throw malformed(of, "its quoted text is no JSON string", { cause: error });
  }
  // No attribute is such a text, and a store may take it for another one.
  if (!value.isWellFormed()) throw malformed(of, "its quoted text is not well-formed Unicode");
  return value;
}

/** Whether all of the conditions hold. */
export function matchesAttributes(
  attributes: Attributes,
  conditions: readonly AttributeCondition[],
): boolean {
  return conditions.every((condition) => matchesOne(attributes, condition));
}

function matchesOne(attributes: Attributes, condition: AttributeCondition): boolean {
  if (!Object.hasOwn(attributes, condition.name)) return false;
  const data = attributes[condition.name];
  if (data === undefined) return false;
  switch (condition.kind) {
    case "exists":
      return true;
    case "in":
      return scalarsOf(data).some((one) => condition.values.some((value) => isSameScalar(one, value)));
    case "range":
      return condition.of === "number"
        ? typeof data === "number" && isWithin(data, condition)
        : isInstant(data) && isWithin(data.at, condition);
  }
}

function scalarsOf(data: AttributeData): readonly AttributeScalar[] {
  return typeof data === "object" && !isInstant(data) ? data : [data];
}

function isSameScalar(one: AttributeScalar, other: AttributeScalar): boolean {
  return typeof one === "object" && typeof other === "object" ? one.at === other.at : one === other;
}

function isWithin(value: number, { from, to }: AttributeRange): boolean {
  const isFrom = from === undefined || (from.isOpen ? value > from.value : value >= from.value);
  return isFrom && (to === undefined || (to.isOpen ? value < to.value : value <= to.value));
}

/** For people: as an author would write it. */
export function formatAttribute(data: AttributeValue | AttributeData): string {
  if (typeof data !== "object") return typeof data === "string" && isPlain(data) ? data : formatScalar(data);
  if (data instanceof Date) return data.toISOString();
  if ("at" in data && typeof data.at === "number") return new Date(data.at).toISOString();
  return JSON.stringify(data);
}

/** Read as the text that it is, without quotes. */
function isPlain(text: string): boolean {
  if (text === "" || text.trim() !== text || /["[\s]/.test(text)) return false;
  return text !== "true" && text !== "false" && !numberForm.test(text) && !dateForm.test(text);
}

function malformed(
  text: string,
  why: string,
  more: { readonly hint?: string; readonly cause?: unknown } = {},
): AionError {
  const shown = JSON.stringify(text.slice(0, shownMax).toWellFormed());
  return new AionError("invalid_argument", `${shown}: ${why}`, more);
}
