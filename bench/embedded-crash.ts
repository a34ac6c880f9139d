import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { BenchError } from "./engine-under-test.ts";
import type { CrashableEngine, CrashableHost, EngineOptions, SpawnOptions } from "./engine-under-test.ts";
import type { HostReport, HostRequest, HostSpec } from "./host-protocol.ts";
import { treeMemory } from "./process-meter.ts";

interface EmbeddedCrashOptions extends EngineOptions {
  readonly engine: HostSpec["engine"];
  /** Starts what survives the crash of the embedding process and returns how to stop it. */
  readonly startSurvivor?: () => Promise<{ readonly pid?: number; stop(): Promise<void> }>;
}

/** Crash tests of an engine that runs inside the program: the program's process is what dies. */
export function embeddedCrash(options: EmbeddedCrashOptions): CrashableEngine {
  let survivor: { readonly pid?: number; stop(): Promise<void> } | undefined;
  return {
    killScopes: ["process"],
    async prepare() {
      survivor = await options.startSurvivor?.();
    },
    spawn: (spawnOptions) => spawnHost(options, spawnOptions, survivor?.pid),
    async dispose() {
      await survivor?.stop();
    },
  };
}

async function spawnHost(
  { engine, directory }: EmbeddedCrashOptions,
  { killAtStep, probe = false }: SpawnOptions,
  survivorPid: number | undefined,
): Promise<CrashableHost> {
  const spec: HostSpec = { engine, directory, killAtStep, probe };
  const spawnedAt = performance.now();
  const child = fork(join(import.meta.dirname, "host.js"), [JSON.stringify(spec)]);
  const died = once(child, "exit").then(() => undefined);

  const waiting = new Map<HostReport["type"], (report: HostReport, atMs: number) => void>();
  const failures: ((error: Error) => void)[] = [];
  child.on("message", (report: HostReport) => {
    const atMs = performance.now() - spawnedAt;
    if (report.type === "failed") {
      for (const reject of failures) reject(new BenchError(report.message));
    } else {
      waiting.get(report.type)?.(report, atMs);
    }
  });
  const expectReport = <T>(
    type: HostReport["type"],
    toValue: (report: HostReport, atMs: number) => T,
  ): Promise<T> => {
    const promise = new Promise<T>((resolve, reject) => {
      waiting.set(type, (report, atMs) => {
        resolve(toValue(report, atMs));
      });
      failures.push(reject);
      void died.then(() => {
        reject(
          new BenchError(
            `the ${engine} process ended (${child.signalCode ?? child.exitCode}) before "${type}"`,
          ),
        );
      });
    });
    // Whoever needs the answer awaits it; for the others a death is what the workload wants.
    promise.catch(() => {});
    return promise;
  };
  const request = (message: HostRequest): void => {
    child.send(message);
  };

  return {
    opened: expectReport("opened", () => undefined),
    firstStepMs: expectReport("firstStep", (_, atMs) => atMs),
    readyMs: expectReport("ready", (_, atMs) => atMs),
    died,
    async startSequence(id, steps) {
      const started = expectReport("sequenceStarted", () => undefined);
      request({ type: "sequence", id, steps });
      await started;
    },
    async startSleepers(count, inFlight) {
      const started = expectReport("sleepersStarted", (report) =>
        report.type === "sleepersStarted" ? report.seconds : Number.NaN,
      );
      request({ type: "sleepers", count, inFlight });
      return await started;
    },
    async startLongHistory(id, events) {
      const built = expectReport("longHistoryBuilt", (report) =>
        report.type === "longHistoryBuilt" ? report.events : Number.NaN,
      );
      request({ type: "longHistory", id, events });
      return await built;
    },
    memory() {
      const memory: Record<string, number> = { process: treeMemory(child.pid ?? 0).residentMib };
      if (survivorPid !== undefined) memory["server"] = treeMemory(survivorPid).residentMib;
      return memory;
    },
    async kill() {
      child.kill("SIGKILL");
      await died;
    },
  };
}
