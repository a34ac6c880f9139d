import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { BenchError } from "./engine-under-test.ts";
import { peerRoot } from "./paths.ts";

/** Installs a peer's packages into its own folder, unless they are there and as its lock file says. */
export function installPeer(peer: string): void {
  const folder = peerRoot(peer);
  const installed = join(folder, "node_modules", ".package-lock.json");
  const lock = join(folder, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write(`installing ${peer}\n`);
  const { status } = spawnSync("npm", ["ci"], { cwd: folder, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new BenchError(`npm ci failed in ${folder}`);
}
