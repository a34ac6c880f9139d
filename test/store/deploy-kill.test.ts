/** A process is killed amid its deployments: what it was told is there, and nothing is there by halves. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { auditDeployments } from "./deploy-process.ts";

/** Returns the last index that was acknowledged. */
async function deployAndDie(path: string, writer: string, delayMs: number): Promise<number> {
  const program = join(import.meta.dirname, "deploy-process.ts");
  const child = spawn(process.execPath, [program, path, writer], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  let last = -1;
  const lines = createInterface({ input: child.stdout });
  const heard = once(lines, "close");
  const begun = new Promise<void>((resolve) => {
    lines.on("line", (line) => {
      last = Number(line);
      // From then on it unloads, too.
      if (last === 3) resolve();
    });
  });
  await begun;
  await sleep(delayMs);
  child.kill("SIGKILL");
  await Promise.all([exited, heard]);
  return last;
}

// I-3, I-4
it.each(["auto", "thread", "inline"])(
  "the kill of a process (%s) loses no deployment and leaves none by halves",
  async (writer) => {
    for (const delayMs of [0, 7, 23, 61]) {
      const directory = mkdtempSync(join(tmpdir(), "aion-deploy-"));
      const path = join(directory, "store.db");
      const last = await deployAndDie(path, writer, delayMs);
      expect(await auditDeployments(path, last)).toEqual([]);
      rmSync(directory, { recursive: true });
    }
  },
);
