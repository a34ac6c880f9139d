import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dataSource, portrayal, runBothWays } from "../../../test/guest/both-ways.ts";
import { TestRealm } from "../../../test/guest/realm.ts";

describe("structuredClone", () => {
  it("copies data as Node does", () => {
    fc.assert(
      fc.property(dataSource, (source) => {
        const { realm, node } = runBothWays(
          `${portrayal} return JSON.stringify(portray(structuredClone(${source})));`,
        );
        expect(realm).toBe(node);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ["circles", "const a = { list: [] }; a.list.push(a, a.list); return a;"],
    ["circles through collections", "const a = new Map(); a.set(a, new Set([a])); return a;"],
    ["what occurs twice", "const a = {}; return [a, a, new Map([[a, a]])];"],
    [
      "two views of one buffer",
      "const a = new ArrayBuffer(8); return [new Uint8Array(a, 1, 2), new DataView(a, 4), a];",
    ],
    [
      "errors",
      "return [new TypeError('a'), new Error('b', { cause: [1] }), Object.assign(new Error('c'), { d: 1 })];",
    ],
    [
      "errors of classes",
      "class A extends TypeError { name = 'A'; } return [new A('x'), Object.assign(new Error('y'), { name: 'RangeError' })];",
    ],
    ["exceptions of the platform", "return new DOMException('a', 'AbortError');"],
    ["accessors", "return { get a() { return [1]; } };"],
    ["instances of classes", "class A { #x = 1; y = 2; get z() { return 3; } } return new A();"],
    ["what is not enumerable", "return Object.defineProperty({ a: 1 }, 'b', { value: 2 });"],
    ["symbols as keys", "return { [Symbol('a')]: 1, b: 2 };"],
    ["where a search had come to", "const a = /a/g; a.lastIndex = 5; return a;"],
    ["forged tags", "return [{ [Symbol.toStringTag]: 'Map', a: 1 }, { [Symbol.toStringTag]: 'Date' }];"],
    ["an array's other properties", "return Object.assign([1], { a: 2 });"],
  ])("copies %s as Node does", (_what, body) => {
    const { realm, node } = runBothWays(
      `${portrayal} return JSON.stringify(portray(structuredClone((() => { ${body} })())));`,
    );
    expect(realm).toBe(node);
  });

  it.each([
    ["a function", "() => {}"],
    ["a method", "{ a() {} }"],
    ["a class", "class {}"],
    ["a symbol", "Symbol('a')"],
    ["a boxed symbol", "Object(Symbol('a'))"],
    ["a promise", "Promise.resolve(1)"],
    ["a WeakMap", "new WeakMap()"],
    ["a WeakSet", "[new WeakSet()]"],
    ["arguments", "(function () { return arguments; })(1)"],
    ["a generator", "(function* () {})()"],
  ])("refuses %s as Node does", (_what, source) => {
    const { realm, node } = runBothWays(
      `try { structuredClone(${source}); } catch (e) { return [e.name, e.code, e instanceof DOMException].join(); }`,
    );
    expect(realm).toBe("DataCloneError,25,true");
    expect(node).toBe(realm);
  });

  it("hands buffers over", () => {
    const { realm, node } = runBothWays(`
      const a = new Uint8Array([1, 2]).buffer;
      const b = structuredClone({ view: new Uint8Array(a) }, { transfer: [a] });
      return [a.byteLength, a.detached, b.view.join()].join();
    `);
    expect(realm).toBe("0,true,1,2");
    expect(node).toBe(realm);
  });

  it("makes objects of the realm", () => {
    expect(
      new TestRealm().evaluate(
        "const a = structuredClone({ b: [new Date(0)] }); return a instanceof Object && a.b[0] instanceof Date;",
      ),
    ).toBe(true);
  });
});
