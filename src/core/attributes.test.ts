import { describe, expect, it } from "vitest";
import {
  attributesMax,
  changeAttributes,
  fromAttributes,
  isSameAttributes,
  keywordBytesMax,
  keywordsMax,
  noAttributes,
  parseAttributes,
  toAttributeChanges,
} from "./attributes.ts";
import { isAionError } from "./errors.ts";

function refusalOf(values: unknown): string {
  try {
    parseAttributes(values, "attributes");
  } catch (error) {
    if (isAionError(error) && error.code === "attribute_invalid") return error.message;
    throw error;
  }
  return "";
}

it("values of each type are recorded by the order of their names, and come back as they were given", () => {
  const values = {
    tags: ["b", "a", "b"],
    amount: -0,
    due: new Date(1_700_000_000_000),
    customerId: "ünï 🚀",
    isOpen: false,
    "a-b.c_d": "",
    none: undefined,
    gone: null,
    empty: [],
  };
  const attributes = parseAttributes(values, "attributes") ?? noAttributes;
  expect(JSON.stringify(attributes)).toBe(
    '{"a-b.c_d":"","amount":0,"customerId":"ünï 🚀","due":{"at":1700000000000},"isOpen":false,"tags":["b","a"]}',
  );
  expect(fromAttributes(attributes)).toEqual({
    "a-b.c_d": "",
    amount: 0,
    customerId: "ünï 🚀",
    due: new Date(1_700_000_000_000),
    isOpen: false,
    tags: ["b", "a"],
  });
  // What was recorded is taken as it is.
  expect(parseAttributes(JSON.parse(JSON.stringify(attributes)), "attributes")).toEqual(attributes);
});

it("the last value of a name counts, and null, undefined and an empty list take it away", () => {
  const before = { a: 1, b: "x", c: ["y"], d: true };
  const changes = toAttributeChanges({ d: [], e: 2, b: undefined, a: null, c: "z" }, "attributes");
  expect(changes).toEqual({ a: null, b: null, c: "z", d: null, e: 2 });
  expect(Object.entries(changeAttributes(before, changes))).toEqual([
    ["c", "z"],
    ["e", 2],
  ]);
  expect(parseAttributes({ a: null }, "attributes")).toBeUndefined();
});

it("what is the same is known whatever the order it was given in", () => {
  const one = toAttributeChanges({ b: 1, a: ["x"] }, "attributes");
  expect(isSameAttributes(one, toAttributeChanges({ a: ["x"], b: 1 }, "attributes"))).toBe(true);
  expect(isSameAttributes(one, toAttributeChanges({ a: ["x"], b: "1" }, "attributes"))).toBe(false);
  expect(isSameAttributes(one, undefined)).toBe(false);
  expect(isSameAttributes(undefined, undefined)).toBe(true);
});

it("a list that is none to others is read as one", () => {
  class Odd extends Array<string> {
    override map(): never[] {
      return [5 as never];
    }
  }
  expect(toAttributeChanges({ a: Odd.of("x") }, "attributes")).toEqual({ a: ["x"] });
});

describe("what none may have is refused, with the name", () => {
  const many = Object.fromEntries(Array.from({ length: attributesMax + 1 }, (_, index) => [`a${index}`, 1]));
  const large = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`a${index}`, "é".repeat(keywordBytesMax / 2)]),
  );
  it.each([
    ["no object", 5, "they must be an object, got a number"],
    ["a list", [1], "they must be an object, got a list"],
    ["a name with a space", { "a b": 1 }, '"a b"'],
    ["a name that is no own one", JSON.parse('{"__proto__": 1}'), '"__proto__"'],
    ["a name that is too long", { ["a".repeat(101)]: 1 }, "a name is"],
    ["a number that is none", { a: Number.NaN }, "attributes: a is NaN"],
    ["a number without end", { a: Number.NEGATIVE_INFINITY }, "finite"],
    ["a date that is none", { a: new Date("x") }, "attributes: a is no valid date"],
    ["an object", { a: { b: 1 } }, "attributes: a is an object"],
    ["an instant with more", { a: { at: 1, b: 2 } }, "attributes: a is an object"],
    ["a bigint", { a: 1n }, "attributes: a is a bigint"],
    ["a list with a number", { a: ["x", 1] }, "a list with a number"],
    ["a list with a hole", { a: Object.assign([], { 1: "x" }) }, "a list with undefined"],
    ["a map", new Map([["a", 1]]), "they must be an object, got an object of a kind of its own"],
    ["a map as a value", { a: new Map() }, "attributes: a is an object of a kind of its own"],
    ["a control character", { a: "x\ny" }, "control characters"],
    ["half a character", { a: "\ud800" }, "well-formed"],
    ["a text that is too long", { a: "é".repeat(keywordBytesMax / 2 + 1) }, "more than 1000 bytes"],
    [
      "a list that is too long",
      { a: Array.from({ length: keywordsMax + 1 }, (_, index) => `k${index}`) },
      "a list of 51",
    ],
    ["too many", many, "50 at the most, and not 51"],
    ["too much", large, "16384 bytes at the most"],
  ])("%s", (_what, values: unknown, message) => {
    expect(refusalOf(values)).toContain(message);
  });
});
