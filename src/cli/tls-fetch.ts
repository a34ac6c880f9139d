import { request } from "node:https";
import { Readable } from "node:stream";

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
          const { statusCode: status = 0, headers: answered } = response;
          // As with `redirect: "error"`: the token is for this server and no other.
          if (status >= 300 && status < 400) {
            response.destroy();
            reject(new TypeError("the server leads elsewhere"));
            return;
          }
          if (status === 204) response.resume();
          resolve(
            new Response(status === 204 ? null : (Readable.toWeb(response) as ReadableStream), {
              status,
              headers: new Headers(answered.date === undefined ? {} : { date: answered.date }),
            }),
          );
        },
      );
      sent.on("error", reject);
      sent.end(body as string | Uint8Array | undefined);
    });
}
