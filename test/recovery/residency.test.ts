/** What is looked up on disk while memory moves on: one run, one copy of it, and nobody told what was true a moment ago. */
import { expect, it } from "vitest";
import { AionError } from "../../src/core/errors.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { deleteClosedRuns } from "../../src/engine/retention.ts";
import type { Program } from "../../src/program/program.ts";
import type { Store } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import {
  activity,
  child,
  continueAsNew,
  receive,
  signal,
  signalWorkflow,
  sleep,
  workflow,
} from "../../src/workflow/index.ts";
import { checkAtRest, checkLaws } from "./laws.ts";
import { overStore } from "./over-store.ts";
import { World } from "./world.ts";
import type { WorldOptions } from "./world.ts";

const go = signal<number>("go");

/** A world whose store answers some calls in its own way. */
function worldOver(
  own: (inner: Store, world: World) => Partial<Store>,
  options: Omit<WorldOptions, "store">,
): World {
  return new World({
    ...options,
    store: (world) => {
      const defer = (done: () => void): void => queueMicrotask(done);
      const inner = openMemoryStore({ clock: { now: () => world.nowMs }, defer });
      return overStore(inner, own(inner, world));
    },
  });
}

// I-17
it("a report on a run that has continued as new since it was listed keeps nobody from the run that is there", async () => {
  let isSlow = false;
  const world = worldOver(
    (inner, of) => ({
      listActive: async (...args) => {
        const page = await inner.listActive(...args);
        if (isSlow) await of.idle(100);
        return page;
      },
      readSegment: async (...args) => {
        if (isSlow && args[1] === 1) await of.idle(100);
        return inner.readSegment(...args);
      },
    }),
    {
      workflows: () => [
        workflow("main", async (round: number) => {
          const value = await receive(go);
          if (round === 0) continueAsNew(1);
          return value;
        }),
      ],
      kernel: { residentMax: 1 },
    },
  );
  const { client, kernel } = await world.open();
  const run = await world.during(client.start("main", 0, { id: "main" }));
  isSlow = true;
  const report = (async () => {
    const outcomes: string[] = [];
    for await (const { outcome } of kernel.recover("all")) outcomes.push(outcome.kind);
    return outcomes;
  })();
  await world.during(run.signal(go, 1));
  await world.during(client.get("main").describe());
  // Makes room: the second run is on disk alone when the report comes to the first.
  await world.during(client.start("main", 1, { id: "other" }));
  await world.advance(150);
  await world.during(client.get("main").cancel());
  await world.during(report);
  await expect(world.during(client.get("main").result())).rejects.toMatchObject({ kind: "cancelled" });
  await checkLaws(world);
});

// I-35
it("a parent's end does not reach a run that has taken the id of the child since", async () => {
  let isSlow = false;
  const world = worldOver(
    (inner, of) => ({
      findRun: async (...args) => {
        const found = await inner.findRun(...args);
        if (!isSlow || args[0] !== "leaf") return found;
        isSlow = false;
        await of.idle(300);
        return found;
      },
    }),
    {
      workflows: () => [
        workflow("parent", async () => child("leaf", 50, { id: "leaf" })),
        workflow("leaf", async (ms: number) => {
          await sleep(ms);
          return "slept";
        }),
      ],
    },
  );
  const { client } = await world.open();
  const parent = await world.during(client.start("parent", null, { id: "parent" }));
  await world.settle();
  expect((await world.during(client.get("leaf").describe())).status).toBe("running");
  isSlow = true;
  await world.during(parent.terminate());
  await world.advance(60);
  const other = await world.during(client.start("leaf", 1_000, { id: "leaf", reuse: "after-close" }));
  expect(await world.during(other.result())).toBe("slept");
  await checkLaws(world);
});

// I-37
it("an end that meets a run as that continues as new ends the next one", async () => {
  let isSlow = false;
  const world = worldOver(
    (inner, of) => ({
      append: async (...args) => {
        if (isSlow) await of.idle(100);
        return inner.append(...args);
      },
    }),
    {
      workflows: () => [
        workflow("main", async () => {
          await receive(go);
          if ((await receive(go)) > 0) continueAsNew(null);
        }),
      ],
    },
  );
  const { client } = await world.open();
  const run = await world.during(client.start("main", null, { id: "main" }));
  isSlow = true;
  // The first is being committed when the others come.
  const told = [run.signal(go, 1)];
  await world.advance(10);
  told.push(run.signal(go, 2));
  await world.advance(10);
  await world.during(Promise.all([...told, client.get("main").terminate()]));
  expect((await world.runs()).map(({ status }) => status)).toEqual(["continued-as-new", "terminated"]);
  await checkLaws(world);
});

// I-11, I-29
it("a run that could not be marked as blocked is not taken for blocked when it goes on", async () => {
  let isBroken = false;
  const world = worldOver(
    (inner) => ({
      append: async (token, commits) => {
        const isMark = commits.some(({ run }) => typeof run?.blocked === "string");
        return isMark && isBroken
          ? commits.map(() => ({ ok: false, error: new AionError("store_full", "no space is left") }))
          : inner.append(token, commits);
      },
    }),
    {
      workflows: () => [workflow("main", async () => [await receive(go), await receive(go)])],
      wrapPrograms: (programs) => ({
        ...programs,
        find: (type, version) => {
          if (isBroken) throw new AionError("workflow_type_unknown", "not here now");
          return programs.find(type, version);
        },
      }),
    },
  );
  const { client } = await world.open();
  await world.during(client.start("main", null, { id: "main" }));
  world.kill();
  isBroken = true;
  const next = await world.during(world.up());
  const run = next.client.get("main");
  await world.during(run.signal(go, 1));
  isBroken = false;
  await world.during(run.signal(go, 2));
  expect(await world.during(run.result())).toEqual([1, 2]);
  await checkAtRest(world);
});

// I-6, I-34
it("a run that is held amid a commit has done what that commit tells", async () => {
  let isDamaged = false;
  const world = worldOver(
    (inner, of) => ({
      append: async (token, commits) => {
        if (commits.some(({ send }) => send !== undefined)) await of.idle(100);
        return inner.append(token, commits);
      },
      listMessages: async (...args) => {
        const page = await inner.listMessages(...args);
        const error = new AionError("message_corrupt", "its checksum is wrong");
        const target = "main" as WorkflowId;
        return isDamaged
          ? [...page, { messageId: 1_000, target, message: { kind: "damaged", error } }]
          : page;
      },
    }),
    {
      workflows: () => [
        workflow("main", async () => {
          await receive(go);
          return child("leaf", null, { id: "leaf" });
        }),
        workflow("leaf", async () => "leaf"),
      ],
    },
  );
  const { client, kernel } = await world.open();
  const run = await world.during(client.start("main", null, { id: "main" }));
  const told = run.signal(go, 1);
  await world.advance(10);
  isDamaged = true;
  await world.during(kernel.mailbox.list());
  await world.during(told);
  await world.advance(1_000);
  expect((await world.during(run.describe())).blocked).toMatch(/^message_corrupt/);
  expect(await world.during(client.get("leaf").result())).toBe("leaf");
});

// I-10: who waits for a slot is served
it("a run that meets a bug of the engine gives back the slot that it had taken for what was not recorded", async () => {
  let turnsLeft = -1;
  const crashing = (program: Program | undefined): Program | undefined =>
    program && {
      workflowType: program.workflowType,
      version: program.version,
      parseInput: (input) => program.parseInput(input),
      parseSignal: (name, payload) => program.parseSignal(name, payload),
      instantiate: (init) => {
        const instance = program.instantiate(init);
        const end = instance.end.bind(instance);
        instance.end = () => {
          turnsLeft -= 1;
          if (turnsLeft === 0) throw new Error("a bug of ours");
          return end();
        };
        return instance;
      },
    };
  const work = activity("work", async () => "worked");
  const world = worldOver(() => ({}), {
    activities: () => [work],
    workflows: () => [
      workflow("main", async () => {
        await receive(go);
        const worked = work(undefined);
        await receive(go);
        return worked;
      }),
    ],
    wrapPrograms: (programs) => ({
      workflowTypes: programs.workflowTypes,
      route: (type) => crashing(programs.route(type)),
      find: (type, version) => crashing(programs.find(type, version)),
    }),
    kernel: { activityConcurrency: 1 },
  });
  const { client } = await world.open();
  const run = await world.during(client.start("main", null, { id: "main" }));
  // Both in one batch: the slot is taken in the first turn, and the second one crashes.
  turnsLeft = 2;
  const told = Promise.allSettled([run.signal(go, 1), run.signal(go, 2)]);
  expect((await world.during(told)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await world.during(Promise.all([run.signal(go, 1), run.signal(go, 2)]));
  expect(await world.during(run.result(), 60_000)).toBe("worked");
  await checkAtRest(world);
});

// I-19
it("who waits for a run that is read anew hears of it when the engine is replaced meanwhile", async () => {
  let isConflict = false;
  const world = worldOver(
    (inner) => ({
      append: async (token, commits) => {
        if (!isConflict) return inner.append(token, commits);
        isConflict = false;
        const error = new AionError("sequence_conflict", "another seq is expected");
        return commits.map(() => ({ ok: false, error }));
      },
    }),
    { workflows: () => [workflow("main", async () => receive(go))], restarts: false },
  );
  const old = await world.open();
  const run = await world.during(old.client.start("main", null, { id: "main" }));
  isConflict = true;
  const told = run.signal(go, 1);
  told.catch(() => undefined);
  await world.advance(10);
  await world.takeOver();
  const late = old.client.start("main", null, { id: "late" });
  await expect(world.during(late)).rejects.toMatchObject({ code: "not_owner" });
  await expect(world.during(told, 60_000)).rejects.toMatchObject({ code: "not_owner" });
});

// I-24, I-39
it("who sent something to a run that is held hears of it when that times out", async () => {
  let isMissing = false;
  const world = worldOver(() => ({}), {
    workflows: () => [
      workflow("main", async () => receive(go)),
      workflow("sender", async () => signalWorkflow("main", go, 1)),
    ],
    wrapPrograms: (programs) => ({
      ...programs,
      find: (type, version) => (isMissing && type === "main" ? undefined : programs.find(type, version)),
    }),
  });
  const { client } = await world.open();
  await world.during(client.start("main", null, { id: "main", runTimeout: "1 hour" }));
  world.kill();
  isMissing = true;
  const next = await world.during(world.up());
  const sender = await world.during(next.client.start("sender", null, { id: "sender" }));
  await world.advance(60_000);
  expect((await world.during(next.client.get("main").describe())).blocked).toMatch(/^workflow_type_unknown/);
  await world.advance(3_600_000);
  expect((await world.during(next.client.get("main").describe())).status).toBe("timed-out");
  await expect(world.during(sender.result(), 60_000)).rejects.toMatchObject({ type: "SignalFailed" });
  await checkAtRest(world);
});

// I-23
it("what was sent to a run that was held is not heard by the next one after what was sent later", async () => {
  let isMissing = false;
  const world = worldOver(
    (inner, of) => ({
      append: async (token, commits) => {
        if (commits.some(({ consume = [] }) => consume.length > 0)) await of.idle(200);
        return inner.append(token, commits);
      },
    }),
    {
      workflows: () => [
        workflow("main", async (which: string) => {
          if (which === "first") await sleep("1 minute");
          else return [await receive(go), await receive(go)];
          return [];
        }),
      ],
      wrapPrograms: (programs) => ({
        ...programs,
        find: (type, version) => (isMissing ? undefined : programs.find(type, version)),
      }),
    },
  );
  const { client } = await world.open();
  await world.during(client.start("main", "first", { id: "main" }));
  world.kill();
  isMissing = true;
  const held = await world.during(world.up());
  for (const payload of [0, 1]) await world.during(held.client.get("main").signal(go, payload));
  await world.advance(120_000);
  world.kill();
  isMissing = false;
  const next = await world.during(world.up());
  const run = await world.during(
    next.client.start("main", "second", {
      id: "main",
      reuse: "after-close",
      signal: [go, 2],
    }),
  );
  await world.during(run.signal(go, 3));
  expect(await world.during(run.result())).not.toEqual([2, 1]);
  await checkAtRest(world);
});

// I-23
it("what was sent to a run that is gone is not heard by the next one after what was sent later", async () => {
  let isMissing = false;
  let isSick = false;
  const world = worldOver(
    (inner) => ({
      findRun: async (workflowId, runId) => {
        if (isSick) throw new AionError("store_unavailable", "busy");
        return inner.findRun(workflowId, runId);
      },
      append: async (token, commits) => {
        const results = await inner.append(token, commits);
        // What the run was sent cannot be looked after from its end on.
        if (commits.some(({ run }) => run?.status === "terminated")) isSick = true;
        return results;
      },
    }),
    {
      workflows: () => [workflow("main", async () => [await receive(go), await receive(go)])],
      wrapPrograms: (programs) => ({
        ...programs,
        find: (type, version) => (isMissing ? undefined : programs.find(type, version)),
      }),
    },
  );
  const { client } = await world.open();
  await world.during(client.start("main", null, { id: "main" }));
  world.kill();
  isMissing = true;
  const held = await world.during(world.up());
  await world.during(held.client.get("main").signal(go, 1));
  await world.during(held.client.get("main").terminate());
  expect(isSick).toBe(true);
  // Meanwhile the run is deleted, and its id is new again.
  await world.advance(10);
  await world.during(deleteClosedRuns(held.kernel, 0));
  isMissing = false;
  const starting = held.client.start("main", null, { id: "main", signal: [go, 2] });
  await world.advance(3_000);
  isSick = false;
  const run = await world.during(starting, 60_000);
  await world.advance(60_000);
  await world.during(run.signal(go, 3)).catch(() => undefined);
  expect(await world.during(run.result(), 60_000)).not.toEqual([2, 1]);
  await checkAtRest(world);
});

// I-8, I-29
it("a run whose row cannot be read when the engine is opened is taken up when it can", async () => {
  let refusals = 0;
  const world = worldOver(
    (inner) => ({
      findRunByKey: async (runKey) => {
        if (refusals > 0) {
          refusals -= 1;
          throw new AionError("store_unavailable", "busy");
        }
        return inner.findRunByKey(runKey);
      },
    }),
    {
      workflows: () => [workflow("main", async () => activity("charge", async () => "elsewhere")(undefined))],
      activities: (of) => [
        activity("charge", async () => {
          await of.idle(1_000);
          return "paid";
        }),
      ],
      reports: false,
    },
  );
  const { client } = await world.open();
  await world.during(client.start("main", null, { id: "main" }));
  refusals = 1;
  world.kill();
  await world.during(world.up());
  await world.advance(60_000);
  expect(refusals).toBe(0);
  // Nobody asked for it since.
  const [run] = (await world.store.list({}, { limit: 1 })).runs;
  expect(run?.status).toBe("completed");
  await checkAtRest(world);
});

// I-29, I-34
it.each(["store_unavailable", "store_failed"] as const)(
  "a message to a workflow whose row cannot be read (%s) is delivered when it can",
  async (code) => {
    let refusals = 0;
    const leaf = workflow("leaf", async () => "fell");
    const world = worldOver(
      (inner) => ({
        findRun: async (workflowId, runId) => {
          if (workflowId === "leaf" && refusals > 0) {
            refusals -= 1;
            throw new AionError(code, "the disk does not answer");
          }
          return inner.findRun(workflowId, runId);
        },
      }),
      { workflows: () => [leaf, workflow("main", async () => await child(leaf, undefined, { id: "leaf" }))] },
    );
    const { client } = await world.open();
    refusals = 1;
    const run = await world.during(client.start("main", null, { id: "main" }));
    expect(await world.during(run.result(), 60_000)).toBe("fell");
    expect(refusals).toBe(0);
    await checkAtRest(world);
  },
);
