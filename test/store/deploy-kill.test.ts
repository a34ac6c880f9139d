/** A process is killed amid its deployments: what it was told is there, and nothing is there by halves. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { archiveAt, keptCount, typesOfAll } from "./deploy-process.ts";

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
      if (last === keptCount) resolve();
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
  { timeout: 60_000 },
  async (writer) => {
    for (const delayMs of [0, 7, 23, 61]) {
      const directory = mkdtempSync(join(tmpdir(), "aion-deploy-"));
      const path = join(directory, "store.db");
      const last = await deployAndDie(path, writer, delayMs);
      const store = openSqliteStore({ path });
      const { packages, routes } = await store.readCatalog();
      const newest = packages.at(-1)?.deployedAt ?? -1;
      // The one that was under way may be there, too.
      expect([last, last + 1]).toContain(newest);
      // Before it those that were not unloaded yet, of which the first may just have been.
      const oldest = packages[0]?.deployedAt ?? -1;
      expect([newest - keptCount, newest - keptCount + 1]).toContain(oldest);
      expect(packages.map(({ version }) => version)).toEqual(
        packages.map((_, index) => archiveAt(oldest + index).version),
      );
      expect(routes).toEqual(
        packages.flatMap(({ version, deployedAt }) =>
          typesOfAll.map((workflowType) => ({ workflowType, version, routedAt: deployedAt })),
        ),
      );
      for (const { version, deployedAt } of packages) {
        const archive = await store.readPackage(version);
        expect(Buffer.compare(archive ?? Buffer.alloc(0), archiveAt(deployedAt).bytes)).toBe(0);
      }
      await store.close();
      rmSync(directory, { recursive: true });
    }
  },
);
