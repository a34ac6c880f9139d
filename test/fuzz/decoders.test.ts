/**
 * Every border that takes what others made up: values of its form are taken and come back as they were; all else is refused with a
 * code. `npm run fuzz -- --minutes N` runs the same for longer, from other seeds.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import fc from "fast-check";
import { z } from "zod";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfiguration } from "../../src/cli/configuration.ts";
import { parseStoreUrl } from "../../src/cli/connect.ts";
import { parseInstant } from "../../src/cli/instant.ts";
import { parseJsonOption, UsageError } from "../../src/cli/usage.ts";
import { parseServerUrl } from "../../src/client/fetch-send.ts";
import { HttpService } from "../../src/client/http-service.ts";
import { eventFromJson, eventToJson } from "../../src/client/json-form.ts";
import type { JsonObject } from "../../src/client/json-form.ts";
import type { Service } from "../../src/client/service.ts";
import { decodeRow, encodeRow } from "../../src/core/codec.ts";
import type { NewEvent } from "../../src/core/codec.ts";
import type { Duration } from "../../src/core/duration.ts";
import { parseDuration } from "../../src/core/duration.ts";
import type { Event } from "../../src/core/event.ts";
import { parseName, parseRunId, parseWorkflowId } from "../../src/core/ids.ts";
import { parsePayload } from "../../src/core/payload.ts";
import { parseRetryPolicy } from "../../src/core/retry.ts";
import { fromToken, toToken } from "../../src/engine/task-token.ts";
import { parseWorkerFrame } from "../../src/engine/worker-frames.ts";
import { accessSchemas } from "../../src/http/access.ts";
import { callsSchema } from "../../src/http/calls.ts";
import { events as eventForms } from "../../src/http/forms.ts";
import { toStreamRequest, pagesOf, streamForms } from "../../src/http/event-stream.ts";
import { WorkRequestSchema, WorkResponseSchema } from "../../src/http/gen/aion/v1/workers_pb.ts";
import { operationsFor, readQuery } from "../../src/http/operations.ts";
import { plain } from "../../src/http/plain-json.ts";
import { parseJson } from "../../src/http/request-context.ts";
import { parseRequest } from "../../src/http/requests.ts";
import { places, toRequest } from "../../src/http/rpc.ts";
import {
  fromWorkRequest,
  fromWorkResponse,
  toWorkRequest,
  toWorkResponse,
} from "../../src/http/worker-frames.ts";
import { readArchive, writeArchive } from "../../src/package/archive.ts";
import { checkSourceMap, parseManifest, parseSchemas } from "../../src/package/manifest.ts";
import type { Manifest } from "../../src/package/manifest.ts";
import type { EngineFrame, WorkerFrame } from "../../src/protocol/frames.ts";
import { parseNamespace } from "../../src/server/namespaces.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { parseCursor } from "../../src/store/commit.ts";
import { decodeLog, encodeLog } from "../../src/store/run-log.ts";
import type { LogLine } from "../../src/store/run-log.ts";
import { events as eventsOfAllForms } from "../http/serve.ts";
import { spoiled, spoiledBytes, spoiledText, valuesOf } from "./json.ts";
import type { JsonForm } from "./json.ts";
import { decodeUnderLaw } from "./law.ts";

const minutes = Number(process.env["AION_FUZZ_MINUTES"] ?? 0);
/** Of one border, in a run of `npm test`. */
const numRuns = minutes === 0 ? 150 : 1_000_000_000;
const borderCount = 30;
const msPerBorder = (minutes * 60_000) / borderCount;
const settings: fc.Parameters<unknown> =
  minutes === 0
    ? { numRuns }
    : { numRuns, interruptAfterTimeLimit: msPerBorder, markInterruptAsFailure: false, seed: Date.now() };
const testTimeoutMs = minutes === 0 ? 30_000 : msPerBorder + 60_000;

function fuzz<Input>(input: fc.Arbitrary<Input>, law: (input: Input) => Promise<void>): Promise<void> {
  return fc.assert(fc.asyncProperty(input, law), settings as fc.Parameters<[Input]>);
}

const directory = mkdtempSync(path.join(tmpdir(), "aion-fuzz-"));
afterAll(() => rmSync(directory, { recursive: true }));
const isUsage = (error: unknown): boolean => error instanceof UsageError && error.error.code !== "internal";

const operations = operationsFor(10_000);

describe("requests over HTTP", () => {
  it.each(operations.map((operation) => [operation.method, operation] as const))(
    "%s",
    async (method, { schema, form }) => {
      expect.hasAssertions();
      const values = valuesOf(form);
      // Of what the form allows, something is taken.
      let takenCount = 0;
      for (const value of fc.sample(values, { numRuns: 300, seed: 1 })) {
        const { code } = await decodeUnderLaw(() => parseRequest(schema, value, method));
        if (code === undefined) takenCount += 1;
      }
      const needsMore = new Set(["deploy", "route", "unload"]).has(method);
      if (!needsMore) expect(takenCount).toBeGreaterThan(0);
      await fuzz(spoiled(values), async (value) => {
        await decodeUnderLaw(() => parseRequest(schema, value, method));
      });
      const query: fc.Arbitrary<readonly (readonly [string, string])[]> = fc.array(
        fc.tuple(
          fc.oneof(
            fc.constantFrom<string>(...Object.keys(form.properties ?? { a: 1 }), "__proto__", "constructor"),
            fc.string(),
          ),
          fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("1", "true", "1e999", "-0", "NaN", "[]")),
        ),
        { maxLength: 8 },
      );
      await fuzz(query, async (pairs) => {
        const text = new URLSearchParams(
          pairs.map(([field, value]): [string, string] => [field, value.toWellFormed()]),
        ).toString();
        await decodeUnderLaw(() => parseRequest(schema, readQuery(new URLSearchParams(text), form), method));
      });
    },
    testTimeoutMs,
  );

  it(
    "many in one, for keys and of the audit log, and what is no JSON",
    async () => {
      expect.hasAssertions();
      const schemas = { ...accessSchemas, calls: callsSchema };
      for (const [name, schema] of Object.entries(schemas)) {
        const values = valuesOf(z.toJSONSchema(schema, { io: "input" }) as JsonForm);
        await fuzz(spoiled(values), async (value) => {
          await decodeUnderLaw(() => parseRequest<unknown>(schema, value, name));
        });
      }
      const body = JSON.stringify({ calls: [{ operation: "start", request: { workflowType: "é" } }] });
      await fuzz(spoiledBytes(fc.constant(new TextEncoder().encode(body))), async (bytes) => {
        const { value } = await decodeUnderLaw(() => parseJson(bytes));
        if (value !== undefined) await decodeUnderLaw(() => parseRequest(callsSchema, value, "calls"));
      });
    },
    testTimeoutMs,
  );

  it(
    "subscriptions to streams",
    async () => {
      expect.hasAssertions();
      const service = {
        history: async () => ({ events: [], nextSeq: 1, isEnd: true }),
        feed: async () => ({ events: [], nextCursor: "", isAtHead: true }),
      } as unknown as Service;
      const kinds = fc.constantFrom("run" as const, "feed" as const);
      const request = fc.tuple(
        kinds,
        spoiledText(fc.constant("fromSeq=1&types=TimerFired&after=1.2.3")),
        fc.string(),
      );
      await fuzz(request, async ([kind, text, id]) => {
        await decodeUnderLaw(async () => {
          const asked = toStreamRequest({
            kind,
            params: kind === "run" ? { workflowId: id } : {},
            query: new URLSearchParams(text.toWellFormed()),
            lastEventId: id === "" ? undefined : id,
          });
          expect(Object.keys(streamForms)).toContain(asked.kind);
          const controller = new AbortController();
          const pages = pagesOf(service, asked, controller.signal);
          await pages.next();
          controller.abort();
          await pages.return(undefined);
        });
      });
    },
    testTimeoutMs,
  );
});

const uint32Max = 2 ** 32 - 1;

describe("requests over gRPC", () => {
  it.each(operations.map((operation) => [operation.method, operation] as const))(
    "%s, as bytes",
    async (method, { schema, form }) => {
      const [service, local] = places[method];
      const desc = service.method[local]?.input;
      if (desc === undefined) throw new Error(`the protocol has no ${local}`);
      const { archive: _archive, ...properties } = form.properties ?? {};
      const required = form.required?.filter((field) => field in properties) ?? [];
      // As large as a whole number may be there.
      const values = valuesOf(
        JSON.parse(JSON.stringify({ ...form, properties, required }), (key, value: unknown) =>
          key === "maximum" && Number(value) > uint32Max ? uint32Max : value,
        ) as JsonForm,
      );
      // The same request as over HTTP, whichever way it comes.
      const bytesOf = (value: unknown): Uint8Array =>
        toBinary(desc, fromJson(desc, plain({ ...(value as object), namespace: "n" })));
      let takenCount = 0;
      for (const value of fc.sample(values, { numRuns: 100, seed: 1 })) {
        const { namespace, ...request } = toRequest(
          { input: desc } as DescMethod,
          fromBinary(desc, bytesOf(value)),
        );
        const [over, direct] = [
          await decodeUnderLaw(() => parseRequest(schema, request, method)),
          await decodeUnderLaw(() => parseRequest(schema, value, method)),
        ];
        expect([namespace, over.code]).toEqual(["n", direct.code]);
        takenCount += 1;
      }
      expect(takenCount).toBe(100);
      await fuzz(spoiledBytes(values.map(bytesOf)), async (bytes) => {
        let message: Message;
        try {
          message = fromBinary(desc, bytes);
        } catch {
          // Connect answers that with `invalid_argument`.
          return;
        }
        await decodeUnderLaw(() =>
          parseRequest(schema, toRequest({ input: desc } as DescMethod, message), method),
        );
      });
    },
    testTimeoutMs,
  );
});

const name = fc.string({ unit: fc.constantFrom("a", "b", "c", "é", "-", ":"), minLength: 1, maxLength: 20 });
const payload = fc.json({ maxDepth: 3 }).map((text) => JSON.stringify(JSON.parse(text)));
const failure: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  failure: fc.record(
    {
      kind: fc.constantFrom(
        "application",
        "activity",
        "child",
        "timeout",
        "cancelled",
        "terminated",
        "engine",
      ),
      message: fc.string(),
      type: name,
      nonRetryable: fc.constant(true),
      details: payload,
      stack: fc.string(),
      attempt: fc.integer({ min: 1, max: 9 }),
      timeout: fc.constantFrom("heartbeat", "start-to-close"),
      cause: fc.option(tie("failure"), { nil: undefined, maxDepth: 3, depthIdentifier: "cause" }),
    },
    { requiredKeys: ["kind", "message"] },
  ),
})).failure;
const workerFrames: fc.Arbitrary<unknown> = fc.oneof(
  fc.record(
    {
      type: fc.constant("register"),
      protocol: fc.constant(1),
      identity: name,
      taskQueues: fc.uniqueArray(name, { minLength: 1, maxLength: 5 }),
      activityTypes: fc.uniqueArray(name, { minLength: 1, maxLength: 5 }),
      capacity: fc.integer({ min: 1, max: 10_000 }),
      build: name,
      session: name,
      held: fc.array(name, { maxLength: 3 }),
      unacknowledged: fc.array(name, { maxLength: 3 }),
    },
    {
      requiredKeys: [
        "type",
        "protocol",
        "identity",
        "taskQueues",
        "activityTypes",
        "capacity",
        "held",
        "unacknowledged",
      ],
    },
  ),
  fc.record({
    type: fc.constant("report"),
    token: name,
    outcome: fc.oneof(
      fc.record({ kind: fc.constant("completed"), result: payload }),
      fc.record({ kind: fc.constant("failed"), failure }),
    ),
  }),
  fc.record(
    { type: fc.constant("heartbeat"), token: name, details: payload },
    { requiredKeys: ["type", "token"] },
  ),
  fc.constantFrom({ type: "ready" }, { type: "alive" }, { type: "drain" }, { type: "leave" }),
);
const engineFrames: fc.Arbitrary<unknown> = fc.oneof(
  fc.record(
    {
      type: fc.constant("task"),
      token: name,
      activityType: name,
      workflowId: name,
      runId: name,
      attempt: fc.integer({ min: 1, max: 9 }),
      idempotencyKey: name,
      input: payload,
      lastHeartbeat: payload,
      heartbeatMs: fc.integer({ min: 1, max: 100_000 }),
    },
    {
      requiredKeys: [
        "type",
        "token",
        "activityType",
        "workflowId",
        "runId",
        "attempt",
        "idempotencyKey",
        "input",
      ],
    },
  ),
  fc.record({
    type: fc.constant("cancel"),
    token: name,
    reason: fc.constantFrom("requested", "timed-out", "closed"),
  }),
  fc.record({ type: fc.constant("refused"), message: fc.string(), isFinal: fc.boolean() }),
  fc.constantFrom({ type: "alive" }, { type: "closing" }),
);

describe("frames of workers", () => {
  it(
    "that are as they should be come back as they were, over messages too; others end the connection",
    async () => {
      await fuzz(workerFrames, async (frame) => {
        const { value } = await decodeUnderLaw(() => parseWorkerFrame(frame));
        expect(value).toEqual(JSON.parse(JSON.stringify(frame)));
        const bytes = toBinary(WorkRequestSchema, toWorkRequest(frame as WorkerFrame));
        const over = parseWorkerFrame(fromWorkRequest(fromBinary(WorkRequestSchema, bytes)));
        expect(over).toEqual(JSON.parse(JSON.stringify(frame)));
      });
      await fuzz(spoiled(workerFrames), async (frame) => {
        await decodeUnderLaw(() => parseWorkerFrame(frame));
      });
    },
    testTimeoutMs,
  );

  it(
    "as bytes",
    async () => {
      expect.hasAssertions();
      const bytes = workerFrames.map((frame) =>
        toBinary(WorkRequestSchema, toWorkRequest(frame as WorkerFrame)),
      );
      await fuzz(spoiledBytes(bytes), async (raw) => {
        let message;
        try {
          message = fromBinary(WorkRequestSchema, raw);
        } catch {
          // Connect answers that with `invalid_argument`.
          return;
        }
        await decodeUnderLaw(() => parseWorkerFrame(fromWorkRequest(message)));
      });
    },
    testTimeoutMs,
  );

  it(
    "of engines, as bytes",
    async () => {
      const toBytes = (frame: unknown) => toBinary(WorkResponseSchema, toWorkResponse(frame as EngineFrame));
      await fuzz(engineFrames, async (frame) => {
        const over = fromWorkResponse(fromBinary(WorkResponseSchema, toBytes(frame)));
        expect(over).toEqual(JSON.parse(JSON.stringify(frame)));
      });
      await fuzz(spoiledBytes(engineFrames.map(toBytes)), async (raw) => {
        let message;
        try {
          message = fromBinary(WorkResponseSchema, raw);
        } catch {
          return;
        }
        await decodeUnderLaw(() => fromWorkResponse(message));
      });
    },
    testTimeoutMs,
  );

  it(
    "name tasks by tokens that nobody has to believe",
    async () => {
      const claims = fc.tuple(fc.nat(), name, name, fc.nat(), fc.integer({ min: 1, max: 99 }));
      await fuzz(claims, async ([epoch, workflowId, runId, ordinal, attempt]) => {
        const claim = {
          address: { workflowId: parseWorkflowId(workflowId), runId: parseRunId(runId), ordinal },
          attempt,
          epoch,
        };
        expect(fromToken(toToken(claim))).toEqual(claim);
      });
      await fuzz(spoiledText(fc.constant('[1,"w","r",0,1]')), async (token) => {
        await decodeUnderLaw(() => fromToken(token));
      });
    },
    testTimeoutMs,
  );
});

const manifest: Manifest = {
  format: 1,
  aion: "0.1.0",
  entry: "order.ts",
  workflows: [{ type: "fulfil", input: "described", output: "any", signals: ["approval"] }],
  activities: [{ type: "charge", input: "opaque", options: { startToCloseMs: 30_000, taskQueue: "gpu" } }],
  signals: [{ name: "approval", payload: "any" }],
  queries: [{ name: "stage", input: "any", output: "any" }],
  updates: [{ name: "move", input: "any", output: "any" }],
};
const schemas = {
  workflows: { fulfil: { input: { type: "object" } } },
  activities: {},
  signals: {},
  queries: {},
  updates: {},
};

describe("packages", () => {
  it(
    "as archives",
    async () => {
      expect.hasAssertions();
      const archive = writeArchive({
        manifest,
        schemas,
        libraries: "",
        script: "(function (require, module, exports) {\n})\n",
        sourceMap: '{"version":3,"sources":["order.ts"],"mappings":""}',
      });
      expect(readArchive(archive).manifest).toEqual(manifest);
      await fuzz(spoiledBytes(fc.constant(archive)), async (bytes) => {
        const { code } = await decodeUnderLaw(() => readArchive(bytes));
        // One content, one archive: no other bytes are it.
        if (!Buffer.from(bytes).equals(archive)) expect(code).toBeDefined();
      });
    },
    testTimeoutMs,
  );

  it(
    "in their parts",
    async () => {
      expect.hasAssertions();
      await fuzz(spoiled(fc.constant(manifest)), async (value) => {
        await decodeUnderLaw(() => parseManifest(JSON.stringify(value) ?? ""));
      });
      await fuzz(spoiled(fc.constant(schemas)), async (value) => {
        await decodeUnderLaw(() => parseSchemas(JSON.stringify(value) ?? "", manifest));
      });
      const map = { version: 3, sources: ["a.ts"], sourcesContent: [""], names: [], mappings: "AAAA;;CADA" };
      await fuzz(spoiled(fc.constant(map)), async (value) => {
        await decodeUnderLaw(() => checkSourceMap(JSON.stringify(value) ?? ""));
      });
      await fuzz(spoiledText(fc.constant(JSON.stringify(manifest))), async (text) => {
        await decodeUnderLaw(() => parseManifest(text));
        await decodeUnderLaw(() => parseSchemas(text, manifest));
        await decodeUnderLaw(() => checkSourceMap(text));
      });
    },
    testTimeoutMs,
  );
});

describe("what lies in a store", () => {
  const key = { workflowId: parseWorkflowId("a"), firstSeq: 1 };

  it(
    "as rows of events",
    async () => {
      expect.hasAssertions();
      const rows = fc
        .subarray(eventsOfAllForms, { minLength: 1 })
        .map((some) => encodeRow(some as readonly NewEvent[]));
      await fuzz(rows, async (row) => {
        const events = decodeRow(row, key);
        expect(encodeRow(events)).toBe(row);
      });
      await fuzz(spoiledText(rows), async (row) => {
        const { code } = await decodeUnderLaw(() => decodeRow(row, key));
        if (code !== undefined) expect(["history_corrupt", "event_unknown"]).toContain(code);
      });
      await fuzz(spoiled(rows.map((row) => JSON.parse(row) as unknown)), async (value) => {
        await decodeUnderLaw(() => decodeRow(JSON.stringify(value) ?? "", key));
      });
    },
    testTimeoutMs,
  );

  it(
    "as lines that workflow code said",
    async () => {
      const entries = fc.array(
        fc.record({ level: fc.constantFrom("info", "warn"), message: fc.string(), fields: payload }),
        { minLength: 1 },
      );
      await fuzz(entries, async (lines) => {
        const [encoded] = encodeLog([{ seq: 1, saidAt: 5, lines: lines as unknown as readonly LogLine[] }]);
        expect(decodeLog({ seq: 1, saidAt: 5, text: encoded?.text ?? "" }).lines).toEqual(lines);
      });
      await fuzz(spoiledText(entries.map((lines) => JSON.stringify(lines))), async (text) => {
        const { code } = await decodeUnderLaw(() => decodeLog({ seq: 1, saidAt: 5, text }));
        if (code !== undefined) expect(code).toBe("store_corrupt");
      });
    },
    testTimeoutMs,
  );

  it(
    "behind cursors",
    async () => {
      expect.hasAssertions();
      const store = openMemoryStore({ clock: { now: () => 5 } });
      await store.claim({ leaseMs: 1_000, feed: { keepMs: 1_000 } });
      await fuzz(spoiledText(fc.constantFrom("1.0.0", "5.1.3", "12", "oldest", "")), async (cursor) => {
        await decodeUnderLaw(() => parseCursor(cursor));
        await decodeUnderLaw(() => store.readFeed({ after: cursor, limit: 10 }));
        await decodeUnderLaw(() => store.list({}, { limit: 10, cursor }));
      });
      await store.close();
    },
    testTimeoutMs,
  );
});

describe("what people write", () => {
  it(
    "as durations, instants, names, addresses and policies",
    async () => {
      expect.hasAssertions();
      // They are told back to who wrote them.
      const own = { messageMax: 1_000_000 };
      const texts = spoiledText(
        fc.constantFrom(
          "30s",
          "2 days",
          "1h 30m",
          "2026-03-01T09:00:00Z",
          "1700000000000",
          "sqlite:a.db",
          "http://127.0.0.1:4466/x",
          "default",
        ),
      );
      await fuzz(texts, async (text) => {
        const { value } = await decodeUnderLaw(() => parseDuration(text), own);
        if (value !== undefined) expect(Number.isFinite(value)).toBe(true);
        const { value: at } = await decodeUnderLaw(() => parseInstant(text, 5), own);
        if (at !== undefined) expect(Number.isFinite(at)).toBe(true);
        for (const parse of [parseWorkflowId, parseRunId, parseNamespace, parseServerUrl, parseStoreUrl])
          await decodeUnderLaw(() => parse(text), own);
        await decodeUnderLaw(() => parseName(text, "name"), own);
        await decodeUnderLaw(() => parsePayload(text, "payload", 1_000), own);
        await decodeUnderLaw(() => parseJsonOption(text, "--input"), {
          alsoThrows: isUsage,
          messageMax: 1_000_000,
        });
      });
      const policy = fc.constant({
        maxAttempts: 3,
        initialDelay: "1s",
        backoff: "linear",
        jitter: 0.2,
        maxDelay: 5,
      });
      await fuzz(spoiled(policy), async (value) => {
        await decodeUnderLaw(() => parseRetryPolicy(value as Parameters<typeof parseRetryPolicy>[0]), own);
        const { value: ms } = await decodeUnderLaw(() => parseDuration(value as Duration), own);
        if (typeof value !== "string" && typeof value !== "number") expect(ms).toBeUndefined();
      });
    },
    testTimeoutMs,
  );

  it(
    "as configuration: a file, variables, flags",
    async () => {
      expect.hasAssertions();
      const file = path.join(directory, "aion.config.json");
      const config = fc.constant({ host: "127.0.0.1", port: 0, logLevel: "info", activationBudget: "1s" });
      const texts = fc.oneof(
        spoiled(config).map((value) => JSON.stringify(value) ?? ""),
        spoiledText(config.map((value) => JSON.stringify(value))),
      );
      await fuzz(fc.tuple(texts, fc.string({ unit: "binary" })), async ([text, variable]) => {
        writeFileSync(file, text);
        await decodeUnderLaw(() => loadConfiguration({ config: file }, {}), {
          alsoThrows: isUsage,
          messageMax: 1_000_000,
        });
        await decodeUnderLaw(() => loadConfiguration({ port: variable }, { AION_LOG_LEVEL: variable }), {
          alsoThrows: isUsage,
          messageMax: 1_000_000,
        });
      });
    },
    testTimeoutMs,
  );
});

/** What is meant within itself. */
const failureForm: JsonForm = {
  type: "object",
  properties: { kind: { const: "application" }, message: { type: "string" }, details: {} },
  required: ["kind", "message"],
};

describe("what a client takes for an answer", () => {
  it.each(Object.entries(eventForms))("events as they are told: %s", async (_type, schema) => {
    const form = JSON.parse(
      JSON.stringify(z.toJSONSchema(schema, { io: "output" })),
      (_key, value: unknown) =>
        typeof value === "object" && value !== null && "$ref" in value ? failureForm : value,
    ) as JsonForm;
    // What may be anything is a payload, which is text to programs.
    const isAny = ({ type, const: one, anyOf, enum: some }: JsonForm): boolean =>
      [type, one, anyOf, some].every((part) => part === undefined);
    const payloads = Object.entries(form.properties ?? {}).flatMap(([field, of]) =>
      isAny(of) ? [field] : [],
    );
    await fuzz(valuesOf(form), async (json) => {
      const { value } = await decodeUnderLaw(() => eventFromJson(json as JsonObject));
      for (const field of payloads.filter((of) => of in (value as object)))
        expect([field, typeof (value as JsonObject)[field]]).toEqual([field, "string"]);
      expect(JSON.parse(JSON.stringify(eventToJson(value as Event)))).toEqual(
        JSON.parse(JSON.stringify(json)),
      );
    });
  });

  it(
    "from anything that listens at the address",
    async () => {
      const replies: fc.Arbitrary<unknown> = fc.constantFrom(
        { runId: "r", workflowId: "a", isNew: true },
        { events: eventsOfAllForms.map((event) => ({ ...event })), nextSeq: 2, isEnd: true },
        {
          events: [{ cursor: "1.2.3", workflowId: "a", event: eventsOfAllForms[0] }],
          nextCursor: "1.2.4",
          isAtHead: true,
        },
        {
          status: "failed",
          runId: "r",
          failure: { kind: "application", message: "m", cause: { kind: "engine", message: "n" } },
        },
        {
          status: "running",
          pendingActivities: [{ ordinal: 0, lastFailure: { kind: "engine", message: "m" } }],
          input: 1,
        },
        { runs: [], nextCursor: "12" },
        { error: { code: "run_not_found", message: "m", details: {} } },
      );
      const answers = fc.tuple(
        fc.constantFrom(200, 201, 204, 400, 404, 409, 500, 503),
        fc.oneof(
          spoiled(replies).map((value) => JSON.stringify(value) ?? ""),
          spoiledText(replies.map((value) => JSON.stringify(value))),
        ),
      );
      const calls: readonly ((service: HttpService) => Promise<unknown>)[] = [
        (service) => service.start({ workflowType: "t", input: "1" as never }),
        (service) => service.history({ workflowId: "a", fromSeq: 1, limit: 1 }),
        (service) => service.feed({ limit: 1 }),
        (service) => service.result({ workflowId: "a", waitMs: 0 }),
        (service) => service.describe({ workflowId: "a" }),
        (service) => service.list({ filter: {}, limit: 1 }),
        (service) => service.query({ workflowId: "a", name: "q", input: "1" as never }),
      ];
      await fuzz(fc.tuple(answers, fc.nat({ max: calls.length - 1 })), async ([[status, text], which]) => {
        const service = new HttpService({ send: async () => ({ status, text }) });
        // An error that an answer tells of may have any code, and be any bug of the server.
        if (text.includes('"internal"') || status >= 400) {
          await calls[which]?.(service).catch((error: unknown) => expect(error).toHaveProperty("code"));
          return;
        }
        await decodeUnderLaw(() => calls[which]?.(service));
      });
    },
    testTimeoutMs,
  );
});
