import type { OutgoingHttpHeaders } from "node:http";
import { Http2ServerResponse, constants } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { NodeRequest, NodeResponse } from "./rpc.ts";

/** Of somebody who was not let in, and speaks HTTP/1. */
const strangerBytesMax = 1024 * 1024;

/** Answers a call of whose body nothing was read, in the protocol in which it was made; and reads, and keeps, nothing of it. */
export function refuseUnread(request: NodeRequest, response: NodeResponse, error: ConnectError): void {
  const { status, headers, body } = answerIn(request.headers["content-type"] ?? "", error);
  if (response instanceof Http2ServerResponse) {
    // https://www.rfc-editor.org/rfc/rfc9113#section-8.1: the answer is whole, and the rest of the request is not wanted.
    const { stream } = response;
    if (body.length === 0) {
      // gRPC has its status in the headers that end the stream: an empty frame of data after them is an error to its own clients.
      stream.respond({ ":status": status, ...headers }, { endStream: true });
      setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
      return;
    }
    response.once("finish", () => stream.close(constants.NGHTTP2_NO_ERROR));
    response.writeHead(status, headers);
    response.end(body);
    return;
  }
  let bytes = 0;
  request.on("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > strangerBytesMax) request.destroy();
  });
  response.writeHead(status, headers);
  response.end(body);
}

function answerIn(
  contentType: string,
  error: ConnectError,
): { readonly status: number; readonly headers: OutgoingHttpHeaders; readonly body: Uint8Array } {
  if (contentType.startsWith("application/grpc")) {
    const trailers = new Headers();
    setTrailerStatus(trailers, error);
    const headers = { "content-type": contentType, ...Object.fromEntries(trailers) };
    return { status: 200, headers, body: new Uint8Array() };
  }
  if (contentType.startsWith("application/connect+")) {
    const text = Buffer.from(JSON.stringify(endStreamToJson(new Headers(), error, undefined)));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt8(endStreamFlag, 0);
    prefix.writeUInt32BE(text.length, 1);
    return {
      status: 200,
      headers: { "content-type": contentType },
      body: Buffer.concat([prefix, text]),
    };
  }
  return {
    status: codeToHttpStatus(error.code),
    headers: { ...Object.fromEntries(error.metadata), "content-type": "application/json" },
    body: errorToJsonBytes(error, undefined),
  };
}
