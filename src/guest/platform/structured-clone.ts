/**
 * `structuredClone` (html.spec.whatwg.org, "Safe passing of structured data"): data of the language, with its cycles.
 * What has no data of its own, such as functions and promises, is refused.
 */
import { defineMembers } from "./define.ts";
import { DOMException } from "./dom-exception.ts";
import { getterOf, kindOf } from "./value-kind.ts";

/** Errors keep their name when it is one of these. */
const errorTypes: ReadonlyMap<string, ErrorConstructor> = new Map(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);

const typedArrayTag = getterOf(Object.getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag);

class Cloner {
  readonly #copies = new Map<object, unknown>();

  clone(value: unknown): unknown {
    if (typeof value === "symbol" || typeof value === "function") throw refuse(value);
    if (typeof value !== "object" || value === null) return value;
    return this.#copies.get(value) ?? this.#cloneObject(value);
  }

  /** Before its contents are cloned: they may lead back to it. */
  #keep<T>(original: object, copy: T): T {
    this.#copies.set(original, copy);
    return copy;
  }

  #cloneObject(value: object): unknown {
    switch (kindOf(value)) {
      case "Array": {
        const copy: unknown[] = [];
        copy.length = (value as unknown[]).length;
        return this.#cloneProperties(value, this.#keep(value, copy));
      }
      case "View":
        return this.#cloneView(value as ArrayBufferView);
      case "Boolean":
      case "Number":
      case "String":
      case "BigInt":
        return this.#keep(value, Object((value as { valueOf(): unknown }).valueOf()));
      case "Date":
        return this.#keep(value, new Date(Date.prototype.getTime.call(value as Date)));
      case "Map":
        return this.#cloneMap(value as Map<unknown, unknown>);
      case "Set":
        return this.#cloneSet(value as Set<unknown>);
      case "RegExp":
        return this.#keep(value, new RegExp((value as RegExp).source, (value as RegExp).flags));
      case "ArrayBuffer":
        return this.#keep(value, (value as ArrayBuffer).slice());
      case "DOMException":
      case "Error":
        return this.#cloneError(value as Error);
      case "Object":
        return this.#cloneProperties(value, this.#keep(value, {}));
      default:
        throw refuse(value);
    }
  }

  #cloneProperties(value: object, copy: object): object {
    for (const key of Object.keys(value)) {
      // Reading one property may remove another.
      if (!Object.hasOwn(value, key)) continue;
      const content = this.clone(Reflect.get(value, key));
      Object.defineProperty(copy, key, {
        value: content,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    return copy;
  }

  #cloneMap(value: Map<unknown, unknown>): Map<unknown, unknown> {
    const copy = this.#keep(value, new Map<unknown, unknown>());
    const entries = [...Map.prototype.entries.call(value)] as readonly [unknown, unknown][];
    for (const [key, content] of entries) copy.set(this.clone(key), this.clone(content));
    return copy;
  }

  #cloneSet(value: Set<unknown>): Set<unknown> {
    const copy = this.#keep(value, new Set<unknown>());
    const members = [...Set.prototype.values.call(value)] as readonly unknown[];
    for (const member of members) copy.add(this.clone(member));
    return copy;
  }

  #cloneView(view: ArrayBufferView): unknown {
    const tag = Reflect.apply(typedArrayTag, view, []) as string | undefined;
    const type: unknown = tag === undefined ? DataView : Reflect.get(globalThis, tag);
    const length: unknown = Reflect.get(view, tag === undefined ? "byteLength" : "length");
    const place = [view.byteOffset, length];
    const buffer = this.clone(view.buffer);
    return this.#keep(view, Reflect.construct(type as typeof DataView, [buffer, ...place] as never));
  }

  #cloneError(error: Error): Error {
    const { name } = error;
    const copy = this.#keep(
      error,
      kindOf(error) === "DOMException"
        ? (new DOMException(error.message, name) as Error)
        : new (errorTypes.get(name) ?? Error)(),
    );
    for (const key of ["message", "cause"]) {
      const own = Object.getOwnPropertyDescriptor(error, key);
      if (own !== undefined && "value" in own) {
        const content = key === "message" ? String(own.value) : this.clone(own.value);
        Object.defineProperty(copy, key, { value: content, writable: true, configurable: true });
      }
    }
    if (typeof error.stack === "string") {
      Object.defineProperty(copy, "stack", { value: error.stack, writable: true, configurable: true });
    }
    return copy;
  }
}

function refuse(value: unknown): DOMException {
  const what = typeof value === "object" ? Object.prototype.toString.call(value) : String(value);
  return new DOMException(`${what} could not be cloned.`, "DataCloneError");
}

export function installStructuredClone(global: object): void {
  defineMembers(global, {
    structuredClone(value: unknown, options?: { readonly transfer?: Iterable<unknown> }): unknown {
      const handedOver = [...(options?.transfer ?? [])].map((buffer) => {
        if (buffer instanceof ArrayBuffer) return buffer;
        throw new DOMException("Value not transferable", "DataCloneError");
      });
      const copy = new Cloner().clone(value);
      // Detached last: views of them had to be read, and a refusal must leave them as they were.
      for (const buffer of handedOver) buffer.transfer();
      return copy;
    },
  });
}
