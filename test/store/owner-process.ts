/**
 * A process that owns a store, driven line by line, and its parent's side. Run as
 * `node owner-process.ts PATH LEASE_MS ENDPOINT WRITER`.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { isAionError } from "../../src/core/errors.ts";
import { mark, startOf, idOf } from "../../src/store/conformance/world.ts";
import type { OwnerToken } from "../../src/store/contract.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/store.ts";

export type OwnerCommand =
  | { readonly do: "claim" }
  | { readonly do: "start"; readonly id: string }
  | { readonly do: "extend"; readonly id: string; readonly runKey: number; readonly expectedSeq: number }
  /** Extends without end, three events a commit, and says the head after each acknowledgement. */
  | {
      readonly do: "pour";
      readonly id: string;
      readonly runKey: number;
      readonly expectedSeq: number;
      /** Between two commits. */
      readonly pauseMs?: number;
    };

export interface OwnerAnswer {
  readonly epoch?: number;
  readonly runKey?: number;
  readonly headSeq?: number;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details: Readonly<Record<string, unknown>>;
  };
}

export interface OwnerProcessOptions {
  readonly path: string;
  readonly leaseMs?: number;
  readonly endpoint?: string;
  readonly writer?: NonNullable<SqliteStoreOptions["writer"]>;
}

export class OwnerProcess {
  readonly process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(options: OwnerProcessOptions, command: readonly string[] = []) {
    const args = [
      ...command,
      process.execPath,
      import.meta.filename,
      options.path,
      String(options.leaseMs ?? 60_000),
      options.endpoint ?? "/run/first.sock",
      options.writer ?? "auto",
    ];
    this.process = spawn(args[0] ?? "", args.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    const { stdout } = this.process;
    if (stdout === null) throw new Error("the process has no output");
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  async ask(command: OwnerCommand): Promise<OwnerAnswer> {
    this.process.stdin?.write(`${JSON.stringify(command)}\n`);
    return await this.next();
  }

  async next(): Promise<OwnerAnswer> {
    const line = await this.#answers.next();
    if (line.done === true) throw new Error("the process has ended");
    return JSON.parse(line.value) as OwnerAnswer;
  }

  /** What it had said before it ended. */
  async rest(): Promise<readonly OwnerAnswer[]> {
    const answers: OwnerAnswer[] = [];
    for (let line = await this.#answers.next(); line.done !== true; line = await this.#answers.next()) {
      // The last line may be half of one.
      if (line.value.endsWith("}")) answers.push(JSON.parse(line.value) as OwnerAnswer);
    }
    return answers;
  }

  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill(signal);
    await exited;
  }
}

async function serve(): Promise<void> {
  const [path = "", leaseMs = "", endpoint = "", writer = "auto"] = process.argv.slice(2);
  const store = openSqliteStore({ path, writer: writer as NonNullable<SqliteStoreOptions["writer"]> });
  let token: OwnerToken | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const command = JSON.parse(line) as OwnerCommand;
      if (command.do === "claim") {
        token = await store.claim({ leaseMs: Number(leaseMs), endpoint });
        say({ epoch: token.epoch });
        continue;
      }
      if (token === undefined) throw new Error("claim first");
      if (command.do === "start") {
        const [result] = await store.append(token, [{ start: startOf(command.id) }]);
        if (result?.ok !== true) throw result?.error ?? new Error("no result");
        say({ headSeq: 1, ...(result.startedKey === undefined ? {} : { runKey: result.startedKey }) });
        continue;
      }
      let { expectedSeq } = command;
      do {
        const run = {
          runKey: command.runKey,
          workflowId: idOf(command.id),
          expectedSeq,
          events: [mark(`a${expectedSeq}`), mark("b"), mark("c")],
          status: "running" as const,
          wakeAt: null,
          wakeAtBefore: null,
        };
        const [result] = await store.append(token, [{ run }]);
        if (result?.ok !== true) throw result?.error ?? new Error("no result");
        expectedSeq += 3;
        say({ headSeq: expectedSeq });
        if (command.do === "pour" && command.pauseMs !== undefined) await sleep(command.pauseMs);
      } while (command.do === "pour");
    } catch (error) {
      if (!isAionError(error)) throw error;
      say({ error: { code: error.code, message: error.message, details: error.details } });
    }
  }
  await store.close();
}

function say(answer: OwnerAnswer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

if (import.meta.main) await serve();
