/**
 * Attempts of one instance of a module to leave something for another one in the same realm.
 *
 * `leave` is a list of statements, not strict, that the first instance runs; `find` an expression that the second one
 * looks by. Where the realm is not frozen, it finds something else than where nothing was left, unless `isHarmless`:
 * then something else than the freeze keeps them apart, and the attempt is here to show it.
 */
export interface LeakAttempt {
  readonly what: string;
  readonly leave: string;
  readonly find: string;
  readonly isHarmless?: boolean;
}

/** A property on an object that both instances reach by the same expression. */
function property(what: string, target: string): LeakAttempt {
  return { what: `a property of ${what}`, leave: `(${target}).leak = 1;`, find: `(${target}).leak` };
}

const shared: readonly (readonly [what: string, target: string])[] = [
  ["Object.prototype", "Object.prototype"],
  ["Object", "Object"],
  ["Function.prototype", "Function.prototype"],
  ["a method", "Array.prototype.map"],
  ["a method that is often assigned", "({}).hasOwnProperty"],
  ["a method of errors", "Error.prototype.toString"],
  ["a method of signals", "EventTarget.prototype.addEventListener"],
  ["what makes stacks", "Error.prepareStackTrace"],
  ["a static method", "Object.keys"],
  ["the methods that with statements pass over", "Array.prototype[Symbol.unscopables]"],
  ["JSON", "JSON"],
  ["Math", "Math"],
  ["Reflect", "Reflect"],
  ["Intl", "Intl"],
  ["the numbers' prototype", "Number.prototype"],
  ["the symbols' prototype", "Symbol.prototype"],
  ["the bigints' prototype", "BigInt.prototype"],
  ["a registered symbol's prototype", "Object.getPrototypeOf(Object(Symbol.for('leak')))"],
  ["Date", "Date"],
  ["the dates' prototype", "new Date(0).constructor.prototype"],
  ["the formatters' prototype", "new Intl.NumberFormat().constructor.prototype"],
  ["the constructor of a collator", "new Intl.Collator().constructor"],
  ["a formatter's getter", "Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get"],
  ["the typed arrays' constructor", "Object.getPrototypeOf(Int8Array)"],
  ["the typed arrays' prototype", "Object.getPrototypeOf(Int8Array.prototype)"],
  ["the async functions' prototype", "Object.getPrototypeOf(async () => {})"],
  ["the async functions' constructor", "(async () => {}).constructor"],
  ["the generators' prototype", "Object.getPrototypeOf(function* () {}).prototype"],
  ["the async generators' prototype", "Object.getPrototypeOf(async function* () {}).prototype"],
  [
    "the prototype of all async iterators",
    "Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}).prototype)",
  ],
  ["the array iterators' prototype", "Object.getPrototypeOf([].values())"],
  ["the map iterators' prototype", "Object.getPrototypeOf(new Map().keys())"],
  ["the set iterators' prototype", "Object.getPrototypeOf(new Set().keys())"],
  ["the string iterators' prototype", "Object.getPrototypeOf(''[Symbol.iterator]())"],
  ["the iterators' of matches prototype", "Object.getPrototypeOf(''.matchAll(/a/g))"],
  ["the iterator helpers' prototype", "Object.getPrototypeOf([].values().map((it) => it))"],
  ["the wrapped iterators' prototype", "Object.getPrototypeOf(Iterator.from({ next() {} }))"],
  ["the segments' prototype", "Object.getPrototypeOf(new Intl.Segmenter().segment('a'))"],
  [
    "the segment iterators' prototype",
    "Object.getPrototypeOf(new Intl.Segmenter().segment('a')[Symbol.iterator]())",
  ],
  ["the getter of a stack", "Object.getOwnPropertyDescriptor(new Error(), 'stack').get ?? Error"],
  ["Error.captureStackTrace", "Error.captureStackTrace"],
  ["console", "console"],
  ["console.log", "console.log"],
  ["setTimeout", "setTimeout"],
  ["the timers' prototype", "Object.getPrototypeOf(setTimeout(() => {}, 1))"],
  ["a timer's method", "setTimeout(() => {}, 1).unref"],
  ["crypto", "crypto"],
  ["AbortSignal.prototype", "AbortSignal.prototype"],
  ["the getter of a signal", "Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted').get"],
  ["EventTarget", "EventTarget"],
  ["DOMException.prototype", "DOMException.prototype"],
  ["URL.prototype", "new URL('http://a/').constructor.prototype"],
  ["the query iterators' prototype", "Object.getPrototypeOf(new URLSearchParams().keys())"],
  ["TextDecoder.prototype", "TextDecoder.prototype"],
  ["fetch", "fetch"],
  ["performance", "performance"],
];

export const leakAttempts: readonly LeakAttempt[] = [
  {
    ...property(
      "the function that refuses the callee",
      "Object.getOwnPropertyDescriptor((function () { 'use strict'; return arguments; })(), 'callee').get",
    ),
    isHarmless: true,
  },
  ...shared.map(([what, target]) => property(what, target)),
  { what: "a global", leave: "globalThis.leak = 1;", find: "typeof leak" },
  { what: "a global by forgetting to declare it", leave: "leak = 1;", find: "typeof leak" },
  {
    what: "a global that is defined",
    leave: "Object.defineProperty(globalThis, 'leak', { get: () => 1 });",
    find: "typeof leak",
  },
  { what: "another value of a global", leave: "globalThis.Map = class {};", find: "new Map([[1, 2]]).size" },
  { what: "a global that is gone", leave: "delete globalThis.WeakMap;", find: "typeof WeakMap" },
  {
    what: "a value of undefined",
    leave: "undefined = 1; NaN = 1;",
    find: "typeof undefined + typeof NaN",
    isHarmless: true,
  },
  {
    what: "the prototype of the global object",
    leave: "Object.setPrototypeOf(globalThis, { leak: 1 });",
    find: "globalThis.leak",
  },
  {
    what: "the prototype of a prototype",
    leave: "Object.setPrototypeOf(Array.prototype, { leak: 1 });",
    find: "[].leak",
  },
  { what: "the prototype of a constructor", leave: "Map.__proto__ = { leak: 1 };", find: "Map.leak" },
  {
    what: "an accessor for all objects",
    leave: "({}).__proto__.__defineGetter__('leak', () => 1);",
    find: "({}).leak",
  },
  {
    what: "a symbol on all objects",
    leave: "Object.prototype[Symbol.for('leak')] = 1;",
    find: "({})[Symbol.for('leak')]",
  },
  { what: "an element of all arrays", leave: "Array.prototype[0] = 'leak';", find: "[,][0]" },
  { what: "a longer array prototype", leave: "Array.prototype.length = 5;", find: "Array.prototype.length" },
  {
    what: "another push",
    leave: "Array.prototype.push = function () { return 'leak'; };",
    find: "[].push(1)",
  },
  {
    what: "another iteration of arrays",
    leave: "Array.prototype[Symbol.iterator] = function* () { yield 'leak'; };",
    find: "[...[1]].join()",
  },
  {
    what: "another step of array iterators",
    leave: "Object.getPrototypeOf([].values()).next = () => ({ done: true });",
    find: "[...new Set([1].values())].length",
  },
  {
    what: "another step of map iterators",
    leave: "Object.getPrototypeOf(new Map().keys()).next = () => ({ done: true });",
    find: "Array.from(new Map([[1, 2]]).keys()).length",
  },
  {
    what: "another species of arrays",
    leave: "Object.defineProperty(Array, Symbol.species, { value: class extends Array { leak = 1; } });",
    find: "[1].map((it) => it).leak",
  },
  {
    what: "another constructor of arrays",
    leave: "Array.prototype.constructor = { [Symbol.species]: class { leak = 1; } };",
    find: "[1].map((it) => it).leak",
  },
  {
    what: "another species of promises",
    leave:
      "Object.defineProperty(Promise, Symbol.species, { value: class extends Promise { get leak() { return 1; } } });",
    find: "Promise.resolve().then().leak",
  },
  {
    what: "another then",
    leave: "Promise.prototype.then = function () { return { leak: 1 }; };",
    find: "Promise.resolve().finally(() => {}).leak",
  },
  {
    what: "another Promise.resolve",
    leave: "Promise.resolve = () => 'leak';",
    find: "String(Promise.resolve(1))",
  },
  { what: "another exec", leave: "RegExp.prototype.exec = () => null;", find: "/a/.test('a')" },
  {
    what: "another kind of instance",
    leave: "Object.defineProperty(Function.prototype, Symbol.hasInstance, { value: () => 'leak' });",
    find: "({}) instanceof Map",
    isHarmless: true,
  },
  {
    what: "another tag",
    leave:
      "Object.defineProperty(Object.prototype, Symbol.toStringTag, { value: 'leak', configurable: true });",
    find: "String({})",
  },
  { what: "another way to text", leave: "Object.prototype.toString = () => 'leak';", find: "String({})" },
  {
    what: "another way to text, by its own setter",
    leave:
      "Object.getOwnPropertyDescriptor(Object.prototype, 'toString').set?.call(Array.prototype, () => 'leak'); Array.prototype.toString = () => 'leak';",
    find: "String([1])",
  },
  { what: "another name of errors", leave: "Error.prototype.name = 'leak';", find: "new Error().name" },
  {
    what: "another name of errors, by way of a kind of them",
    leave: "Reflect.set(Error.prototype, 'name', 'leak', TypeError.prototype);",
    find: "new TypeError().name",
  },
  {
    what: "another message of errors",
    leave: "Error.prototype.message = 'leak';",
    find: "new Error().message",
  },
  {
    what: "another constructor of all objects",
    leave: "Object.prototype.constructor = { name: 'leak' };",
    find: "({}).constructor.name",
  },
  {
    what: "the text that was matched last",
    leave: "/(leak)/.exec('a leak b');",
    find: "RegExp.$1",
    isHarmless: true,
  },
  {
    what: "the text that was searched last",
    leave: "/leak/.exec('a leak b');",
    find: "[RegExp.input, RegExp['$&'], RegExp.lastMatch, RegExp.leftContext].join()",
    isHarmless: true,
  },
  { what: "the text to search", leave: "RegExp.input = 'leak';", find: "RegExp.input" },
  {
    what: "the length of stacks",
    leave: "Error.stackTraceLimit = 0;",
    find: "/ at /.test(new Error().stack)",
  },
  {
    what: "the text of stacks",
    leave: "Error.prepareStackTrace = () => 'leak';",
    find: "new Error('a').stack.split('\\n')[0]",
    isHarmless: true,
  },
  {
    what: "the text of stacks, defined",
    leave: "Object.defineProperty(Error, 'prepareStackTrace', { value: () => 'leak' });",
    find: "new Error('a').stack.split('\\n')[0]",
  },
  {
    what: "a stack on all objects",
    leave: "Error.captureStackTrace(Object.prototype);",
    find: "typeof ({}).stack",
  },
  {
    what: "another freeze",
    leave: "Object.freeze = (it) => it;",
    find: "Object.isFrozen(Object.freeze({ a: 1 }))",
  },
  { what: "another clock", leave: "Date.now = () => 0;", find: "Date.now() > 0" },
  {
    what: "another kind of number formatter",
    leave: "Intl.NumberFormat = class { format() { return 'leak'; } };",
    find: "new Intl.NumberFormat().format(1)",
  },
  {
    what: "another way to format",
    leave: "Intl.NumberFormat.prototype.resolvedOptions = () => ({ locale: 'leak' });",
    find: "new Intl.NumberFormat().resolvedOptions().locale",
  },
  { what: "another random", leave: "Math.random = () => 'leak';", find: "typeof Math.random()" },
  {
    what: "the place in the random numbers",
    leave: "for (let i = 0; i < 7; i++) Math.random();",
    find: "Math.random()",
    isHarmless: true,
  },
  {
    what: "the number of ids",
    leave: "for (let i = 0; i < 7; i++) crypto.randomUUID();",
    find: "crypto.randomUUID()",
    isHarmless: true,
  },
  {
    what: "the numbers of timers",
    leave: "for (let i = 0; i < 7; i++) setTimeout(() => {}, 1);",
    find: "Number(setTimeout(() => {}, 1))",
    isHarmless: true,
  },
  {
    what: "when its performance began",
    leave: "performance.now();",
    find: "performance.timeOrigin === Date.now()",
    isHarmless: true,
  },
  {
    what: "counts of the console",
    leave: "console.count('leak'); console.group();",
    find: "(console.count('leak'), 1)",
    isHarmless: true,
  },
  {
    what: "the properties of a template",
    leave: "tagged().leak = 1;",
    find: "tagged().leak",
    isHarmless: true,
  },
  {
    what: "the texts of a template",
    leave: "tagged().raw[0] = 'leak';",
    find: "tagged().raw[0]",
    isHarmless: true,
  },
  {
    what: "a template as a key",
    leave: "known.set(tagged(), 'leak');",
    find: "known.get(tagged())",
    isHarmless: true,
  },
  {
    what: "an intrinsic as a key",
    leave: "known.set(Object.prototype, 'leak');",
    find: "known.get(Object.prototype)",
    isHarmless: true,
  },
  {
    what: "a private field on an intrinsic",
    leave: "new Stamp(Object.prototype);",
    find: "Stamp.isOn(Object.prototype)",
    isHarmless: true,
  },
  { what: "a variable of the module", leave: "kept.push('leak');", find: "kept.length", isHarmless: true },
  { what: "a static field of a class", leave: "Stamp.leak = 1;", find: "Stamp.leak", isHarmless: true },
  {
    what: "the place of a regular expression",
    leave: "pattern.exec('leak leak');",
    find: "pattern.lastIndex",
    isHarmless: true,
  },
  {
    what: "a registered symbol",
    leave: "Symbol.for('leak of a kind');",
    find: "Symbol.keyFor(Symbol.for('leak of a kind'))",
    isHarmless: true,
  },
  {
    what: "code from text",
    leave: "Function('globalThis.leak = 1')();",
    find: "typeof leak",
    isHarmless: true,
  },
  {
    what: "code from text by eval",
    leave: "(0, eval)('var leak = 1');",
    find: "typeof leak",
    isHarmless: true,
  },
  {
    what: "who called",
    leave: "(function f() { kept.push(f.caller, f.arguments); })();",
    find: "[1].map(function f() { return f.caller === null || f.caller.name; })[0]",
    isHarmless: true,
  },
  {
    what: "memory that is shared",
    leave: "new SharedArrayBuffer(1);",
    find: "typeof SharedArrayBuffer + typeof Atomics",
    isHarmless: true,
  },
  {
    what: "a pending microtask",
    leave: "void Promise.resolve().then(() => kept.push('leak'));",
    find: "kept.length",
    isHarmless: true,
  },
];

/** The module that both are instances of: its code is compiled once. */
export function moduleOf({ leave, find }: LeakAttempt): string {
  return `(function () {
    const kept = [];
    const known = new WeakMap();
    const pattern = /leak/g;
    const tag = (strings) => strings;
    const tagged = () => tag\`a\${1}b\`;
    class Given { constructor(it) { return it; } }
    class Stamp extends Given { #mark = 1; static isOn(it) { return #mark in it; } }
    return {
      leave() { try { ${leave} } catch (error) { return String(error); } },
      find() { try { return ${find}; } catch (error) { return "threw " + error.name; } },
    };
  })`;
}
