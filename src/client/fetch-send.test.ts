import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { fetchSend } from "./fetch-send.ts";

it("an answer whose line is of no use is left, and the server knows it", async () => {
  const gone = Promise.withResolvers<undefined>();
  const server = createServer((_request, response) => {
    response.once("close", () => gone.resolve(undefined));
    response.write("good\nbad\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const send = fetchSend({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const told: string[] = [];
    const onLine = (line: string): void => {
      told.push(line);
      if (line === "bad") throw new Error("this line is bad");
    };
    const call = { verb: "POST", path: "/", timeoutMs: 30_000, onLine } as const;
    await expect(send(call)).rejects.toMatchObject({ code: "transport_failed" });
    expect(told).toEqual(["good", "bad"]);
    // Its side of the connection is never ended by itself.
    await gone.promise;
  } finally {
    server.close();
  }
});
