/**
 * What the realm does not have: everything of its global object that is not listed here, so that a later version of V8
 * brings nothing unforeseen; and what to use instead, for people.
 *
 * What is absent is truly absent (`typeof process` is `"undefined"`), because libraries look before they use, and have
 * something to fall back to. `fetch` is the exception: libraries bind it while they load and nothing replaces it, so it
 * is there, and calling it says what to do.
 */
import { defineMembers } from "./define.ts";

const allowed: ReadonlySet<string> = new Set([
  ...["globalThis", "Infinity", "NaN", "undefined", "eval", "isFinite", "isNaN", "parseFloat", "parseInt"],
  ...["decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "unescape"],
  ...[
    "Object",
    "Function",
    "Boolean",
    "Symbol",
    "Number",
    "BigInt",
    "Math",
    "String",
    "RegExp",
    "Date",
    "JSON",
  ],
  ...["Array", "Map", "Set", "WeakMap", "WeakSet", "ArrayBuffer", "DataView", "Iterator", "Promise"],
  ...[
    "Int8Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "Int16Array",
    "Uint16Array",
    "Int32Array",
    "Uint32Array",
  ],
  ...["BigInt64Array", "BigUint64Array", "Float16Array", "Float32Array", "Float64Array"],
  ...["Proxy", "Reflect", "Intl", "Temporal", "DisposableStack", "AsyncDisposableStack"],
  ...[
    "Error",
    "AggregateError",
    "EvalError",
    "RangeError",
    "ReferenceError",
    "SuppressedError",
    "SyntaxError",
  ],
  ...["TypeError", "URIError"],
]);

const activity = "do it in an activity, whose result is recorded";

const remedies: ReadonlyMap<string, string> = new Map([
  ["fetch", `workflow code may not use the network: ${activity}`],
  ["XMLHttpRequest", `workflow code may not use the network: ${activity}`],
  ["WebSocket", `workflow code may not use the network: ${activity}`],
  ["EventSource", `workflow code may not use the network: ${activity}`],
  [
    "process",
    "what the process has differs between machines: pass it in the input, or read it in an activity",
  ],
  ["require", 'import at the top of the file; modules of Node (such as "fs") belong in activities'],
  ["module", "write an ES module: import and export"],
  ["exports", "write an ES module: import and export"],
  ["__dirname", `workflow code has no file system: ${activity}`],
  ["__filename", `workflow code has no file system: ${activity}`],
  ["Buffer", "use Uint8Array, TextEncoder, TextDecoder, atob and btoa"],
  ["global", "use globalThis"],
  ["window", "use globalThis"],
  ["setImmediate", "use setTimeout, or await something"],
  ["clearImmediate", "use clearTimeout"],
  ["WeakRef", "garbage collection decides what it answers; hold the value, or use a WeakMap"],
  ["FinalizationRegistry", "garbage collection decides when it calls; clean up in finally"],
  ["Atomics", "a run is one thread: plain variables do"],
  ["SharedArrayBuffer", "a run is one thread: use ArrayBuffer"],
  ["WebAssembly", `workflow code is JavaScript only: ${activity}`],
  ["Worker", `a run is one thread: ${activity}`],
  ["MessageChannel", "use promises"],
  ["BroadcastChannel", "use signals"],
  ["Blob", `use Uint8Array; for files, ${activity}`],
  ["File", `use Uint8Array; for files, ${activity}`],
  ["FormData", `it goes with fetch: ${activity}`],
  ["Headers", `it goes with fetch: ${activity}`],
  ["Request", `it goes with fetch: ${activity}`],
  ["Response", `it goes with fetch: ${activity}`],
  ["ReadableStream", `workflow code has no streams: ${activity}`],
  ["WritableStream", `workflow code has no streams: ${activity}`],
  ["localStorage", "variables of a workflow are durable: use one"],
]);

export function removeAbsent(global: object): void {
  for (const key of Reflect.ownKeys(global)) {
    if (typeof key === "string" && !allowed.has(key)) Reflect.deleteProperty(global, key);
  }
}

export function installFetch(global: object): void {
  defineMembers(global, {
    fetch(_input: unknown, _init?: unknown): never {
      throw new TypeError(`fetch is not available in a workflow: ${remedies.get("fetch")}`);
    },
  });
}

/** Errors of V8 that the realm is the reason of, or may be. */
const remediesByMessage: readonly (readonly [RegExp, string])[] = [
  [
    /^Code generation from strings disallowed/,
    "workflow code may not make code from text: compile beforehand, or do it in an activity",
  ],
  [
    /^Cannot (?:assign to read only property|add property|redefine property|delete property)/,
    "if this is an object of the language or of the platform: they are frozen, because the runs of a workflow share them",
  ],
];

/** What to do instead, for an error such as "process is not defined"; `undefined` where nothing is known. */
export function findRemedy(error: unknown): string | undefined {
  if (error instanceof ReferenceError) {
    const name = /^(\S+) is not defined$/.exec(error.message)?.[1];
    return name === undefined ? undefined : remedies.get(name);
  }
  if (!(error instanceof TypeError) && !(error instanceof EvalError)) return undefined;
  return remediesByMessage.find(([message]) => message.test(error.message))?.[1];
}
