import { constants } from "node:http2";
import type { Http2ServerResponse } from "node:http2";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { AppOptions } from "./app.ts";
import { toAionError } from "./errors.ts";
import { FrameQueue } from "./frame-queue.ts";
import type { WorkRequest, WorkResponse } from "./gen/aion/v1/workers_pb.ts";
import { WorkerService, WorkRequestSchema, WorkResponseSchema } from "./gen/aion/v1/workers_pb.ts";
import { MessageReader, MessageWriter } from "./grpc-messages.ts";
import type { NodeRequest, NodeResponse } from "./rpc.ts";
import { nodeCallerOf, rpcCallerOf } from "./rpc-caller.ts";
import { fromConnectError, toConnectError } from "./rpc-error.ts";
import { toWorkResponse } from "./worker-frames.ts";
import { framesMax, WorkerCall } from "./worker-call.ts";

/** How long the end of a call waits to be taken. */
const farewellMs = 5_000;

/** Workers, over a stream in each direction, in whatever protocol they speak. */
export function addWorkers(router: ConnectRouter, options: AppOptions): void {
  router.rpc(WorkerService.method.work, async function* work(requests, context) {
    const queue = new FrameQueue<WorkResponse>(framesMax);
    let error: AionError | undefined;
    const call = new WorkerCall(options, rpcCallerOf(context), {
      send: (frame) => {
        if (frame.type === "registered") queue.giveUpAfter(frame.sessionTimeoutMs, () => call.closed());
        queue.push(toWorkResponse(frame));
      },
      end: (why) => {
        error = why;
        queue.end();
      },
    });
    const read = async (): Promise<void> => {
      try {
        for await (const message of requests) await call.receive(message);
        call.closed();
      } catch (reason) {
        if (context.signal.aborted) call.closed();
        else call.refuse(toAionError(fromConnectError(reason)));
      }
    };
    try {
      void read();
      yield* queue;
    } finally {
      call.closed();
    }
    if (error !== undefined) throw toConnectError(error);
  });
}

/** Whether a call is gRPC as nearly all workers speak it: then it need not go the way of all protocols, on which each message is dear. */
export function isPlainGrpc({ headers }: NodeRequest, response: NodeResponse): boolean {
  const { "content-type": type = "", "grpc-encoding": encoding = "identity" } = headers;
  return (
    "stream" in response &&
    /^application\/grpc(\+proto)?$/.test(type) &&
    encoding === "identity" &&
    headers["grpc-timeout"] === undefined
  );
}

/** The same over plain gRPC. */
export function answerWorker(
  request: NodeRequest,
  response: Http2ServerResponse,
  { options, limitBytes }: { readonly options: AppOptions; readonly limitBytes: number },
): void {
  const { stream } = response;
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  // Who does not end his side does not keep it: the answer is whole when the trailers, which Node sends, are out.
  stream.once("wantTrailers", () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
  const since = options.httpMeter?.now() ?? 0;
  let isTold = false;
  const tell = (error?: AionError): void => {
    if (!isTold) options.httpMeter?.answered("rpc", "work", since, error);
    isTold = true;
  };
  // With `NO_ERROR` Node would keep the stream until what waits has been taken.
  const cut = (): void => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  const writer = new MessageWriter(stream, framesMax, cut);
  let isEnding = false;
  const call = new WorkerCall(options, nodeCallerOf(request), {
    send: (frame) => {
      tell();
      // As one that says nothing for so long: it may say that it is alive, and have nothing of what it was given.
      if (frame.type === "registered") writer.giveUpAfter(frame.sessionTimeoutMs);
      writer.push(toBinary(WorkResponseSchema, toWorkResponse(frame)));
    },
    end: (error) => {
      isEnding = true;
      tell(error);
      // Who does not take what is left for him keeps nothing by that.
      const farewell = setTimeout(cut, farewellMs).unref();
      stream.once("close", () => clearTimeout(farewell));
      const trailers = new Headers();
      setTrailerStatus(trailers, error === undefined ? undefined : toConnectError(error));
      response.addTrailers(Object.fromEntries(trailers));
      writer.end();
    },
  });
  const reader = new MessageReader(limitBytes);
  const read = async (chunk: Uint8Array): Promise<void> => {
    for (const bytes of reader.take(chunk)) {
      const waiting = call.receive(parseMessage(bytes));
      if (waiting === undefined) continue;
      stream.pause();
      await waiting;
      stream.resume();
    }
  };
  let isRead = Promise.resolve();
  stream.on("data", (chunk: Uint8Array) => {
    // Whatever still comes is for nobody.
    if (isEnding) return;
    isRead = read(chunk).catch((reason: unknown) => call.refuse(toAionError(reason)));
  });
  // The end of a paused stream may come while what was read before waits for its turn.
  stream.once("end", () => void isRead.then(() => call.closed()));
  for (const event of ["close", "error"]) stream.once(event, () => call.closed());
}

/** Error: `invalid_argument`. */
function parseMessage(bytes: Uint8Array): WorkRequest {
  try {
    return fromBinary(WorkRequestSchema, bytes);
  } catch (error) {
    throw new AionError("invalid_argument", `what came is no message: ${messageOf(error)}`, { cause: error });
  }
}
