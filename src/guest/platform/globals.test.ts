import { describe, expect, it } from "vitest";
import { createRun, TestRealm } from "../../../test/guest/realm.ts";

const realm = new TestRealm();

describe("the globals of workflow code", () => {
  it("are these and no others", () => {
    const names = realm.evaluate("return Object.getOwnPropertyNames(globalThis).sort();");
    expect(names).toEqual(
      [
        ...[
          "AbortController",
          "AbortSignal",
          "AggregateError",
          "Array",
          "ArrayBuffer",
          "AsyncDisposableStack",
          "BigInt",
        ],
        ...["BigInt64Array", "BigUint64Array", "Boolean", "CustomEvent", "DOMException", "DataView", "Date"],
        ...["DisposableStack", "Error", "EvalError", "Event", "EventTarget", "Float16Array", "Float32Array"],
        ...[
          "Float64Array",
          "Function",
          "Infinity",
          "Int16Array",
          "Int32Array",
          "Int8Array",
          "Intl",
          "Iterator",
          "JSON",
        ],
        ...[
          "Map",
          "Math",
          "NaN",
          "Number",
          "Object",
          "Promise",
          "Proxy",
          "RangeError",
          "ReferenceError",
          "Reflect",
        ],
        ...[
          "RegExp",
          "Set",
          "String",
          "SuppressedError",
          "Symbol",
          "SyntaxError",
          "TextDecoder",
          "TextEncoder",
        ],
        ...["TypeError", "URIError", "URL", "URLSearchParams", "Uint16Array", "Uint32Array", "Uint8Array"],
        ...[
          "Uint8ClampedArray",
          "WeakMap",
          "WeakSet",
          "atob",
          "btoa",
          "clearInterval",
          "clearTimeout",
          "console",
        ],
        ...[
          "crypto",
          "decodeURI",
          "decodeURIComponent",
          "encodeURI",
          "encodeURIComponent",
          "escape",
          "eval",
          "fetch",
        ],
        ...[
          "globalThis",
          "isFinite",
          "isNaN",
          "parseFloat",
          "performance",
          "self",
          "parseInt",
          "queueMicrotask",
          "setInterval",
          "setTimeout",
        ],
        ...["structuredClone", "undefined", "unescape"],
      ].toSorted(),
    );
  });

  it("are met by no loop over properties, but for the members of interfaces", () => {
    const met = (value: string): unknown =>
      realm.evaluate(`const met = []; for (const it in ${value}) met.push(it); return met.sort();`);
    for (const value of ["globalThis", "new Date()", "[]", "{}", "Math", "Intl", "console", "crypto"]) {
      expect([value, met(value)]).toEqual([value, []]);
    }
    expect(met("new TextEncoder()")).toEqual(["encode", "encodeInto", "encoding"]);
    expect(met("AbortSignal")).toEqual(["abort", "any", "timeout"]);
  });

  it("bear their names, whatever a bundler made of them", () => {
    expect(
      realm.evaluate(
        "return Object.getOwnPropertyNames(globalThis).filter((it) => typeof globalThis[it] === 'function' && globalThis[it].name !== it);",
      ),
    ).toEqual([]);
    expect(
      realm.evaluate("return Object.getOwnPropertyNames(Intl).filter((it) => Intl[it].name !== it);"),
    ).toEqual([]);
  });

  it.each([
    ["process.env.HOME", "input"],
    ["require('fs')", "activities"],
    ["Buffer.from('a')", "Uint8Array"],
    ["new WeakRef({})", "WeakMap"],
    ["new FinalizationRegistry(() => {})", "finally"],
    ["setImmediate(() => {})", "setTimeout"],
    ["new WebSocket('ws://a')", "activity"],
    ["WebAssembly.compile()", "activity"],
    ["new SharedArrayBuffer(1)", "ArrayBuffer"],
  ])("lack what %s needs, and say what to do", (expression, remedy) => {
    const name = /[A-Za-z]+/.exec(expression.replace("new ", ""))?.[0] ?? "";
    expect(realm.evaluate(`typeof ${name} + (${JSON.stringify(name)} in globalThis)`)).toBe("undefinedfalse");
    let thrown: unknown;
    try {
      realm.evaluate(expression);
    } catch (error) {
      thrown = error;
    }
    expect(String(thrown)).toBe(`ReferenceError: ${name} is not defined`);
    expect(realm.findRemedy(thrown)).toContain(remedy);
  });

  it.each([
    ["Function('1')", "compile beforehand"],
    ["Array.prototype.leak = 1", "frozen"],
    ["Error.prototype.name = 'A'", "frozen"],
    ["Math.random = () => 0", "frozen"],
    ["delete Math.random", "frozen"],
  ])("are not to be changed: %s, and say why", (statement, remedy) => {
    let thrown: unknown;
    try {
      realm.evaluate(`${statement}; return 1;`);
    } catch (error) {
      thrown = error;
    }
    expect(realm.findRemedy(thrown)).toContain(remedy);
  });

  it("say nothing of errors that are the program's own", () => {
    for (const body of [
      "return missing;",
      "throw new ReferenceError('a');",
      "throw new Error('process is not defined');",
    ]) {
      let thrown: unknown;
      try {
        realm.evaluate(body);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeDefined();
      expect(realm.findRemedy(thrown)).toBeUndefined();
    }
  });

  it("have a performance.now of the run", () => {
    realm.run = createRun();
    expect(realm.evaluate("performance.now()")).toBe(0);
    realm.run.time += 2_500;
    expect(
      realm.evaluate("return [performance.now(), performance.timeOrigin + performance.now() - Date.now()];"),
    ).toEqual([2_500, 0]);
    realm.run = createRun();
    expect(realm.evaluate("performance.now()")).toBe(0);
  });

  it("have a fetch that says what to do", () => {
    expect(() => realm.evaluate("fetch('http://a/')")).toThrow(/not available in a workflow: .*activity/);
  });

  it.each([
    "eval('1')",
    "Function('return 1')",
    "new (async () => {}).constructor('1')",
    "(function* () {}).constructor('1')",
  ])("make no code from text: %s", (expression) => {
    expect(() => realm.evaluate(expression)).toThrow(
      "Code generation from strings disallowed for this context",
    );
  });

  it("have no memory of what was matched last", () => {
    expect(realm.evaluate("/(a)/.test('a'); return Reflect.ownKeys(RegExp).map(String).sort().join();")).toBe(
      "Symbol(Symbol.species),escape,length,name,prototype".replace(
        "escape,",
        "escape" in RegExp ? "escape," : "",
      ),
    );
  });

  it("cannot be installed by a script that is not strict", () => {
    expect(() => new TestRealm({ isStrict: false })).toThrow('"use strict"');
  });
});

describe("random numbers", () => {
  it("are the run's", () => {
    const draw = (): unknown => {
      realm.run = createRun(7);
      return realm.evaluate(
        "return [Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(4))]];",
      );
    };
    const first = draw();
    expect(draw()).toEqual(first);
    realm.run = createRun(8);
    expect(realm.evaluate("Math.random()")).not.toBe((first as readonly unknown[])[0]);
  });

  it("fill all bytes of any array of integers, and only those of its view", () => {
    realm.run = createRun();
    expect(
      realm.evaluate(`
        const whole = new Uint8Array(64);
        const view = new BigInt64Array(whole.buffer, 16, 4);
        const same = crypto.getRandomValues(view) === view;
        const filled = whole.slice(16, 48).filter((it) => it !== 0).length;
        return same && filled > 20 && whole.slice(0, 16).every((it) => it === 0) && whole.slice(48).every((it) => it === 0);
      `),
    ).toBe(true);
  });

  it.each([
    ["new Float64Array(1)", "TypeMismatchError"],
    ["new DataView(new ArrayBuffer(1))", "TypeMismatchError"],
    ["[1]", "TypeMismatchError"],
    ["new Uint8Array(65537)", "QuotaExceededError"],
  ])("do not fill %s", (array, name) => {
    expect(
      realm.evaluate(`try { crypto.getRandomValues(${array}); } catch (error) { return error.name; }`),
    ).toBe(name);
  });

  it("reach every byte", () => {
    realm.run = createRun();
    expect(realm.evaluate("return new Set(crypto.getRandomValues(new Uint8Array(20_000))).size;")).toBe(256);
  });
});

describe("stack traces", () => {
  it("show the lines of the realm only", () => {
    const stack = String(realm.evaluate("function inner() { return new Error('a').stack; } return inner();"));
    expect(stack).toMatch(
      /^Error: a\n {4}at inner \(realm\.js:1:\d+\)\n {4}at realm\.js:1:\d+\n {4}at realm\.js:1:\d+$/,
    );
  });

  it("are captured where libraries ask for it", () => {
    expect(
      realm.evaluate(`
        class A extends Error { constructor(m) { super(m); this.name = "A"; Error.captureStackTrace?.(this, A); } }
        const own = {}; Error.captureStackTrace(own);
        return [new A("x").stack.split("\\n")[0], typeof own.stack, String(own.stack).includes("node:")];
      `),
    ).toEqual(["A: x", "string", false]);
  });

  it("are not another program's to make", () => {
    expect(
      realm.evaluate(`
        const before = Error.prepareStackTrace;
        Error.prepareStackTrace = (_error, sites) => sites;
        const { stack } = new Error("a");
        Error.prepareStackTrace = before;
        return typeof stack;
      `),
    ).toBe("string");
  });

  it("survive errors that cannot be described", () => {
    expect(
      realm.evaluate(
        "const e = new Error(); Object.defineProperty(e, 'name', { get() { throw 1; } }); return typeof e.stack;",
      ),
    ).toBe("string");
  });
});
