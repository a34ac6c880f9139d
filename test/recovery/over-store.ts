import type { Store } from "../../src/store/contract.ts";

/** A store that answers through `inner`, but for the methods given. */
export function overStore(inner: Store, methods: Partial<Store>): Store {
  return new Proxy(inner, {
    get: (target, name) => {
      const own: unknown = Reflect.get(methods, name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      // The store keeps its state in private fields, which only its own `this` reaches.
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
