import { TestEngine } from "aion/testing";
import { ApplicationFailure, activity, continueAsNew, receive, signal, sleep, workflow } from "aion/workflow";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const finish = signal<"complete" | "fail">("finish");

const job = workflow("job", async (name: string) => {
  if ((await receive(finish)) === "fail") throw new ApplicationFailure("failed");
  return name;
});
const other = workflow("other", async (name: string) => name);
const workflows = [job, other];

describe("starting a workflow", () => {
  it("again with the same id, type and input gives the run that exists", async () => {
    // I-5
    await using t = await TestEngine.open({ workflows });
    const first = await t.client.start(job, "a", { id: "j" });
    const again = await t.client.start(job, "a", { id: "j" });
    expect(first.isNew).toBe(true);
    expect(again).toMatchObject({ isNew: false, runId: first.runId });
    await first.signal(finish, "complete");
    await t.result(first);
    await t.crash();
    expect(await t.client.start(job, "a", { id: "j" })).toMatchObject({ isNew: false, runId: first.runId });
    expect(await t.client.count()).toBe(1);
  });

  it("a hundred times at once makes one run", async () => {
    // I-5
    await using t = await TestEngine.open({ workflows });
    for (const residentMax of ["resident", "dormant"] as const) {
      const runs = await Promise.all(
        Array.from({ length: 100 }, () => t.client.start(job, "a", { id: residentMax })),
      );
      expect(new Set(runs.map((run) => run.runId)).size).toBe(1);
      expect(runs.filter((run) => run.isNew === true)).toHaveLength(1);
    }
    await t.crash();
    const runs = await Promise.all(
      Array.from({ length: 100 }, () => t.client.start(job, "a", { id: "dormant" })),
    );
    expect(runs.every((run) => run.isNew === false)).toBe(true);
  });

  it("with the same id and another type or input is refused", async () => {
    // I-5
    await using t = await TestEngine.open({ workflows });
    const run = await t.client.start(job, "a", { id: "j" });
    const before = await eventsOf(run);
    expect(await errorOf(t.client.start(job, "b", { id: "j" }))).toMatchObject({
      code: "workflow_already_exists",
    });
    expect(await errorOf(t.client.start(other, "a", { id: "j" }))).toMatchObject({
      code: "workflow_already_exists",
    });
    expect(await eventsOf(run)).toEqual(before);
  });

  it("of an unknown type, or with an input that does not fit or is too large, leaves no trace", async () => {
    const strict = workflow("strict", { input: z.object({ n: z.number() }) }, async ({ n }) => n);
    await using t = await TestEngine.open({ workflows: [strict], payloadLimitBytes: 1_000 });
    expect(await errorOf(t.client.start("nobody", 1, { id: "x" }))).toMatchObject({
      code: "workflow_type_unknown",
    });
    expect(await errorOf(t.client.start("strict", { n: "1" }, { id: "x" }))).toMatchObject({
      code: "payload_invalid",
    });
    const big = { n: 1, text: "x".repeat(1_000) };
    expect(await errorOf(t.client.start("strict", big, { id: "x" }))).toMatchObject({
      code: "payload_too_large",
    });
    expect(await t.client.count()).toBe(0);
    expect(await errorOf(t.client.get("x").describe())).toMatchObject({ code: "run_not_found" });
  });

  it("beside a repeated start of a run that sleeps, disturbs neither its timers nor its signals", async () => {
    // I-28, I-22
    const sleeper = workflow("sleeper", async (name: string) => {
      const answer = await receive(finish, { timeout: "1h" });
      return `${name} ${answer.ok ? answer.value : "timed out"}`;
    });
    await using t = await TestEngine.open({ workflows: [sleeper] });
    await t.client.start(sleeper, "a", { id: "timer" });
    await t.client.start(sleeper, "b", { id: "signal" });
    await t.crash();
    await t.skip("59m");
    for (let ticks = 0; ticks < 20; ticks++) {
      const starts = [
        t.client.start(sleeper, "b", { id: "signal" }),
        t.client.start(sleeper, "a", { id: "timer" }),
      ];
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      const sent = t.client.get("signal").signal("other", ticks);
      await Promise.all([...starts, sent]);
      await t.crash();
    }
    await t.skip("1m");
    expect(await t.client.get("timer").result()).toBe("a timed out");
    const sentAll = await eventsOfType(t.client.get("signal"), "SignalReceived");
    expect(sentAll.map((event) => event.payload)).toEqual(
      Array.from({ length: 20 }, (_, value) => String(value)),
    );
  });
});

describe("the reuse policy", () => {
  async function openWith(state: "running" | "completed" | "failed" | "terminated") {
    const t = await TestEngine.open({ workflows });
    const run = await t.client.start(job, "a", { id: "j" });
    if (state === "completed") await run.signal(finish, "complete");
    if (state === "failed") await run.signal(finish, "fail");
    if (state === "terminated") await run.terminate();
    await t.settle();
    return { t, run };
  }

  it.each([
    ["return", "running", "the same"],
    ["return", "completed", "the same"],
    ["return", "failed", "the same"],
    ["reject", "running", "refused"],
    ["reject", "completed", "refused"],
    ["reject", "failed", "refused"],
    ["after-close", "running", "the same"],
    ["after-close", "completed", "a new run"],
    ["after-close", "failed", "a new run"],
    ["after-close", "terminated", "a new run"],
    ["after-failure", "running", "the same"],
    ["after-failure", "completed", "the same"],
    ["after-failure", "failed", "a new run"],
    ["after-failure", "terminated", "a new run"],
    ["terminate", "running", "a new run"],
    ["terminate", "completed", "a new run"],
  ] as const)("%s, when the run there is %s, gives %s", async (reuse, state, outcome) => {
    for (const residency of ["resident", "dormant"] as const) {
      const { t, run } = await openWith(state);
      await using _ = t;
      if (residency === "dormant") await t.crash();
      const started = t.client.start(job, "a", { id: "j", reuse });
      if (outcome === "refused") {
        expect(await errorOf(started)).toMatchObject({ code: "workflow_already_exists" });
        continue;
      }
      const again = await started;
      expect(again.isNew).toBe(outcome === "a new run");
      expect(again.runId === run.runId).toBe(outcome === "the same");
      const { runs } = await again.describe();
      expect(runs).toHaveLength(outcome === "a new run" ? 2 : 1);
      if (reuse === "terminate" && state === "running") expect(runs[0]?.status).toBe("terminated");
      if (outcome === "a new run") {
        await again.signal(finish, "complete");
        expect(await t.result(again)).toBe("a");
      }
    }
  });

  it("after-close lets another type and input follow in the same chain", async () => {
    const { t, run } = await openWith("completed");
    await using _ = t;
    const next = await t.client.start(other, "b", { id: "j", reuse: "after-close" });
    expect(await t.result(next)).toBe("b");
    expect(await t.result(run)).toBe("a");
    expect((await eventsOf(t.client.get("j"))).map((event) => event.seq)).toEqual([1, 2, 3, 4, 5]);
  });

  it("terminate, many at once, leaves one open run and no call without an answer", async () => {
    // I-36
    const { t } = await openWith("running");
    await using _ = t;
    const runs = await Promise.all(
      Array.from({ length: 8 }, () => t.client.start(job, "a", { id: "j", reuse: "terminate" })),
    );
    expect(await t.client.count({ status: "running" })).toBe(1);
    expect(new Set(runs.map((run) => run.runId)).size).toBe(8);
  });
});

describe("a request id", () => {
  it("gives the run that it gave before, whatever the policy says", async () => {
    // I-5
    await using t = await TestEngine.open({ workflows });
    const first = await t.client.start(job, "a", { id: "j", requestId: "r1", reuse: "terminate" });
    expect(await t.client.start(job, "a", { id: "j", requestId: "r1", reuse: "terminate" })).toMatchObject({
      isNew: false,
      runId: first.runId,
    });
    expect(await t.client.start(job, "a", { id: "j", requestId: "r1", reuse: "reject" })).toMatchObject({
      isNew: false,
      runId: first.runId,
    });
    const second = await t.client.start(job, "a", { id: "j", requestId: "r2", reuse: "terminate" });
    expect(second.isNew).toBe(true);
    // Also when other runs came after it.
    expect(await t.client.start(job, "a", { id: "j", requestId: "r1", reuse: "terminate" })).toMatchObject({
      isNew: false,
      runId: first.runId,
    });
    expect(await t.client.count()).toBe(2);
  });

  it("that has begun a run of another type or input is refused, and nothing is begun", async () => {
    // I-5
    await using t = await TestEngine.open({ workflows });
    const taken = { code: "workflow_already_exists" };
    const first = await t.client.start(job, "a", { id: "j", requestId: "r1" });
    await t.client.start(job, "a", { id: "j", requestId: "r2", reuse: "terminate" });
    for (const reuse of ["return", "after-close", "after-failure", "terminate"] as const) {
      const options = { id: "j", requestId: "r1", reuse };
      expect(await errorOf(t.client.start(job, "b", options))).toMatchObject(taken);
      expect(await errorOf(t.client.start(other, "a", options))).toMatchObject(taken);
      expect((await t.client.start(job, "a", options)).runId).toBe(first.runId);
    }
    const keyed = await t.client.start(job, "a", { requestId: "key" });
    expect(await errorOf(t.client.start(other, "b", { requestId: "key" }))).toMatchObject(taken);
    expect((await t.client.start(job, "a", { requestId: "key" })).runId).toBe(keyed.runId);
    expect(await t.client.count()).toBe(3);
  });

  it("is known again by what was sent with it, whatever the schema makes of that, each time another", async () => {
    // I-5
    let count = 0;
    const stamped = workflow(
      "stamped",
      { input: z.object({ name: z.string(), stamp: z.number().default(() => (count += 1)) }) },
      async ({ name, stamp }) => `${name} ${stamp}`,
    );
    await using t = await TestEngine.open({ workflows: [stamped] });
    const start = (name: string) => t.client.start(stamped, { name }, { id: "s", requestId: "r1" });
    const first = await start("a");
    await t.crash();
    expect(await start("a")).toMatchObject({ isNew: false, runId: first.runId });
    expect(await errorOf(start("b"))).toMatchObject({ code: "workflow_already_exists" });
    const [started] = await eventsOf(first);
    expect(started).toMatchObject({
      input: expect.stringMatching(/^{"name":"a","stamp":\d+}$/),
      sent: '{"name":"a"}',
    });
    // Without a request id nobody asks.
    const [plain] = await eventsOf(await t.client.start(stamped, { name: "a" }, { id: "t" }));
    expect(plain).not.toHaveProperty("sent");
  });

  it("gives the run that it began though that was reset since", async () => {
    await using t = await TestEngine.open({ workflows });
    const first = await t.client.start(job, "a", { id: "j", requestId: "r1" });
    const copy = await first.reset({ toSeq: 1 });
    expect(copy.runId).not.toBe(first.runId);
    expect(await t.client.start(job, "a", { id: "j", requestId: "r1" })).toMatchObject({
      isNew: false,
      runId: first.runId,
    });
  });

  it("is remembered when the run has continued as new", async () => {
    // I-5
    const chain = workflow("chain", async (left: number): Promise<string> => {
      await sleep("1m");
      return left === 0 ? "done" : continueAsNew(left - 1);
    });
    await using t = await TestEngine.open({ workflows: [chain] });
    const start = () => t.client.start(chain, 3, { id: "c", requestId: "r", reuse: "terminate" });
    const first = await start();
    await t.skip("90s");
    await t.crash();
    expect(await start()).toMatchObject({ isNew: false, runId: first.runId });
    expect(await t.result(await start())).toBe("done");
  });

  it("without an id names the workflow, too", async () => {
    // I-5
    await using t = await TestEngine.open({ workflows });
    const runs = await Promise.all([1, 2, 3].map(() => t.client.start(job, "a", { requestId: "req-1" })));
    expect(new Set(runs.map((run) => `${run.workflowId} ${run.runId}`)).size).toBe(1);
    expect(runs[0]?.workflowId).toBe("req-1");
  });
});

describe("a start delay", () => {
  it("holds the code back until it is over, across a crash", async () => {
    const call = activity("call", async () => "called");
    const delayed = workflow("delayed", () => call(undefined));
    await using t = await TestEngine.open({ workflows: [delayed], activities: [call] });
    const startedAt = t.now();
    const run = await t.client.start(delayed, undefined, { startDelay: "2 days" });
    await t.skip("1 day");
    await t.crash();
    await t.skip(86_400_000 - 1);
    expect(t.calls("call")).toEqual([]);
    expect((await run.describe()).status).toBe("running");
    expect(await t.result(run)).toBe("called");
    expect(t.now() - startedAt).toBe(2 * 86_400_000);
    expect((await typesOf(run)).slice(0, 2)).toEqual(["WorkflowStarted", "TimerFired"]);
  });

  it("lets signals wait for the code, in order", async () => {
    // I-22, I-23
    const item = signal<number>("item");
    const delayed = workflow("delayed", async () => [
      await receive(item),
      await receive(item),
      await receive(item),
    ]);
    await using t = await TestEngine.open({ workflows: [delayed] });
    const run = await t.client.start(delayed, undefined, { startDelay: "1h", signal: [item, 1] });
    await run.signal(item, 2);
    await t.crash();
    await run.signal(item, 3);
    expect(await t.result(run)).toEqual([1, 2, 3]);
  });

  it("can be cut short by terminating", async () => {
    await using t = await TestEngine.open({ workflows });
    const run = await t.client.start(job, "a", { startDelay: "1h" });
    await run.terminate();
    await t.skip("2h");
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowTerminated"]);
  });

  it("is long over when the engine comes back late", async () => {
    await using t = await TestEngine.open({ workflows: [other] });
    const run = await t.client.start(other, "a", { startDelay: "1h" });
    t.jumpClock(86_400_000);
    await t.crash();
    expect(await t.result(run)).toBe("a");
  });
});
