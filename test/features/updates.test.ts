import { isAionError } from "aion/client";
import { TestEngine } from "aion/testing";
import {
  ApplicationFailure,
  activity,
  allHandlersFinished,
  continueAsNew,
  expose,
  now,
  query,
  receive,
  scope,
  signal,
  sleep,
  uuid,
  update,
  waitUntil,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const stop = signal("stop");
const items = query<readonly string[]>("items");
const add = update(
  "add",
  z.object({ name: z.string().trim().min(1), count: z.number().default(1) }),
  z.number(),
);
const slow = update<string, string>("slow");
const price = activity("price", async (name: string) => {
  if (name === "unknown") throw new ApplicationFailure("no such thing", { type: "Unknown" });
  return name.length;
});

/** A basket that takes things until it is told to stop. */
const basket = workflow("basket", async () => {
  const held: string[] = [];
  expose(items, () => [...held]);
  expose(
    add,
    async ({ name, count = 1 }) => {
      const each = await price(name);
      for (let at = 0; at < count; at++) held.push(name);
      return each * count;
    },
    {
      validate: ({ name }) => {
        if (held.length >= 3) throw new ApplicationFailure("the basket is full", { type: "Full" });
        if (name === "bomb") throw new Error("not that");
      },
    },
  );
  expose(slow, async (name) => {
    await sleep("1h");
    held.push(name);
    return `held ${name}`;
  });
  await receive(stop);
  return held;
});

const open = () => TestEngine.open({ workflows: [basket], activities: { price: price.implementation } });

describe("an update", () => {
  // I-26, I-3
  it("is accepted, dealt with by the code, and answered from what is on disk", async () => {
    await using t = await open();
    const run = await t.client.start(basket);
    expect(await run.update(add, { name: "  lamp ", count: 2 }, { updateId: "u-1" })).toBe(8);
    expect(await run.query(items)).toEqual(["lamp", "lamp"]);
    expect(await eventsOfType(run, "UpdateAccepted")).toMatchObject([
      {
        updateId: "u-1",
        name: "add",
        input: '{"name":"lamp","count":2}',
        sent: '{"name":"  lamp ","count":2}',
      },
    ]);
    expect(await eventsOfType(run, "UpdateCompleted")).toMatchObject([{ updateId: "u-1", result: "8" }]);
    expect(await typesOf(run)).toEqual([
      "WorkflowStarted",
      "UpdateAccepted",
      "ActivityScheduled",
      "ActivityStarted",
      "ActivityCompleted",
      "UpdateCompleted",
    ]);
    await run.signal(stop);
    expect(await t.result(run)).toEqual(["lamp", "lamp"]);
  });

  it("that the code refuses was never there: nothing is recorded, and nothing of the code has moved", async () => {
    let isAsked = 0;
    const watchful = workflow("watchful", async () => {
      const begun = now();
      expose(slow, async () => "never", {
        validate: () => {
          // What is not recorded does not move the time of the code: this would come true with it.
          isAsked += 1;
          throw new ApplicationFailure(`asked ${now() - begun} ms later`, {
            type: "No",
            details: { why: 1 },
          });
        },
      });
      await waitUntil(() => now() > begun + 1_000);
      return "moved";
    });
    await using t = await TestEngine.open({ workflows: [watchful] });
    const run = await t.client.start(watchful);
    const before = await eventsOf(run);
    await t.skip("1h");
    const error = await errorOf(run.update(slow, "x"));
    expect(error).toMatchObject({
      code: "update_rejected",
      message: expect.stringContaining("asked 3600000 ms later"),
      cause: { kind: "application", type: "No", details: { why: 1 } },
    });
    expect(await eventsOf(run)).toEqual(before);
    expect((await run.describe()).pendingUpdates).toEqual([]);
    expect(isAsked).toBe(1);
    await run.terminate();
  });

  it("is refused for what it is: its input, its name, a run that is not there", async () => {
    await using t = await open();
    const run = await t.client.start(basket);
    expect(await errorOf(run.update("add", { name: "" }))).toMatchObject({ code: "payload_invalid" });
    expect(await errorOf(run.update(add, { name: "" }))).toMatchObject({ code: "payload_invalid" });
    expect(await errorOf(run.update("grow", 1))).toMatchObject({
      code: "update_unknown",
      message: expect.stringContaining('exposed are "add", "slow"'),
    });
    expect(await errorOf(run.update(add, { name: "bomb" }))).toMatchObject({ code: "update_rejected" });
    expect(await errorOf(t.client.get("absent").update(slow, "x"))).toMatchObject({ code: "run_not_found" });
    expect(await errorOf(run.getUpdate("absent").result())).toMatchObject({ code: "update_not_found" });
    const misspelled = { updateid: "u" } as unknown as { updateId: string };
    expect(await errorOf(run.update(slow, "x", misspelled))).toMatchObject({ code: "invalid_argument" });
    expect(await typesOf(run)).toEqual(["WorkflowStarted"]);
    await run.signal(stop);
    await t.result(run);
    expect(await errorOf(run.update(slow, "x"))).toMatchObject({ code: "run_closed" });
  });

  it("larger than the limit is refused, and an answer that is fails the update", async () => {
    const big = workflow("big", async () => {
      expose(slow, (size) => "x".repeat(Number(size)));
      await receive(stop);
    });
    await using t = await TestEngine.open({ workflows: [big], payloadLimitBytes: 1_000 });
    const run = await t.client.start(big);
    expect(await errorOf(run.update(slow, "x".repeat(1_000)))).toMatchObject({ code: "payload_too_large" });
    expect(await errorOf(run.update(slow, "1000"))).toMatchObject({
      kind: "engine",
      code: "payload_too_large",
    });
    expect(await run.update(slow, "3")).toBe("xxx");
    await run.signal(stop);
    await t.result(run);
  });

  it("whose handler fails fails itself, and not the run", async () => {
    const wrong = update("wrong", z.number(), z.string());
    const failing = workflow("failing", async () => {
      expose(slow, async (name) => {
        await price(name);
        throw new ApplicationFailure("too late", { type: "Late", cause: new TypeError("inner") });
      });
      expose(wrong, (n) => n as unknown as string);
      await receive(stop);
      return "fine";
    });
    await using t = await TestEngine.open({
      workflows: [failing],
      activities: { price: price.implementation },
    });
    const run = await t.client.start(failing);
    expect(await errorOf(run.update(slow, "unknown"))).toMatchObject({
      kind: "activity",
      cause: { kind: "application", type: "Unknown" },
    });
    expect(await errorOf(run.update(slow, "lamp", { updateId: "u" }))).toMatchObject({ type: "Late" });
    // The same, by its id.
    expect(await errorOf(run.getUpdate("u").result())).toMatchObject({ type: "Late", message: "too late" });
    expect(await errorOf(run.update(wrong, 1))).toMatchObject({ kind: "engine", code: "payload_invalid" });
    await run.signal(stop);
    expect(await t.result(run)).toBe("fine");
  });

  it("made again with its id is the same one, also after crashes and after the run has ended", async () => {
    // I-26
    await using t = await open();
    const run = await t.client.start(basket);
    const first = await run.startUpdate(slow, "lamp", { updateId: "u-1" });
    expect(first).toMatchObject({ updateId: "u-1", workflowId: run.workflowId, runId: run.runId });
    const handles = await Promise.all(
      [1, 2, 3].map(() => run.startUpdate(slow, "lamp", { updateId: "u-1" })),
    );
    await t.crash();
    const again = run.update(slow, "lamp", { updateId: "u-1" });
    again.catch(() => undefined);
    await t.skip("1h");
    expect(await again).toBe("held lamp");
    expect(await Promise.all([first, ...handles].map((handle) => handle.result()))).toEqual(
      Array.from({ length: 4 }, () => "held lamp"),
    );
    expect(await errorOf(run.update(slow, "chair", { updateId: "u-1" }))).toMatchObject({
      code: "update_conflict",
    });
    expect(await errorOf(run.update(add, { name: "lamp" }, { updateId: "u-1" }))).toMatchObject({
      code: "update_conflict",
    });
    await run.signal(stop);
    expect(await t.result(run)).toEqual(["lamp"]);
    await t.crash();
    expect(await run.update(slow, "lamp", { updateId: "u-1" })).toBe("held lamp");
    expect(await run.getUpdate("u-1", slow).result()).toBe("held lamp");
    expect(await errorOf(run.update(slow, "chair", { updateId: "u-1" }))).toMatchObject({
      code: "update_conflict",
    });
    expect((await eventsOfType(run, "UpdateAccepted")).length).toBe(1);
  });

  it("is compared with what was sent, and not with what its schema made of that", async () => {
    await using t = await open();
    const run = await t.client.start(basket);
    const sent = { name: " lamp " };
    expect(await run.update(add, sent, { updateId: "u" })).toBe(4);
    expect(await run.update(add, sent, { updateId: "u" })).toBe(4);
    const parsed = { name: "lamp", count: 1 };
    expect(await errorOf(run.update(add, parsed, { updateId: "u" }))).toMatchObject({
      code: "update_conflict",
    });
    await run.terminate();
  });

  it("takes turns with the rest of the code, in the order in which updates were accepted", async () => {
    const append = update<string, string>("append");
    const log = workflow("log", async () => {
      const lines: string[] = [];
      expose(append, async (name) => {
        lines.push(`${name} begins`);
        await sleep("1m");
        lines.push(`${name} ends`);
        return lines.join(", ");
      });
      await sleep("30s");
      lines.push("main");
      await receive(stop);
      return lines;
    });
    await using t = await TestEngine.open({ workflows: [log] });
    const run = await t.client.start(log);
    const first = await run.startUpdate(append, "a");
    const second = await run.startUpdate(append, "b");
    await t.skip("30s");
    await t.crash();
    await t.skip("30s");
    expect(await first.result()).toBe("a begins, b begins, main, a ends");
    expect(await second.result()).toBe("a begins, b begins, main, a ends, b ends");
    await run.signal(stop);
    expect(await t.result(run)).toEqual(["a begins", "b begins", "main", "a ends", "b ends"]);
  });

  it("wakes a run that is not in memory", async () => {
    await using t = await TestEngine.open({
      workflows: [basket],
      activities: { price: price.implementation },
      residentMax: 1,
    });
    const runs = await Promise.all(Array.from({ length: 10 }, () => t.client.start(basket)));
    for (const [index, run] of runs.entries())
      expect(await run.update(add, { name: "x".repeat(index + 1) })).toBe(index + 1);
    for (const run of runs) await run.terminate();
  });

  it("of a run in its start delay waits until the code is there", async () => {
    await using t = await open();
    const run = await t.client.start(basket, undefined, { startDelay: "1h" });
    const early = await errorOf(run.update(slow, "x", { timeout: 0 }));
    expect(early).toMatchObject({ code: "result_timeout" });
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "TimerStarted"].slice(0, 1));
    const made = run.update(add, { name: "lamp" });
    await t.skip("1h");
    expect(await made).toBe(4);
    await run.terminate();
  });

  it("of a paused run waits until it goes on, and one that was accepted waits with it", async () => {
    await using t = await open();
    const run = await t.client.start(basket);
    const before = await run.startUpdate(slow, "lamp", { updateId: "before" });
    await run.pause();
    const early = await errorOf(run.update(slow, "x", { timeout: 0 }));
    expect(early).toMatchObject({ code: "result_timeout" });
    const meanwhile = errorOf(run.update(add, { name: "chair" }, { updateId: "meanwhile" }));
    await t.skip("2h");
    await t.crash();
    expect(await errorOf(before.result({ timeout: 0 }))).toMatchObject({ code: "result_timeout" });
    expect(await meanwhile).toMatchObject({ code: "transport_failed" });
    expect((await eventsOfType(run, "UpdateAccepted")).map(({ updateId }) => updateId)).toEqual(["before"]);
    const again = run.update(add, { name: "chair" }, { updateId: "meanwhile" });
    await t.settle();
    await run.resume();
    expect(await before.result()).toBe("held lamp");
    expect(await again).toBe(5);
    expect(await run.query(items)).toEqual(["lamp", "chair"]);
    await run.terminate();
  });

  it("is not refused because the code has only just begun", async () => {
    await using t = await open();
    for (let count = 0; count < 20; count++) {
      const run = await t.client.start(basket);
      expect(await run.update(add, { name: "lamp" })).toBe(4);
      await run.terminate();
    }
  });

  it("of a run that is blocked is refused, and one that was accepted waits with the run", async () => {
    await using t = await open();
    const run = await t.client.start(basket);
    const handle = await run.startUpdate(slow, "lamp", { updateId: "u" });
    await t.crash({ workflows: [] });
    expect(await errorOf(run.update(slow, "chair"))).toMatchObject({ code: "run_blocked" });
    expect(await errorOf(handle.result())).toMatchObject({ code: "run_blocked" });
    // Known, though nobody can go on with it.
    expect(await run.startUpdate(slow, "lamp", { updateId: "u" })).toMatchObject({ updateId: "u" });
    await t.crash({ workflows: [basket] });
    await t.skip("1h");
    expect(await handle.result()).toBe("held lamp");
    await run.terminate();
  });

  it("gives up waiting when asked to, and goes on", async () => {
    await using t = await open();
    const run = await t.client.start(basket);
    const over = new AbortController();
    const waiting = run.update(slow, "lamp", { updateId: "u", abortSignal: over.signal });
    await t.settle();
    over.abort(new Error("enough"));
    expect(await errorOf(waiting)).toMatchObject({ message: "enough" });
    expect(await errorOf(run.getUpdate("u").result({ timeout: 0 }))).toMatchObject({
      code: "result_timeout",
    });
    await t.skip("1h");
    expect(await run.getUpdate("u").result()).toBe("held lamp");
    await run.terminate();
  });

  it("is bounded in number", async () => {
    const pendingUpdatesMax = 5;
    await using t = await TestEngine.open({ workflows: [basket], limits: { pendingUpdatesMax } });
    const run = await t.client.start(basket);
    for (let count = 0; count < pendingUpdatesMax; count++) await run.startUpdate(slow, String(count));
    expect((await run.describe()).pendingUpdates.length).toBe(pendingUpdatesMax);
    expect(await errorOf(run.update(slow, "one more"))).toMatchObject({ code: "updates_pending" });
    await t.skip("1h");
    await run.startUpdate(slow, "one more");
    expect((await run.describe()).pendingUpdates).toMatchObject([{ name: "slow" }]);
    await run.terminate();
  });
});

describe("a validator", () => {
  it("asks for nothing: whatever it calls is refused, heard of or not", async () => {
    const kind = update<null, string>("kind");
    const tricky = workflow("tricky", async () => {
      expose(kind, () => null, {
        validate: (what) => {
          if (what === "activity") void price("x");
          if (what === "sleep") void sleep(1);
          // These say so by a promise.
          if (what === "receive") void receive(stop);
          if (what === "waitUntil") void waitUntil(() => true);
          if (what === "uuid") uuid();
          if (what === "expose") expose(stop, () => undefined);
          if (what === "caught") {
            try {
              uuid();
            } catch {}
          }
          if (what === "async") return Promise.resolve() as unknown as undefined;
          return undefined;
        },
      });
      await receive(stop);
    });
    await using t = await TestEngine.open({ workflows: [tricky] });
    const run = await t.client.start(tricky);
    for (const what of ["activity", "sleep", "receive", "waitUntil", "uuid", "expose", "caught", "async"]) {
      expect(await errorOf(run.update(kind, what))).toMatchObject({
        code: "update_rejected",
        message: expect.stringMatching(/validator/),
      });
    }
    expect(await run.update(kind, "nothing")).toBeNull();
    await run.signal(stop);
    await t.result(run);
    expect((await eventsOf(run)).length).toBe(5);
  });
});

describe("an update whose run ends first", () => {
  const ends: readonly (readonly [string, string])[] = [
    ["complete", "completed"],
    ["fail", "failed"],
    ["continue", "continued-as-new"],
    ["cancel", "cancelled"],
    ["terminate", "terminated"],
    ["time-out", "timed-out"],
  ];
  const end = signal<string>("end");
  const ending = workflow("ending", async (isFirst: boolean) => {
    expose(slow, async (name) => {
      // Not even cancellation ends this one.
      await scope(async () => waitUntil(() => false)).catch(() => undefined);
      await waitUntil(() => false).catch(() => undefined);
      return new Promise<string>(() => name);
    });
    const how = await receive(end);
    if (how === "fail") throw new Error("failed");
    if (how === "continue" && isFirst) continueAsNew(false);
    return how;
  });

  // I-26
  it.each(ends)("has one outcome, a failure, and the same for ever: %s", async (how, status) => {
    await using t = await TestEngine.open({ workflows: [ending] });
    const run = await t.client.start(ending, true, how === "time-out" ? { runTimeout: "1h" } : {});
    const handle = await run.startUpdate(slow, "lamp", { updateId: "u" });
    const waiting = errorOf(handle.result());
    if (how === "terminate") await run.terminate();
    else if (how === "cancel") await run.cancel();
    else if (how === "time-out") await t.skip("1h");
    else await run.signal(end, how);
    const unfinished = {
      kind: "engine",
      code: "update_unfinished",
      message: expect.stringContaining(`ended before its handler did: ${status}`),
    };
    expect(await waiting).toMatchObject(unfinished);
    const [accepted] = await eventsOfType(run, "UpdateAccepted");
    expect(accepted).toMatchObject({ updateId: "u" });
    expect(await eventsOfType(run, "UpdateCompleted")).toEqual([]);
    await t.crash();
    // By its id, by doing it again, and from the run that this one continued as.
    expect(await errorOf(run.getUpdate("u").result())).toMatchObject(unfinished);
    expect(await errorOf(run.update(slow, "lamp", { updateId: "u" }))).toMatchObject(unfinished);
    expect(await errorOf(handle.result())).toMatchObject(unfinished);
    if (how === "continue") {
      expect((await run.describe()).status).toBe("running");
      expect((await eventsOfType(run, "WorkflowStarted"))[1]).toMatchObject({ updateIds: ["u"] });
      await run.terminate();
    }
    expect((await eventsOfType(run, "UpdateAccepted")).length).toBe(1);
  });

  // I-26
  it("keeps that outcome though the run is reopened, and its handler comes to an end after all", async () => {
    const make = (isMended: boolean) =>
      workflow("mended", async () => {
        expose(slow, async (name) => {
          await sleep("1h");
          return `held ${name}`;
        });
        await receive(end);
        if (!isMended) throw new Error("a mistake");
        await receive(stop);
        return "done";
      });
    await using t = await TestEngine.open({ workflows: [make(false)] });
    const run = await t.client.start(make(false));
    const handle = await run.startUpdate(slow, "lamp", { updateId: "u" });
    await run.signal(end, "now");
    const unfinished = {
      kind: "engine",
      code: "update_unfinished",
      message: expect.stringContaining("failed"),
    };
    expect(await errorOf(handle.result())).toMatchObject(unfinished);
    await t.crash({ workflows: [make(true)] });
    await run.reopen("mended");
    const second = await run.startUpdate(slow, "chair");
    await t.skip("1h");
    expect(await second.result()).toBe("held chair");
    expect((await eventsOfType(run, "UpdateCompleted")).map(({ updateId }) => updateId)).toContain("u");
    expect(await errorOf(handle.result())).toMatchObject(unfinished);
    await t.crash();
    expect(await errorOf(run.update(slow, "lamp", { updateId: "u" }))).toMatchObject(unfinished);
    await run.signal(stop);
    expect(await t.result(run)).toBe("done");
    expect(await errorOf(run.getUpdate("u").result())).toMatchObject(unfinished);
  });

  it("does not, if the workflow waits for its handlers", async () => {
    const patient = workflow("patient", async () => {
      expose(slow, async (name) => {
        await sleep("1h");
        return name;
      });
      expose(end, async () => sleep("2h"));
      await receive(stop);
      await waitUntil(allHandlersFinished);
      return "all done";
    });
    await using t = await TestEngine.open({ workflows: [patient] });
    const run = await t.client.start(patient);
    const handle = await run.startUpdate(slow, "lamp");
    await run.signal(end, "x");
    await run.signal(stop);
    await t.skip("1h");
    expect(await handle.result()).toBe("lamp");
    expect((await run.describe()).status).toBe("running");
    await t.skip("1h");
    expect(await t.result(run)).toBe("all done");
  });

  it("is told by a handler that continues as new, too", async () => {
    const next = update<string, string>("next");
    const chain = workflow("chain", async (count: number): Promise<number> => {
      expose(next, () => continueAsNew(count + 1));
      expose(slow, (name) => `${name} ${count}`);
      await receive(stop);
      return count;
    });
    await using t = await TestEngine.open({ workflows: [chain] });
    const run = await t.client.start(chain, 0);
    expect(await run.update(slow, "at", { updateId: "before" })).toBe("at 0");
    expect(await errorOf(run.update(next, "x"))).toMatchObject({ code: "update_unfinished" });
    expect(await run.update(slow, "at")).toBe("at 1");
    // The id is known to the whole chain, and what came of it too.
    expect(await run.update(slow, "at", { updateId: "before" })).toBe("at 0");
    await run.signal(stop);
    expect(await t.result(run)).toBe(1);
    expect(await run.update(slow, "at", { updateId: "before" })).toBe("at 0");
  });
});

describe("cancellation and updates", () => {
  it("reach a handler as they reach the run: it stands in the scope of the run", async () => {
    const inner = workflow("inner", async () => {
      await scope(async (handle) => {
        expose(slow, async (name) => {
          handle.cancel();
          await sleep("1h");
          return name;
        });
        await Promise.resolve();
      });
      await receive(stop);
    });
    await using t = await TestEngine.open({ workflows: [inner] });
    const run = await t.client.start(inner);
    const first = await run.startUpdate(slow, "outlives the scope");
    await t.skip("1h");
    expect(await first.result()).toBe("outlives the scope");
    const second = await run.startUpdate(slow, "cancelled with the run");
    await run.cancel();
    const error = await errorOf(second.result());
    expect(isAionError(error)).toBe(false);
    expect(error).toMatchObject({ kind: "cancelled" });
  });
});
