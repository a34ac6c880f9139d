/** Closed runs that are deleted while somebody asks for them. */
import { expect, it } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { deleteClosedRuns } from "../../src/engine/retention.ts";
import { isClosed } from "../../src/core/status.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { query, signal, workflow } from "../../src/workflow/index.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";

const go = signal<number>("go");
const account = query<string>("account");

/** A world in which the closed runs are deleted right after one of them was found so often. */
async function worldOfClosedRun(): Promise<{
  readonly world: World;
  readonly client: Client;
  readonly deleteAt: (nthFind: number) => void;
}> {
  let findsLeft = 0;
  const world = new World({
    workflows: () => [workflow("main", async () => "done")],
    store: (of) => {
      const inner = openMemoryStore({
        clock: { now: () => of.nowMs },
        defer: (done) => queueMicrotask(done),
      });
      return overStore(inner, {
        findRun: async (...args) => {
          const found = await inner.findRun(...args);
          if (findsLeft > 0 && found !== undefined && isClosed(found.status) && --findsLeft === 0) {
            of.nowMs += 1;
            expect(await deleteClosedRuns(kernel, 0)).toBe(1);
          }
          return found;
        },
      });
    },
  });
  const { client, kernel } = await world.open();
  await world.during((await world.during(client.start("main", null, { id: "main" }))).result());
  return {
    world,
    client,
    deleteAt: (nthFind) => {
      findsLeft = nthFind;
    },
  };
}

// I-20
it.each<readonly [string, number, (client: Client) => Promise<unknown>]>([
  ["a signal that is repeated", 4, (client) => client.get("main").signal(go, 1, { signalId: "again" })],
  ["a query", 2, (client) => client.get("main").query(account)],
  ["whoever waits for the result", 1, (client) => client.get("main").result({ timeout: "1 minute" })],
  ["a description", 1, (client) => client.get("main").describe()],
])("%s, of a run that is deleted meanwhile, is told that it is gone", async (_name, findsMax, ask) => {
  for (let nthFind = 1; nthFind <= findsMax; nthFind++) {
    const { world, client, deleteAt } = await worldOfClosedRun();
    deleteAt(nthFind);
    const error: unknown = await world.during(ask(client).catch((reason: unknown) => reason));
    expect(error).toMatchObject({ code: expect.stringMatching(/^run_(?:not_found|closed)$/) });
    expect((await world.store.list({}, { limit: 1 })).runs).toEqual([]);
  }
});
