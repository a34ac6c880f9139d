/**
 * A property of a frozen prototype can be read through an instance, but in strict code no longer be assigned on one:
 * `this.name = "…"` in the constructor of an error would throw. So they become accessors: reading gives what was there,
 * and assigning makes a property of the object that is assigned to.
 *
 * All but those that V8 has to see untouched for its short ways, which would else be closed to every realm of the
 * thread, the host's too: the test of the freeze asks V8.
 */
export function enableOverrides(global: object): void {
  for (const name of overridable) {
    const type: unknown = Reflect.get(global, name);
    // What is newer than this version of Node is missing.
    if (typeof type !== "function") continue;
    const prototype = type.prototype as object;
    const kept = untouched.get(name) ?? [];
    enable(
      prototype,
      Reflect.ownKeys(prototype).filter((key) => key !== Symbol.iterator && !kept.includes(key)),
    );
  }
}

/** The types of which programs have instances that they add to. */
const overridable = [
  ...[
    "Object",
    "Function",
    "Array",
    "Map",
    "Set",
    "WeakMap",
    "WeakSet",
    "Promise",
    "Date",
    "RegExp",
    "Iterator",
  ],
  ...[
    "Error",
    "AggregateError",
    "EvalError",
    "RangeError",
    "ReferenceError",
    "SuppressedError",
    "SyntaxError",
  ],
  ...["TypeError", "URIError", "Event", "CustomEvent", "EventTarget", "AbortController", "AbortSignal"],
  ...["URL", "URLSearchParams", "TextEncoder", "TextDecoder"],
];

const untouched: ReadonlyMap<string, readonly PropertyKey[]> = new Map<string, readonly PropertyKey[]>([
  ["Array", ["constructor", "length"]],
  ["Promise", ["constructor", "then"]],
  [
    "RegExp",
    ["constructor", "exec", Symbol.match, Symbol.matchAll, Symbol.replace, Symbol.search, Symbol.split],
  ],
]);

function enable(owner: object, keys: readonly PropertyKey[]): void {
  for (const key of keys) {
    const descriptor = Object.getOwnPropertyDescriptor(owner, key);
    if (descriptor?.configurable === true && "value" in descriptor) {
      Object.defineProperty(owner, key, toAccessors(owner, key, descriptor));
    }
  }
}

function toAccessors(owner: object, key: PropertyKey, descriptor: PropertyDescriptor): PropertyDescriptor {
  const inherited: unknown = descriptor.value;
  const refuse = (): never => {
    throw new TypeError(`Cannot assign to read only property '${String(key)}' of object`);
  };
  const accessors = {
    get(): unknown {
      return inherited;
    },
    set(this: unknown, value: unknown): void {
      const isObject = (typeof this === "object" && this !== null) || typeof this === "function";
      if (!isObject || this === owner) refuse();
      const isDone = Reflect.defineProperty(this as object, key, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
      if (!isDone) refuse();
    },
  };
  return { ...accessors, enumerable: descriptor.enumerable === true, configurable: true };
}
