import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { Asked, AskedOperation } from "./admission.ts";
import { peerOf } from "./peer.ts";

/** What a handler has of its request, besides the request. */
export type Env = { Bindings: HttpBindings };

/** HTTP/2 has no header for the host; the address has it, whichever it came by. */
export function askedOf(context: Context<Env>, operation: AskedOperation, namespace?: string): Asked {
  const { raw } = context.req;
  return {
    operation,
    ...(namespace === undefined ? {} : { namespace }),
    host: new URL(context.req.url).host,
    headers: raw.headers,
    peer: peerOf(context.env.incoming.socket),
  };
}

/** Error: `invalid_argument`. */
export function parseJson(body: Uint8Array): object {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new AionError("invalid_argument", `the body of the request is no JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new AionError("invalid_argument", "the body of the request is no JSON object");
}
