/** What a server spends on callers whom it does not let in. */
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect as http2Connect } from "node:http2";
import { tmpdir } from "node:os";
import path from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { KeyStore } from "../../src/auth/key-store.ts";
import { createKey, readAudit } from "../../src/client/access.ts";
import { WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { Server } from "../../src/server/server.ts";
import { receive, signal, workflow } from "../../src/workflow/index.ts";
import { Client } from "../../src/client/index.ts";
import { callHttp } from "./raw-call.ts";

const go = signal("go");
const waiting = workflow("waiting", async () => {
  await receive(go);
});

let data: string;
let server: Server;
let token: string;

beforeAll(async () => {
  data = mkdtempSync(path.join(tmpdir(), "aion-strangers-"));
  const keys = new KeyStore(data);
  ({ token } = keys.create({ subject: "root", grants: [{ roles: ["admin"], namespaces: "*" }] }));
  keys.close();
  server = await Server.open({
    data,
    port: 0,
    workflows: [waiting],
    authentication: {},
    log: () => undefined,
  });
});

afterAll(async () => {
  await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

/** Begins a message of 31 MiB, and never ends it. Resolves to the answer, when the call is over. */
function beginGrpc(rpcPath: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const session = http2Connect(server.url);
  return new Promise((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": rpcPath,
      "content-type": "application/grpc+proto",
      te: "trailers",
      ...headers,
    });
    let status: unknown;
    stream.on("response", (head) => (status = head["grpc-status"]));
    stream.on("trailers", (head: Readonly<Record<string, unknown>>) => (status = head["grpc-status"]));
    stream.on("error", reject);
    stream.on("close", () => {
      session.destroy();
      resolve(status);
    });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(31 * 1024 * 1024, 1);
    stream.write(prefix);
    stream.resume();
  });
}

/** The same over HTTP/1.1, which ends when the server hangs up or answers. */
function beginHttp(at: string, contentType: string): Promise<readonly [status: number, body: string]> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${server.url}${at}`,
      {
        method: "POST",
        agent: false,
        headers: { "content-type": contentType, "content-length": 31_000_000 },
      },
      (response) => {
        let body = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => (body += chunk));
        response.on("end", () => {
          sent.destroy();
          resolve([response.statusCode ?? 0, body]);
        });
      },
    );
    sent.on("error", reject);
    sent.write("x");
  });
}

describe("a call of the protocol by somebody who may make it nowhere", () => {
  it("is refused before its message has come", async () => {
    const { token: reader } = await createKey(
      { url: server.url, token },
      { subject: "reader", grants: [{ roles: ["read"], namespaces: ["default"] }] },
    );
    const headers = { authorization: `Bearer ${reader}` };
    for (const rpcPath of ["/aion.v1.WorkflowService/Start", "/aion.v1.PackageService/Deploy"])
      expect([rpcPath, await beginGrpc(rpcPath, headers)]).toEqual([rpcPath, "8"]);
    // One that is small is read, for the namespace that stands in it.
    const small = createClient(WorkflowService, createGrpcTransport({ baseUrl: server.url }));
    for (const [namespace, code] of [
      ["default", Code.PermissionDenied],
      ["foreign", Code.NotFound],
    ] as const) {
      const refused = small.start({ namespace, workflowType: "waiting" }, { headers });
      await expect(refused).rejects.toMatchObject({ code });
    }
  });
});

describe("a call of the protocol by a stranger", () => {
  it("is refused before its message has come, and its stream is closed", async () => {
    for (const rpcPath of [
      "/aion.v1.WorkflowService/Start",
      "/aion.v1.PackageService/Deploy",
      "/aion.v1.WorkflowService/Follow",
      "/aion.v1.WorkerService/Work",
    ])
      expect([rpcPath, await beginGrpc(rpcPath)]).toEqual([rpcPath, "16"]);
    const { entries } = await readAudit(
      { url: server.url, token },
      { outcome: "unauthenticated", limit: 10 },
    );
    expect(entries.map(({ operation }) => operation).toSorted()).toEqual([
      "deploy",
      "events",
      "start",
      "work",
    ]);
  });

  it("is refused so over HTTP/1.1, too", async () => {
    const start = "/aion.v1.WorkflowService/Start";
    const [status, body] = await beginHttp(start, "application/json");
    expect([status, (JSON.parse(body) as { readonly code: string }).code]).toEqual([401, "unauthenticated"]);
    const [, stream] = await beginHttp("/aion.v1.WorkflowService/Follow", "application/connect+json");
    expect(stream.slice(5)).toContain('"unauthenticated"');
    expect(await beginHttp(start, "application/grpc-web+proto")).toEqual([200, ""]);
  });

  it.each([
    ["gRPC", createGrpcTransport],
    ["gRPC-Web over HTTP/1.1", createGrpcWebTransport],
    ["Connect over HTTP/1.1", createConnectTransport],
  ] as const)("hears why over %s", async (name, create) => {
    const httpVersion = name === "gRPC" ? "2" : "1.1";
    const client = createClient(WorkflowService, create({ baseUrl: server.url, httpVersion } as never));
    const follow = async (): Promise<void> => {
      for await (const _ of client.follow({ workflowId: "w" }));
    };
    for (const call of [client.count({}), follow()]) {
      const error: unknown = await call.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(ConnectError);
      const { code, rawMessage, metadata } = error as ConnectError;
      expect([code, rawMessage]).toEqual([Code.Unauthenticated, "the call says not who makes it"]);
      expect(metadata.get("www-authenticate")).toBe('Bearer realm="aion"');
    }
  });
});

it("reads no more than a mebibyte of what is sent to an address that is none", async () => {
  const sent = await new Promise<number>((resolve) => {
    let bytes = 0;
    const request = httpRequest(`${server.url}/nowhere`, { method: "POST", agent: false });
    const end = (): void => resolve(bytes);
    request.on("error", end);
    request.on("response", (response) => response.resume().on("end", end));
    const chunk = Buffer.alloc(64 * 1024);
    const more = (): void => {
      if (request.destroyed || bytes > 64 * 1024 * 1024) return;
      bytes += chunk.length;
      request.write(chunk, more);
    };
    more();
  });
  expect(sent).toBeLessThan(32 * 1024 * 1024);
});

it("keeps no reader of events whose request was for the head alone", async () => {
  await new Client({ url: server.url, token }).start(waiting, undefined, { id: "head" });
  const of = { url: server.url, token };
  for (let count = 0; count < 5; count++)
    expect((await callHttp(of, "HEAD", "/v1/namespaces/default/workflows/head/events")).status).toBe(200);
  const { body } = await callHttp(of, "GET", "/metrics");
  expect(body).toMatch(/^aion_streams\{stream="run"\} 0$/m);
});

it("keeps no reader of events that was one too many", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-streams-"));
  const log = (): void => undefined;
  await using one = await Server.open({ data: directory, port: 0, streamsPerCallerMax: 1, log });
  const events = `${one.url}/v1/namespaces/default/events`;
  const over = new AbortController();
  onTestFinished(() => {
    over.abort();
    rmSync(directory, { recursive: true });
  });
  expect((await fetch(events, { signal: over.signal })).status).toBe(200);
  expect((await fetch(events)).status).toBe(429);
  const socket = new WebSocket(events.replace("http:", "ws:"));
  await new Promise((resolve) => socket.addEventListener("error", resolve));
  const rpc = createClient(WorkflowService, createGrpcTransport({ baseUrl: one.url }));
  await expect(rpc.watch({})[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: Code.ResourceExhausted,
  });
  const { body } = await callHttp({ url: one.url }, "GET", "/metrics");
  expect(body).toMatch(/^aion_streams\{stream="feed"\} 1$/m);
});

it("lets no connection of a worker wait that says not who it is", async () => {
  expect(await beginGrpc("/aion.v1.WorkerService/Work", { authorization: `Bearer ${token}` })).not.toBe("0");
});

describe("whether the server lives", () => {
  it("is told to everybody, and which process and version it is to who is known", async () => {
    const live = async (shown?: string): Promise<unknown> => {
      const { status, body } = await callHttp(
        { url: server.url, ...(shown === undefined ? {} : { token: shown }) },
        "GET",
        "/health/live",
      );
      return [status, JSON.parse(body)];
    };
    expect(await live()).toEqual([200, { isLive: true }]);
    expect(await live("aion_none")).toEqual([200, { isLive: true }]);
    expect(await live(token)).toEqual([
      200,
      { isLive: true, pid: process.pid, version: expect.stringMatching(/^\d/) as string },
    ]);
  });
});

describe("an address from which nothing comes that holds", () => {
  it("is told so after a while, and keeps out nobody who shows what holds", async () => {
    const directory = mkdtempSync(path.join(tmpdir(), "aion-attempts-"));
    const keys = new KeyStore(directory);
    const { token: good } = keys.create({
      subject: "root",
      grants: [{ roles: ["admin"], namespaces: "*" }],
    });
    keys.close();
    const guarded = await Server.open({
      data: directory,
      port: 0,
      workflows: [waiting],
      authentication: { failedAttemptsMax: 3 },
      log: () => undefined,
    });
    try {
      const { url } = guarded;
      const call = (shown: string): ReturnType<typeof callHttp> =>
        callHttp({ url, token: shown }, "GET", "/v1/namespaces/default/workflows");
      for (let attempt = 0; attempt < 3; attempt += 1) expect((await call("aion_guess")).status).toBe(401);
      const refused = await call("aion_guess");
      expect(refused.status).toBe(429);
      const seconds = refused.headers.find((header) => header.startsWith("retry-after: "))?.split(" ")[1];
      expect(Number(seconds)).toBeGreaterThan(0);
      expect(Number(seconds)).toBeLessThanOrEqual(60);
      expect(JSON.parse(refused.body)).toMatchObject({ error: { code: "too_many_attempts" } });
      const stranger = createClient(WorkflowService, createGrpcTransport({ baseUrl: url }));
      await expect(
        stranger.count({}, { headers: { authorization: "Bearer aion_guess" } }),
      ).rejects.toMatchObject({ code: Code.ResourceExhausted });
      expect((await call(good)).status).toBe(200);
      expect(await stranger.count({}, { headers: { authorization: `Bearer ${good}` } })).toMatchObject({
        count: 0,
      });
    } finally {
      await guarded.close({ drain: 0 });
      rmSync(directory, { recursive: true });
    }
  });
});
