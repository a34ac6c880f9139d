/**
 * What dates and texts for people come to, as JSON: by the globals of a realm, or by those of this process.
 *
 * `node locale-probe.ts realm|process`
 */
import process from "node:process";
import vm from "node:vm";
import fc from "fast-check";
import { TestRealm } from "./realm.ts";

const seed = 20_261_126;
const word = fc.constantFrom(
  ...[
    "Jan",
    "february",
    "Mar",
    "Apr.",
    "may",
    "Juni",
    "Dec",
    "Mon",
    "Sunday",
    "foo",
    "T",
    "t",
    "Z",
    "z",
    "UTC",
    "GMT",
  ],
  ...[
    "EST",
    "pdt",
    "UT",
    "am",
    "PM",
    "+",
    "-",
    ":",
    ".",
    ",",
    "/",
    " ",
    "(",
    ")",
    "(a (b) c)",
    "::",
    "\u00a0",
    "+02:00",
  ],
  ...[
    "-0330",
    "GMT+5",
    "+5",
    "2024",
    "24",
    "99",
    "1",
    "0",
    "31",
    "12",
    "59",
    "60",
    "007",
    "123456789012",
    "10:20",
  ],
  ...[
    "02:30:00",
    "2:30:15.250",
    "2024-03-10",
    "2024-03-10T02:30",
    "2024-10-06T02:15:00.5",
    "-000001",
    "+002024",
  ],
  ...[
    "2024-02-31",
    "24:00",
    "24:00:00",
    "T24:00",
    "10:20:30.0123456789",
    "0000000000012",
    "12/25/1995",
    "1995/12/25",
    "25 Dec 1995",
    "\0",
    "é",
    "[",
    "_",
  ],
);
const parts = fc.array(word, { minLength: 1, maxLength: 7 });
const dateTexts = fc.oneof(
  fc.tuple(parts, fc.constantFrom("", " ")).map(([words, separator]) => words.join(separator)),
  fc
    .date({
      min: new Date("0001-01-01T00:00:00Z"),
      max: new Date("9999-12-31T00:00:00Z"),
      noInvalidDate: true,
    })
    .chain((date) => {
      const iso = date.toISOString();
      const utc = date.toUTCString();
      return fc.constantFrom(
        ...[
          iso,
          iso.slice(0, -1),
          iso.slice(0, 16),
          iso.slice(0, 10),
          iso.slice(0, 7),
          iso.replace("T", " "),
        ],
        ...[
          iso.slice(0, 19).replace("T", " "),
          utc,
          utc.replace(" GMT", ""),
          utc.slice(5, 22),
          `${utc}+0130`,
        ],
      );
    }),
);

/** About when clocks are changed in New York and on Lord Howe Island, and everywhere else. */
const instants = fc.oneof(
  fc.integer({ min: -8_640_000, max: 8_640_000 }).map((it) => it * 1_000_000_000),
  fc.integer({ min: 0, max: 36 * 60 }).map((minute) => Date.UTC(2024, 2, 9, 20) + minute * 60_000),
  fc.integer({ min: 0, max: 36 * 60 }).map((minute) => Date.UTC(2024, 9, 5, 8) + minute * 60_000),
  fc.constantFrom(Number.NaN, 0, -1, 8.64e15, -8.64e15, -62_198_755_200_001),
);
const setter = fc.constantFrom(
  ...["FullYear", "Month", "Date", "Hours", "Minutes", "Seconds", "Milliseconds"].map((part) => `set${part}`),
  "setYear",
);

const samples = {
  texts: fc.sample(dateTexts, { seed, numRuns: 2_500 }),
  instants: fc.sample(instants, { seed, numRuns: 300 }),
  settings: fc.sample(
    fc.tuple(instants, setter, fc.array(fc.integer({ min: -40, max: 70 }), { maxLength: 4 })),
    {
      seed,
      numRuns: 500,
    },
  ),
  fields: fc.sample(fc.array(fc.integer({ min: -3, max: 130 }), { minLength: 2, maxLength: 7 }), {
    seed,
    numRuns: 200,
  }),
};

const body = String.raw`
const { texts, instants, settings, fields } = JSON.parse(${JSON.stringify(JSON.stringify(samples))});
const getters = ["FullYear", "Month", "Date", "Day", "Hours", "Minutes", "Seconds", "Milliseconds"].map((it) => "get" + it);
const attempt = (make) => { try { return make(); } catch (error) { return error.name; } };
const locales = [undefined, "de", ["fr-CA"], [], "tlh", ["tlh", "ja"], new Intl.Locale("en-GB")];
const answers = {
  parsed: texts.map((text) => [text, String(Date.parse(text)), String(new Date(text).getTime())]),
  shown: instants.map((at) => {
    const date = new Date(at ?? NaN);
    return [
      ...[...getters, "getYear", "getTimezoneOffset", "valueOf"].map((it) => String(date[it]())),
      String(date), date.toDateString(), date.toTimeString(), date.toUTCString(), date.toJSON(),
      date + 1, date.toLocaleString(), date.toLocaleDateString("de"), date.toLocaleTimeString([], { timeStyle: "short" }),
      attempt(() => new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" }).format(date)),
    ];
  }),
  set: settings.map(([at, setter, values]) => {
    const date = new Date(at ?? NaN);
    return [at, setter, values, String(date[setter](...values)), String(date.getTime())];
  }),
  made: fields.map((values) => [String(new Date(...values).getTime()), String(Date.UTC(...values))]),
  odd: [
    new Date(undefined), new Date(null), new Date(true), new Date("1e3"), new Date([2020, 5]), new Date(new Date(5)),
    new Date({ valueOf: () => 7 }), new Date({ toString: () => "2020-01-01T00:00" }), new Date(String(2020)),
    new Date({ [Symbol.toPrimitive]: () => "2020-01-01T01:00" }), new Date(2020, 1, undefined),
  ].map((date) => String(date.getTime())),
  refused: [
    () => new Date(1n), () => new Date(Symbol()), () => new Date(2020, 1n), () => Date.prototype.getHours.call({}),
    () => Date.prototype.toString.call({}), () => new Intl.PluralRules("x-"), () => Intl.PluralRules(),
    () => new Date(0).toLocaleString("en", null), () => (1).toLocaleString(null), () => new Intl.Segmenter(1),
    () => new Intl.DateTimeFormat("en", { timeZone: "Nowhere" }), () => Date.prototype.getTimezoneOffset.call(1),
  ].map(attempt),
  // "en-US" by default, and "en" when asked for "en-US".
  plural: new Intl.PluralRules().resolvedOptions().locale.slice(0, 2),
  resolved: ["Collator", "DateTimeFormat", "ListFormat", "NumberFormat", "RelativeTimeFormat", "Segmenter"]
    .flatMap((name) => locales.map((locale) => [name, new Intl[name](locale).resolvedOptions()])),
  names: locales.map((locale) => new Intl.DisplayNames(locale, { type: "region" }).of("DE")),
  zones: ["Asia/Kolkata", undefined].map((timeZone) => new Date(0).toLocaleString("en", { timeZone, timeZoneName: "short" })),
  numbers: locales.flatMap((locale) => [
    (1234567.891).toLocaleString(locale), (12345678901234567890n).toLocaleString(locale),
    [1234.5, new Date(0), 12345n, null].toLocaleString(locale), new Float64Array([1234.5, 2]).toLocaleString(locale),
    (0.5).toLocaleString(locale, { style: "percent" }), [1234].toLocaleString(locale, { style: "currency", currency: "EUR" }),
  ]),
  texts: locales.flatMap((locale) => [
    "IıiİI\u0307".toLocaleLowerCase(locale), "iıß".toLocaleUpperCase(locale), "ä".localeCompare("z", locale),
    "a".localeCompare("B", locale, { sensitivity: "base" }), ["ö", "z", "a", "Ä"].sort((a, b) => a.localeCompare(b, locale)),
    ["b", "a"].sort(new Intl.Collator(locale).compare),
  ]),
  turkish: ["i".toLocaleUpperCase("tr"), "I".toLocaleLowerCase(["tr"]), "ä".localeCompare("z", "sv")],
  called: [Intl.NumberFormat().format(1234.5), Intl.DateTimeFormat("de").format(0), Intl.Collator().compare("a", "b")],
};
return JSON.stringify(answers);
`;

const text =
  process.argv[2] === "realm"
    ? new TestRealm().evaluate(body)
    : vm.runInNewContext(`(() => { "use strict"; ${body} })()`);
process.stdout.write(String(text));
