/** What is taken where no locale or time zone is given, whatever the process has. */
export const defaultLocale = "en-US";
export const defaultTimeZone = "UTC";

/**
 * The locales asked for, and ours at the end: a list without one that the process knows would fall back to the
 * process's own.
 */
export function withLocale(locales: unknown): unknown {
  if (locales === undefined || locales === defaultLocale) return defaultLocale;
  return [...Intl.getCanonicalLocales(locales as string | readonly string[]), defaultLocale];
}

/** The same options, with UTC where they name no time zone. */
export function withTimeZone(options: unknown): unknown {
  if (options === undefined) return { timeZone: defaultTimeZone };
  if (options === null || Reflect.get(Object(options) as object, "timeZone") !== undefined) return options;
  return Object.create(Object(options) as object, { timeZone: { value: defaultTimeZone } }) as object;
}
