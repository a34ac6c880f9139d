import { request } from "node:https";

/** What a command shows of itself over TLS, and whom it trusts: contents of files in PEM. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** `fetch` as far as calls of Aion use it, with certificates: the platform's takes none. */
export function tlsFetch(tls: TlsFiles): typeof fetch {
  return async (input, init = {}) =>
    await new Promise((resolve, reject) => {
      const { method = "GET", headers, body, signal } = init;
      const sent = request(
        new URL(input instanceof Request ? input.url : input),
        {
          ...tls,
          method,
          headers: Object.fromEntries(new Headers(headers)),
          ...(signal === null || signal === undefined ? {} : { signal }),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const { statusCode: status = 0 } = response;
            // As with `redirect: "error"`: the token is for this server and no other.
            if (status >= 300 && status < 400) reject(new TypeError("the server leads elsewhere"));
            else resolve(new Response(status === 204 ? null : Buffer.concat(chunks), { status }));
          });
        },
      );
      sent.on("error", reject);
      sent.end(body as string | Uint8Array | undefined);
    });
}
