import { z } from "zod";
import type { ActivityOptionsRecord } from "../core/event.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";

/** The form of packages that this version writes, and the only one it reads. */
export const packageFormat = 1;

const name = z.string().refine((text) => {
  try {
    parseName(text, "name");
    return true;
  } catch (error) {
    if (isAionError(error)) return false;
    throw error;
  }
}, "is no name");

/** `any`: nothing is checked. `described`: schemas.json has it. `opaque`: a schema that cannot tell what it takes. */
const shape = z.enum(["any", "described", "opaque"]);
export type Shape = z.infer<typeof shape>;

const durationMs = z.number().int().nonnegative();

const retry = z.strictObject({
  maxAttempts: z.number().int().positive().optional(),
  backoff: z.enum(["exponential", "linear", "fixed"]),
  initialMs: durationMs,
  maxMs: durationMs,
  multiplier: z.number().min(1),
  incrementMs: durationMs,
  jitter: z.number().min(0).max(1),
  nonRetryable: z.array(z.string()).readonly(),
  park: z.array(z.string()).readonly().exactOptional(),
  onExhausted: z.literal("park").exactOptional(),
});

/** A field of an option that is added to the type and not here does not compile. */
type OptionForms = Readonly<Record<keyof ActivityOptionsRecord, z.ZodType>>;

const activityOptions = z.strictObject({
  retry: retry.optional(),
  scheduleToStartMs: durationMs.optional(),
  startToCloseMs: durationMs.optional(),
  scheduleToCloseMs: durationMs.optional(),
  heartbeatMs: durationMs.optional(),
  taskQueue: name.optional(),
} satisfies OptionForms);

/** In the order of UTF-16 units, which no locale changes, and each name once. */
function inOrder<Item>(items: readonly Item[], nameOf: (item: Item) => string): boolean {
  return items.every((item, index) => {
    const before = items[index - 1];
    return before === undefined || nameOf(before) < nameOf(item);
  });
}

const order = "must be sorted by name, each name once";

const manifestSchema = z.strictObject({
  format: z.literal(packageFormat),
  /** The version of Aion that built it. */
  aion: z.string().min(1).max(64),
  /** The file it was built from, relative to the root of its npm package, with forward slashes. */
  entry: z.string().min(1).max(1024),
  workflows: z
    .array(z.strictObject({ type: name, input: shape, output: shape, signals: z.array(name) }))
    .min(1)
    .refine((items) => inOrder(items, ({ type }) => type), order)
    .refine((items) => items.every(({ signals }) => inOrder(signals, (signal) => signal)), order),
  activities: z
    .array(
      z.strictObject({
        type: name,
        input: shape,
        // Absent where nothing is checked: as packages have it that were built before anything was.
        output: shape.exclude(["any"]).exactOptional(),
        options: activityOptions,
      }),
    )
    .refine((items) => inOrder(items, ({ type }) => type), order),
  signals: z
    .array(z.strictObject({ name, payload: shape }))
    .refine((items) => inOrder(items, (item) => item.name), order),
  queries: z
    .array(z.strictObject({ name, input: shape, output: shape }))
    .refine((items) => inOrder(items, (item) => item.name), order),
  // Packages that were built before there were any do not speak of them.
  updates: z
    .array(z.strictObject({ name, input: shape, output: shape }))
    .refine((items) => inOrder(items, (item) => item.name), order)
    .default([]),
});

/** What is in a package. The same file gives the same manifest anywhere: no times, no paths of a machine. */
export type Manifest = z.infer<typeof manifestSchema>;

const jsonSchema = z.record(z.string(), z.unknown());
export type JsonSchema = z.infer<typeof jsonSchema>;

const schemasSchema = z.strictObject({
  workflows: z.record(name, z.strictObject({ input: jsonSchema.optional(), output: jsonSchema.optional() })),
  activities: z.record(name, z.strictObject({ input: jsonSchema.optional(), output: jsonSchema.optional() })),
  signals: z.record(name, z.strictObject({ payload: jsonSchema.optional() })),
  queries: z.record(name, z.strictObject({ input: jsonSchema.optional(), output: jsonSchema.optional() })),
  updates: z
    .record(name, z.strictObject({ input: jsonSchema.optional(), output: jsonSchema.optional() }))
    .default({}),
});

/** JSON Schemas (draft 2020-12) by type or name, of whatever the manifest says is `described`. */
export type Schemas = z.infer<typeof schemasSchema>;

const sourceMapSchema = z.looseObject({
  version: z.literal(3),
  sources: z.array(z.string()),
  mappings: z.string(),
});

/** As it stands in a package: one text for one value. Without indentation, which would blow up what is nested deeply. */
export function toJsonText(value: Manifest | Schemas): string {
  return `${JSON.stringify(value)}\n`;
}

/** Errors: `package_invalid`. */
export function parseManifest(text: string): Manifest {
  const value = parseJson(text, "manifest.json");
  const format = z.looseObject({ format: z.number() }).safeParse(value).data?.format;
  if (format !== undefined && format !== packageFormat) {
    throw new AionError(
      "package_invalid",
      `the package has format ${format}, and this version of Aion reads format ${packageFormat}`,
      { hint: "Use the version of Aion that built it, or build it again with this one." },
    );
  }
  return check(manifestSchema, value, "manifest.json");
}

/** Also holds them to what the manifest says. Errors: `package_invalid`. */
export function parseSchemas(text: string, manifest: Manifest): Schemas {
  const schemas = check(schemasSchema, parseJson(text, "schemas.json"), "schemas.json");
  const described = new Set([
    ...manifest.workflows.flatMap(({ type, input, output }) => placesOf("workflow", type, { input, output })),
    ...manifest.activities.flatMap(({ type, input, output }) =>
      placesOf("activity", type, { input, output: output ?? "any" }),
    ),
    ...manifest.signals.flatMap((signal) => placesOf("signal", signal.name, { payload: signal.payload })),
    ...manifest.queries.flatMap((query) =>
      placesOf("query", query.name, { input: query.input, output: query.output }),
    ),
    ...manifest.updates.flatMap(({ name: of, input, output }) => placesOf("update", of, { input, output })),
  ]);
  const given = new Set([
    ...placesIn("workflow", schemas.workflows),
    ...placesIn("activity", schemas.activities),
    ...placesIn("signal", schemas.signals),
    ...placesIn("query", schemas.queries),
    ...placesIn("update", schemas.updates),
  ]);
  const [odd] = described.symmetricDifference(given);
  if (odd !== undefined) {
    throw new AionError("package_invalid", `manifest.json and schemas.json do not agree about ${odd}`);
  }
  return schemas;
}

/** Errors: `package_invalid`. */
export function checkSourceMap(text: string): void {
  check(sourceMapSchema, parseJson(text, "workflow.js.map"), "workflow.js.map");
}

function placesOf(kind: string, of: string, shapes: Readonly<Record<string, Shape>>): readonly string[] {
  return Object.entries(shapes).flatMap(([part, value]) =>
    value === "described" ? [`the ${part} of ${kind} ${JSON.stringify(of)}`] : [],
  );
}

function placesIn(kind: string, parts: Readonly<Record<string, object>>): readonly string[] {
  return Object.entries(parts).flatMap(([of, schemas]) =>
    Object.keys(schemas).map((part) => `the ${part} of ${kind} ${JSON.stringify(of)}`),
  );
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new AionError("package_invalid", `${file} is no JSON: ${messageOf(error)}`, { cause: error });
  }
}

function check<Value>(schema: z.ZodType<Value>, value: unknown, file: string): Value {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const at = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.map(String).join(".")}`;
  throw new AionError("package_invalid", `${file} does not have its form${at}: ${issue?.message ?? ""}`, {
    cause: result.error,
  });
}
