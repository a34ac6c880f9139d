/**
 * What metrics show of real traffic: every metric of the table is shown and moves, and so does every value of the labels whose values
 * are known; nothing is shown that the table does not have; nothing is counted twice.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { connectRemote } from "../../src/client/remote.ts";
import { Client } from "../../src/client/index.ts";
import { AionError } from "../../src/core/errors.ts";
import { labelTable } from "../../src/core/metric-spec.ts";
import type { LabelName } from "../../src/core/metric-spec.ts";
import { metricTable } from "../../src/core/metrics.ts";
import type { MetricName } from "../../src/core/metrics.ts";
import { Engine } from "../../src/embedded/engine.ts";
import type { EngineOptions } from "../../src/embedded/engine.ts";
import { buildPackage } from "../../src/package/build.ts";
import type { EngineFrame } from "../../src/protocol/frames.ts";
import { Server } from "../../src/server/server.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { Worker } from "../../src/worker/index.ts";
import {
  activity,
  ApplicationFailure,
  child,
  continueAsNew,
  expose,
  query,
  receive,
  scope,
  signal,
  signalWorkflow,
  update,
  waitUntil,
  sleep,
  workflow,
} from "../../src/workflow/index.ts";
import { Exposition } from "./exposition.ts";

/** Each metric that was shown with something in it, with the values of its labels that were. */
const moved = new Map<string, Map<string, Set<string>>>();
/** Each that was shown. */
const shown = new Set<string>();

function note(exposition: Exposition): Exposition {
  for (const { name, series } of exposition.families.values()) {
    shown.add(name);
    for (const { name: full, labels, value } of series) {
      if (value === 0 || full.endsWith("_sum") || full.endsWith("_bucket")) continue;
      const values = moved.get(name) ?? new Map<string, Set<string>>();
      moved.set(name, values);
      for (const [label, text] of Object.entries(labels)) {
        const known = values.get(label) ?? new Set();
        values.set(label, known.add(text));
      }
    }
  }
  return exposition;
}

const read = async (engine: Engine): Promise<Exposition> => note(new Exposition(await engine.metrics()));

async function until<Result>(look: () => Promise<Result | undefined | false>): Promise<Result> {
  for (let attempt = 0; attempt < 2_000; attempt += 1) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await delay(5);
  }
  throw new Error("it did not come to pass");
}

const go = signal<string>("go");
const stage = query<string>("stage");
const pass = update<string, string>("pass");
let gate = Promise.withResolvers<string>();
const here = activity("here", async (text: string) => text);
const held = activity("held", async () => await gate.promise);
const flaky = activity(
  "flaky",
  { retry: { maxAttempts: 2, initialDelay: 1 } },
  async (_nothing: null, task) => {
    if (task.attempt === 1) throw new Error("not yet");
    return "now";
  },
);
const hopeless = activity("hopeless", { retry: { maxAttempts: 1 } }, async () => {
  throw new Error("never");
});
const slow = activity(
  "slow",
  { startToClose: 20, retry: { maxAttempts: 1 } },
  async (_nothing: null, task) => {
    await delay(60_000, undefined, { signal: task.signal }).catch(() => undefined);
  },
);
const stoppable = activity("stoppable", async (_nothing: null, task) => {
  await delay(60_000, undefined, { signal: task.signal });
});
const far = activity("far", { taskQueue: "far" }, async (text: string) => text);

const plain = workflow("plain", async (text: string) => await here(text));
const failing = workflow("failing", async () => await hopeless(undefined));
const retried = workflow("retried", async () => await flaky(null));
const late = workflow("late", async () => await slow(null));
const cancelling = workflow("cancelling", async () => {
  await scope(() => stoppable(null), { timeout: 20 });
  await sleep(10);
  return "gone on";
});
const waiting = workflow("waiting", async () => {
  expose(stage, () => "waiting");
  expose(pass, async (how) => {
    if (how === "fail") throw new Error("failed");
    if (how === "stay") await waitUntil(() => false);
    return how;
  });
  return await receive(go);
});
const stepping = workflow("stepping", async () => {
  await here("a");
  return await receive(go);
});
const keeping = workflow("keeping", async () => await held(undefined));
const twice = workflow("twice", async (count: number): Promise<number> => {
  if (count === 0) continueAsNew(1);
  return count;
});
const parent = workflow("parent", async () => {
  const children = Array.from({ length: 20 }, (_, index) => child(plain, `child ${index}`));
  return (await Promise.all(children)).length;
});
const sending = workflow("sending", async (target: string) => {
  await signalWorkflow(target, go, "from a workflow");
});
const faraway = workflow("faraway", async () => await far("task"));
const workflows = [
  plain,
  failing,
  retried,
  late,
  cancelling,
  waiting,
  stepping,
  keeping,
  twice,
  parent,
  sending,
  faraway,
];
const activities = [here, held, flaky, hopeless, slow, stoppable];

const directory = mkdtempSync(path.join(tmpdir(), "aion-metrics-"));
writeFileSync(path.join(directory, "package.json"), "{}");
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => {
  gate = Promise.withResolvers();
});

let fileCount = 0;
async function open(options: Partial<EngineOptions> = {}): Promise<Engine> {
  return await Engine.open({
    store: `sqlite:${path.join(directory, `${++fileCount}.db`)}`,
    workflows,
    activities,
    localSocket: false,
    log: () => undefined,
    ...options,
  });
}

describe("runs and activities", () => {
  it("are counted by how they end, with what they took", async () => {
    await using engine = await open();
    const { client } = engine;
    expect(await (await client.start(plain, "a")).result()).toBe("a");
    await expect((await client.start(failing, undefined)).result()).rejects.toThrow("failed");
    expect(await (await client.start(retried, undefined)).result()).toBe("now");
    await expect((await client.start(late, undefined)).result()).rejects.toThrow("failed");
    expect(await (await client.start(cancelling, undefined)).result()).toBe("gone on");
    expect(await (await client.start(twice, 0)).result()).toBe(1);
    const cancelled = await client.start(waiting, undefined);
    await cancelled.cancel();
    await expect(cancelled.result()).rejects.toThrow("cancelled");
    const left = await client.start(keeping, undefined);
    await left.terminate();
    await expect((await client.start(waiting, undefined, { runTimeout: 20 })).result()).rejects.toThrow(
      "time-out",
    );
    const signalled = await client.start(waiting, undefined, { id: "signalled" });
    expect(await signalled.query(stage)).toBe("waiting");
    await signalled.signal(go, "went");
    expect(await signalled.result()).toBe("went");
    const metrics = await read(engine);

    const ended = (status: string, type: string): number =>
      metrics.value("aion_runs_ended_total", { namespace: "default", status, workflow_type: type });
    expect(ended("completed", "plain")).toBe(1);
    expect(ended("failed", "failing")).toBe(1);
    expect(ended("failed", "late")).toBe(1);
    expect(ended("cancelled", "waiting")).toBe(1);
    expect(ended("terminated", "keeping")).toBe(1);
    expect(ended("timed-out", "waiting")).toBe(1);
    expect(ended("continued-as-new", "twice")).toBe(1);
    expect(ended("completed", "twice")).toBe(1);
    expect(metrics.value("aion_runs_started_total")).toBe(11);
    expect(metrics.value("aion_runs_ended_total")).toBe(11);
    expect(metrics.value("aion_run_duration_seconds_count")).toBe(11);
    expect(metrics.value("aion_events_appended_total", { event: "WorkflowStarted" })).toBe(11);
    expect(metrics.value("aion_runs")).toBe(0);

    const attempts = (type: string): unknown =>
      Object.fromEntries(
        metrics
          .select("aion_activity_attempts_ended_total", { activity_type: type })
          .map(({ labels, value }) => [labels["outcome"], value]),
      );
    expect(attempts("here")).toEqual({ completed: 1 });
    expect(attempts("flaky")).toEqual({ failed: 1, completed: 1 });
    expect(attempts("hopeless")).toEqual({ failed: 1 });
    expect(attempts("slow")).toEqual({ "timed-out": 1 });
    expect(attempts("stoppable")).toEqual({ cancelled: 1 });
    expect(attempts("held")).toEqual({ abandoned: 1 });
    expect(metrics.value("aion_activity_retries_total")).toBe(1);
    expect(metrics.value("aion_activities_scheduled_total")).toBe(6);
    expect(metrics.value("aion_activities_ended_total")).toBe(6);
    expect(metrics.value("aion_activity_attempts_started_total")).toBe(7);
    expect(metrics.value("aion_activity_attempts_ended_total")).toBe(7);
    expect(metrics.value("aion_activity_schedule_to_start_seconds_count", { task_queue: "(engine)" })).toBe(
      7,
    );
    expect(metrics.value("aion_activity_execution_seconds_sum", { activity_type: "slow" })).toBeGreaterThan(
      0.015,
    );
    expect(metrics.value("aion_signals_received_total", { workflow_type: "waiting" })).toBe(1);
    // That of the scope, and the one after it.
    expect(metrics.value("aion_timers_started_total")).toBe(2);
    expect(metrics.value("aion_timers_fired_total")).toBe(2);
    expect(metrics.value("aion_timer_lateness_seconds_count")).toBe(2);

    expect(metrics.value("aion_calls_total", { operation: "start", code: "ok" })).toBe(10);
    expect(metrics.value("aion_calls_total", { operation: "query", code: "ok" })).toBe(1);
    expect(metrics.value("aion_call_seconds_count", { operation: "query" })).toBe(1);
    gate.resolve("late");
  });

  it("a transaction is counted with what it held, on whichever thread it was written", async () => {
    await using engine = await open();
    await Promise.all(
      Array.from({ length: 300 }, async (_, index) => {
        const run = await engine.client.start(plain, `text ${index}`);
        await run.result();
      }),
    );
    const metrics = await read(engine);
    const events = metrics.value("aion_events_appended_total");
    expect(events).toBe(300 * 5);
    expect(metrics.value("aion_store_transaction_events_sum")).toBe(events);
    const transactions = metrics.value("aion_store_transaction_events_count");
    expect(transactions).toBeLessThan(metrics.value("aion_store_transaction_commits_sum"));
    for (const name of ["aion_store_transaction_seconds", "aion_store_flush_seconds"]) {
      expect(metrics.value(`${name}_count`)).toBe(transactions);
      expect(metrics.value(`${name}_sum`)).toBeGreaterThan(0);
    }
    expect(metrics.value("aion_store_flush_seconds_sum")).toBeLessThan(
      metrics.value("aion_store_transaction_seconds_sum"),
    );
    expect(metrics.value("aion_commit_seconds_count")).toBeGreaterThan(0);
    expect(metrics.value("aion_store_database_bytes")).toBeGreaterThan(0);
    expect(metrics.value("aion_store_log_bytes")).toBeGreaterThan(0);
  });

  it("calls that were made before, and commits that are refused, are told apart", async () => {
    await using engine = await open();
    const { client, service } = engine;
    const first = await client.start(plain, "a", { id: "once" });
    await first.result();
    await client.start(plain, "a", { id: "once" });
    const run = await client.start(waiting, undefined, { id: "open" });
    for (const _ of [1, 2]) {
      await service.cancel({ workflowId: "open", requestId: "c" });
    }
    await expect(run.result()).rejects.toThrow("cancelled");
    await client.start(waiting, undefined, { id: "signals" });
    for (const _ of [1, 2])
      await service.signal({ workflowId: "signals", name: "go", payload: `"x"` as never, signalId: "s" });
    for (const _ of [1, 2])
      await service.terminate({ workflowId: "gone", requestId: "t" }).catch(() => undefined);
    await client.start(waiting, undefined, { id: "ended" });
    for (const _ of [1, 2]) await service.terminate({ workflowId: "ended", requestId: "t" });
    const metrics = await read(engine);
    const repeats = (operation: string): number =>
      metrics.value("aion_repeats_answered_total", { operation });
    expect(repeats("start")).toBe(1);
    expect(repeats("signal")).toBe(1);
    expect(repeats("cancel")).toBe(1);
    expect(repeats("terminate")).toBe(1);
    expect(metrics.value("aion_commit_failures_total", { code: "sequence_conflict" })).toBe(1);
    expect(metrics.value("aion_calls_total", { operation: "terminate", code: "run_not_found" })).toBe(2);
  });

  it("updates are counted when they are accepted, when they have their outcome, and when they are refused", async () => {
    await using engine = await open();
    const run = await engine.client.start(waiting, undefined, { id: "updated" });
    await run.update(pass, "ok", { updateId: "u" });
    await run.update(pass, "ok", { updateId: "u" });
    await expect(run.update(pass, "fail")).rejects.toThrow("failed");
    await expect(run.update("absent", "x")).rejects.toMatchObject({ code: "update_unknown" });
    await run.startUpdate(pass, "stay");
    await run.signal(go, "went");
    await run.result();
    const metrics = await read(engine);
    const of = { workflow_type: "waiting" };
    const ended = (answer: string): number => metrics.value("aion_updates_ended_total", { ...of, answer });
    expect(metrics.value("aion_updates_accepted_total", of)).toBe(3);
    expect([ended("completed"), ended("failed"), ended("unfinished")]).toEqual([1, 1, 1]);
    expect(metrics.value("aion_updates_refused_total", { ...of, code: "update_unknown" })).toBe(1);
    expect(metrics.value("aion_update_seconds_count", of)).toBe(3);
    expect(metrics.value("aion_repeats_answered_total", { operation: "update" })).toBe(1);
  });

  it("an update whose outcome was an end that was undone is counted once, though its handler ends after all", async () => {
    const end = signal("end");
    let isUp = false;
    const work = activity("work", { retry: { maxAttempts: 1 } }, async () => {
      if (!isUp) throw new Error("down");
      return "up";
    });
    const fragile = workflow("fragile", async () => {
      expose(pass, async (text) => `${text} ${await receive(go)}`);
      await receive(end);
      await work(undefined);
      await receive(end);
    });
    await using engine = await open({ workflows: [fragile], activities: [work] });
    const run = await engine.client.start(fragile, undefined, { id: "fragile" });
    await run.startUpdate(pass, "stay", { updateId: "u" });
    await run.signal(end);
    await expect(run.result()).rejects.toThrow("work");
    isUp = true;
    await run.reopen();
    await run.signal(go, "went");
    await run.signal(end);
    await run.result();
    const metrics = await read(engine);
    const of = { workflow_type: "fragile" };
    expect(metrics.value("aion_updates_ended_total", { ...of, answer: "unfinished" })).toBe(1);
    expect(metrics.value("aion_updates_ended_total", of)).toBe(1);
    // Each end is one, and what is open is what is left.
    expect(metrics.value("aion_runs_started_total", of)).toBe(1);
    expect(metrics.value("aion_runs_reopened_total", of)).toBe(1);
    expect(metrics.value("aion_runs_ended_total", { ...of, status: "failed" })).toBe(1);
    expect(metrics.value("aion_runs_ended_total", { ...of, status: "completed" })).toBe(1);
    expect(metrics.value("aion_events_appended_total", { event: "WorkflowReopened" })).toBe(1);
    expect(metrics.value("aion_update_seconds_count", of)).toBe(1);
  });

  it("a history that gets long is counted once, and each signal that is refused", async () => {
    await using engine = await open({ limits: { historyEventsWarn: 3, waitingSignalsMax: 2 } });
    const run = await engine.client.start(waiting, undefined, { id: "busy" });
    for (const _ of [1, 2]) await run.signal("other");
    for (const _ of [1, 2]) await expect(run.signal("other")).rejects.toMatchObject({ code: "signals_full" });
    await run.cancel();
    const metrics = await read(engine);
    expect(metrics.value("aion_runs_long_history_total", { workflow_type: "waiting" })).toBe(1);
    expect(metrics.value("aion_signals_refused_total")).toBe(2);
  });

  it("what schedules start, and what they skip, is counted by why", async () => {
    await using engine = await open();
    const schedule = await engine.client.schedules.create("often", waiting, undefined, { every: "1s" });
    const counted = async (name: MetricName, label: LabelName, value: string): Promise<number> =>
      (await read(engine)).value(name, { [label]: value });
    await until(async () => (await counted("aion_schedule_starts_total", "cause", "time")) === 1);
    await delay(1_100);
    // What is skipped in a row is recorded when it is over.
    for await (const { workflowId } of engine.client.list({ workflowType: "waiting" }))
      await engine.client.get(workflowId).terminate();
    await until(async () => (await counted("aion_schedule_skips_total", "reason", "overlap")) > 0);
    await schedule.trigger({ overlap: "allow-all" });
    expect(await counted("aion_schedule_starts_total", "cause", "trigger")).toBe(1);
    await schedule.pause();
    await delay(1_100);
    await schedule.resume();
    await until(async () => (await counted("aion_schedule_skips_total", "reason", "paused")) > 0);
    const to = Date.now() - 3_600_000;
    await schedule.backfill({ from: to - 1_999, to, overlap: "allow-all" });
    await until(async () => (await counted("aion_schedule_starts_total", "cause", "backfill")) === 2);
    await schedule.delete();
  });

  it("messages between workflows are counted once each, and seen while they are on their way", async () => {
    await using engine = await open();
    const run = await engine.client.start(parent, undefined);
    await until(async () => (await read(engine)).value("aion_messages_pending") > 0);
    expect(await run.result()).toBe(20);
    await engine.client.start(waiting, undefined, { id: "target" });
    await (await engine.client.start(sending, "target")).result();
    const metrics = await until(async () => {
      const now = await read(engine);
      return now.value("aion_messages_pending") === 0 && now;
    });
    // A start and an end of each child; the signal, and that it arrived.
    expect(metrics.value("aion_messages_sent_total")).toBe(42);
    expect(metrics.value("aion_messages_delivered_total")).toBe(42);
  });
});

describe("what is so at a moment", () => {
  it("runs are resident, dormant, blocked or paused; those put away come back by replay", async () => {
    const store = `sqlite:${path.join(directory, "places.db")}`;
    {
      await using engine = await open({ store, residentMax: 2 });
      for (const id of ["a", "b", "c", "d", "e"]) await engine.client.start(waiting, undefined, { id });
      const metrics = await read(engine);
      const runs = (residence: string): number => metrics.value("aion_runs", { residence });
      expect([runs("resident"), runs("dormant"), runs("blocked")]).toEqual([2, 3, 0]);
      await engine.client.start(waiting, undefined, { id: "f", startDelay: "1 day" });
      await engine.client.get("f").pause();
      const paused = await read(engine);
      const pausedRuns = (residence: string): number => paused.value("aion_runs", { residence });
      expect(["resident", "dormant", "blocked", "paused"].map(pausedRuns)).toEqual([1, 4, 0, 1]);
      await engine.client.get("f").terminate();
      expect(metrics.value("aion_runs_evicted_total")).toBe(3);
      expect(metrics.value("aion_replays_total")).toBe(0);
      await engine.client.get("a").signal(go, "x");
      const after = await read(engine);
      expect(after.value("aion_replays_total", { code: "ok" })).toBe(1);
      expect(after.value("aion_replay_events_sum")).toBe(1);
      // Read again, and not recorded again.
      expect(after.value("aion_runs_started_total")).toBe(6);
    }
    {
      await using engine = await open({ store });
      await engine.client.start(stepping, undefined, { id: "diverging" });
      await until(
        async () =>
          (await read(engine)).value("aion_activities_ended_total", { activity_type: "here" }) === 1,
      );
    }
    // Its code does something else now.
    const other = workflow("stepping", async () => {
      await sleep("1 hour");
      return "";
    });
    for (const onNondeterminism of ["block", "fail"] as const) {
      await using engine = await open({ store, workflows: [other, waiting], onNondeterminism });
      await engine.client
        .get("diverging")
        .signal(go, "x")
        .catch(() => undefined);
      const metrics = await read(engine);
      const found = metrics.value("aion_nondeterminism_total", { code: "nondeterminism" });
      // One that is held is tried again when something is sent to it.
      if (onNondeterminism === "fail") expect(found).toBe(1);
      else expect(found).toBeGreaterThan(0);
      expect(metrics.value("aion_replays_total", { code: "nondeterminism" })).toBe(found);
      const isBlocked = onNondeterminism === "block" ? 1 : 0;
      expect(metrics.value("aion_runs", { residence: "blocked" })).toBe(isBlocked);
      expect(metrics.value("aion_runs_blocked", { code: "nondeterminism" })).toBe(isBlocked);
      expect(metrics.value("aion_runs_started_total")).toBe(0);
    }
  });

  it("activities that wait for an operator are counted, also those of before, until they do no more", async () => {
    const file = path.join(directory, "parked.db");
    let isUp = false;
    const pay = activity("pay", async () => {
      if (!isUp) throw new ApplicationFailure("no key", { park: true });
    });
    const hang = activity(
      "hang",
      { startToClose: "50ms", retry: { maxAttempts: 1, onExhausted: "park" } },
      async () => {
        if (!isUp) await delay(200);
      },
    );
    const order = workflow("order", async () => await Promise.all([pay(undefined), hang(undefined)]));
    const one = { workflows: [order], activities: [pay, hang], store: `sqlite:${file}` };
    const parkedOf = async (engine: Engine, type: string): Promise<number> =>
      (await read(engine)).value("aion_activities_parked", { activity_type: type, task_queue: "(engine)" });
    {
      await using engine = await open(one);
      await engine.client.start(order, undefined, { id: "a" });
      await expect.poll(async () => await parkedOf(engine, "hang")).toBe(1);
      expect(await parkedOf(engine, "pay")).toBe(1);
      await engine.client.start(order, undefined, { id: "b" });
      await expect.poll(async () => await parkedOf(engine, "hang")).toBe(2);
      const metrics = await read(engine);
      expect(metrics.value("aion_activities_parked_total", { activity_type: "pay" })).toBe(2);
      const of = { activity_type: "hang" };
      expect(metrics.value("aion_activity_attempts_ended_total", { ...of, outcome: "timed-out" })).toBe(2);
      expect(metrics.value("aion_activities_ended_total")).toBe(0);
      expect(metrics.value("aion_activity_retries_total")).toBe(0);
    }
    await using engine = await open(one);
    expect([await parkedOf(engine, "pay"), await parkedOf(engine, "hang")]).toEqual([2, 2]);
    isUp = true;
    await engine.client.get("a").resumeActivity({ activity: "pay" });
    await expect.poll(async () => await parkedOf(engine, "pay")).toBe(1);
    await engine.client.get("a").resumeActivity();
    await engine.client.get("a").result();
    await engine.client.get("b").terminate();
    expect([await parkedOf(engine, "pay"), await parkedOf(engine, "hang")]).toEqual([0, 0]);
  });

  it("activities that wait for a slot of the engine stand in line, and their age is told", async () => {
    await using engine = await open({ activityConcurrency: 1 });
    await engine.client.start(keeping, undefined);
    await engine.client.start(keeping, undefined);
    await delay(20);
    const metrics = await until(async () => {
      const now = await read(engine);
      return now.value("aion_task_queue_depth", { task_queue: "(engine)" }) === 1 && now;
    });
    const of = { task_queue: "(engine)" };
    expect(metrics.value("aion_task_queue_oldest_seconds", of)).toBeGreaterThan(0.01);
    expect(metrics.value("aion_task_queue_slots", of)).toBe(1);
    expect(metrics.value("aion_task_queue_slots_used", of)).toBe(1);
    gate.resolve("done");
    await until(async () => (await read(engine)).value("aion_task_queue_slots_used", of) === 0);
  });

  it("wake-ups that are overdue are seen while the engine's thread is busy", async () => {
    await using engine = await open();
    const run = await engine.client.start(cancelling, undefined);
    await until(async () => (await read(engine)).value("aion_timers_started_total") === 1);
    const busyUntil = performance.now() + 40;
    while (performance.now() < busyUntil);
    const metrics = await read(engine);
    expect(metrics.value("aion_timers_overdue")).toBe(1);
    expect(metrics.value("aion_timers_overdue_seconds")).toBeGreaterThan(0.01);
    await run.result();
    const after = await read(engine);
    expect(after.value("aion_timers_overdue")).toBe(0);
    expect(after.value("aion_timer_lateness_seconds_sum")).toBeGreaterThan(0.01);
  });

  it("an engine in which nothing happens does nothing for its metrics", async () => {
    await using engine = await open();
    await (await engine.client.start(plain, "a")).result();
    await delay(50);
    const resources = (): readonly string[] =>
      process.getActiveResourcesInfo().filter((name) => name === "Timeout" || name === "Immediate");
    const before = resources();
    await engine.metrics();
    expect(resources()).toEqual(before);
  });
});

describe("workers", () => {
  it("are counted with their slots; what one that falls silent had is lost, and given to the next", async () => {
    await using engine = await open({ workerSession: 600 });
    const frames: EngineFrame[] = [];
    const join = (identity: string): ReturnType<Engine["acceptWorker"]> => {
      const receiver = engine.acceptWorker({ send: (frame) => frames.push(frame), close: () => undefined });
      receiver.receive({
        type: "register",
        protocol: 1,
        identity,
        taskQueues: ["far", "other"],
        activityTypes: ["far"],
        capacity: 3,
        held: [],
        unacknowledged: [],
      });
      receiver.receive({ type: "ready" });
      return receiver;
    };
    const run = await engine.client.start(faraway, undefined);
    const of = { task_queue: "far" };
    const alone = await until(async () => {
      const now = await read(engine);
      return now.value("aion_task_queue_depth", of) === 1 && now;
    });
    expect(alone.value("aion_task_queue_slots", of)).toBe(0);
    join("one");
    const served = await until(async () => {
      const now = await read(engine);
      return now.value("aion_task_queue_slots_used", of) === 1 && now;
    });
    expect(served.value("aion_task_queue_depth", of)).toBe(0);
    expect(served.value("aion_task_queue_slots", of)).toBe(3);
    expect(served.value("aion_workers", { connection: "ready" })).toBe(1);
    // It says nothing more.
    await until(async () => (await read(engine)).value("aion_workers_gone_total", { how: "silent" }) === 1);
    const two = join("two");
    const task = await until(async () => frames.filter(({ type }) => type === "task")[1]);
    two.receive({ type: "drain" });
    expect((await read(engine)).value("aion_workers", { connection: "draining" })).toBe(1);
    two.closed();
    expect((await read(engine)).value("aion_workers", { connection: "cut-off" })).toBe(1);
    await until(async () => (await read(engine)).value("aion_workers_gone_total", { how: "silent" }) === 2);
    // After the second loss in a row there is a wait.
    await until(async () => (await read(engine)).value("aion_task_queue_depth", of) === 1);
    const three = join("three");
    const last = await until(async () => frames.filter(({ type }) => type === "task")[2]);
    expect(last).not.toEqual(task);
    three.receive({
      type: "report",
      token: (last as Extract<EngineFrame, { type: "task" }>).token,
      outcome: { kind: "completed", result: `"done"` as never },
    });
    expect(await run.result()).toBe("done");
    three.receive({ type: "leave" });
    const metrics = await read(engine);
    expect(metrics.value("aion_workers_gone_total", { how: "left" })).toBe(1);
    const attempts = (outcome: string): number =>
      metrics.value("aion_activity_attempts_ended_total", { activity_type: "far", outcome });
    expect([attempts("lost"), attempts("completed")]).toEqual([2, 1]);
    expect(metrics.value("aion_activity_schedule_to_start_seconds_count", of)).toBe(3);
    expect(metrics.value("aion_activities_ended_total", { activity_type: "far" })).toBe(1);
  });
});

describe("after a crash", () => {
  it("what was recorded before is counted by nobody again, and what recovery does is", async () => {
    const file = path.join(directory, "crash.db");
    const program = `
      import { Engine } from "${new URL("../../src/index.ts", import.meta.url).pathname}";
      import { activity, workflow, sleep } from "${new URL("../../src/workflow/index.ts", import.meta.url).pathname}";
      const held = activity("held", async () => await new Promise(() => {}));
      const here = activity("here", async (text) => text);
      const engine = await Engine.open({
        store: "sqlite:${file}", localSocket: false,
        workflows: [workflow("both", async () => { await here("a"); return await held(); }), workflow("odd", async () => await held())],
        activities: [held, here],
      });
      await engine.client.start("both", undefined, { id: "both" });
      await engine.client.start("odd", undefined, { id: "odd" });
      while (engine.activitiesInFlight < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      process.kill(process.pid, "SIGKILL");
    `;
    const script = path.join(directory, "crash.ts");
    writeFileSync(script, program);
    const { signal: how, stderr } = spawnSync(process.execPath, ["--conditions=aion-source", script], {
      encoding: "utf8",
      timeout: 240_000,
    });
    expect({ how, stderr }).toMatchObject({ how: "SIGKILL" });
    const both = workflow("both", async () => {
      await here("a");
      return await held(undefined);
    });
    await using engine = await open({ store: `sqlite:${file}`, workflows: [both] });
    gate.resolve("held");
    expect(await engine.client.get("both").result()).toBe("held");
    const metrics = await read(engine);
    expect(metrics.value("aion_recovered_runs_total", { recovery: "resumed" })).toBe(1);
    expect(metrics.value("aion_recovered_runs_total", { recovery: "failed" })).toBe(1);
    expect(metrics.value("aion_recovery_seconds")).toBeGreaterThan(0);
    expect(metrics.value("aion_runs_blocked", { code: "workflow_type_unknown" })).toBe(1);
    expect(metrics.value("aion_runs_started_total")).toBe(0);
    expect(metrics.value("aion_activities_scheduled_total")).toBe(0);
    // Those after the crash: the next attempt, its outcome, the end.
    expect(metrics.value("aion_events_appended_total")).toBe(3);
    expect(metrics.value("aion_activity_attempts_started_total")).toBe(1);
    // Nobody knows since when it could have begun.
    expect(metrics.value("aion_activity_schedule_to_start_seconds_count")).toBe(0);
    expect(metrics.value("aion_runs_ended_total", { workflow_type: "both", status: "completed" })).toBe(1);
  });

  it("an engine that can write no more says so, and shows no gauges any more", async () => {
    const store = openMemoryStore();
    let isBroken = false;
    const breaking = new Proxy(store, {
      get: (target, name) => {
        if (name === "append" && isBroken)
          return () => Promise.reject(new AionError("store_failed", "the disk is gone"));
        const value = Reflect.get(target, name) as unknown;
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    await using engine = await open({ store: breaking });
    await engine.client.start(waiting, undefined, { id: "a" });
    isBroken = true;
    await engine.client
      .get("a")
      .signal(go, "x")
      .catch(() => undefined);
    const metrics = await read(engine);
    expect(metrics.value("aion_engine_stops_total", { code: "store_failed" })).toBe(1);
    expect(metrics.value("aion_commit_failures_total", { code: "store_failed" })).toBe(1);
    expect(metrics.select("aion_runs")).toEqual([]);
  });
});

describe("a server", () => {
  it("shows all of it, of all its namespaces, at one address", async () => {
    const data = path.join(directory, "server");
    const file = path.join(directory, "looping.ts");
    writeFileSync(
      file,
      `import { receive, signal, workflow } from "aion/workflow";
       const go = signal<null>("go");
       export const looping = workflow("looping", async () => { await receive(go); for (;;); });
       export const hungry = workflow("hungry", async () => { const all: unknown[] = []; for (;;) all.push(new Array(1000).fill(1)); });`,
    );
    await using server = await Server.open({
      data,
      port: 0,
      workflows,
      activities,
      namespaces: ["default", "other"],
      activationBudget: 1_000,
      packageMemoryMb: 40,
      log: () => undefined,
    });
    const scrape = async (): Promise<Exposition> => {
      const response = await fetch(`${server.url}/metrics`);
      expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
      return note(new Exposition(await response.text()));
    };
    const client = new Client({ url: server.url });
    expect(await (await client.start(plain, "a")).result()).toBe("a");
    await (await new Client({ url: server.url, namespace: "other" }).start(retried, undefined)).result();
    const worker = new Worker({
      url: server.url,
      activities: [far],
      taskQueues: ["far"],
      log: () => undefined,
    });
    const working = worker.run();
    expect(await (await client.start(faraway, undefined)).result()).toBe("task");
    await expect(client.get("nobody").describe()).rejects.toMatchObject({ code: "run_not_found" });
    await fetch(`${server.url}/nowhere`);
    await fetch(`${server.url}/aion.v1.WorkflowService/Count`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    await fetch(`${server.url}/aion.v1.WorkflowService/Describe`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"workflowId":"nobody"}`,
    });
    const first = await scrape();
    expect(first.value("aion_runs_started_total", { namespace: "default", workflow_type: "plain" })).toBe(1);
    expect(first.value("aion_runs_started_total", { namespace: "other", workflow_type: "retried" })).toBe(1);
    expect(first.value("aion_runs_started_total", { namespace: "other", workflow_type: "plain" })).toBe(0);
    const requests = (transport: string, operation: string, code: string): number =>
      first.value("aion_requests_total", { transport, operation, code });
    expect(requests("http", "start", "ok")).toBe(3);
    expect(requests("http", "describe", "run_not_found")).toBe(1);
    expect(requests("http", "unknown", "endpoint_unknown")).toBe(1);
    expect(requests("rpc", "count", "ok")).toBe(1);
    expect(requests("rpc", "describe", "run_not_found")).toBe(1);
    expect(requests("rpc", "work", "ok")).toBe(1);
    expect(first.value("aion_server_ready")).toBe(1);
    expect(first.value("aion_namespaces", { state: "open" })).toBe(2);
    expect(first.value("aion_build_info")).toBe(1);
    expect((await scrape()).value("aion_requests_total", { operation: "metrics" })).toBe(1);
    await worker.stop({ drain: 100 });
    await working;

    // Readers: one that waits at the head of the feed, and one that takes nothing of a long history.
    const socket = new WebSocket(
      `${server.url.replace("http", "ws")}/v1/namespaces/default/events?after=oldest`,
    );
    await new Promise((resolve) => socket.addEventListener("message", resolve, { once: true }));
    const long = await client.start(waiting, undefined, { id: "long" });
    for (let index = 0; index < 24; index += 1) {
      await client.get("long").signal(signal<string>("more"), "x".repeat(1_000_000));
    }
    const slowReader = connect(Number(new URL(server.url).port), "127.0.0.1");
    slowReader.on("error", () => undefined);
    slowReader.write("GET /v1/namespaces/default/workflows/long/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slowReader.pause();
    const lagging = await until(async () => {
      const now = await scrape();
      return now.value("aion_stream_lag_seconds", { stream: "run" }) > 0.2 && now;
    });
    expect(lagging.value("aion_streams", { stream: "run" })).toBe(1);
    expect(lagging.value("aion_streams", { stream: "feed" })).toBe(1);
    expect(lagging.value("aion_feed_readers", { namespace: "default" })).toBe(1);
    expect(lagging.value("aion_connections")).toBeGreaterThanOrEqual(2);
    expect(lagging.value("aion_requests_total", { transport: "websocket", operation: "events" })).toBe(1);
    await until(async () => (await scrape()).value("aion_stream_lag_seconds", { stream: "feed" }) === 0);
    slowReader.resume();
    slowReader.destroy();
    socket.close();
    await long.terminate();
    await until(async () => (await scrape()).value("aion_streams") === 0);

    // A package whose code loops, and one that eats memory.
    const { bytes } = await buildPackage(file);
    const deployed = await connectRemote({ url: server.url }).deploy({ archive: bytes });
    expect(deployed.isNew).toBe(true);
    await client.start("looping", null, { id: "looping" });
    await expect(client.get("looping").signal(signal<null>("go"), null)).rejects.toMatchObject({
      code: "package_stopped",
    });
    await until(async () => (await scrape()).value("aion_code_host_ended_total", { end: "budget" }) > 0);
    await client.get("looping").terminate();
    await expect(client.start("hungry", null, { id: "hungry" })).rejects.toMatchObject({
      code: "package_stopped",
    });
    const ended = await until(async () => {
      const now = await scrape();
      return now.value("aion_code_host_ended_total", { end: "memory" }) > 0 && now;
    });
    expect(ended.value("aion_run_crashes_total")).toBeGreaterThan(0);
    expect(ended.value("aion_packages", { namespace: "default" })).toBe(1);
  });

  it("a namespace that cannot be opened is counted as such", async () => {
    const data = path.join(directory, "broken-server");
    await (await Server.open({ data, port: 0, log: () => undefined })).close();
    writeFileSync(
      path.join(data, "namespaces", "broken.db"),
      "this is no database, whatever its name says".repeat(200),
    );
    await using server = await Server.open({ data, port: 0, log: () => undefined });
    const metrics = note(new Exposition(await (await fetch(`${server.url}/metrics`)).text()));
    expect(metrics.value("aion_namespaces", { state: "unavailable" })).toBe(1);
    expect(metrics.value("aion_namespaces", { state: "open" })).toBe(1);
  });
});

describe("all of that together", () => {
  it("every metric of the table moved, and none was shown that is not in it", () => {
    expect([...moved.keys()].toSorted()).toEqual(Object.keys(metricTable).toSorted());
    for (const name of shown) expect(metricTable).toHaveProperty(name);
  });

  it("each had the labels of the table, and every value of theirs that is known", () => {
    for (const [name, values] of moved) {
      const { labels, of } = metricTable[name as MetricName];
      const expected = of === "engine" ? ["namespace", ...labels] : labels;
      expect([name, ...[...values.keys()].toSorted()]).toEqual([
        name,
        ...expected.toSorted((left, right) => (left < right ? -1 : 1)),
      ]);
      for (const label of labels) {
        const known = labelTable[label].values;
        if (known === undefined) continue;
        for (const value of values.get(label) ?? []) expect(known).toContain(value);
      }
    }
    const seen = (label: LabelName): string[] =>
      [...new Set([...moved.values()].flatMap((values) => [...(values.get(label) ?? [])]))].toSorted();
    for (const [label, { values }] of Object.entries(labelTable)) {
      // An end by itself, and silence, are shown where the processes of packages are tested, and why times are skipped where schedules are.
      if (values === undefined || label === "end" || label === "reason") continue;
      expect([label, ...seen(label as LabelName)]).toEqual([label, ...values.toSorted()]);
    }
    expect(seen("end")).toEqual(expect.arrayContaining(["budget", "memory"]));
    expect(seen("reason")).toEqual(expect.arrayContaining(["overlap", "paused"]));
  });
});
