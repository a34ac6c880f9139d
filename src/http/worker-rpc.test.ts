import { once } from "node:events";
import { connect, createServer } from "node:http2";
import type { Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import type { WorkerFrame } from "../protocol/frames.ts";
import type { AppOptions } from "./app.ts";
import { WorkRequestSchema } from "./gen/aion/v1/workers_pb.ts";
import { answerWorker } from "./worker-rpc.ts";

it("what a worker said before it ended its side is heard, though each waits for its turn", async () => {
  const heard: string[] = [];
  const ended = Promise.withResolvers<undefined>();
  const receiver = {
    receive: ({ type }: WorkerFrame) => heard.push(type),
    closed: () => ended.resolve(undefined),
  };
  const options = {
    closing: new AbortController().signal,
    turnOfWorkers: () => delay(5),
    workersOf: () => ({ acceptWorker: () => receiver }),
  } as unknown as AppOptions;
  const server = createServer((request, response: Http2ServerResponse) =>
    answerWorker(request, response, { options, limitBytes: 1_000_000 }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    const stream = session.request({ ":method": "POST", ":path": "/", "content-type": "application/grpc" });
    const registration = { taskQueues: ["q"], activityTypes: ["a"], identity: "w", capacity: 1 };
    const drain: MessageInitShape<typeof WorkRequestSchema> = { frame: { case: "drain", value: {} } };
    stream.end(
      Buffer.concat([
        message({ frame: { case: "register", value: registration } }),
        message(drain),
        message(drain),
        message(drain),
      ]),
    );
    stream.resume();
    await ended.promise;
    expect(heard).toEqual(["register", "drain", "drain", "drain"]);
  } finally {
    session.destroy();
    server.close();
  }
});

function message(init: MessageInitShape<typeof WorkRequestSchema>): Buffer {
  const bytes = toBinary(WorkRequestSchema, create(WorkRequestSchema, init));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}
