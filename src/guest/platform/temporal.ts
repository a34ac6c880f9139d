/** `Temporal`, where the version of Node has it, with the clock of the run, UTC and en-US. */
import { defineMembers } from "./define.ts";
import { patchMethod } from "./intl.ts";
import { defaultTimeZone, withLocale, withTimeZone } from "./locale-defaults.ts";
import type { CurrentPort } from "./port.ts";

/** As much of Temporal as is used here; the compiler's library does not have it yet. */
interface Temporal {
  readonly Now: object;
  readonly Instant: { readonly prototype: object; fromEpochMilliseconds(ms: number): Instant };
}

interface Instant {
  toZonedDateTimeISO(timeZone: unknown): ZonedDateTime;
}

interface ZonedDateTime {
  toPlainDateTime(): object;
  toPlainDate(): object;
  toPlainTime(): object;
}

/** Their text depends on the locale alone. */
const localeOnly = [
  "Duration",
  "PlainDate",
  "PlainDateTime",
  "PlainMonthDay",
  "PlainTime",
  "PlainYearMonth",
  "ZonedDateTime",
];

export function installTemporal(global: object, port: CurrentPort): void {
  const temporal = Reflect.get(global, "Temporal") as Temporal | undefined;
  if (temporal === undefined) return;

  const instant = (): Instant => temporal.Instant.fromEpochMilliseconds(Math.trunc(port().now()));
  const zoned = (timeZone: unknown): ZonedDateTime =>
    instant().toZonedDateTimeISO(timeZone ?? defaultTimeZone);
  defineMembers(temporal.Now, {
    timeZoneId: () => defaultTimeZone,
    instant: () => instant(),
    zonedDateTimeISO: (timeZone?: unknown) => zoned(timeZone),
    plainDateTimeISO: (timeZone?: unknown) => zoned(timeZone).toPlainDateTime(),
    plainDateISO: (timeZone?: unknown) => zoned(timeZone).toPlainDate(),
    plainTimeISO: (timeZone?: unknown) => zoned(timeZone).toPlainTime(),
  });

  const { toLocaleString } = temporal.Instant.prototype;
  defineMembers(temporal.Instant.prototype, {
    toLocaleString(locales?: unknown, options?: unknown): string {
      return Reflect.apply(toLocaleString, this, [withLocale(locales), withTimeZone(options)] as never);
    },
  });
  for (const name of localeOnly) {
    const type = Reflect.get(temporal, name) as { readonly prototype: object };
    patchMethod(type.prototype, "toLocaleString", 0);
  }
}
