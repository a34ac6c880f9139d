import type { SecureClientSessionOptions } from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Http2SessionManager, createGrpcTransport } from "@connectrpc/connect-node";
import type { FetchSendOptions } from "../client/fetch-send.ts";
import { parseServerUrl } from "../client/fetch-send.ts";
import type { WorkerFrame } from "../protocol/frames.ts";
import type { WorkerLink, WorkerTransport } from "../protocol/transport.ts";
import { FrameQueue } from "./frame-queue.ts";
import type { WorkRequest } from "./gen/aion/v1/workers_pb.ts";
import { WorkerService } from "./gen/aion/v1/workers_pb.ts";
import { fromWorkResponse, toWorkRequest } from "./worker-frames.ts";

/** How a worker reaches a server. */
export interface RemoteWorkerOptions extends Pick<FetchSendOptions, "url" | "token"> {
  /** Default `"default"`. */
  readonly namespace?: string;
  readonly tls?: ClientTls;
}

/** For a server over TLS: contents of files in PEM. */
export interface ClientTls {
  /** The authority that has signed the certificate of the server. Default: those that Node knows (and `NODE_EXTRA_CA_CERTS`). */
  readonly ca?: string | Uint8Array;
  /** The certificate that this side shows, and its key. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

/** More than a worker with the largest capacity ever has to say at once. */
const framesMax = 50_000;
/** That will be the same the next time. */
const finalCodes: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.Unimplemented,
]);

/** A worker's way to a server: a stream of gRPC in each direction. Error: `invalid_argument` (no address of a server). */
export function grpcWorkerTransport(options: RemoteWorkerOptions): WorkerTransport {
  const { url, token, namespace, tls } = options;
  const baseUrl = parseServerUrl(url);
  return {
    connect: async (worker): Promise<WorkerLink> => {
      const shown = typeof token === "function" ? await token() : token;
      const headers = shown === undefined ? {} : { authorization: `Bearer ${shown}` };
      // A connection of its own each time: one that broke is not waited for.
      const sessionManager = new Http2SessionManager(baseUrl, undefined, toNodeTls(tls));
      const client = createClient(WorkerService, createGrpcTransport({ baseUrl, sessionManager }));
      const queue = new FrameQueue<WorkRequest>(framesMax);
      const abort = new AbortController();
      let isOver = false;
      const end = (error?: unknown): void => {
        if (isOver) return;
        isOver = true;
        if (error !== undefined) {
          const { code, rawMessage: message } = ConnectError.from(error);
          // Whoever is asked for a token each time may have another one the next time.
          const mayPass = code === Code.Unauthenticated && typeof token === "function";
          worker.receive({ type: "refused", message, isFinal: finalCodes.has(code) && !mayPass });
        }
        queue.end();
        abort.abort();
        sessionManager.abort();
        worker.closed();
      };
      const read = async (): Promise<void> => {
        for await (const message of client.work(queue, { signal: abort.signal, headers })) {
          const frame = fromWorkResponse(message);
          if (frame !== undefined && !isOver) worker.receive(frame);
        }
      };
      read().then(() => end(), end);
      return {
        send: (frame: WorkerFrame) => queue.push(toWorkRequest(frame, namespace)),
        close: () => end(),
      };
    },
  };
}

function toNodeTls(tls: ClientTls | undefined): SecureClientSessionOptions {
  const toBuffer = (content: string | Uint8Array): Buffer => Buffer.from(content as Uint8Array);
  return Object.fromEntries(
    Object.entries(tls ?? {}).map(([name, content]: [string, string | Uint8Array]) => [
      name,
      toBuffer(content),
    ]),
  );
}
