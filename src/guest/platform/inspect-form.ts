/** What kind of thing a printed object is: its name, its braces, its contents besides its properties. */
import { getterOf, kindOf } from "./value-kind.ts";

export const listLengthMax = 100;

/** Prints what is inside of a value. */
export type Inside = (value: unknown) => string;

export interface Form {
  /** Stands for the object where it is too deep to be printed. */
  readonly name: string;
  /** What comes before the opening brace, with a space between. */
  readonly base: string;
  readonly open: string;
  readonly close: string;
  /** The object when it has nothing inside. */
  readonly whole: string;
  readonly isEmpty: boolean;
  /** Such as a date: printed however deep it lies. */
  readonly isLeaf: boolean;
  readonly keys: readonly PropertyKey[];
  readonly contents?: (inside: Inside) => readonly string[];
  /** The values, when they are printed as a list. */
  readonly list?: ArrayLike<unknown>;
}

const typedArrayTag = getterOf(Object.getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag);

export function describeForm(value: object, indentation: number): Form {
  const naming = nameOf(value);
  const keys = keysOf(value);
  if (typeof value === "function") return leaf(functionText(value, naming), naming, keys);
  const kind = kindOf(value);
  switch (kind) {
    case "Array":
      return listForm(value as unknown[], naming, keys, naming.constructor === "Array" && naming.tag === "");
    case "View": {
      const type = Reflect.apply(typedArrayTag, value, []) as string | undefined;
      return type === undefined
        ? objectForm(naming, keys)
        : listForm(value as Uint8Array, naming, keys, false);
    }
    case "Set":
      return collectionForm(value as Set<unknown>, naming, keys, (inside) =>
        [...(value as Set<unknown>)].map(inside),
      );
    case "Map":
      return collectionForm(value as Map<unknown, unknown>, naming, keys, (inside) =>
        [...(value as Map<unknown, unknown>)].map(([key, content]) => `${inside(key)} => ${inside(content)}`),
      );
    case "Boolean":
    case "Number":
    case "String":
    case "BigInt":
    case "Symbol":
      return leaf(boxText(kind, value, naming), naming, keys);
    case "RegExp":
      return leaf(prefixed(naming, kind, RegExp.prototype.toString.call(value)), naming, keys);
    case "Date": {
      const text = Number.isNaN(Date.prototype.getTime.call(value as Date))
        ? "Invalid Date"
        : Date.prototype.toISOString.call(value as Date);
      return leaf(prefixed(naming, kind, text), naming, keys);
    }
    case "Error":
    case "DOMException":
      return errorForm(value as Error, naming, keys, indentation);
    case "ArrayBuffer":
      return bufferForm(value as ArrayBuffer, naming, keys);
    case "WeakMap":
    case "WeakSet":
      return unknownForm("<items unknown>", naming, keys);
    case "Promise":
      // Only the host can tell more.
      return unknownForm("...", naming, keys);
    default:
      return objectForm(naming, keys);
  }
}

interface Naming {
  /** Null for an object without one. */
  readonly constructor: string | null;
  readonly tag: string;
}

function nameOf(value: object): Naming {
  const tag: unknown = Reflect.get(value, Symbol.toStringTag);
  const isShown =
    typeof tag === "string" && !Object.prototype.propertyIsEnumerable.call(value, Symbol.toStringTag);
  return { constructor: constructorNameOf(value), tag: isShown ? tag : "" };
}

function constructorNameOf(value: object): string | null {
  for (
    let owner: object | null = value;
    owner !== null;
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    if (!Object.hasOwn(owner, "constructor")) continue;
    const constructor: unknown = Reflect.get(owner, "constructor");
    if (typeof constructor === "function" && constructor.name !== "" && isInstance(value, constructor)) {
      return constructor.name;
    }
  }
  return null;
}

function isInstance(value: object, constructor: object): boolean {
  try {
    return Function.prototype[Symbol.hasInstance].call(constructor as never, value);
  } catch {
    return false;
  }
}

function keysOf(value: object): readonly PropertyKey[] {
  const isIndexed = Array.isArray(value) || ArrayBuffer.isView(value) || kindOf(value) === "String";
  return Reflect.ownKeys(value).filter((key) => {
    if (isIndexed && typeof key === "string" && /^(?:0|[1-9]\d*)$/.test(key)) return false;
    return Object.prototype.propertyIsEnumerable.call(value, key);
  });
}

/** `Name(size) [tag]`. */
function titleOf({ constructor, tag }: Naming, fallback: string, size = ""): string {
  const name = constructor === null ? `[${fallback}${size}: null prototype]` : `${constructor}${size}`;
  return tag === "" || tag === (constructor ?? fallback) ? name : `${name} [${tag}]`;
}

function prefixed(naming: Naming, kind: string, text: string): string {
  const title = titleOf(naming, kind);
  return title === kind ? text : `${title} ${text}`;
}

function leaf(text: string, naming: Naming, keys: readonly PropertyKey[]): Form {
  const name = titleOf(naming, "Object");
  return { name, base: text, open: "{", close: "}", whole: text, isEmpty: true, isLeaf: true, keys };
}

function objectForm(naming: Naming, keys: readonly PropertyKey[]): Form {
  const name = titleOf(naming, "Object");
  const open = name === "Object" ? "{" : `${name} {`;
  return { name, base: "", open, close: "}", whole: `${open}}`, isEmpty: true, isLeaf: false, keys };
}

function unknownForm(content: string, naming: Naming, keys: readonly PropertyKey[]): Form {
  return { ...objectForm(naming, keys), isEmpty: false, contents: () => [content] };
}

function listForm(
  list: ArrayLike<unknown>,
  naming: Naming,
  keys: readonly PropertyKey[],
  isBare: boolean,
): Form {
  const name = titleOf(naming, "Array");
  const open = isBare ? "[" : `${titleOf(naming, "Array", `(${list.length})`)} [`;
  return {
    ...{ name, base: "", open, close: "]", whole: `${open}]`, keys, list },
    isEmpty: list.length === 0,
    isLeaf: false,
    contents: (inside) => listContents(list, inside),
  };
}

function listContents(list: ArrayLike<unknown>, inside: Inside): readonly string[] {
  const entries: string[] = [];
  let index = 0;
  while (index < list.length && entries.length < listLengthMax) {
    const start = index;
    while (index < list.length && !Object.hasOwn(list, index)) index++;
    const holeCount = index - start;
    if (holeCount > 0) entries.push(`<${holeCount} empty item${holeCount > 1 ? "s" : ""}>`);
    else entries.push(inside(list[index++]));
  }
  return [...entries, ...moreItems(list.length - index)];
}

function moreItems(count: number): readonly string[] {
  return count > 0 ? [`... ${count} more item${count > 1 ? "s" : ""}`] : [];
}

function collectionForm(
  collection: { readonly size: number },
  naming: Naming,
  keys: readonly PropertyKey[],
  contents: (inside: Inside) => readonly string[],
): Form {
  const open = `${titleOf(naming, "Object", `(${collection.size})`)} {`;
  return {
    ...{ name: titleOf(naming, "Object"), base: "", open, close: "}", whole: `${open}}`, keys },
    isEmpty: collection.size === 0,
    isLeaf: false,
    contents,
  };
}

function bufferForm(buffer: ArrayBuffer, naming: Naming, keys: readonly PropertyKey[]): Form {
  const shown = [...new Uint8Array(buffer.slice(0, 50))].map((byte) => byte.toString(16).padStart(2, "0"));
  const rest = buffer.byteLength - 50;
  const more = rest > 0 ? ` ... ${rest} more byte${rest > 1 ? "s" : ""}` : "";
  return {
    ...objectForm(naming, keys),
    isEmpty: false,
    contents: () => [`[Uint8Contents]: <${shown.join(" ")}${more}>`, `[byteLength]: ${buffer.byteLength}`],
  };
}

function boxText(kind: string, value: object, { constructor, tag }: Naming): string {
  const content = (value as { valueOf(): unknown }).valueOf();
  const text =
    typeof content === "string"
      ? `'${content}'`
      : typeof content === "bigint"
        ? `${content}n`
        : String(content);
  const type = constructor === kind || constructor === null ? kind : `${kind} (${constructor})`;
  return `[${type}: ${text}]${tag === "" || tag === constructor ? "" : ` [${tag}]`}`;
}

function functionText(value: object, { constructor, tag }: Naming): string {
  const name: unknown = Reflect.get(value, "name");
  const given = typeof name === "string" && name !== "" ? name : undefined;
  const source = Function.prototype.toString.call(value);
  const suffix = tag === "" || tag === constructor ? "" : ` [${tag}]`;
  if (source.startsWith("class") && source.endsWith("}")) {
    const parent: unknown = Object.getPrototypeOf(value);
    const parentName: unknown = typeof parent === "function" ? parent.name : "";
    const extension = parentName === "" ? "" : ` extends ${String(parentName)}`;
    const type = constructor === "Function" || constructor === null ? "" : ` [${constructor}]`;
    return `[class ${given ?? "(anonymous)"}${type}${suffix}${extension}]`;
  }
  const type =
    ["AsyncFunction", "GeneratorFunction", "AsyncGeneratorFunction"].find((it) => it === tag) ?? "Function";
  const title = given === undefined ? " (anonymous)" : `: ${given}`;
  const other = constructor === type || constructor === null ? "" : ` ${constructor}`;
  return `[${type}${title}]${other}${suffix}`;
}

function errorForm(error: Error, naming: Naming, keys: readonly PropertyKey[], indentation: number): Form {
  const raw: unknown = error.stack;
  const stack = typeof raw === "string" && raw !== "" ? raw : Error.prototype.toString.call(error);
  const shown = keys.filter((key) => {
    if (key !== "name" && key !== "message" && key !== "stack") return true;
    const content: unknown = Reflect.get(error, key);
    return typeof content === "string" && !stack.includes(content);
  });
  if (Object.hasOwn(error, "cause") && !shown.includes("cause")) shown.push("cause");
  if (Array.isArray(Reflect.get(error, "errors")) && !shown.includes("errors")) shown.push("errors");
  const named = withClassName(stack, error.name, titleOf(naming, "Error"));
  const text = named.includes("\n    at") ? named : `[${named}]`;
  return leaf(text.replaceAll("\n", `\n${" ".repeat(indentation)}`), naming, shown);
}

/** An error whose class did not set `name` is told by the name of the class. */
function withClassName(stack: string, name: string, title: string): string {
  const next = stack.charAt(name.length);
  const isNamed =
    name.endsWith("Error") && stack.startsWith(name) && (next === "" || next === ":" || next === "\n");
  if (!isNamed || name === title) return stack;
  const rest = stack.slice(name.length);
  return title.includes(name) ? `${title}${rest}` : `${title} [${name}]${rest}`;
}
