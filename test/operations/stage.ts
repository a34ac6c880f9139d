/** The processes of one play: they die, and are started again; and those who call, who come again until they are answered. */
import type { ChildProcess } from "node:child_process";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { connectRemote } from "../../src/client/remote.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import { buildPackage } from "../../src/package/build.ts";
import type { CuttingProxy } from "../blackbox/cutting-proxy.ts";
import { openCuttingProxy } from "../blackbox/cutting-proxy.ts";
import { Draws } from "../blackbox/generator.ts";
import { end, freePort } from "../blackbox/processes.ts";
import { DiskControl, buildDiskFault } from "../torture/disk-fault.ts";
import type { Desk } from "./callers.ts";
import { deskOfFile, deskOverGrpc, deskOverHttp } from "./callers.ts";
import { directoryVariable } from "./effects.ts";
import type { DeathCause } from "./engine-life.ts";
import { EngineLife } from "./engine-life.ts";

export interface StageOptions {
  readonly directory: string;
  readonly seed: string;
  /** A server with its code host, two workers, and connections that break, instead of one process. */
  readonly isServed: boolean;
  /** The name of a bug that is planted into the engine. */
  readonly planted?: string | undefined;
}

const root = path.dirname(path.dirname(import.meta.dirname));
const desk = path.join(import.meta.dirname, "desk.ts");
const command = path.join(root, "src/cli/main.ts");
const codeCache = path.join(root, "node_modules", ".cache", "torture", "code");
/** A caller who has waited for so long is spared: nothing dies until he is answered. */
const spareAfterMs = 15_000;
/** In which an engine that nobody disturbs opens, and answers everybody: above everything that a loaded machine may need. */
const patienceMs = 90_000;
const livesTold = 12;

/** What a caller takes for a reason to ask again. */
const passing: ReadonlySet<string> = new Set([
  "transport_failed",
  "no_owner",
  "engine_closed",
  "commit_unknown",
  "store_unavailable",
]);

export class Stage {
  readonly directory: string;
  readonly #of: StageOptions;
  readonly #draws: Draws;
  readonly #library: string | undefined;
  readonly #control: DiskControl | undefined;
  readonly #lives: EngineLife[] = [];
  #lifeCount = 0;
  readonly #workers: (ChildProcess | undefined)[] = [undefined, undefined];
  #port = 0;
  #proxy: CuttingProxy | undefined;
  #ways: readonly [() => Promise<Desk>, ...(() => Promise<Desk>)[]];
  #isCalm = false;
  #isClosed = false;
  /** When each caller that is not answered yet began to ask. */
  readonly #waiting = new Set<{ readonly since: number }>();
  /** When something died or was started last. */
  #disturbedAt = 0;
  /** What has turned out to hang. */
  #hang: Promise<Error> | undefined;
  #disturbing: Promise<void> | undefined;
  readonly kills = { engine: 0, worker: 0, code: 0, disk: 0 };
  /** How far the clock of the engine was put forward. */
  clockOffsetMs = 0;

  constructor(of: StageOptions) {
    this.#of = of;
    this.directory = of.directory;
    this.#draws = new Draws(`stage ${of.seed}`);
    const { library } = of.isServed ? {} : buildDiskFault();
    this.#library = library;
    if (library !== undefined) this.#control = new DiskControl(path.join(of.directory, "control"));
    this.#ways = [async () => deskOfFile(this.file)];
    mkdirSync(codeCache, { recursive: true });
  }

  get file(): string {
    return this.#of.isServed
      ? path.join(this.directory, "namespaces", "default.db")
      : path.join(this.directory, "desk.db");
  }

  get killCount(): number {
    return Object.values(this.kills).reduce((sum, count) => sum + count, 0);
  }

  get cutCount(): number {
    return this.#proxy?.cutCount ?? 0;
  }

  /** The first life, up to where callers can come. */
  async prepare(): Promise<void> {
    if (this.#of.isServed) this.#port = await freePort();
    await this.#open();
    if (!this.#of.isServed) return;
    const near = `http://127.0.0.1:${this.#port}`;
    const { bytes } = await buildPackage(desk);
    await connectRemote({ url: near }).deploy({ archive: bytes, requestId: "desk" });
    const proxy = await openCuttingProxy(this.#port, this.#draws, {
      isCutting: () => !this.#isCalm,
      share: 0.3,
      bytesMax: 20_000,
    });
    this.#proxy = proxy;
    for (const index of this.#workers.keys()) this.#openWorker(index);
    this.#ways = [
      async () => deskOverHttp(proxy.url),
      async () => deskOverGrpc(proxy.url),
      async () => deskOverGrpc(near),
    ];
  }

  #environment(): NodeJS.ProcessEnv {
    const { planted } = this.#of;
    return {
      ...process.env,
      NODE_OPTIONS: "--conditions=aion-source",
      [directoryVariable]: this.directory,
      ...(planted === undefined
        ? { NODE_COMPILE_CACHE: codeCache }
        : { AION_PLANTED: planted, NODE_DISABLE_COMPILE_CACHE: "1" }),
      ...(this.#library === undefined || this.#control === undefined
        ? {}
        : {
            LD_PRELOAD: this.#library,
            DISK_FAULT_CONTROL: this.#control.file,
            DISK_FAULT_WATCH: this.file,
          }),
    };
  }

  #openWorker(index: number): void {
    const url = this.#proxy?.url ?? "";
    const args = [command, "worker", desk, "--url", url];
    this.#workers[index] = spawn(process.execPath, args, {
      cwd: root,
      stdio: "ignore",
      env: this.#environment(),
    });
  }

  get #life(): EngineLife | undefined {
    return this.#lives.at(-1);
  }

  get #isUp(): boolean {
    return this.#life?.isUp === true;
  }

  /** Resolves when it has said that it is open, or has died of its disk. */
  async #open(): Promise<void> {
    const { isServed, planted } = this.#of;
    const program = isServed
      ? [command, "server", "--data", this.directory, "--port", String(this.#port), "--log", "json"]
      : [path.join(import.meta.dirname, "engine-process.ts"), this.file];
    const life = new EngineLife({
      args: planted === undefined ? program : ["--import", path.join(root, "sim/plant.ts"), ...program],
      cwd: root,
      env: this.#environment(),
      errorFile: path.join(this.directory, `engine-${this.#lifeCount}.log`),
      openLine: isServed ? /^aion listens/u : /^open$/u,
    });
    this.#lifeCount += 1;
    this.#lives.push(life);
    if (this.#lives.length > livesTold) this.#lives.shift();
    void life.gone.then(() => {
      if (life.isEndedByDisk) this.kills.disk += 1;
      this.#disturbed();
    });
    const isLate = new AbortController();
    const late = delay(patienceMs, "late" as const, { signal: isLate.signal });
    late.catch(() => undefined);
    const how = await Promise.race([life.opened, late]);
    isLate.abort();
    this.#disturbed();
    if (how === "late") throw await this.#tellHang(`the engine has not opened for ${patienceMs} ms`);
    // A life that ends by itself is no kill.
    if (life.process.exitCode !== null) throw this.#fault("the engine ended by itself");
  }

  #disturbed(): void {
    this.#disturbedAt = performance.now();
  }

  /** Somebody has waited for long: whatever befell the engine now might be what he is not answered for. */
  get #isSparing(): boolean {
    const longAgo = performance.now() - spareAfterMs;
    for (const { since } of this.#waiting) if (since < longAgo) return true;
    return false;
  }

  #fault(what: string): Error {
    const lives = this.#lives.map((life) => life.tell());
    return new Error(
      [what, ...lives, `${this.#waiting.size} callers wait`, this.#life?.complaints() ?? ""].join("\n"),
    );
  }

  /** Once: what it is at is looked at while it is, and told to everybody. */
  #tellHang(what: string): Promise<Error> {
    const life = this.#life;
    this.#hang ??= (async () => {
      const found = await life?.examine();
      return this.#fault(`${what}\n${found}`);
    })();
    return this.#hang;
  }

  /** `kill -9` of the engine, now: for whoever has just been answered. */
  killNow(): void {
    if (this.#mayKill) this.#kill("caller");
  }

  #kill(by: DeathCause): void {
    if (this.#life?.kill(by) === true) this.kills.engine += 1;
  }

  /**
   * Kills and starts again, and when it has been told to be calm it only starts again: what was killed just before may die after that.
   * Rejects when something hangs or ends by itself.
   */
  disturb(): Promise<void> {
    this.#disturbing = this.#disturb();
    return this.#disturbing;
  }

  async #disturb(): Promise<void> {
    while (!this.#isClosed) {
      if (!this.#isUp) {
        // For some of the time nobody is there.
        if (!this.#isCalm && this.#draws.chance(0.3)) await delay(this.#draws.between(0, 1_800));
        this.#planDiskFault();
        await this.#open();
        // The disk may have killed it by now.
        continue;
      }
      await Promise.race([delay(this.#draws.between(100, 900)), this.#life?.gone]);
      if (this.#isClosed || !this.#isUp) continue;
      if (!this.#mayKill || !this.#hasServed) {
        // Its disk is none of those who may kill it now.
        this.#control?.plan(undefined);
        continue;
      }
      if (!this.#of.isServed || this.#draws.chance(0.4)) {
        this.#kill("stage");
        await this.#life?.gone;
      } else if (this.#draws.chance(0.5)) await this.#killWorker();
      else this.#killCode();
    }
  }

  get #mayKill(): boolean {
    return !this.#isCalm && !this.#isSparing;
  }

  /** A life in which nobody was answered has shown nothing. */
  get #hasServed(): boolean {
    return this.#waiting.size === 0 || (this.#life?.answerCount ?? 0) > 0;
  }

  #planDiskFault(): void {
    if (this.#control === undefined) return;
    if (this.#draws.chance(0.4) || !this.#mayKill) {
      this.#control.plan(undefined);
      return;
    }
    const isTorn = this.#draws.chance(0.3);
    this.#control.plan({
      fault: isTorn ? "kill-torn" : this.#draws.of(["kill-before", "kill-after"]),
      calls: [isTorn || this.#draws.chance(0.5) ? "write" : "sync"],
      files: ["database", "wal"],
      at: this.#draws.between(1, 400),
      times: 1,
    });
  }

  /** The clock of the engine is put forward, while it lives or before its next life. Nothing without the preloaded library. */
  putForward(ms: number): void {
    if (this.#control === undefined) return;
    this.clockOffsetMs += ms;
    this.#control.setClockOffset(this.clockOffsetMs);
  }

  async #killWorker(): Promise<void> {
    const index = this.#draws.between(0, this.#workers.length - 1);
    const worker = this.#workers[index];
    if (worker !== undefined && (await end(worker))) this.kills.worker += 1;
    this.#openWorker(index);
    this.#disturbed();
  }

  /** The process in which the server runs packaged code. */
  #killCode(): void {
    const pid = this.#life?.process.pid;
    if (pid === undefined) return;
    const { stdout } = spawnSync("ps", ["-o", "pid=,args=", "--ppid", String(pid)], { encoding: "utf8" });
    const host = stdout.split("\n").find((line) => line.includes("host/process"));
    if (host === undefined) return;
    process.kill(Number.parseInt(host, 10), "SIGKILL");
    this.kills.code += 1;
    this.#disturbed();
  }

  beCalm(): void {
    this.#isCalm = true;
    this.#control?.plan(undefined);
  }

  async close(): Promise<void> {
    this.#isCalm = true;
    this.#isClosed = true;
    this.#proxy?.close();
    this.#life?.kill("stage");
    await this.#disturbing?.catch(() => undefined);
    // It may have begun to start another one.
    this.#life?.kill("stage");
    await this.#life?.gone;
    for (const each of this.#workers) if (each !== undefined) await end(each);
    this.#control?.close();
  }

  /** As a careful caller does: what was not answered is asked again, in any way that there is. */
  async ask<Answer>(question: (desk: Desk, isRepeated: boolean) => Promise<Answer>): Promise<Answer> {
    const waiting = { since: performance.now() };
    this.#waiting.add(waiting);
    try {
      for (let isRepeated = false; ; isRepeated = true) {
        const life = this.#life;
        try {
          const answer = await question(await this.#draws.of(this.#ways)(), isRepeated);
          if (life !== undefined) life.answerCount += 1;
          return answer;
        } catch (error) {
          if (!isAionError(error)) throw error;
          if (!passing.has(error.code)) {
            if (life !== undefined) life.answerCount += 1;
            throw error;
          }
          if (this.#isClosed) throw error;
          const undisturbedMs = performance.now() - Math.max(waiting.since, this.#disturbedAt);
          if (undisturbedMs > patienceMs)
            throw await this.#tellHang(`nobody was answered for ${undisturbedMs} ms: ${error.message}`);
          await this.#beforeNextTry();
        }
      }
    } finally {
      this.#waiting.delete(waiting);
    }
  }

  /** All come when it is open; some come earlier, to one that is just about to be. */
  async #beforeNextTry(): Promise<void> {
    const life = this.#life;
    const isOpening = life !== undefined && life.isUp && !life.isOpen;
    await Promise.race([delay(this.#draws.between(20, 400)), ...(isOpening ? [life.opened] : [])]);
  }

  /** The same, told by its code if it was refused. */
  async told(question: (desk: Desk) => Promise<unknown>): Promise<string> {
    try {
      await this.ask(question);
      return "ok";
    } catch (error) {
      if (isAionError(error)) return error.code;
      throw error;
    }
  }

  async history(workflowId: string): Promise<readonly Event[]> {
    const events: Event[] = [];
    for (let fromSeq = 1; ;) {
      const request = { workflowId, fromSeq, limit: 400 };
      const page = await this.ask((of) => of.history(request));
      events.push(...page.events);
      if (page.events.length === 0) return events;
      fromSeq = page.nextSeq;
    }
  }

  /** As `aion history` shows it to operators. */
  historyOfCommand(workflowId: string): readonly unknown[] {
    const from = this.#of.isServed
      ? ["--url", `http://127.0.0.1:${this.#port}`]
      : ["--store", `sqlite:${this.file}`];
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ["--conditions=aion-source", command, "history", workflowId, "--json", ...from],
      { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
    );
    if (status !== 0) throw new Error(`aion history ended with ${status}: ${stderr}`);
    return (JSON.parse(stdout) as { readonly events: readonly unknown[] }).events;
  }
}
