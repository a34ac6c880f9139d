/** Packages in a process of their own: what their code does wrong ends that at most, and the others go on in the next. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { AionError } from "../../src/core/errors.ts";
import { CodeHost } from "../../src/host/code-host.ts";
import { guestScript } from "../../src/host/guest-script.ts";
import type { PackageCode } from "../../src/program/border.ts";
import { processLine } from "../../src/host/process-line.ts";
import { toPayload } from "../../src/core/payload.ts";
import type { RunId, WorkflowId } from "../../src/core/ids.ts";
import type { Activation, Delivery, Turn } from "../../src/core/activation.ts";
import type { ProgramInstance } from "../../src/program/program.ts";
import { pack } from "./pack.ts";

const source = `
  import { activity, expose, query, receive, signal, sleep, workflow, now, log } from "aion/workflow";
  import { z } from "zod";
  const work = activity("work", async (n: number) => n);
  const word = signal("word", z.string());
  const stage = query<string>("stage");
  let calls = 0;
  export const steady = workflow("steady", { input: z.object({ n: z.number().default(3) }), signals: [word] }, async ({ n }) => {
    calls += 1;
    let at = "working";
    expose(stage, () => at);
    log.info("begun", { n });
    const sum = await work(n);
    at = "listening";
    const heard = await receive(word);
    return { sum, heard, calls };
  });
  export const endless = workflow("endless", async () => {
    await work(1);
    for (;;) calls += 1;
  });
  export const greedy = workflow("greedy", async () => {
    await work(1);
    const all: unknown[] = [];
    for (;;) all.push(new Array(1_000).fill(now()));
  });
  export const thrower = workflow("thrower", async () => {
    await work(1);
    throw new TypeError("thrown here");
  });
  export const lost = workflow("lost", async () => {
    await work(1);
    return process.env.HOME;
  });
  export const careless = workflow("careless", async () => {
    void work(1).then(() => { throw new Error("nobody hears"); });
    await receive(word);
  });
  export const asker = workflow("asker", async () => {
    expose(stage, () => { for (;;) calls += 1; });
    await receive(word);
  });
`;

const code: Promise<PackageCode> = pack(source);
const hosts: CodeHost[] = [];

afterEach(async () => {
  for (const host of hosts.splice(0)) await host.close();
});

async function open({ budgetMs = 1_000, memoryMb = 48 } = {}): Promise<CodeHost> {
  const host = new CodeHost(processLine({ guest: await guestScript(), budgetMs, memoryMb }));
  hosts.push(host);
  await host.load(await code);
  return host;
}

/** `kill -9` of the host's process when its code has been at work for a while. */
async function killWhenBusy(): Promise<void> {
  for (let looks = 0; ;) {
    await delay(50);
    const { stdout } = spawnSync("ps", ["-o", "pid=,stat=,args=", "--ppid", String(process.pid)], {
      encoding: "utf8",
    });
    const [, pid, state] = /^ *(\d+) (\S+) .*host\/process/m.exec(stdout) ?? [];
    looks = state?.startsWith("R") === true ? looks + 1 : 0;
    if (looks < 4) continue;
    process.kill(Number(pid), "SIGKILL");
    return;
  }
}

/** One run's code, driven by hand. */
class Driven {
  readonly instance: ProgramInstance;
  readonly logged: unknown[] = [];
  lost: { readonly error: AionError; readonly isCulprit: boolean } | undefined;
  #tell: () => void = () => undefined;
  #nowMs = 1_700_000_000_000;

  constructor(host: CodeHost, workflowType: string) {
    this.instance = host.program(workflowType, "test").instantiate({
      workflowId: workflowType as WorkflowId,
      runId: `run of ${workflowType}` as RunId,
      startedAt: this.#nowMs,
      isUnchecked: false,
      payloadLimitBytes: 10_000,
      isTracing: false,
      log: (...line) => this.logged.push(line),
      onStray: () => undefined,
      onReady: () => this.#tell(),
      onLost: (error, isCulprit) => {
        this.lost = { error, isCulprit };
        this.#tell();
      },
    });
  }

  async tell(delivery: Delivery): Promise<Turn | "lost"> {
    const activation: Activation = {
      delivery,
      nowMs: (this.#nowMs += 10),
      historyLength: 1,
      isHistoryLong: false,
      recorded: [],
      isLast: true,
      isReplaying: false,
    };
    this.instance.begin(activation);
    const turn = this.instance.end();
    if (turn !== "later") return turn as Turn;
    await new Promise<void>((resolve) => {
      this.#tell = resolve;
      if (this.lost !== undefined) resolve();
    });
    return this.lost === undefined ? (this.instance.end() as Turn) : "lost";
  }

  start(input: unknown = null): Promise<Turn | "lost"> {
    return this.tell({ kind: "start", input: toPayload(input, "an input") });
  }

  worked(value: unknown = 1): Promise<Turn | "lost"> {
    return this.tell({
      kind: "activity",
      ordinal: 0,
      outcome: { ok: true, value: toPayload(value, "a result") },
    });
  }
}

describe("packages in a process", () => {
  it("are not asked about the input of a workflow that takes any", async () => {
    const asked: string[] = [];
    const line = processLine({ guest: await guestScript(), budgetMs: 1_000, memoryMb: 48 });
    const host = new CodeHost({
      open: (on) => {
        const opened = line.open(on);
        const post: typeof opened.post = (requests) => {
          asked.push(...requests.map(({ kind }) => kind));
          opened.post(requests);
        };
        return { ...opened, post };
      },
    });
    hosts.push(host);
    await host.load(await code);
    const input = toPayload({ n: "x" }, "an input");
    expect(await host.program("thrower", "test").parseInput(input)).toBe(input);
    expect(asked).toEqual(["load"]);
    await expect(host.program("steady", "test").parseInput(input)).rejects.toMatchObject({
      code: "payload_invalid",
    });
    expect(asked).toEqual(["load", "parse-input"]);
  });

  it("run: commands, results, logs, queries, checks of inputs and signals", async () => {
    const host = await open();
    const program = host.program("steady", "test");
    expect(await program.parseInput(toPayload({}, "an input"))).toBe('{"n":3}');
    await expect(program.parseInput(toPayload({ n: "x" }, "an input"))).rejects.toMatchObject({
      code: "payload_invalid",
      message: expect.stringContaining("n:") as string,
    });
    await expect(program.parseSignal("word", toPayload(5, "a signal"))).rejects.toMatchObject({
      code: "payload_invalid",
    });
    const run = new Driven(host, "steady");
    expect(await run.start({ n: 4 })).toMatchObject({
      commands: [{ kind: "run-activity", ordinal: 0, activityType: "work", input: "4" }],
    });
    expect(run.logged).toEqual([["info", "begun", { n: 4 }]]);
    await run.worked(5);
    expect(await run.instance.query("stage", toPayload(null, "an input"))).toBe('"listening"');
    await expect(run.instance.query("other", toPayload(null, "an input"))).rejects.toMatchObject({
      code: "query_unknown",
    });
    const turn = await run.tell({ kind: "signal", name: "word", payload: toPayload("hi", "a signal") });
    expect(turn).toMatchObject({
      isSettled: true,
      commands: [{ kind: "complete", result: '{"sum":5,"heard":"hi","calls":1}' }],
    });
    // Another run of the same package has variables of its own.
    const other = new Driven(host, "steady");
    await other.start({ n: 1 });
    await other.worked(1);
    const ended = await other.tell({ kind: "signal", name: "word", payload: toPayload("ho", "a signal") });
    expect(ended).toMatchObject({ commands: [{ result: '{"sum":1,"heard":"ho","calls":1}' }] });
  });

  it("go on when a terminal, or who stops a service, tells all processes to end", async () => {
    const run = new Driven(await open(), "steady");
    await run.start({ n: 4 });
    const { stdout } = spawnSync("ps", ["-o", "pid=,args=", "--ppid", String(process.pid)], {
      encoding: "utf8",
    });
    const [, pid] = /^ *(\d+) .*host\/process/m.exec(stdout) ?? [];
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.kill(Number(pid), signal);
    await run.worked(5);
    // It is told of a signal before it moves, so that one that ends it would have done so by now.
    for (let turn = 0; turn < 20; turn += 1)
      expect(await run.instance.query("stage", toPayload(null, "an input"))).toBe('"listening"');
    expect(run.lost).toBeUndefined();
  });

  it("an error is told with the author's line, and no line of the engine's", async () => {
    const run = new Driven(await open(), "thrower");
    await run.start();
    const turn = await run.worked();
    const [command] = (turn as Turn).commands;
    if (command?.kind !== "fail") throw new Error("it did not fail");
    const line = source.split("\n").findIndex((text) => text.includes("thrown here")) + 1;
    expect(command.failure).toMatchObject({ type: "TypeError", message: "thrown here" });
    expect(command.failure.stack).toContain(`entry.ts:${line}:`);
    expect(command.failure.stack?.split("\n").filter((text) => text.includes(" at "))).toHaveLength(1);
  });

  it("an error about what is not there says what to do instead", async () => {
    const run = new Driven(await open(), "lost");
    await run.start();
    const turn = await run.worked();
    expect((turn as Turn).commands.at(-1)).toMatchObject({
      kind: "fail",
      failure: {
        type: "ReferenceError",
        message: expect.stringMatching(/^process is not defined: .*activity$/) as string,
      },
    });
  });

  it("a rejection that nobody handles fails its run, in the turn in which it is rejected", async () => {
    const run = new Driven(await open(), "careless");
    await run.start();
    const turn = await run.worked();
    expect((turn as Turn).commands.at(-1)).toMatchObject({
      kind: "fail",
      failure: { message: "nobody hears" },
    });
  });

  it.each(["endless", "greedy"])(
    "an %s run ends the process; the others are told, and go on in the next",
    async (type) => {
      // I-55
      const host = await open();
      const steady = new Driven(host, "steady");
      await steady.start({ n: 2 });
      const run = new Driven(host, type);
      await run.start();
      expect(await run.worked()).toBe("lost");
      expect(run.lost).toMatchObject({ isCulprit: true, error: { code: "package_stopped" } });
      if (type === "endless") {
        // The line of the loop, in the author's file.
        const line = source.split("\n").findIndex((each) => each.includes("for (;;) calls += 1;")) + 1;
        const error = run.lost?.error as AionError;
        expect(error.message).toMatch(new RegExp(String.raw`more than 1000 ms, at \S+\.ts:${line}:\d+$`));
        expect(error.details).toMatchObject({ source: expect.stringContaining(`.ts:${line}:`) as string });
      }
      expect(steady.lost).toMatchObject({ isCulprit: false });
      const again = new Driven(host, "steady");
      expect(await again.start({ n: 2 })).toMatchObject({ commands: [{ kind: "run-activity" }] });
    },
  );

  it("a query without an end is refused, and what is asked of no run is asked again", async () => {
    const host = await open();
    const run = new Driven(host, "asker");
    await run.start();
    const program = host.program("steady", "test");
    const [query, parsed] = await Promise.allSettled([
      run.instance.query("stage", toPayload(null, "an input")),
      program.parseInput(toPayload({ n: 7 }, "an input")),
    ]);
    expect(query).toMatchObject({ status: "rejected", reason: { code: "package_stopped" } });
    expect(parsed).toEqual({ status: "fulfilled", value: '{"n":7}' });
    // The question was at fault, and not the run.
    expect(run.lost).toMatchObject({ isCulprit: false });
  });

  it("what it was busy with when it was killed is blamed the second time", async () => {
    const host = await open({ budgetMs: 60_000 });
    const ask = async (): Promise<unknown> => {
      const run = new Driven(host, "asker");
      await run.start();
      const asked = run.instance.query("stage", toPayload(null, "input"));
      const told = Promise.resolve(asked).catch((error: unknown) => error);
      await killWhenBusy();
      return await told;
    };
    expect(await ask()).toMatchObject({ code: "package_stopped", details: { end: "exit" } });
    expect(await ask()).toMatchObject({ code: "package_stopped", details: { isCulprit: true } });
    const begin = async (): Promise<unknown> => {
      const run = new Driven(host, "endless");
      await run.start();
      const told = run.worked();
      await killWhenBusy();
      await told;
      return run.lost;
    };
    expect(await begin()).toMatchObject({ isCulprit: false });
    expect(await begin()).toMatchObject({ isCulprit: true });
  });

  it("a package that is none, throws, or does not end, is refused; the others stay", async () => {
    const host = await open();
    const load = async (version: string, text: string): Promise<unknown> =>
      host.load(await pack(text, { version })).then(
        () => "loaded",
        (error: unknown) => error,
      );
    expect(await load("a", 'throw new Error("at once")')).toMatchObject({
      code: "package_failed",
      message: expect.stringMatching(/at once[^]*entry\.ts:1:/) as string,
    });
    expect(await load("b", "for (;;);")).toMatchObject({ code: "package_stopped" });
    await expect(host.load({ version: "c", script: "no script (" })).rejects.toMatchObject({
      code: "package_failed",
    });
    expect(await load("d", 'import { step } from "aion/workflow"; step("x", () => 1);')).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("step") as string,
    });
    expect(await new Driven(host, "steady").start({ n: 2 })).toMatchObject({ isSettled: false });
  });

  it("a process that is never heard of is ended, and nobody is blamed", async () => {
    const lost = Promise.withResolvers<{ readonly error: AionError; readonly who: number }>();
    const line = processLine({ guest: await guestScript(), budgetMs: 50, memoryMb: 48 }).open({
      reply: () => undefined,
      lost: (error, who) => lost.resolve({ error, who }),
      patienceWith: () => 1,
    });
    // It was asked nothing, so it says nothing: as one that never comes to hear what it was asked.
    line.expect(true);
    const { error, who } = await lost.promise;
    expect(error).toMatchObject({
      code: "package_stopped",
      message: expect.stringContaining("nothing was heard of it for 1000 ms") as string,
    });
    expect(who).toBe(0);
  });

  it("one that cannot be started now is started when it can be, and says why until then", async () => {
    const parent = mkdtempSync(path.join(tmpdir(), "aion-no-host-"));
    const directory = path.join(parent, "absent");
    const said: string[] = [];
    const line = processLine({ guest: await guestScript(), budgetMs: 1_000, memoryMb: 48, directory });
    const host = new CodeHost(line, (_end, error) => {
      said.push(error.message);
      mkdirSync(directory);
    });
    hosts.push(host);
    try {
      expect((await host.load(await code)).workflows.length).toBeGreaterThan(1);
      expect(said).toEqual([expect.stringMatching(/cannot be started: ENOENT.*TMPDIR/) as string]);
    } finally {
      await host.close();
      rmSync(parent, { recursive: true });
    }
  });

  it("an endless loop ends with the engine's process, too", async () => {
    const script = `
      import { guestScript } from ${JSON.stringify(path.resolve("src/host/guest-script.ts"))};
      import { CodeHost } from ${JSON.stringify(path.resolve("src/host/code-host.ts"))};
      import { processLine } from ${JSON.stringify(path.resolve("src/host/process-line.ts"))};
      const host = new CodeHost(processLine({ guest: await guestScript(), budgetMs: 60_000, memoryMb: 48 }));
      void host.load({ version: "loop", script: "for (;;);" });
    `;
    const engine = spawn(
      process.execPath,
      ["--conditions=aion-source", "--input-type=module-typescript", "-e", script],
      {
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
    // esbuild has one, too; and what has only been forked still has its parent's arguments, with this script in them.
    const hostsOf = (): readonly string[] =>
      readFileSync(`/proc/${engine.pid}/task/${engine.pid}/children`, "utf8")
        .split(" ")
        .filter(
          (pid) => pid !== "" && /src\/host\/process\.ts/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8")),
        );
    const timeOf = (pid: string): number => {
      const [, , , ...fields] = readFileSync(`/proc/${pid}/stat`, "utf8").split(/ (?![^(]*\))/);
      return Number(fields[10]);
    };
    await expect.poll(() => hostsOf().length).toBe(1);
    const [child = ""] = hostsOf();
    // Hundredths of a second of processor time: it loops.
    await expect.poll(() => timeOf(child)).toBeGreaterThan(50);
    engine.kill("SIGKILL");
    await expect.poll(() => existsSync(`/proc/${child}`)).toBe(false);
  });
});
