/** Serves the API of a made-up service over HTTP, at a free port of loopback. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { afterEach } from "vitest";
import { fetchSend } from "../../src/client/fetch-send.ts";
import { HttpService } from "../../src/client/http-service.ts";
import type { Service } from "../../src/client/service.ts";
import { AionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import { nullPayload, toPayload } from "../../src/core/payload.ts";
import { answerHttp } from "../../src/http/node-http.ts";
import type { HttpOptions } from "../../src/http/node-http.ts";

export const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

type Overrides = Partial<Service>;

function fakeService(overrides: Overrides): Service {
  const unexpected = async (): Promise<never> => {
    throw new TypeError("not expected to be called");
  };
  return {
    start: unexpected,
    signal: unexpected,
    query: unexpected,
    update: unexpected,
    updateResult: unexpected,
    cancel: unexpected,
    terminate: unexpected,
    pause: unexpected,
    resume: unexpected,
    resumeActivity: unexpected,
    reopen: unexpected,
    reset: unexpected,
    fork: unexpected,
    result: unexpected,
    describe: unexpected,
    list: unexpected,
    count: unexpected,
    history: unexpected,
    logs: unexpected,
    feed: unexpected,
    deploy: unexpected,
    listPackages: unexpected,
    listWorkers: unexpected,
    route: unexpected,
    unload: unexpected,
    createSchedule: unexpected,
    updateSchedule: unexpected,
    describeSchedule: unexpected,
    listSchedules: unexpected,
    pauseSchedule: unexpected,
    resumeSchedule: unexpected,
    triggerSchedule: unexpected,
    backfillSchedule: unexpected,
    deleteSchedule: unexpected,
    ...overrides,
  };
}

interface Served {
  readonly url: string;
  readonly service: HttpService;
  readonly server: Server;
  readonly close: () => Promise<void>;
}

/** Serves at a free port; the service is what a client has of it. */
export async function serve(overrides: Overrides, options: Partial<HttpOptions> = {}): Promise<Served> {
  const fake = fakeService(overrides);
  const answers = answerHttp({
    serviceOf: (namespace) => {
      if (namespace === "default") return fake;
      throw new AionError("namespace_not_found", `there is no namespace ${JSON.stringify(namespace)}`);
    },
    payloadLimitBytes: 2_000,
    version: "1.2.3",
    ...options,
  });
  const server = createServer({ pauseOnConnect: true }, (socket) => answers.take(socket));
  const url = await listen(server);
  const close = async (): Promise<void> => {
    server.close();
    await answers.close();
  };
  closers.push(close);
  return { url, service: new HttpService({ send: fetchSend({ url }) }), server, close };
}

export async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export const under = (url: string, path: string): string => `${url}/v1/namespaces/default${path}`;

export async function errorOf(
  response: Response,
): Promise<{ readonly status: number; readonly code: string; readonly message: string }> {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, ...error };
}

export const input = toPayload(
  { amount: 5, note: '"é\n', nothing: null, list: [1.5, -0.25, 1e300] },
  "input",
);

export const failure = {
  kind: "activity",
  message: "no",
  of: "charge",
  cause: { kind: "application", message: "declined", type: "Declined", details: input },
} as const;

/** An event of each form that has a payload somewhere. */
export const events = [
  {
    type: "WorkflowStarted",
    runId: "r1",
    workflowType: "t",
    version: "inline",
    input,
    signals: [{ name: "s", payload: input }],
  },
  { type: "ActivityScheduled", ordinal: 0, activityType: "charge", input, options: {} },
  { type: "ActivityFailed", ordinal: 0, attempt: 1, failure, heartbeat: input },
  { type: "ActivityCompleted", ordinal: 0, attempt: 1, result: toPayload("text", "result") },
  { type: "SignalReceived", name: "s", payload: nullPayload },
  { type: "SideEffectRecorded", ordinal: 0, value: toPayload(7, "value") },
  { type: "WorkflowFailed", failure },
].map((body, index) => ({
  ...body,
  seq: index + 1,
  recordedAt: 5 + index,
  workflowId: "a",
})) as unknown as Event[];

export interface SentEvent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: unknown;
}

/** Reads server-sent events as they are laid down: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export async function* readEvents(response: Response): AsyncGenerator<SentEvent> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(
        block
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      const event = fields.get("event");
      if (event !== undefined)
        yield { id: fields.get("id"), event, data: JSON.parse(fields.get("data") ?? "null") };
    }
  }
}
