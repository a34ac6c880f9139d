/** Packages in an engine on a file: deployed, routed, pinned, taken out; over crashes of the engine and of their own process. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Engine } from "../../src/embedded/engine.ts";
import type { EngineOptions } from "../../src/embedded/engine.ts";
import { buildPackage } from "../../src/package/build.ts";
import { activity, ApplicationFailure, workflow } from "../../src/workflow/index.ts";

let directory: string;
const engines: Engine[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-packages-"));
  writeFileSync(path.join(directory, "package.json"), "{}");
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close({ drain: 0 });
  rmSync(directory, { recursive: true, force: true });
});

const charge = activity("charge", async (amount: number) => `paid ${amount}`);

async function open(options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await Engine.open({
    store: `sqlite:${path.join(directory, "aion.db")}`,
    activities: [charge],
    localSocket: false,
    log: () => undefined,
    ...options,
  });
  engines.push(engine);
  return engine;
}

async function close(engine: Engine): Promise<void> {
  engines.splice(engines.indexOf(engine), 1);
  await engine.close({ drain: 0 });
}

let fileCount = 0;
async function build(body: string, others = ""): Promise<Uint8Array> {
  const file = path.join(directory, `order-${++fileCount}.ts`);
  writeFileSync(
    file,
    `
    import { activity, attributes, child, continueAsNew, expose, info, query, receive, sideEffect, signal, sleep, workflow } from "aion/workflow";
    import { readFileSync } from "node:fs";
    const charge = activity("charge", async (amount: number) => readFileSync(String(amount), "utf8"));
    const go = signal<number>("go");
    const stage = query<string>("stage");
    export const order = workflow("order", async (amount: number) => { ${body} });
    ${others}
    `,
  );
  return (await buildPackage(file)).bytes;
}

const waiting = (name: string): string => `
  let at = "charging";
  expose(stage, () => \`${name} \${at}\`);
  const paid = await charge(amount);
  at = "waiting";
  const more = await receive(go);
  return \`${name}: \${paid} and \${more}\`;
`;

describe("packages in an engine", () => {
  // I-41, I-61
  it("are reset to the version that new runs get, with what was before the point as it was, and other draws behind it", async () => {
    const drawing = (name: string): string => `
      const drawn = [crypto.randomUUID(), Math.random(), info().runId];
      expose(stage, () => JSON.stringify(drawn));
      const paid = await charge(amount);
      drawn.push(crypto.randomUUID(), Math.random(), info().runId, info().workflowId);
      await charge(1);
      const more = await receive(go);
      return \`${name}: \${paid} and \${more}\`;
    `;
    const draws = async (run: { query(name: string): Promise<unknown> }): Promise<readonly unknown[]> =>
      JSON.parse((await run.query("stage")) as string) as unknown[];
    const engine = await open();
    await engine.deploy(await build(drawing("one")));
    const run = await engine.client.start("order", 5, { id: "o" });
    await expect.poll(async () => (await draws(run)).length).toBe(7);
    const before = await draws(run);
    expect([before[2], before[5], before[6]]).toEqual([run.runId, run.runId, "o"]);
    await engine.deploy(await build(drawing("two")));
    const events = [];
    for await (const event of run.history()) events.push(event);
    const toSeq = events.find(({ type }) => type === "ActivityCompleted")?.seq ?? 0;
    const next = await run.reset({ toSeq });
    const refused = await run.fork("p", { toSeq: 1 }).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      message: expect.stringContaining(`it is of run ${run.runId}`) as string,
    });
    const copy = await engine.client
      .get("o", { runId: run.runId ?? "" })
      .fork("p", { toSeq: 1, version: "same" });
    await close(engine);
    const again = await open();
    const after = await draws(again.client.get("o"));
    expect(after.slice(0, 3)).toEqual(before.slice(0, 3));
    expect(after.slice(3)).toEqual([expect.any(String), expect.any(Number), next.runId, "o"]);
    expect(before).not.toContain(after[3]);
    expect(before).not.toContain(after[4]);
    await expect.poll(async () => (await draws(again.client.get("p"))).length).toBe(7);
    const forked = await draws(again.client.get("p"));
    expect([forked[2], forked[5], forked[6]]).toEqual([copy.runId, copy.runId, "p"]);
    for (const draw of [0, 1, 3, 4]) expect([...before, ...after]).not.toContain(forked[draw]);
    await again.client.get("o").signal("go", 7);
    expect(await again.client.get("o").result()).toBe("two: paid 5 and 7");
    await again.client.get("p").signal("go", 8);
    expect(await again.client.get("p").result()).toBe("one: paid 5 and 8");
    const first = again.client.get("o", { runId: before[2] as string });
    const old = await first.fork("q", { toSeq, version: "same" });
    await old.signal("go", 9);
    expect(await old.result()).toBe("one: paid 5 and 9");
    await expect(first.fork("r", { toSeq, version: "ab".repeat(32) })).rejects.toMatchObject({
      code: "workflow_type_unknown",
    });
  });

  // I-63
  // I-59, I-61
  it("are not told what a reopening has voided, on which their code would never end", async () => {
    let isDown = true;
    const pay = activity("charge", { retry: { maxAttempts: 1 } }, async (amount: number) => {
      if (isDown) throw new Error("down");
      return `paid ${amount}`;
    });
    const paying = (onFailure: string): string => `
      for (let count = 0; count < amount; count += 1) sideEffect(() => count);
      const paid = await Promise.allSettled([charge(1).catch((error) => { ${onFailure} }), charge(2)]);
      for (const { reason } of paid) if (reason !== undefined) throw reason;
      await receive(go);
      return amount;
    `;
    const engine = await open({ activities: [pay], activationBudget: 1_000 });
    // Of the longer one, the first failure is in one page that is read, and the reopening in the next.
    for (const amount of [5, 1_994]) {
      await engine.deploy(await build(paying("throw error;")));
      isDown = true;
      const run = await engine.client.start("order", amount);
      await run.result().catch(() => undefined);
      isDown = false;
      await run.reopen();
      const seqOf = async (type: string): Promise<number | undefined> => {
        for await (const event of run.history()) if (event.type === type) return event.seq;
        return undefined;
      };
      expect(await seqOf("WorkflowReopened")).toBe(amount + 9);
      await expect.poll(async () => (await run.describe()).pendingActivities.length).toBe(0);
      await engine.deploy(await build(paying("for (;;);")));
      await run.reset({ toSeq: (await seqOf("ActivityCompleted")) ?? 0 });
      await run.signal("go", 1);
      expect(await run.result()).toBe(amount);
    }
  });

  it("set search attributes and read them, as inline code does, over a restart of the engine", async () => {
    const engine = await open();
    await engine.deploy(
      await build(`
        const since = attributes.get("since");
        attributes.set({ amount, due: new Date(5), tags: ["a", "b"], since: null });
        const more = await receive(go);
        attributes.set({ amount: more });
        return [since instanceof Date, (since as Date).toISOString(), attributes.get()];
      `),
    );
    await engine.client.start("order", 7, { id: "o", attributes: { since: new Date(3), customer: "c" } });
    const where = { amount: 7, tags: "b", due: { to: new Date(5) }, customer: "c" };
    await expect.poll(() => engine.client.count({ where })).toBe(1);
    expect(await engine.client.count({ where: { since: { exists: true } } })).toBe(0);
    await close(engine);
    const again = await open();
    expect(await again.client.count({ where })).toBe(1);
    const run = again.client.get("o");
    await run.signal("go", 8);
    const kept = { amount: 8, customer: "c", due: "1970-01-01T00:00:00.005Z", tags: ["a", "b"] };
    expect(await run.result()).toEqual([true, "1970-01-01T00:00:00.003Z", kept]);
    expect(await again.client.count({ where: { ...where, amount: 8 } })).toBe(1);
  });

  // C-10
  it("that are larger than the engine takes are refused, and those that it has go on", async () => {
    const bytes = await build("return amount;");
    const engine = await open();
    await engine.deploy(bytes);
    await close(engine);
    const strict = await open({ packageLimitBytes: bytes.length - 1 });
    const refusal = { code: "package_too_large", details: { limitBytes: bytes.length - 1 } };
    await expect(strict.deploy(bytes)).rejects.toMatchObject(refusal);
    expect(await (await strict.client.start("order", 5)).result()).toBe(5);
    await expect(open({ packageLimitBytes: 33 * 1024 * 1024 })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it("are told when to continue as new, and held at a limit", async () => {
    const engine = await open({
      limits: { historyEventsWarn: 4, pendingTimersMax: 2, waitingSignalsMax: 1 },
    });
    await engine.deploy(
      await build(`
        const before = info().continueAsNewSuggested;
        await sleep(1);
        await sleep(1);
        const after = info().continueAsNewSuggested;
        const count = await receive(go);
        await Promise.all(Array.from({ length: count }, () => sleep(1)));
        return [before, after];
      `),
    );
    const fine = await engine.client.start("order", 0);
    await fine.signal("go", 2);
    expect(await fine.result()).toEqual([false, true]);
    const wide = await engine.client.start("order", 0);
    await wide.signal("other", 1);
    await expect(wide.signal("other", 2)).rejects.toMatchObject({ code: "signals_full" });
    await wide.terminate();
    const held = await engine.client.start("order", 0);
    await held.signal("go", 3);
    await expect.poll(async () => (await held.describe()).blocked).toContain("pendingTimersMax");
  });

  // I-55
  it("take signals, queries and starts while the process of their code is ended by what another run does", async () => {
    const engine = await open({ activationBudget: 1_000 });
    await engine.deploy(
      await build(`
        expose(stage, () => "here");
        const what = await receive(go);
        if (what === 1) for (;;);
        return what;
      `),
    );
    const [loop, other] = [await engine.client.start("order", 0), await engine.client.start("order", 0)];
    const looping = loop.signal("go", 1).catch(() => undefined);
    // It loops by now, and they stand behind it.
    await delay(200);
    const begun = engine.client.start("order", 0);
    const [asked] = await Promise.all([other.query("stage"), other.signal("go", 2)]);
    expect(asked).toBe("here");
    expect(await other.result()).toBe(2);
    await (await begun).signal("go", 3);
    expect(await (await begun).result()).toBe(3);
    await looping;
    await loop.terminate();
  });

  it("are told which schedule started them, and for which of its times, on replay too", async () => {
    let engine = await open();
    await engine.deploy(
      await build(`
        const first = info().schedule;
        await receive(go);
        return [first, info().schedule];
      `),
    );
    const schedule = await engine.client.schedules.create("s", "order", 0, {
      every: "1 day",
      isPaused: true,
    });
    const before = Date.now();
    const { workflowId } = await schedule.trigger();
    await expect.poll(() => engine.client.count({ workflowId })).toBe(1);
    await close(engine);
    engine = await open();
    const run = engine.client.get(workflowId);
    await run.signal("go", 1);
    const [first, last] = (await run.result()) as readonly {
      readonly id: string;
      readonly nominalAt: number;
    }[];
    expect(first).toEqual({ id: "s", nominalAt: expect.any(Number) as number });
    expect(first?.nominalAt).toBeGreaterThanOrEqual(before);
    expect(last).toEqual(first);
  });

  it("run, each run on the version that it was begun with, also after a restart", async () => {
    let engine = await open();
    const first = await engine.deploy(await build(waiting("first")));
    expect(first).toMatchObject({ workflowTypes: ["order"], isNew: true });
    await engine.client.start("order", 5, { id: "one" });
    const second = await engine.deploy(await build(waiting("second")));
    await engine.client.start("order", 6, { id: "two" });
    await expect.poll(() => engine.client.get("one").query("stage")).toBe("first waiting");
    expect((await engine.client.get("one").describe()).version).toBe(first.version);
    expect((await engine.client.get("two").describe()).version).toBe(second.version);
    await close(engine);
    engine = await open();
    await expect.poll(() => engine.client.get("two").query("stage")).toBe("second waiting");
    await engine.client.get("one").signal("go", 1);
    await engine.client.get("two").signal("go", 2);
    expect(await engine.client.get("one").result()).toBe("first: paid 5 and 1");
    expect(await engine.client.get("two").result()).toBe("second: paid 6 and 2");
  });

  it("a deploy, a route or an unload that is repeated with its request id undoes nothing that was done since", async () => {
    let engine = await open();
    const [old, next] = [await build(`return "old"`), await build(`return "new"`)];
    const ran = async () => await (await engine.client.start("order", 1)).result();
    const first = await engine.deploy(old, { requestId: "d-1" });
    expect(first.isNew).toBe(true);
    const second = await engine.deploy(next, { requestId: "d-2" });
    // Its route has been replaced since.
    expect(await engine.deploy(old, { requestId: "d-1" })).toEqual(first);
    expect(await ran()).toBe("new");
    await engine.route(["order"], first.version, { requestId: "r-1" });
    await engine.route(["order"], second.version, { requestId: "r-2" });
    await close(engine);
    engine = await open();
    await engine.route(["order"], first.version, { requestId: "r-1" });
    expect(await engine.deploy(old, { requestId: "d-1" })).toEqual(first);
    expect(await ran()).toBe("new");
    await engine.unload(first.version, { requestId: "u-1" });
    await engine.unload(first.version, { requestId: "u-1" });
    // Not there any more, and not there again by a repetition.
    expect(await engine.deploy(old, { requestId: "d-1" })).toEqual(first);
    expect((await engine.packages()).packages.map(({ version }) => version)).toEqual([second.version]);
    await expect(engine.route(["order"], first.version)).rejects.toMatchObject({ code: "package_not_found" });
    await engine.deploy(old, { requestId: "d-3" });
    await engine.unload(first.version, { requestId: "u-1" });
    expect(await ran()).toBe("old");
    await expect(engine.route(["order"], second.version, { requestId: "r-1" })).rejects.toMatchObject({
      code: "request_conflict",
    });
    await expect(engine.unload(second.version, { requestId: "" })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it("are deployed once; routes go forth and back, all types of them together or none", async () => {
    const engine = await open();
    const pair = (name: string) =>
      build(`return "${name}"`, `export const refund = workflow("refund", async () => "${name}");`);
    const old = await pair("old");
    const { version } = await engine.deploy(old);
    const next = await engine.deploy(await pair("new"), { route: false });
    expect(await engine.deploy(old)).toEqual({ version, workflowTypes: ["order", "refund"], isNew: false });
    const ran = async () => [
      await (await engine.client.start("order", 1)).result(),
      await (await engine.client.start("refund", null)).result(),
    ];
    expect(await ran()).toEqual(["old", "old"]);
    await engine.route(["order", "refund"], next.version);
    expect(await ran()).toEqual(["new", "new"]);
    await expect(engine.route(["order", "other"], version)).rejects.toMatchObject({
      code: "workflow_type_unknown",
    });
    await expect(engine.route(["order"], "0".repeat(64))).rejects.toMatchObject({
      code: "package_not_found",
    });
    expect(await ran()).toEqual(["new", "new"]);
    await engine.route(["order", "refund"], version);
    expect(await ran()).toEqual(["old", "old"]);
    const { packages, routes } = await engine.packages();
    expect(packages.map(({ routedTypes }) => routedTypes)).toEqual([["order", "refund"], []]);
    expect(
      routes.filter(({ workflowType }) => workflowType === "order").map((route) => route.version),
    ).toEqual([version, next.version, version]);
  });

  // C-19
  it("are not unloaded while a route or a run needs them, and are gone afterwards", async () => {
    const engine = await open();
    const first = await engine.deploy(await build(waiting("first")));
    const run = await engine.client.start("order", 5, { id: "one" });
    await expect(engine.unload(first.version)).rejects.toMatchObject({
      code: "package_in_use",
      details: { workflowTypes: ["order"], runCount: 1, workflowIds: ["one"] },
    });
    await engine.deploy(await build(waiting("second")));
    await expect(engine.unload(first.version)).rejects.toMatchObject({
      details: { workflowTypes: [], runCount: 1 },
    });
    await run.signal("go", 1);
    await run.result();
    await engine.unload(first.version);
    await expect(engine.unload(first.version)).rejects.toMatchObject({ code: "package_not_found" });
    // What has ended can be read, and not be asked.
    expect(await run.result()).toBe("first: paid 5 and 1");
    await expect(run.query("stage")).rejects.toMatchObject({ code: "workflow_type_unknown" });
  });

  it("continue as new on the version that is routed then", async () => {
    const engine = await open();
    const body = (name: string) => `
      if (amount > 1) return "${name}";
      await receive(go);
      continueAsNew(amount + 1);
    `;
    await engine.deploy(await build(body("first")));
    const run = await engine.client.start("order", 1, { id: "one" });
    await engine.deploy(await build(body("second")));
    await run.signal("go", 0);
    expect(await run.result()).toBe("second");
  });

  it("that are missing make their runs wait, which go on when the package arrives", async () => {
    const archive = await build(waiting("first"));
    let engine = await open({ workflows: [workflow("order", async () => "inline")] });
    const { version } = await engine.deploy(archive);
    await engine.client.start("order", 5, { id: "one" });
    await expect.poll(() => engine.client.get("one").query("stage")).toBe("first waiting");
    await close(engine);
    // As after a restore of a file from which the package was lost.
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path.join(directory, "aion.db"));
    database.exec("DELETE FROM package_types");
    database.exec("DELETE FROM packages");
    database.exec("DELETE FROM routes");
    database.close();
    engine = await open({ workflows: [workflow("order", async () => "inline")] });
    const run = engine.client.get("one");
    await run.signal("go", 3);
    expect((await run.describe()).blocked).toContain(version.slice(0, 12));
    expect(await (await engine.client.start("order", 1)).result()).toBe("inline");
    await engine.deploy(archive, { route: false });
    expect(await run.result()).toBe("first: paid 5 and 3");
    expect((await run.describe()).blocked).toBeUndefined();
  });

  it("that do not work are refused, and nothing changes", async () => {
    const engine = await open();
    await expect(engine.deploy(new TextEncoder().encode("hello"))).rejects.toMatchObject({
      code: "package_invalid",
    });
    expect((await engine.packages()).packages).toEqual([]);
    await expect(engine.client.start("order", 1)).rejects.toMatchObject({ code: "workflow_type_unknown" });
  });

  it("whose code never ends are held after some tries, and the others go on", async () => {
    // I-55
    const engine = await open({ activationBudget: "1s" });
    await engine.deploy(
      await build(
        waiting("good"),
        'export const bad = workflow("bad", async () => { await sleep(1); for (;;); });',
      ),
    );
    const good = await engine.client.start("order", 5, { id: "good" });
    const bad = await engine.client.start("bad", null, { id: "bad" });
    await expect.poll(async () => (await bad.describe()).blocked).toContain("package_stopped");
    await good.signal("go", 1);
    expect(await good.result()).toBe("good: paid 5 and 1");
    await bad.terminate();
  });

  // I-60
  it("hold what an operator gives an activity against the schema of its result, in the code of the version that runs", async () => {
    const hang = activity("hang", async (_card: string): Promise<string> => {
      throw new ApplicationFailure("no key", { park: true });
    });
    const engine = await open({ activities: [charge, hang] });
    const schema = `const paid = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) =>
      typeof value === "string" && value.startsWith("pay_") ? { value: value + "!" } : { issues: [{ message: "no payment" }] } } };
    const hang = activity("hang", { output: paid as never }, async (card: string) => card);`;
    await engine.deploy(await build("return await Promise.all([hang(String(amount)), hang('b')]);", schema));
    const run = await engine.client.start("order", 5, { id: "o" });
    await expect.poll(async () => (await run.describe()).parked?.count).toBe(2);
    await expect(run.resumeActivity({ ordinal: 0, result: "SECRET" })).rejects.toMatchObject({
      code: "payload_invalid",
      message: expect.stringContaining("no payment") as string,
    });
    await run.resumeActivity({ ordinal: 0, result: "pay_1" });
    await run.resumeActivity({ ordinal: 1, result: "pay_2" });
    expect(await run.result()).toEqual(["pay_1!", "pay_2!"]);
  });
});
