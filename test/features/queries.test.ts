import { TestEngine } from "aion/testing";
import {
  activity,
  child,
  compensate,
  continueAsNew,
  expose,
  info,
  now,
  patched,
  query,
  random,
  receive,
  scope,
  shield,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  step,
  uuid,
  waitUntil,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { errorOf, eventsOf } from "./run-history.ts";

const add = signal<number>("add");
const finish = signal("finish");
const total = query<number>("total");
const above = query("above", { input: z.object({ limit: z.number() }), output: z.array(z.number()) });

const ledger = workflow("ledger", async () => {
  const amounts: number[] = [];
  expose(total, () => amounts.reduce((sum, amount) => sum + amount, 0));
  expose(above, ({ limit }) => amounts.filter((amount) => amount > limit));
  expose(add, (amount) => {
    amounts.push(amount);
  });
  await receive(finish);
  return amounts;
});

describe("a query", () => {
  it("answers from the live state, and reflects every signal acknowledged before it", async () => {
    // I-27
    await using t = await TestEngine.open({ workflows: [ledger] });
    const run = await t.client.start(ledger);
    expect(await run.query(total)).toBe(0);
    for (let amount = 1; amount <= 10; amount++) {
      await run.signal(add, amount);
      expect(await run.query(total)).toBe((amount * (amount + 1)) / 2);
    }
  });

  it("takes arguments, checked on the way in and out", async () => {
    await using t = await TestEngine.open({ workflows: [ledger] });
    const run = await t.client.start(ledger);
    for (const amount of [5, 15, 25]) await run.signal(add, amount);
    expect(await run.query(above, { limit: 10 })).toEqual([15, 25]);
    expect(await errorOf(run.query("above", { limit: "ten" }))).toMatchObject({ code: "payload_invalid" });
  });

  it("leaves neither a trace in the history nor in what the run does", async () => {
    // I-27
    await using t = await TestEngine.open({ workflows: [ledger], seed: 3 });
    const asked = await t.client.start(ledger);
    const control = await t.client.start(ledger);
    for (let amount = 0; amount < 5; amount++) {
      await asked.signal(add, amount);
      await control.signal(add, amount);
      const before = await eventsOf(asked);
      for (let count = 0; count < 3; count++) await asked.query(total);
      await errorOf(asked.query("nonsense"));
      expect(await eventsOf(asked)).toEqual(before);
    }
    await asked.signal(finish);
    await control.signal(finish);
    expect(await t.result(asked)).toEqual(await t.result(control));
    const typesOfBoth = [await eventsOf(asked), await eventsOf(control)].map((events) =>
      events.map(({ type }) => type),
    );
    expect(typesOfBoth[0]).toEqual(typesOfBoth[1]);
  });

  it("is answered by a run that sleeps, through replay", async () => {
    await using t = await TestEngine.open({ workflows: [ledger], residentMax: 1 });
    const runs = await Promise.all(Array.from({ length: 10 }, () => t.client.start(ledger)));
    for (const [index, run] of runs.entries()) await run.signal(add, index);
    await t.settle();
    for (let round = 0; round < 2; round++) {
      for (const [index, run] of runs.entries()) expect(await run.query(total)).toBe(index);
      await t.settle();
      expect(t.residents.length).toBeLessThanOrEqual(2);
    }
    await t.crash();
    expect(t.residents).toEqual([]);
    expect(await runs[3]?.query(total)).toBe(3);
  });

  it("is answered by a run that has ended, whatever its end", async () => {
    await using t = await TestEngine.open({ workflows: [ledger] });
    const completed = await t.client.start(ledger, undefined, { id: "completed" });
    const terminated = await t.client.start(ledger, undefined, { id: "terminated" });
    const cancelled = await t.client.start(ledger, undefined, { id: "cancelled" });
    const timedOut = await t.client.start(ledger, undefined, { id: "timed-out", runTimeout: "1m" });
    for (const run of [completed, terminated, cancelled, timedOut]) await run.signal(add, 7);
    await completed.signal(finish);
    await terminated.terminate();
    await cancelled.cancel();
    await t.skip("1m");
    for (const run of [completed, terminated, cancelled, timedOut]) {
      expect((await run.describe()).status).toBe(run.workflowId);
      const before = await eventsOf(run);
      expect(await run.query(total)).toBe(7);
      expect(await eventsOf(run)).toEqual(before);
    }
  });

  it("with a run id is answered by that run of the chain", async () => {
    const generation = query<number>("generation");
    const chain = workflow("chain", async (number: number): Promise<void> => {
      expose(generation, () => number);
      await receive(finish);
      if (number < 3) continueAsNew(number + 1);
    });
    await using t = await TestEngine.open({ workflows: [chain] });
    const run = await t.client.start(chain, 1, { id: "c" });
    await run.signal(finish);
    await run.signal(finish);
    const { runs } = await run.describe();
    const answers = await Promise.all(
      runs.map(({ runId }) => t.client.get("c", { runId }).query(generation)),
    );
    expect(answers).toEqual([1, 2, 3]);
    expect(await run.query(generation)).toBe(3);
  });

  it("of an unknown name, or to an unknown run, says so", async () => {
    await using t = await TestEngine.open({ workflows: [ledger] });
    const run = await t.client.start(ledger);
    const unknown = await errorOf(run.query("nonsense"));
    expect(unknown).toMatchObject({ code: "query_unknown" });
    expect(String(unknown)).toContain('"total"');
    expect(await errorOf(t.client.get("nobody").query(total))).toMatchObject({ code: "run_not_found" });
  });

  it("before a start delay is over finds nothing exposed", async () => {
    await using t = await TestEngine.open({ workflows: [ledger] });
    const run = await t.client.start(ledger, undefined, { startDelay: "1h" });
    expect(await errorOf(run.query(total))).toMatchObject({ code: "query_unknown" });
    await t.skip("1h");
    expect(await run.query(total)).toBe(0);
  });
});

describe("a query handler", () => {
  const ask = query<unknown, string>("ask");
  const poke = signal("poke");
  const call = activity("call", async () => "called");
  const leaf = workflow("leaf", async () => "leaf");
  let leftBehind: unknown;

  const bad: Readonly<Record<string, () => unknown>> = {
    throws: () => {
      throw new Error("no answer");
    },
    "is async": async () => "later",
    "returns a promise": () => Promise.reject(new Error("never mind")),
    "calls an activity": () => call(undefined),
    "starts a child": () => child(leaf, undefined),
    "runs a step": () => step("s", () => 1),
    sleeps: () => sleep("1s"),
    receives: () => receive(poke),
    waits: () => waitUntil(() => false),
    signals: () => signalWorkflow("q", poke, undefined),
    "opens a scope": () => scope(() => call(undefined)),
    "shields a command": () => shield(() => call(undefined)),
    "wants a side effect": () => sideEffect(() => 1),
    "wants a random number": () => random(),
    "wants a uuid": () => uuid(),
    "asks for a patch": () => patched("p"),
    "continues as new": () => continueAsNew(undefined),
    "registers a compensation": () => {
      compensate(() => undefined);
    },
    "exposes another": () => {
      expose(ask, () => 1);
    },
    "gives what is no JSON": () => 1n,
  };
  const floating: Readonly<Record<string, () => unknown>> = {
    "lets a receive go": () => {
      void receive(poke);
      return "answered";
    },
    "lets an async function go that asks for something later": () => {
      void (async () => {
        await Promise.resolve();
        await call(undefined);
      })();
      return "answered";
    },
    "lets a shielded command go": () => {
      void shield(() => call(undefined));
      return "answered";
    },
  };
  const harmless: Readonly<Record<string, () => unknown>> = {
    "looks at the clock and at itself": () => ({ at: now(), id: info().workflowId }),
  };
  const handlers = { ...bad, ...floating, ...harmless };
  const host = workflow("host", async () => {
    expose(ask, (which) => handlers[which]?.());
    await receive(poke);
    leftBehind = random();
    return leftBehind;
  });

  const open = () => TestEngine.open({ workflows: [host, leaf], activities: [call] });

  it.each(Object.keys(bad))("that %s is refused, and the run does not notice", async (which) => {
    // I-27
    await using t = await open();
    const run = await t.client.start(host, undefined, { id: "q" });
    const before = await eventsOf(run);
    const error = await errorOf(run.query(ask, which));
    expect(["query_failed", "payload_not_serializable"]).toContain(
      (error as { readonly code: unknown }).code,
    );
    await t.settle();
    expect(await eventsOf(run)).toEqual(before);
    await run.signal(poke);
    await t.result(run);
    expect(t.calls("call")).toEqual([]);
  });

  it.each(Object.keys(floating))("that %s hurts only itself", async (which) => {
    // I-27
    await using t = await open();
    const run = await t.client.start(host, undefined, { id: "q" });
    const before = await eventsOf(run);
    await run.query(ask, which).catch(() => undefined);
    await t.settle();
    expect(await eventsOf(run)).toEqual(before);
    await run.signal(poke);
    await t.result(run);
    expect(t.calls("call")).toEqual([]);
  });

  it("may look at the clock and at the run", async () => {
    await using t = await open();
    const startedAt = t.now();
    const run = await t.client.start(host, undefined, { id: "q" });
    await t.skip("1h");
    expect(await run.query(ask, "looks at the clock and at itself")).toEqual({ at: startedAt, id: "q" });
    await run.signal(poke);
    await t.result(run);
  });
});
