/** What goes on record of what is asked of a server. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeyStore } from "../../src/auth/key-store.ts";
import { createKey, readAudit, revokeKey } from "../../src/client/access.ts";
import type { AuditEntry } from "../../src/client/access.ts";
import { Client } from "../../src/client/index.ts";
import { Server } from "../../src/server/server.ts";
import { receive, signal, workflow } from "../../src/workflow/index.ts";
import { callGrpc, callHttp, toGrpcPath, toHttp } from "./raw-call.ts";

const go = signal<string>("go");
const waiting = workflow("waiting", async (_text: string) => {
  await receive(go);
  await receive(go);
});

let data: string;
let server: Server;
let token: string;

beforeEach(async () => {
  data = mkdtempSync(path.join(tmpdir(), "aion-audited-"));
  const keys = new KeyStore(data);
  ({ token } = keys.create({ subject: "root", grants: [{ roles: ["admin"], namespaces: "*" }] }));
  keys.close();
  server = await Server.open({
    data,
    port: 0,
    workflows: [waiting],
    authentication: {},
    behindTlsProxy: true,
    log: () => undefined,
  });
});

afterEach(async () => {
  await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

async function entries(): Promise<readonly AuditEntry[]> {
  const page = await readAudit({ url: server.url, token }, { limit: 100 });
  return page.entries.toReversed();
}

describe("the audit log of a server", () => {
  it("has who changed what, from where, and what became of it; and nothing of who only looked", async () => {
    const client = new Client({ url: server.url, token, patience: 0 });
    const run = await client.start(waiting, "a payload that is nobody's business", {
      id: "w",
      requestId: "q",
    });
    await run.describe();
    await client.count();
    await run.signal(go, "another payload");
    await client
      .get("nobody")
      .cancel()
      .catch(() => undefined);
    await callGrpc({ url: server.url, token }, toGrpcPath("terminate"), {
      workflowId: "w",
      reason: "why not",
    });
    const { key, token: secret } = await createKey(
      { url: server.url, token },
      { subject: "ann", grants: [{ roles: ["read"], namespaces: ["default"] }] },
    );
    await revokeKey({ url: server.url, token }, key.id);
    const all = await entries();
    expect(all.map(({ operation, outcome }) => [operation, outcome])).toEqual([
      ["start", "ok"],
      ["signal", "ok"],
      ["cancel", "run_not_found"],
      ["terminate", "ok"],
      ["createKey", "ok"],
      ["revokeKey", "ok"],
    ]);
    const [started, signalled, , , made, revoked] = all;
    expect(started).toMatchObject({
      subject: "key:root",
      keyId: expect.stringMatching(/^\w{16}$/) as string,
      namespace: "default",
      address: "127.0.0.1",
      ids: { workflowType: "waiting", workflowId: "w", requestId: "q", runId: run.runId },
    });
    expect(signalled?.ids).toMatchObject({ workflowId: "w", name: "go" });
    expect([made?.ids["keyId"], revoked?.ids["keyId"]]).toEqual([key.id, key.id]);
    await server.close({ drain: 0 });
    for (const name of readdirSync(data).filter((file) => file.startsWith("audit"))) {
      const content = readFileSync(path.join(data, name), "latin1");
      for (const kept of [
        "nobody's business",
        "another payload",
        "why not",
        secret.slice(22),
        token.slice(22),
      ])
        expect([name, content.includes(kept)]).toEqual([name, false]);
    }
  });

  it("tells which point a run was reset to, and which activity was decided on how, and not with what", async () => {
    const client = new Client({ url: server.url, token, patience: 0 });
    const run = await client.start(waiting, "a", { id: "w" });
    const copy = await run.reset({ toSeq: 1 });
    await run
      .resumeActivity({ ordinal: 7, activity: "charge", result: "a result that is nobody's business" })
      .catch(() => undefined);
    await callGrpc({ url: server.url, token }, toGrpcPath("resumeActivity"), { workflowId: "w" });
    const [, reset, decided, all] = await entries();
    expect(reset).toMatchObject({
      operation: "reset",
      ids: { workflowId: "w", toSeq: "1", runId: copy.runId, resetFrom: run.runId },
    });
    expect(decided).toMatchObject({
      operation: "resumeActivity",
      ids: { workflowId: "w", ordinal: "7", activityType: "charge", outcome: "complete" },
      outcome: "activity_not_parked",
    });
    // As it is asked for: all of them, once more.
    expect(Object.keys(all?.ids ?? {}).toSorted()).toEqual(["workflowId"]);
    expect(JSON.stringify(await entries())).not.toContain("nobody's business");
  });

  it("has refusals, whoever was refused", async () => {
    const { token: reader } = await createKey(
      { url: server.url, token },
      { subject: "ann", grants: [{ roles: ["read"], namespaces: ["default"] }] },
    );
    const ask = async (by: string | undefined, namespace: string, headers = {}) =>
      await callHttp(
        { url: server.url, headers, ...(by === undefined ? {} : { token: by }) },
        ...toHttp("terminate", namespace, { workflowId: "w" }),
      );
    await ask(undefined, "default", { "x-forwarded-for": "203.0.113.9, 198.51.100.2" });
    await ask(`${token.slice(0, -2)}AA`, "default");
    await ask(reader, "default");
    await ask(reader, "elsewhere");
    await callHttp(
      { url: server.url, token: reader },
      ...toHttp("start", "default", { workflowType: "t", workflowId: "w" }),
    );
    const [, ...refused] = await entries();
    expect(refused).toMatchObject([
      // What the proxy has seen, and not what it was told.
      { operation: "terminate", outcome: "unauthenticated", address: "198.51.100.2" },
      { operation: "terminate", outcome: "unauthenticated", address: "127.0.0.1" },
      { operation: "terminate", outcome: "permission_denied", subject: "key:ann", namespace: "default" },
      { operation: "terminate", outcome: "namespace_not_found", subject: "key:ann", namespace: "elsewhere" },
      { operation: "start", outcome: "permission_denied", subject: "key:ann" },
    ]);
    expect(refused[0]).not.toHaveProperty("subject");
  });

  it("keeps what it cannot hold from being done", async () => {
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path.join(data, "audit.db"));
    database.exec("ALTER TABLE entries RENAME TO away");
    const client = new Client({ url: server.url, token, patience: 0 });
    await expect(client.start(waiting, "x", { id: "w" })).rejects.toMatchObject({
      code: "audit_unavailable",
    });
    expect(await client.count()).toBe(0);
    database.exec("ALTER TABLE away RENAME TO entries");
    database.close();
    await client.start(waiting, "x", { id: "w" });
    expect(await client.count()).toBe(1);
  });
});
