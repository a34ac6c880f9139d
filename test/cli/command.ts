import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { text } from "node:stream/consumers";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { Engine } from "../../src/embedded/engine.ts";
import type { EngineOptions } from "../../src/embedded/engine.ts";
import { approve, charge, fulfil, pay, settle, ship } from "./workflows.ts";

export const commandFile = path.join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly stdin?: string;
  /** `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A store of its own for a test, with the command and an engine on it. */
export class CommandTest {
  readonly directory = mkdtempSync(path.join(tmpdir(), "aion-cli-"));
  readonly file = path.join(this.directory, "aion.db");
  readonly store = `sqlite:${this.file}`;
  readonly #processes = new Set<ChildProcess>();
  readonly #engines = new Set<Engine>();

  /** `aion ARGS --store …` in a process of its own. */
  async run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const command = this.spawn(args, options);
    const [stdout, stderr, exitCode] = await Promise.all([
      text(command.stdout),
      text(command.stderr),
      new Promise<number | null>((resolve) => command.once("close", resolve)),
    ]);
    return { exitCode, stdout, stderr };
  }

  /** The one JSON document that a command prints. */
  async json(args: readonly string[], options: CommandOptions = {}): Promise<unknown> {
    const { stdout, stderr } = await this.run([...args, "--json"], options);
    if (stdout === "") throw new Error(`aion ${args.join(" ")} printed nothing: ${stderr}`);
    return JSON.parse(stdout);
  }

  spawn(args: readonly string[], options: CommandOptions = {}) {
    const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, AION_STORE: _store, ...env } = process.env;
    const command = spawn(process.execPath, [commandFile, ...args], {
      cwd: this.directory,
      env: { ...env, AION_STORE: this.store, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#processes.add(command);
    command.once("close", () => this.#processes.delete(command));
    command.stdin.end(options.stdin ?? "");
    return command;
  }

  async openEngine(options: Partial<EngineOptions> = {}): Promise<Engine> {
    const engine = await Engine.open({
      store: this.store,
      workflows: [fulfil, ship, approve, settle],
      activities: [charge, pay],
      log: () => undefined,
      ...options,
    });
    this.#engines.add(engine);
    return engine;
  }

  /** An engine that has made the file, and is gone. */
  async makeStore(use: (engine: Engine) => Promise<unknown> = async () => undefined): Promise<void> {
    const engine = await this.openEngine();
    await use(engine);
    await engine.close();
  }

  async dispose(): Promise<void> {
    for (const command of this.#processes) command.kill("SIGKILL");
    for (const engine of this.#engines) await engine.close({ drain: 0 });
    rmSync(this.directory, { recursive: true, force: true });
  }
}
