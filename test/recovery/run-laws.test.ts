import { describe, expect, it } from "vitest";
import type { EventBody } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import {
  activity,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  signal,
  sleep,
  workflow,
} from "../../src/workflow/index.ts";
import { crashActivities, crashPrograms } from "./crash-programs.ts";
import { checkAtRest, checkLaws } from "./laws.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";
import { started, writeRuns } from "./written-history.ts";

const work = activity("work", (_input: object): string => "never called here");
const go = signal<number>("go");

describe("a run", () => {
  // I-27, C-4
  it("that is asked all the time has the history and the effects of one that nobody asked", async () => {
    const stage = query<string>("stage");
    const play = async (isAsked: boolean): Promise<readonly unknown[]> => {
      const world = new World({
        activities: crashActivities,
        workflows: () => [
          workflow("main", async () => {
            let at = "first";
            expose(stage, () => at);
            await work({ label: "one", ms: 50 });
            at = "second";
            const got = await receive(go);
            await sleep("1 minute");
            at = "third";
            await work({ label: "two", ms: 50 });
            return got;
          }),
        ],
      });
      const { client } = await world.open();
      const run = await world.during(client.start("main", null, { id: "main" }));
      const answers = new Set<string>();
      const over = { isOver: false };
      const ask = async (): Promise<void> => {
        while (!over.isOver) {
          answers.add(await run.query(stage));
          await world.idle(7);
        }
      };
      const asking = isAsked ? ask() : Promise.resolve();
      await world.advance(1_000);
      await world.during(run.signal(go, 5));
      await world.during(run.result());
      over.isOver = true;
      await world.during(asking);
      if (isAsked) expect([...answers]).toEqual(["first", "second", "third"]);
      return [await world.history("main"), world.effects, world.appendCount];
    };
    expect(await play(true)).toEqual(await play(false));
  });

  // I-27, C-4
  it("that is asked and then dies has the history of one that died unasked", async () => {
    const stage = query<string>("stage");
    const play = async (isAsked: boolean): Promise<readonly unknown[]> => {
      const world = new World({
        activities: crashActivities,
        workflows: () => [
          workflow("main", async () => {
            expose(stage, () => "here");
            await sleep("1 minute");
            return work({ label: "one" });
          }),
        ],
      });
      const { client } = await world.open();
      await world.during(client.start("main", null, { id: "main" }));
      const ask = async (): Promise<void> => {
        if (isAsked) expect(await world.during(world.process.client.get("main").query(stage))).toBe("here");
      };
      await ask();
      world.kill();
      await world.during(world.up());
      // Dormant: the question brings its code back.
      await ask();
      await world.during(world.process.client.get("main").result());
      await ask();
      return [await world.history("main"), world.appendCount];
    };
    expect(await play(true)).toEqual(await play(false));
  });

  // C-15
  it("for which no time-out was declared meets none, however long it takes", async () => {
    const world = new World({
      activities: crashActivities,
      workflows: () => [
        workflow("leaf", async () => receive(go)),
        workflow("main", async () =>
          Promise.all([work({ label: "endless", hangs: true }), child("leaf", null), receive(go)]),
        ),
      ],
    });
    const { client } = await world.open();
    await world.during(client.start("main", null, { id: "main" }));
    const before = await world.history("main");
    world.nowMs += 100 * 365 * 86_400_000;
    await world.advance(86_400_000);
    expect(await world.history("main")).toEqual(before);
    for (const run of await world.runs()) expect(run).toMatchObject({ status: "running" });
    expect(world.effects).toHaveLength(1);
  });

  // C-17
  it("counts its activities, timers, children and signals from nothing, also after another of its chain", async () => {
    const world = new World({
      activities: crashActivities,
      workflows: () => [
        workflow("leaf", async () => "leaf"),
        workflow("main", async (round: number) => {
          await work({ label: "one" });
          await work({ label: "two" });
          await sleep(5);
          await child("leaf", null);
          await receive(go, { timeout: 5 });
          if (round < 2) continueAsNew(round + 1);
        }),
      ],
    });
    const { client } = await world.open();
    await world.during(client.start("main", 0, { id: "main" }).then((run) => run.result()));
    const chain = await world.store.readRunChain("main" as WorkflowId);
    const ordinals = await Promise.all(
      chain.map(async (run) =>
        (await world.store.readSegment(run, run.firstSeq)).flatMap((event) =>
          event.type === "ActivityScheduled" ||
          event.type === "TimerStarted" ||
          event.type === "ChildWorkflowStarted"
            ? [`${event.type} ${event.ordinal}`]
            : [],
        ),
      ),
    );
    expect(ordinals).toHaveLength(3);
    expect(ordinals[0]).toEqual([
      "ActivityScheduled 0",
      "ActivityScheduled 1",
      "TimerStarted 0",
      "ChildWorkflowStarted 0",
      "TimerStarted 1",
    ]);
    expect(ordinals[1]).toEqual(ordinals[0]);
    expect(ordinals[2]).toEqual(ordinals[0]);
    // And the children of different runs are different ones.
    const children = (await world.runs()).filter((run) => run.workflowType === "leaf");
    expect(new Set(children.map((run) => run.workflowId)).size).toBe(3);
  });

  // I-5, C-8
  it("is one, whoever starts it, when a hundred start it at once", async () => {
    const world = new World({
      activities: crashActivities,
      workflows: () => [workflow("main", async () => work({ label: "one" }))],
    });
    const { client } = await world.open();
    const handles = await world.during(
      Promise.all(Array.from({ length: 100 }, () => client.start("main", "in", { id: "main" }))),
    );
    expect(new Set(handles.map((handle) => handle.runId)).size).toBe(1);
    expect(handles.filter((handle) => handle.isNew === true)).toHaveLength(1);
    await world.during(client.get("main").result());
    expect(world.effects).toHaveLength(1);
    expect(await world.runs()).toHaveLength(1);
  });

  // I-40, I-37, C-5, C-6
  it("keeps the laws after every single append, whatever it does", async () => {
    for (const program of crashPrograms) {
      let pending: Promise<void> = Promise.resolve();
      let looks = 0;
      const world: World = new World({
        workflows: program.workflows,
        activities: crashActivities,
        onAppend: () => {
          looks += 1;
          // The append before this one is on disk by now.
          pending = pending.then(() => checkLaws(world));
        },
      });
      await world.open();
      await world.during(program.script(world));
      await world.settle();
      await pending;
      await checkLaws(world);
      await checkAtRest(world);
      expect(looks).toBe(world.appendCount);
    }
  });
});

describe("an owner that was replaced", () => {
  // I-16, I-19, I-20, C-7
  it("writes nothing more, forgets what it held, and leaves the run to the next one", async () => {
    const world = new World({
      activities: crashActivities,
      restarts: false,
      workflows: () => [
        workflow("main", async () => [
          await work({ label: "one", ms: 60_000 }),
          await work({ label: "two" }),
        ]),
      ],
    });
    const old = await world.open();
    await world.during(old.client.start("main", null, { id: "main" }));
    // It is alive, but frozen for longer than its lease: another takes over.
    const next = await world.takeOver();
    await world.during(next.client.get("main").result());
    await world.settle();
    expect(old.isAlive).toBe(true);
    expect(old.kernel.residency.size).toBe(0);
    expect(() => old.kernel.demandOpen()).toThrow(expect.objectContaining({ code: "not_owner" }));
    await expect(world.during(old.client.get("main").terminate())).rejects.toMatchObject({
      code: "not_owner",
    });
    await checkLaws(world);
    await checkAtRest(world);
    const labels = world.effects.map((effect) => [effect.processNumber, effect.attempt]);
    expect(labels).toEqual([
      [1, 1],
      [2, 2],
      [2, 1],
    ]);
  });
});

describe("a history from the future", () => {
  // I-44, I-11
  it("is refused, naming what is not known; the run is held, others go on", async () => {
    const inner = openMemoryStore();
    const teleported = { type: "TeleportStarted", ordinal: 0 } as unknown as EventBody;
    await writeRuns(inner, [
      { workflowId: "future", bodies: [started("main"), teleported] },
      { workflowId: "present", bodies: [started("main")] },
    ]);
    const world = new World({
      activities: crashActivities,
      workflows: () => [workflow("main", async () => work({ label: "one" }))],
      store: () => overStore(inner, {}),
    });
    const process = await world.open();
    const future = process.reports.find((report) => report.workflowId === "future");
    expect(future?.outcome).toMatchObject({
      kind: "failed",
      failureRecorded: false,
      error: { code: "event_unknown", message: expect.stringMatching(/future, event 2.*"TeleportStarted"/) },
    });
    expect(await world.during(process.client.get("present").result())).toBe("one done");
    expect(await inner.findRun("future" as WorkflowId)).toMatchObject({
      status: "running",
      headSeq: 2,
      blocked: expect.stringContaining("event_unknown"),
    });
  });
});
