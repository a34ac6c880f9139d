/** Values that a hostile or broken peer might send, and values of a form, from its JSON Schema. */
import fc from "fast-check";

export interface JsonForm {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonForm>>;
  readonly required?: readonly string[];
  readonly items?: JsonForm;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonForm[];
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
}

/** What has broken decoders before: names of prototypes, depth, sizes, numbers at the edge, halves of characters. */
const spite: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0.5,
    1e308,
    Number.MAX_SAFE_INTEGER + 2,
    "",
    "\u0000",
    "\ud800",
    "__proto__",
    "constructor",
    "../../etc/passwd",
    "%00",
    [],
    {},
    [[]],
  ),
  fc.constant(JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')),
  fc
    .integer({ min: 1, max: 2_000 })
    .map((depth) => JSON.parse("[".repeat(depth) + "]".repeat(depth)) as unknown),
  fc
    .integer({ min: 1, max: 2_000 })
    .map((depth) => JSON.parse('{"cause":'.repeat(depth) + "1" + "}".repeat(depth)) as unknown),
  fc.integer({ min: 1, max: 30_000 }).map((length) => "a".repeat(length)),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.json({ maxDepth: 3 }).map((text) => JSON.parse(text) as unknown),
);

/** The value with one place of it put out of order; or another one altogether. */
export function spoiled(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 1, arbitrary: spite },
    {
      weight: 5,
      arbitrary: fc
        .tuple(value, spite, fc.nat(), fc.nat())
        .map(([whole, wrong, where, how]) => spoil(whole, { wrong, where, how })),
    },
  );
}

function spoil(
  value: unknown,
  of: { readonly wrong: unknown; readonly where: number; readonly how: number },
): unknown {
  const { wrong, where, how } = of;
  if (typeof value !== "object" || value === null) return wrong;
  const keys = Object.keys(value);
  if (keys.length === 0 || how % 7 === 0) return wrong;
  const key = keys[where % keys.length] ?? "";
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>;
  if (how % 7 === 1) delete copy[key];
  else if (how % 7 === 2) copy[`${key}x`] = wrong;
  else
    copy[key] = spoil(copy[key], { wrong, where: Math.floor(where / keys.length), how: Math.floor(how / 7) });
  return copy;
}

/** Bytes of something, cut, flipped, doubled or filled up. */
export function spoiledBytes(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    kind: fc.constantFrom("flip", "cut", "insert", "double"),
    at: fc.nat(),
    with: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  });
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }) },
    {
      weight: 6,
      arbitrary: fc.tuple(bytes, fc.array(change, { minLength: 1, maxLength: 4 })).map(([whole, changes]) => {
        let all = Buffer.from(whole);
        for (const { kind, at, with: put } of changes) {
          const place = all.length === 0 ? 0 : at % all.length;
          if (kind === "cut") all = all.subarray(0, place);
          else if (kind === "insert") all = Buffer.concat([all.subarray(0, place), put, all.subarray(place)]);
          else if (kind === "double") all = Buffer.concat([all, all.subarray(place)]);
          else if (all.length > 0) {
            all = Buffer.from(all);
            all[place] = (all[place] ?? 0) ^ (put[0] ?? 1);
          }
        }
        return new Uint8Array(all);
      }),
    },
  );
}

/** The same of a text. */
export function spoiledText(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof(
    spoiledBytes(text.map((of) => new TextEncoder().encode(of))).map((bytes) =>
      new TextDecoder().decode(bytes),
    ),
    fc.string({ unit: "binary", maxLength: 200 }),
    spite.map((value) => JSON.stringify(value)),
  );
}

/** Values of the form. */
export function valuesOf(form: JsonForm): fc.Arbitrary<unknown> {
  if (form.const !== undefined) return fc.constant(form.const);
  if (form.enum !== undefined) return fc.constantFrom(...form.enum);
  if (form.anyOf !== undefined) return fc.oneof(...form.anyOf.map(valuesOf));
  switch (form.type) {
    case "object":
      return fc.record(
        Object.fromEntries(Object.entries(form.properties ?? {}).map(([name, of]) => [name, valuesOf(of)])),
        { requiredKeys: [...(form.required ?? [])] },
      );
    case "array":
      return fc.array(valuesOf(form.items ?? {}), { minLength: form.minItems ?? 0, maxLength: 5 });
    case "string":
      return fc.string({
        unit: fc.constantFrom("a", "b", "-", "0", "1", "9", "é"),
        minLength: Math.max(1, form.minLength ?? 0),
        maxLength: Math.min(40, form.maxLength ?? 40),
      });
    case "integer":
      return fc.integer({ min: form.minimum ?? -1_000_000, max: form.maximum ?? 1_000_000 });
    case "number":
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case "boolean":
      return fc.boolean();
    default:
      return fc.json({ maxDepth: 2 }).map((text) => JSON.parse(text) as unknown);
  }
}
