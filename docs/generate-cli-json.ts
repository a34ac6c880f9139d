/**
 * Makes docs/cli-json.schema.json and docs/cli-json.md from the schemas of what the command prints with --json:
 * node scripts/bootstrap.mjs docs/generate-cli-json.ts
 * A test fails when they are not what this makes.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { z } from "zod";
import { documents, lines, parts } from "../src/cli/documents.ts";
import { formatMarkdown } from "./format-markdown.ts";

/** As far as the schemas use it. */
interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

const pointer = (name: string): string => `#/$defs/${name}`;

/** All of them by name; what occurs in several is referred to. */
function toDefinitions(): Readonly<Record<string, JsonSchema>> {
  const registry = z.registry<{ id: string }>();
  const names = new Map<z.ZodType, string>();
  const aliases: Record<string, JsonSchema> = {};
  for (const [name, schema] of Object.entries<z.ZodType>({ ...parts, ...documents, ...lines })) {
    const known = names.get(schema);
    if (known !== undefined) aliases[name] = { $ref: pointer(known) };
    else registry.add(schema, { id: name });
    names.set(schema, known ?? name);
  }
  // "input": whoever wrote a program by this page must not be told that a field which is added later is wrong.
  const { schemas } = z.toJSONSchema(registry, {
    io: "input",
    uri: pointer,
    override: ({ jsonSchema }) => {
      delete jsonSchema.readOnly;
      delete jsonSchema.$schema;
      delete jsonSchema.$id;
    },
  });
  const made = Object.entries(schemas).map(([name, schema]) => {
    const {
      $schema: _dialect,
      $id: _id,
      ...rest
    } = schema as JsonSchema & { $schema?: string; $id?: string };
    return [name, rest] as const;
  });
  return { ...Object.fromEntries(made), ...aliases };
}

export function renderSchemas(): string {
  const whole = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "What `aion … --json` prints",
    description: "In $defs: for each command what it prints on stdout. Made by docs/generate-cli-json.ts.",
    $defs: toDefinitions(),
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

const introduction = `# What \`--json\` prints

<!-- Made by docs/generate-cli-json.ts from src/cli/documents.ts. Change the schemas there. -->

With \`--json\` a command prints one JSON document in one line on stdout (\`history --follow\`, \`logs --follow\` and \`watch\` a line for each event, or line), and what it has to
say besides goes to stderr, a JSON object in each line: \`{"error": …}\` or \`{"note": …}\`. The exit codes are 0 fine, 1 failed, 2 wrong
usage. \`--help\` and \`--version\` stay text.

Stable: fields and values of enumerations are added, never renamed or removed, and none changes its meaning; so pass over what you do
not know. The same as JSON Schema (draft 2020-12): [cli-json.schema.json](cli-json.schema.json), in the npm package too. The tests
hold what every command really prints against it.

A field with a \`?\` may be missing. Instants are milliseconds since 1970. Payloads (\`input\`, \`result\`, \`payload\`, …) are the JSON that
they are.
`;

export async function renderPage(): Promise<string> {
  const definitions = toDefinitions();
  const section = (title: string, text: string, name: string): string =>
    `### ${title}\n\n${text === "" ? "" : `${text}\n\n`}${describe(definitions[name] ?? {})}\n`;
  const partTexts: Readonly<Record<keyof typeof parts, string>> = {
    Event:
      "By `type`; each has the fields `seq`, `recordedAt`, `workflowId` and `type`, and those named here.",
    LogsLine: "What workflow code said: see [logs](logging.md).",
    Failure: "What user code failed with, as it is recorded.",
    RunSummary: "",
    Error: "What Aion itself refuses or fails with: see [errors](errors.md).",
  };
  return await formatMarkdown(
    [
      introduction,
      "## Documents\n",
      ...Object.keys(documents).map((name) => section(`\`aion ${name}\``, "", name)),
      "## Lines\n",
      section("`aion history --follow`", "Each line:", "history-follow"),
      section("`aion logs --follow`", "Each line:", "logs-follow"),
      section("Errors", "On stderr:", "error-line"),
      section("Notes", "On stderr. A program can do without them:", "note-line"),
      "## Parts\n",
      ...Object.entries(partTexts).map(([name, text]) => section(name, text, name)),
    ].join("\n"),
  );
}

function describe(schema: JsonSchema): string {
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices !== undefined) return choices.map(describeChoice).join("\n\n");
  if (schema.properties === undefined && schema.$ref === undefined) return schema.description ?? "Any JSON.";
  if (schema.properties === undefined)
    return `${toType(schema)}.${schema.description === undefined ? "" : ` ${schema.description}`}`;
  return toTable(schema, []);
}

/** One of several forms, told apart by a constant; fields that all events have are left out. */
function describeChoice(schema: JsonSchema): string {
  const constant = schema.properties?.["type"]?.const;
  if (typeof constant !== "string") return toTable(schema, []);
  const table = toTable(schema, ["seq", "recordedAt", "workflowId", "type"]);
  return `\`${constant}\`${table === "" ? ": nothing more." : `\n\n${table}`}`;
}

function toTable(schema: JsonSchema, without: readonly string[]): string {
  const rows = toRows(schema, "").filter(({ field }) => !without.includes(field));
  if (rows.length === 0) return "";
  const body = rows.map(({ field, type, text }) => `| \`${field}\` | ${type} | ${text} |`);
  return ["| field | type | |", "| --- | --- | --- |", ...body].join("\n");
}

interface Row {
  readonly field: string;
  readonly type: string;
  readonly text: string;
}

/** Objects within are laid flat: `checks[].status`. */
function toRows(schema: JsonSchema, prefix: string): readonly Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]): Row[] => {
    const isRequired = schema.required?.includes(name) === true;
    const field = `${prefix}${name}`;
    const row = {
      field: isRequired ? field : `${field}?`,
      type: toType(property),
      text: property.description ?? "",
    };
    if (property.items?.properties !== undefined) return [row, ...toRows(property.items, `${field}[].`)];
    return property.properties === undefined ? [row] : [row, ...toRows(property, `${field}.`)];
  });
}

function toType(schema: JsonSchema): string {
  const { $ref: reference, type, items, additionalProperties } = schema;
  if (reference !== undefined) {
    const name = reference.slice(pointer("").length);
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  // All codes are in errors.md.
  if (schema.enum !== undefined && schema.enum.length > 20) return "string";
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(toType).join(" or ");
  if (type === "array") return items?.properties === undefined ? `list of ${toType(items ?? {})}` : "list";
  if (type === "object" && additionalProperties !== undefined)
    return `object of ${toType(additionalProperties)}`;
  return type ?? "any JSON";
}

export const schemasFile = path.join(import.meta.dirname, "cli-json.schema.json");
export const cliJsonPage = path.join(import.meta.dirname, "cli-json.md");

if (process.argv[1] === import.meta.filename) {
  writeFileSync(schemasFile, renderSchemas());
  writeFileSync(cliJsonPage, await renderPage());
}
