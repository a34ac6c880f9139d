import type { StandardSchemaV1 } from "@standard-schema/spec";
import { AionError } from "./errors.ts";
import { messageOf } from "./payload.ts";
import { isEncodedValue } from "./payload-codec.ts";

/** Any Standard Schema (zod, valibot, arktype, …). Its output must be plain JSON data. */
export type Schema<Input = unknown, Output = Input> = StandardSchemaV1<Input, Output>;
export type SchemaInput<S extends Schema> = StandardSchemaV1.InferInput<S>;
export type SchemaOutput<S extends Schema> = StandardSchemaV1.InferOutput<S>;

const issuesShownMax = 5;

export function isSchema(value: unknown): value is Schema {
  return (typeof value === "object" || typeof value === "function") && value !== null && "~standard" in value;
}

/**
 * The value as the schema gives it back (defaults filled in). Throws `payload_invalid` with what is wrong and where, and
 * `payload_undecodable` for one that is encoded: a schema that lets fields go would make an empty object of it.
 */
export function parseWithSchema<S extends Schema>(schema: S, value: unknown, what: string): SchemaOutput<S> {
  if (isEncodedValue(value)) {
    throw new AionError(
      "payload_undecodable",
      `${what} is encoded, and there is no codec here that could hold it against its schema`,
      {
        hint: "Open the engine with the `codec` of its clients; or declare no schema for what workflow code is to pass on unread.",
      },
    );
  }
  let result;
  try {
    result = schema["~standard"].validate(value);
  } catch (error) {
    throw new AionError("payload_invalid", `${what}: the schema itself threw: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (result instanceof Promise) {
    result.catch(() => undefined);
    throw new AionError(
      "payload_invalid",
      `${what}: its schema is asynchronous, and only synchronous ones are supported`,
      {
        hint: "Use a schema that validates without promises; look things up in an activity.",
      },
    );
  }
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map((issue) => ({ path: pathOf(issue.path), message: issue.message }));
  const shown = issues
    .slice(0, issuesShownMax)
    .map((issue) => (issue.path === "" ? issue.message : `${issue.path}: ${issue.message}`))
    .join("; ");
  const more = issues.length > issuesShownMax ? ` (and ${issues.length - issuesShownMax} more)` : "";
  throw new AionError("payload_invalid", `${what} does not fit its schema: ${shown}${more}`, {
    details: { issues },
  });
}

function pathOf(path: StandardSchemaV1.Issue["path"]): string {
  return (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
}
