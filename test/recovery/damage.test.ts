/**
 * What stands in a file and cannot be used: damaged rows, code that is missing or does not fit. It holds the one it is
 * about, nothing is deleted, and an operator can still end what is held.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventBody } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { Store } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import { activity, child, receive, signal, sleep, workflow } from "../../src/workflow/index.ts";
import { checkLaws } from "./laws.ts";
import { World } from "./world.ts";
import type { WorldOptions } from "./world.ts";
import { completed, scheduled, started, writeRuns } from "./written-history.ts";

let directory: string;
let path: string;
const stores: Store[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-damage-"));
  path = join(directory, "aion.db");
});

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  rmSync(directory, { recursive: true });
});

/** A world on the file. */
function worldOn(options: Omit<WorldOptions, "store">): World {
  return new World({
    ...options,
    store: (world) => {
      const store = openSqliteStore({ path, writer: "inline", clock: { now: () => world.nowMs } });
      stores.push(store);
      return store;
    },
  });
}

/** Something else than an engine writes to the file. */
function alter(sql: string): void {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA busy_timeout = 1000");
  expect(database.prepare(sql).run().changes).toBeGreaterThan(0);
  database.close();
}

const go = signal<string>("go");
const work = activity("work", (_input: unknown): string => "never called here");
const activities = (world: World): readonly AnyActivity[] => [
  activity("work", async (input: unknown, task) => {
    await world.effect(task, input);
    return "worked";
  }),
];

const leaf = workflow("leaf", async () => receive(go));
const boss = workflow("boss", async () => {
  try {
    return await child("main", null, { id: "main" });
  } catch (error) {
    return `its child: ${((error as Error).cause as Error).name}`;
  }
});
const main = workflow("main", async () => {
  void child(leaf, undefined, { id: "ward" });
  void child(leaf, undefined, { id: "orphan", parentClosePolicy: "abandon" });
  await work("one");
  await work("two");
  await receive(go);
  return "went on";
});
const beside = workflow("beside", async () => {
  await sleep("1 hour");
  return work("beside");
});
const all: readonly AnyWorkflow[] = [leaf, boss, main, beside];

/** The file after an engine that ran all of them and died: everybody waits. */
async function prepare(): Promise<void> {
  const world = worldOn({ workflows: () => all, activities, restarts: false });
  const { client } = await world.open();
  await world.during(client.start("boss", null, { id: "boss" }));
  await world.during(client.start("beside", null, { id: "beside" }));
  await world.settle();
  expect((await world.history("main")).map((event) => event.type)).toEqual([
    "WorkflowStarted",
    "ChildWorkflowStarted",
    "ChildWorkflowStarted",
    "ActivityScheduled",
    "ActivityStarted",
    "ActivityCompleted",
    "ActivityScheduled",
    "ActivityStarted",
    "ActivityCompleted",
  ]);
  world.kill();
  for (const store of stores.splice(0)) await store.close();
}

const ofMain = "run_key = (SELECT run_key FROM runs WHERE workflow_id = 'main')";
const damageRow = (firstSeq: number) => ({
  damage: `UPDATE events SET checksum = checksum + 1 WHERE ${ofMain} AND first_seq = ${firstSeq}`,
  repair: `UPDATE events SET checksum = checksum - 1 WHERE ${ofMain} AND first_seq = ${firstSeq}`,
});

describe("a run that is blocked", () => {
  interface Block {
    readonly code: string;
    readonly workflows?: readonly AnyWorkflow[];
    readonly wrapPrograms?: WorldOptions["wrapPrograms"];
    readonly damage?: string;
    readonly repair?: string;
    /** Its history tells of its children. */
    readonly knowsChildren: boolean;
  }

  const without = (type: string, ...others: readonly AnyWorkflow[]): readonly AnyWorkflow[] => [
    ...all.filter((each) => each.workflowType !== type),
    ...others,
  ];
  const blocks: Readonly<Record<string, Block>> = {
    "its type is not registered": {
      code: "workflow_type_unknown",
      workflows: without("main"),
      knowsChildren: true,
    },
    "its code diverges": {
      code: "nondeterminism",
      workflows: without(
        "main",
        workflow("main", async () => work("another")),
      ),
      knowsChildren: true,
    },
    "its code cannot be loaded": {
      code: "internal",
      wrapPrograms: (programs) => ({
        ...programs,
        find: (type, version) => {
          if (type === "main") throw new TypeError("the build is broken");
          return programs.find(type, version);
        },
      }),
      knowsChildren: true,
    },
    "the first row of its history is damaged": {
      code: "history_corrupt",
      ...damageRow(1),
      knowsChildren: false,
    },
    "a later row of its history is damaged": {
      code: "history_corrupt",
      ...damageRow(6),
      knowsChildren: true,
    },
    "the last row of its history is damaged": {
      code: "history_corrupt",
      ...damageRow(9),
      knowsChildren: true,
    },
    "the last row of its history is lost": {
      code: "history_corrupt",
      damage: `UPDATE events SET run_key = -1 WHERE ${ofMain} AND first_seq = 9`,
      repair:
        "UPDATE events SET run_key = (SELECT run_key FROM runs WHERE workflow_id = 'main') WHERE run_key = -1",
      knowsChildren: true,
    },
  };

  it.each(Object.entries(blocks))(
    "because %s can be terminated, and all who must hear of it do",
    async (_why, { code, workflows, wrapPrograms, damage, repair, knowsChildren }) => {
      // I-11, I-37
      await prepare();
      if (damage !== undefined) alter(damage);
      const world = worldOn({
        workflows: () => workflows ?? all,
        activities,
        ...(wrapPrograms === undefined ? {} : { wrapPrograms }),
        kernel: { onNondeterminism: "block" },
        restarts: false,
      });
      const { client } = await world.open();
      // It waits on disk, and whoever sent it is not kept waiting when the run is ended.
      await world.during(client.get("main").signal(go, "wait for me"));
      const record = await world.store.findRun("main" as WorkflowId);
      expect(record).toMatchObject({ status: "running", blocked: expect.stringMatching(`^${code}: `) });

      await world.during(client.get("main").terminate("enough"));
      const ended = await world.store.findRun("main" as WorkflowId);
      expect(ended).toMatchObject({ status: "terminated", headSeq: 10, closedAt: world.nowMs });
      expect(ended?.blocked).toBeUndefined();
      await expect(world.during(client.get("main").result())).rejects.toMatchObject({
        kind: "terminated",
        message: expect.stringContaining("enough"),
      });
      expect(await client.count({ isBlocked: true })).toBe(0);
      await world.settle();
      expect(await world.store.listMessages(0, 10)).toEqual([]);
      await expect(world.during(client.get("main").terminate("again"))).rejects.toMatchObject({
        code: "run_closed",
      });

      expect(await world.during(client.get("boss").result())).toBe("its child: TerminatedFailure");
      const statusOf = async (id: string) => (await world.store.findRun(id as WorkflowId))?.status;
      // A child of which the history can tell nothing any more is left as it is.
      expect(await statusOf("ward")).toBe(knowsChildren ? "terminated" : "running");
      expect(await statusOf("orphan")).toBe("running");
      expect(await world.during(client.get("beside").result())).toBe("worked");

      // Nothing of what was there has changed, and the end fits behind it.
      if (repair !== undefined) alter(repair);
      expect((await world.history("main")).at(-1)).toMatchObject({ type: "WorkflowTerminated", seq: 10 });
      await checkLaws(world);
      world.kill();
      expect((await world.open()).reports).toEqual([]);
    },
  );

  it.each<[string, string, readonly EventBody[]]>([
    ["its code awaits what is not durable", "nondurable_await", [started("hanging")]],
    ["its history does not begin", "history_shape", [scheduled(0, "work"), completed(0, 1)]],
    ["its history cannot be", "history_shape", [started("hanging"), completed(0, 1)]],
    [
      "its history is from the future",
      "event_unknown",
      [started("hanging"), { type: "TeleportStarted", ordinal: 0 } as unknown as EventBody],
    ],
  ])("because %s can be terminated", async (_why, code, bodies) => {
    // I-11
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "main", bodies }]);
    const world = new World({
      workflows: () => [workflow("hanging", () => new Promise<never>(() => undefined))],
      kernel: { onNondeterminism: "block" },
      store: () => inner,
    });
    const { client } = await world.open();
    await world.settle();
    const blocked = await inner.findRun("main" as WorkflowId);
    expect(blocked?.blocked).toMatch(new RegExp(`^${code}: `));
    // Two operators, one end.
    const ends = [client.get("main").terminate("enough"), client.get("main").terminate("enough")];
    const answers = await world.during(Promise.allSettled(ends));
    for (const answer of answers) {
      if (answer.status === "rejected") expect(answer.reason).toMatchObject({ code: "run_closed" });
    }
    expect(answers.some((answer) => answer.status === "fulfilled")).toBe(true);
    const ended = await inner.findRun("main" as WorkflowId);
    expect(ended).toMatchObject({ status: "terminated", headSeq: bodies.length + 1 });
    expect(ended?.blocked).toBeUndefined();
    await expect(world.during(client.get("main").result())).rejects.toMatchObject({ kind: "terminated" });
  });

  it("and whose time-out passes while the disk is full ends when there is space", async () => {
    // I-39, I-47
    const inner = openMemoryStore();
    const begun = { ...started("gone"), runDeadlineAt: 1_700_000_000_000 + 5_000 } as EventBody;
    await writeRuns(inner, [{ workflowId: "main", bodies: [begun] }]);
    const world: World = new World({
      workflows: () => [],
      store: () => inner,
      fault: ({ commits }) =>
        world.nowMs < 1_700_000_010_000 && commits.some(({ run }) => run?.status === "timed-out")
          ? "full"
          : undefined,
    });
    await world.open();
    await world.advance(60_000);
    expect(await inner.findRun("main" as WorkflowId)).toMatchObject({ status: "timed-out", headSeq: 2 });
  });
});
