/** What one request, and one caller, may take: each a setting. */
import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { fetchSend } from "../../src/client/fetch-send.ts";
import { HttpService } from "../../src/client/http-service.ts";
import { nullPayload, toPayload } from "../../src/core/payload.ts";
import { closers, errorOf, events, input, readEvents, serve, under } from "./serve.ts";

const post = (url: string, path: string, body: string | Uint8Array<ArrayBuffer>): Promise<Response> =>
  fetch(under(url, path), { method: "POST", body });

describe("the limit", () => {
  it("of the body of a request is one for all but packages", async () => {
    const { url } = await serve(
      { deploy: async () => ({ version: "v", workflowTypes: [], isNew: true }) },
      { limits: { requestBytes: 100, packageBytes: 500 } },
    );
    const start = JSON.stringify({ workflowType: "t", input: "x".repeat(100) });
    expect(await errorOf(await post(url, "/workflows", start))).toMatchObject({
      status: 413,
      code: "payload_too_large",
      hint: expect.stringContaining("requestLimitBytes") as string,
    });
    expect((await post(url, "/packages", new Uint8Array(500))).status).toBe(201);
    expect(await errorOf(await post(url, "/packages", new Uint8Array(501)))).toMatchObject({ status: 413 });
  });

  it("of the body of a request holds for calls of the protocol, too, but for packages", async () => {
    const { url } = await serve(
      {
        pause: async () => undefined,
        deploy: async () => ({ version: "v", workflowTypes: [], isNew: true }),
      },
      { limits: { requestBytes: 100, packageBytes: 500 } },
    );
    const call = (name: string, message: object): Promise<Response> =>
      fetch(`${url}/aion.v1.${name}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(message),
      });
    const pause = (reason: string): Promise<Response> =>
      call("WorkflowService/Pause", { workflowId: "a", reason });
    expect((await pause("x")).status).toBe(200);
    expect(await (await pause("x".repeat(100))).json()).toMatchObject({
      code: "resource_exhausted",
      details: [
        {
          debug: { code: "payload_too_large", hint: expect.stringContaining("requestLimitBytes") as string },
        },
      ],
    });
    expect((await call("PackageService/Deploy", { archive: "A".repeat(400) })).status).toBe(200);
  });

  it("of calls in one request is told to a client, who sends fewer from then on", async () => {
    let count = 0;
    const { url } = await serve(
      {
        query: async () => {
          count += 1;
          return input;
        },
      },
      { limits: { callsPerRequest: 3 } },
    );
    const calls = Array.from({ length: 4 }, () => ({ operation: "describe", request: { workflowId: "a" } }));
    expect(await errorOf(await post(url, "/calls", JSON.stringify({ calls })))).toMatchObject({
      status: 400,
      code: "invalid_argument",
      details: { callsMax: 3 },
    });
    const sizes: number[] = [];
    const service = new HttpService({
      send: fetchSend({
        url,
        fetch: (to, init) => {
          // One that goes alone is no list.
          const { calls: sent } = JSON.parse(init?.body as string) as { readonly calls?: readonly unknown[] };
          sizes.push(sent?.length ?? 1);
          return fetch(to, init);
        },
      }),
      isTogether: true,
    });
    const ask = (): Promise<unknown> =>
      Promise.all(
        Array.from({ length: 7 }, () =>
          service.query({ workflowId: "a", name: "stage", input: nullPayload }),
        ),
      );
    await ask();
    expect(sizes).toEqual([7, 3, 3, 1]);
    expect(count).toBe(7);
    await ask();
    expect(sizes.slice(4)).toEqual([3, 3, 1]);
    expect(count).toBe(14);
  });

  it("of calls in one request stands in the description of the API", async () => {
    const { url } = await serve({}, { limits: { callsPerRequest: 3 } });
    const response = await fetch(`${url}/openapi.json`);
    expect(await response.text()).toContain('"maxItems":3');
  });

  it("of calls over one connection of HTTP/2 holds back those beyond it, until there is room", async () => {
    const answers: (() => void)[] = [];
    const { url } = await serve(
      {
        count: () => new Promise((resolve) => answers.push(() => resolve(1))),
      },
      { limits: { callsPerConnection: 2 } },
    );
    const session = connect(url);
    closers.push(() => session.destroy());
    const [settings] = (await once(session, "remoteSettings")) as [{ readonly maxConcurrentStreams: number }];
    expect(settings.maxConcurrentStreams).toBe(2);
    const ended: number[] = [];
    for (const index of [0, 1, 2]) {
      const stream = session.request({ ":path": new URL(under(url, "/workflow-count")).pathname });
      stream.resume().once("end", () => ended.push(index));
    }
    await expect.poll(() => answers.length).toBe(2);
    await setTimeout(50);
    expect(answers).toHaveLength(2);
    for (const answer of answers.splice(0)) answer();
    await expect.poll(() => answers.length).toBe(1);
    for (const answer of answers.splice(0)) answer();
    await expect.poll(() => ended.length).toBe(3);
  });

  it.each(["1.1", "2"])(
    "of what answers hold that are not taken cuts the largest off, and nobody who takes his: HTTP/%s",
    async (version) => {
      const mebibyte = 1024 * 1024;
      const logged: string[] = [];
      const { url, service } = await serve(
        { query: async () => toPayload("x".repeat(24 * mebibyte), "answer", 100 * mebibyte) },
        {
          payloadLimitBytes: 100 * mebibyte,
          limits: { unreadAnswersBytes: 60 * mebibyte },
          log: (_level, message) => logged.push(message),
        },
      );
      const ask = { workflowId: "a", name: "stage", input: nullPayload };
      const at = new URL(under(url, "/workflows/a/query"));
      const body = '{"name":"stage","input":null}';
      let cutCount = 0;
      const beginUnread = (): void => {
        if (version === "2") {
          const session = connect(url);
          closers.push(() => session.destroy());
          session.on("error", () => undefined);
          const head = { ":method": "POST", ":path": at.pathname, "content-type": "application/json" };
          const stream = session.request(head).on("error", () => undefined);
          stream.once("close", () => (cutCount += 1));
          stream.pause().end(body);
          return;
        }
        const socket = connectSocket(Number(at.port), at.hostname);
        closers.push(() => socket.destroy());
        socket.on("error", () => undefined).once("close", () => (cutCount += 1));
        socket
          .pause()
          .write(
            `POST ${at.pathname} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
          );
      };
      beginUnread();
      await setTimeout(800);
      expect([logged, cutCount]).toEqual([[], 0]);
      for (let count = 0; count < 5; count += 1) beginUnread();
      await expect.poll(() => logged).toContain("answers that were not taken were cut off");
      expect((await service.query(ask)).length).toBe(24 * mebibyte + 2);
      if (version === "2") await expect.poll(() => cutCount).toBeGreaterThanOrEqual(3);
    },
  );

  it("of streams that one caller has open is one for all protocols, and there is room again when one ends", async () => {
    const never = new Promise<never>(() => undefined);
    const { url } = await serve(
      {
        history: async ({ waitMs = 0 }) =>
          waitMs > 0 ? await never : { events: events.slice(0, 1), nextSeq: 2, isEnd: false },
      },
      { limits: { streamsPerCaller: 2 } },
    );
    const path = under(url, "/workflows/a/events");
    const open = async (): Promise<{ readonly close: () => void }> => {
      const over = new AbortController();
      const response = await fetch(path, { signal: over.signal });
      expect(response.status).toBe(200);
      await readEvents(response).next();
      return { close: () => over.abort() };
    };
    const isRoom = async (): Promise<boolean> => (await fetch(path, { method: "HEAD" })).ok;
    const first = await open();
    const socket = new WebSocket(path.replace("http:", "ws:"));
    await new Promise((resolve) => socket.addEventListener("message", resolve));
    expect(await errorOf(await fetch(path))).toMatchObject({ status: 429, code: "too_many_streams" });
    first.close();
    await expect.poll(isRoom).toBe(true);
    const second = await open();
    const follow = await fetch(`${url}/aion.v1.WorkflowService/Follow`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: enveloped('{"workflowId": "a"}'),
    });
    expect(await follow.text()).toContain("resource_exhausted");
    second.close();
    socket.close();
    await expect.poll(isRoom).toBe(true);
  });
});

function enveloped(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text);
  const message = new Uint8Array(5 + bytes.length);
  new DataView(message.buffer).setUint32(1, bytes.length);
  message.set(bytes, 5);
  return message;
}
