import { describe, expect, it } from "vitest";
import type { EventOf } from "aion/client";
import { TestEngine } from "aion/testing";
import { continueAsNew, info, receive, signal, sleep, workflow } from "aion/workflow";

const done = signal("done");
const quick = workflow("quick", async (input: string) => input);
const slow = workflow("slow", async (_input: string) => {
  await receive(done);
});
const tenMinutes = workflow("ten-minutes", async () => sleep("10m"));
const onTheDot = workflow("on-the-dot", async () => sleep("1h"));
const workflows = [quick, slow, tenMinutes, onTheDot];

const startAt = Date.UTC(2026, 2, 1);
const minute = 60_000;
const hour = 60 * minute;
const open = (): Promise<TestEngine> => TestEngine.open({ workflows, startAt: new Date(startAt) });

async function events(t: TestEngine, scheduleId: string) {
  const all = [];
  for await (const event of t.client.get(`aion.schedule:${scheduleId}`).history()) all.push(event);
  return all;
}

async function startedAt(t: TestEngine, scheduleId: string): Promise<readonly number[]> {
  return (await events(t, scheduleId)).flatMap((event) =>
    event.type === "ScheduleTriggered" ? [event.nominalAt] : [],
  );
}

async function skipped(t: TestEngine, scheduleId: string): Promise<readonly EventOf<"ScheduleSkipped">[]> {
  return (await events(t, scheduleId)).filter((event) => event.type === "ScheduleSkipped");
}

async function runs(t: TestEngine, workflowType: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const run of t.client.list({ workflowType })) ids.push(run.workflowId);
  return ids.toReversed();
}

async function finish(t: TestEngine, workflowId: string): Promise<void> {
  await t.client.get(workflowId).signal(done, undefined);
  await t.settle();
}

describe("a schedule", () => {
  it("starts its action at each of its times, with an id made of the time", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("report", quick, "x", { every: "1h" });
    await t.skip("3h");
    expect(await runs(t, "quick")).toEqual([
      "report-2026-03-01T01:00:00Z",
      "report-2026-03-01T02:00:00Z",
      "report-2026-03-01T03:00:00Z",
    ]);
    expect(await t.client.get("report-2026-03-01T02:00:00Z").result()).toBe("x");
    const { nextTimes, startedCount, state } = await schedule.describe({ nextCount: 2 });
    expect({ nextTimes, startedCount, state }).toEqual({
      nextTimes: [startAt + 4 * hour, startAt + 5 * hour],
      startedCount: 3,
      state: "active",
    });
  });

  it("fires over days of virtual time, and starts every time once though the engine crashes again and again", async () => {
    await using t = await open();
    await t.client.schedules.create("daily", quick, "x", { cron: "30 6 * * *" });
    for (let day = 0; day < 10; day++) {
      await t.skip("5h");
      await t.crash();
      await t.skip("19h");
    }
    expect(await startedAt(t, "daily")).toEqual(
      Array.from({ length: 10 }, (_, day) => startAt + day * 24 * hour + 6.5 * hour),
    );
    expect(await runs(t, "quick")).toHaveLength(10);
  });

  it("skips, by default, times that come while its run is open, and records that once for all of them", async () => {
    await using t = await open();
    await t.client.schedules.create("s", slow, "x", { every: "10m" });
    await t.skip("35m");
    expect(await runs(t, "slow")).toEqual(["s-2026-03-01T00:10:00Z"]);
    await finish(t, "s-2026-03-01T00:10:00Z");
    expect(await skipped(t, "s")).toMatchObject([
      { fromAt: startAt + 20 * minute, toAt: startAt + 30 * minute, count: 2, reason: "overlap" },
    ]);
    await t.skip("10m");
    expect(await runs(t, "slow")).toEqual(["s-2026-03-01T00:10:00Z", "s-2026-03-01T00:40:00Z"]);
  });

  it("starts a time that comes in the very millisecond in which its run ends", async () => {
    await using t = await open();
    await t.client.schedules.create("s", onTheDot, undefined, { every: "1h" });
    await t.skip("3h");
    expect(await runs(t, "on-the-dot")).toHaveLength(3);
    expect(await skipped(t, "s")).toEqual([]);
  });

  it("lets one time wait under buffer-one, and skips those behind it", async () => {
    await using t = await open();
    await t.client.schedules.create("s", slow, "x", { every: "10m", overlap: "buffer-one" });
    await t.skip("45m");
    await finish(t, "s-2026-03-01T00:10:00Z");
    expect(await runs(t, "slow")).toEqual(["s-2026-03-01T00:10:00Z", "s-2026-03-01T00:20:00Z"]);
    expect(await skipped(t, "s")).toMatchObject([
      { fromAt: startAt + 30 * minute, toAt: startAt + 40 * minute, count: 2, reason: "overlap" },
    ]);
  });

  it.each(["cancel-other", "terminate-other"] as const)(
    "ends the other run under %s, and starts after it",
    async (overlap) => {
      await using t = await open();
      await t.client.schedules.create("s", slow, "x", { every: "10m", overlap });
      await t.skip("30m");
      expect(await runs(t, "slow")).toHaveLength(3);
      const first = await t.client.get("s-2026-03-01T00:10:00Z").describe();
      expect(first.status).toBe(overlap === "cancel-other" ? "cancelled" : "terminated");
      expect((await t.client.get("s-2026-03-01T00:30:00Z").describe()).status).toBe("running");
    },
  );

  it("starts beside the other run under allow-all", async () => {
    await using t = await open();
    await t.client.schedules.create("s", slow, "x", { every: "10m", overlap: "allow-all" });
    await t.skip("30m");
    expect(await runs(t, "slow")).toHaveLength(3);
    expect(await t.client.count({ workflowType: "slow", status: "running" })).toBe(3);
  });

  it("starts nothing while it is paused, and skips what came meanwhile with one reason", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("s", quick, "x", { every: "10m" });
    await t.skip("10m");
    await schedule.pause({ note: "migration" });
    await t.skip("1h");
    expect(await schedule.describe()).toMatchObject({ state: "paused", note: "migration" });
    expect(await runs(t, "quick")).toHaveLength(1);
    await schedule.resume();
    await t.skip("10m");
    expect(await skipped(t, "s")).toMatchObject([{ count: 6, reason: "paused" }]);
    expect(await runs(t, "quick")).toEqual(["s-2026-03-01T00:10:00Z", "s-2026-03-01T01:20:00Z"]);
  });

  it.each([{ every: "1s" }, { cron: "* * * * * *" }])(
    "makes up for a thousand times at the most under allow-all, the latest, and tells of the rest: %j",
    async (times) => {
      // I-32, I-33
      await using t = await open();
      const schedule = await t.client.schedules.create("s", quick, "x", { ...times, overlap: "allow-all" });
      await t.skip("3s");
      t.jumpClock(23 * hour);
      await t.skip("31s");
      const started = await startedAt(t, "s");
      const rest = await skipped(t, "s");
      expect(rest).toMatchObject([{ reason: "too-many", fromAt: startAt + 4_000 }]);
      const after = (rest[0]?.untilAt ?? rest[0]?.toAt ?? 0) + 1_000;
      const late = started.slice(3);
      const together = (await events(t, "s")).filter(
        ({ type, recordedAt }) => type === "ScheduleTriggered" && recordedAt === rest[0]?.recordedAt,
      );
      expect(together.length).toBeGreaterThan(900);
      expect(together.length).toBeLessThanOrEqual(1_000);
      expect(late[0]).toBeLessThanOrEqual(after);
      for (const [index, at] of late.entries()) expect(at).toBe((late[0] ?? 0) + index * 1_000);
      expect(late.at(-1)).toBe(Math.floor(t.now() / 1_000) * 1_000);
      const { skippedFor, skippedCount, recent } = await schedule.describe();
      expect(skippedFor).toEqual({ "too-many": rest[0]?.count });
      expect(skippedCount).toBe(rest[0]?.count);
      expect(recent).toHaveLength(20);
      // It goes on as before.
      await t.skip("5s");
      expect(await startedAt(t, "s")).toHaveLength(started.length + 5);
    },
  );

  it("tells the code that it starts for which time that is, also when it comes late, continues as new, or is replayed", async () => {
    // I-41
    const reporter = workflow("reporter", async (left: number): Promise<string> => {
      const { schedule } = info();
      await sleep("1m");
      if (left > 0) return continueAsNew(left - 1);
      return `${schedule?.id} ${schedule?.nominalAt} ${JSON.stringify(info().schedule)}`;
    });
    await using t = await TestEngine.open({ workflows: [reporter], startAt: new Date(startAt) });
    const options = { every: "1h", workflowIdPrefix: "report" } as const;
    const schedule = await t.client.schedules.create("s", reporter, 2, options);
    const told = (nominalAt: number): string => `s ${nominalAt} {"id":"s","nominalAt":${nominalAt}}`;
    await t.skip("1h");
    await t.crash();
    await t.skip("30m");
    expect(await t.client.get("report-2026-03-01T01:00:00Z").result()).toBe(told(startAt + hour));
    t.jumpClock(hour);
    await t.skip("10m");
    expect(await t.client.get("report-2026-03-01T02:00:00Z").result()).toBe(told(startAt + 2 * hour));
    const byHand = t.now();
    const { workflowId } = await schedule.trigger();
    await t.skip("10m");
    expect(await t.client.get(workflowId).result()).toBe(told(byHand));
    const plain = await t.client.start(reporter, 0);
    expect(await t.result(plain)).toBe("undefined undefined undefined");
  });

  it("is not among the runs that are listed and counted, unless its coordinator is asked for", async () => {
    await using t = await open();
    for (const id of ["a", "b"]) await t.client.schedules.create(id, slow, "x", { every: "1h" });
    await t.client.schedules.create("gone", slow, "x", { every: "1h" });
    await t.client.schedules.get("gone").delete();
    await t.client.start(slow, "x", { id: "aion.scheduled" });
    await t.skip("1h");
    const list = async (filter: Parameters<typeof t.client.count>[0]): Promise<readonly string[]> => {
      const ids: string[] = [];
      for await (const { workflowId } of t.client.list(filter, { pageSize: 1 })) ids.push(workflowId);
      expect(await t.client.count(filter)).toBe(ids.length);
      return ids.toSorted();
    };
    const started = ["a-2026-03-01T01:00:00Z", "aion.scheduled", "b-2026-03-01T01:00:00Z"];
    expect(await list({})).toEqual(started);
    expect(await list({ status: "running" })).toEqual(started);
    expect(await list({ status: "completed" })).toEqual([]);
    const coordinators = ["aion.schedule:a", "aion.schedule:b"];
    expect(await list({ workflowType: "aion.schedule", status: "running" })).toEqual(coordinators);
    expect(await list({ workflowType: "aion.schedule" })).toEqual([...coordinators, "aion.schedule:gone"]);
    expect(await list({ workflowId: "aion.schedule:a" })).toEqual(["aion.schedule:a"]);
  });

  it("tells when it starts nothing because the clock was ahead, and starts again when it is made anew", async () => {
    // I-28, I-32
    await using t = await open();
    const options = { every: "1h" } as const;
    const schedule = await t.client.schedules.create("s", quick, "x", options);
    await t.skip("90m");
    expect(await schedule.describe()).not.toHaveProperty("silentUntilAt");
    t.jumpClock(30 * 24 * hour);
    await t.skip("1h");
    t.jumpClock(-30 * 24 * hour);
    const { silentUntilAt = 0, nextAt, nextTimes } = await schedule.describe();
    expect(silentUntilAt).toBeGreaterThan(t.now() + 29 * 24 * hour);
    expect(nextAt).toBeGreaterThan(silentUntilAt);
    expect(nextTimes[0]).toBe(nextAt);
    const [listed] = (await t.client.schedules.listPage()).schedules;
    expect(listed?.silentUntilAt).toBe(silentUntilAt);
    const before = (await runs(t, "quick")).length;
    await t.skip("5h");
    expect(await runs(t, "quick")).toHaveLength(before);
    await schedule.delete();
    const again = await t.client.schedules.create("s", quick, "x", options);
    expect(await again.describe()).not.toHaveProperty("silentUntilAt");
    await t.skip("5h");
    expect(await runs(t, "quick")).toHaveLength(before + 5);
  });

  it("that is changed after the clock was set back skips none of its new times for what was before", async () => {
    // I-28, I-32
    await using t = await open();
    const rule = { every: "1h", overlap: "buffer-one" } as const;
    const schedule = await t.client.schedules.create("s", slow, "x", rule);
    await t.skip("150m");
    // The time that has waited for this end starts now.
    await finish(t, "s-2026-03-01T01:00:00Z");
    expect(await startedAt(t, "s")).toEqual([startAt + hour, startAt + 2 * hour]);
    t.jumpClock(-25 * minute);
    await schedule.update({ every: "10m" });
    await finish(t, "s-2026-03-01T02:00:00Z");
    await t.skip("6m");
    expect(await startedAt(t, "s")).toEqual([startAt + hour, startAt + 2 * hour, startAt + 130 * minute]);
    expect(await skipped(t, "s")).toEqual([]);
  });

  it("refuses a request id that was used for another operation, and changes nothing", async () => {
    // I-3
    await using t = await open();
    const options = { every: "1h", requestId: "created" } as const;
    const schedule = await t.client.schedules.create("s", quick, "x", options);
    await t.skip("2h");
    await schedule.trigger({ requestId: "triggered" });
    await schedule.pause({ requestId: "paused" });
    const range = { from: startAt, to: startAt + hour };
    await t.settle();
    const before = (await events(t, "s")).length;
    const refused = {
      code: "request_conflict",
      message: expect.stringContaining("was used for another change") as string,
    };
    for (const requestId of ["created", "triggered", "paused"]) {
      if (requestId !== "triggered")
        await expect(schedule.trigger({ requestId })).rejects.toMatchObject(refused);
      if (requestId !== "paused")
        await expect(schedule.pause({ requestId, note: "why" })).rejects.toMatchObject(refused);
      await expect(schedule.backfill({ ...range, requestId })).rejects.toMatchObject(refused);
      await expect(schedule.resume({ requestId })).rejects.toMatchObject(refused);
      await expect(schedule.update({ every: "2h", requestId })).rejects.toMatchObject(refused);
      await expect(schedule.delete({ requestId })).rejects.toMatchObject(refused);
    }
    const create = t.client.schedules.create("s", quick, "x", { ...options, requestId: "paused" });
    await expect(create).rejects.toMatchObject(refused);
    // Nor for another one of the same operation.
    for (const other of [
      () => t.client.schedules.create("s", quick, "y", options),
      () => t.client.schedules.create("s", quick, "x", { ...options, every: "3h" }),
    ])
      await expect(other()).rejects.toMatchObject(refused);
    await t.client.schedules.create("s", quick, "x", options);
    expect(await events(t, "s")).toHaveLength(before);
    // It is known for what it was used, when the coordinator has gone on as a new run, too.
    for (let count = 0; count < 260; count++) {
      await schedule.resume();
      await schedule.pause();
    }
    const begun = (await events(t, "s")).filter(({ type }) => type === "WorkflowStarted");
    expect(begun.length).toBeGreaterThan(1);
    await expect(schedule.backfill({ ...range, requestId: "triggered" })).rejects.toMatchObject(refused);
  });

  it.each([
    ["pause", "paused", "active"],
    ["resume", "active", "paused"],
  ] as const)("knows a late copy of a %s that changed nothing", async (ask, state, other) => {
    // I-3
    await using t = await open();
    const schedule = await t.client.schedules.create("s", quick, "x", {
      every: "1h",
      isPaused: ask === "pause",
    });
    await t.skip("90m");
    const before = await schedule.describe();
    await schedule[ask]({ requestId: "late" });
    expect(await schedule.describe()).toEqual(before);
    expect(before.state).toBe(state);
    await schedule[ask === "pause" ? "resume" : "pause"]();
    await schedule[ask]({ requestId: "late" });
    expect((await schedule.describe()).state).toBe(other);
    await t.crash();
    await schedule[ask]({ requestId: "late" });
    expect((await schedule.describe()).state).toBe(other);
  });

  it("takes a trigger, refuses it while a run is open, and answers a repeated one as before", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("s", slow, "x", { every: "1d" });
    const first = await schedule.trigger({ requestId: "r1" });
    const again = await schedule.trigger({ requestId: "r1" });
    expect(again.workflowId).toBe(first.workflowId);
    await t.settle();
    expect(await runs(t, "slow")).toEqual([first.workflowId]);
    await expect(schedule.trigger()).rejects.toMatchObject({ code: "schedule_busy" });
    const beside = await schedule.trigger({ overlap: "allow-all" });
    await t.settle();
    expect(await runs(t, "slow")).toEqual([first.workflowId, beside.workflowId]);
  });

  it("fills in a range, one after the other or all at once, and skips what has been started", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("s", tenMinutes, undefined, { every: "1h" });
    await t.skip("1h 20m");
    const back = { from: startAt - 2 * hour, to: startAt + hour };
    expect(await schedule.backfill(back)).toEqual({ count: 4 });
    await t.skip("5m");
    expect(await t.client.count({ workflowType: "ten-minutes", status: "running" })).toBe(1);
    await t.skip("24m");
    expect(await runs(t, "ten-minutes")).toEqual([
      "s-2026-03-01T01:00:00Z",
      "s-2026-02-28T22:00:00Z",
      "s-2026-02-28T23:00:00Z",
      "s-2026-03-01T00:00:00Z",
    ]);
    await t.skip("2m");
    expect(await skipped(t, "s")).toMatchObject([{ reason: "workflow-id-taken", fromAt: startAt + hour }]);
    await expect(schedule.backfill({ from: startAt, to: t.now() + hour })).rejects.toMatchObject({
      code: "invalid_argument",
    });
    await expect(schedule.backfill({ from: 0, to: startAt })).rejects.toThrow(/more than 1000 times/);
  });

  it("ends with its last action, or its end", async () => {
    await using t = await open();
    const limited = await t.client.schedules.create("limited", quick, "x", { every: "1h", actionsMax: 2 });
    const bounded = await t.client.schedules.create("bounded", quick, "x", {
      every: "1h",
      endAt: startAt + 3 * hour,
    });
    await t.skip("1d");
    expect(await limited.describe()).toMatchObject({ state: "ended", startedCount: 2, nextTimes: [] });
    expect(await bounded.describe()).toMatchObject({ state: "ended", startedCount: 3 });
  });

  it("is changed, and goes by the new times from then on", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("s", quick, "x", { every: "10m" });
    await t.skip("15m");
    await schedule.update({ every: "1h", workflow: quick, input: "y" });
    await t.skip("2h");
    expect(await runs(t, "quick")).toEqual([
      "s-2026-03-01T00:10:00Z",
      "s-2026-03-01T01:00:00Z",
      "s-2026-03-01T02:00:00Z",
    ]);
    expect(await t.client.get("s-2026-03-01T01:00:00Z").result()).toBe("y");
  });

  it("is deleted, leaves its runs alone, and can be made anew under its id", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("s", slow, "x", { every: "10m" });
    await t.skip("10m");
    await schedule.delete({ requestId: "d" });
    await schedule.delete({ requestId: "d" });
    await expect(schedule.delete()).rejects.toMatchObject({ code: "schedule_not_found" });
    await expect(schedule.describe()).rejects.toMatchObject({ code: "schedule_not_found" });
    await expect(t.client.get("aion.schedule:s").reopen()).rejects.toThrow(/aion\.schedule:s/);
    expect(await t.client.count({ workflowType: "slow", status: "running" })).toBe(1);
    await t.client.schedules.create("s", slow, "z", { every: "10m" });
    await finish(t, "s-2026-03-01T00:10:00Z");
    await t.skip("10m");
    expect(await runs(t, "slow")).toEqual(["s-2026-03-01T00:10:00Z", "s-2026-03-01T00:20:00Z"]);
  });

  it.each(["x", "y"])(
    "is another one when it is made anew at once, with the same content or not: %s",
    async (input) => {
      // I-3
      await using t = await open();
      const schedule = await t.client.schedules.create("s", quick, "x", { every: "1h" });
      await schedule.delete();
      await t.client.schedules.create("s", quick, input, { every: "1h" });
      expect((await schedule.describe()).startedCount).toBe(0);
      await t.skip("1h");
      expect(await t.client.get("s-2026-03-01T01:00:00Z").result()).toBe(input);
    },
  );

  it("is created once: the same again is what is there, and another one is refused", async () => {
    await using t = await open();
    await t.client.schedules.create("s", quick, "x", { every: "10m", jitter: "1m" });
    await t.client.schedules.create("s", quick, "x", { jitter: "1m", every: "10m" });
    await expect(
      t.client.schedules.create("s", quick, "y", { every: "10m", jitter: "1m" }),
    ).rejects.toMatchObject({
      code: "schedule_already_exists",
    });
    const listed = [];
    for await (const each of t.client.schedules.list({ pageSize: 1 })) listed.push(each.scheduleId);
    expect(listed).toEqual(["s"]);
  });

  it("keeps its history in segments, and loses nothing between them", async () => {
    await using t = await open();
    const schedule = await t.client.schedules.create("s", quick, "x", { every: "1m" });
    await t.skip("1d");
    const { runs: segments } = await t.client.get("aion.schedule:s").describe();
    expect(segments.length).toBeGreaterThan(3);
    for (const { historyLength } of segments) expect(historyLength).toBeLessThan(600);
    expect(await startedAt(t, "s")).toEqual(
      Array.from({ length: 1440 }, (_, at) => startAt + (at + 1) * minute),
    );
    expect(await runs(t, "quick")).toHaveLength(1440);
    expect((await schedule.describe()).startedCount).toBe(1440);
  });

  it("refuses what is meant for workflows, and leaves its name to itself", async () => {
    await using t = await open();
    await t.client.schedules.create("s", quick, "x", { every: "10m" });
    const coordinator = t.client.get("aion.schedule:s");
    await expect(coordinator.signal("x", 1)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(coordinator.cancel()).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(coordinator.terminate()).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(coordinator.pause()).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(coordinator.update("x", 1)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(coordinator.query("x")).rejects.toMatchObject({ code: "query_unknown" });
    await expect(t.client.start(quick, "x", { id: "aion.schedule:t" })).rejects.toMatchObject({
      code: "invalid_argument",
    });
    const often = { every: "10m" };
    const reserved = { ...often, workflowIdPrefix: "aion.schedule:s" };
    for (const made of [
      t.client.schedules.create("aion.schedule:s", quick, "x", often),
      t.client.schedules.create("t", quick, "x", reserved),
    ])
      await expect(made).rejects.toThrow(/begins as the ids of coordinators do/);
    await expect(t.client.start("aion.schedule", null)).rejects.toMatchObject({
      code: "workflow_type_unknown",
    });
    expect((await events(t, "s")).map((event) => event.type)).toEqual(["WorkflowStarted", "ScheduleCreated"]);
  });

  it("says what is wrong with what it is asked for", async () => {
    await using t = await open();
    const make = (options: Parameters<typeof t.client.schedules.create>[3]): Promise<unknown> =>
      t.client.schedules.create("s", quick, "x", options);
    await expect(make({})).rejects.toThrow(/at least one cron expression or interval/);
    await expect(make({ cron: "61 * * * *" })).rejects.toThrow(/cannot be read: .*minute/);
    await expect(make({ cron: "* * * *" })).rejects.toThrow(/five or six fields/);
    await expect(make({ cron: "0 0 30 2 *" })).rejects.toThrow(/no time that is to come/);
    await expect(make({ cron: "* * * * *", timeZone: "Mars/Base" })).rejects.toThrow(
      /no time zone "Mars\/Base"/,
    );
    for (const timeZone of ["+01:00", "-0800", "", "Europe", "UTC+1", 1 as never]) {
      await expect(make({ cron: "0 9 * * *", timeZone })).rejects.toMatchObject({
        code: "invalid_argument",
        message: `there is no time zone ${JSON.stringify(timeZone)}`,
      });
    }
    await expect(make({ every: "1h", timeZone: "UTC" })).rejects.toThrow(
      /time zone is one of cron expressions/,
    );
    await expect(make({ every: "10m", overlap: "both" as never })).rejects.toThrow(/overlap policy "both"/);
    await expect(t.client.schedules.create("s", "nobody", 1, { every: "1h" })).rejects.toMatchObject({
      code: "workflow_type_unknown",
    });
    expect(await t.client.schedules.listPage()).toEqual({ schedules: [] });
  });
});
