import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { promisify } from "node:util";

const root = path.dirname(path.dirname(import.meta.dirname));
const cache = path.join(root, "node_modules", ".cache", "nodes");

/** The first release that is supported, and the latest of each line after the one that the project is built with. */
export const otherNodeVersions = ["24.0.0", "25.9.0", "26.10.0"] as const;

/** The program of that version, from npm; or why it cannot be had. */
export async function findNode(
  version: string,
): Promise<{ readonly program: string } | { readonly missing: string }> {
  const folder = path.join(cache, version);
  const program = path.join(folder, "node_modules", "node", "bin", "node");
  if (!existsSync(program)) {
    const parts = `${folder}.${process.pid}`;
    mkdirSync(parts, { recursive: true });
    writeFileSync(
      path.join(parts, "package.json"),
      JSON.stringify({ private: true, allowScripts: { node: true } }),
    );
    try {
      const args = [
        "install",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--prefix",
        parts,
        `node@${version}`,
      ];
      await promisify(execFile)("npm", args, { timeout: 120_000 });
      renameSync(parts, folder);
    } catch (error) {
      if (!existsSync(program)) return { missing: `node@${version} cannot be installed: ${String(error)}` };
    } finally {
      rmSync(parts, { recursive: true, force: true });
    }
  }
  const { stdout } = await promisify(execFile)(program, ["--version"]);
  return stdout.trim() === `v${version}` ? { program } : { missing: `${program} is ${stdout.trim()}` };
}
