/** What is open on the strength of a key, and what becomes of it when the key holds no more. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { KeyStore } from "../../src/auth/key-store.ts";
import { createKey, listKeys, revokeKey, rotateKey } from "../../src/client/access.ts";
import type { KeySecret, Role } from "../../src/client/access.ts";
import { Client } from "../../src/client/index.ts";
import { createNamespace } from "../../src/client/server-client.ts";
import { WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { Server } from "../../src/server/server.ts";
import { Worker } from "../../src/worker/index.ts";
import { activity, receive, signal, workflow } from "../../src/workflow/index.ts";
import { readEvents } from "../http/serve.ts";
import { callHttp, codeOf } from "./raw-call.ts";

const go = signal("go");
const waiting = workflow("waiting", async () => {
  await receive(go);
});
const idle = activity("idle", async () => undefined);

let data: string;
let server: Server;
/** The key of an admin. */
let token: string;

beforeEach(async () => {
  data = mkdtempSync(path.join(tmpdir(), "aion-open-"));
  const keys = new KeyStore(data);
  ({ token } = keys.create({ subject: "root", grants: [{ roles: ["admin"], namespaces: "*" }] }));
  keys.close();
  server = await Server.open({
    data,
    port: 0,
    workflows: [waiting],
    authentication: { origins: ["https://console.example"] },
    log: () => undefined,
  });
  await new Client({ url: server.url, token }).start(waiting, undefined, { id: "w" });
});

afterEach(async () => {
  await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

function makeKey(expiresInMs?: number, roles: readonly Role[] = ["read", "work"]): Promise<KeySecret> {
  return createKey(
    { url: server.url, token },
    {
      subject: "reader",
      grants: [{ roles, namespaces: ["default"] }],
      ...(expiresInMs === undefined ? {} : { expiresInMs }),
    },
  );
}

const at = (rest: string): string => `${server.url}/v1/namespaces/default${rest}`;

/** Opens something; resolves when it is open, with what resolves when it is over, to why. */
type Open = (key: string) => Promise<{ readonly over: Promise<string> }>;

const overSse =
  (rest: string): Open =>
  async (key) => {
    const response = await fetch(at(rest), { headers: { authorization: `Bearer ${key}` } });
    const read = async (): Promise<string> => {
      for await (const { event, data: sent } of readEvents(response)) {
        if (event === "failed") return (sent as { readonly error: { readonly code: string } }).error.code;
        if (event === "end") return "end";
      }
      return "broken off";
    };
    expect(response.status).toBe(200);
    return { over: read() };
  };

const overWebSocket =
  (rest: string): Open =>
  async (key) => {
    const socket = new WebSocket(at(rest).replace("http", "ws"), {
      headers: { authorization: `Bearer ${key}` },
    });
    let last = "";
    socket.on("message", (message: Buffer) => (last = message.toString("utf8")));
    const over = new Promise<string>((resolve) =>
      socket.once("close", (code) => {
        const { error } = JSON.parse(last) as { readonly error?: { readonly code: string } };
        resolve(code === 1008 ? (error?.code ?? "no reason") : `closed ${code}`);
      }),
    );
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return { over };
  };

const overGrpc =
  (method: "follow" | "watch"): Open =>
  async (key) => {
    const client = createClient(WorkflowService, createGrpcTransport({ baseUrl: server.url }));
    const headers = { authorization: `Bearer ${key}` };
    const stream =
      method === "follow"
        ? client.follow({ workflowId: "w" }, { headers })
        : client.watch({ after: "oldest" }, { headers });
    const entries = stream[Symbol.asyncIterator]();
    await entries.next();
    const read = async (): Promise<string> => {
      try {
        while ((await entries.next()).done !== true);
        return "end";
      } catch (error) {
        const { code } = ConnectError.from(error);
        return code === Code.Unauthenticated ? "unauthenticated" : Code[code];
      }
    };
    return { over: read() };
  };

const overPoll =
  (rest: string): Open =>
  async (key) => {
    const answer = callHttp({ url: server.url, token: key }, "GET", `/v1/namespaces/default${rest}`);
    // The server must have it before the key is over.
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { over: answer.then(codeOf) };
  };

const overWorker: Open = async (key) => {
  const worker = new Worker({ url: server.url, token: key, activities: [idle], log: () => undefined });
  const over = worker.run().then(
    () => "end",
    (error: unknown) => {
      const { code, message } = error as { readonly code: string; readonly message: string };
      return code === "worker_refused" && message.includes("API key") ? "unauthenticated" : code;
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { over };
};

const opens: readonly (readonly [string, Open])[] = [
  ["the events of a run, server-sent", overSse("/workflows/w/events")],
  ["the events of all runs, server-sent", overSse("/events?after=oldest")],
  ["the events of a run, over a WebSocket", overWebSocket("/workflows/w/events")],
  ["the events of all runs, over a WebSocket", overWebSocket("/events?after=oldest")],
  ["the events of a run, over gRPC", overGrpc("follow")],
  ["the events of all runs, over gRPC", overGrpc("watch")],
  ["waiting for a result", overPoll("/workflows/w/result?waitMs=20000")],
  ["waiting for events of a run", overPoll("/workflows/w/history?fromSeq=100&waitMs=20000")],
  ["waiting for events of all runs", overPoll("/feed?waitMs=20000")],
  ["a worker", overWorker],
];

describe.each(opens)("%s", (_what, open) => {
  it("ends when the key expires", async () => {
    const key = await makeKey(3_000);
    const { over } = await open(key.token);
    expect(await over).toBe("unauthenticated");
  });

  it("ends at once when the key is revoked", async () => {
    const key = await makeKey();
    const { over } = await open(key.token);
    const how: string[] = [];
    const noticed = over.then((why) => how.push(why));
    await revokeKey({ url: server.url, token }, key.key.id);
    // By the time of a few calls more; looking whether keys hold, once a second, takes hundreds.
    for (let count = 0; count < 50 && how.length === 0; count += 1)
      await callHttp({ url: server.url }, "GET", "/health/live");
    expect(how).toEqual(["unauthenticated"]);
    await noticed;
  });
});

describe("a key", () => {
  it("that is revoked in the directory ends what is open, too", async () => {
    const key = await makeKey();
    const { over } = await overSse("/events")(key.token);
    const keys = new KeyStore(data);
    keys.revoke(key.key.id);
    keys.close();
    const refused = await callHttp({ url: server.url, token: key.token }, "GET", "/v1/namespaces");
    expect(codeOf(refused)).toBe("unauthenticated");
    expect(await over).toBe("unauthenticated");
  });

  it("that is rotated goes on under both secrets, until the earlier one is over", async () => {
    const first = await makeKey();
    const one = await overSse("/events")(first.token);
    const second = await rotateKey({ url: server.url, token }, { id: first.key.id, overlapMs: 1_500 });
    const other = await overSse("/events")(second.token);
    const ask = async (key: string): Promise<string> =>
      codeOf(await callHttp({ url: server.url, token: key }, "GET", "/v1/namespaces"));
    expect([await ask(first.token), await ask(second.token)]).toEqual(["ok", "ok"]);
    expect(await one.over).toBe("unauthenticated");
    expect([await ask(first.token), await ask(second.token)]).toEqual(["unauthenticated", "ok"]);
    await revokeKey({ url: server.url, token }, first.key.id);
    expect(await other.over).toBe("unauthenticated");
  });

  it("can make, show, rotate and revoke keys over the network, if it is an admin's", async () => {
    const at0 = { url: server.url, token };
    const { key } = await makeKey(60_000);
    expect(key).toMatchObject({ subject: "reader", createdBy: "key:root" });
    const listed = await listKeys(at0);
    expect(listed.map(({ subject }) => subject)).toEqual(["root", "reader"]);
    expect(JSON.stringify(listed)).not.toMatch(/hash|secret|token/i);
    await expect(revokeKey(at0, "none")).rejects.toMatchObject({ code: "key_not_found" });
    await expect(rotateKey(at0, { id: "none" })).rejects.toMatchObject({ code: "key_not_found" });
    await expect(
      createKey(at0, { subject: "x", grants: [{ roles: ["root" as Role], namespaces: "*" }] }),
    ).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(createKey(at0, { subject: "x", grants: ["admin@*" as never] })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it("of an admin of one namespace makes no keys and no namespaces", async () => {
    const { token: some } = await makeKey(undefined, ["admin"]);
    const by = { url: server.url, token: some };
    await expect(createKey(by, { subject: "x", grants: [] })).rejects.toMatchObject({
      code: "permission_denied",
    });
    await expect(createNamespace(by, "more")).rejects.toMatchObject({ code: "permission_denied" });
  });
});

describe("a token of another issuer", () => {
  it("ends what is open with it when it expires, and is forgotten by nobody's leave", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    const jwks = path.join(data, "jwks.json");
    writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: "ES256" }] }));
    await server.close({ drain: 0 });
    server = await Server.open({
      data,
      port: 0,
      workflows: [waiting],
      authentication: {
        jwt: { issuer: "https://login.example", audience: ["aion"], jwks, clockTolerance: 0 },
      },
      log: () => undefined,
    });
    const sign = (seconds: number): Promise<string> =>
      new SignJWT({ aion_grants: ["read,work@default"] })
        .setProtectedHeader({ alg: "ES256" })
        .setIssuer("https://login.example")
        .setAudience("aion")
        .setSubject("ann")
        .setExpirationTime(Math.floor(Date.now() / 1_000) + seconds)
        .sign(privateKey);
    const shown = await sign(3);
    const over = await Promise.all(opens.map(async ([, open]) => (await open(shown)).over));
    // A worker's refusal says that it was a token.
    expect(over.slice(0, -1)).toEqual(opens.slice(1).map(() => "unauthenticated"));
    // Whoever is asked for a token each time goes on with the next one.
    let count = 0;
    const worker = new Worker({
      url: server.url,
      token: async () => await sign((count += 1) === 1 ? 2 : 60),
      activities: [idle],
      log: () => undefined,
    });
    const working = worker.run();
    await expect.poll(() => count).toBe(2);
    await worker.stop();
    await working;
  });
});

describe("a page in a browser", () => {
  const ask = async (headers: Record<string, string>, verb = "GET") =>
    await callHttp({ url: server.url, token, headers }, verb, "/v1/namespaces/default/workflow-count");

  it("may call from the server itself, and from an origin that is named", async () => {
    const { host } = new URL(server.url);
    expect(codeOf(await ask({ origin: server.url }))).toBe("ok");
    const answer = await ask({ origin: "https://console.example" });
    expect(codeOf(answer)).toBe("ok");
    expect(answer.headers).toContain("access-control-allow-origin: https://console.example");
    expect(answer.headers).toContain("vary: Origin");
    // Under whatever name the server is reached.
    expect(codeOf(await ask({ origin: "http://aion.example", host: "aion.example" }))).toBe("ok");
    expect(host).toContain("127.0.0.1");
  });

  it.each(["https://evil.example", "null", "https://console.example.evil.example", "http://console.example"])(
    "may not from %s",
    async (origin) => {
      const answer = await ask({ origin });
      expect(codeOf(answer)).toBe("permission_denied");
      expect(answer.headers.join()).not.toContain("access-control-allow");
    },
  );

  it("is told what it may send, if it may call at all", async () => {
    const preflight = { "access-control-request-method": "POST" };
    const allowed = await ask({ ...preflight, origin: "https://console.example" }, "OPTIONS");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.join()).toMatch(/access-control-allow-headers: [^,]*authorization/i);
    expect(allowed.headers.join()).not.toContain("allow-credentials");
    const other = await ask({ ...preflight, origin: "https://evil.example" }, "OPTIONS");
    expect(other.headers.join()).not.toContain("access-control-allow");
  });
});
