/** Prints a value as `util.inspect` of Node does in the usual cases; what is too much is cut. */
import { layOut, lineWidth, quote } from "./inspect-layout.ts";
import { describeForm, listLengthMax } from "./inspect-form.ts";
import type { Inside } from "./inspect-form.ts";

const textLengthMax = 10_000;
/** Values printed at most, so that a message ends: a graph may be large, or never end behind its accessors. */
const valueCountMax = 5_000;
/** Texts shorter than this are not broken at their ends of line. */
const unbrokenLength = 16;

export interface InspectOptions {
  /** Levels that are printed; those below show their kind only. */
  readonly depth?: number;
}

const customInspect = Symbol.for("nodejs.util.inspect.custom");

export function inspect(value: unknown, { depth = 2 }: InspectOptions = {}): string {
  return new Printer(depth).print(value, 0);
}

class Printer {
  readonly #depthMax: number;
  /** Those that are being printed, outermost first. */
  readonly #trail: object[] = [];
  /** Those that lead back to themselves, in the order in which that was found. */
  readonly #circular = new Map<object, number>();
  #indentation = 0;
  /** The level of the object that was begun last. */
  #level = 0;
  #valueCount = 0;

  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  print(value: unknown, level: number): string {
    if (++this.#valueCount > valueCountMax) return "...";
    if (typeof value === "string") return this.#printText(value);
    if ((typeof value !== "object" && typeof value !== "function") || value === null)
      return printPrimitive(value);
    const custom: unknown = Reflect.get(value, customInspect);
    if (typeof custom === "function") {
      const options = { depth: this.#depthMax - level };
      const own: unknown = Reflect.apply(custom, value, [options.depth, options, inspect]);
      if (own !== value) {
        const text = typeof own === "string" ? own : this.print(own, level);
        return text.replaceAll("\n", `\n${" ".repeat(this.#indentation)}`);
      }
    }
    if (this.#trail.includes(value)) return `[Circular *${this.#markCircular(value)}]`;
    return this.#printObject(value, level);
  }

  #markCircular(value: object): number {
    const index = this.#circular.get(value) ?? this.#circular.size + 1;
    this.#circular.set(value, index);
    return index;
  }

  #printText(text: string): string {
    const rest = text.length - textLengthMax;
    const shown = rest > 0 ? text.slice(0, textLengthMax) : text;
    const trailer = rest > 0 ? `... ${rest} more character${rest > 1 ? "s" : ""}` : "";
    if (shown.length <= unbrokenLength || shown.length <= lineWidth - this.#indentation - 4) {
      return quote(shown) + trailer;
    }
    const lines = shown.split(/(?<=\n)/).map(quote);
    return lines.join(` +\n${" ".repeat(this.#indentation + 2)}`) + trailer;
  }

  #printObject(value: object, level: number): string {
    const form = describeForm(value, this.#indentation);
    if (form.isEmpty && form.keys.length === 0) return form.whole;
    if (level > this.#depthMax) return form.isLeaf ? form.whole : bracketed(form.name);

    this.#trail.push(value);
    this.#level = level;
    const entries = [...(form.contents?.(this.#within(level)) ?? [])];
    for (const key of form.keys) entries.push(this.#printProperty(value, key, level));
    this.#trail.pop();

    const index = this.#circular.get(value);
    const reference = index === undefined ? "" : `<ref *${index}>`;
    return layOut({
      entries,
      prefix: [reference, form.base].filter((part) => part !== "").join(" "),
      open: form.open,
      close: form.close,
      indentation: this.#indentation,
      levels: this.#level - level,
      ...(form.list === undefined
        ? {}
        : { list: { values: form.list, isCut: form.list.length > listLengthMax } }),
    });
  }

  /** Prints what is inside of a value. */
  #within(level: number): Inside {
    return (inner) => {
      this.#indentation += 2;
      const text = this.print(inner, level + 1);
      this.#indentation -= 2;
      return text;
    };
  }

  #printProperty(owner: object, key: PropertyKey, level: number): string {
    const descriptor = Object.getOwnPropertyDescriptor(owner, key);
    return `${printKey(key, descriptor)}: ${this.#printContent(descriptor, level)}`;
  }

  #printContent(descriptor: PropertyDescriptor | undefined, level: number): string {
    const { get, set } = descriptor ?? {};
    if (get !== undefined) return set === undefined ? "[Getter]" : "[Getter/Setter]";
    if (set !== undefined) return "[Setter]";
    return this.#within(level)(descriptor?.value);
  }
}

function printKey(key: PropertyKey, descriptor: PropertyDescriptor | undefined): string {
  if (typeof key === "symbol") return key.toString();
  const name = String(key);
  if (name === "__proto__") return "['__proto__']";
  if (descriptor?.enumerable === false) return `[${name}]`;
  return /^[a-zA-Z_][a-zA-Z_0-9]*$/.test(name) ? name : quote(name);
}

export function printPrimitive(value: unknown): string {
  if (Object.is(value, -0)) return "-0";
  return typeof value === "bigint" ? `${value}n` : String(value);
}

function bracketed(name: string): string {
  return name.startsWith("[") ? name : `[${name}]`;
}
