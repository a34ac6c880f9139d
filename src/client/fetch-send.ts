import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { HttpSend } from "./http-answer.ts";

export interface FetchSendOptions {
  /** Of the server: `http://127.0.0.1:4466`. A path in it is kept, for servers behind a proxy. */
  readonly url: string;
  /** An API key, or a token of the issuer that the server trusts. A function is asked before each call: tokens expire. */
  readonly token?: string | (() => string | Promise<string>);
  /** The platform's, unless another is handed in. */
  readonly fetch?: typeof fetch;
}

/** Calls over the platform's `fetch`. Error: `invalid_argument` (no address of a server). */
export function fetchSend({ url, token, fetch = globalThis.fetch }: FetchSendOptions): HttpSend {
  const base = parseServerUrl(url);
  return async ({ verb, path, body, contentType, trace, timeoutMs, abortSignal, onLine }) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const shown = typeof token === "function" ? await token() : token;
    try {
      const response = await fetch(`${base}${path}`, {
        method: verb,
        headers: {
          ...(contentType === undefined ? {} : { "content-type": contentType }),
          ...(shown === undefined ? {} : { authorization: `Bearer ${shown}` }),
          ...trace,
        },
        ...(body === undefined ? {} : { body }),
        signal: abortSignal === undefined ? timeout : AbortSignal.any([timeout, abortSignal]),
        // What is asked of this server is not to be answered by another one, and the token is not for it.
        redirect: "error",
      });
      const { status } = response;
      if (onLine === undefined || status !== 200) return { status, text: await response.text() };
      await readLines(response, onLine);
      return { status, text: "" };
    } catch (error) {
      abortSignal?.throwIfAborted();
      const hint = trustHints[codeOf(error) ?? ""];
      throw new AionError("transport_failed", `no answer from the server at ${base}: ${reasonOf(error)}`, {
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  };
}

async function readLines({ body }: Response, onLine: (line: string) => void): Promise<void> {
  if (body === null) return;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const lines = `${rest}${decoder.decode(part.value, { stream: true })}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    }
  } catch (error) {
    // Nobody reads the rest, and the server is to know it.
    await reader.cancel().catch(() => undefined);
    throw error;
  }
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
  return codeOf(error) ?? messageOf((Error.isError(error) ? error.cause : undefined) ?? error);
}

function codeOf(error: unknown): string | undefined {
  const known = [Error.isError(error) ? error.cause : undefined, error].find(
    (one): one is Error & { readonly code: unknown } => Error.isError(one) && "code" in one,
  );
  return typeof known?.code === "string" ? known.code : undefined;
}

const nameAuthority =
  "Nobody who is trusted here has signed the server's certificate. Name who has, by NODE_EXTRA_CA_CERTS (PEM) or, of a command, by --ca.";

/** Calling again helps against none of these. */
const trustHints: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: nameAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: nameAuthority,
  UNABLE_TO_GET_ISSUER_CERT: nameAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: nameAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: nameAuthority,
  ERR_TLS_CERT_ALTNAME_INVALID: "The server's certificate is for other names: call it by one of those.",
  CERT_HAS_EXPIRED: "The server's certificate has expired: give it another one.",
};

/** The server is there, and is not believed to be who it should be. */
export function isTrustRefused({ code, cause }: AionError): boolean {
  return code === "transport_failed" && Object.hasOwn(trustHints, codeOf(cause) ?? "");
}
