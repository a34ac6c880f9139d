import type { IncomingHttpHeaders } from "node:http";
import { connect } from "node:http2";
import type { SecureClientSessionOptions } from "node:http2";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromHttpStatus } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import type { FetchSendOptions } from "../client/fetch-send.ts";
import { parseServerUrl } from "../client/fetch-send.ts";
import type { WorkerFrame } from "../protocol/frames.ts";
import type { WorkerLink, WorkerTransport } from "../protocol/transport.ts";
import { WorkerService, WorkRequestSchema, WorkResponseSchema } from "./gen/aion/v1/workers_pb.ts";
import { MessageReader, MessageWriter } from "./grpc-messages.ts";
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
  const { origin, pathname } = new URL(parseServerUrl(url));
  const path = `${pathname.replace(/\/$/, "")}/${WorkerService.typeName}/${WorkerService.method.work.name}`;
  return {
    connect: async (worker): Promise<WorkerLink> => {
      const shown = typeof token === "function" ? await token() : token;
      // A connection of its own each time: one that broke is not waited for.
      const session = connect(origin, toNodeTls(tls));
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc+proto",
        te: "trailers",
        ...(shown === undefined ? {} : { authorization: `Bearer ${shown}` }),
      });
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
        session.destroy();
        worker.closed();
      };
      const writer = new MessageWriter(stream, framesMax, () => end());
      const reader = new MessageReader(Number.MAX_SAFE_INTEGER);
      session.on("error", end);
      stream.on("error", end);
      session.once("close", () => end());
      let trailers: IncomingHttpHeaders = {};
      stream.once("response", (headers) => {
        const { ":status": status = 0 } = headers;
        if (status !== 200) end(new ConnectError(`HTTP ${status}`, codeFromHttpStatus(status)));
        // An answer that is over with its headers has them in the place of the trailers.
        if (headers["grpc-status"] !== undefined) trailers = headers;
      });
      stream.once("trailers", (headers: IncomingHttpHeaders) => (trailers = headers));
      stream.on("data", (chunk: Uint8Array) => {
        try {
          for (const bytes of reader.take(chunk)) {
            const frame = fromWorkResponse(fromBinary(WorkResponseSchema, bytes));
            if (frame !== undefined && !isOver) worker.receive(frame);
          }
        } catch (error) {
          end(error);
        }
      });
      stream.once("end", () => end(findTrailerError(toHeaders(trailers))));
      stream.once("close", () => end());
      return {
        send: (frame: WorkerFrame) =>
          writer.push(toBinary(WorkRequestSchema, toWorkRequest(frame, namespace))),
        close: () => end(),
      };
    },
  };
}

function toHeaders(from: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(from)) {
    if (typeof value === "string" && !name.startsWith(":")) headers.set(name, value);
  }
  return headers;
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
