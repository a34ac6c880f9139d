/**
 * Every place at which a crash can fall between two things that belong together, and what must come of it. A real engine
 * runs until its store meets the window; then its process is gone, and another one opens what is on disk.
 */
import { describe, expect, it } from "vitest";
import type { EventType } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";
import {
  activity,
  child,
  compensate,
  continueAsNew,
  expose,
  receive,
  scope,
  shield,
  signal,
  signalWorkflow,
  sleep,
  step,
  update,
  waitUntil,
  workflow,
} from "../../src/workflow/index.ts";
import { crashActivities } from "./crash-programs.ts";
import { checkAtRest, checkLaws } from "./laws.ts";
import type { AppendSeen, Fault, WorldOptions } from "./world.ts";
import { World } from "./world.ts";

const go = signal<number>("go");
const work = activity("work", (_input: object): string => "never called here");
const steadyBeat = activity("steady-beat", (_input: object): string => "never called here");
const retry = { maxAttempts: 5, initialDelay: "1 hour", backoff: "fixed", jitter: 0 } as const;
const hourMs = 3_600_000;

/** The fault for the `nth` append that holds an event of the type (of that workflow). */
function at(fault: Fault, type: EventType, of: { readonly nth?: number; readonly workflowId?: string } = {}) {
  let met = 0;
  return ({ commits }: AppendSeen): Fault | undefined => {
    const holds = commits.some((commit) =>
      [commit.run, commit.start].some(
        (part) =>
          part !== undefined &&
          (of.workflowId === undefined || part.workflowId === of.workflowId) &&
          part.events.some((event) => event.type === type),
      ),
    );
    if (!holds) return undefined;
    met += 1;
    return met === (of.nth ?? 1) ? fault : undefined;
  };
}

interface Window {
  readonly window: string;
  readonly workflows: (world: World) => readonly AnyWorkflow[];
  readonly kernel?: NonNullable<WorldOptions["kernel"]>;
  readonly fault: (seen: AppendSeen) => Fault | undefined;
  /** What the client does before the crash, besides starting `main`; nobody hears the answers. */
  readonly meanwhile?: (world: World) => Promise<unknown>;
  /** The types of the events that survive, by workflow id. */
  readonly onDisk: Readonly<Record<string, readonly EventType[]>>;
  /** How long the machine stays down. */
  readonly downMs?: number;
  /** After the next engine has opened: what the client does, and what must hold in the end. */
  readonly law: (world: World, before: World["effects"]) => Promise<void>;
}

async function typesOf(world: World, workflowId = "main"): Promise<readonly EventType[]> {
  return (await world.history(workflowId)).map((event) => event.type);
}
const labelsOf = (effects: World["effects"]): readonly string[] =>
  effects.map((effect) => (effect.input as { readonly label: string }).label);
const result = (world: World, workflowId = "main"): Promise<unknown> =>
  world.during(world.process.client.get(workflowId).result());

const leaf = workflow("leaf", async (label: string) => work({ label }));
const raise = update<string, number>("raise");
const updated = workflow("main", async () => {
  const raised: number[] = [];
  expose(raise, async (by) => {
    if (by === 0) await waitUntil(() => false);
    const done = await work({ label: "one" });
    raised.push(by);
    return `${done} ${by}`;
  });
  await receive(go);
  return raised;
});
const twoSteps = workflow("main", async () => [await work({ label: "one" }), await work({ label: "two" })]);

/** I-3, I-26: made again with its id, it is the same one. */
async function demandOneUpdate(
  world: World,
  { wasAccepted, labels }: { readonly wasAccepted: boolean; readonly labels: readonly string[] },
): Promise<void> {
  const run = world.process.client.get("main");

  const known = world.during(run.getUpdate("u", raise).result());
  if (wasAccepted) expect(await known).toBe("one done 7");
  else await expect(known).rejects.toMatchObject({ code: "update_not_found" });
  expect(await world.during(run.update(raise, 7, { updateId: "u" }))).toBe("one done 7");
  await expect(world.during(run.update(raise, 8, { updateId: "u" }))).rejects.toMatchObject({
    code: "update_conflict",
  });
  expect(labelsOf(world.effects)).toEqual(labels);
  await world.during(run.signal(go, 1));
  expect(await result(world)).toEqual([7]);
  const types = await typesOf(world);
  for (const type of ["UpdateAccepted", "UpdateCompleted"] as const)
    expect(types.filter((each) => each === type)).toHaveLength(1);
}

const windows: readonly Window[] = [
  {
    window: "WorkflowStarted recorded, its code not run",
    // A run that waited for its time: nothing but the start is on disk.
    workflows: () => [workflow("main", async (input: unknown) => [input, await work({ label: "one" })])],
    fault: at("crash-before", "TimerFired"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted"] },
    law: async (world) => {
      expect(await result(world)).toEqual(["in", "one done"]);
      expect(labelsOf(world.effects)).toEqual(["one"]);
    },
  },
  {
    window: "a start that was not recorded",
    workflows: () => [twoSteps],
    fault: at("crash-before", "WorkflowStarted"),
    onDisk: { main: [] },
    law: async (world) => {
      expect(world.effects).toEqual([]);
      const { client } = world.process;
      const again = await world.during(client.start("main", "in", { id: "main", startDelay: "1 hour" }));
      expect(again.isNew).toBe(true);
      expect(await result(world)).toEqual(["one done", "two done"]);
    },
  },
  {
    window: "a start that was recorded, and whose answer was lost",
    workflows: () => [twoSteps],
    fault: at("crash-after", "WorkflowStarted"),
    onDisk: { main: ["WorkflowStarted"] },
    law: async (world) => {
      // I-5: asked again, it is the same run.
      const { client } = world.process;
      const again = await world.during(client.start("main", "in", { id: "main", startDelay: "1 hour" }));
      expect(again.isNew).toBe(false);
      expect(await result(world)).toEqual(["one done", "two done"]);
      expect(labelsOf(world.effects)).toEqual(["one", "two"]);
    },
  },
  {
    window: "ActivityScheduled, no attempt begun: all slots are taken",
    kernel: { activityConcurrency: 1 },
    workflows: () => [
      workflow("main", async () => Promise.all([work({ label: "one" }), work({ label: "two" })])),
    ],
    fault: at("crash-before", "ActivityStarted", { nth: 2 }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: ["WorkflowStarted", "TimerFired", "ActivityScheduled", "ActivityStarted", "ActivityScheduled"],
    },
    law: async (world) => {
      expect(await result(world)).toEqual(["one done", "two done"]);
      const started = (await world.history("main")).filter((event) => event.type === "ActivityStarted");
      expect(started).toMatchObject([
        { ordinal: 0, attempt: 1 },
        { ordinal: 0, attempt: 2 },
        { ordinal: 1, attempt: 1 },
      ]);
    },
  },
  {
    window: "ActivityStarted recorded, its outcome not: executed again under the same ordinal and key",
    workflows: () => [twoSteps],
    fault: at("crash-before", "ActivityCompleted", { nth: 2 }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityStarted",
      ],
    },
    law: async (world) => {
      expect(await result(world)).toEqual(["one done", "two done"]);
      expect(labelsOf(world.effects)).toEqual(["one", "two", "two"]);
      const [, second, again] = world.effects;
      expect(again?.key).toBe(second?.key);
      expect([second?.attempt, again?.attempt]).toEqual([1, 2]);
    },
  },
  {
    window: "a step's outcome not recorded: its closure runs again",
    workflows: (world) => [
      workflow("main", async () =>
        step("mark", async (task) => {
          await world.effect(task, { label: "step" });
          return task.attempt;
        }),
      ),
    ],
    fault: at("crash-before", "ActivityCompleted"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted", "TimerFired", "ActivityScheduled", "ActivityStarted"] },
    law: async (world) => {
      expect(await result(world)).toBe(2);
      expect(new Set(world.effects.map((effect) => effect.key)).size).toBe(1);
    },
  },
  {
    window: "ActivityCompleted recorded, the code not told: it is not executed again",
    workflows: () => [twoSteps],
    fault: at("crash-after", "ActivityCompleted"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityStarted",
      ],
    },
    law: async (world) => {
      // I-8, C-1
      expect(await result(world)).toEqual(["one done", "two done"]);
      expect(labelsOf(world.effects)).toEqual(["one", "two"]);
    },
  },
  {
    window: "ActivityFailed n, to be tried again: n+1 follows, and not before its backoff is over",
    workflows: () => [workflow("main", async () => work({ label: "busy", failures: 1 }, { retry }))],
    fault: at("crash-after", "ActivityFailed"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: ["WorkflowStarted", "TimerFired", "ActivityScheduled", "ActivityStarted", "ActivityFailed"],
    },
    downMs: hourMs / 2,
    law: async (world, before) => {
      // I-10: a restart does not shorten the wait.
      await world.advance(hourMs / 2 - 1_000);
      expect(world.effects).toEqual(before);
      expect(await result(world)).toBe("busy done");
      const [first, second] = world.effects;
      expect(second?.attempt).toBe(2);
      expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(hourMs);
    },
  },
  {
    window: "a fan-out of which some outcomes are recorded: only the others are executed again",
    workflows: () => [
      workflow("main", async () =>
        Promise.all([1, 2, 3, 4].map((n) => work({ label: `part ${n}`, ms: n * 10 }))),
      ),
    ],
    fault: at("crash-before", "ActivityCompleted", { nth: 3 }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        ...[1, 2, 3, 4].flatMap(() => ["ActivityScheduled", "ActivityStarted"] as const),
        "ActivityCompleted",
        "ActivityCompleted",
      ],
    },
    law: async (world, before) => {
      expect(await result(world)).toEqual([1, 2, 3, 4].map((n) => `part ${n} done`));
      expect(labelsOf(world.effects.slice(before.length))).toEqual(["part 3", "part 4"]);
    },
  },
  {
    window:
      "fail-fast recorded, its siblings told to stop and not yet ended: they are cancelled, late results dropped",
    workflows: () => [
      workflow("main", async () => {
        try {
          return await scope(async (own) => {
            const siblings = [
              work({ label: "endless", hangs: true }),
              work({ label: "long", ms: 5 * hourMs }),
            ];
            await work({ label: "fails", fatal: true }).catch(async (error: unknown) => {
              own.cancel("a sibling failed");
              await Promise.allSettled(siblings);
              throw error;
            });
          });
        } catch (error) {
          return (error as Error).message;
        }
      }),
    ],
    fault: at("crash-after", "ActivityCancelRequested"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        ...[1, 2, 3].flatMap(() => ["ActivityScheduled", "ActivityStarted"] as const),
        "ActivityFailed",
        "ActivityCancelRequested",
        "ActivityCancelRequested",
      ],
    },
    law: async (world, before) => {
      expect(await result(world)).toContain("fails is not possible");
      // C-9
      expect(world.effects).toEqual(before);
      expect((await typesOf(world)).filter((type) => type === "ActivityCancelled")).toHaveLength(2);
    },
  },
  {
    window: "TimerStarted, not yet due: it fires at its time, not earlier and not later",
    workflows: () => [workflow("main", async () => sleep("5 hours"))],
    fault: at("crash-after", "TimerStarted"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted", "TimerFired", "TimerStarted"] },
    downMs: hourMs,
    law: async (world) => {
      // I-28
      const due = (await world.history("main")).find((event) => event.type === "TimerStarted");
      await world.advance(3.9 * hourMs);
      expect(await typesOf(world)).toHaveLength(3);
      await result(world);
      const fired = (await world.history("main")).filter((event) => event.type === "TimerFired").at(-1);
      expect(fired?.recordedAt).toBe(due?.fireAt);
    },
  },
  {
    window: "TimerStarted, overdue when the next engine opens: it fires at once, recorded first",
    workflows: () => [workflow("main", async () => [await sleep("5 hours"), await work({ label: "then" })])],
    fault: at("crash-after", "TimerStarted"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted", "TimerFired", "TimerStarted"] },
    downMs: 50 * hourMs,
    law: async (world) => {
      await world.advance(1);
      expect(await typesOf(world)).toEqual([
        "WorkflowStarted",
        "TimerFired",
        "TimerStarted",
        "TimerFired",
        "ActivityScheduled",
        "ActivityStarted",
      ]);
      await result(world);
    },
  },
  {
    window: "TimerFired recorded, the code not told",
    workflows: () => [workflow("main", async () => [await sleep("1 hour"), await work({ label: "then" })])],
    fault: at("crash-after", "TimerFired", { nth: 2 }),
    meanwhile: (world) => world.advance(3 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "TimerStarted",
        "TimerFired",
        "ActivityScheduled",
        "ActivityStarted",
      ],
    },
    law: async (world) => {
      expect(await result(world)).toEqual([null, "then done"]);
      expect((await typesOf(world)).filter((type) => type === "TimerFired")).toHaveLength(2);
      expect(labelsOf(world.effects)).toEqual(["then"]);
    },
  },
  {
    window: "SignalReceived recorded, neither the sender nor the code told",
    workflows: () => [workflow("main", async () => [await receive(go), await receive(go)])],
    fault: at("crash-after", "SignalReceived"),
    meanwhile: async (world) => {
      await world.advance(2 * hourMs);
      void world.process.client.get("main").signal(go, 1, { signalId: "first" });
      await world.settle();
    },
    onDisk: { main: ["WorkflowStarted", "TimerFired", "SignalReceived"] },
    law: async (world) => {
      // I-22: sent again because nobody answered, it is the one before.
      const run = world.process.client.get("main");
      await world.during(run.signal(go, 1, { signalId: "first" }));
      await world.during(run.signal(go, 2, { signalId: "second" }));
      expect(await result(world)).toEqual([1, 2]);
    },
  },
  {
    window: "a signal to another workflow: SignalSent recorded, not delivered",
    workflows: () => [
      workflow("main", async () => signalWorkflow("other", go, 1)),
      workflow("other", async () => [await receive(go), await receive(go, { timeout: "1 hour" })]),
    ],
    fault: at("crash-before", "SignalReceived"),
    meanwhile: async (world) => {
      await world.during(world.process.client.start("other", null, { id: "other" }));
      await world.advance(2 * hourMs);
    },
    onDisk: { main: ["WorkflowStarted", "TimerFired", "SignalSent"], other: ["WorkflowStarted"] },
    law: async (world) => {
      await result(world);
      // Delivered once: neither lost nor doubled.
      expect(await result(world, "other")).toEqual([1, { ok: false, reason: "timeout" }]);
    },
  },
  {
    window: "a signal to another workflow: delivered, and the sender not told",
    workflows: () => [
      workflow("main", async () => signalWorkflow("other", go, 1)),
      workflow("other", async () => [await receive(go), await receive(go, { timeout: "1 hour" })]),
    ],
    fault: at("crash-after", "SignalReceived"),
    meanwhile: async (world) => {
      await world.during(world.process.client.start("other", null, { id: "other" }));
      await world.advance(2 * hourMs);
    },
    onDisk: {
      main: ["WorkflowStarted", "TimerFired", "SignalSent"],
      other: ["WorkflowStarted", "SignalReceived", "TimerStarted"],
    },
    law: async (world) => {
      await result(world);
      expect(await result(world, "other")).toEqual([1, { ok: false, reason: "timeout" }]);
    },
  },
  {
    window: "ChildWorkflowStarted recorded, the child not begun: it is started once, under the same id",
    workflows: () => [leaf, workflow("main", async () => child(leaf, "kid", { id: "kid" }))],
    fault: at("crash-before", "WorkflowStarted", { workflowId: "kid" }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted", "TimerFired", "ChildWorkflowStarted"], kid: [] },
    law: async (world) => {
      // C-16
      expect(await result(world)).toBe("kid done");
      expect(await world.store.readRunChain("kid" as WorkflowId)).toHaveLength(1);
      expect(labelsOf(world.effects)).toEqual(["kid"]);
    },
  },
  {
    window: "the child begun, and the message that begins it not known to be delivered",
    workflows: () => [leaf, workflow("main", async () => child(leaf, "kid", { id: "kid" }))],
    fault: at("crash-after", "WorkflowStarted", { workflowId: "kid" }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: ["WorkflowStarted", "TimerFired", "ChildWorkflowStarted"],
      kid: ["WorkflowStarted", "ActivityScheduled", "ActivityStarted"],
    },
    law: async (world) => {
      expect(await result(world)).toBe("kid done");
      expect(await world.store.readRunChain("kid" as WorkflowId)).toHaveLength(1);
    },
  },
  {
    window: "the child ended, its parent not told: told exactly once",
    workflows: () => [leaf, workflow("main", async () => child(leaf, "kid", { id: "kid" }))],
    fault: at("crash-after", "WorkflowCompleted", { workflowId: "kid" }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: ["WorkflowStarted", "TimerFired", "ChildWorkflowStarted"],
      kid: [
        "WorkflowStarted",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityCompleted",
        "WorkflowCompleted",
      ],
    },
    law: async (world) => {
      // I-34
      expect(await result(world)).toBe("kid done");
      expect((await typesOf(world)).filter((type) => type === "ChildWorkflowCompleted")).toHaveLength(1);
      expect(labelsOf(world.effects)).toEqual(["kid"]);
    },
  },
  {
    window: "the parent ended, its child not told: the policy is applied once",
    workflows: () => [
      workflow("sleeper", async () => sleep("1 day")),
      workflow("main", async () => {
        void child("sleeper", null, { id: "kid" }).catch(() => undefined);
        await sleep("1 minute");
      }),
    ],
    fault: at("crash-after", "WorkflowCompleted", { workflowId: "main" }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "ChildWorkflowStarted",
        "TimerStarted",
        "TimerFired",
        "WorkflowCompleted",
      ],
      kid: ["WorkflowStarted", "TimerStarted"],
    },
    law: async (world) => {
      // I-35
      await world.settle();
      expect(await typesOf(world, "kid")).toEqual(["WorkflowStarted", "TimerStarted", "WorkflowTerminated"]);
    },
  },
  {
    window: "WorkflowContinuedAsNew not recorded: the run before goes on",
    workflows: () => [
      workflow("main", async (round: unknown) => {
        await work({ label: `round ${String(round)}` });
        return round === 2 ? "over" : continueAsNew(2);
      }),
    ],
    fault: at("crash-before", "WorkflowContinuedAsNew"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted", "TimerFired", "ActivityScheduled", "ActivityStarted"] },
    law: async (world) => {
      // I-36: never none, never two.
      expect(await result(world)).toBe("over");
      expect(await world.store.readRunChain("main" as WorkflowId)).toHaveLength(2);
    },
  },
  {
    window: "WorkflowContinuedAsNew recorded with its successor, which is not running",
    workflows: () => [
      workflow("main", async (round: unknown) => {
        await work({ label: `round ${String(round)}` });
        return round === 2 ? "over" : continueAsNew(2);
      }),
    ],
    fault: at("crash-after", "WorkflowContinuedAsNew"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityCompleted",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
      ],
    },
    law: async (world) => {
      expect(await result(world)).toBe("over");
      const chain = await world.store.readRunChain("main" as WorkflowId);
      expect(chain.map((run) => run.status)).toEqual(["continued-as-new", "completed"]);
      expect(labelsOf(world.effects)).toEqual(["round in", "round 2"]);
    },
  },
  {
    window: "WorkflowCancelRequested recorded, the code not told: it still cleans up",
    workflows: () => [
      workflow("main", async () => {
        compensate(() => work({ label: "undo" }));
        try {
          await sleep("1 day");
        } catch (error) {
          await shield(() => work({ label: "tidy" }));
          throw error;
        }
      }),
    ],
    fault: at("crash-after", "WorkflowCancelRequested"),
    meanwhile: async (world) => {
      await world.advance(2 * hourMs);
      void world.process.client.get("main").cancel("not wanted");
      await world.settle();
    },
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "TimerStarted",
        "WorkflowCancelRequested",
        "TimerCancelled",
        "ActivityScheduled",
        "ActivityStarted",
      ],
    },
    law: async (world) => {
      // I-38
      await expect(result(world)).rejects.toMatchObject({ kind: "cancelled" });
      expect(labelsOf(world.effects)).toEqual(["tidy", "undo"]);
      expect((await world.history("main")).at(-1)).toMatchObject({
        type: "WorkflowCancelled",
        reason: "not wanted",
      });
    },
  },
  {
    window: "a terminal event recorded while attempts are under way: it is never resurrected",
    workflows: () => [
      workflow("main", async () => Promise.all([work({ label: "endless", hangs: true }), sleep("1 day")])),
    ],
    fault: at("crash-after", "WorkflowTerminated"),
    meanwhile: async (world) => {
      await world.advance(2 * hourMs);
      void world.process.client.get("main").terminate("enough");
      await world.settle();
    },
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        "ActivityScheduled",
        "ActivityStarted",
        "TimerStarted",
        "WorkflowTerminated",
      ],
    },
    downMs: 48 * hourMs,
    law: async (world, before) => {
      // C-6
      const history = await world.history("main");
      await world.advance(48 * hourMs);
      expect(await world.history("main")).toEqual(history);
      expect(world.effects).toEqual(before);
      expect(world.process.reports).toEqual([]);
      await expect(result(world)).rejects.toMatchObject({ kind: "terminated" });
    },
  },
  {
    window: "compensation under way: what was undone is not undone again, the rest is",
    workflows: () => [
      workflow("main", async () => {
        for (const label of ["a", "b", "c"]) {
          await work({ label });
          compensate(() => work({ label: `undo ${label}` }));
        }
        await work({ label: "fails", fatal: true });
      }),
    ],
    // a, b, c, undo c; the outcome of "undo b" is lost.
    fault: at("crash-before", "ActivityCompleted", { nth: 5 }),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: {
      main: [
        "WorkflowStarted",
        "TimerFired",
        ...["a", "b", "c"].flatMap(
          () => ["ActivityScheduled", "ActivityStarted", "ActivityCompleted"] as const,
        ),
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityFailed",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityCompleted",
        "ActivityScheduled",
        "ActivityStarted",
      ],
    },
    law: async (world, before) => {
      await expect(result(world)).rejects.toMatchObject({ kind: "activity" });
      expect(labelsOf(before)).toEqual(["a", "b", "c", "fails", "undo c", "undo b"]);
      expect(labelsOf(world.effects.slice(before.length))).toEqual(["undo b", "undo a"]);
    },
  },
  {
    window: "heartbeats of an attempt that died: their details reach the next one",
    workflows: () => [
      workflow("main", async () => steadyBeat({ label: "beats", tells: true }, { heartbeat: "1 hour" })),
    ],
    fault: at("crash-before", "ActivityCompleted"),
    meanwhile: (world) => world.advance(2 * hourMs),
    onDisk: { main: ["WorkflowStarted", "TimerFired", "ActivityScheduled", "ActivityStarted"] },
    law: async (world) => {
      // I-14
      expect(await result(world)).toEqual({ from: 3 });
    },
  },
  {
    window: "a run that its deadline overtook while the machine was down",
    workflows: () => [workflow("main", async () => sleep("10 days"))],
    fault: at("crash-after", "TimerStarted"),
    meanwhile: async (world) => {
      await world.during(world.process.client.start("main", "in", { id: "deadline", runTimeout: "3 hours" }));
    },
    onDisk: { main: ["WorkflowStarted"], deadline: ["WorkflowStarted", "TimerStarted"] },
    downMs: 10 * hourMs,
    law: async (world) => {
      await expect(result(world, "deadline")).rejects.toMatchObject({ kind: "timeout", timeout: "run" });
      expect(await typesOf(world, "deadline")).toEqual([
        "WorkflowStarted",
        "TimerStarted",
        "WorkflowTimedOut",
      ]);
      await world.during(world.process.client.get("main").terminate());
    },
  },
  ...(
    [
      {
        window: "an update that was asked about and not recorded",
        fault: at("crash-before", "UpdateAccepted"),
        after: [],
        labels: ["one"],
      },
      {
        window: "UpdateAccepted recorded, its handler under way",
        fault: at("crash-after", "UpdateAccepted"),
        after: ["UpdateAccepted", "ActivityScheduled", "ActivityStarted"],
        labels: ["one"],
      },
      {
        window:
          "what the handler waited for recorded by nobody: it is done again, and UpdateCompleted comes with it",
        fault: at("crash-before", "UpdateCompleted"),
        after: ["UpdateAccepted", "ActivityScheduled", "ActivityStarted"],
        labels: ["one", "one"],
      },
      {
        window: "UpdateCompleted recorded, and its answer lost",
        fault: at("crash-after", "UpdateCompleted"),
        after: [
          "UpdateAccepted",
          "ActivityScheduled",
          "ActivityStarted",
          "ActivityCompleted",
          "UpdateCompleted",
        ],
        labels: ["one"],
      },
    ] as const
  ).map(({ window, fault, after, labels }): Window => ({
    window,
    workflows: () => [updated],
    fault,
    meanwhile: async (world) => {
      await world.advance(2 * hourMs);
      void world.process.client.get("main").update(raise, 7, { updateId: "u" });
      await world.advance(hourMs);
    },
    onDisk: { main: ["WorkflowStarted", "TimerFired", ...after] },
    law: (world) => demandOneUpdate(world, { wasAccepted: after.length > 0, labels }),
  })),
  {
    window: "the end of a run that leaves an update behind, recorded, and nobody told",
    workflows: () => [updated],
    fault: at("crash-after", "WorkflowCompleted"),
    meanwhile: async (world) => {
      await world.advance(2 * hourMs);
      const run = world.process.client.get("main");
      void run.update(raise, 0, { updateId: "u" });
      await world.settle();
      void run.signal(go, 1);
      await world.advance(hourMs);
    },
    onDisk: {
      main: ["WorkflowStarted", "TimerFired", "UpdateAccepted", "SignalReceived", "WorkflowCompleted"],
    },
    law: async (world) => {
      const run = world.process.client.get("main");
      const unfinished = { kind: "engine", code: "update_unfinished" };
      await expect(world.during(run.getUpdate("u").result())).rejects.toMatchObject(unfinished);
      await expect(world.during(run.update(raise, 0, { updateId: "u" }))).rejects.toMatchObject(unfinished);
      expect(await result(world)).toEqual([]);
    },
  },
];
// Not in scope of this engine: a run that was reopened or paused, an outbox apart from the history, deployed packages,
// and the death of a shard's owner.

describe("a crash", () => {
  it.each(windows)("$window", async ({ workflows, kernel, fault, meanwhile, onDisk, downMs, law }) => {
    const world = new World({
      workflows,
      activities: crashActivities,
      fault,
      restarts: false,
      ...(kernel === undefined ? {} : { kernel }),
    });
    const { client } = await world.open();
    // Started with a delay, so that the first window, a history of nothing but a start, is one like all others.
    void client.start("main", "in", { id: "main", startDelay: "1 hour" });
    await world.settle();
    const isLost = (await world.runs()).length === 0;
    if (meanwhile !== undefined && world.isUp) {
      // What was asked of the dead is never answered.
      await Promise.race([meanwhile(world), world.death()]);
    }
    expect(world.isUp).toBe(false);
    expect(world.crashCount).toBe(1);
    for (const [workflowId, types] of Object.entries(onDisk)) {
      expect(await typesOf(world, workflowId)).toEqual(types);
    }
    expect(isLost).toBe(onDisk["main"]?.length === 0);
    await checkLaws(world);
    world.nowMs += downMs ?? 0;
    const before = [...world.effects];
    await world.open();
    await law(world, before);
    await world.settle();
    await checkLaws(world);
    await checkAtRest(world);
  });

  // C-14, I-56
  it("and a graceful stop leave the same on disk", async () => {
    const stop = async (how: (world: World) => Promise<void>): Promise<readonly string[]> => {
      const world = new World({
        workflows: () => [
          workflow("main", async () =>
            Promise.all([work({ label: "short" }), work({ label: "endless", hangs: true }), receive(go)]),
          ),
        ],
        activities: crashActivities,
        restarts: false,
      });
      const { client } = await world.open();
      await world.during(client.start("main", null, { id: "main" }));
      await world.advance(1_000);
      await how(world);
      await world.settle();
      const [run] = await world.runs();
      return [JSON.stringify(await world.history("main")), JSON.stringify(run)];
    };
    const killed = await stop(async (world) => world.kill());
    const closed = await stop((world) => world.close());
    const drained = await stop((world) => world.close(60_000));
    expect(closed).toEqual(killed);
    expect(drained).toEqual(killed);
  });
});
