/** Calls as bytes: what a server answers, over each of its transports, down to the headers. */
import { request as httpRequest } from "node:http";
import { connect as http2Connect } from "node:http2";
import { ScheduleService } from "../../src/http/gen/aion/v1/schedules_pb.ts";
import { PackageService, WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { apiPrefix, routes, streamPaths } from "../../src/client/routes.ts";
import type { Route } from "../../src/client/routes.ts";
import type { Service } from "../../src/client/service.ts";

export interface RawAnswer {
  readonly status: number;
  /** In the order in which they came, with trailers; without the time of day. */
  readonly headers: readonly string[];
  readonly body: string;
}

export interface RawCall {
  readonly url: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const fleeting = new Set(["date"]);

function tidy(raw: readonly string[]): readonly string[] {
  const pairs: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? "").toLowerCase();
    if (!fleeting.has(name)) pairs.push(`${name}: ${inTheClear(name, raw[at + 1] ?? "")}`);
  }
  return pairs;
}

/** As it was before it was written so that it could be a header: what differs there, differs here. */
function inTheClear(name: string, value: string): string {
  if (name.endsWith("-bin")) return Buffer.from(value, "base64").toString("latin1");
  return name === "grpc-message" ? decodeURIComponent(value) : value;
}

function headersOf({ token, headers }: RawCall): Record<string, string> {
  return { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
}

/** HTTP/1.1. A stream that goes on is left after its head; an upgrade that is granted, too. */
export function callHttp(
  of: RawCall,
  verb: string,
  path: string,
  body?: string | Uint8Array,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(of.url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { hostname, port, path, method: verb, headers: headersOf(of), agent: false },
      (response) => {
        const { statusCode: status = 0, rawHeaders } = response;
        if (response.headers["content-type"]?.startsWith("text/event-stream") === true) {
          resolve({ status, headers: tidy(rawHeaders), body: "" });
          sent.destroy();
          return;
        }
        let text = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status, headers: tidy(rawHeaders), body: text }));
      },
    );
    sent.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: [], body: "" });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** gRPC with messages in JSON: `message` is sent as the one message of the call. */
export function callGrpc(of: RawCall, path: string, message: object): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const session = http2Connect(of.url);
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc+json",
      te: "trailers",
      ...headersOf(of),
    });
    let status = 0;
    const headers: string[] = [];
    let body = "";
    stream.on("response", (head, _flags, raw?: readonly string[]) => {
      status = Number(head[":status"]);
      headers.push(...tidy(raw ?? []));
    });
    stream.on("trailers", (_head, _flags, raw?: readonly string[]) => headers.push(...tidy(raw ?? [])));
    stream.setEncoding("latin1");
    stream.on("data", (chunk: string) => (body += chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      session.destroy();
      resolve({ status, headers, body });
    });
    const text = Buffer.from(JSON.stringify(message));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(text.length, 1);
    stream.end(Buffer.concat([prefix, text]));
  });
}

/** What became of a call, by the code of Aion or, over gRPC, by what its status says. */
export function codeOf({ status, headers, body }: RawAnswer): string {
  const grpc = headers.find((header) => header.startsWith("grpc-status: "));
  if (grpc !== undefined) {
    const message = headers.find((header) => header.startsWith("grpc-message: ")) ?? "";
    const number = grpc.slice("grpc-status: ".length);
    if (number === "5" && message.includes("there is no namespace")) return "namespace_not_found";
    return { "0": "ok", "7": "permission_denied", "16": "unauthenticated" }[number] ?? `grpc-${number}`;
  }
  if (status < 400) return "ok";
  return (JSON.parse(body) as { readonly error: { readonly code: string } }).error.code;
}

/** The call of an operation over HTTP, from the table of routes. */
export function toHttp(
  method: keyof Service,
  namespace: string,
  request: Readonly<Record<string, unknown>>,
): readonly [verb: string, path: string, body: string | Uint8Array | undefined] {
  const route: Route = routes[method];
  const rest = new Map(Object.entries(request));
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_all, field: string) => {
    const value = String(rest.get(field));
    rest.delete(field);
    return encodeURIComponent(value);
  });
  const whole = `${apiPrefix}${encodeURIComponent(namespace)}${path}`;
  if (route.rest === "body") return [route.verb, whole, JSON.stringify(Object.fromEntries(rest))];
  const archive = rest.get("archive") as string | undefined;
  rest.delete("archive");
  const query = new URLSearchParams(
    [...rest].map(([name, value]) => [name, String(value)] as [string, string]),
  );
  return [
    route.verb,
    query.size === 0 ? whole : `${whole}?${query.toString()}`,
    archive === undefined ? undefined : Buffer.from(archive, "base64"),
  ];
}

/** Where it stands in the protocol. */
export function toGrpcPath(method: string): string {
  for (const service of [WorkflowService, PackageService, ScheduleService]) {
    const found = service.methods.find(({ localName }) => localName === method);
    if (found !== undefined) return `/${service.typeName}/${found.name}`;
  }
  throw new Error(`the protocol has no ${method}`);
}

export function toStreamPath(
  kind: keyof typeof streamPaths,
  namespace: string,
  workflowId: string,
  query = "",
): string {
  return `${apiPrefix}${namespace}${streamPaths[kind].replace("{workflowId}", workflowId)}${query}`;
}
