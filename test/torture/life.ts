import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { DiskControl } from "./disk-fault.ts";
import type { VictimOptions } from "./victim.ts";
import type { Said } from "./workload.ts";

const root = path.dirname(path.dirname(import.meta.dirname));
const program = path.join(import.meta.dirname, "victim.ts");
/** Compiled code of the engine: a process is up in a tenth of a second instead of a quarter. */
const codeCache = path.join(root, "node_modules", ".cache", "torture", "code");

export interface LifeOptions extends VictimOptions {
  /** Another program than the victim, with its arguments: what it says is in the record of its disk. */
  readonly program?: readonly string[];
  /** A folder for what it says. */
  readonly folder: string;
  readonly name: string;
  readonly disk?: { readonly library: string; readonly control: DiskControl; readonly record?: string };
  /** Before the program's name. */
  readonly nodeOptions?: readonly string[];
  /** What starts the process, if not we: `["unshare", "-m"]`. */
  readonly wrapper?: readonly string[];
  /** After which a life that has not ended counts as hung. */
  readonly limitMs?: number;
}

export interface Death {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly isHung: boolean;
}

/** On a machine that is busy with others a life may take minutes. */
const limitMsDefault = 240_000;

/** One victim, from its start to its death. */
export class Life {
  readonly process: ChildProcess;
  readonly ended: Promise<Death>;
  readonly #saidFile: string;
  readonly #errorFile: string;

  constructor(options: LifeOptions) {
    mkdirSync(codeCache, { recursive: true });
    this.#saidFile = path.join(options.folder, `${options.name}.said`);
    this.#errorFile = path.join(options.folder, `${options.name}.stderr`);
    const { path: store, script, lease, hasSocket, isPatient, isLiar, disk } = options;
    const victim: VictimOptions = {
      path: store,
      script,
      ...(lease === undefined ? {} : { lease }),
      ...(hasSocket === undefined ? {} : { hasSocket }),
      ...(isPatient === undefined ? {} : { isPatient }),
      ...(isLiar === undefined ? {} : { isLiar }),
    };
    const command = [
      ...(options.wrapper ?? []),
      process.execPath,
      ...(options.nodeOptions ?? []),
      ...(options.program ?? [program, JSON.stringify(victim)]),
    ];
    const output = openSync(this.#saidFile, "a");
    const errors = openSync(this.#errorFile, "a");
    this.process = spawn(command[0] ?? "", command.slice(1), {
      stdio: ["ignore", output, errors],
      env: {
        ...process.env,
        NODE_OPTIONS: "--conditions=aion-source",
        NODE_COMPILE_CACHE: codeCache,
        ...(disk === undefined
          ? {}
          : {
              LD_PRELOAD: disk.library,
              DISK_FAULT_CONTROL: disk.control.file,
              DISK_FAULT_WATCH: store,
              ...(disk.record === undefined ? {} : { DISK_FAULT_RECORD: disk.record }),
            }),
      },
    });
    closeSync(output);
    closeSync(errors);
    this.ended = this.#end(options.limitMs ?? limitMsDefault);
  }

  async #end(limitMs: number): Promise<Death> {
    const exited = once(this.process, "exit");
    const stop = new AbortController();
    let isHung = false;
    void delay(limitMs, undefined, { signal: stop.signal }).then(
      () => {
        isHung = true;
        this.process.kill("SIGCONT");
        this.process.kill("SIGKILL");
      },
      () => undefined,
    );
    const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null];
    stop.abort();
    return { code, signal, isHung };
  }

  /** What it has said so far. */
  said(): readonly Said[] {
    const text = readFileSync(this.#saidFile, "utf8");
    const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Said);
  }

  /** What it complained of. */
  complaints(): string {
    return readFileSync(this.#errorFile, "utf8");
  }

  async until(condition: (said: readonly Said[]) => boolean, limitMs = 60_000): Promise<boolean> {
    for (const endAt = performance.now() + limitMs; performance.now() < endAt;) {
      if (condition(this.said())) return true;
      if (this.process.exitCode !== null || this.process.signalCode !== null) return condition(this.said());
      await delay(5);
    }
    return false;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.process.kill(signal);
  }
}
