/** Who may do what at a server: every operation, every role, every id, over every transport. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demands } from "../../src/auth/policy.ts";
import { KeyStore } from "../../src/auth/key-store.ts";
import { roles } from "../../src/client/access.ts";
import type { Grant, Role } from "../../src/client/access.ts";
import { Client } from "../../src/client/index.ts";
import {
  apiPrefix,
  auditPath,
  callsPath,
  keysPath,
  namespacesPath,
  routes,
} from "../../src/client/routes.ts";
import type { Service } from "../../src/client/service.ts";
import type { AskedOperation } from "../../src/http/admission.ts";
import { operationsFor } from "../../src/http/operations.ts";
import { Server } from "../../src/server/server.ts";
import { receive, signal, workflow } from "../../src/workflow/index.ts";
import { callGrpc, callHttp, codeOf, toGrpcPath, toHttp, toStreamPath } from "./raw-call.ts";
import type { RawAnswer } from "./raw-call.ts";

const go = signal("go");
const waiting = workflow("waiting", async () => {
  await receive(go);
});

/** What each operation takes, said a second time: the table that it is held against. */
const expected = {
  start: "start",
  list: "read",
  count: "read",
  describe: "read",
  result: "read",
  history: "read",
  logs: "read",
  feed: "read",
  events: "read",
  query: "read",
  listPackages: "read",
  listWorkers: "read",
  signal: "signal",
  update: "signal",
  updateResult: "signal",
  cancel: "operate",
  terminate: "operate",
  pause: "operate",
  resume: "operate",
  resumeActivity: "operate",
  reopen: "operate",
  reset: "operate",
  fork: "operate",
  deploy: "deploy",
  route: "deploy",
  unload: "deploy",
  describeSchedule: "read",
  listSchedules: "read",
  createSchedule: "operate",
  updateSchedule: "operate",
  pauseSchedule: "operate",
  resumeSchedule: "operate",
  triggerSchedule: "operate",
  backfillSchedule: "operate",
  deleteSchedule: "operate",
  work: "work",
  calls: "known",
  listNamespaces: "known",
  createNamespace: "admin of all",
  listKeys: "admin of all",
  createKey: "admin of all",
  rotateKey: "admin of all",
  revokeKey: "admin of all",
  readAudit: "admin of all",
  describeApi: "anyone",
  metrics: "read of all",
} as const satisfies Record<AskedOperation, Role | "known" | "anyone" | "admin of all" | "read of all">;

const version = "ab".repeat(32);

/** A request of each operation that goes far enough to show that its caller was let in, and changes nothing. */
const requests = {
  start: { workflowType: "nobody-has-it", input: null },
  list: {},
  count: {},
  describe: { workflowId: "absent" },
  result: { workflowId: "absent" },
  history: { workflowId: "absent" },
  logs: { workflowId: "absent" },
  feed: { after: "oldest" },
  query: { workflowId: "absent", name: "q" },
  signal: { workflowId: "absent", name: "s", payload: null },
  update: { workflowId: "absent", name: "u", input: null },
  updateResult: { workflowId: "absent", updateId: "u-1" },
  cancel: { workflowId: "absent" },
  terminate: { workflowId: "absent" },
  pause: { workflowId: "absent" },
  resume: { workflowId: "absent" },
  resumeActivity: { workflowId: "absent" },
  reopen: { workflowId: "absent" },
  reset: { workflowId: "absent" },
  // Without the id of the fork: who gives one has to have the role `start`, too.
  fork: { workflowId: "absent" },
  deploy: { archive: Buffer.from("no package").toString("base64") },
  listPackages: {},
  listWorkers: {},
  route: { workflowTypes: ["t"], version },
  unload: { version },
  describeSchedule: { scheduleId: "absent" },
  listSchedules: {},
  // Without what it starts: who says that has to have the role `start`, too.
  createSchedule: { scheduleId: "absent" },
  updateSchedule: { scheduleId: "absent", overlap: "skip" },
  pauseSchedule: { scheduleId: "absent" },
  resumeSchedule: { scheduleId: "absent" },
  triggerSchedule: { scheduleId: "absent" },
  backfillSchedule: { scheduleId: "absent", fromAt: 1, toAt: 2 },
  deleteSchedule: { scheduleId: "absent" },
} as const satisfies Record<keyof Service, object>;

interface Way {
  readonly name: string;
  readonly operation: AskedOperation;
  readonly call: (namespace: string, token: string | undefined) => Promise<RawAnswer>;
}

let data: string;
let server: Server;
let keys: KeyStore;

const methods = Object.keys(routes) as (keyof Service)[];
const http =
  (verb: string, at: (namespace: string) => string, body?: object, headers = {}): Way["call"] =>
  (namespace, token) =>
    callHttp(
      { url: server.url, headers, ...(token === undefined ? {} : { token }) },
      verb,
      at(namespace),
      body === undefined ? undefined : JSON.stringify(body),
    );
const grpc =
  (at: string, message: (namespace: string) => object): Way["call"] =>
  (namespace, token) =>
    callGrpc({ url: server.url, ...(token === undefined ? {} : { token }) }, at, message(namespace));
const upgrade = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};
const registration = (namespace: string, taskQueues = ["default"]): object => ({
  register: {
    namespace,
    // The engine takes none of that version: who hears so was let in.
    protocol: 99,
    identity: "w",
    taskQueues,
    activityTypes: ["a"],
    capacity: 1,
  },
});
const workPath = "/aion.v1.WorkerService/Work";

/** Every way in which something can be asked. */
const ways: readonly Way[] = [
  ...methods.flatMap((operation): Way[] => [
    {
      name: `${operation} over HTTP`,
      operation,
      call: (namespace, token) =>
        callHttp(
          { url: server.url, ...(token === undefined ? {} : { token }) },
          ...toHttp(operation, namespace, requests[operation]),
        ),
    },
    {
      name: `${operation} over gRPC`,
      operation,
      call: grpc(toGrpcPath(operation), (namespace) => ({ namespace, ...requests[operation] })),
    },
  ]),
  ...(["run", "feed"] as const).flatMap((kind): Way[] => [
    {
      name: `events of a ${kind} as server-sent events`,
      operation: "events",
      call: http("GET", (namespace) => toStreamPath(kind, namespace, "absent")),
    },
    {
      name: `events of a ${kind} over a WebSocket`,
      operation: "events",
      call: http("GET", (namespace) => toStreamPath(kind, namespace, "absent"), undefined, upgrade),
    },
  ]),
  {
    name: "follow over gRPC",
    operation: "events",
    call: grpc(toGrpcPath("follow"), (namespace) => ({ namespace, workflowId: "absent" })),
  },
  {
    name: "watch over gRPC",
    operation: "events",
    call: grpc(toGrpcPath("watch"), (namespace) => ({ namespace, after: "no cursor" })),
  },
  { name: "work", operation: "work", call: grpc(workPath, (namespace) => registration(namespace)) },
  {
    name: "many calls",
    operation: "calls",
    call: http("POST", (namespace) => `${apiPrefix}${namespace}${callsPath}`, { calls: [] }),
  },
  { name: "namespaces", operation: "listNamespaces", call: http("GET", () => namespacesPath) },
  {
    name: "a new namespace",
    operation: "createNamespace",
    call: http("POST", () => namespacesPath, { name: "NO NAME" }),
  },
  { name: "keys", operation: "listKeys", call: http("GET", () => keysPath) },
  { name: "a new key", operation: "createKey", call: http("POST", () => keysPath, {}) },
  { name: "rotation", operation: "rotateKey", call: http("POST", () => `${keysPath}/none/rotate`, {}) },
  { name: "revocation", operation: "revokeKey", call: http("DELETE", () => `${keysPath}/none`) },
  { name: "the audit log", operation: "readAudit", call: http("GET", () => auditPath) },
  { name: "the document", operation: "describeApi", call: http("GET", () => "/openapi.json") },
  { name: "the metrics", operation: "metrics", call: http("GET", () => "/metrics") },
  { name: "the reference", operation: "describeApi", call: http("GET", () => "/docs") },
];

const refusals = new Set(["unauthenticated", "permission_denied", "namespace_not_found"]);
const byOperation = (of: (operation: AskedOperation) => boolean): readonly Way[] =>
  ways.filter(({ operation }) => of(operation));

function keyFor(...grants: readonly Grant[]): string {
  return keys.create({ subject: "test", grants }).token;
}

beforeAll(async () => {
  data = mkdtempSync(path.join(tmpdir(), "aion-access-"));
  server = await Server.open({
    data,
    port: 0,
    namespaces: ["own", "foreign"],
    workflows: [waiting],
    authentication: { failedAttemptsMax: 1_000_000 },
    log: () => undefined,
  });
  keys = new KeyStore(data);
  const token = keyFor({ roles: ["admin"], namespaces: "*" });
  for (const namespace of ["own", "foreign"]) {
    const client = new Client({ url: server.url, namespace, token, patience: 0 });
    await client.start(waiting, undefined, { id: `${namespace}-run` });
    await client.schedules.create(`${namespace}-run`, waiting, undefined, { cron: "0 0 29 2 *" });
  }
});

afterAll(async () => {
  keys.close();
  await server.close({ drain: 0 });
  rmSync(data, { recursive: true });
});

describe("every operation", () => {
  it("is asked in some way here, and demands what is written here", () => {
    expect(new Set(ways.map(({ operation }) => operation))).toEqual(new Set(Object.keys(demands)));
    for (const [operation, demand] of Object.entries(demands)) {
      const said = expected[operation as AskedOperation];
      if (demand.of === "namespace") expect([operation, demand.role]).toEqual([operation, said]);
      else if (demand.of === "server")
        expect([operation, `${demand.role} of all`]).toEqual([operation, said]);
      else expect([operation, demand.of]).toEqual([operation, said]);
    }
  });

  it.each([
    ["nothing", undefined],
    ["what is no token", "no-token"],
    ["a key that was never made", `aion_${"0".repeat(16)}_${"A".repeat(43)}`],
    ["a key with another secret", "other secret"],
    ["a token without an issuer", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."],
  ])("is refused to who shows %s", async (_what, shown) => {
    const token =
      shown === "other secret"
        ? `${keyFor({ roles: ["admin"], namespaces: "*" }).slice(0, -43)}${"A".repeat(43)}`
        : shown;
    for (const { name, call } of byOperation((operation) => operation !== "describeApi")) {
      for (const namespace of ["own", "foreign", "missing"]) {
        const answer = await call(namespace, token);
        expect([name, namespace, codeOf(answer)]).toEqual([name, namespace, "unauthenticated"]);
        expect(answer.headers).toContainEqual('www-authenticate: Bearer realm="aion"');
      }
    }
  });

  it.each(roles)("is allowed to the role %s of a namespace, or refused", async (role) => {
    const token = keyFor({ roles: [role], namespaces: ["own"] });
    for (const { name, operation, call } of ways) {
      const needs = expected[operation];
      const may =
        needs === "known" ||
        needs === "anyone" ||
        needs === role ||
        (role === "admin" && !needs.endsWith(" of all"));
      const code = codeOf(await call("own", token));
      expect([name, may ? refusals.has(code) : code]).toEqual([name, may ? false : "permission_denied"]);
    }
  });

  it.each(roles)("of the server takes the role admin in all namespaces, not %s", async (role) => {
    const token = keyFor({ roles: [role], namespaces: "*" });
    for (const { name, call } of byOperation((operation) => expected[operation] === "admin of all")) {
      const code = codeOf(await call("own", token));
      expect([name, code === "permission_denied"]).toEqual([name, role !== "admin"]);
    }
  });
});

describe("the metrics", () => {
  it.each(roles)("of all namespaces take a role that reads them all: %s", async (role) => {
    const [all, one] = [
      keyFor({ roles: [role], namespaces: "*" }),
      keyFor({ roles: [role], namespaces: ["own"] }),
    ];
    for (const { call } of byOperation((operation) => operation === "metrics")) {
      const may = role === "read" || role === "admin";
      expect((await call("own", all)).status).toBe(may ? 200 : 403);
      expect((await call("own", one)).status).toBe(403);
    }
  });
});

// I-56, C-12
describe("a namespace that the caller has no part in", () => {
  it.each(
    byOperation((operation) => demands[operation].of === "namespace").map(
      ({ name, call }) => [name, call] as const,
    ),
  )("answers %s to the byte as one that is not there", async (_name, call) => {
    const token = keyFor({ roles: ["admin"], namespaces: ["own"] });
    const [foreign, missing] = [await call("foreign", token), await call("missing", token)];
    expect(codeOf(foreign)).toBe("namespace_not_found");
    const renamed = JSON.parse(JSON.stringify(foreign).replaceAll("foreign", "missing")) as RawAnswer;
    expect(renamed).toEqual(missing);
    expect(refusals.has(codeOf(await call("own", token)))).toBe(false);
  });

  it("is not listed", async () => {
    const list = async (token: string): Promise<unknown> =>
      JSON.parse((await callHttp({ url: server.url, token }, "GET", namespacesPath)).body);
    expect(await list(keyFor({ roles: ["read"], namespaces: ["own", "missing"] }))).toEqual({
      namespaces: [{ name: "own", state: "open" }],
    });
    expect(await list(keyFor())).toEqual({ namespaces: [] });
  });

  it("is the one that is used, however it is written", async () => {
    const token = keyFor({ roles: ["read"], namespaces: ["own"] });
    for (const [written, code] of [
      ["%6fwn", "ok"],
      ["%66oreign", "namespace_not_found"],
      ["own%2f..%2fforeign", "namespace_not_found"],
      ["own%00", "namespace_not_found"],
      ["OWN", "namespace_not_found"],
      ["own/../foreign", "namespace_not_found"],
    ] as const) {
      const answer = await callHttp(
        { url: server.url, token },
        "GET",
        `${namespacesPath}/${written}/workflow-count`,
      );
      expect([written, codeOf(answer)]).toEqual([
        written,
        written.includes("/../") ? expect.stringMatching(/_not_found|endpoint_unknown/) : code,
      ]);
    }
    // None is the one that is called so, and not any other.
    expect(codeOf(await callGrpc({ url: server.url, token }, toGrpcPath("count"), {}))).toBe(
      "namespace_not_found",
    );
  });
});

/** Names of things that are looked up. */
const idFields = new Set(["workflowId", "runId", "parentWorkflowId", "version", "scheduleId"]);
/** Names that the caller makes up for the call itself. */
const ownNames = new Set(["requestId", "signalId", "updateId", "newWorkflowId", "after"]);

// I-56
describe("an id", () => {
  const fields = operationsFor(1_000).flatMap(({ method, form }) =>
    Object.keys(form.properties ?? {})
      .filter(
        (field) =>
          idFields.has(field) &&
          !(method === "start" && field === "workflowId") &&
          method !== "createSchedule",
      )
      .map((field) => [method, field] as const),
  );

  it("of every request is among those that are tried here", () => {
    for (const { method, form } of operationsFor(1_000)) {
      const stray = Object.keys(form.properties ?? {}).filter(
        (field) => /(?:Id|version)$/.test(field) && !idFields.has(field) && !ownNames.has(field),
      );
      expect([method, stray]).toEqual([method, []]);
    }
    expect(fields.length).toBeGreaterThan(15);
  });

  it.each(fields)(
    "of another namespace (%s by its %s) is one that is not there, to the byte",
    async (method, field) => {
      const admin = keyFor({ roles: ["admin"], namespaces: "*" });
      const token = keyFor({ roles: ["admin"], namespaces: ["own"] });
      const foreign = new Client({ url: server.url, namespace: "foreign", token: admin, patience: 0 });
      const { runId } = await foreign.get("foreign-run").describe();
      const there = field === "runId" ? runId : field === "version" ? version : "foreign-run";
      const absent = field === "version" ? "cd".repeat(32) : "x".repeat(there.length);
      const ask = async (id: string, over: "http" | "grpc"): Promise<RawAnswer> => {
        const request = {
          ...requests[method],
          ...(field === "runId" ? { workflowId: "own-run" } : {}),
          ...(method === "fork" ? { newWorkflowId: "made-here" } : {}),
          [field]: id,
        };
        const answer =
          over === "http"
            ? await callHttp({ url: server.url, token }, ...toHttp(method, "own", request))
            : await callGrpc({ url: server.url, token }, toGrpcPath(method), {
                namespace: "own",
                ...request,
              });
        const text = JSON.stringify(answer).replaceAll(id, "ID");
        return JSON.parse(text) as RawAnswer;
      };
      for (const over of ["http", "grpc"] as const) {
        const [one, other] = [await ask(there, over), await ask(absent, over)];
        expect(one).toEqual(other);
      }
      if (field === "version") return;
      // And the same of the caller's own is there.
      const own = new Client({ url: server.url, namespace: "own", token, patience: 0 });
      const mine = field === "runId" ? (await own.get("own-run").describe()).runId : "own-run";
      if (
        ["cancel", "terminate", "pause", "resume", "resumeActivity", "reopen", "deleteSchedule"].includes(
          method,
        )
      )
        return;
      const [found, lost] = [await ask(mine, "http"), await ask(absent, "http")];
      if (field !== "parentWorkflowId") expect(found).not.toEqual(lost);
    },
  );
});

describe("a start", () => {
  it("that ends the run before it takes the right to end runs, and one that signals the right to signal", async () => {
    const grant = { roles: ["start"], namespaces: ["own"] } as const;
    const token = keyFor(grant);
    const ask = async (more: object, by = token): Promise<readonly string[]> => [
      codeOf(
        await callHttp(
          { url: server.url, token: by },
          ...toHttp("start", "own", { ...requests.start, ...more }),
        ),
      ),
      codeOf(
        await callGrpc({ url: server.url, token: by }, toGrpcPath("start"), {
          namespace: "own",
          ...requests.start,
          ...more,
        }),
      ),
    ];
    const isLetIn = ["workflow_type_unknown", "grpc-3"];
    expect(await ask({})).toEqual(isLetIn);
    expect(await ask({ reuse: "terminate" })).toEqual(["permission_denied", "permission_denied"]);
    expect(await ask({ signal: { name: "s" } })).toEqual(["permission_denied", "permission_denied"]);
    const all = keyFor({ ...grant, roles: ["start", "operate", "signal"] });
    expect(await ask({ reuse: "terminate", signal: { name: "s" } }, all)).toEqual(isLetIn);
    // Roles of several grants add up, each where it was given.
    const apart = keyFor(grant, { roles: ["operate"], namespaces: ["foreign"] });
    expect(await ask({ reuse: "terminate" }, apart)).toEqual(["permission_denied", "permission_denied"]);
  });
});

describe("a worker", () => {
  it("serves the task queues that it may, and no other", async () => {
    const token = keyFor(
      { roles: ["work"], namespaces: ["own"], taskQueues: ["gpu"] },
      { roles: ["work"], namespaces: ["own"], taskQueues: ["cpu"] },
      { roles: ["work"], namespaces: ["foreign"] },
      { roles: ["read"], namespaces: ["own"], taskQueues: "*" },
    );
    const ask = async (namespace: string, taskQueues: string[]): Promise<string> =>
      codeOf(await callGrpc({ url: server.url, token }, workPath, registration(namespace, taskQueues)));
    expect(await ask("own", ["gpu"])).toBe("ok");
    expect(await ask("own", ["gpu", "cpu"])).toBe("ok");
    expect(await ask("own", ["gpu", "default"])).toBe("permission_denied");
    expect(await ask("foreign", ["default"])).toBe("ok");
  });
});

describe("many calls in one request", () => {
  it("are each judged by themselves", async () => {
    const token = keyFor({ roles: ["read"], namespaces: ["own"] });
    const calls = ["describe", "start", "signal", "cancel", "terminate", "query", "result"] as const;
    const body = { calls: calls.map((operation) => ({ operation, request: requests[operation] })) };
    const codesIn = async (namespace: string): Promise<readonly (readonly [string, unknown])[]> => {
      const answer = await http("POST", (name) => `${apiPrefix}${name}${callsPath}`, body)(namespace, token);
      const lines = answer.body.trim().split("\n");
      const answers = lines.map(
        (line) => JSON.parse(line) as { call: number; body?: { error?: { code?: string } } },
      );
      return answers
        .toSorted((left, right) => left.call - right.call)
        .map(({ call, body: { error } = {} }) => [calls[call] ?? "", error?.code]);
    };
    expect(await codesIn("own")).toEqual([
      ["describe", "run_not_found"],
      ["start", "permission_denied"],
      ["signal", "permission_denied"],
      ["cancel", "permission_denied"],
      ["terminate", "permission_denied"],
      ["query", "run_not_found"],
      ["result", "run_not_found"],
    ]);
    for (const namespace of ["foreign", "missing"])
      expect(await codesIn(namespace)).toEqual(calls.map((operation) => [operation, "namespace_not_found"]));
  });
});

it("a fork is made by who may operate and start", async () => {
  const request = { workflowId: "own-run", toSeq: 1, newWorkflowId: "forked" };
  const ask = async (held: readonly ("operate" | "start")[]): Promise<string> => {
    const token = keyFor({ roles: held, namespaces: ["own"] });
    return codeOf(await callHttp({ url: server.url, token }, ...toHttp("fork", "own", request)));
  };
  expect(await ask(["operate"])).toBe("permission_denied");
  expect(await ask(["start"])).toBe("permission_denied");
  expect(await ask(["operate", "start"])).toBe("ok");
});

describe("a schedule", () => {
  it("is made, and told what to start, by who may start that himself; who may only operate may do the rest", async () => {
    const operator = keyFor({ roles: ["operate"], namespaces: ["own"] });
    const both = keyFor({ roles: ["operate", "start"], namespaces: ["own"] });
    const action = { workflowType: "waiting", input: null };
    const spec = { crons: [{ expression: "0 0 29 2 *" }] };
    const ask = async (
      token: string,
      method: "createSchedule" | "updateSchedule" | "pauseSchedule",
      request: Readonly<Record<string, unknown>>,
    ): Promise<readonly string[]> => [
      codeOf(await callHttp({ url: server.url, token }, ...toHttp(method, "own", request))),
      codeOf(
        await callGrpc({ url: server.url, token }, toGrpcPath(method), { namespace: "own", ...request }),
      ),
    ];
    const made = { scheduleId: "made", spec, action };
    expect(await ask(operator, "createSchedule", made)).toEqual(["permission_denied", "permission_denied"]);
    expect(await ask(both, "createSchedule", made)).toEqual(["ok", "ok"]);
    const changed = { scheduleId: "made", action };
    expect(await ask(operator, "updateSchedule", changed)).toEqual([
      "permission_denied",
      "permission_denied",
    ]);
    expect(await ask(both, "updateSchedule", changed)).toEqual(["ok", "ok"]);
    expect(await ask(operator, "updateSchedule", { scheduleId: "made", spec })).toEqual(["ok", "ok"]);
    expect(await ask(operator, "pauseSchedule", { scheduleId: "made", note: "n" })).toEqual(["ok", "ok"]);
  });
});
