/**
 * What stands in a file and cannot be used: damaged rows, code that is missing or does not fit. It holds the one it is
 * about, nothing is deleted, and an operator can still end what is held.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import type { EventBody } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { Message } from "../../src/core/message.ts";
import type { Store } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import {
  activity,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  workflow,
} from "../../src/workflow/index.ts";
import { checkLaws } from "./laws.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";
import type { WorldOptions } from "./world.ts";
import { completed, json, scheduled, started, writeRuns } from "./written-history.ts";

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
    "its row names another run": {
      code: "history_corrupt",
      damage: "UPDATE runs SET run_id = 'no-' || run_id WHERE workflow_id = 'main'",
      repair: "UPDATE runs SET run_id = substr(run_id, 4) WHERE workflow_id = 'main'",
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

  it.each<[string, readonly EventBody[], unknown]>([
    // Its first commit holds the start alone: the code had not run yet.
    ["its first activation", [started("teller"), { type: "WorkflowTerminated" }], "query_unknown"],
    [
      "a later one",
      [
        started("teller"),
        { type: "SideEffectRecorded", ordinal: 0, value: json(1) },
        { type: "SignalReceived", name: "go", payload: json("far") },
        { type: "WorkflowTerminated" },
      ],
      ["1"],
    ],
    // The commit that was to end it and begin the next is missing; the one before it tells that the code had acted.
    [
      "it went on as a new one",
      [
        started("relay"),
        { type: "SideEffectRecorded", ordinal: 0, value: json(1) },
        { type: "WorkflowTerminated" },
      ],
      ["1"],
    ],
    // It asked for nothing: the code was told.
    ["nothing", [started("waiter"), { type: "WorkflowTerminated" }], ["waiting"]],
  ])("tells nothing of what its code was never told, ended before %s", async (_what, bodies, expected) => {
    // I-9, I-27
    const inner = openMemoryStore();
    await writeRuns(inner, [{ workflowId: "main", bodies }]);
    const account = query<readonly string[]>("account");
    const world = new World({
      workflows: () => [
        workflow("teller", async () => {
          const lines: string[] = [];
          expose(account, () => lines);
          lines.push(String(sideEffect(() => 1)));
          lines.push(String(await receive(go)));
          lines.push(String(sideEffect(() => 2)));
          await work("more");
        }),
        workflow("relay", async () => {
          const lines: string[] = [];
          expose(account, () => lines);
          lines.push(String(sideEffect(() => 1)));
          continueAsNew(null);
        }),
        workflow("waiter", async () => {
          expose(account, () => ["waiting"]);
          await receive(go);
        }),
      ],
      activities,
      store: () => inner,
    });
    const { client } = await world.open();
    const answer = await world.during(
      client
        .get("main")
        .query(account)
        .catch((error: AionError) => error.code),
    );
    expect(answer).toEqual(expected);
    expect(world.effects).toEqual([]);
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

  // I-39, I-29
  it.each([2, 3])(
    "and whose history cannot be read for a while, from the read %i on, times out all the same",
    async (fromRead) => {
      const inner = openMemoryStore();
      const begun = { ...started("gone"), runDeadlineAt: 1_700_000_000_000 - 5_000 } as EventBody;
      await writeRuns(inner, [{ workflowId: "main", bodies: [begun] }]);
      let readCount = 0;
      let failureCount = 0;
      const world = new World({
        workflows: () => [],
        store: () =>
          overStore(inner, {
            readSegment: async (...args) => {
              readCount += 1;
              if (readCount < fromRead || failureCount >= 7) return inner.readSegment(...args);
              failureCount += 1;
              throw new AionError("store_unavailable", "the store is busy");
            },
          }),
      });
      await world.open();
      await world.advance(60_000);
      expect(failureCount).toBe(7);
      expect(await inner.findRun("main" as WorkflowId)).toMatchObject({ status: "timed-out", headSeq: 2 });
    },
  );
});

describe("a damaged message", () => {
  const damageMessage = {
    damage: "UPDATE messages SET body = replace(body, 'b-one', 'b-0ne')",
    repair: "UPDATE messages SET body = replace(body, 'b-0ne', 'b-one')",
  };
  const pair = workflow("pair", async () => [await receive(go), await receive(go)]);
  const busy = workflow("busy", async () => [await work("busy"), await receive(go)]);
  const sender = workflow("sender", async (target: string) => {
    await signalWorkflow(target, go, "from a workflow");
    return "sent";
  });
  const workflows = (): readonly AnyWorkflow[] => [pair, busy, sender, leaf, boss, main];

  const open = async (options: Partial<WorldOptions> = {}) => {
    const world = worldOn({ workflows, activities, restarts: false, ...options });
    return { world, process: await world.open() };
  };
  const end = async (world: World): Promise<void> => {
    await world.settle();
    world.kill();
    for (const store of stores.splice(0)) await store.close();
  };
  const statusOf = async (world: World, id: string) => await world.store.findRun(id as WorkflowId);

  /** What is sent while no engine runs waits on disk. */
  async function send(messages: readonly (readonly [string, string])[]): Promise<void> {
    const store = openSqliteStore({ path });
    const token = await store.claim({ leaseMs: 1e13 });
    const results = await store.append(token, [
      {
        send: messages.map(([target, text]) => ({
          target: target as WorkflowId,
          message: { kind: "signal" as const, name: "go", payload: json(text) },
        })),
      },
    ]);
    expect(results[0]?.ok).toBe(true);
    await store.release(token);
    await store.close();
  }

  async function begin(...starts: readonly (readonly [AnyWorkflow, string])[]): Promise<void> {
    const { world, process } = await open();
    for (const [type, id] of starts) await world.during(process.client.start(type, null, { id }));
    await end(world);
  }

  // I-11, I-22, I-23
  it("holds the workflow that it is for, and nobody else, until its row is as it was", async () => {
    await begin([pair, "a"], [pair, "b"], [pair, "c"]);
    await send([
      ["a", "a-one"],
      ["b", "b-one"],
      ["a", "a-two"],
      ["b", "b-two"],
      ["c", "c-one"],
    ]);
    alter(damageMessage.damage);
    for (let round = 0; round < 2; round++) {
      const { world, process } = await open();
      await world.settle();
      const { client } = process;
      expect(await world.during(client.get("a").result())).toEqual(["a-one", "a-two"]);
      const held = await statusOf(world, "b");
      expect(held).toMatchObject({
        status: "running",
        headSeq: 1,
        blocked: expect.stringMatching(/^message_corrupt: message \d+ to workflow b is damaged/),
      });
      expect((await client.listPage({ isBlocked: true })).runs.map((run) => run.workflowId)).toEqual(["b"]);
      await expect(world.during(client.get("b").query("any"))).rejects.toMatchObject({ code: "run_blocked" });
      await expect(world.during(client.get("b").result())).rejects.toMatchObject({ code: "run_blocked" });
      const told = world.logged.filter(({ message }) => message.startsWith("a message is damaged"));
      expect(told).toMatchObject([{ level: "error", fields: { target: "b" } }]);
      if (round === 0) {
        await world.during(client.get("b").signal(go, "b-three"));
        await world.during(client.get("c").signal(go, "c-two"));
      }
      expect(await world.during(client.get("c").result())).toEqual(["c-one", "c-two"]);
      // Nothing of what it waits for was touched.
      const left = await world.store.listMessages(0, 10);
      expect(left.map(({ target, message }) => [target, message.kind])).toEqual([
        ["b", "damaged"],
        ["b", "signal"],
        ["b", "signal"],
      ]);
      await end(world);
    }
    alter(damageMessage.repair);
    const { world, process } = await open();
    expect(await world.during(process.client.get("b").result())).toEqual(["b-one", "b-two"]);
    await world.settle();
    expect(await world.store.listMessages(0, 10)).toEqual([]);
    expect((await statusOf(world, "b"))?.blocked).toBeUndefined();
    await checkLaws(world);
  });

  // I-11
  it("keeps an activity of its target from running again, and not those of others", async () => {
    // Both died amid an attempt.
    const { world: before, process } = await open({
      activities: () => [activity("work", () => new Promise<never>(() => undefined))],
    });
    for (const id of ["a", "b"]) await before.during(process.client.start(busy, undefined, { id }));
    await end(before);
    await send([
      ["b", "b-one"],
      ["a", "a-one"],
    ]);
    alter(damageMessage.damage);
    const { world, process: next } = await open();
    expect(next.reports.map(({ workflowId, outcome }) => [workflowId, outcome.kind])).toEqual(
      expect.arrayContaining([
        ["a", "resumed"],
        ["b", "failed"],
      ]),
    );
    expect(await world.during(next.client.get("a").result())).toEqual(["worked", "a-one"]);
    await world.settle();
    expect(world.effects).toHaveLength(1);
    await end(world);
    alter(damageMessage.repair);
    const { world: after, process: last } = await open();
    expect(await after.during(last.client.get("b").result())).toEqual(["worked", "b-one"]);
    expect(after.effects).toHaveLength(1);
  });

  // I-11
  it("whose target is damaged, or names nobody, stays where it is, and all go on", async () => {
    await begin([pair, "a"], [pair, "b"]);
    await send([
      ["b", "b-one"],
      ["a", "a-one"],
      ["a", "a-two"],
    ]);
    alter("UPDATE messages SET target = 'nobody' WHERE target = 'b'");
    const { world, process } = await open();
    expect(await world.during(process.client.get("a").result())).toEqual(["a-one", "a-two"]);
    await world.during(process.client.get("b").signal(go, "b-zero"));
    expect(await world.store.listMessages(0, 10)).toMatchObject([
      { target: "nobody", message: { kind: "damaged" } },
    ]);
    await end(world);
    alter("UPDATE messages SET target = 'b' WHERE target = 'nobody'");
    const { world: after, process: next } = await open();
    expect(await after.during(next.client.get("b").result())).toEqual(["b-zero", "b-one"]);
  });

  // I-11, I-34
  it("of a child's end keeps its parent waiting for no longer than it is damaged", async () => {
    const { world: before, process } = await open({
      // The end of the child is on disk, and so is the message of it.
      fault: ({ commits }) =>
        commits.some(({ run }) => run?.events.some((event) => event.type === "ChildWorkflowCompleted"))
          ? "crash-before"
          : undefined,
    });
    await before.during(process.client.start(boss, undefined, { id: "boss" }));
    await before.settle();
    void process.client.get("main").signal(go, "go on");
    await before.advance(1_000);
    expect(before.crashCount).toBe(1);
    for (const store of stores.splice(0)) await store.close();
    alter("UPDATE messages SET checksum = checksum + 1 WHERE target = 'boss'");
    const { world, process: next } = await open();
    await world.settle();
    expect(await statusOf(world, "boss")).toMatchObject({
      status: "running",
      blocked: expect.stringMatching(/^message_corrupt: /),
    });
    expect(await world.during(next.client.get("main").result())).toBe("went on");
    await end(world);
    alter("UPDATE messages SET checksum = checksum - 1 WHERE target = 'boss'");
    const { world: after, process: last } = await open();
    expect(await after.during(last.client.get("boss").result())).toBe("went on");
  });

  // I-11
  it("that is to start a child starts it when it is repaired; until then the parent waits", async () => {
    const { world: before, process } = await open({
      fault: ({ commits }) =>
        commits.some(({ start }) => start?.workflowId === "main") ? "crash-before" : undefined,
    });
    await before.during(process.client.start(boss, undefined, { id: "boss" }));
    await before.advance(1_000);
    expect(before.crashCount).toBe(1);
    for (const store of stores.splice(0)) await store.close();
    alter("UPDATE messages SET checksum = checksum + 1 WHERE target = 'main'");
    const { world } = await open();
    await world.settle();
    expect(await statusOf(world, "main")).toBeUndefined();
    const parent = await statusOf(world, "boss");
    expect([parent?.status, parent?.blocked]).toEqual(["running", undefined]);
    await end(world);
    alter("UPDATE messages SET checksum = checksum - 1 WHERE target = 'main'");
    const { world: after, process: next } = await open();
    await after.settle();
    await after.during(next.client.get("main").signal(go, "now"));
    expect(await after.during(next.client.get("boss").result())).toBe("went on");
  });

  // I-11
  it("lets its target be ended; nothing else begins under that id before the row is repaired or deleted", async () => {
    await begin([pair, "b"]);
    await send([
      ["b", "b-one"],
      ["b", "b-two"],
    ]);
    alter(damageMessage.damage);
    const { world, process } = await open();
    await world.settle();
    const { client } = process;
    await world.during(client.get("b").terminate("enough"));
    expect((await statusOf(world, "b"))?.status).toBe("terminated");
    await world.settle();
    expect(await world.store.listMessages(0, 10)).toMatchObject([{ message: { kind: "damaged" } }]);
    const again = client.start(pair, undefined, { id: "b", reuse: "after-close" });
    await expect(world.during(again)).rejects.toMatchObject({ code: "message_corrupt" });
    const tell = await world.during(client.start(sender, "b", { id: "sender" }));
    await expect(world.during(tell.result())).rejects.toMatchObject({ type: "SignalFailed" });
    await end(world);
    alter("DELETE FROM messages");
    const { world: after, process: next } = await open();
    const run = await after.during(next.client.start(pair, undefined, { id: "b", reuse: "after-close" }));
    expect(run.isNew).toBe(true);
  });

  // I-11
  it("of a kind that this version does not know is one too, and is not taken for delivered", async () => {
    await begin([pair, "b"]);
    const store = openSqliteStore({ path });
    const token = await store.claim({ leaseMs: 1e13 });
    const message = { kind: "teleport" } as unknown as Message;
    await store.append(token, [{ send: [{ target: "b" as WorkflowId, message }] }]);
    await store.release(token);
    await store.close();
    const { world } = await open();
    await world.settle();
    expect((await statusOf(world, "b"))?.blocked).toMatch(/^event_unknown: message \d+ .*"teleport"/);
    expect(await world.store.listMessages(0, 10)).toHaveLength(1);
  });

  // I-11
  it("that is met while the engine runs holds a run that is in memory", async () => {
    await begin([pair, "a"], [pair, "b"]);
    const { world, process } = await open();
    const { client } = process;
    // Both in memory; the message arrives on disk and is damaged before it is looked at.
    await world.during(client.get("a").signal(go, "a-one"));
    await world.during(client.get("b").signal(go, "b-zero"));
    expect(process.kernel.residency.size).toBe(2);
    const database = new DatabaseSync(path);
    database
      .prepare("INSERT INTO messages (checksum, target, body) VALUES (1, 'b', ?)")
      .run('{"kind":"signal","name":"go","payload":"\\"b-one\\""}');
    database.close();
    await process.kernel.mailbox.list();
    await world.settle();
    expect((await statusOf(world, "b"))?.blocked).toMatch(/^message_corrupt: /);
    expect(process.kernel.residency.list().map((run) => run.workflowId)).toEqual(["a"]);
    await world.during(client.get("a").signal(go, "a-two"));
    expect(await world.during(client.get("a").result())).toEqual(["a-one", "a-two"]);
  });
});

describe("a run that is blocked for a while", () => {
  const all3 = workflow("all3", async () => [await receive(go), await receive(go), await receive(go)]);
  const teller = workflow("teller", async (words: readonly string[]) => {
    for (const word of words) await signalWorkflow("main", go, word);
  });

  async function openBroken(): Promise<{ readonly world: World; readonly mend: () => void }> {
    let isBroken = false;
    const world = new World({
      workflows: () => [all3, teller],
      wrapPrograms: (programs) => ({
        ...programs,
        find: (type, version) => {
          if (isBroken && type === "all3") throw new Error("not now");
          return programs.find(type, version);
        },
      }),
      kernel: { residentMax: 1 },
    });
    const { client } = await world.open();
    await world.during(client.start(all3, undefined, { id: "main" }));
    isBroken = true;
    // Makes room, so that it has to be read again.
    const other = await world.during(client.start(all3, undefined, { id: "other" }));
    await world.during(other.terminate());
    return { world, mend: () => (isBroken = false) };
  }

  // I-23
  it("gets what was sent to it meanwhile before what makes it go on, by a client", async () => {
    const { world, mend } = await openBroken();
    const { client } = world.process;
    const run = client.get("main");
    await world.during(run.signal(go, "first"));
    expect((await world.store.findRun("main" as WorkflowId))?.blocked).toMatch(/^internal: /);
    await world.during(run.signal(go, "second"));
    mend();
    await world.during(run.signal(go, "third"));
    expect(await world.during(run.result())).toEqual(["first", "second", "third"]);
    await checkLaws(world);
  });

  // I-23
  it("gets what was sent to it meanwhile before what makes it go on, by a workflow", async () => {
    const { world, mend } = await openBroken();
    const { client } = world.process;
    const run = client.get("main");
    await world.during(run.signal(go, "first"));
    await world.during(run.signal(go, "second"));
    mend();
    await world.during(client.start(teller, ["third"], { id: "teller" }).then((begun) => begun.result()));
    expect(await world.during(run.result())).toEqual(["first", "second", "third"]);
    expect(await world.store.listMessages(0, 10)).toEqual([]);
    await checkLaws(world);
  });
});

describe("a run that is blocked when its parent ends", () => {
  // I-35
  it("is terminated by its policy, whatever else waits for it", async () => {
    await prepare();
    let isMeant = false;
    const options: Omit<WorldOptions, "store"> = {
      workflows: () => [boss, main, beside],
      activities,
      restarts: false,
    };
    const world = worldOn({
      ...options,
      fault: ({ commits }) =>
        isMeant && commits.some(({ run }) => run?.workflowId === "ward" && run.status === "terminated")
          ? "crash-before"
          : undefined,
    });
    const { client } = await world.open();
    await world.during(client.get("ward").signal(go, "waits on disk"));
    isMeant = true;
    void client.get("main").terminate();
    await world.advance(1_000);
    expect(world.crashCount).toBe(1);
    for (const store of stores.splice(0)) await store.close();
    const next = worldOn(options);
    await next.open();
    await next.settle();
    expect((await next.store.findRun("ward" as WorkflowId))?.status).toBe("terminated");
    expect(await next.store.listMessages(0, 10)).toEqual([]);
  });
});

describe("damaged details of a heartbeat", () => {
  // I-11, I-14
  it("are left out, and the attempt begins without them, as if a crash had lost them", async () => {
    const seen: unknown[] = [];
    const beating = (world: World): readonly AnyActivity[] => [
      activity("work", async (input: unknown, task) => {
        await world.effect(task, input);
        seen.push([input, task.lastHeartbeat]);
        if (task.attempt > 1) return task.lastHeartbeat ?? "nothing";
        task.heartbeat({ of: input });
        return new Promise<never>(() => undefined);
      }),
    ];
    const beats = workflow("beats", async (name: string) => work(name));
    const before = worldOn({ workflows: () => [beats], activities: beating, restarts: false });
    const { client } = await before.open();
    for (const id of ["a", "b"]) await before.during(client.start(beats, id, { id }));
    await before.advance(5_000);
    before.kill();
    for (const store of stores.splice(0)) await store.close();
    alter("UPDATE heartbeats SET details = '{' WHERE details LIKE '%a%'");
    const world = worldOn({ workflows: () => [beats], activities: beating });
    const { client: next } = await world.open();
    expect(await world.during(next.get("b").result())).toEqual({ of: "b" });
    expect(await world.during(next.get("a").result())).toBe("nothing");
    expect(world.logged).toMatchObject([
      { level: "warn", message: expect.stringContaining("heartbeat"), fields: { workflowId: "a" } },
    ]);
  });
});

describe("a disk that does not answer once", () => {
  // I-29
  it("keeps no run asleep that has work to do: it is read again", async () => {
    const inner = openMemoryStore();
    let refusals = 0;
    let refusedOf: "findRun" | "listMessages" | undefined;
    const refusing = (method: "findRun" | "listMessages"): Promise<never> | undefined => {
      if (refusedOf !== method) return undefined;
      refusedOf = undefined;
      refusals += 1;
      return Promise.reject(new AionError("store_unavailable", "the disk does not answer"));
    };
    const relay = workflow("relay", async (round: number) => {
      if (round > 0) return work("after");
      await work("before");
      continueAsNew(round + 1);
    });
    const world: World = new World({
      workflows: () => [relay],
      activities,
      fault: ({ commits }) => {
        if (commits.some(({ start, run }) => start !== undefined && run !== undefined)) refusedOf = "findRun";
        return undefined;
      },
      store: () =>
        overStore(inner, {
          findRun: (...args) => refusing("findRun") ?? inner.findRun(...args),
          listMessages: (...args) => refusing("listMessages") ?? inner.listMessages(...args),
        }),
    });
    const { client } = await world.open();
    const run = await world.during(client.start(relay, 0, { id: "main" }));
    await world.advance(60_000);
    expect(refusals).toBe(1);
    expect(await world.during(run.result())).toBe("worked");
    refusedOf = "listMessages";
    world.process.kernel.mailbox.listAgain();
    await world.advance(5_000);
    expect(refusals).toBe(2);
    expect(world.logged.filter(({ level }) => level === "warn")).toHaveLength(2);
  });
});
