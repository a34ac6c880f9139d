/** The server: namespaces of a directory on one port. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client } from "../../src/client/index.ts";
import { createNamespace, listNamespaces } from "../../src/client/server-client.ts";
import { AionError, isAionError } from "../../src/core/errors.ts";
import { Engine } from "../../src/embedded/engine.ts";
import { Namespaces } from "../../src/server/namespaces.ts";
import { FairTurns, loopTurns } from "../../src/server/fair-turns.ts";
import { Server } from "../../src/server/server.ts";
import type { ServerOptions } from "../../src/server/server.ts";
import { receive, signal, sleep, workflow } from "../../src/workflow/index.ts";

const go = signal("go");
const waiting = workflow("waiting", async (text: string) => {
  await receive(go);
  return `went ${text}`;
});
const sleeping = workflow("sleeping", async () => {
  await sleep("1 hour");
});

let data: string;
const servers: Server[] = [];
let logged: { readonly level: string; readonly message: string; readonly fields: unknown }[];

beforeEach(() => {
  data = mkdtempSync(path.join(tmpdir(), "aion-server-"));
  logged = [];
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

async function open(options: Partial<ServerOptions> = {}): Promise<Server> {
  const server = await Server.open({
    data,
    port: 0,
    workflows: [waiting, sleeping],
    log: (level, message, fields) => logged.push({ level, message, fields }),
    ...options,
  });
  servers.push(server);
  return server;
}

const clientOf = (server: Server, namespace = "default"): Client =>
  new Client({ url: server.url, namespace, patience: 0 });

interface Answer {
  readonly status: number;
  readonly text: string;
}

function ask(
  server: Server,
  verb: string,
  at: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { hostname, port, path: at, method: verb, headers, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on("error", reject);
    sent.end();
  });
}

describe("a server", () => {
  // I-1
  it("has after a restart what was acknowledged before", async () => {
    const first = await open();
    const run = await clientOf(first).start(waiting, "there", { id: "w" });
    await first.close();
    const second = await open();
    const handle = clientOf(second).get("w", { workflow: waiting });
    expect(await handle.describe()).toMatchObject({ runId: run.runId, status: "running" });
    await handle.signal(go);
    expect(await handle.result()).toBe("went there");
  });

  it("answers who waits when it closes, and takes nothing afterwards", async () => {
    const server = await open();
    const run = await clientOf(server).start(waiting, "x");
    const result = run.result().catch((error: unknown) => error);
    await expect.poll(async () => (await run.describe()).pid).toBeDefined();
    await server.close();
    expect(await result).toMatchObject({ code: "engine_closed" });
    await expect(run.describe()).rejects.toMatchObject({ code: "transport_failed" });
  });

  it("says that its port is taken, and claims nothing then", async () => {
    const first = await open();
    const other = mkdtempSync(path.join(tmpdir(), "aion-server-"));
    const refused = Server.open({ data: other, port: Number(new URL(first.url).port) });
    await expect(refused).rejects.toMatchObject({
      code: "transport_failed",
      message: expect.stringContaining("EADDRINUSE") as string,
    });
    expect(readdirSync(other)).toEqual([]);
    rmSync(other, { recursive: true });
  });

  it.each(["0.0.0.0", "::", "example.com"])("does not listen at %s without authentication", async (host) => {
    await expect(Server.open({ data, host, port: 0 })).rejects.toMatchObject({ code: "permission_denied" });
    expect(readdirSync(data)).toEqual([]);
  });

  it.each([
    [{}, "permission_denied"],
    [{ authentication: {} }, "permission_denied"],
    [{ behindTlsProxy: true }, "permission_denied"],
    // Let through: then it is a name that does not lead to this machine.
    [{ authentication: {}, behindTlsProxy: true }, "transport_failed"],
  ])(
    "listens where others reach it with authentication, and where TLS is, alone (%j)",
    async (options, code) => {
      await expect(Server.open({ data, host: "192.0.2.1", port: 0, ...options })).rejects.toMatchObject({
        code,
      });
    },
  );

  it.each([
    [{ workerSession: 0 }, "workerSession"],
    [{ residentMax: 0 }, "residentMax"],
    [{ payloadLimitBytes: -1 }, "payloadLimitBytes"],
    [{ workflows: [waiting, workflow("waiting", async () => 5)] }, "waiting"],
  ])("is not there with an option that none of its engines takes (%j)", async (options, named) => {
    const refused = Server.open({ data, port: 0, log: () => undefined, ...options });
    await expect(refused).rejects.toMatchObject({
      code: expect.stringMatching(/^(invalid_argument|definition_duplicate)$/) as string,
      message: expect.stringContaining(named) as string,
    });
  });

  it("says what is the matter with its directory", async () => {
    const file = path.join(data, "file");
    writeFileSync(file, "");
    await expect(Server.open({ data: file, port: 0 })).rejects.toMatchObject({ code: "store_unavailable" });
  });

  it("tells whether it lives and is ready", async () => {
    const server = await open();
    expect(await ask(server, "GET", "/health/live")).toMatchObject({ status: 200 });
    expect(await ask(server, "GET", "/health/ready")).toMatchObject({
      status: 200,
      text: '{"isReady":true}',
    });
  });
});

describe("the files of a server", () => {
  it("are those of its user alone, whatever else is in the directory", async () => {
    const server = await open({ authentication: {} });
    const namespaces = path.join(data, "namespaces");
    const files = [data, namespaces].flatMap((directory) =>
      readdirSync(directory, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => path.join(directory, name)),
    );
    expect(files.map((file) => path.basename(file))).toEqual(
      expect.arrayContaining([
        "keys.db",
        "keys.db-wal",
        "audit.db",
        "default.db",
        "default.db-wal",
        "default.db-shm",
      ]),
    );
    for (const file of files)
      expect([file, (statSync(file).mode & 0o777).toString(8)]).toEqual([file, "600"]);
    await server.close();
  });
});

// I-56
describe("namespaces", () => {
  it("know nothing of one another", async () => {
    const server = await open({ namespaces: ["one", "two"] });
    const [one, two] = [clientOf(server, "one"), clientOf(server, "two")];
    await one.start(waiting, "first", { id: "foreign-1" });
    expect(await one.count()).toBe(1);
    expect(await two.count()).toBe(0);
    const refusals = await Promise.all(
      ["foreign-1", "never-there"].map(async (id) => {
        const { status, text } = await ask(server, "GET", `/v1/namespaces/two/workflows/${id}`);
        return { status, text: text.replaceAll(id, "ID") };
      }),
    );
    expect(refusals[0]).toEqual(refusals[1]);
    expect(refusals[0]).toMatchObject({
      status: 404,
      text: expect.stringContaining("run_not_found") as string,
    });
    await two.start(waiting, "second", { id: "foreign-1" });
    await two.get("foreign-1").signal(go);
    expect(await two.get("foreign-1").result()).toBe("went second");
    expect(await one.get("foreign-1").describe()).toMatchObject({ status: "running" });
  });

  it("are made once, and are there after a restart", async () => {
    const first = await open();
    const made = await Promise.all([1, 2, 3].map(() => createNamespace({ url: first.url }, "team-1")));
    expect(made.filter(Boolean)).toHaveLength(1);
    await clientOf(first, "team-1").start(waiting, "x", { id: "w" });
    await first.close();
    const second = await open();
    expect(await listNamespaces({ url: second.url })).toEqual([
      { name: "default", state: "open" },
      { name: "team-1", state: "open" },
    ]);
    expect(await clientOf(second, "team-1").count()).toBe(1);
  });

  it("that are not there are not found", async () => {
    const server = await open();
    await expect(clientOf(server, "nobody").count()).rejects.toMatchObject({ code: "namespace_not_found" });
  });

  it.each(["", ".", "..", "A", "a_b", "-a", "a-", "a/b", "a.db", "a\u0000", "é", "x".repeat(64)])(
    "are not called %j",
    async (name) => {
      const server = await open();
      await expect(createNamespace({ url: server.url }, name)).rejects.toMatchObject({
        code: "invalid_argument",
      });
      expect(
        readdirSync(path.join(data, "namespaces")).filter((file) => !file.startsWith("default")),
      ).toEqual([]);
    },
  );

  // I-36
  it("whose file is damaged do not keep the others from being there", async () => {
    const first = await open({ namespaces: ["good", "bad"] });
    await first.close();
    writeFileSync(
      path.join(data, "namespaces", "bad.db"),
      "this is no database, and never was one".repeat(100),
    );
    const second = await open();
    expect(second.namespaces).toMatchObject([
      { name: "bad", state: "unavailable", error: expect.stringContaining("bad.db") as string },
      { name: "default", state: "open" },
      { name: "good", state: "open" },
    ]);
    await clientOf(second, "good").start(waiting, "x");
    const refusal: unknown = await clientOf(second, "bad")
      .count()
      .catch((error: unknown) => error);
    expect(isAionError(refusal) && refusal.code).toMatch(/^store_/);
    expect(logged).toContainEqual(
      expect.objectContaining({ level: "error", message: "a namespace cannot be opened" }),
    );
  });

  // I-36
  it("that are being opened again when the server closes are given up before that ends", async () => {
    const real = Engine.open.bind(Engine);
    const opened = Promise.withResolvers<Engine>();
    const gate = Promise.withResolvers<void>();
    vi.spyOn(Engine, "open")
      .mockRejectedValueOnce(new AionError("store_unavailable", "not yet"))
      .mockImplementationOnce(async (options) => {
        const engine = await real(options);
        opened.resolve(engine);
        await gate.promise;
        return engine;
      });
    const namespaces = new Namespaces({
      directory: data,
      engine: {},
      turns: new FairTurns(loopTurns),
      log: () => undefined,
      reopenMs: { first: 1, most: 1 },
    });
    await namespaces.open(["late"]);
    const close = vi.spyOn(await opened.promise, "close");
    const closing = namespaces.close(0);
    gate.resolve();
    await closing;
    expect(close).toHaveBeenCalled();
    // Nobody owns the file any more.
    const engine = await real({ store: `sqlite:${path.join(data, "late.db")}` });
    await engine.close();
    vi.restoreAllMocks();
  });
});

describe("a page in a browser of this machine", () => {
  const start = "/v1/namespaces/default/workflows";

  it.each([
    ["of another site", { origin: "https://evil.example" }],
    ["without a site", { origin: "null" }],
    ["under a name that was made to lead here", { host: "evil.example:4466" }],
    ["under a name that looks like this machine's", { host: "localhost.evil.example" }],
  ])("%s may not call the server", async (_what, headers) => {
    const server = await open();
    for (const [verb, at] of [
      ["GET", start],
      ["POST", start],
      ["GET", "/v1/namespaces"],
      ["POST", "/v1/namespaces"],
      ["GET", "/openapi.json"],
    ] as const) {
      const answer = await ask(server, verb, at, headers);
      expect([verb, at, answer.status]).toEqual([verb, at, 403]);
      expect(answer.text).toContain("permission_denied");
    }
  });

  it.each([{ origin: "http://localhost:5173" }, { host: "localhost" }, { host: "[::1]:4466" }])(
    "that came from it may (%j)",
    async (headers) => {
      const server = await open();
      expect(await ask(server, "GET", start, headers)).toMatchObject({ status: 200 });
    },
  );
});
