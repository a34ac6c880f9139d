/** Many calls in one request, as somebody meets them who does not read their answers. */
import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:http2";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Payload } from "../../src/core/payload.ts";
import { closers, serve, under } from "./serve.ts";

const transports: readonly (readonly [string, (url: string, body: string) => Promise<Readable>])[] = [
  [
    "HTTP/1.1",
    async (url, body) => {
      const sent = request(url, { method: "POST", headers: { "content-type": "application/json" } });
      closers.push(() => sent.destroy());
      sent.end(body);
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      return response;
    },
  ],
  [
    "HTTP/2",
    async (url, body) => {
      const { origin, pathname } = new URL(url);
      const session = connect(origin);
      closers.push(() => session.destroy());
      const stream = session.request({ ":method": "POST", ":path": pathname });
      stream.end(body);
      await once(stream, "response");
      return stream;
    },
  ],
];

const callCount = 100;
const textOf = (index: number): string => `${index} `.padEnd(500_000, "é");

it.each(transports)(
  "large answers that are not taken are not held, and come when they are (%s)",
  async (_name, send) => {
    const asked: string[] = [];
    const { url } = await serve({
      result: async ({ workflowId }) => {
        asked.push(workflowId);
        const result = JSON.stringify(textOf(Number(workflowId))) as Payload;
        return { status: "completed", runId: "r1", result };
      },
      signal: async ({ workflowId }) => void asked.push(workflowId),
    });
    const calls = Array.from({ length: callCount }, (_, index) => ({
      operation: "result",
      request: { workflowId: String(index), waitMs: 0 },
    }));
    const signal = { operation: "signal", request: { workflowId: "last", name: "s", payload: null } };
    const response = await send(under(url, "/calls"), JSON.stringify({ calls: [...calls, signal] }));
    await delay(300);
    // Of those that are begun in one turn each is asked for; who changes something does not wait for others to be taken.
    expect(asked.length).toBeLessThan(60);
    expect(asked).toContain("last");

    let text = "";
    response.setEncoding("utf8");
    for await (const part of response) text += String(part);
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { call: number; status: number; body?: { result: string } });
    expect(lines.map(({ call }) => call).toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: callCount + 1 }, (_, index) => index),
    );
    for (const { call, status, body } of lines) {
      expect([status, body?.result === (call === callCount ? undefined : textOf(call))]).toEqual([
        call === callCount ? 204 : 200,
        true,
      ]);
    }
    expect(asked.length).toBeLessThan(callCount + 60);
  },
);

it.each(transports)(
  "what waits for its result keeps no other that comes after it (%s)",
  async (_name, send) => {
    const released = Promise.withResolvers<undefined>();
    const { url } = await serve({
      result: async ({ workflowId, waitMs }) => {
        if (waitMs > 0) await released.promise;
        const result = JSON.stringify(textOf(Number(workflowId))) as Payload;
        return { status: "completed", runId: "r1", result };
      },
    });
    const calls = Array.from({ length: callCount }, (_, index) => ({
      operation: "result",
      request: { workflowId: String(index), waitMs: index % 10 === 9 ? 20_000 : 0 },
    }));
    const response = await send(under(url, "/calls"), JSON.stringify({ calls }));
    await delay(100);
    let lineCount = 0;
    response.setEncoding("utf8");
    for await (const part of response) {
      lineCount += String(part).split("\n").length - 1;
      if (lineCount === callCount * 0.9) released.resolve(undefined);
    }
    expect(lineCount).toBe(callCount);
  },
);
