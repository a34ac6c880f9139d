/** Everything that goes between a client and a server, as bytes. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";

export interface WireTap {
  readonly url: string;
  /** Both directions, in the order in which they passed. */
  readonly bytes: () => Buffer;
  close(): void;
}

export async function tapWire(url: string): Promise<WireTap> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const { hostname, port } = new URL(url);
  const server = createServer((near) => {
    const there = connect(Number(port), hostname);
    for (const [from, to] of [
      [near, there],
      [there, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => {
        chunks.push(chunk);
        to.write(chunk);
      });
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => Buffer.concat(chunks),
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Every byte of every file below a directory. */
export function bytesBelow(directory: string): Buffer {
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) =>
    path.join(directory, name),
  );
  return Buffer.concat(files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file)));
}

/** Which of the words are in the bytes, as UTF-8, UTF-16 or base64 at any offset. */
export function wordsIn(bytes: Buffer, words: readonly string[]): readonly string[] {
  return words.filter((word) => {
    const forms = [Buffer.from(word), Buffer.from(word, "utf16le")];
    for (let offset = 0; offset < 3; offset++) {
      const encoded = Buffer.from("x".repeat(offset) + word).toString("base64");
      // What its neighbours have no part in.
      forms.push(Buffer.from(encoded.slice(offset === 0 ? 0 : 4, -4)));
    }
    return forms.some((form) => bytes.includes(form));
  });
}
