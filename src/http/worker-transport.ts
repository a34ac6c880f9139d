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
export function grpcWorkerTransport({ url, token, namespace }: RemoteWorkerOptions): WorkerTransport {
  const baseUrl = parseServerUrl(url);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    connect: async (worker): Promise<WorkerLink> => {
      // A connection of its own each time: one that broke is not waited for.
      const sessionManager = new Http2SessionManager(baseUrl);
      const client = createClient(WorkerService, createGrpcTransport({ baseUrl, sessionManager }));
      const queue = new FrameQueue<WorkRequest>(framesMax);
      const abort = new AbortController();
      let isOver = false;
      const end = (error?: unknown): void => {
        if (isOver) return;
        isOver = true;
        if (error !== undefined) {
          const { code, rawMessage: message } = ConnectError.from(error);
          worker.receive({ type: "refused", message, isFinal: finalCodes.has(code) });
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
