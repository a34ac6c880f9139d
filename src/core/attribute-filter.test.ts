import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AttributeCondition } from "./attribute-filter.ts";
import {
  formatAttribute,
  formatWhere,
  matchesAttributes,
  parseAttribute,
  parseWhere,
} from "./attribute-filter.ts";
import type { AttributeData } from "./attributes.ts";
import { isAionError } from "./errors.ts";

it.each<readonly [string, AttributeCondition]>([
  ["customerId=c-1", { name: "customerId", kind: "in", values: ["c-1"] }],
  ["  customerId  =  c 1  ", { name: "customerId", kind: "in", values: ["c 1"] }],
  ['a="  c=\\"1\\"  "', { name: "a", kind: "in", values: ['  c="1"  '] }],
  ['a="5"', { name: "a", kind: "in", values: ["5"] }],
  ["a=-5.5e3", { name: "a", kind: "in", values: [-5_500] }],
  ["a=-0", { name: "a", kind: "in", values: [0] }],
  ["a=05", { name: "a", kind: "in", values: ["05"] }],
  ["a=true", { name: "a", kind: "in", values: [true] }],
  ["a=2026-01-02", { name: "a", kind: "in", values: [{ at: Date.UTC(2026, 0, 2) }] }],
  ["a=2026-01-02T03:04+01:00", { name: "a", kind: "in", values: [{ at: Date.UTC(2026, 0, 2, 2, 4) }] }],
  ["a=-000000-01-01", { name: "a", kind: "in", values: ["-000000-01-01"] }],
  ["a=2028-02-29T23:00-05:00", { name: "a", kind: "in", values: [{ at: Date.UTC(2028, 2, 1, 4) }] }],
  ["a=+002026-12-31", { name: "a", kind: "in", values: [{ at: Date.UTC(2026, 11, 31) }] }],
  ["a=x,y", { name: "a", kind: "in", values: ["x,y"] }],
  ["a==", { name: "a", kind: "in", values: ["="] }],
  ['a in (x, "y, z" , 5,true)', { name: "a", kind: "in", values: ["x", "y, z", 5, true] }],
  ["a in(x,x)", { name: "a", kind: "in", values: ["x"] }],
  ["in in (x)", { name: "in", kind: "in", values: ["x"] }],
  ["exists exists", { name: "exists", kind: "exists" }],
  ["a.b-c_d>=1", { name: "a.b-c_d", kind: "range", of: "number", from: { value: 1, isOpen: false } }],
  ["a > 1", { name: "a", kind: "range", of: "number", from: { value: 1, isOpen: true } }],
  ["a<=1", { name: "a", kind: "range", of: "number", to: { value: 1, isOpen: false } }],
  [
    "a<1970-01-01T00:00:01Z",
    { name: "a", kind: "range", of: "datetime", to: { value: 1_000, isOpen: true } },
  ],
])("%s is read", (text, condition) => {
  expect(parseWhere([text])).toEqual([condition]);
});

it("two ends of one range are one condition, and the narrower end counts", () => {
  const range = { name: "a", kind: "range", of: "number" };
  expect(parseWhere(["a>=1", "b=2", "a<5", "a>1", "a<=5", "a<9"])).toEqual([
    { ...range, from: { value: 1, isOpen: true }, to: { value: 5, isOpen: true } },
    { name: "b", kind: "in", values: [2] },
  ]);
  expect(parseWhere(["a>=1", "a<2026-01-01"])).toHaveLength(2);
});

describe("what is no condition is refused, with the text and what is wrong", () => {
  it.each([
    ["", "it is no condition"],
    ["a", "it is no condition"],
    ["=5", "it is no condition"],
    ["a!=5", "it is no condition"],
    ["a b=5", "it is no condition"],
    ["5a=5", "it is no condition"],
    ["a in 5", "it is no condition"],
    ["a=", "it has no value"],
    ["a in ()", "it has no value"],
    ["a in (x,)", "it has no value"],
    ['a="x', "quotes"],
    ['a="x"y', "quotes"],
    ['a="\\q"', "no JSON string"],
    ['a in ("x" "y")', "a comma"],
    ["a>x", "ranges are of numbers and of dates"],
    ["a>=true", "ranges are of numbers and of dates"],
    ["a=1e999", "too large"],
    ["a=2026-13-01", "there is no 2026-13-01"],
    ["a>=2026-02-30", "there is no 2026-02-30"],
    ["a=2026-02-29T10:00Z", "there is no 2026-02-29T10:00Z"],
    ['a="\\ud800"', "not well-formed"],
    ["a=\ud800", "not well-formed"],
    ["a=2026-01-01T10:00", "no time zone"],
    [`a in (${Array.from({ length: 51 }, (_, index) => index).join()})`, "51 values"],
    [`a=${"x".repeat(10_001)}`, "10000 characters"],
  ])("%s", (text, message) => {
    const refuse = (): unknown => parseWhere([text]);
    expect(refuse).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    expect(refuse).toThrow(message);
  });

  it.each([[5], ["a=1"], [null], [true], [new Map([["a", 1]])], [new Date(5)]])(
    "as the whole of a filter: %j",
    (where) => {
      expect(() => formatWhere(where as never)).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    },
  );

  it("too many", () => {
    expect(() => parseWhere(Array.from({ length: 21 }, () => "a=1"))).toThrow(
      "20 conditions at the most, and not 21",
    );
  });
});

it("what a client asks for by name is written as text that says the same", () => {
  const due = new Date("2026-01-02T03:04:05.678Z");
  expect(
    formatWhere({
      customerId: "5",
      amount: { from: 1, below: 5 },
      paid: true,
      due,
      since: { above: due, to: due },
      region: ["eu", 'us "east"', 7],
      note: { exists: true },
    }),
  ).toEqual([
    'customerId="5"',
    "amount>=1",
    "amount<5",
    "paid=true",
    "due=2026-01-02T03:04:05.678Z",
    "since>2026-01-02T03:04:05.678Z",
    "since<=2026-01-02T03:04:05.678Z",
    'region in ("eu", "us \\"east\\"", 7)',
    "note exists",
  ]);
  expect(formatWhere(["a=1"])).toEqual(["a=1"]);
  for (const wrong of [{ a: {} }, { a: { form: 1 } }, { a: { from: "1" } }, { a: Number.NaN }, { a: null }]) {
    expect(() => formatWhere(wrong as never)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  }
});

const scalar = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.boolean(),
  fc.date({ noInvalidDate: true }),
);

it("any value that is written is read again as it was, in a condition and as an attribute", () => {
  fc.assert(
    fc.property(scalar, fc.array(scalar, { minLength: 1, maxLength: 5 }), (one, several) => {
      const data = (value: typeof one): AttributeData =>
        value instanceof Date ? { at: value.getTime() } : typeof value === "number" ? value + 0 : value;
      expect(parseWhere(formatWhere({ a: one }))).toEqual([{ name: "a", kind: "in", values: [data(one)] }]);
      const unique = [
        ...new Map(several.map((value) => [JSON.stringify(data(value)), data(value)])).values(),
      ];
      expect(parseWhere(formatWhere({ a: several }))).toEqual([{ name: "a", kind: "in", values: unique }]);
      expect(parseAttribute(`a=${formatAttribute(data(one))}`)).toEqual(["a", data(one)]);
    }),
  );
});

it("an attribute is read from text, a list of keywords as JSON", () => {
  expect(parseAttribute('tags=["a", "b"]')).toEqual(["tags", ["a", "b"]]);
  expect(parseAttribute("customerId = c=1 ")).toEqual(["customerId", "c=1"]);
  expect(formatAttribute(["a", "b"])).toBe('["a","b"]');
  for (const [text, code] of [
    ["a", "invalid_argument"],
    ["=1", "invalid_argument"],
    ["a=", "invalid_argument"],
    ["a=[1", "invalid_argument"],
    ["a=[]", "invalid_argument"],
    ["a=[1]", "attribute_invalid"],
    ["a b=1", "attribute_invalid"],
  ] as const) {
    try {
      parseAttribute(text);
      expect.unreachable(text);
    } catch (error) {
      expect([text, isAionError(error) && error.code]).toEqual([text, code]);
    }
  }
});

it("a name that every object has is none of a run's", () => {
  expect(matchesAttributes({ a: 1 }, parseWhere(["toString exists"]))).toBe(false);
});
