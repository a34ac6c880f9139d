import { describe, expect, it } from "vitest";
import type { PayloadCodec } from "../core/payload-codec.ts";
import type { Tracing } from "../core/tracing.ts";
import { Client } from "./client.ts";
import type { HttpCall } from "./http-answer.ts";
import { HttpService } from "./http-service.ts";
import { routes } from "./routes.ts";
import type { CallOptions, Service } from "./service.ts";

/** What a client does, by the call of the service that it makes for it. */
const calls: Readonly<Record<string, (client: Client, options: CallOptions) => Promise<unknown>>> = {
  start: (client, options) => client.start("order", 1, { id: "a", ...options }),
  signal: (client, options) => client.get("a").signal("go", 1, { signalId: "s", ...options }),
  query: (client, options) => client.get("a").query("stage", 1, options),
  update: (client, options) => client.get("a").update("move", 1, { updateId: "u", ...options }),
  updateResult: (client, options) => client.get("a").getUpdate("u").result(options),
  cancel: (client, options) => client.get("a").cancel("why", options),
  terminate: (client, options) => client.get("a").terminate("why", options),
  pause: (client, options) => client.get("a").pause("why", options),
  resume: (client, options) => client.get("a").resume("why", options),
  resumeActivity: (client, options) => client.get("a").resumeActivity({ ordinal: 1, ...options }),
  reopen: (client, options) => client.get("a").reopen("why", options),
  reset: (client, options) => client.get("a").reset({ toSeq: 3, ...options }),
  fork: (client, options) => client.get("a").fork("b", options),
  result: (client, options) => client.get("a").result(options),
  describe: (client, options) => client.get("a").describe(options),
  list: (client, options) => client.list({}, options).next(),
  count: (client, options) => client.count({}, options),
  history: (client, options) => client.get("a").history(options).next(),
  logs: (client, options) => client.get("a").logs(options).next(),
  feed: (client, options) => client.feed(options).next(),
  createSchedule: (client, options) => client.schedules.create("s", "order", 1, { every: "1h", ...options }),
  updateSchedule: (client, options) => client.schedules.get("s").update({ every: "2h", ...options }),
  describeSchedule: (client, options) => client.schedules.get("s").describe(options),
  listSchedules: (client, options) => client.schedules.list(options).next(),
  pauseSchedule: (client, options) => client.schedules.get("s").pause(options),
  resumeSchedule: (client, options) => client.schedules.get("s").resume(options),
  triggerSchedule: (client, options) => client.schedules.get("s").trigger(options),
  backfillSchedule: (client, options) => client.schedules.get("s").backfill({ from: 0, to: 1, ...options }),
  deleteSchedule: (client, options) => client.schedules.get("s").delete(options),
};

const codec: PayloadCodec = {
  encode: async (text) => JSON.stringify({ hidden: text }),
  decode: async (text) => text,
};
const tracing: Pick<Tracing, "within"> = {
  within: async (_span, work) => await work(undefined),
};

/** A client of a server that takes every call and answers none, through everything that may lie between. */
function unansweredClient(): {
  readonly client: Client;
  readonly asked: string[];
  readonly sent: HttpCall[];
  readonly isSent: Promise<void>;
} {
  const asked: string[] = [];
  const sent: HttpCall[] = [];
  const { promise: isSent, resolve: onSent } = Promise.withResolvers<void>();
  const remote = new HttpService({
    send: (call) => {
      sent.push(call);
      onSent();
      return new Promise(() => undefined);
    },
  });
  const service = new Proxy<Service>(remote, {
    get: (target, name: keyof Service) => {
      const method = target[name].bind(target) as (...given: readonly unknown[]) => unknown;
      return (...given: readonly unknown[]) => {
        asked.push(name);
        return method(...given);
      };
    },
  });
  return { client: new Client(service, { codec, tracing: tracing as Tracing }), asked, sent, isSent };
}

describe("a call whose signal fires", () => {
  it.each(Object.entries(calls))("is given up, and its request with it: %s", async (method, call) => {
    const { client, asked, sent, isSent } = unansweredClient();
    const controller = new AbortController();
    const reason = new Error("enough");
    const made = call(client, { abortSignal: controller.signal });
    await isSent;
    expect(asked).toEqual([method]);
    expect(sent[0]?.abortSignal?.aborted).toBe(false);
    controller.abort(reason);
    await expect(made).rejects.toBe(reason);
    expect(sent[0]?.abortSignal?.aborted).toBe(true);
  });

  it.each(Object.entries(calls))("is not made if it has fired: %s", async (_method, call) => {
    const { client, asked } = unansweredClient();
    const reason = new Error("enough");
    await expect(call(client, { abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(asked).toEqual([]);
  });

  it("may be any that a client makes", () => {
    const notOfClients = ["deploy", "listPackages", "listWorkers", "route", "unload"];
    expect([...Object.keys(calls), ...notOfClients].toSorted()).toEqual(Object.keys(routes).toSorted());
  });
});
