import { once } from "node:events";
import { connect, createServer } from "node:http2";
import type {
  ClientHttp2Session,
  Http2Server,
  Http2ServerResponse,
  ServerHttp2Stream,
  Settings,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EngineFrame, WorkerFrame } from "../protocol/frames.ts";
import type { EngineLink } from "../protocol/transport.ts";
import type { AppOptions } from "./app.ts";
import { WorkRequestSchema } from "./gen/aion/v1/workers_pb.ts";
import { framesMax } from "./worker-call.ts";
import { answerWorker } from "./worker-rpc.ts";

const registration = { taskQueues: ["q"], activityTypes: ["a"], identity: "w", capacity: 1 };
const register: MessageInitShape<typeof WorkRequestSchema> = {
  frame: { case: "register", value: registration },
};
const drain: MessageInitShape<typeof WorkRequestSchema> = { frame: { case: "drain", value: {} } };

let session: ClientHttp2Session | undefined;
let server: Http2Server | undefined;

afterEach(() => {
  vi.useRealTimers();
  session?.destroy();
  server?.close();
});

/** One worker's call: what the engine has of it, and its stream at both ends. */
async function call(receive: (frame: WorkerFrame) => void, settings: Settings = {}) {
  const ended = Promise.withResolvers<undefined>();
  let link: EngineLink | undefined;
  const options = {
    closing: new AbortController().signal,
    turnOfWorkers: () => delay(5),
    workersOf: () => ({
      acceptWorker: (of: EngineLink) => {
        link = of;
        return { receive, closed: () => ended.resolve(undefined) };
      },
    }),
  } as unknown as AppOptions;
  const accepted = Promise.withResolvers<ServerHttp2Stream>();
  server = createServer((request, response: Http2ServerResponse) => {
    accepted.resolve(response.stream);
    answerWorker(request, response, { options, limitBytes: 1_000_000 });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { settings });
  const stream = session.request({ ":method": "POST", ":path": "/", "content-type": "application/grpc" });
  stream.on("error", () => undefined);
  stream.resume();
  const there = await accepted.promise;
  return { stream, there, ended: ended.promise, send: (frame: EngineFrame) => link?.send(frame) };
}

it("what a worker said before it ended its side is heard, though each waits for its turn", async () => {
  const heard: string[] = [];
  const { stream, ended } = await call(({ type }) => heard.push(type));
  stream.end(Buffer.concat([register, drain, drain, drain].map(message)));
  await ended;
  expect(heard).toEqual(["register", "drain", "drain", "drain"]);
});

describe("a worker that takes nothing", () => {
  it("does not keep its stream when too much waits for it", async () => {
    const registered = Promise.withResolvers<undefined>();
    const { stream, there, ended, send } = await call(() => registered.resolve(undefined), {
      initialWindowSize: 0,
    });
    stream.write(message(register));
    await registered.promise;
    const over = new Promise<void>((resolve) => void there.once("close", resolve));
    // What is in the hands of Node already does not count.
    for (let part = 0; part < 3; part += 1) {
      for (let index = 0; index < framesMax; index += 1) send({ type: "alive" });
      await setImmediate();
    }
    await Promise.all([ended, over]);
    expect(there.destroyed).toBe(true);
  });

  it("is gone when it has taken nothing for as long as it may be silent, though it says that it is alive", async () => {
    const heard: string[] = [];
    const { stream, there, ended, send } = await call(({ type }) => heard.push(type), {
      initialWindowSize: 0,
    });
    stream.write(message(register));
    await expect.poll(() => heard).toEqual(["register"]);
    const over = new Promise<void>((resolve) => void there.once("close", resolve));
    send({ type: "registered", session: "s", sessionTimeoutMs: 300, payloadLimitBytes: 1, stop: [] });
    // More than Node takes off the hands of a stream.
    for (let index = 0; index < 20_000; index += 1) send({ type: "alive" });
    const alive = setInterval(() => stream.write(message(drain)), 50);
    try {
      await Promise.all([ended, over]);
    } finally {
      clearInterval(alive);
    }
    expect(heard).toContain("drain");
    expect(there.destroyed).toBe(true);
  });

  it("does not keep it when its call has ended, and nothing more is kept of what it sends", async () => {
    const registered = Promise.withResolvers<undefined>();
    const { stream, there, ended, send } = await call(() => registered.resolve(undefined), {
      initialWindowSize: 0,
    });
    stream.write(message(register));
    await registered.promise;
    send({ type: "alive" });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const tooLarge = Buffer.alloc(5);
    tooLarge.writeUInt32BE(2_000_000, 1);
    stream.write(tooLarge);
    await ended;
    const before = process.memoryUsage().arrayBuffers;
    const piece = Buffer.alloc(64 * 1024);
    for (let sent = 0; sent < 100; sent += 1) if (!stream.write(piece)) await once(stream, "drain");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
    expect(there.destroyed).toBe(false);
    const over = new Promise<void>((resolve) => void there.once("close", resolve));
    vi.advanceTimersByTime(5_000);
    await over;
    expect(there.destroyed).toBe(true);
  });
});

function message(init: MessageInitShape<typeof WorkRequestSchema>): Buffer {
  const bytes = toBinary(WorkRequestSchema, create(WorkRequestSchema, init));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}
