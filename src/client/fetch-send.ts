import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { HttpSend } from "./http-service.ts";

export interface FetchSendOptions {
  /** Of the server: `http://127.0.0.1:4466`. A path in it is kept, for servers behind a proxy. */
  readonly url: string;
  readonly token?: string;
  /** The platform's, unless another is handed in. */
  readonly fetch?: typeof fetch;
}

/** Calls over the platform's `fetch`. Error: `invalid_argument` (no address of a server). */
export function fetchSend({ url, token, fetch = globalThis.fetch }: FetchSendOptions): HttpSend {
  const base = parseServerUrl(url);
  return async ({ verb, path, body, contentType, trace, timeoutMs, abortSignal }) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(`${base}${path}`, {
        method: verb,
        headers: {
          ...(contentType === undefined ? {} : { "content-type": contentType }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...trace,
        },
        ...(body === undefined ? {} : { body }),
        signal: abortSignal === undefined ? timeout : AbortSignal.any([timeout, abortSignal]),
        // What is asked of this server is not to be answered by another one, and the token is not for it.
        redirect: "error",
      });
      return { status: response.status, text: await response.text() };
    } catch (error) {
      abortSignal?.throwIfAborted();
      throw new AionError("transport_failed", `no answer from the server at ${base}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  };
}

/** Without a slash at its end. Error: `invalid_argument`. */
export function parseServerUrl(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== "") {
    throw new AionError("invalid_argument", `${JSON.stringify(url)} is no address of a server`, {
      hint: 'Pass one like "http://127.0.0.1:4466" or "https://aion.example.com", without a user in it.',
    });
  }
  return `${parsed.origin}${parsed.pathname.replace(/\/$/, "")}`;
}

/** `fetch` says "fetch failed", and why in its cause. */
function reasonOf(error: unknown): string {
  const cause = Error.isError(error) ? error.cause : undefined;
  if (Error.isError(cause) && "code" in cause) return String(cause.code);
  return messageOf(cause ?? error);
}
