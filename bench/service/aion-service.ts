/** Aion as a service: `aion server` and `aion worker` as processes of their own, called over HTTP as any client does. */
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client } from "aion/client";
import { BenchError } from "../engine-under-test.ts";
import type { EngineOptions, EngineUnderTest } from "../engine-under-test.ts";
import { benchRoot } from "../paths.ts";
import { childrenOf } from "../process-meter.ts";

export interface StepService extends Pick<EngineUnderTest, "open" | "close" | "runSteps"> {
  /** Of those that it consists of, by what they are. */
  processIds?(): Readonly<Record<string, number>>;
}

/** More than are ever in flight: what limits is then the engine. */
const concurrency = 2_000;

export function aionService({ directory }: EngineOptions): StepService {
  const index = fileURLToPath(import.meta.resolve("aion"));
  const command = join(dirname(index), "cli", `main${extname(index)}`);
  const file = join(benchRoot, "service", "steps.ts");
  const processes: ChildProcess[] = [];
  let client: Client | undefined;

  /** Resolves with the first line that it says. */
  const start = async (args: readonly string[]): Promise<{ readonly url: string }> => {
    const child = spawn(process.execPath, [command, ...args, "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    processes.push(child);
    const ended = once(child, "exit").then(() => {
      throw new BenchError(`aion ${args[0]} ended`);
    });
    ended.catch(() => undefined);
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), ended])) as [string];
    return JSON.parse(line) as { readonly url: string };
  };

  return {
    async open() {
      const data = join(directory, "data");
      const { url } = await start(["server", "--data", data, "--port", "0", "--log-level", "warn"]);
      await promisify(execFile)(process.execPath, [command, "deploy", file, "--url", url]);
      await start(["worker", file, "--url", url, "--concurrency", String(concurrency)]);
      client = new Client({ url });
    },
    async close() {
      for (const child of processes.toReversed()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill("SIGTERM");
        await once(child, "exit");
      }
    },
    processIds() {
      const [server = 0, worker = 0] = processes.map(({ pid }) => pid);
      return { server, codeHost: childrenOf(server)[0] ?? 0, worker };
    },
    async runSteps(id, input) {
      if (client === undefined) throw new BenchError("the service is not open");
      const run = await client.start("steps", input, { id });
      return await run.result();
    },
  };
}
