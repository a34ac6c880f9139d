/** `Math.random` and the two functions of `crypto` that need no key, from the run's seed. */
import { defineMembers, defineValue } from "./define.ts";
import { DOMException } from "./dom-exception.ts";
import type { CurrentPort } from "./port.ts";

/** As WebCrypto has it. */
const byteCountMax = 65_536;

const integerArrays: ReadonlySet<string> = new Set([
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "BigInt64Array",
  "BigUint64Array",
]);

export function installRandom(global: object, port: CurrentPort): void {
  defineMembers(Math, { random: () => port().random() });

  const typeOf = Object.getOwnPropertyDescriptor(
    Object.getPrototypeOf(Uint8Array.prototype) as object,
    Symbol.toStringTag,
  )?.get;
  const crypto = {};
  defineMembers(crypto, {
    randomUUID: () => port().uuid(),
    getRandomValues<T extends ArrayBufferView>(array: T): T {
      const type: unknown = typeOf === undefined ? undefined : Reflect.apply(typeOf, array, []);
      if (typeof type !== "string" || !integerArrays.has(type)) {
        throw new DOMException("The data argument must be an integer-type TypedArray", "TypeMismatchError");
      }
      if (array.byteLength > byteCountMax) {
        throw new DOMException(
          `The requested length exceeds ${byteCountMax.toLocaleString("en-US")} bytes`,
          "QuotaExceededError",
        );
      }
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let index = 0; index < bytes.length; index++) bytes[index] = Math.floor(port().random() * 256);
      return array;
    },
  });
  Object.defineProperty(crypto, Symbol.toStringTag, { value: "Crypto", configurable: true });
  defineValue(global, "crypto", crypto);
}
