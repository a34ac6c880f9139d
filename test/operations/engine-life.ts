/** One life of an engine, from its start to its death, as the stage has seen it. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { autopsyFlags, examine } from "../torture/autopsy.ts";

export interface EngineLifeOptions {
  /** The program, with its arguments. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Where it complains to. */
  readonly errorFile: string;
  /** The line in which it says that it is open. */
  readonly openLine: RegExp;
}

export type DeathCause = "stage" | "caller" | "itself";

const complaintChars = 600;

export class EngineLife {
  readonly process: ChildProcess;
  /** It has said that it is open (true), or has died before. */
  readonly opened: Promise<boolean>;
  readonly gone: Promise<void>;
  readonly #errorFile: string;
  readonly #startedAt = performance.now();
  #openAt: number | undefined;
  #endedAt: number | undefined;
  #endedBy: DeathCause = "itself";
  answerCount = 0;

  constructor({ args, cwd, env, errorFile, openLine }: EngineLifeOptions) {
    this.#errorFile = errorFile;
    const errors = openSync(errorFile, "a");
    this.process = spawn(process.execPath, [...autopsyFlags(path.dirname(errorFile)), ...args], {
      cwd,
      stdio: ["ignore", "pipe", errors],
      env,
    });
    closeSync(errors);
    this.gone = once(this.process, "exit").then(() => {
      this.#endedAt = performance.now();
    });
    const said = new Promise<void>((resolve) => {
      const { stdout } = this.process;
      if (stdout === null) return;
      createInterface(stdout).on("line", (line) => {
        if (openLine.test(line)) resolve();
      });
    });
    this.opened = Promise.race([
      said.then(() => {
        this.#openAt ??= performance.now();
        return true;
      }),
      this.gone.then(() => false),
    ]);
  }

  get isUp(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  get isOpen(): boolean {
    return this.#openAt !== undefined && this.isUp;
  }

  /** How long it has been open by now. */
  get openMs(): number {
    return this.#openAt === undefined ? 0 : performance.now() - this.#openAt;
  }

  /** It died of `kill -9`, and not of ours: of its disk's. */
  get isEndedByDisk(): boolean {
    return this.#endedBy === "itself" && this.process.signalCode === "SIGKILL";
  }

  /** `kill -9`. False: it had ended by itself. */
  kill(by: DeathCause): boolean {
    if (!this.isUp || !this.process.kill("SIGKILL")) return false;
    this.#endedBy = by;
    return true;
  }

  /** In one line. */
  tell(): string {
    const since = (at: number | undefined): string =>
      at === undefined ? "never" : `after ${Math.round(at - this.#startedAt)} ms`;
    const { pid, exitCode, signalCode } = this.process;
    const end =
      this.#endedAt === undefined
        ? `alive after ${Math.round(performance.now() - this.#startedAt)} ms`
        : `ended ${since(this.#endedAt)} by ${this.#endedBy} (${signalCode ?? `exit code ${exitCode}`})`;
    return `process ${pid}: open ${since(this.#openAt)}, ${this.answerCount} answers, ${end}`;
  }

  /** The last that it complained of. */
  complaints(): string {
    return this.#readErrors().slice(-complaintChars).trim();
  }

  /** What it is at, of one that does not answer. */
  examine(): Promise<string> {
    return examine({
      process: this.process,
      directory: path.dirname(this.#errorFile),
      complaints: () => this.#readErrors(),
    });
  }

  #readErrors(): string {
    return readFileSync(this.#errorFile, "utf8");
  }
}
