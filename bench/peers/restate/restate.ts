/**
 * Restate as its documentation uses it: one server node, the service in its own process, keyed
 * workflows (so that the caller chooses the id), `ctx.run`, `ctx.sleep`, durable promises or calls
 * of a virtual object. The caller is a client of the server's ingress.
 */
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BenchError } from "../../engine-under-test.ts";
import type {
  CrashableEngine,
  CrashableHost,
  EngineOptions,
  EngineUnderTest,
  SpawnOptions,
} from "../../engine-under-test.ts";
import { runInFlight } from "../../pool.ts";
import { treeMemory } from "../../process-meter.ts";
import { payloadFor } from "../../trivial-step.ts";
import { openIngress } from "./ingress.ts";
import type { Ingress } from "./ingress.ts";
import { endProcess, portsOf, registerService, spawnServer, spawnService } from "./server.ts";
import type { ServiceProcess } from "./server.ts";

const messageStyles = ["durable promises", "object calls"] as const;

export function restateEngine({ directory }: EngineOptions): EngineUnderTest {
  let server: ChildProcess | undefined;
  let service: ServiceProcess | undefined;
  let ingress: Ingress | undefined;
  const post = async (path: string, body: unknown): Promise<string> => {
    if (ingress === undefined) throw new BenchError("Restate is not open");
    return await ingress.post(path, body);
  };

  return {
    name: "restate",
    messageStyles,
    async open() {
      const ports = await portsOf(directory);
      server = spawnServer(directory, ports);
      service = spawnService(ports, undefined);
      await service.listening;
      await registerService(ports);
      ingress = openIngress(ports.ingress);
      await wakePartitions(ingress);
    },
    async close() {
      ingress?.close();
      if (service !== undefined) await endProcess(service.child, "SIGKILL");
      // The directory is thrown away; a graceful stop would wait for the workflows that sleep.
      if (server !== undefined) await endProcess(server, "SIGKILL");
    },
    runSteps: (id, input) => post(`/steps/${id}/run`, input),
    runFanOut: (id, width) => post(`/fanOut/${id}/run`, { width }),
    runSequence: (id, steps) => post(`/sequence/${id}/run`, { steps }),
    async startSleeper(id) {
      await post(`/sleeper/${id}/run/send`, payloadFor(id));
    },
    async startReceiver(id, count, style) {
      if (style === "object calls") {
        // The object handles a message before its call is answered, so the last answer is the end.
        const handled: Promise<unknown>[] = [];
        return {
          async send(_index, payload) {
            const call = post(`/objectReceiver/${id}/add`, payload);
            handled.push(call);
            await call;
          },
          result: () => Promise.all(handled),
        };
      }
      const result = post(`/promiseReceiver/${id}/run`, { count });
      return {
        async send(index, payload) {
          await post(`/promiseReceiver/${id}/send`, { index, payload });
        },
        result: () => result,
      };
    },
  };
}

/**
 * A server that was made a moment ago is healthy before all of its partitions have a leader, and the
 * first calls wait for that. Random ids reach all 24 of them. No steps: these are counted elsewhere.
 */
async function wakePartitions(ingress: Ingress): Promise<void> {
  await runInFlight(200, 50, () => {
    const id = randomUUID();
    return ingress.post(`/objectReceiver/${id}/add`, payloadFor(id));
  });
}

const serviceScope = "service";
const everythingScope = "server and service";

export function restateCrashable({ directory }: EngineOptions): CrashableEngine {
  let server: ChildProcess | undefined;
  let current: Promise<CrashableHost> | undefined;
  const spawn = async ({ killAtStep, probe = false }: SpawnOptions): Promise<CrashableHost> => {
    const ports = await portsOf(directory);
    const spawnedAt = performance.now();
    // After a kill of the service alone the server is still up.
    server = server === undefined || isGone(server) ? spawnServer(directory, ports) : server;
    const runningServer = server;
    const service = spawnService(ports, killAtStep);
    const ingress = openIngress(ports.ingress);
    const died = once(service.child, "exit").then(() => undefined);

    // A server that knows the service already needs no registration, and is not asked again.
    const registered = join(directory, "restate-registered");
    const open = async (): Promise<void> => {
      await service.listening;
      if (existsSync(registered)) return;
      await registerService(ports);
      await wakePartitions(ingress);
      writeFileSync(registered, "");
    };
    const opened = open();
    const runProbe = async (): Promise<number> => {
      await opened;
      for (;;) {
        try {
          await ingress.post(`/steps/${randomUUID()}/run`, payloadFor("probe"));
          return performance.now() - spawnedAt;
        } catch {
          await delay(10); // The server refuses connections, or answers "not ready", until it is up.
        }
      }
    };
    const readyMs = probe ? runProbe() : Promise.reject(new BenchError("no probe was asked for"));
    const firstStepMs = service.firstStep.then(() => performance.now() - spawnedAt);
    // Whoever needs the answer awaits it; for the others a death is what the workload wants.
    readyMs.catch(() => {});
    firstStepMs.catch(() => {});
    opened.catch(() => {});

    return {
      opened,
      firstStepMs,
      readyMs,
      died,
      async startSequence(id, steps) {
        await ingress.post(`/sequence/${id}/run/send`, { steps });
      },
      async startSleepers(count, inFlight) {
        const startedAt = performance.now();
        await runInFlight(count, inFlight, () => {
          const id = randomUUID();
          return ingress.post(`/sleeper/${id}/run/send`, payloadFor(id));
        });
        return (performance.now() - startedAt) / 1000;
      },
      startLongHistory: () => Promise.reject(new BenchError("Restate builds no long history")),
      memory: () => ({
        server: treeMemory(runningServer.pid ?? 0).residentMib,
        service: treeMemory(service.child.pid ?? 0).residentMib,
      }),
      async kill(scope = everythingScope) {
        ingress.close();
        await endProcess(service.child, "SIGKILL");
        if (scope === everythingScope) await endProcess(runningServer, "SIGKILL");
      },
    };
  };
  return {
    killScopes: [serviceScope, everythingScope],
    async prepare() {},
    spawn(options) {
      current = spawn(options);
      return current;
    },
    async dispose() {
      await (await current)?.kill();
    },
  };
}

function isGone(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
