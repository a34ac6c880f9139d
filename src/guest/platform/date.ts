/**
 * `Date` with the clock of the run and, whatever the process has, the time zone UTC and the locale en-US.
 *
 * The constructor is a function of our own over the realm's; the prototype stays the realm's and is patched.
 */
import { parseDate } from "./date-parse.ts";
import { defineMembers, defineValue } from "./define.ts";
import { withLocale, withTimeZone } from "./locale-defaults.ts";
import type { CurrentPort } from "./port.ts";

const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Local time is UTC: each method of local time is the one of UTC. */
const localMethods = [
  "FullYear",
  "Month",
  "Date",
  "Day",
  "Hours",
  "Minutes",
  "Seconds",
  "Milliseconds",
] as const;

export function installDate(global: object, port: CurrentPort): void {
  const NativeDate = Date;
  const prototype = NativeDate.prototype;
  const { toLocaleString, toLocaleDateString, toLocaleTimeString } = prototype;

  // A function, not a class: `Date()` without `new` gives text.
  function DeterministicDate(...args: readonly unknown[]): unknown {
    if (new.target === undefined) return new NativeDate(port().now()).toString();
    return Reflect.construct(NativeDate, [timeOf(args)], new.target);
  }

  /** What makes the same date, and needs no clock and no time zone. */
  function timeOf(args: readonly unknown[]): unknown {
    if (args.length === 0) return port().now();
    if (args.length === 1) return timeOfOne(args[0]);
    return Reflect.apply(NativeDate.UTC, undefined, args) as number;
  }

  function timeOfOne(value: unknown): unknown {
    const isDate = typeof value === "object" && value !== null && isDateObject(value);
    if (isDate) return prototype.getTime.call(value as Date);
    const primitive = toPrimitive(value);
    return typeof primitive === "string" ? parseDate(primitive) : primitive;
  }

  function isDateObject(value: object): boolean {
    try {
      prototype.getTime.call(value as Date);
      return true;
    } catch {
      return false;
    }
  }

  for (const part of localMethods) {
    defineValue(prototype, `get${part}`, prototype[`getUTC${part}`]);
    if (part !== "Day") defineValue(prototype, `set${part}`, prototype[`setUTC${part}`]);
  }
  defineMembers(prototype, {
    getTimezoneOffset(this: Date): number {
      return Number.isNaN(this.getTime()) ? Number.NaN : 0;
    },
    getYear(this: Date): number {
      return this.getUTCFullYear() - 1900;
    },
    setYear(this: Date, year: unknown): number {
      const given = Math.trunc(Number(year));
      const at = this.getTime();
      const full = given >= 0 && given <= 99 ? given + 1900 : given;
      if (Number.isNaN(full)) return this.setTime(Number.NaN);
      if (Number.isNaN(at)) this.setTime(0);
      return this.setUTCFullYear(full, this.getUTCMonth(), this.getUTCDate());
    },
    toString(this: Date): string {
      return isInvalid(this) ? "Invalid Date" : `${dateText(this)} ${timeText(this)}`;
    },
    toDateString(this: Date): string {
      return isInvalid(this) ? "Invalid Date" : dateText(this);
    },
    toTimeString(this: Date): string {
      return isInvalid(this) ? "Invalid Date" : timeText(this);
    },
    toLocaleString(this: Date, locales?: unknown, options?: unknown): string {
      return Reflect.apply(toLocaleString, this, [withLocale(locales), withTimeZone(options)]) as string;
    },
    toLocaleDateString(this: Date, locales?: unknown, options?: unknown): string {
      return Reflect.apply(toLocaleDateString, this, [withLocale(locales), withTimeZone(options)]) as string;
    },
    toLocaleTimeString(this: Date, locales?: unknown, options?: unknown): string {
      return Reflect.apply(toLocaleTimeString, this, [withLocale(locales), withTimeZone(options)]) as string;
    },
  });

  defineMembers(DeterministicDate, {
    now(): number {
      return Math.trunc(port().now());
    },
    parse(text: unknown): number {
      return parseDate(String(text));
    },
  });
  defineValue(DeterministicDate, "UTC", NativeDate.UTC);
  Object.defineProperty(DeterministicDate, "prototype", { value: prototype, writable: false });
  Object.defineProperty(DeterministicDate, "name", { value: "Date", configurable: true });
  Object.defineProperty(DeterministicDate, "length", { value: 7, configurable: true });
  defineValue(prototype, "constructor", DeterministicDate);
  defineValue(global, "Date", DeterministicDate);
}

/** The abstract operation of that name, without a preference. */
function toPrimitive(value: unknown): unknown {
  if (typeof value !== "object" && typeof value !== "function") return value;
  if (value === null) return null;
  const convert: unknown = Reflect.get(value, Symbol.toPrimitive);
  if (convert !== undefined && convert !== null) {
    if (typeof convert !== "function") throw new TypeError(`${typeof convert} is not a function`);
    const result: unknown = Reflect.apply(convert, value, ["default"]);
    if (isPrimitive(result)) return result;
    throw new TypeError("Cannot convert object to primitive value");
  }
  for (const name of ["valueOf", "toString"]) {
    const method: unknown = Reflect.get(value, name);
    if (typeof method !== "function") continue;
    const result: unknown = Reflect.apply(method, value, []);
    if (isPrimitive(result)) return result;
  }
  throw new TypeError("Cannot convert object to primitive value");
}

function isPrimitive(value: unknown): boolean {
  return value === null || (typeof value !== "object" && typeof value !== "function");
}

function isInvalid(date: Date): boolean {
  return Number.isNaN(Date.prototype.getTime.call(date));
}

function dateText(date: Date): string {
  const day = weekdays[date.getUTCDay()];
  const month = months[date.getUTCMonth()];
  return `${day} ${month} ${twoDigits(date.getUTCDate())} ${yearText(date.getUTCFullYear())}`;
}

function timeText(date: Date): string {
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(twoDigits).join(":");
  return `${time} GMT+0000 (Coordinated Universal Time)`;
}

function yearText(year: number): string {
  const digits = String(Math.abs(year)).padStart(4, "0");
  return year < 0 ? `-${digits}` : digits;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
