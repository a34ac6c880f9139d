/** The processes of one play: they die, and are started again; and those who call, who come again until they are answered. */
import type { ChildProcess } from "node:child_process";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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
/** Above everything that a loaded machine may need. */
const patienceMs = 60_000;
/** Less than that, so that it is told first. */
const openingMs = 45_000;

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
  #engine: ChildProcess | undefined;
  readonly #workers: (ChildProcess | undefined)[] = [undefined, undefined];
  #port = 0;
  #proxy: CuttingProxy | undefined;
  #ways: readonly [() => Promise<Desk>, ...(() => Promise<Desk>)[]];
  #isCalm = false;
  #isClosed = false;
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
    this.#ways = [() => deskOfFile(this.file)];
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

  #spawn(args: readonly string[], isEngine: boolean): ChildProcess {
    const { planted } = this.#of;
    const isPlanted = isEngine && planted !== undefined;
    const flags = isPlanted ? ["--import", path.join(root, "sim/plant.ts")] : [];
    return spawn(process.execPath, [...flags, ...args], {
      cwd: root,
      stdio: ["ignore", "ignore", process.env["AION_STAGE_ERRORS"] === undefined ? "ignore" : "inherit"],
      env: {
        ...process.env,
        NODE_OPTIONS: "--conditions=aion-source",
        [directoryVariable]: this.directory,
        ...(isPlanted ? { AION_PLANTED: planted } : { NODE_COMPILE_CACHE: codeCache }),
        ...(this.#library === undefined || this.#control === undefined
          ? {}
          : {
              LD_PRELOAD: this.#library,
              DISK_FAULT_CONTROL: this.#control.file,
              DISK_FAULT_WATCH: this.file,
            }),
      },
    });
  }

  #openWorker(index: number): void {
    const url = this.#proxy?.url ?? "";
    this.#workers[index] = this.#spawn([command, "worker", desk, "--url", url], false);
  }

  /** Resolves when it can be reached, or has died. */
  async #open(): Promise<void> {
    const { isServed } = this.#of;
    const args = isServed
      ? [command, "server", "--data", this.directory, "--port", String(this.#port), "--log", "json"]
      : [path.join(import.meta.dirname, "engine-process.ts"), this.file];
    const engine = this.#spawn(args, true);
    this.#engine = engine;
    engine.once("exit", () => {
      if (!engine.killed && engine.signalCode === "SIGKILL") this.kills.disk += 1;
    });
    const until = Date.now() + openingMs;
    while (this.#isUp && !(await this.#isReached())) {
      if (Date.now() > until) throw new Error(`the engine, process ${engine.pid}, does not answer`);
      await delay(20);
    }
    // A life that ends by itself is no kill.
    if (engine.exitCode !== null) throw new Error(`the engine ended with exit code ${engine.exitCode}`);
  }

  async #isReached(): Promise<boolean> {
    try {
      if (this.#of.isServed) return (await fetch(`http://127.0.0.1:${this.#port}/health/ready`)).ok;
      await (await deskOfFile(this.file)).list({ filter: {}, limit: 1 });
      return true;
    } catch {
      return false;
    }
  }

  get #isUp(): boolean {
    const engine = this.#engine;
    return engine !== undefined && engine.exitCode === null && engine.signalCode === null;
  }

  /** `kill -9` of the engine, now: for whoever has just been answered. */
  killNow(): void {
    if (this.#isCalm || !this.#isUp || this.#engine?.kill("SIGKILL") !== true) return;
    this.kills.engine += 1;
  }

  /** Kills and starts again, until it is told to be calm; then everybody is there. */
  async disturb(): Promise<void> {
    while (!this.#isCalm) {
      if (!this.#isUp) {
        // For some of the time nobody is there.
        if (this.#draws.chance(0.3)) await delay(this.#draws.between(0, 1_800));
        this.#planDiskFault();
        await this.#open();
        // The disk may have killed it by now.
        continue;
      }
      await Promise.race([delay(this.#draws.between(100, 900)), this.#gone()]);
      if (this.#isCalm || !this.#isUp) continue;
      if (!this.#of.isServed || this.#draws.chance(0.4)) {
        if (this.#engine !== undefined && (await end(this.#engine))) this.kills.engine += 1;
      } else if (this.#draws.chance(0.5)) await this.#killWorker();
      else this.#killCode();
    }
    this.#control?.plan(undefined);
    if (!this.#isUp && !this.#isClosed) await this.#open();
  }

  #planDiskFault(): void {
    if (this.#control === undefined) return;
    if (this.#draws.chance(0.4)) {
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

  async #gone(): Promise<void> {
    if (this.#engine !== undefined && this.#isUp) await once(this.#engine, "exit");
  }

  async #killWorker(): Promise<void> {
    const index = this.#draws.between(0, this.#workers.length - 1);
    const worker = this.#workers[index];
    if (worker !== undefined && (await end(worker))) this.kills.worker += 1;
    this.#openWorker(index);
  }

  /** The process in which the server runs packaged code. */
  #killCode(): void {
    const pid = this.#engine?.pid;
    if (pid === undefined) return;
    const { stdout } = spawnSync("ps", ["-o", "pid=,args=", "--ppid", String(pid)], { encoding: "utf8" });
    const host = stdout.split("\n").find((line) => line.includes("host/process"));
    if (host === undefined) return;
    process.kill(Number.parseInt(host, 10), "SIGKILL");
    this.kills.code += 1;
  }

  beCalm(): void {
    this.#isCalm = true;
  }

  async close(): Promise<void> {
    this.#isCalm = true;
    this.#isClosed = true;
    this.#proxy?.close();
    for (const each of [this.#engine, ...this.#workers]) if (each !== undefined) await end(each);
    this.#control?.close();
  }

  /** As a careful caller does: what was not answered is asked again, in any way that there is. */
  async ask<Answer>(question: (desk: Desk, isRepeated: boolean) => Promise<Answer>): Promise<Answer> {
    const until = Date.now() + patienceMs;
    for (let isRepeated = false; ; isRepeated = true) {
      try {
        return await question(await this.#draws.of(this.#ways)(), isRepeated);
      } catch (error) {
        if (!isAionError(error) || !passing.has(error.code) || Date.now() > until || this.#isClosed)
          throw error;
        await delay(20);
      }
    }
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
