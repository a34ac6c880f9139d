import { TestEngine } from "aion/testing";
import {
  ApplicationFailure,
  CancelledFailure,
  activity,
  child,
  compensate,
  continueAsNew,
  isCancelled,
  receive,
  scope,
  shield,
  signal,
  sleep,
  waitUntil,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf, typesOf } from "./run-history.ts";

const never = signal("never");
const forever = () => new Promise<never>(() => undefined);
const nameOf = (error: unknown): string => (error instanceof Error ? error.name : String(error));

describe("scope", () => {
  it("gives its result, or fails with what is thrown inside", async () => {
    const scoped = workflow("scoped", async () => {
      const value = await scope(async () => {
        await sleep("1m");
        return 5;
      });
      const failed = await scope(() => {
        throw new Error("inside");
      }).catch((error: unknown) => (error as Error).message);
      return [value, failed];
    });
    await using t = await TestEngine.open({ workflows: [scoped] });
    expect(await t.result(await t.client.start(scoped))).toEqual([5, "inside"]);
  });

  it("cancelled from inside ends every kind of wait in it, and none outside", async () => {
    const leaf = workflow("leaf", async () => receive(never));
    const scoped = workflow("scoped", async () => {
      const outside = sleep("1h").then(() => "slept");
      const inside = await scope(async (inner) => {
        const waits = [
          sleep("1 day"),
          receive(never),
          receive(never, { timeout: "1 day" }),
          waitUntil(() => false),
          waitUntil(() => false, "1 day"),
          child(leaf, undefined),
          scope(() => sleep("1 day")),
        ].map(async (wait: Promise<unknown>) => wait.catch(nameOf));
        await sleep("1m");
        inner.cancel("enough");
        return Promise.all(waits);
      });
      return { inside, outside: await outside };
    });
    await using t = await TestEngine.open({ workflows: [scoped, leaf] });
    const run = await t.client.start(scoped);
    expect(await t.result(run)).toEqual({
      inside: [
        "CancelledFailure",
        "CancelledFailure",
        "CancelledFailure",
        "CancelledFailure",
        "CancelledFailure",
        "ChildFailure",
        "CancelledFailure",
      ],
      outside: "slept",
    });
    expect((await run.describe()).pendingTimers).toEqual([]);
  });

  it("refuses what is asked for in it once it is cancelled", async () => {
    const call = activity("call", async () => "called");
    const scoped = workflow("scoped", () =>
      scope(async (inner) => {
        inner.cancel("no more");
        const refused = await Promise.allSettled([
          sleep("1m"),
          call(undefined),
          receive(never),
          waitUntil(() => true),
        ]);
        return refused.map((outcome) =>
          outcome.status === "rejected" ? nameOf(outcome.reason) : outcome.value,
        );
      }),
    );
    await using t = await TestEngine.open({ workflows: [scoped], activities: [call] });
    const run = await t.client.start(scoped);
    expect(await t.result(run)).toEqual(Array.from({ length: 4 }, () => "CancelledFailure"));
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowCompleted"]);
  });

  it("with a time-out gives a value, and cancels what is left inside", async () => {
    const scoped = workflow("scoped", async () => {
      const late = await scope(() => sleep("1h").then(() => "late"), { timeout: "1m" });
      const inTime = await scope(() => sleep("1s").then(() => "in time"), { timeout: "1m" });
      return [late, inTime];
    });
    await using t = await TestEngine.open({ workflows: [scoped] });
    const startedAt = t.now();
    const run = await t.client.start(scoped);
    expect(await t.result(run)).toEqual([
      { ok: false, reason: "timeout" },
      { ok: true, value: "in time" },
    ]);
    expect(t.now() - startedAt).toBe(61_000);
  });

  it("nests: the outer time-out ends the inner scope, which does not take it for its own", async () => {
    const scoped = workflow("scoped", () =>
      scope(() => scope(() => sleep("1h"), { timeout: "10m" }), { timeout: "1m" }),
    );
    await using t = await TestEngine.open({ workflows: [scoped] });
    expect(await t.result(await t.client.start(scoped))).toEqual({ ok: false, reason: "timeout" });
  });

  it("that timed out and was then overtaken by the cancellation of the run is cancelled", async () => {
    // I-38
    const call = activity("call", async (_input: undefined, task) => {
      await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
      await t.delay("10s");
      throw new Error("stopped");
    });
    const scoped = workflow("scoped", () => scope(() => call(undefined), { timeout: "1m" }));
    await using t = await TestEngine.open({ workflows: [scoped], activities: [call] });
    const run = await t.client.start(scoped);
    await t.skip("65s");
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
  });

  it("hands out a standard AbortSignal", async () => {
    const scoped = workflow("scoped", () =>
      scope(async (inner) => {
        const seen: unknown[] = [inner.signal.aborted];
        inner.signal.addEventListener("abort", () => seen.push("abort"));
        await sleep("1s");
        inner.cancel("why not");
        seen.push(inner.signal.aborted, (inner.signal.reason as Error).message);
        return seen;
      }),
    );
    await using t = await TestEngine.open({ workflows: [scoped] });
    expect(await t.result(await t.client.start(scoped))).toEqual([false, "abort", true, "why not"]);
  });

  it("is reached by the cancellation of the run", async () => {
    // I-38
    const scoped = workflow("scoped", async () => {
      const seen = await scope(async (inner) => {
        const reason = new Promise<string>((resolve) => {
          inner.signal.addEventListener("abort", () => resolve((inner.signal.reason as Error).message));
        });
        await sleep("1h").catch(() => undefined);
        return reason;
      });
      return seen;
    });
    await using t = await TestEngine.open({ workflows: [scoped] });
    const run = await t.client.start(scoped);
    await t.settle();
    await run.cancel("by hand");
    expect(await t.result(run)).toBe("by hand");
  });
});

describe("shield", () => {
  it("keeps the cancellation of the run out, from what began before it and after it", async () => {
    // I-38: respects shields
    const call = activity("call", async (name: string) => {
      await t.delay("10m");
      return name;
    });
    const careful = workflow("careful", async () => {
      const before = await shield(async () => {
        const first = await call("first");
        await sleep("10m");
        return [first, await call("second")];
      });
      return before;
    });
    await using t = await TestEngine.open({ workflows: [careful], activities: [call] });
    const run = await t.client.start(careful);
    await t.skip("1m");
    await run.cancel();
    expect(await t.result(run)).toEqual(["first", "second"]);
    expect((await run.describe()).status).toBe("completed");
  });

  it("lets the cleaning up of a cancelled run go on, across a crash", async () => {
    // I-38: runs cleanup
    const done: string[] = [];
    const call = activity("call", async (name: string) => {
      await t.delay("10m");
      done.push(name);
    });
    const careful = workflow("careful", async () => {
      try {
        await receive(never);
      } finally {
        await shield(async () => {
          await call("one");
          await call("two");
        });
      }
    });
    await using t = await TestEngine.open({ workflows: [careful], activities: [call] });
    const run = await t.client.start(careful);
    await t.settle();
    await run.cancel();
    await t.skip("15m");
    await t.crash();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    expect(done).toEqual(["one", "two"]);
  });

  it("has scopes of its own inside", async () => {
    const careful = workflow("careful", () =>
      shield(() => scope(() => sleep("1h").then(() => "slept"), { timeout: "1m" })),
    );
    await using t = await TestEngine.open({ workflows: [careful] });
    const run = await t.client.start(careful);
    await t.settle();
    await run.cancel();
    expect(await t.result(run)).toEqual({ ok: false, reason: "timeout" });
  });
});

describe("compensate", () => {
  const undo = activity("undo", async (_what: string): Promise<void> => undefined);
  const order = (t: TestEngine) => t.calls("undo").map((call) => call.input);

  const saga = workflow("saga", async (end: "completes" | "fails" | "hangs" | "continues") => {
    compensate(() => undo("first"));
    await sleep("1s");
    compensate(() => undo("second"));
    compensate(() => undo("third"));
    await sleep("1s");
    if (end === "fails") throw new ApplicationFailure("out of stock", { type: "OutOfStock" });
    if (end === "hangs") await receive(never);
    if (end === "continues") continueAsNew("completes");
    return "done";
  });

  it("undoes in reverse order when the run fails, and the failure stays what it was", async () => {
    await using t = await TestEngine.open({ workflows: [saga], activities: [undo] });
    const error = await errorOf(t.result(await t.client.start(saga, "fails")));
    expect(error).toMatchObject({ kind: "application", type: "OutOfStock" });
    // The continued run registers its own, and completes.
    expect(order(t)).toEqual(["third", "second", "first"]);
  });

  it("undoes when the run is cancelled, shielded, and the run ends as cancelled", async () => {
    // I-38
    await using t = await TestEngine.open({ workflows: [saga], activities: [undo] });
    const run = await t.client.start(saga, "hangs");
    await t.skip("10s");
    await run.cancel("changed my mind");
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "cancelled" });
    expect(order(t)).toEqual(["third", "second", "first"]);
    expect((await run.describe()).status).toBe("cancelled");
  });

  it.each(["completes", "continues"] as const)("undoes nothing when the run %s", async (end) => {
    await using t = await TestEngine.open({ workflows: [saga], activities: [undo] });
    const run = await t.client.start(saga, end);
    expect(await t.result(run)).toBe("done");
    await t.skip("1h");
    expect(order(t)).toEqual([]);
  });

  it("undoes nothing when the run is terminated or times out", async () => {
    await using t = await TestEngine.open({ workflows: [saga], activities: [undo] });
    const terminated = await t.client.start(saga, "hangs");
    await t.client.start(saga, "hangs", { runTimeout: "1m" });
    await t.skip("10s");
    await terminated.terminate();
    await t.skip("1h");
    expect(order(t)).toEqual([]);
    expect(await t.client.count({ status: "running" })).toBe(0);
  });

  it("goes on with the others when one fails, and says which and why", async () => {
    const brittle = activity("undo", async (what: string) => {
      if (what === "second") throw new Error("cannot undo second");
    });
    await using t = await TestEngine.open({ workflows: [saga], activities: [brittle] });
    const error = await errorOf(t.result(await t.client.start(saga, "fails")));
    expect(order(t)).toEqual(["third", "second", "first"]);
    expect(error).toMatchObject({
      kind: "application",
      type: "CompensationFailed",
      cause: { type: "OutOfStock" },
    });
    expect(String(error)).toContain("cannot undo second");
  });

  it("fails a cancelled run whose compensation failed: it is not just cancelled", async () => {
    const brittle = activity("undo", async () => {
      throw new Error("no");
    });
    await using t = await TestEngine.open({ workflows: [saga], activities: [brittle] });
    const run = await t.client.start(saga, "hangs");
    await t.skip("10s");
    await run.cancel();
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "application", type: "CompensationFailed" });
    expect((await run.describe()).status).toBe("failed");
  });

  it("is registered for an activity that completes although the run was cancelled meanwhile", async () => {
    // I-38: a cancelled-then-completed activity gives one result
    const charge = activity("charge", async () => {
      await t.delay("5s");
      return "pay_1";
    });
    const payer = workflow("payer", async () => {
      const paymentId = await charge(undefined);
      compensate(() => undo(paymentId));
      await sleep("1h");
      return paymentId;
    });
    await using t = await TestEngine.open({ workflows: [payer], activities: [charge, undo] });
    const run = await t.client.start(payer);
    await t.skip("1s");
    await run.cancel();
    expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    expect(order(t)).toEqual(["pay_1"]);
  });

  it("survives crashes while it undoes: each once, in order", async () => {
    const slow = activity("undo", async (_what: string) => {
      await t.delay("10m");
    });
    await using t = await TestEngine.open({ workflows: [saga], activities: [slow] });
    const run = await t.client.start(saga, "fails");
    await t.skip("11m");
    await t.crash();
    await t.skip("11m");
    await t.crash();
    await errorOf(t.result(run));
    const completed = t.calls("undo").filter((call) => call.outcome !== undefined);
    expect(completed.map((call) => call.input)).toEqual(["third", "second", "first"]);
  });

  it("may be any function, async or not", async () => {
    const log: string[] = [];
    const mixed = workflow("mixed", async () => {
      const state: string[] = [];
      compensate(() => {
        state.push("sync");
      });
      compensate(async () => {
        await sleep("1h");
        state.push("async");
      });
      compensate(() => {
        log.length = 0;
        log.push(...state);
      });
      compensate(() => {
        throw new Error("throws at once");
      });
      throw new Error("failed");
    });
    await using t = await TestEngine.open({ workflows: [mixed] });
    const startedAt = t.now();
    expect(await errorOf(t.result(await t.client.start(mixed)))).toMatchObject({
      type: "CompensationFailed",
    });
    expect(t.now() - startedAt).toBe(3_600_000);
  });

  it("undoes what a branch that was left behind did meanwhile, and what that did while this was undone", async () => {
    // I-38
    const slow = activity("undo", async (_what: string) => {
      await t.delay("10m");
    });
    const book = activity("book", async (_what: string): Promise<void> => undefined);
    const journey = workflow("journey", async () => {
      const take = async (what: string, minute: number): Promise<void> => {
        await sleep(minute * 60_000);
        await book(what);
        compensate(() => undo(what));
      };
      const fails = async (): Promise<void> => {
        await sleep("5m");
        throw new ApplicationFailure("no such hotel", { type: "NoHotel" });
      };
      await Promise.all([take("flight", 1), take("car", 12), take("train", 24), take("tour", 300), fails()]);
    });
    await using t = await TestEngine.open({ workflows: [journey], activities: [book, slow] });
    const run = await t.client.start(journey);
    await t.skip("20m");
    await t.crash();
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "application", type: "NoHotel" });
    const completed = t.calls("undo").filter((call) => call.outcome !== undefined);
    expect(completed.map((call) => call.input)).toEqual(["flight", "car", "train"]);
  });

  it("is not disturbed by a cancellation that arrives while it undoes", async () => {
    // I-38
    const slow = activity("undo", async (_what: string) => {
      await t.delay("10m");
    });
    await using t = await TestEngine.open({ workflows: [saga], activities: [slow] });
    const run = await t.client.start(saga, "fails");
    await t.skip("5m");
    await run.cancel();
    expect(await errorOf(t.result(run))).toMatchObject({ type: "OutOfStock" });
    expect(order(t)).toEqual(["third", "second", "first"]);
  });

  it("runs for a run whose floating work failed, too", async () => {
    const call = activity("call", async () => {
      throw new Error("nobody waits for this");
    });
    const floating = workflow("floating", async () => {
      compensate(() => undo("all"));
      void call(undefined).then(() => "not that either");
      await receive(never);
    });
    await using t = await TestEngine.open({ workflows: [floating], activities: [call, undo] });
    const error = await errorOf(t.result(await t.client.start(floating)));
    expect(error).toMatchObject({ kind: "activity", activityType: "call" });
    expect(order(t)).toEqual(["all"]);
  });
});

describe("cancelling a run", () => {
  it("makes whatever it waits for reject, and ends it as cancelled with the reason", async () => {
    // I-38
    const waiter = workflow("waiter", async () => receive(never));
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter);
    await t.settle();
    await run.cancel("not needed");
    const error = await errorOf(t.result(run));
    expect(error).toBeInstanceOf(CancelledFailure);
    expect(String(error)).toContain("not needed");
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowCancelRequested", "WorkflowCancelled"]);
  });

  it("twice is the same as once", async () => {
    const careful = workflow("careful", async () => {
      try {
        await receive(never);
      } finally {
        await shield(() => sleep("1h"));
      }
    });
    await using t = await TestEngine.open({ workflows: [careful] });
    const run = await t.client.start(careful);
    await t.settle();
    await run.cancel("first");
    await run.cancel("second");
    await Promise.all([run.cancel("third"), run.cancel("fourth")]);
    const error = await errorOf(t.result(run));
    expect(String(error)).toContain("first");
    const types = await typesOf(run);
    expect(types.filter((type) => type === "WorkflowCancelRequested")).toHaveLength(1);
    expect(await errorOf(run.cancel())).toMatchObject({ code: "run_closed" });
  });

  it("before the start delay is over ends it at once: no code ran, none has to clean up", async () => {
    let hasRun = false;
    const waiter = workflow("waiter", async () => {
      hasRun = true;
    });
    await using t = await TestEngine.open({ workflows: [waiter] });
    const run = await t.client.start(waiter, undefined, { startDelay: "1h" });
    await run.cancel("changed my mind");
    expect((await run.describe()).status).toBe("cancelled");
    await t.skip("2h");
    expect(hasRun).toBe(false);
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowCancelled"]);
  });

  it("lets code that catches it decide otherwise", async () => {
    const stubborn = workflow("stubborn", async () => {
      try {
        await receive(never);
        return "received";
      } catch (error) {
        return isCancelled(error) ? "no thanks" : "what?";
      }
    });
    await using t = await TestEngine.open({ workflows: [stubborn] });
    const run = await t.client.start(stubborn);
    await t.settle();
    await run.cancel();
    expect(await t.result(run)).toBe("no thanks");
    expect((await run.describe()).status).toBe("completed");
  });

  it("that fails while it cleans up fails", async () => {
    const clumsy = workflow("clumsy", async () => {
      try {
        await receive(never);
      } finally {
        await shield(async () => {
          await sleep("1s");
          throw new ApplicationFailure("broke it", { type: "Clumsy" });
        });
      }
    });
    await using t = await TestEngine.open({ workflows: [clumsy] });
    const run = await t.client.start(clumsy);
    await t.settle();
    await run.cancel();
    expect(await errorOf(t.result(run))).toMatchObject({ type: "Clumsy" });
  });

  it("of an unknown run says so", async () => {
    const waiter = workflow("waiter", async () => receive(never));
    await using t = await TestEngine.open({ workflows: [waiter] });
    expect(await errorOf(t.client.get("nobody").cancel())).toMatchObject({ code: "run_not_found" });
    expect(await errorOf(t.client.get("nobody").terminate())).toMatchObject({ code: "run_not_found" });
  });

  it("reaches a run that sleeps in the store", async () => {
    const waiter = workflow("waiter", async () => sleep("100 days"));
    await using t = await TestEngine.open({ workflows: [waiter], residentMax: 1 });
    const runs = await Promise.all([1, 2, 3].map(() => t.client.start(waiter)));
    await t.settle();
    for (const run of runs) await run.cancel();
    for (const run of runs) expect(await errorOf(t.result(run))).toBeInstanceOf(CancelledFailure);
    await t.crash();
    expect(t.residents).toEqual([]);
  });
});

describe("a race of the run with its own forever", () => {
  it("does not leave a timer behind when it ends", async () => {
    const racer = workflow("racer", async () => Promise.race([sleep("1s"), forever(), sleep("10 days")]));
    await using t = await TestEngine.open({ workflows: [racer] });
    const run = await t.client.start(racer);
    await t.result(run);
    expect((await run.describe()).pendingTimers).toEqual([]);
  });
});
