import v8 from "node:v8";
import vm from "node:vm";
import { describe, expect, it } from "vitest";
import { bundle, TestRealm } from "../../../test/guest/realm.ts";

/**
 * A walk of the test's own, which also calls what gives instances: whatever it can get hold of without a class or a
 * closure of its own has to be frozen, or to be new each time.
 */
const walk = String.raw`
const openPaths = [];
const seen = new Set();
const visit = (value, path) => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) return;
  seen.add(value);
  if (!Object.isFrozen(value)) openPaths.push(path);
  visit(Object.getPrototypeOf(value), path + ".__proto__");
  for (const key of Reflect.ownKeys(value)) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key);
    // What an accessor hides.
    if (descriptor.get !== undefined) { let hidden; try { hidden = Reflect.apply(descriptor.get, value, []); } catch {} visit(hidden, path + "." + String(key) + "()"); }
    for (const part of ["value", "get", "set"]) visit(descriptor[part], path + "." + String(key) + (part === "value" ? "" : "/" + part));
  }
};
// An instance is nobody else's; what stands behind it is everybody's.
const behind = (instance, path) => {
  visit(Object.getPrototypeOf(instance), path + ".__proto__");
  for (const key of Reflect.ownKeys(instance)) {
    const { get, set } = Object.getOwnPropertyDescriptor(instance, key);
    visit(get, path + "." + String(key) + "/get");
    visit(set, path + "." + String(key) + "/set");
  }
};
visit(globalThis, "globalThis");
const instances = {
  asyncFunction: async () => {}, generator: function* () {}, generated: Object.getPrototypeOf((function* () {})()),
  asyncGenerator: async function* () {}, asyncGenerated: Object.getPrototypeOf((async function* () {})()), method: { a() {} }.a,
  arrow: () => {}, class: class {}, derived: class extends Map {}, bound: function () {}.bind(), strictArguments: (function () { return arguments; })(1),
  arrayIterator: [].values(), mapIterator: new Map().entries(), setIterator: new Set().values(), textIterator: ""[Symbol.iterator](),
  matches: "a".matchAll(/a/g), match: /(?<a>.)/d.exec("a"), helper: [].values().map(String), wrapped: Iterator.from({ next() {} }),
  flat: [[1]].values().flatMap((it) => it), dropped: [1].values().drop(1),
  segments: new Intl.Segmenter().segment("a"), segmentIterator: new Intl.Segmenter().segment("a")[Symbol.iterator](),
  formats: new Intl.DateTimeFormat().format, compares: new Intl.Collator().compare, part: new Intl.NumberFormat().formatToParts(1)[0],
  error: new Error("a"), caught: (() => { try { null.a; } catch (error) { return error; } })(),
  traced: (() => { const it = {}; Error.captureStackTrace(it); return it; })(), overflow: (() => { const f = () => f(); try { f(); } catch (error) { return error; } })(),
  refused: (() => { try { Function("1"); } catch (error) { return error; } })(), parsed: (() => { try { JSON.parse("{"); } catch (error) { return error; } })(),
  promise: Promise.resolve(1), resolvers: Promise.withResolvers(), resolve: Promise.withResolvers().resolve,
  revocable: Proxy.revocable({}, {}), timer: setTimeout(() => {}, 1), signal: new AbortController().signal, event: new Event("a"),
  params: new URLSearchParams("a=1"), paramsIterator: new URLSearchParams("a=1").entries(), url: new URL("http://a/"),
  clone: structuredClone({ a: new Map() }), exception: new DOMException("a"), bytes: new TextEncoder().encode("a"),
  raw: JSON.rawJSON?.("1") ?? 1, grouped: Object.groupBy([1], String), disposables: new DisposableStack(),
};
for (const [name, instance] of Object.entries(instances)) if (Object(instance) === instance) behind(instance, name);
`;

/** What freezing does not reach: insides that methods change. */
const change = String.raw`
const changes = {
  define: (it) => Object.defineProperty(it, "leak", { value: 1, configurable: true }), inherit: (it) => Object.setPrototypeOf(it, { leak: 1 }),
  push: (it) => Array.prototype.push.call(it, 1), fill: (it) => Int8Array.prototype.fill.call(it, 1), resize: (it) => ArrayBuffer.prototype.resize.call(it, 1),
  detach: (it) => ArrayBuffer.prototype.transfer.call(it), setTime: (it) => Date.prototype.setTime.call(it, 1), setMap: (it) => Map.prototype.set.call(it, 1, 1),
  clearMap: (it) => Map.prototype.clear.call(it), addSet: (it) => Set.prototype.add.call(it, 1), setWeak: (it) => WeakMap.prototype.set.call(it, {}, 1),
  addWeak: (it) => WeakSet.prototype.add.call(it, {}), compile: (it) => RegExp.prototype.compile.call(it, "a"), setView: (it) => DataView.prototype.setInt8.call(it, 0, 1),
  defer: (it) => DisposableStack.prototype.defer.call(it, () => {}), generate: (it) => Object.getPrototypeOf(function* () {}).prototype.next.call(it),
  iterate: (it) => Object.getPrototypeOf([].values()).next.call(it), help: (it) => Object.getPrototypeOf([].values().map(String)).next.call(it),
  listen: (it) => EventTarget.prototype.addEventListener.call(it, "a", () => {}), dispatch: (it) => EventTarget.prototype.dispatchEvent.call(it, new Event("a")),
  prevent: (it) => Event.prototype.preventDefault.call(it), abort: (it) => AbortController.prototype.abort.call(it), onabort: (it) => { Object.getOwnPropertyDescriptor(AbortSignal.prototype, "onabort").set.call(it, 1); },
  append: (it) => URLSearchParams.prototype.append.call(it, "a", "b"), hash: (it) => { Object.getOwnPropertyDescriptor(URL.prototype, "hash").set.call(it, "a"); },
  decode: (it) => TextDecoder.prototype.decode.call(it, new Uint8Array([0xc2]), { stream: true }), close: (it) => Object.getPrototypeOf(setTimeout(() => {}, 1)).close.call(it),
};
const changed = [];
for (const value of seen) {
  for (const [name, change] of Object.entries(changes)) {
    try { change(value); } catch { continue; }
    changed.push(name + " " + Object.prototype.toString.call(value) + " " + String(value.name));
  }
}
return JSON.stringify(changed);
`;

interface Found {
  readonly openPaths: readonly string[];
  readonly count: number;
}

function findOpen(realm: TestRealm): Found {
  return realm.evaluate(`${walk} return { openPaths, count: seen.size };`) as Found;
}

describe("the short ways of V8", () => {
  const protectors = ["Array", "Promise", "RegExp", "TypedArray"].map((kind) => `${kind}Species`);
  protectors.push(
    "ArrayIterator",
    "MapIterator",
    "SetIterator",
    "StringIterator",
    "NoElements",
    "IsConcatSpreadable",
  );
  protectors.push("StringWrapperToPrimitive");

  it("stay open, in the realm and in the process around it", () => {
    v8.setFlagsFromString("--allow-natives-syntax");
    const closed = (): readonly string[] =>
      protectors.filter((name) => vm.runInThisContext(`%${name}Protector()`) === false);
    expect(closed()).toEqual([]);
    new TestRealm().evaluateWith(
      'export { z } from "zod";',
      "module.z.array(module.z.string()).parse(['a'])",
    );
    expect(closed()).toEqual([]);
    // They can close.
    vm.runInNewContext("Array.prototype.constructor = Map");
    expect(closed()).toContain("ArraySpecies");
  });
});

describe("a frozen realm", () => {
  it("has nothing that can be changed", () => {
    const { openPaths, count } = findOpen(new TestRealm());
    expect(openPaths).toEqual([]);
    expect(count).toBeGreaterThan(700);
  });

  it("is looked at by a walk that sees what is open", () => {
    const { openPaths } = findOpen(new TestRealm({ isFrozen: false }));
    expect(openPaths).toContain("timer.__proto__");
    expect(openPaths).toContain("segmentIterator.__proto__");
    expect(openPaths.length).toBeGreaterThan(700);
  });

  it("has nothing shared with insides that can be changed", () => {
    const realm = new TestRealm();
    expect(JSON.parse(String(realm.evaluate(walk + change)))).toEqual([]);
    const withMap = new TestRealm({ before: "globalThis.shared = new Map();" });
    expect(JSON.parse(String(withMap.evaluate(walk + change)))).toEqual([
      "setMap [object Map] undefined",
      "clearMap [object Map] undefined",
    ]);
  });

  it("needs a global object of its own", () => {
    const context = vm.createContext({});
    const platform = vm.runInContext(
      `${bundle('export * from "./src/guest/platform/platform.ts";')}(globalThis)`,
      context,
    ) as {
      readonly freezeRealm: (global: object) => void;
    };
    expect(() => platform.freezeRealm(vm.runInContext("globalThis", context) as object)).toThrow(
      "DONT_CONTEXTIFY",
    );
  });
});

describe("what programs assign on their own objects", () => {
  const realm = new TestRealm();

  it.each([
    [
      "the name of an error",
      "class A extends Error { constructor() { super('m'); this.name = 'A'; } } return String(new A());",
      "A: m",
    ],
    [
      "the name of a kind of error",
      "const e = new TypeError('m'); e.name = 'B'; e.message = 'n'; return String(e);",
      "B: n",
    ],
    [
      "the name on a prototype",
      "class A extends RangeError {} A.prototype.name = 'A'; return String(new A('m'));",
      "A: m",
    ],
    [
      "the constructor of a derived function",
      "function A() {} A.prototype = Object.create(Object.prototype); A.prototype.constructor = A; return new A().constructor === A;",
      true,
    ],
    [
      "the constructor of an error of old",
      "function A() {} A.prototype = Object.create(Error.prototype); A.prototype.constructor = A; return new A().constructor === A && new A() instanceof Error;",
      true,
    ],
    ["toString", "const a = {}; a.toString = () => 'own'; return `${a}`;", "own"],
    ["toString of a list", "const a = [1]; a.toString = () => 'own'; return String(a);", "own"],
    ["toString of a function", "const f = () => 1; f.toString = () => 'own'; return String(f);", "own"],
    [
      "valueOf and hasOwnProperty",
      "const a = {}; a.valueOf = () => 4; a.hasOwnProperty = () => true; return a + a.hasOwnProperty('x');",
      5,
    ],
    ["toJSON of a date", "const a = new Date(0); a.toJSON = () => 'own'; return JSON.stringify(a);", '"own"'],
    [
      "methods of an instance",
      "class A { map() {} } const a = new A(); a.map = 1; a.keys = 2; return a.map + a.keys;",
      3,
    ],
    ["the name of a static method", "class A {} A.bind = 1; A.call = 2; return A.bind + A.call;", 3],
    [
      "a prototype of prototypes",
      "const a = Object.create({ toString: undefined }); a.toString = 1; return a.toString;",
      1,
    ],
    [
      "a key that is the name of a method",
      "const a = {}; for (const k of ['constructor', 'toString', 'valueOf', 'isPrototypeOf']) a[k] = k; return Object.keys(a).join();",
      "constructor,toString,valueOf,isPrototypeOf",
    ],
    ["methods of a WeakMap", "const a = new WeakMap(); a.get = a.get; return Object.hasOwn(a, 'get');", true],
    ["methods of a list", "const a = [1]; a.push = () => 'own'; a.map = 1; return a.push() + a.map;", "own1"],
    [
      "methods of a Map and a Set",
      "const a = new Map(); a.get = () => 'own'; const b = new Set(); b.add = 1; return a.get() + b.add;",
      "own1",
    ],
    [
      "methods of a promise",
      "const a = Promise.resolve(); a.catch = 1; a.finally = 2; return a.catch + a.finally;",
      3,
    ],
    [
      "methods of a controller",
      "const a = new AbortController(); a.abort = a.abort.bind(a); (0, a.abort)(); return a.signal.aborted;",
      true,
    ],
    [
      "methods of a target that is derived",
      "class A extends EventTarget {} const a = new A(); a.addEventListener = 1; return a.addEventListener;",
      1,
    ],
    [
      "the constructor of a derived Map",
      "function A() {} A.prototype = Object.create(Map.prototype); A.prototype.constructor = A; return new A().constructor === A;",
      true,
    ],
    ["by Object.assign", "return Object.assign({}, { toString: 1 }).toString;", 1],
  ])("is theirs: %s", (_what, body, expected) => {
    expect(realm.evaluate(body)).toBe(expected);
  });

  it.each([
    ["on the prototype itself", "Object.prototype.toString = 1;"],
    ["on a frozen object", "Object.freeze({}).toString = 1;"],
    ["on a primitive", "(5).toString = 1;"],
    ["what is not there", "Object.prototype.leak = 1;"],
    ["a global", "globalThis.leak = 1;"],
    ["the name of the kind of errors", "Error.prototype.name = 'A';"],
  ])("is refused %s", (_what, statement) => {
    expect(() => realm.evaluate(`${statement} return 1;`)).toThrow(/Cannot|object is not extensible/);
  });
});
