/** A proxy between processes whose connections break, each after some bytes, which may be amid a frame. */
import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import { connect, createServer } from "node:net";
import type { Draws } from "./generator.ts";

export interface CuttingProxy {
  readonly url: string;
  readonly cutCount: number;
  close(): void;
}

/** Breaks some connections, in either direction, after `bytesMax` at the most. */
export async function openCuttingProxy(
  targetPort: number,
  draws: Draws,
  {
    isCutting = () => true,
    share = 0.25,
    bytesMax = 30_000,
  }: { readonly isCutting?: () => boolean; readonly share?: number; readonly bytesMax?: number } = {},
): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let cutCount = 0;
  const server: Server = createServer((near) => {
    const far = connect(targetPort, "127.0.0.1");
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      let left = draws.chance(share) ? draws.between(1, bytesMax) : Number.POSITIVE_INFINITY;
      from.on("data", (bytes) => {
        if (!isCutting()) left = Number.POSITIVE_INFINITY;
        if (bytes.length < left) {
          left -= bytes.length;
          to.write(bytes);
          return;
        }
        cutCount += 1;
        to.write(bytes.subarray(0, left), end);
      });
      from.on("error", end);
      from.on("close", () => {
        sockets.delete(from);
        end();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cutCount() {
      return cutCount;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
