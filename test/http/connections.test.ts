/** Connections that nobody uses, and those that are gone before they are. */
import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { Socket, connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import { peerOf } from "../../src/http/peer.ts";
import { serve } from "./serve.ts";

function closeOf(socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

describe("a connection of HTTP/2", () => {
  it("without a call is closed, however often it pings", async () => {
    const { url } = await serve({}, { idleTimeoutMs: 300 });
    const session = connectHttp2(url);
    const pings = setInterval(() => {
      if (!session.destroyed && !session.closed) session.ping(() => undefined);
    }, 20);
    session.on("error", () => undefined);
    await once(session, "close");
    clearInterval(pings);
    expect(session.destroyed).toBe(true);
  });

  it("stays for as long as it has one", async () => {
    const asked = Promise.withResolvers<{ runs: [] }>();
    const { url } = await serve({ list: async () => await asked.promise }, { idleTimeoutMs: 100 });
    const session = connectHttp2(url);
    const stream = session.request({ ":path": "/v1/namespaces/default/workflows" });
    const answered = once(stream, "response");
    await delay(500);
    expect(session.closed).toBe(false);
    asked.resolve({ runs: [] });
    await answered;
    stream.resume();
    await once(session, "close");
  });

  it("that is just ending keeps nobody from stopping", async () => {
    const { url, close } = await serve({ list: async () => ({ runs: [] }) }, { idleTimeoutMs: 100 });
    const session = connectHttp2(url);
    session.request({ ":path": "/v1/namespaces/default/workflows" }).resume();
    await once(session, "close");
    let isCut = false;
    const wait = globalThis.setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation((act: () => void, ms?: number) =>
      wait(() => {
        // That is how long calls that are under way are waited for.
        isCut ||= ms === 5_000;
        act();
      }, ms),
    );
    await close();
    expect(isCut).toBe(false);
  });
});

describe("a caller that is gone", () => {
  it("is not taken for one of this machine", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const caller = connect((server.address() as AddressInfo).port, "127.0.0.1");
    caller.on("error", () => undefined);
    const [accepted] = (await once(server, "connection")) as [Socket];
    expect(peerOf(accepted)).toEqual({ address: "127.0.0.1" });
    caller.resetAndDestroy();
    await closeOf(accepted);
    // As it was when it came.
    expect(peerOf(accepted)).toEqual({ address: "127.0.0.1" });
    expect(peerOf(new Socket())).toEqual({ address: "unknown" });
    server.close();
  });

  it.each([
    ["let in", undefined],
    ["refused", new AionError("unauthenticated", "nobody is let in here")],
  ])("before its call is %s is no error of the server's", async (_what, error) => {
    const asked = Promise.withResolvers<void>();
    const decided = Promise.withResolvers<void>();
    const { url } = await serve(
      {},
      {
        admit: async () => {
          asked.resolve();
          await decided.promise;
          if (error !== undefined) throw error;
          return {};
        },
        workersOf: () => {
          throw new AionError("internal", "not expected to be asked");
        },
      },
    );
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", onUnhandled);
    const session = connectHttp2(url);
    const stream = session.request({
      ":method": "POST",
      ":path": "/aion.v1.WorkerService/Work",
      "content-type": "application/grpc+proto",
    });
    stream.on("error", () => undefined);
    await asked.promise;
    stream.close(constants.NGHTTP2_CANCEL);
    await new Promise<void>((resolve, reject) =>
      session.ping((failed) => (failed === null ? resolve() : reject(failed))),
    );
    decided.resolve();
    await delay(20);
    process.off("unhandledRejection", onUnhandled);
    session.destroy();
    expect(unhandled).toEqual([]);
  });

  it("before its WebSocket is one leaves nothing behind", async () => {
    const hungUp = Promise.withResolvers<void>();
    let signal: AbortSignal | undefined;
    const { url, server } = await serve({
      history: async (_request, options) => {
        signal = options?.abortSignal;
        await hungUp.promise;
        return { events: [], nextSeq: 1, isEnd: false };
      },
    });
    const accepted = once(server, "connection");
    const { hostname, port } = new URL(url);
    const caller = connect(Number(port), hostname);
    caller.on("error", () => undefined);
    caller.write(
      `GET /v1/namespaces/default/workflows/a/events HTTP/1.1\r\nhost: ${hostname}:${port}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${Buffer.alloc(16).toString("base64")}\r\n\r\n`,
    );
    const [socket] = (await accepted) as [Socket];
    await expect.poll(() => signal).toBeDefined();
    const closed = closeOf(socket);
    caller.resetAndDestroy();
    await closed;
    hungUp.resolve();
    await expect.poll(() => signal?.aborted).toBe(true);
  });
});
