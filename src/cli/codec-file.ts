import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { aes256gcm } from "../codec/aes256gcm.ts";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";

const keyFileSchema = z.strictObject({
  keys: z.record(z.string(), z.string()),
  current: z.string(),
  scope: z.string().optional(),
  requireEncoded: z.boolean().optional(),
  failureText: z.enum(["encoded", "plain"]).optional(),
});

/**
 * The codec that a file gives: a key ring in JSON (what `aes256gcm` takes), or a module whose default export is a codec.
 * Error: `invalid_argument`, which never quotes the file: there are keys in it.
 */
export async function loadCodec(file: string): Promise<PayloadCodec> {
  const absolute = path.resolve(file);
  if (!existsSync(absolute)) throw invalid(`there is no file ${absolute}`);
  return absolute.endsWith(".json") ? readKeyFile(absolute) : await importCodec(absolute);
}

function readKeyFile(file: string): PayloadCodec {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    throw invalid(`${file} cannot be read, or is no JSON`);
  }
  const parsed = keyFileSchema.safeParse(json);
  if (!parsed.success) {
    const places = parsed.error.issues.map(({ path: place }) => place.join(".") || "the whole");
    throw invalid(`${file} is no key ring; look at ${places.join(", ")}`);
  }
  const { keys, current, scope, requireEncoded, failureText } = parsed.data;
  return aes256gcm({
    keys,
    current,
    ...(scope === undefined ? {} : { scope }),
    ...(requireEncoded === undefined ? {} : { requireEncoded }),
    ...(failureText === undefined ? {} : { failureText }),
  });
}

async function importCodec(file: string): Promise<PayloadCodec> {
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(pathToFileURL(file).href)) as { readonly default?: unknown };
  } catch (error) {
    throw invalid(`cannot load ${file}: ${messageOf(error)}`, error);
  }
  const codec = exported.default;
  if (isCodec(codec)) return codec;
  throw invalid(`${file} has no codec as its default export`);
}

function isCodec(value: unknown): value is PayloadCodec {
  return (
    typeof value === "object" &&
    value !== null &&
    "encode" in value &&
    typeof value.encode === "function" &&
    "decode" in value &&
    typeof value.decode === "function"
  );
}

function invalid(message: string, cause?: unknown): AionError {
  return new AionError("invalid_argument", message, {
    hint: 'Name a key ring, {"keys": {"2026-11": "<base64 of 32 bytes>"}, "current": "2026-11"} in a .json file, or a module that exports a codec as its default.',
    ...(cause === undefined ? {} : { cause }),
  });
}
