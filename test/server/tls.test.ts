/** The server over TLS, and callers that are known by their certificates. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import type { TLSSocket } from "node:tls";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import type { CertificateRule } from "../../src/auth/certificates.ts";
import { certificateProver } from "../../src/auth/certificates.ts";
import { KeyStore } from "../../src/auth/key-store.ts";
import { tlsFetch } from "../../src/cli/tls-fetch.ts";
import { Client } from "../../src/client/index.ts";
import { WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { splitNames } from "../../src/http/peer.ts";
import { Server } from "../../src/server/server.ts";
import type { ServerOptions } from "../../src/server/server.ts";
import { TlsListener } from "../../src/server/tls.ts";
import { Worker } from "../../src/worker/index.ts";
import { activity, workflow } from "../../src/workflow/index.ts";
import { Authority, contents } from "./certificates.ts";
import type { Made } from "./certificates.ts";

const double = activity("double", async (number: number) => number * 2);
const doubling = workflow("doubling", async (number: number) => await double(number));

let files: string;
let ours: Authority;
let theirs: Authority;
let server: Made;
let ann: Made;
let worker: Made;
let stranger: Made;
let impostor: Made;
let data: string;
let token: string;
const open: Server[] = [];

beforeAll(() => {
  files = mkdtempSync(path.join(tmpdir(), "aion-certificates-"));
  ours = new Authority(files, "ours");
  theirs = new Authority(files, "theirs");
  server = ours.sign("/CN=aion", "IP:127.0.0.1,DNS:localhost");
  ann = ours.sign("/CN=ann", "email:ann@example.com");
  worker = ours.sign("/CN=w", "URI:spiffe://example/worker,DNS:worker.example");
  stranger = ours.sign("/CN=stranger", "DNS:stranger.example");
  impostor = theirs.sign("/CN=ann", "email:ann@example.com");
});

afterAll(() => rmSync(files, { recursive: true }));

beforeEach(() => {
  data = mkdtempSync(path.join(tmpdir(), "aion-tls-"));
  const keys = new KeyStore(data);
  ({ token } = keys.create({ subject: "root", grants: [{ roles: ["admin"], namespaces: "*" }] }));
  keys.close();
});

afterEach(async () => {
  for (const one of open.splice(0)) await one.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

const rules: readonly CertificateRule[] = [
  { match: "CN=ann", subject: "ann", grants: ["read@default", "start@default"] },
  { match: "URI:spiffe://example/worker", grants: ["work@default/default"] },
];

async function serve(more: Partial<ServerOptions> = {}): Promise<Server> {
  const one = await Server.open({
    data,
    port: 0,
    workflows: [doubling],
    tls: { ...server, clientCa: ours.ca },
    authentication: { certificates: rules },
    log: () => undefined,
    ...more,
  });
  open.push(one);
  return one;
}

const ca = (): Buffer => readFileSync(ours.ca);
const clientOf = (url: string, made?: Made, shown?: string): Client =>
  new Client({
    url,
    patience: 0,
    fetch: tlsFetch({ ca: ca(), ...(made === undefined ? {} : contents(made)) }),
    ...(shown === undefined ? {} : { token: shown }),
  });

describe("a server with TLS", () => {
  it("speaks HTTP/1.1, HTTP/2 and WebSockets on its port, and no TLS before 1.2", async () => {
    const { url } = await serve();
    expect(url).toMatch(/^https:/);
    expect(await clientOf(url, undefined, token).count()).toBe(0);
    const client = createClient(
      WorkflowService,
      createGrpcTransport({ baseUrl: url, nodeOptions: { ca: ca() } }),
    );
    expect(await client.count({}, { headers: { authorization: `Bearer ${token}` } })).toMatchObject({
      count: 0,
    });
    await clientOf(url, undefined, token).start(doubling, 1, { id: "d" });
    const socket = new WebSocket(`${url.replace("https", "wss")}/v1/namespaces/default/events?after=oldest`, {
      ca: ca(),
      headers: { authorization: `Bearer ${token}` },
    });
    const message = await new Promise<Buffer>((resolve) => socket.once("message", resolve));
    expect(message.toString()).toContain("WorkflowStarted");
    socket.close();
    const { hostname, port } = new URL(url);
    const attempt = (maxVersion: "TLSv1.1" | "TLSv1.2" | "TLSv1.3"): Promise<string> =>
      new Promise((resolve) => {
        const asked = {
          host: hostname,
          port: Number(port),
          ca: ca(),
          minVersion: "TLSv1" as const,
          maxVersion,
        };
        const caller = connectTls({ ...asked, ciphers: "DEFAULT@SECLEVEL=0" }, () => {
          resolve(caller.getProtocol() ?? "none");
          caller.destroy();
        });
        caller.on("error", () => resolve("refused"));
      });
    expect([await attempt("TLSv1.1"), await attempt("TLSv1.2"), await attempt("TLSv1.3")]).toEqual([
      "refused",
      "TLSv1.2",
      "TLSv1.3",
    ]);
  });

  it("answers no caller who speaks without it", async () => {
    const { url } = await serve();
    await expect(fetch(url.replace("https", "http"))).rejects.toThrow(/fetch failed/);
  });

  it("is not taken for itself by who does not know its authority", async () => {
    const { url } = await serve();
    await expect(new Client({ url, token, patience: 0 }).count()).rejects.toMatchObject({
      code: "transport_failed",
    });
  });

  it.each([
    ["that are not there", (): Made => ({ cert: "none.pem", key: "none.key" })],
    ["that do not belong together", (): Made => ({ cert: server.cert, key: ann.key })],
  ])("does not begin with files %s", async (_what, made) => {
    await expect(serve({ tls: made() })).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it("takes another certificate when its files change, and keeps the one it has while they are wrong", async () => {
    const place: Made = { cert: path.join(data, "cert.pem"), key: path.join(data, "key.pem") };
    const put = (made: Made, at: number): void => {
      copyFileSync(made.cert, place.cert);
      copyFileSync(made.key, place.key);
      for (const file of [place.cert, place.key]) utimesSync(file, at, at);
    };
    put(server, 1_000);
    const logged: string[] = [];
    const listener = new TlsListener(
      place,
      (_level, message) => logged.push(message),
      (caller) => caller.destroy(),
    );
    await new Promise<void>((resolve) => listener.server.listen(0, "127.0.0.1", resolve));
    const { port } = listener.server.address() as { port: number };
    const shown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const caller = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
          resolve(caller.getPeerX509Certificate()?.subject ?? "");
          caller.destroy();
        });
        caller.on("error", reject);
      });
    expect(await shown()).toBe("CN=aion");
    put(stranger, 2_000);
    listener.look();
    expect(await shown()).toBe("CN=stranger");
    writeFileSync(place.key, "no key");
    listener.look();
    expect(await shown()).toBe("CN=stranger");
    expect(logged).toEqual([
      "the certificates were read again",
      "the certificates cannot be used; those of before stay",
    ]);
    listener.close();
    listener.server.close();
  });
});

describe("who is connected and does not shake hands", () => {
  /** Resolves when the other side has hung up. */
  const hangsUp = (port: number): { readonly connected: Promise<void>; readonly over: Promise<void> } => {
    const caller = connect({ host: "127.0.0.1", port }).on("error", () => undefined);
    caller.resume();
    return {
      connected: new Promise((resolve) => caller.once("connect", () => resolve())),
      over: new Promise((resolve) => caller.once("close", () => resolve())),
    };
  };

  it("is disconnected when that has taken too long", async () => {
    const listener = new TlsListener(
      server,
      () => undefined,
      () => undefined,
      50,
    );
    await new Promise<void>((resolve) => listener.server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      listener.close();
      listener.server.close();
    });
    const { over } = hangsUp((listener.server.address() as AddressInfo).port);
    await expect(over).resolves.toBeUndefined();
  });

  it("does not keep the server from stopping", async () => {
    const one = await serve();
    const { connected, over } = hangsUp(Number(new URL(one.url).port));
    await connected;
    // Of another one, behind it, the server has heard when it answers.
    expect(await clientOf(one.url, ann).count()).toBe(0);
    const startedAt = performance.now();
    await one.close({ drain: 0 });
    await over;
    // Not only when the time for it was over, which is ten seconds.
    expect(performance.now() - startedAt).toBeLessThan(8_000);
  });
});

describe("a caller with a certificate", () => {
  it("may do what its name may, over each transport", async () => {
    const { url } = await serve();
    const client = clientOf(url, ann);
    const run = await client.start(doubling, 21, { id: "d" });
    expect(await client.count()).toBe(1);
    await expect(run.terminate()).rejects.toMatchObject({ code: "permission_denied" });
    const rpc = createClient(
      WorkflowService,
      createGrpcTransport({ baseUrl: url, nodeOptions: { ca: ca(), ...contents(ann) } }),
    );
    expect(await rpc.count({})).toMatchObject({ count: 1 });
    const denied: unknown = await rpc.terminate({ workflowId: "d" }).catch((error: unknown) => error);
    expect(ConnectError.from(denied).code).toBe(Code.PermissionDenied);
    const working = new Worker({ url, activities: [double], tls: { ca: ca(), ...contents(worker) } });
    const over = working.run();
    expect(await run.result()).toBe(42);
    await working.stop();
    await over;
  });

  it("that is known by no rule is nobody, and a token goes before a certificate", async () => {
    const { url } = await serve();
    await expect(clientOf(url, stranger).count()).rejects.toMatchObject({ code: "unauthenticated" });
    expect(await clientOf(url, stranger, token).count()).toBe(0);
    // What is shown must hold.
    await expect(clientOf(url, ann, `${token}x`).count()).rejects.toMatchObject({ code: "unauthenticated" });
    const refused = new Worker({
      url,
      activities: [double],
      tls: { ca: ca(), ...contents(ann) },
      log: () => undefined,
    });
    await expect(refused.run()).rejects.toMatchObject({ code: "worker_refused" });
  });

  it("of another authority gets no connection, though the name is right, and whatever token it has", async () => {
    const { url } = await serve();
    for (const shown of [undefined, token])
      await expect(clientOf(url, impostor, shown).count()).rejects.toMatchObject({
        code: "transport_failed",
      });
  });

  it.each(["optional", "required"] as const)(
    "that is refused (%s) is told of in the log, once for many",
    async (clientCertificates) => {
      const logged: unknown[] = [];
      const { url } = await serve({
        tls: { ...server, clientCa: ours.ca, clientCertificates },
        log: (...line) => logged.push(line),
      });
      const refused = () => logged.filter((line) => String((line as unknown[])[1]).includes("certificate"));
      for (let count = 0; count < 3; count += 1)
        await expect(clientOf(url, impostor).count()).rejects.toMatchObject({ code: "transport_failed" });
      await expect.poll(refused).toEqual([
        [
          "warn",
          "a caller was refused by its certificate",
          {
            why: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            count: 1,
            ...(clientCertificates === "optional" ? { address: "127.0.0.1" } : {}),
          },
        ],
      ]);
    },
  );

  it("that is not shown where it is required is told of in the log", async () => {
    const logged: unknown[] = [];
    const { url } = await serve({
      tls: { ...server, clientCa: ours.ca, clientCertificates: "required" },
      log: (...line) => logged.push(line),
    });
    await expect(clientOf(url, undefined, token).count()).rejects.toMatchObject({ code: "transport_failed" });
    await expect
      .poll(() => logged)
      .toContainEqual([
        "warn",
        "a caller was refused by its certificate",
        { address: "127.0.0.1", why: "it shows none", count: 1 },
      ]);
  });

  it("is disconnected when its authority is not to be trusted any more, and nobody else is", async () => {
    const place: Made = { cert: path.join(data, "cert.pem"), key: path.join(data, "key.pem") };
    const clientCa = path.join(data, "callers.pem");
    const put = (of: { readonly by: Made; readonly authority: Authority; readonly at: number }): void => {
      copyFileSync(of.by.cert, place.cert);
      copyFileSync(of.by.key, place.key);
      copyFileSync(of.authority.ca, clientCa);
      for (const file of [place.cert, place.key, clientCa]) utimesSync(file, of.at, of.at);
    };
    put({ by: server, authority: ours, at: 1_000 });
    const taken = new Set<TLSSocket>();
    const listener = new TlsListener(
      { ...place, clientCa },
      () => undefined,
      (caller) => {
        taken.add(caller);
        caller.on("error", () => undefined);
        caller.once("close", () => taken.delete(caller));
      },
    );
    await new Promise<void>((resolve) => listener.server.listen(0, "127.0.0.1", resolve));
    const { port } = listener.server.address() as { port: number };
    const shown = [contents(ann), {}];
    const callers = shown.map((made) =>
      connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...made }),
    );
    for (const caller of callers) caller.on("error", () => undefined);
    await expect.poll(() => taken.size).toBe(2);

    put({ by: stranger, authority: ours, at: 2_000 });
    listener.look();
    await delay(50);
    expect(taken.size).toBe(2);
    put({ by: stranger, authority: theirs, at: 3_000 });
    listener.look();
    await expect.poll(() => taken.size).toBe(1);
    expect([...taken].map((caller) => caller.getPeerX509Certificate())).toEqual([undefined]);
    for (const caller of callers) caller.destroy();
    listener.close();
    listener.server.close();
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "is not let in by an authority of before that was changed amid its handshake (%s)",
    async (version) => {
      const clientCa = path.join(data, "callers.pem");
      const put = ({ ca: from }: Authority, at: number): void => {
        copyFileSync(from, clientCa);
        utimesSync(clientCa, at, at);
      };
      put(ours, 1_000);
      let takenCount = 0;
      const listener = new TlsListener(
        { ...server, clientCa },
        () => undefined,
        (caller) => {
          takenCount += 1;
          caller.on("error", () => undefined);
          caller.destroy();
        },
      );
      const listen = async (one: NetServer): Promise<number> => {
        await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
        return (one.address() as AddressInfo).port;
      };
      const port = await listen(listener.server);
      // Holds back what shows the certificate: all that the caller says when the server has answered.
      const [shown, over] = [Promise.withResolvers<() => void>(), Promise.withResolvers<void>()];
      const between = createServer((caller) => {
        const onward = connect({ host: "127.0.0.1", port });
        let isAnswered = false;
        caller.on("data", (bytes: Buffer) => {
          if (isAnswered) shown.resolve(() => onward.write(bytes));
          else onward.write(bytes);
        });
        onward.on("data", (bytes: Buffer) => {
          isAnswered = true;
          caller.write(bytes);
        });
        onward.on("error", () => undefined);
        onward.once("close", () => over.resolve());
      });
      const caller = connectTls({
        host: "127.0.0.1",
        port: await listen(between),
        rejectUnauthorized: false,
        minVersion: version,
        maxVersion: version,
        ...contents(ann),
      });
      caller.on("error", () => undefined);

      const goOn = await shown.promise;
      put(theirs, 2_000);
      listener.look();
      goOn();
      await over.promise;
      expect(takenCount).toBe(0);
      caller.destroy();
      between.close();
      listener.close();
      listener.server.close();
    },
  );

  it("is needed for a connection where it is required", async () => {
    const { url } = await serve({
      tls: { ...server, clientCa: ours.ca, clientCertificates: "required" },
    });
    await expect(clientOf(url, undefined, token).count()).rejects.toMatchObject({ code: "transport_failed" });
    expect(await clientOf(url, stranger, token).count()).toBe(0);
    expect(await clientOf(url, ann).count()).toBe(0);
  });

  it("that a page of another site makes its browser show is refused", async () => {
    const { url } = await serve();
    const ask = (origin: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = httpsRequest(
          `${url}/v1/namespaces/default/workflow-count`,
          { ca: ca(), ...contents(ann), headers: { origin } },
          (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          },
        );
        sent.on("error", reject);
        sent.end();
      });
    expect([await ask(url), await ask("https://evil.example"), await ask("null")]).toEqual([200, 403, 403]);
    // Anybody on the way may make up a page of that name, if it is asked for without TLS.
    expect(await ask(url.replace("https:", "http:"))).toBe(403);
  });
});

describe("the names in a certificate", () => {
  it("are taken apart as they were put together", () => {
    expect(splitNames("DNS:a.example, URI:spiffe://a/b, email:x@y, IP Address:127.0.0.1")).toEqual([
      "DNS:a.example",
      "URI:spiffe://a/b",
      "email:x@y",
      "IP Address:127.0.0.1",
    ]);
    // One name that looks like two.
    expect(splitNames('URI:"http://evil/, DNS:admin.example", DNS:b')).toEqual([
      "URI:http://evil/, DNS:admin.example",
      "DNS:b",
    ]);
    expect(splitNames(undefined)).toEqual([]);
  });

  it("count for nothing when the certificate has expired, and end what is open with it then", () => {
    let now = 1_000;
    const prove = certificateProver(rules, () => now);
    const certificate = {
      fingerprint: "f",
      names: ["CN=ann", "URI:spiffe://example/worker"],
      expiresAt: 2_000,
    };
    const proof = prove(certificate);
    expect(proof?.principal).toEqual({
      subject: "cert:ann",
      grants: [
        { roles: ["read"], namespaces: ["default"] },
        { roles: ["start"], namespaces: ["default"] },
        { roles: ["work"], namespaces: ["default"], taskQueues: ["default"] },
      ],
    });
    now = 2_000;
    expect(proof?.whyOver()).toMatchObject({ code: "unauthenticated" });
    expect(() => prove(certificate)).toThrow(expect.objectContaining({ code: "unauthenticated" }));
    expect(prove({ ...certificate, names: ["CN=ANN", "CN=ann2", "DNS:ann"] })).toBeUndefined();
  });

  it.each(["ann", "CN=", "IP Address:127.0.0.1", "*"])("are not written %s in a rule", (match) => {
    expect(() => certificateProver([{ match, grants: [] }])).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  });
});
