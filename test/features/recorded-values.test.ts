import { TestEngine } from "aion/testing";
import {
  info,
  log,
  now,
  patched,
  random,
  receive,
  sideEffect,
  signal,
  sleep,
  uuid,
  workflow,
} from "aion/workflow";
import { describe, expect, it } from "vitest";
import { errorOf, eventsOfType } from "./run-history.ts";

describe("sideEffect", () => {
  it("is computed once and then the same, across crashes", async () => {
    // I-42
    let count = 0;
    const counting = workflow("counting", async () => {
      const first = sideEffect(() => ++count);
      await sleep("1h");
      const second = sideEffect(() => ({ count: ++count }));
      await sleep("1h");
      return [first, second];
    });
    await using t = await TestEngine.open({ workflows: [counting] });
    const run = await t.client.start(counting);
    await t.skip("30m");
    await t.crash();
    await t.skip("1h");
    await t.crash();
    expect(await t.result(run)).toEqual([1, { count: 2 }]);
    await t.checkReplay();
    expect(count).toBe(2);
  });

  it("that throws throws the same again on replay", async () => {
    let count = 0;
    const failing = workflow("failing", async () => {
      let message = "";
      try {
        sideEffect(() => {
          count += 1;
          throw new RangeError("out of range");
        });
      } catch (error) {
        message = (error as Error).message;
      }
      await sleep("1h");
      return message;
    });
    await using t = await TestEngine.open({ workflows: [failing] });
    const run = await t.client.start(failing);
    await t.settle();
    await t.crash();
    expect(await t.result(run)).toBe("out of range");
    expect(count).toBe(1);
  });

  it("several in one turn keep their order", async () => {
    let count = 0;
    const several = workflow("several", async () => {
      const values = [1, 2, 3].map(() => sideEffect(() => ++count));
      await sleep("1m");
      values.push(...[1, 2].map(() => sideEffect(() => ++count)));
      await sleep("1m");
      return values;
    });
    await using t = await TestEngine.open({ workflows: [several] });
    const run = await t.client.start(several);
    await t.skip("30s");
    await t.crash();
    expect(await t.result(run)).toEqual([1, 2, 3, 4, 5]);
  });

  it("of a value that cannot be recorded throws", async () => {
    const odd = workflow("odd", async () => sideEffect(() => 1n).toString());
    await using t = await TestEngine.open({ workflows: [odd] });
    expect(await errorOf(t.result(await t.client.start(odd)))).toMatchObject({
      kind: "engine",
      code: "payload_not_serializable",
    });
  });
});

describe("now", () => {
  it("is the time recorded at that point of the program, live and on replay", async () => {
    // I-45
    const watch = workflow("watch", async () => {
      const instants = [now(), now()];
      for (let round = 0; round < 3; round++) {
        await sleep("1h");
        instants.push(now());
      }
      return instants;
    });
    await using t = await TestEngine.open({ workflows: [watch] });
    const startedAt = t.now();
    const run = await t.client.start(watch);
    for (let crash = 0; crash < 4; crash++) {
      await t.skip("50m");
      await t.crash();
    }
    expect((await t.result(run)).map((at) => at - startedAt)).toEqual(
      [0, 0, 1, 2, 3].map((hours) => (hours === 0 ? 0 : hours * 3_600_000)),
    );
  });

  it("does not move in the middle of a turn, although the clock does", async () => {
    const poke = signal("poke");
    const watch = workflow("watch", async () => {
      const before = now();
      await receive(poke);
      const after = now();
      await Promise.resolve();
      return [after - before, now() - after];
    });
    await using t = await TestEngine.open({ workflows: [watch] });
    const run = await t.client.start(watch);
    await t.skip(1_234);
    await run.signal(poke);
    expect(await t.result(run)).toEqual([1_234, 0]);
  });
});

describe("random and uuid", () => {
  const dice = workflow("dice", async () => {
    const values: (number | string)[] = [random(), uuid(), random()];
    await sleep("1h");
    values.push(random(), uuid());
    await sleep("1h");
    return values;
  });

  it("are the same on replay, by their place in the program", async () => {
    // I-45
    await using t = await TestEngine.open({ workflows: [dice] });
    const run = await t.client.start(dice, undefined, { id: "d" });
    await t.skip("30m");
    await t.crash();
    await t.skip("1h");
    await t.crash();
    const values = await t.result(run);
    expect(new Set(values).size).toBe(5);
    await t.close();
    await using again = await TestEngine.open({ workflows: [dice] });
    expect(await again.result(await again.client.start(dice, undefined, { id: "d" }))).toEqual(values);
  });

  it("differ from run to run", async () => {
    await using t = await TestEngine.open({ workflows: [dice] });
    const runs = await Promise.all([1, 2, 3].map(() => t.client.start(dice)));
    const values = await Promise.all(runs.map((run) => t.result(run)));
    expect(new Set(values.flat()).size).toBe(15);
  });

  it("have the form they should have", async () => {
    const many = workflow("many", async () => ({
      numbers: Array.from({ length: 100 }, () => random()),
      ids: Array.from({ length: 100 }, () => uuid()),
    }));
    await using t = await TestEngine.open({ workflows: [many] });
    const { numbers, ids } = await t.result(await t.client.start(many));
    for (const number of numbers) expect(number >= 0 && number < 1).toBe(true);
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("patched", () => {
  it("is false in runs that passed the point before the change, true in all others", async () => {
    const before = workflow("greet", async () => {
      await sleep("1h");
      return ["old"];
    });
    const after = workflow("greet", async () => {
      const seen: string[] = [];
      if (patched("say-hello")) {
        await sleep("1m");
        seen.push("new");
      }
      await sleep("1h");
      seen.push(patched("later") ? "later" : "never");
      return [...seen, "old"];
    });
    await using t = await TestEngine.open({ workflows: [before] });
    const old = await t.client.start(before);
    await t.settle();
    await t.crash({ workflows: [after] });
    const fresh = await t.client.start(after);
    expect(await t.result(old)).toEqual(["later", "old"]);
    expect(await t.result(fresh)).toEqual(["new", "later", "old"]);
    expect((await eventsOfType(fresh, "VersionMarked")).map((event) => event.changeId)).toEqual([
      "say-hello",
      "later",
    ]);
  });

  it("gives one answer for one change in one run, and records it once", async () => {
    const loop = workflow("loop", async () => {
      const answers: boolean[] = [];
      for (let round = 0; round < 3; round++) {
        answers.push(patched("change"));
        await sleep("1m");
      }
      return answers;
    });
    await using t = await TestEngine.open({ workflows: [loop] });
    const run = await t.client.start(loop);
    await t.skip("90s");
    await t.crash();
    expect(await t.result(run)).toEqual([true, true, true]);
    expect(await eventsOfType(run, "VersionMarked")).toHaveLength(1);
  });
});

describe("info and log", () => {
  it("tell which run this is", async () => {
    const curious = workflow("curious", { version: "v7" }, async () => {
      const first = info();
      await sleep("1m");
      return { first, historyLength: info().historyLength };
    });
    await using t = await TestEngine.open({ workflows: [curious] });
    const startedAt = t.now();
    const run = await t.client.start(curious, undefined, { id: "c" });
    expect(await t.result(run)).toEqual({
      first: {
        workflowId: "c",
        runId: run.runId,
        workflowType: "curious",
        version: "v7",
        startedAt,
        historyLength: 1,
        continueAsNewSuggested: false,
      },
      historyLength: 3,
    });
  });

  it("are silent on replay", async () => {
    // I-42
    const chatty = workflow("chatty", async () => {
      log.info("one", { n: 1 });
      await sleep("1h");
      log.warn("two");
      await sleep("1h");
      log.error("three");
    });
    await using t = await TestEngine.open({ workflows: [chatty] });
    const run = await t.client.start(chatty, undefined, { id: "c" });
    await t.skip("90m");
    await t.crash();
    await t.result(run);
    expect(
      t.logs
        .filter(({ fields }) => fields?.["workflowId"] === "c")
        .map(({ level, message }) => [level, message]),
    ).toEqual([
      ["info", "one"],
      ["warn", "two"],
      ["error", "three"],
    ]);
  });
});
