/** Closed runs that are deleted while somebody asks for them. */
import { expect, it } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { deleteClosedRuns } from "../../src/engine/retention.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { isClosed } from "../../src/core/status.ts";
import type { RunRecord } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { child, query, receive, signal, sleep, workflow } from "../../src/workflow/index.ts";
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
  ["a signal that is repeated", 3, (client) => client.get("main").signal(go, 1, { signalId: "again" })],
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

// I-20, I-22
it("a run that ended and was deleted while it was looked up holds nothing against the next of its id", async () => {
  let stale: RunRecord | undefined;
  const world = new World({
    workflows: () => [workflow("main", async () => await receive(go))],
    store: (of) => {
      const inner = openMemoryStore({
        clock: { now: () => of.nowMs },
        defer: (done) => queueMicrotask(done),
      });
      return overStore(inner, {
        findRun: async (...args) => {
          const late = stale;
          stale = undefined;
          return late ?? inner.findRun(...args);
        },
      });
    },
  });
  const { client, kernel } = await world.open();
  const first = await world.during(client.start("main", null, { id: "main" }));
  const open = await world.store.findRun("main" as WorkflowId);
  await world.during(first.signal(go, 1));
  expect(await world.during(first.result())).toBe(1);
  world.nowMs += 1;
  expect(await deleteClosedRuns(kernel, 0)).toBe(1);
  // A read that took so long.
  stale = open;
  const lost: unknown = await world.during(
    client
      .get("main")
      .signal(go, 2)
      .catch((reason: unknown) => reason),
  );
  expect(lost).toMatchObject({ code: "run_not_found" });
  const second = await world.during(client.start("main", null, { id: "main" }));
  await world.during(second.signal(go, 3));
  expect(await world.during(second.result())).toBe(3);
});

// I-6, I-34
it("a child whose end has an unknown outcome, and that is deleted before anybody has looked, tells its parent", async () => {
  const isChild = ({ workflowId }: { readonly workflowId: string }): boolean => workflowId === "leaf";
  let isUnknown = false;
  const world: World = new World({
    workflows: () => [
      workflow("leaf", async () => {
        await sleep(10);
        return "from the leaf";
      }),
      workflow("main", async () => child("leaf", null, { id: "leaf" })),
    ],
    fault: ({ commits }) => {
      const isEnd = commits.some(({ start, run }) =>
        [start, run].some((of) => of?.closedAt !== undefined && isChild(of)),
      );
      if (!isEnd || isUnknown) return undefined;
      isUnknown = true;
      return "unknown-made";
    },
    store: (of) => {
      const inner = openMemoryStore({
        clock: { now: () => of.nowMs },
        defer: (done) => queueMicrotask(done),
      });
      const deleteIt = async (): Promise<void> => {
        if (isUnknown && (await inner.count({ workflowId: "leaf" as WorkflowId })) > 0) {
          of.nowMs += 1;
          expect(await deleteClosedRuns(kernel, 0)).toBe(1);
        }
      };
      return overStore(inner, {
        findRun: async (...args) => {
          await deleteIt();
          return inner.findRun(...args);
        },
        readSegment: async (...args) => {
          await deleteIt();
          return inner.readSegment(...args);
        },
      });
    },
  });
  const { client, kernel } = await world.open();
  const run = await world.during(client.start("main", null, { id: "main" }));
  expect(await world.during(run.result({ timeout: "1 hour" }))).toBe("from the leaf");
  expect(isUnknown).toBe(true);
});
