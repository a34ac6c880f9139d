/**
 * Calls Restate's ingress over a few HTTP/2 connections. The SDK's own client uses `fetch`, which
 * takes four times the CPU time of this on the cores that it shares with the server; the peer shall
 * not be slower here than it can be.
 */
import { connect, constants } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { BenchError } from "../../engine-under-test.ts";

const sessionCount = 8;

export interface Ingress {
  /** Posts JSON to `/<service>/<key>/<handler>`; resolves with the body of the answer. */
  post(path: string, body: unknown): Promise<string>;
  close(): void;
}

export function openIngress(port: number): Ingress {
  const sessions: (ClientHttp2Session | undefined)[] = [];
  let next = 0;

  const session = (): ClientHttp2Session => {
    const slot = next % sessionCount;
    next += 1;
    const open = sessions[slot];
    if (open !== undefined && !open.closed && !open.destroyed) return open;
    const created = connect(`http://127.0.0.1:${port}`);
    // Each request reports its own failure; the session is replaced when it is next needed.
    created.on("error", () => {});
    sessions[slot] = created;
    return created;
  };

  return {
    post: (path, body) =>
      new Promise((resolve, reject) => {
        const request = session().request({
          [constants.HTTP2_HEADER_METHOD]: "POST",
          [constants.HTTP2_HEADER_PATH]: path,
          "content-type": "application/json",
        });
        let status = 0;
        let text = "";
        request.on("response", (headers) => {
          status = headers[":status"] ?? 0;
        });
        request.setEncoding("utf8");
        request.on("data", (chunk: string) => {
          text += chunk;
        });
        request.on("end", () => {
          if (status >= 200 && status < 300) resolve(text);
          else reject(new BenchError(`Restate answered ${status} to ${path}: ${text}`));
        });
        request.on("error", reject);
        request.end(JSON.stringify(body));
      }),
    close() {
      for (const open of sessions) open?.destroy();
    },
  };
}
