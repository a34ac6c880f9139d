import { setImmediate, setTimeout } from "node:timers/promises";
import { TestEngine } from "aion/testing";
import type { TestEngineOptions } from "aion/testing";
import {
  ApplicationFailure,
  EngineFailure,
  activity,
  child,
  isFailure,
  receive,
  scope,
  signal,
  signalWorkflow,
  sleep,
  step,
  waitUntil,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOf, eventsOfType, typesOf } from "./run-history.ts";

const go = signal("go");
const a = activity("a", async () => "a");
const b = activity("b", async () => "b");
const activities = [a, b];

/** What code under the name "flow" did before a deploy. */
const before = workflow("flow", async () => {
  const results = [await a(undefined)];
  await receive(go);
  results.push(await b(undefined));
  return results;
});

const changes = {
  "another activity first": workflow("flow", async () => {
    const results = [await b(undefined)];
    await receive(go);
    return results;
  }),
  "a timer in the place of the activity": workflow("flow", async () => {
    await sleep("1s");
    await receive(go);
    return [];
  }),
  "nothing at all": workflow("flow", async () => {
    await receive(go);
    return [];
  }),
  "one command more": workflow("flow", async () => {
    const both = await Promise.all([a(undefined), b(undefined)]);
    await receive(go);
    return both;
  }),
  "an end too early": workflow("flow", async () => [await a(undefined)].slice(0, 0)),
};

async function openDiverging(
  after: TestEngineOptions["workflows"][number],
  onNondeterminism: "fail" | "block",
) {
  const t = await TestEngine.open({ workflows: [before], activities, onNondeterminism });
  const run = await t.client.start(before, undefined, { id: "f" });
  await t.settle();
  await t.crash({ workflows: [after] });
  return { t, run };
}

describe("code that diverges from its history", () => {
  it.each(Object.entries(changes).filter(([name]) => name !== "an end too early"))(
    "by %s fails the run, once, with what was expected and found",
    async (_name, after) => {
      // I-43
      const { t, run } = await openDiverging(after, "fail");
      await run.signal(go).catch(() => undefined);
      const error = await errorOf(t.result(run));
      expect(error).toBeInstanceOf(EngineFailure);
      expect(error).toMatchObject({ code: "nondeterminism" });
      expect(String(error)).toMatch(/history has .* the code asked for/);
      await t.crash();
      await t.settle();
      expect(await eventsOfType(run, "WorkflowFailed")).toHaveLength(1);
      expect((await eventsOf(run)).at(-1)?.type).toBe("WorkflowFailed");
      expect(await errorOf(t.checkReplay())).toMatchObject({ code: "nondeterminism" });
      await t.close({ checkReplay: false });
    },
  );

  it("names the line of the code that issued the command", async () => {
    // I-43
    const { t, run } = await openDiverging(changes["a timer in the place of the activity"], "fail");
    await run.signal(go).catch(() => undefined);
    expect(String(await errorOf(t.result(run)))).toContain("violations.test.ts:");
    await t.close({ checkReplay: false });
  });

  it("may end where history has nothing more: that is no violation, only another end", async () => {
    const { t, run } = await openDiverging(changes["an end too early"], "fail");
    await run.signal(go).catch(() => undefined);
    // The code has ended after `a` was recorded and before it asked for anything else.
    expect(await t.result(run)).toEqual([]);
    await t.close({ checkReplay: false });
  });

  it("under the policy block holds the run, history untouched, and lets it go on with the right code", async () => {
    // I-43
    const { t, run } = await openDiverging(changes["nothing at all"], "block");
    const untouched = await eventsOf(run);
    await run.signal(go);
    const description = await run.describe();
    expect(description).toMatchObject({ status: "running" });
    expect(description.blocked).toContain("nondeterminism");
    expect(await errorOf(t.result(run))).toMatchObject({ code: "run_blocked" });
    expect(await errorOf(run.query("anything"))).toMatchObject({ code: "run_blocked" });
    expect(await eventsOf(run)).toEqual(untouched);
    expect(await t.client.count({ isBlocked: true })).toBe(1);
    await t.crash({ workflows: [before] });
    expect(await t.result(run)).toEqual(["a", "b"]);
    expect((await run.describe()).blocked).toBeUndefined();
    expect(t.calls("a")).toHaveLength(1);
    await t.close();
  });

  it("blocked, keeps its signals in order, and can be cancelled and terminated", async () => {
    // I-23, I-24
    const item = signal<number>("item");
    const collect = workflow("flow", async () => {
      await a(undefined);
      return [await receive(item), await receive(item), await receive(item)];
    });
    const t = await TestEngine.open({ workflows: [collect], activities, onNondeterminism: "block" });
    const start = (id: string) => t.client.start(collect, undefined, { id });
    const runs = [await start("one"), await start("two"), await start("three")] as const;
    await t.settle();
    await t.crash({ workflows: [changes["another activity first"]] });
    for (const value of [1, 2, 3]) await runs[0].signal(item, value);
    await runs[1].cancel();
    await runs[2].terminate();
    expect((await runs[2].describe()).status).toBe("terminated");
    await t.crash({ workflows: [collect] });
    expect(await t.result(runs[0])).toEqual([1, 2, 3]);
    expect(await errorOf(t.result(runs[1]))).toMatchObject({ kind: "cancelled" });
    await t.close();
  });

  it("hurts no other run", async () => {
    const fine = workflow("fine", async () => {
      await sleep("1h");
      return "fine";
    });
    const t = await TestEngine.open({ workflows: [before, fine], activities });
    const bad = await t.client.start(before);
    const good = await t.client.start(fine);
    await t.settle();
    await t.crash({ workflows: [changes["nothing at all"], fine] });
    await bad.signal(go).catch(() => undefined);
    expect(await t.result(good)).toBe("fine");
    await t.close({ checkReplay: false });
  });

  it("whose type is not there is held until it is, its timers and activities with it", async () => {
    const t = await TestEngine.open({ workflows: [before], activities });
    const run = await t.client.start(before);
    await t.settle();
    await t.crash({ workflows: [] });
    await run.signal(go);
    expect((await run.describe()).blocked).toContain("workflow_type_unknown");
    await t.crash({ workflows: [before] });
    expect(await t.result(run)).toEqual(["a", "b"]);
    await t.close();
  });
});

describe("awaiting what is not durable", () => {
  const foreign: Readonly<Record<string, () => Promise<unknown>>> = {
    "a timer of the platform": () => setTimeout(3_600_000, undefined, { ref: false }),
    "a turn of the event loop": () => setImmediate(),
    "a promise that never settles": () => new Promise(() => undefined),
    "the answer of something like fetch": async () => {
      await setImmediate();
      return { ok: true };
    },
  };

  /** Something outside that answers when it is told to. */
  function openGate() {
    const { promise, resolve } = Promise.withResolvers<string>();
    return { answer: () => promise, open: () => resolve("answer") };
  }

  it.each(Object.keys(foreign))("%s fails the run, and names it", async (name) => {
    // I-43
    const bad = workflow("bad", async () => {
      await foreign[name]?.();
      return "unreachable";
    });
    const t = await TestEngine.open({ workflows: [bad] });
    const run = await t.client.start(bad);
    const error = await errorOf(t.result(run));
    expect(error).toMatchObject({ kind: "engine", code: "nondurable_await" });
    expect(String(error)).toContain("bad");
    await setTimeout(5);
    await t.settle();
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "WorkflowFailed"]);
    await t.close({ checkReplay: false });
  });

  it("while something durable is awaited too, fails the run when the code goes on with a command, and names its line", async () => {
    // I-43
    const gate = openGate();
    const bad = workflow("bad", async () => {
      await Promise.race([receive(go), gate.answer()]);
      await a(undefined);
    });
    const t = await TestEngine.open({ workflows: [bad], activities });
    const run = await t.client.start(bad);
    await t.settle();
    expect((await run.describe()).status).toBe("running");
    gate.open();
    const error = await errorOf(t.result(run));
    expect(error).toMatchObject({ kind: "engine", code: "nondurable_await" });
    expect(String(error)).toContain("violations.test.ts:");
    expect(t.calls("a")).toEqual([]);
    await t.close({ checkReplay: false });
  });

  it("while something durable is awaited too, fails the run when the code ends that way", async () => {
    // I-43
    const gate = openGate();
    const bad = workflow("bad", async () => {
      await Promise.race([receive(go), gate.answer()]);
      return "ended by the platform";
    });
    const t = await TestEngine.open({ workflows: [bad] });
    const run = await t.client.start(bad);
    await t.settle();
    gate.open();
    expect(await errorOf(t.result(run))).toMatchObject({ kind: "engine", code: "nondurable_await" });
    await t.close({ checkReplay: false });
  });

  it("after the run has got somewhere fails it there", async () => {
    const bad = workflow("bad", async () => {
      await a(undefined);
      await foreign["a promise that never settles"]?.();
    });
    const t = await TestEngine.open({ workflows: [bad], activities });
    const error = await errorOf(t.result(await t.client.start(bad)));
    expect(error).toMatchObject({ code: "nondurable_await" });
    await t.close({ checkReplay: false });
  });

  it("under the policy block holds the run", async () => {
    const bad = workflow("bad", async () => {
      await a(undefined);
      await foreign["a promise that never settles"]?.();
    });
    const good = workflow("bad", async () => {
      await a(undefined);
      return "good now";
    });
    const t = await TestEngine.open({ workflows: [bad], activities, onNondeterminism: "block" });
    const run = await t.client.start(bad);
    await t.settle();
    expect((await run.describe()).blocked).toContain("nondurable_await");
    await t.crash({ workflows: [good] });
    expect(await t.result(run)).toBe("good now");
    await t.close();
  });

  it("does not touch the runs beside it", async () => {
    // I-55: one bad run, others unharmed
    const gate = openGate();
    const bad = workflow("bad", async () => {
      await Promise.race([receive(go), gate.answer()]);
      await a(undefined);
    });
    const fine = workflow("fine", async () => {
      await receive(go);
      return [await a(undefined), await b(undefined)];
    });
    const t = await TestEngine.open({ workflows: [bad, fine], activities });
    const bads = await Promise.all(Array.from({ length: 20 }, () => t.client.start(bad)));
    const fines = await Promise.all(Array.from({ length: 20 }, () => t.client.start(fine)));
    await t.settle();
    gate.open();
    await Promise.all(fines.map((run) => run.signal(go)));
    for (const run of fines) expect(await t.result(run)).toEqual(["a", "b"]);
    for (const run of bads) expect(await errorOf(t.result(run))).toMatchObject({ code: "nondurable_await" });
    await t.close({ checkReplay: false });
  });

  it("is no violation for promises that the code settles itself", async () => {
    const fine = workflow("fine", async () => {
      await Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<string>();
      void receive(go).then(() => resolve("by itself"));
      const answer = await promise;
      // oxlint-disable-next-line unicorn/no-unnecessary-await, typescript/await-thenable -- the subject
      await null;
      return answer;
    });
    await using t = await TestEngine.open({ workflows: [fine] });
    const run = await t.client.start(fine);
    await run.signal(go);
    expect(await t.result(run)).toBe("by itself");
  });
});

const fails = activity("fails", async () => undefined);
const failing = {
  fails: async () => {
    throw new ApplicationFailure("floated", { type: "Floated" });
  },
};

describe("a rejection that nobody handles", () => {
  const bystander = workflow("bystander", async () => {
    await sleep("1h");
    return "unharmed";
  });

  const floats: Readonly<Record<string, () => void>> = {
    "of a promise made of an activity's": () => {
      void fails(undefined).then(() => "made of it");
    },
    "of a floating async function": () => {
      void (async () => {
        await sleep("1s");
        throw new ApplicationFailure("floated", { type: "Floated" });
      })();
    },
    "of a floating scope": () => {
      void scope(() => fails(undefined));
    },
    "made by hand": () => {
      void Promise.reject(new ApplicationFailure("floated", { type: "Floated" }));
    },
  };

  it.each(Object.keys(floats))("%s fails its run, and its run alone", async (name) => {
    // I-55
    const careless = workflow("careless", async () => {
      floats[name]?.();
      await receive(go);
      return "never";
    });
    await using t = await TestEngine.open({
      workflows: [careless, bystander],
      activities: failing,
    });
    const beside = await t.client.start(bystander);
    const run = await t.client.start(careless);
    const error = await errorOf(t.result(run));
    expect(String(error)).toContain("floated");
    expect((await run.describe()).status).toBe("failed");
    expect(await t.result(beside)).toBe("unharmed");
  });

  it("replays to the same end", async () => {
    const careless = workflow("careless", async () => {
      await sleep("1h");
      void Promise.reject(new ApplicationFailure("floated", { type: "Floated" }));
      await receive(go);
    });
    await using t = await TestEngine.open({ workflows: [careless] });
    const run = await t.client.start(careless);
    await errorOf(t.result(run));
    expect(await typesOf(run)).toEqual(["WorkflowStarted", "TimerStarted", "TimerFired", "WorkflowFailed"]);
    expect(await t.checkReplay()).toBe(1);
  });
});

describe("a command that fails while nobody listens", () => {
  const failingChild = workflow("failing-child", async () => {
    throw new ApplicationFailure("floated", { type: "Floated" });
  });
  /** The promise itself, in a box: an async function would hand on another one. */
  interface Box {
    readonly promise: Promise<unknown>;
  }
  /** A wait in a scope that ends a second later. */
  const inScope = async (begin: () => Promise<unknown>): Promise<Box> => {
    const waiting: Promise<unknown>[] = [];
    void scope(
      async () => {
        waiting.push(begin());
        await sleep("1h");
      },
      { timeout: "1s" },
    );
    await waitUntil(() => waiting.length > 0);
    const [promise = Promise.resolve()] = waiting;
    return { promise };
  };
  const commands: Readonly<Record<string, () => Box | Promise<Box>>> = {
    "an activity": () => ({ promise: fails(undefined) }),
    "a step": () => ({
      promise: step("fails-in-place", async () => {
        throw new ApplicationFailure("floated");
      }),
    }),
    "a child": () => ({ promise: child(failingChild, undefined) }),
    "a signal to nobody": () => ({ promise: signalWorkflow("nobody", go, undefined) }),
    "a timer whose scope ends": () => inScope(() => sleep("1 day")),
    "a wait for a signal whose scope ends": () => inScope(() => receive(go)),
    "a wait for a condition whose scope ends": () => inScope(() => waitUntil(() => false)),
    "a condition that throws": () => {
      let count = 0;
      const look = (): boolean => {
        count += 1;
        if (count > 1) throw new Error("floated");
        return false;
      };
      return { promise: waitUntil(look) };
    },
  };
  const open = (flow: TestEngineOptions["workflows"][number]) =>
    TestEngine.open({ workflows: [flow, failingChild], activities: failing });

  it.each(Object.keys(commands))("is found failed when it is awaited later: %s", async (name) => {
    // I-41: the replay check at the end of the scope
    const later = workflow("later", async () => {
      const box = await commands[name]?.();
      await sleep("1h");
      try {
        await box?.promise;
      } catch (error) {
        return isFailure(error) ? error.kind : "other";
      }
      return "did not fail";
    });
    await using t = await open(later);
    const run = await t.client.start(later);
    await t.skip("30m");
    await t.crash();
    const kinds = ["activity", "child", "application", "cancelled", "other"];
    expect(kinds).toContain(await t.result(run));
  });

  it.each(Object.keys(commands))("is left alone when it is never awaited: %s", async (name) => {
    const never = workflow("never", async () => {
      await commands[name]?.();
      await sleep("1h");
      return "went on";
    });
    await using t = await open(never);
    const run = await t.client.start(never);
    expect(await t.result(run)).toBe("went on");
  });

  it("is left alone too when it could not even begin, its scope being over", async () => {
    const late = workflow("late", async () => {
      await scope(async (handle) => {
        handle.cancel();
        void fails(undefined);
        void sleep("1s");
        void receive(go);
        void child(failingChild, undefined);
      });
      await sleep("1s");
      return "went on";
    });
    await using t = await open(late);
    expect(await t.result(await t.client.start(late))).toBe("went on");
  });
});
