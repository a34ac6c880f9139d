/** `Intl` and the methods that use it, with the locale en-US and the time zone UTC where none is given. */
import { defineMembers, defineValue } from "./define.ts";
import { withLocale, withTimeZone } from "./locale-defaults.ts";
import type { CurrentPort } from "./port.ts";

type Constructor = new (...args: readonly unknown[]) => object;

/** Those that JavaScript lets one call without `new`. */
const callable: ReadonlySet<string> = new Set(["Collator", "DateTimeFormat", "NumberFormat"]);

/** Services that take a list of locales first. `Locale` takes one, and has no default. */
const services = [
  "Collator",
  "DateTimeFormat",
  "DisplayNames",
  "DurationFormat",
  "ListFormat",
  "NumberFormat",
  "PluralRules",
  "RelativeTimeFormat",
  "Segmenter",
];

export function installIntl(port: CurrentPort): void {
  for (const name of services) {
    // Newer ones are missing on older versions of Node.
    const native: unknown = Reflect.get(Intl, name);
    if (typeof native === "function") installService(name, native as Constructor);
  }
  patchDateTimeFormat(port);
  patchLocaleMethods();
}

function installService(name: string, native: Constructor): void {
  const isCallable = callable.has(name);
  const withOptions = name === "DateTimeFormat" ? withTimeZone : (options: unknown) => options;
  function Service(locales?: unknown, options?: unknown): object {
    if (new.target === undefined && !isCallable)
      throw new TypeError(`Constructor Intl.${name} requires 'new'`);
    return Reflect.construct(
      native,
      [withLocale(locales), withOptions(options)],
      new.target ?? Service,
    ) as object;
  }
  Object.defineProperty(Service, "name", { value: name, configurable: true });
  Object.defineProperty(Service, "length", { value: native.length, configurable: true });
  Object.defineProperty(Service, "prototype", { value: native.prototype, writable: false });
  defineValue(Service, "supportedLocalesOf", Reflect.get(native, "supportedLocalesOf"));
  defineValue(native.prototype as object, "constructor", Service);
  defineValue(Intl, name, Service);
}

/** A date that is left out is the present one. */
function patchDateTimeFormat(port: CurrentPort): void {
  const prototype = Intl.DateTimeFormat.prototype;
  const nativeFormat = Object.getOwnPropertyDescriptor(prototype, "format")?.get;
  const { formatToParts } = prototype;
  if (nativeFormat === undefined) throw new Error("Intl.DateTimeFormat.prototype.format is no getter");
  // One function for each formatter, as the language has it; a formatter belongs to one run.
  const formats = new WeakMap<object, (date?: unknown) => string>();

  defineMembers(prototype, {
    get format(): (date?: unknown) => string {
      const formatter = this as unknown as Intl.DateTimeFormat;
      const native = Reflect.apply(nativeFormat, formatter, []) as (date: unknown) => string;
      const known = formats.get(formatter);
      if (known !== undefined) return known;
      const format = (date?: unknown): string => native(date === undefined ? port().now() : date);
      formats.set(formatter, format);
      return format;
    },
    formatToParts(this: Intl.DateTimeFormat, date?: unknown): Intl.DateTimeFormatPart[] {
      return Reflect.apply(formatToParts, this, [
        date === undefined ? port().now() : date,
      ]) as Intl.DateTimeFormatPart[];
    },
  });
}

type LocaleMethod = (this: unknown, ...args: readonly unknown[]) => unknown;

/** The locale stands first in some, and after the other text in `localeCompare`. */
function patchLocaleMethods(): void {
  patchMethod(Number.prototype, "toLocaleString", 0);
  patchMethod(BigInt.prototype, "toLocaleString", 0);
  patchMethod(Array.prototype, "toLocaleString", 0);
  patchMethod(Object.getPrototypeOf(Uint8Array.prototype) as object, "toLocaleString", 0);
  patchMethod(String.prototype, "toLocaleUpperCase", 0);
  patchMethod(String.prototype, "toLocaleLowerCase", 0);
  patchMethod(String.prototype, "localeCompare", 1);
}

export function patchMethod(prototype: object, name: string, localeIndex: 0 | 1): void {
  const native = Reflect.get(prototype, name) as LocaleMethod;
  const members: Record<string, LocaleMethod> =
    localeIndex === 0
      ? {
          [name](locales, ...others) {
            return Reflect.apply(native, this, [withLocale(locales), ...others]);
          },
        }
      : {
          [name](that, locales, ...others) {
            return Reflect.apply(native, this, [that, withLocale(locales), ...others]);
          },
        };
  defineMembers(prototype, members);
}
