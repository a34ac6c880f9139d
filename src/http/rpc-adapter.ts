import { Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import type { ConnectRouter, ConnectRouterOptions, ContextValues } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamFromJson,
  endStreamToJson,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { AionError } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { ErrorDetailSchema } from "./gen/aion/v1/workflows_pb.ts";
import { toConnectError } from "./rpc-error.ts";
import type { NodeHandler, NodeRequest } from "./rpc.ts";

export interface RpcAdapterOptions extends ConnectRouterOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** Takes what is no call of a router's method. */
  readonly fallback: NodeHandler;
  readonly contextValues: (request: NodeRequest) => ContextValues;
  /** Hears what the protocol refuses by itself. */
  readonly onRefused: (request: NodeRequest, values: ContextValues, error: AionError) => void;
}

type Tell = (error: AionError) => void;

/**
 * Answers calls as `connectNodeAdapter` does, and gives what the protocol refuses by itself (a message that cannot be decoded, one that is
 * too large) the `ErrorDetail` that every other error has.
 */
export function rpcAdapter({
  routes,
  fallback,
  contextValues,
  onRefused,
  ...options
}: RpcAdapterOptions): NodeHandler {
  const router = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli], ...options });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get((request.url ?? "").split("?", 1)[0] ?? "");
    if (handler === undefined) {
      fallback(request, response);
      return;
    }
    const values = contextValues(request);
    const tell: Tell = (error) => onRefused(request, values, error);
    handler(universalRequestFromNodeRequest(request, response, undefined, values))
      .then(async (answer) => await universalResponseToNodeResponse(await withDetail(answer, tell), response))
      // Whoever called has gone, or cannot be told.
      .catch(() => response.destroy());
  };
}

async function withDetail(answer: UniversalServerResponse, tell: Tell): Promise<UniversalServerResponse> {
  const { status, body, trailer } = answer;
  const header = new Headers(answer.header);
  const type = header.get("content-type") ?? "";
  if (body === undefined) return status < 400 ? answer : refusalOf(status, header, tell);
  if (type.startsWith("application/grpc-web"))
    return { ...answer, body: mapEnds(body, trailerFlag, (data) => webEnd(data, tell)) };
  if (type.startsWith("application/grpc"))
    return trailer === undefined ? answer : { ...answer, body: thenTold(body, trailer, tell) };
  if (type.startsWith("application/connect+"))
    return { ...answer, body: mapEnds(body, endStreamFlag, (data) => streamEnd(data, tell)) };
  if (status < 400 || header.has("content-encoding")) return answer;
  return await unaryRefusal(answer, header, body, tell);
}

/** An answer without a word: a method of HTTP, or a form of messages, that no call has. */
function refusalOf(status: number, header: Headers, tell: Tell): UniversalServerResponse {
  const what =
    status === 405 ? "a call is a POST" : status === 415 ? "messages do not have that form" : "it is no call";
  const refusal = new AionError("invalid_argument", `${what}, of which the protocol is made`);
  tell(refusal);
  const error = toConnectError(refusal);
  header.set("content-type", "application/json");
  return { status, header, body: once(errorToJsonBytes(error, undefined)) };
}

async function unaryRefusal(
  answer: UniversalServerResponse,
  header: Headers,
  body: AsyncIterable<Uint8Array>,
  tell: Tell,
): Promise<UniversalServerResponse> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const told = detailed(readError(bytes), tell);
  if (told === undefined) return { ...answer, body: once(bytes) };
  const toldBytes = errorToJsonBytes(told, undefined);
  header.set("content-length", String(toldBytes.length));
  return { ...answer, status: codeToHttpStatus(told.code), header, body: once(toldBytes) };
}

/** `undefined`: it is none. */
function readError(bytes: Uint8Array): ConnectError | undefined {
  try {
    return errorFromJsonBytes(bytes, undefined, new ConnectError("it cannot be read"));
  } catch {
    return undefined;
  }
}

/** Trailers are filled when the body is over. */
async function* thenTold(
  body: AsyncIterable<Uint8Array>,
  trailer: Headers,
  tell: Tell,
): AsyncGenerator<Uint8Array> {
  yield* body;
  const told = detailed(findTrailerError(trailer), tell);
  if (told !== undefined) setTrailerStatus(trailer, told);
}

/** Looks at the envelopes that end a stream. One envelope is one chunk. */
async function* mapEnds(
  body: AsyncIterable<Uint8Array>,
  flag: number,
  map: (data: Uint8Array) => Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    // Not one that is compressed, too.
    const isEnd = chunk[0] === flag && chunk.length >= prefixBytes;
    const data = isEnd ? map(chunk.subarray(prefixBytes)) : undefined;
    yield data === undefined ? chunk : encodeEnvelope(flag, data);
  }
}

const prefixBytes = 5;

function webEnd(data: Uint8Array, tell: Tell): Uint8Array | undefined {
  const trailer = trailerParse(data);
  const told = detailed(findTrailerError(trailer), tell);
  return told === undefined ? undefined : trailerSerialize(setTrailerStatus(trailer, told));
}

function streamEnd(data: Uint8Array, tell: Tell): Uint8Array | undefined {
  const { metadata, error } = endStreamFromJson(data);
  const told = detailed(error, tell);
  if (told === undefined) return undefined;
  return new TextEncoder().encode(JSON.stringify(endStreamToJson(metadata, told, undefined)));
}

/** Whether it is what the protocol refuses by itself. */
export function isOfProtocol(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    error.findDetails(ErrorDetailSchema).length === 0 &&
    codeOf(error) !== undefined
  );
}

/** `undefined`: it has its detail, or is none that the protocol made. */
function detailed(error: ConnectError | undefined, tell: Tell): ConnectError | undefined {
  if (error === undefined || error.findDetails(ErrorDetailSchema).length > 0) return undefined;
  const code = codeOf(error);
  if (code === undefined) return undefined;
  const refusal = new AionError(code, error.rawMessage, hints[code] ?? {});
  tell(refusal);
  return toConnectError(refusal);
}

function codeOf({ code, rawMessage }: ConnectError): ErrorCode | undefined {
  switch (code) {
    case Code.InvalidArgument:
    case Code.Unimplemented:
      return "invalid_argument";
    case Code.ResourceExhausted:
      return "payload_too_large";
    case Code.Internal:
      // So the library calls what its caller sent; the rest is a bug.
      return /^(parse binary|received compressed envelope|decompression failed)/.test(rawMessage)
        ? "invalid_argument"
        : "internal";
    default:
      return undefined;
  }
}

const hints: Partial<Record<ErrorCode, { readonly hint: string }>> = {
  invalid_argument: {
    hint: "Send the message that `proto/aion/v1` describes for this call, in the form that its content type names.",
  },
  payload_too_large: {
    hint: "A message may be no larger than a request over HTTP (`requestLimitBytes`), and one with a package than a package (`packageLimitBytes`).",
  },
};

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
