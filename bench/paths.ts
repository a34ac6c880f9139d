import { join } from "node:path";

/**
 * The bench's source folder. The measured processes run from a copy without types (see `build.ts`),
 * and are told by the environment where the originals and the peers' packages are.
 */
export const benchRoot = process.env["BENCH_ROOT"] ?? import.meta.dirname;

export const dataRoot = join(benchRoot, ".data");

export function peerRoot(peer: string): string {
  return join(benchRoot, "peers", peer);
}
