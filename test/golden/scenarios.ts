/** How each golden history comes about: its workflows, what the outside answers, and what clients do. */
import type { Order } from "../../examples/order-fulfilment/order.ts";
import { approval, fulfil, ship } from "../../examples/order-fulfilment/workflow.ts";
import type { Client } from "../../src/client/client.ts";
import type { RunHandle } from "../../src/client/run-handle.ts";
import type { RunLimits } from "../../src/engine/run-limits.ts";
import type { AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import { activity, ApplicationFailure } from "../../src/workflow/index.ts";
import type { World } from "../recovery/world.ts";
import { joinUp } from "../workers/remote-world.ts";
import { ScriptedWorker } from "../workers/scripted-worker.ts";
import * as golden from "./workflows.ts";

export interface GoldenScenario {
  readonly workflows: readonly AnyWorkflow[];
  readonly activities: (world: World) => readonly AnyActivity[];
  /** Of the engine that records it; runs that reach one are failed. */
  readonly limits?: Partial<RunLimits>;
  /** Ends when all that is to be recorded has happened. */
  readonly play: (client: Client, world: World) => Promise<void>;
}

const nobodyMinds = (): undefined => undefined;
const minuteMs = 60_000;
const dayMs = 86_400_000;

const order: Order = {
  id: "order-7",
  customer: { email: "ann@example.com", credit: "good" },
  items: [{ sku: "AB-123", title: "A lamp", quantity: 2, unitPrice: 30_000 }],
  amount: 60_000,
  currency: "EUR",
  cardToken: "tok_visa_0123abcd",
  address: { name: "Ann", street: "1 Long Street", postcode: "12345", city: "Anytown", country: "DE" },
};

/** The services of the example, played: the first attempt of each gets no answer. */
const shop = (world: World): readonly AnyActivity[] => {
  const answer = (name: string, value: unknown, fails: "once" | "never" | "always" = "never"): AnyActivity =>
    activity(name, async (_input: unknown, task) => {
      await world.pause(20);
      if (fails === "once" && task.attempt === 1) throw new Error("no answer");
      if (fails === "always") throw new ApplicationFailure("declined", { type: "CardDeclined" });
      return value;
    });
  return [
    answer("charge", { id: "pay-7", reference: "order-7", amount: 60_000, currency: "EUR" }, "once"),
    answer("refund", { reference: "order-7", refunds: [] }, "once"),
    answer("request-approval", null),
    answer("print-label", { reference: "order-7", trackingNumber: "T-7" }),
    answer("hand-over", null, "once"),
    answer("send-receipt", null),
  ];
};

/** The last event of that type. */
async function pointOf(run: RunHandle, type: string): Promise<{ readonly toSeq: number }> {
  let toSeq = 0;
  for await (const event of run.history()) if (event.type === type) toSeq = event.seq;
  return { toSeq };
}

export const goldenScenarios: Readonly<Record<string, GoldenScenario>> = {
  "order-fulfilled": {
    workflows: [fulfil, ship],
    activities: shop,
    play: async (client, world) => {
      const run = await client.start(fulfil, order, { id: "order-7" });
      await world.idle(3_000);
      await run.signal(approval, { by: "bob", ok: true }, { signalId: "decision-7" });
      await run.result();
    },
  },
  "order-refused": {
    workflows: [fulfil, ship],
    activities: shop,
    play: async (client, world) => {
      const run = await client.start(fulfil, order, { id: "order-7" });
      await world.idle(3_000);
      await run.signal(approval, { by: "bob", ok: false });
      await run.result().catch(nobodyMinds);
    },
  },
  "approval-gate": {
    workflows: [golden.approvalGate],
    activities: (world) => [activity("notify", async () => world.pause(100))],
    play: async (client, world) => {
      const run = await client.start(golden.approvalGate, { what: "a new lamp" }, { id: "gate-1" });
      await world.idle(1.5 * dayMs);
      await run.signal(golden.decision, { by: "ann", ok: true }, { signalId: "d-1" });
      await run.result();
      const late = await client.start(golden.approvalGate, { what: "a boat" }, { id: "gate-2" });
      await late.result();
    },
  },
  "journey-undone": {
    workflows: [golden.journey],
    activities: (world) => [
      activity("book", async (leg: string, task) => {
        await world.pause(50);
        if (leg === "hotel" && task.attempt === 1) throw new Error("try again");
        if (leg === "balloon") throw new ApplicationFailure("none left", { type: "SoldOut" });
        return `booking of ${leg}`;
      }),
      activity("unbook", async (_booking: string, task) => {
        await world.pause(50);
        if (task.attempt === 1) throw new Error("busy");
      }),
    ],
    play: async (client) => {
      const run = await client.start(golden.journey, ["train", "hotel", "balloon"], { id: "journey-1" });
      await run.result().catch(nobodyMinds);
    },
  },
  subscription: {
    workflows: [golden.subscription],
    activities: (world) => [
      activity("charge-month", async ({ month }: { readonly month: number }) => {
        await world.pause(200);
        return `receipt ${month}`;
      }),
    ],
    play: async (client, world) => {
      const run = await client.start(golden.subscription, { plan: "basic", month: 1 }, { id: "sub-1" });
      await world.idle(10 * dayMs);
      await run.signal(golden.changePlan, "gold", { signalId: "change-1" });
      await world.idle(60 * dayMs);
      await run.signal(golden.endSubscription, undefined, { signalId: "end-1" });
      await run.result();
    },
  },
  batch: {
    workflows: [golden.batch, golden.importOne],
    activities: (world) => [
      activity("import-file", async (file: string) => {
        await world.pause(file.length * 10);
        if (file === "broken") throw new ApplicationFailure("cannot be read", { nonRetryable: true });
        return file.length;
      }),
    ],
    play: async (client, world) => {
      const run = await client.start(golden.batch, ["a", "bb", "broken", "dddd", "eeeee"], { id: "batch-1" });
      await run.result();
      await world.idle(minuteMs);
    },
  },
  pipeline: {
    workflows: [golden.pipeline],
    activities: (world) => [
      activity("fetch-part", async (part: number) => {
        await world.pause(500 - part * 100);
        return `part ${part}`;
      }),
      activity("combine", async (_parts: readonly string[], task) => {
        await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
        throw new Error("told to stop");
      }),
    ],
    play: async (client) => {
      const run = await client.start(golden.pipeline, [1, 2, 3], { id: "pipeline-1" });
      await run.result();
    },
  },
  persistence: {
    workflows: [golden.persistence],
    activities: (world) => [
      activity("unsteady", async (mode: string, task) => {
        await world.pause(1_000);
        task.heartbeat({ attempt: task.attempt });
        if (mode === "busy once" && task.attempt > 1) return "fine in the end";
        if (mode === "silent") await new Promise(nobodyMinds);
        if (mode === "slow") {
          for (let second = 0; second < 60; second++) {
            await world.pause(1_000);
            task.heartbeat(second);
          }
        }
        if (mode === "final") {
          throw new ApplicationFailure("never", { type: "Never", nonRetryable: true, details: { why: 1 } });
        }
        throw new ApplicationFailure("busy", { type: "Busy", cause: new RangeError("too many") });
      }),
    ],
    play: async (client) => {
      const modes = ["busy once", "busy", "final", "silent", "slow"];
      const run = await client.start(golden.persistence, modes, { id: "persistence-1" });
      await run.result();
    },
  },
  "night-watch": {
    workflows: [golden.nightWatch, golden.dayWatch],
    activities: (world) => [activity("lock-up", async () => world.pause(1_000))],
    play: async (client, world) => {
      const day = await client.start(golden.dayWatch, undefined, { id: "day-watch", startDelay: "1 hour" });
      const night = await client.start(golden.nightWatch, ["front", "back"], {
        id: "night-watch",
        executionTimeout: "1 day",
      });
      await world.idle(150 * minuteMs);
      await night.cancel("the night is over");
      await night.result().catch(nobodyMinds);
      await day.result();
    },
  },
  family: {
    workflows: [golden.family, golden.pastime],
    activities: () => [],
    play: async (client, world) => {
      const run = await client.start(golden.family, undefined, { id: "family-1" });
      await world.idle(10 * minuteMs);
      await client.get("taken").terminate("time to go");
      await run.result();
      await world.idle(minuteMs);
    },
  },
  "long-haul": {
    workflows: [golden.haul, golden.convoy],
    activities: () => [],
    limits: { historyEventsWarn: 6, historyBytesWarn: 3_000, pendingTimersMax: 4 },
    play: async (client) => {
      const run = await client.start(golden.haul, { legs: 5, cargo: "x" }, { id: "haul-1" });
      const heavy = await client.start(golden.haul, { legs: 2, cargo: "x".repeat(3_000) }, { id: "haul-2" });
      const convoy = await client.start(golden.convoy, undefined, { id: "convoy-1" });
      await convoy.signal(golden.trucks, 3);
      await convoy.signal(golden.trucks, 2);
      await Promise.all([run.result(), heavy.result(), convoy.result().catch(nobodyMinds)]);
    },
  },
  tally: {
    workflows: [golden.tally],
    activities: () => [],
    play: async (client, world) => {
      const first = [golden.amount, 1, { signalId: "a-1" }] as const;
      const run = await client.start(golden.tally, 0, { id: "tally-1", signal: first });
      for (const value of [2, 3]) await run.signal(golden.amount, value, { signalId: `a-${value}` });
      await world.idle(5_000);
      await run.signal(golden.amount, 4);
      await run.result();
    },
  },
  parcel: {
    workflows: [golden.parcel],
    activities: (world) => [
      activity("quote", async (street: string) => {
        await world.pause(300);
        return street.length;
      }),
    ],
    play: async (client, world) => {
      const run = await client.start(golden.parcel, 0, { id: "parcel-1" });
      const near = run.update(golden.redirect, { street: " Elm 1 " }, { updateId: "r-1" });
      const far = run.update(golden.redirect, { street: "Long Street 27" }, { updateId: "r-2" });
      await near;
      await far.catch(nobodyMinds);
      await run.startUpdate(golden.hold, "10 minutes", { updateId: "h-1" });
      await run.startUpdate(golden.hold, "1 day", { updateId: "h-2" });
      await world.idle(20 * minuteMs);
      await run.signal(golden.dispatched, undefined);
      await run.update(golden.redirect, { street: "Oak 2" }).catch(nobodyMinds);
      await world.idle(2 * 60 * minuteMs);
      // It has continued as new, and h-2 has come to nothing with the run before.
      await run.startUpdate(golden.hold, "5 hours", { updateId: "h-3" });
      await run.signal(golden.dispatched, undefined);
      await run.result();
    },
  },
  interlude: {
    workflows: [golden.interlude],
    activities: (world) => [
      activity("rehearse", async (piece: string) => {
        await world.pause(minuteMs);
        return `rehearsed ${piece}`;
      }),
    ],
    play: async (client, world) => {
      const run = await client.start(golden.interlude, undefined, { id: "interlude-1" });
      await world.idle(1_000);
      await run.pause("a chair is missing", { requestId: "p-1" });
      await run.pause("a chair is missing", { requestId: "p-2" });
      await world.idle(2 * minuteMs);
      await run.signal(golden.cue, "early", { signalId: "c-1" });
      await run.resume(undefined, { requestId: "r-1" });
      await run.resume(undefined, { requestId: "r-2" });
      await world.idle(1_000);
      // The cue is told of first, and the timer that ran out is called off.
      await run.pause();
      await run.signal(golden.cue, "in time");
      await world.idle(90 * minuteMs);
      await run.resume();
      await world.idle(1_000);
      await run.pause();
      await world.idle(90 * minuteMs);
      await run.signal(golden.cue, "after it");
      await run.resume("on with it");
      await run.result();
      const stopped = await client.start(golden.interlude, undefined, { id: "interlude-2" });
      await world.idle(1_000);
      await stopped.pause();
      await stopped.cancel("no audience");
      await stopped.result().catch(nobodyMinds);
    },
  },
  encore: {
    workflows: [golden.encore],
    activities: (world) => [
      activity("perform", async (piece: string, task) => {
        await world.pause(minuteMs);
        if (piece !== "sonata" && task.attempt < 2) throw new ApplicationFailure(`no ${piece}`);
        return `performed ${piece}`;
      }),
    ],
    play: async (client, world) => {
      const run = await client.start(golden.encore, ["sonata", "fugue", "waltz"], {
        id: "encore-1",
        runTimeout: "1 day",
      });
      await world.idle(2 * minuteMs);
      await run.signal(golden.applause, "loud");
      await run.result().catch(nobodyMinds);
      await run.reopen("once more", { requestId: "o-1" });
      await world.idle(2 * minuteMs);
      // Cancelled where it waits, and taken up there.
      await run.cancel("too late", { requestId: "c-1" });
      await run.result().catch(nobodyMinds);
      await run.reopen();
      await run.signal(golden.applause, "louder");
      await world.idle(1_000);
      // Its failure comes in a pause.
      await run.pause();
      await world.idle(2 * minuteMs);
      await run.resume();
      await run.result().catch(nobodyMinds);
      await world.idle(2 * dayMs);
      await run.reopen();
      await world.idle(2 * minuteMs);
      await run.signal(golden.applause, "loudest");
      await run.result();
      const late = await client.start(golden.encore, ["sonata"], {
        id: "encore-2",
        runTimeout: "30 minutes",
      });
      await late.result().catch(nobodyMinds);
      await late.reopen();
      await late.result().catch(nobodyMinds);
      await late.reopen();
      await world.idle(1_000);
      await late.signal(golden.applause, "at last");
      await late.result();
    },
  },
  retake: {
    workflows: [golden.retake, golden.extra],
    activities: (world) => [
      activity("shoot", async ([scene]: readonly [string, string], task) => {
        await world.pause(minuteMs);
        return `${scene}, attempt ${task.attempt}`;
      }),
    ],
    play: async (client, world) => {
      const run = await client.start(golden.retake, ["dawn", "chase", "dusk"], {
        id: "retake-1",
        runTimeout: "1 day",
      });
      await world.idle(2 * minuteMs);
      await run.signal(golden.note, "brighter", { signalId: "n-1" });
      // The second scene is under way: it keeps its key, and what came after that is told anew.
      await world.idle(30_000);
      const { toSeq } = await pointOf(run, "ActivityStarted");
      await world.idle(minuteMs);
      await run.signal(golden.note, "faster", { signalId: "n-2" });
      await run.pause("lunch");
      await run.signal(golden.note, "softer", { signalId: "n-3" });
      await run.reset({ toSeq, reason: "the light was wrong", requestId: "r-1" });
      await world.idle(2 * minuteMs);
      // Of what it did about the last thing that it learned nothing is kept.
      await run.reset({ toSeq: (await pointOf(run, "InputDelivered")).toSeq, signals: "drop" });
      await world.idle(2 * minuteMs);
      const [crowd] = (await run.describe()).pendingChildren;
      await client.get(crowd?.workflowId ?? "").signal(golden.note, "cheer");
      await run.signal(golden.note, "cut");
      await run.result();
      const fork = await run.fork("retake-2", {
        toSeq: (await pointOf(run, "ActivityCompleted")).toSeq,
        signals: "carry",
        requestId: "f-1",
      });
      await fork.result();
      // And once more from before its end, given its time again.
      await world.idle(2 * dayMs);
      const last = await fork.reset({ toSeq: (await pointOf(fork, "TimerStarted")).toSeq });
      await last.result();
    },
  },
  darkroom: {
    workflows: [golden.darkroom],
    activities: () => [],
    play: async (client, world) => {
      const come = (identity: string): ScriptedWorker =>
        joinUp(
          world,
          new ScriptedWorker({ identity, taskQueues: ["darkroom"], activityTypes: ["develop", "enlarge"] }),
        );
      const run = await client.start(golden.darkroom, ["AB-1", "AB-2"], { id: "darkroom-1" });
      // One leaves, the next falls silent, and hands on how far it had come; the third does it.
      const leaver = come("ann");
      await world.idle(1_000);
      leaver.send({ type: "leave" });
      const silent = come("bob");
      await world.idle(1_000);
      silent.send({ type: "heartbeat", token: silent.task().token, details: '"half done"' });
      silent.cut();
      await world.idle(2 * minuteMs);
      const able = come("cleo");
      await world.idle(1_000);
      able.complete(able.task(), "negative AB-1");
      await world.idle(1_000);
      // The second film ends who takes it: after the fifth nobody is asked again.
      able.cut();
      await world.idle(2 * minuteMs);
      for (const name of ["dan", "eve", "fay", "gus"]) {
        come(name);
        await world.idle(1_000);
        await world.idle(2 * minuteMs);
      }
      // Nobody is there for the print within its hour.
      await world.idle(2 * 60 * minuteMs);
      await run.result();
    },
  },
  census: {
    workflows: [golden.census, golden.household],
    activities: () => [activity("count", async (street: string) => street.length)],
    play: async (client) => {
      const attributes = { city: "Ulm", year: 2_026, "by-hand": true };
      const run = await client.start(golden.census, ["Elm", "Oak Lane"], { id: "census", attributes });
      await run.result();
    },
  },
  "night-desk": {
    workflows: [golden.nightDesk],
    activities: (world) => [
      activity("ring", async (room: string, task) => {
        task.heartbeat({ room });
        if (room === "late") await world.pause(2 * minuteMs);
        else await world.pause(20);
        if (room === "key") throw new ApplicationFailure("no key", { type: "NoKey", park: true });
        if (task.attempt < 3) throw new Error("nobody answers");
        return `rung ${room}`;
      }),
    ],
    play: async (client, world) => {
      const rooms = ["7", "8", "9", "key", "late", "gone"];
      const run = await client.start(golden.nightDesk, rooms, { id: "night-desk-1" });
      await world.idle(10_000);
      await run.signal(golden.key, "seven");
      await world.idle(10 * minuteMs);
      await run.resumeActivity({ ordinal: 0, reason: "the line is mended", requestId: "r-1" });
      await world.idle(1_000);
      await run.resumeActivity({ ordinal: 1, result: "rung by hand", reason: "went there" });
      // What is decided in a pause begins, and is told, after it.
      await run.pause();
      await run.resumeActivity({
        ordinal: 2,
        failure: { message: "moved out", type: "Gone" },
        requestId: "f-1",
      });
      await run.resumeActivity({ ordinal: 3 });
      await world.idle(1_000);
      await run.resume();
      await world.idle(minuteMs);
      await run.resumeActivity({ ordinal: 3, result: "found" });
      await world.idle(4 * 60 * minuteMs);
      // The two that are left: one is out of time by now, and the other is tried twice more.
      await run.resumeActivity({ activity: "ring" });
      await world.idle(minuteMs);
      await run.result();
    },
  },
  timesheet: {
    workflows: [golden.sheet],
    activities: () => [],
    play: async (client, world) => {
      const sheets = await client.schedules.create("sheets", golden.sheet, 1, { every: "10 minutes" });
      await world.idle(25 * minuteMs);
      await sheets.delete();
      await world.idle(10 * minuteMs);
    },
  },
  timetable: {
    workflows: [golden.shuttle],
    activities: () => [],
    play: async (client, world) => {
      const skipping = await client.schedules.create("skipping", golden.shuttle, "line 1", {
        every: "4 minutes",
        jitter: "20s",
        requestId: "create-1",
      });
      const ending = await client.schedules.create("ending", golden.shuttle, "line 2", {
        cron: "*/15 * * * *",
        timeZone: "Europe/Berlin",
        overlap: "cancel-other",
        isPaused: true,
        note: "not yet",
      });
      const waiting = await client.schedules.create("waiting", golden.shuttle, "line 3", {
        every: "7 minutes",
        overlap: "buffer-one",
        actionsMax: 3,
      });
      await world.idle(30 * minuteMs);
      await ending.resume({ requestId: "resume-1" });
      await skipping.pause({ note: "works on the line", requestId: "pause-1" });
      await world.idle(30 * minuteMs);
      await ending.update({ every: "4 minutes", requestId: "update-1" });
      await world.idle(10 * minuteMs);
      await ending.trigger({ overlap: "allow-all", requestId: "trigger-1" });
      await ending.pause();
      await skipping.resume();
      const hour = 60 * minuteMs;
      const from = Math.floor(world.nowMs / hour) * hour - hour;
      await waiting.backfill({ from, to: from + 30 * minuteMs, requestId: "backfill-1" });
      await world.idle(2 * hour);
      for (const schedule of [skipping, ending, waiting]) await schedule.delete({ requestId: "delete-1" });
      await world.idle(30 * minuteMs);
    },
  },
};
