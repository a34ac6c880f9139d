/**
 * Puts the members of `source` on `target` as the language's own stand there: not enumerable, and, being written as
 * methods, without a `prototype` of their own.
 */
export function defineMembers(target: object, source: object): void {
  for (const key of Reflect.ownKeys(source)) {
    const descriptor = Object.getOwnPropertyDescriptor(source, key);
    if (descriptor !== undefined) Object.defineProperty(target, key, { ...descriptor, enumerable: false });
  }
}

/** A value that is neither enumerable nor, once the realm is frozen, writable. */
export function defineValue(target: object, key: PropertyKey, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: false, configurable: true });
}

/** Makes the members of a class enumerable, as WebIDL has them, and gives the class its tag. */
export function defineInterface(
  global: object,
  name: string,
  definition: new (...args: never[]) => object,
): void {
  const prototype: unknown = definition.prototype;
  for (const owner of [definition, prototype as object]) {
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (key === "constructor" || key === "prototype" || key === "name" || key === "length") continue;
      Object.defineProperty(owner, key, { ...descriptor, enumerable: true });
    }
  }
  Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
  // A bundler may have renamed the class.
  Object.defineProperty(definition, "name", { value: name, configurable: true });
  defineValue(global, name, definition);
}
