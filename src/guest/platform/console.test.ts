import util from "node:util";
import vm from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dataSource } from "../../../test/guest/both-ways.ts";
import { TestRealm } from "../../../test/guest/realm.ts";

const realm = new TestRealm();

function logged(statements: string): readonly string[] {
  realm.run.logged.length = 0;
  realm.evaluate(`${statements}; return undefined;`);
  return [...realm.run.logged];
}

function nodeFormat(values: string): string {
  return util.format(...(vm.runInThisContext(`[${values}]`) as [unknown]));
}

describe("console", () => {
  it("prints data as Node does", () => {
    fc.assert(
      fc.property(dataSource, (source) => {
        expect(logged(`console.log(${source})`)).toEqual([`info: ${nodeFormat(source)}`]);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    [
      "templates",
      "'%s is %d, %i, %f; %j %O %c%%', 'a', 4.5, '42.9px', '1.5e3x', { a: [1] }, { b: 2 }, 'css'",
    ],
    ["more values than the template has places", "'a %s', 1, 'b', { c: 1 }"],
    ["fewer values than the template has places", "'a %s %d', 1"],
    ["a template alone", "'100%% %s'"],
    ["places for what does not fit", "'%d %i %f %s %d', Symbol('a'), 5n, 'x', Symbol('b'), -0"],
    [
      "%s of objects",
      "'%s %s %s %s', { a: { b: 1 } }, [1, [2]], new (class A { toString() { return 'own'; } })(), new Date(0)",
    ],
    ["%j of a circle", "'%j', (() => { const a = {}; a.a = a; return a; })()"],
    [
      "functions",
      "function f() {}, () => {}, async () => {}, function* g() {}, class A {}, class B extends Map {}, class {}",
    ],
    ["functions with properties", "Object.assign(function f() {}, { a: 1 })"],
    ["accessors", "{ get a() { return 1; }, set b(it) {}, get c() { return 1; }, set c(it) {} }"],
    ["symbols", "Symbol('a'), { [Symbol('k')]: 1, a: Symbol.iterator }"],
    ["circles", "(() => { const a = { b: {} }; a.b.c = a; a.d = [a.b]; return a; })()"],
    ["depth", "{ a: { b: { c: { d: 1 } } } }, [[[[1]]]], new Map([[{ a: { b: { c: 1 } } }, 1]])"],
    [
      "long arrays",
      "Array.from({ length: 120 }, (_, i) => i), Array.from({ length: 30 }, (_, i) => 'item ' + i)",
    ],
    ["long sets", "new Set(Array.from({ length: 30 }, (_, i) => i))"],
    ["long texts", "'x'.repeat(200), ['y'.repeat(200), 'line one\\nline two\\n'.repeat(9)]"],
    [
      "boxes and tags",
      "Object(1), Object('a'), Object(5n), Object(Symbol('s')), { [Symbol.toStringTag]: 'T' }",
    ],
    [
      "subclasses",
      "new (class A extends Map {})([[1, 2]]), new (class B extends Array {})(3), new (class C extends Set {})()",
    ],
    ["weak collections", "new WeakMap(), new WeakSet()"],
    ["typed arrays", "new Uint8Array(300), new Float32Array(2)"],
    ["properties of lists", "Object.assign([1, 2], { a: 1, '-1': 2 })"],
    ["its own way of printing", "{ [Symbol.for('nodejs.util.inspect.custom')]: (depth) => 'mine ' + depth }"],
    ["quotes within quotes", "[`a'b`, `a'b\"c`, `a'b\"c\\`d`, `a'b\"\\${c`, '\\\\']"],
    [
      "%s of functions",
      "'%s %s %s', function f() {}, class A { static toString() { return 'own'; } }, () => 1",
    ],
    ["long texts within", "[['y'.repeat(10_001)], 'z']"],
    ["nothing", ""],
  ])("prints %s as Node does", (_what, values) => {
    expect(logged(`console.log(${values})`)).toEqual([`info: ${nodeFormat(values)}`]);
  });

  it("prints errors with their properties, causes and the lines of the realm", () => {
    const [text = ""] = logged(`
      class Refused extends Error {}
      const error = Object.assign(new Refused("no", { cause: new TypeError("why") }), { code: 7 });
      console.error(error);
    `);
    expect(text).toMatch(/^error: Refused \[Error\]: no\n {4}at realm\.js:\d+:\d+\n/);
    expect(text).toContain("{\n  code: 7,\n  [cause]: TypeError: why\n      at ");
    expect(text).not.toMatch(/node:|file:|\.test\.ts/);
  });

  it("shows no insides of a DataView, where Node shows its buffer", () => {
    expect(logged("console.log(new DataView(new ArrayBuffer(1)))")).toEqual(["info: DataView {}"]);
  });

  it("has its levels", () => {
    expect(
      logged(
        "console.debug(1); console.info(2); console.warn(3); console.error(4); console.assert(false, 'a %s', 5)",
      ),
    ).toEqual(["debug: 1", "info: 2", "warn: 3", "error: 4", "warn: Assertion failed: a 5"]);
    expect(logged("console.assert(true, 'a'); console.groupEnd(); console.timeEnd('x')")).toEqual([]);
  });

  it("groups, counts and takes the time of the run", () => {
    expect(
      logged(
        "console.group('g'); console.log('a\\nb'); console.groupEnd(); console.count(); console.count(); console.count('x')",
      ),
    ).toEqual(["info: g", "info:   a\n  b", "info: default: 1", "info: default: 2", "info: x: 1"]);
    logged("console.time('t')");
    realm.run.time += 1_500;
    expect(logged("console.timeLog('t', 1); console.timeEnd('t')")).toEqual([
      "info: t: 1500ms 1",
      "info: t: 1500ms",
    ]);
    expect(logged("console.trace('here')")[0]).toMatch(/^error: Trace: here\n {4}at /);
  });

  it("ends, however much there is", () => {
    const [wide = ""] = logged(
      "console.log(Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['k' + i, i])))",
    );
    expect(wide.length).toBeLessThan(20_000);
    const [text = ""] = logged("console.log('x'.repeat(1e6))");
    expect(text.length).toBeLessThan(20_000);
    const [graph = ""] = logged(
      "const make = (n) => n === 0 ? 0 : Array.from({ length: 99 }, () => make(n - 1)); console.log(make(3))",
    );
    expect(graph.length).toBeLessThan(20_000);
  });
});
