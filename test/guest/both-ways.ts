/** The same code in a realm and in this process: what Node does is what is expected. */
import vm from "node:vm";
import fc from "fast-check";
import { TestRealm } from "./realm.ts";

let realm: TestRealm | undefined;

export interface Outcomes {
  readonly realm: unknown;
  readonly node: unknown;
}

/** Runs the body of a function; an outcome is text, or the name and code of what was thrown. */
export function runBothWays(body: string): Outcomes {
  realm ??= new TestRealm();
  const guarded = `
    try { ${body} } catch (error) { return "threw " + error.name + " " + (error.name === "TypeError" ? "" : error.code ?? ""); }
  `;
  return {
    realm: realm.evaluate(guarded),
    node: vm.runInThisContext(`(() => { "use strict"; ${guarded} })()`),
  };
}

/** What a value is, as JSON, down to the kinds of objects and where it leads back to itself. */
export const portrayal = String.raw`
const portray = (value, seen = new Map()) => {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "bigint") return value + "n";
  if (typeof value !== "object" || value === null) return typeof value + " " + String(value);
  if (seen.has(value)) return "again " + seen.get(value);
  seen.set(value, seen.size);
  const inner = (it) => portray(it, seen);
  const kind = Object.prototype.toString.call(value) + Object.getPrototypeOf(value)?.constructor?.name;
  const properties = Reflect.ownKeys(value).filter((key) => key !== "stack" && !ArrayBuffer.isView(value)).map((key) => {
    const { enumerable, writable, configurable } = Object.getOwnPropertyDescriptor(value, key);
    return [String(key), enumerable, writable, configurable, inner(value[key])];
  });
  const extra =
    value instanceof Map || value instanceof Set ? [...value].map(inner)
    : value instanceof Date ? value.getTime()
    : value instanceof RegExp ? String(value) + value.lastIndex
    : ArrayBuffer.isView(value) ? [value.byteOffset, value.byteLength, inner(value.buffer)]
    : value instanceof ArrayBuffer ? [...new Uint8Array(value)]
    : value instanceof Error ? [value.name, value.message, value.stack.split("\n")[0]]
    : typeof value.valueOf() !== "object" ? inner(value.valueOf()) : null;
  return [kind, properties, extra];
};
`;

const leaf = fc.oneof(
  fc.double().map((it) => (Object.is(it, -0) ? "-0" : String(it))),
  fc.string({ unit: "grapheme-ascii", maxLength: 30 }).map((it) => JSON.stringify(it)),
  fc.constantFrom(
    ...[
      "undefined",
      "null",
      "true",
      "false",
      "5n",
      "-0",
      '"it\'s"',
      '"\\u0000\\u001b\\ud800"',
      '"a\\nbé"',
      "Object(1)",
    ],
    ...[
      "Object('ab')",
      "Object(true)",
      "Object(7n)",
      "new Date(5)",
      "new Date(NaN)",
      "/a\\/b/gi",
      "new ArrayBuffer(3)",
    ],
    ...[
      "new Uint8Array([1, 2])",
      "new Float64Array([0.5, -0])",
      "new BigInt64Array(2)",
      "[, 1, , ,]",
      "new Array(3)",
    ],
  ),
);

/** The source of an expression that makes data, and no functions. */
export const dataSource: fc.Arbitrary<string> = fc.letrec<{ data: string }>((tie) => {
  const many = fc.array(tie("data"), { maxLength: 8 });
  const key = fc.oneof(
    fc.constantFrom("a", "b c", "1", "_x", "it's", "__proto", "constructor", "toString"),
    fc.string({ maxLength: 12 }).filter((it) => it !== "__proto__"),
  );
  const record = fc
    .uniqueArray(fc.tuple(key, tie("data")), { maxLength: 6, selector: ([name]) => name })
    .map(
      (entries) =>
        `({ ${entries.map(([name, value]) => `[${JSON.stringify(name)}]: ${value}`).join(", ")} })`,
    );
  return {
    data: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      leaf,
      many.map((items) => `[${items.join(", ")}]`),
      record,
      many.map((items) => `new Set([${items.join(", ")}])`),
      fc.tuple(tie("data"), tie("data")).map(([name, value]) => `new Map([[${name}, ${value}]])`),
      record.map((source) => `Object.assign(Object.create(null), ${source})`),
      record.map((source) => `Object.assign(new (class Foo {})(), ${source.replaceAll("toString", "text")})`),
    ),
  };
}).data;
