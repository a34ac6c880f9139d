/** Tells the kinds of objects apart by what only they can do: `instanceof` and tags can be forged. */
import { DOMException } from "./dom-exception.ts";

type Getter = (this: unknown) => unknown;
type Method = (this: never, ...args: never[]) => unknown;

export function getterOf(prototype: object, name: PropertyKey): Getter {
  const getter: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  if (typeof getter !== "function") throw new Error(`${String(name)} is no getter`);
  return getter as Getter;
}

/** A method or getter of each kind, which throws when it is given something else: tags can be forged. */
const insides: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["Boolean", Boolean.prototype.valueOf],
  ["Number", Number.prototype.valueOf],
  ["String", String.prototype.valueOf],
  ["BigInt", BigInt.prototype.valueOf],
  ["Symbol", Symbol.prototype.valueOf],
  ["Date", Date.prototype.getTime],
  ["Map", getterOf(Map.prototype, "size")],
  ["Set", getterOf(Set.prototype, "size")],
  ["RegExp", getterOf(RegExp.prototype, "flags")],
  ["ArrayBuffer", getterOf(ArrayBuffer.prototype, "byteLength")],
  ["DOMException", getterOf(DOMException.prototype, "code")],
]);

/** They have insides that no property shows; their tag has to be believed. */
const believedTags: ReadonlySet<string> = new Set([
  "Arguments",
  "Promise",
  "WeakMap",
  "WeakSet",
  "Generator",
  "AsyncGenerator",
]);

/** Which kind the value is of; "Object" when its own properties are all there is to it. */
export function kindOf(value: object): string {
  if (Array.isArray(value)) return "Array";
  if (ArrayBuffer.isView(value)) return "View";
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
  const method = insides.get(tag);
  if (method !== undefined) {
    try {
      Reflect.apply(method, value as never, []);
      return tag;
    } catch {
      // A forged tag.
    }
  }
  if (Error.isError(value)) return "Error";
  return believedTags.has(tag) ? tag : "Object";
}
