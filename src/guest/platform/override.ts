/**
 * A property of a frozen prototype can be read through an instance, but in strict code no longer be assigned on one:
 * `this.name = "…"` in the constructor of an error would throw. The properties that programs do assign become
 * accessors: reading gives what was there, and assigning makes a property of the object that is assigned to.
 *
 * Not all properties: where `constructor` of arrays or `then` of promises is an accessor, V8 no longer goes its short
 * ways, in no realm of the thread.
 */
export function enableOverrides(): void {
  enable(Object.prototype, Reflect.ownKeys(Object.prototype));
  enable(Function.prototype, ["constructor", "toString", "bind", "call", "apply"]);
  for (const type of [
    Error,
    AggregateError,
    EvalError,
    RangeError,
    ReferenceError,
    SyntaxError,
    TypeError,
    URIError,
  ]) {
    enable(type.prototype, ["constructor", "name", "message", "toString"]);
  }
  enable(Date.prototype, ["constructor", "toJSON", "toString", "toISOString", "valueOf"]);
  enable(RegExp.prototype, ["toString"]);
  enable(WeakMap.prototype, Reflect.ownKeys(WeakMap.prototype));
  enable(WeakSet.prototype, Reflect.ownKeys(WeakSet.prototype));
  enable(Map.prototype, ["constructor", "toString", "toJSON", Symbol.toStringTag]);
  enable(Set.prototype, ["constructor", "toString", "toJSON", Symbol.toStringTag]);
  enable(Array.prototype, ["toString", "toLocaleString"]);
  enable(Iterator.prototype, ["toString"]);
}

function enable(owner: object, keys: readonly PropertyKey[]): void {
  for (const key of keys) {
    const descriptor = Object.getOwnPropertyDescriptor(owner, key);
    if (descriptor?.configurable === true && "value" in descriptor) {
      Object.defineProperty(owner, key, overridable(owner, key, descriptor));
    }
  }
}

function overridable(owner: object, key: PropertyKey, descriptor: PropertyDescriptor): PropertyDescriptor {
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
