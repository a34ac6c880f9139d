/** An engine behind HTTP, met by the same client as one in this process. */
import { createServer } from "node:net";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Client, fromAttributes } from "../../src/client/index.ts";
import { apiPrefix, routes } from "../../src/client/routes.ts";
import type { Route } from "../../src/client/routes.ts";
import type { FeedEvent, Service } from "../../src/client/service.ts";
import { Engine } from "../../src/embedded/engine.ts";
import { ScheduleService } from "../../src/http/gen/aion/v1/schedules_pb.ts";
import { answerHttp } from "../../src/http/node-http.ts";
import { replyNames, replySchemas } from "../../src/http/replies.ts";
import {
  ApplicationFailure,
  activity,
  expose,
  query,
  receive,
  signal,
  sleep,
  workflow,
} from "../../src/workflow/index.ts";
import { closers, listen, readEvents } from "./serve.ts";

const charge = activity("charge", async ({ amount }: { amount: number }) => `paid ${amount}`);
const approval = signal("approval", z.object({ by: z.string() }));
const stage = query("stage", z.string());
const order = workflow("order", { input: z.object({ amount: z.number() }) }, async ({ amount }) => {
  let at = "new";
  expose(stage, () => at);
  const paid = await charge({ amount });
  at = "paid";
  const { by } = await receive(approval);
  await sleep(1);
  return { paid, by, nothing: null };
});
const failing = workflow("failing", async () => {
  throw new ApplicationFailure("declined", { type: "Declined", details: { card: [1, "2"] } });
});

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function* take<Item>(items: AsyncIterable<Item>, count: number): AsyncGenerator<Item> {
  let taken = 0;
  for await (const item of items) {
    yield item;
    taken += 1;
    if (taken === count) return;
  }
}

let engine: Engine;
let remote: Client;
let url: string;
/** What was answered to which call, as it went over the wire. */
let answered: {
  readonly verb: string;
  readonly path: string;
  readonly status: number;
  readonly body: unknown;
}[];

beforeEach(async () => {
  engine = await Engine.open({
    store: "memory:",
    feed: true,
    workflows: [order, failing],
    activities: [charge],
  });
  const answers = answerHttp({
    serviceOf: () => engine.service,
    payloadLimitBytes: 100_000,
    version: "1.2.3",
  });
  const server = createServer({ pauseOnConnect: true }, (socket) => answers.take(socket));
  url = await listen(server);
  answered = [];
  remote = new Client({
    url,
    patience: 0,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      const text = await response.clone().text();
      answered.push({
        verb: init?.method ?? "GET",
        path: new URL(typeof input === "string" ? input : url).pathname,
        status: response.status,
        body: text === "" ? undefined : JSON.parse(text),
      });
      return response;
    },
  });
  closers.push(async () => {
    server.close();
    await answers.close();
    await engine.close();
  });
});

function methodOf(verb: string, path: string): keyof Service {
  const isOf = ({ verb: routeVerb, path: routePath }: Route): boolean =>
    verb === routeVerb &&
    new RegExp(`^${apiPrefix}default${routePath.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path);
  const found = Object.entries(routes).find(([, route]) => isOf(route));
  if (found === undefined) throw new Error(`no route of ${verb} ${path}`);
  return found[0] as keyof Service;
}

describe("a client of a server", () => {
  it("does what a client of an engine does, and is answered the same", async () => {
    const run = await remote.start(order, { amount: 5 }, { id: "o 1/é", requestId: "q" });
    expect(run).toMatchObject({ workflowId: "o 1/é", isNew: true });
    const again = await remote.start(order, { amount: 5 }, { id: "o 1/é", requestId: "q" });
    expect(again).toMatchObject({ runId: run.runId, isNew: false });
    const follow = (async () => {
      const types: string[] = [];
      for await (const event of run.follow()) types.push(event.type);
      return types;
    })();
    await expect.poll(() => run.query(stage)).toBe("paid");
    await run.signal(approval, { by: "ann" });
    expect(await run.result()).toEqual({ paid: "paid 5", by: "ann", nothing: null });
    const events = await all(engine.client.get("o 1/é").history());
    expect(await follow).toEqual(events.map(({ type }) => type));
    expect(await all(remote.get("o 1/é").history())).toEqual(events);
    expect(await remote.get("o 1/é").describe()).toEqual(await engine.client.get("o 1/é").describe());

    const failed = await remote.start("failing");
    const [here, there] = await Promise.all(
      [engine.client.get(failed.workflowId), failed].map((handle) =>
        handle.result().catch((error: unknown) => error),
      ),
    );
    expect(there).toEqual(here);
    expect(there).toMatchObject({ type: "Declined", details: { card: [1, "2"] } });
    expect(await all(remote.list())).toEqual(await all(engine.client.list()));
    expect(await remote.count({ status: "failed" })).toBe(1);

    const waiting = await remote.start(order, { amount: 7 });
    await waiting.cancel("no need");
    await expect(waiting.result()).rejects.toMatchObject({
      message: expect.stringContaining("cancel") as string,
    });
    const other = await remote.start(order, { amount: 8 });
    await other.terminate();
    await expect(other.result()).rejects.toMatchObject({ kind: "terminated" });
    await expect(other.signal(approval, { by: "bob" })).rejects.toMatchObject({ code: "run_closed" });
    await expect(remote.start("unknown")).rejects.toMatchObject({ code: "workflow_type_unknown" });
    await engine.service.listPackages({});
    await engine.service.listWorkers({});

    // What the document says of answers is what they are, and nothing is left out of it.
    for (const { verb, path, status, body } of answered) {
      if (status >= 400) continue;
      const name = replyNames[methodOf(verb, path)];
      if (name === undefined) expect([status, body]).toEqual([204, undefined]);
      else expect(replySchemas[name].parse(body)).toEqual(body);
    }
    expect(new Set(answered.map(({ verb, path }) => methodOf(verb, path))).size).toBe(10);
  });

  it("finds runs by their search attributes, which go there and back as they are", async () => {
    const attributes = {
      customer: "c & 1",
      amount: 99.5,
      due: new Date(1e12),
      tags: ["a,b", "é"],
      vip: true,
    };
    await remote.start(order, { amount: 5 }, { id: "one", attributes });
    await remote.start(order, { amount: 6 }, { id: "two", attributes: { customer: "c & 1", amount: 7 } });
    await remote.start(order, { amount: 7 }, { id: "three" });
    const where = {
      customer: "c & 1",
      amount: { above: 7 },
      due: { to: new Date(1e12) },
      tags: ["a,b", "x"],
    };
    for (const client of [remote, engine.client]) {
      const found = await all(
        client.list({ where, status: "running" }, { withAttributes: true, pageSize: 1 }),
      );
      expect(found.map((run) => [run.workflowId, fromAttributes(run.attributes ?? {})])).toEqual([
        ["one", attributes],
      ]);
      expect(await client.count({ where: ['customer="c & 1"', "amount<=7"] })).toBe(1);
      expect(await client.count({ where: ["customer exists"] })).toBe(2);
      expect((await client.get("one").describe()).attributes).toEqual({ ...attributes, due: { at: 1e12 } });
      const [first] = await all(take(client.feed({ after: "oldest", filter: { where: { amount: 7 } } }), 1));
      expect(first?.workflowId).toBe("two");
      const refused = { code: "invalid_argument", message: expect.stringContaining("amount!=7") as string };
      await expect(client.count({ where: ["amount!=7"] })).rejects.toMatchObject(refused);
      await expect(all(client.list({ where: ["amount!=7"] }))).rejects.toMatchObject(refused);
    }
    // As anybody would ask, without a client.
    const asked = "where=customer%3D%22c%20%26%201%22&where=amount%3E%3D99&withAttributes=true";
    const page = (await (await fetch(`${url}${apiPrefix}default/workflows?${asked}`)).json()) as object;
    expect(page).toMatchObject({
      runs: [{ workflowId: "one", attributes: { amount: 99.5, due: { at: 1e12 }, tags: ["a,b", "é"] } }],
    });
    const stream = await fetch(`${url}${apiPrefix}default/events?after=oldest&where=amount%3D7`);
    for await (const { data } of readEvents(stream)) {
      expect(data).toMatchObject({
        workflowId: "two",
        event: { attributes: { amount: 7 } },
      });
      break;
    }
    const refused = async (bad: unknown): Promise<readonly unknown[]> => {
      const answer = await fetch(`${url}${apiPrefix}default/workflows`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ workflowType: "order", input: { amount: 1 }, attributes: bad }),
      });
      return [answer.status, await answer.json()];
    };
    expect(await refused({ "a b": 1 })).toMatchObject([400, { error: { code: "attribute_invalid" } }]);
    expect(await refused({ a: [1] })).toMatchObject([
      400,
      {
        error: {
          message: expect.stringContaining("attributes.a: an attribute is a text, a number") as string,
        },
      },
    ]);
  });

  it("schedules hand on search attributes that came over HTTP and gRPC, and say which", async () => {
    const attributes = { source: "nightly", since: new Date(1e12), tags: ["a,b", "é"], level: 2.5, on: true };
    const sent = { ...attributes, since: { at: 1e12 } };
    const spec = { every: "1 day" };
    const overHttp = await remote.schedules.create("s", order, { amount: 5 }, { ...spec, attributes });
    const client = createClient(ScheduleService, createGrpcTransport({ baseUrl: url }));
    const namespace = "default";
    const action = { workflowType: "order", input: fromJson(ValueSchema, { amount: 6 }) };
    await client.createSchedule({
      namespace,
      scheduleId: "g",
      spec: { intervals: [{ everyMs: 86_400_000 }] },
      overlap: "allow-all",
      action: { ...action, attributes: sent },
    });
    const overGrpc = remote.schedules.get("g");
    for (const schedule of [overHttp, overGrpc]) {
      const { scheduleId } = schedule;
      expect((await schedule.describe()).action.attributes).toEqual(sent);
      const told = await client.describeSchedule({ namespace, scheduleId });
      expect(told.action?.attributes).toEqual(sent);
      await schedule.trigger();
    }
    const where = { source: "nightly", since: { from: new Date(1e12) }, tags: "é", level: 2.5, on: true };
    await expect.poll(() => remote.count({ where })).toBe(2);
    // None takes them away; what is refused changes nothing.
    const refused = { code: "attribute_invalid" };
    await expect(
      overHttp.update({ workflow: order, input: { amount: 5 }, attributes: { "a b": 1 } }),
    ).rejects.toMatchObject(refused);
    await expect(
      client.updateSchedule({ namespace, scheduleId: "g", action: { ...action, attributes: { a: [1] } } }),
    ).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect((await overGrpc.describe()).action.attributes).toEqual(sent);
    await client.updateSchedule({
      namespace,
      scheduleId: "g",
      action: { ...action, attributes: { a: "b" } },
    });
    await overHttp.update({ workflow: order, input: { amount: 5 } });
    expect((await overGrpc.describe()).action.attributes).toEqual({ a: "b" });
    expect((await overHttp.describe()).action.attributes).toBeUndefined();
    await overGrpc.trigger();
    await expect.poll(() => remote.count({ where: ["a=b"] })).toBe(1);
  });

  it("follows the events of all runs, and goes on where the connection broke", async () => {
    const ids = ["a", "b", "c"];
    for (const id of ids)
      await (await remote.start(order, { amount: 1 }, { id })).signal(approval, { by: id });
    for (const id of ids) await remote.get(id).result();
    const expected = new Map<string, unknown[]>();
    for (const id of ids) expected.set(id, await all(engine.client.get(id).history()));
    const total = [...expected.values()].flat().length;

    const fed: FeedEvent[] = [];
    for await (const item of remote.feed({ after: "oldest" })) if (fed.push(item) === total) break;
    for (const id of ids) {
      expect(fed.filter(({ workflowId }) => workflowId === id).map(({ event }) => event)).toEqual(
        expected.get(id),
      );
    }

    // As server-sent events, with a connection that breaks after every fourth.
    const cursors: string[] = [];
    while (cursors.length < total) {
      const last = cursors.at(-1);
      const response = await fetch(`${url}${apiPrefix}default/events?after=oldest`, {
        headers: last === undefined ? {} : { "last-event-id": last },
      });
      let count = 0;
      for await (const { id } of readEvents(response)) {
        if (id === undefined) continue;
        cursors.push(id);
        count += 1;
        if (count === 4 || cursors.length === total) break;
      }
    }
    expect(cursors).toEqual(fed.map(({ cursor }) => cursor));
    const missing = await fetch(`${url}${apiPrefix}default/events?after=nonsense`);
    expect(missing.status).toBe(400);
  });

  it("waits for a result for as long as it takes, or until it is called off", async () => {
    const run = await remote.start(order, { amount: 5 });
    await expect(run.result({ timeout: 30 })).rejects.toMatchObject({ code: "result_timeout" });
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("enough")), 30);
    await expect(run.result({ abortSignal: abort.signal })).rejects.toThrow("enough");
    const events = run.follow({ abortSignal: AbortSignal.timeout(50) });
    await expect(
      (async () => {
        for await (const _ of events);
      })(),
    ).rejects.toThrow(/timeout/);
    await run.signal(approval, { by: "ann" });
    expect(await run.result()).toMatchObject({ by: "ann" });
  });
});
