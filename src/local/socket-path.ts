import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import path from "node:path";

/**
 * What `sockaddr_un.sun_path` holds besides its final zero: 107 bytes on Linux, 103 on macOS and the BSDs.
 * https://man7.org/linux/man-pages/man7/unix.7.html
 */
const pathBytesMax = 103;

/** The longest name that a server makes in the socket's directory on the way (see `bindPrivately`). */
export const stagingNameBytes = "/.aXXXXXX/s".length;

/**
 * Where the engine of a database file listens: `<file>.sock` beside it, or, where that is too long for a socket,
 * a name in the directory for temporary files.
 */
export function socketPathFor(databasePath: string): string {
  const absolute = path.resolve(databasePath);
  const beside = `${absolute}.sock`;
  if (fits(beside)) return beside;
  const hash = createHash("sha256").update(absolute).digest("hex").slice(0, 24);
  return path.join(tmpdir(), `aion-${hash}.sock`);
}

function fits(socketPath: string): boolean {
  const staging = Buffer.byteLength(path.dirname(socketPath)) + stagingNameBytes;
  return Math.max(Buffer.byteLength(socketPath), staging) <= pathBytesMax;
}
