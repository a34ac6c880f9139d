import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";
import { checkedSync } from "../core/payload-codec.ts";
import { withCodec } from "../program/coded-programs.ts";
import { loadInline } from "../program/inline.ts";
import type { ProgramSource } from "../program/program.ts";
import type { AnyWorkflow } from "../workflow/definition.ts";

/** The workflows that a file exports, by name or in arrays, for histories that a codec encoded. Error: `invalid_argument`. */
export async function loadWorkflowFile(file: string, codec?: PayloadCodec): Promise<ProgramSource> {
  const definitions = new Set((await loadExports(file)).filter(isWorkflow));
  if (definitions.size === 0) {
    throw new AionError("invalid_argument", `${path.resolve(file)} exports no workflow`, {
      hint: 'Export what workflow("name", …) returns.',
    });
  }
  const programs = loadInline([...definitions]);
  return codec === undefined ? programs : withCodec(programs, checkedSync(codec));
}

/** What a file exports, by name or in arrays. Error: `invalid_argument`. */
export async function loadExports(file: string): Promise<readonly unknown[]> {
  const absolute = path.resolve(file);
  if (!existsSync(absolute)) throw new AionError("invalid_argument", `there is no file ${absolute}`);
  try {
    const exported = (await import(pathToFileURL(absolute).href)) as Readonly<Record<string, unknown>>;
    return Object.values(exported).flat();
  } catch (error) {
    throw new AionError("invalid_argument", `cannot load ${absolute}: ${messageOf(error)}`, {
      cause: error,
      hint: "The file must run on Node by itself: ESM, TypeScript whose types can be erased.",
    });
  }
}

function isWorkflow(value: unknown): value is AnyWorkflow {
  return (
    typeof value === "object" &&
    value !== null &&
    "kind" in value &&
    value.kind === "workflow" &&
    "run" in value
  );
}
