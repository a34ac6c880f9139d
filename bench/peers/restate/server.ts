/**
 * The processes of the Restate peer: one server node with the settings it ships with (its log is
 * written with fsync), and the service process beside it.
 */
import { fork, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BenchError } from "../../engine-under-test.ts";
import { freePort } from "../../free-port.ts";
import { peerRoot } from "../../paths.ts";
import type { ServiceReport, ServiceSpec } from "./service.ts";

export interface RestatePorts {
  readonly ingress: number;
  readonly admin: number;
  readonly node: number;
  readonly service: number;
}

const startTimeoutMs = 60_000;

export function restateBinary(): string {
  return join(
    peerRoot("restate"),
    "node_modules",
    "@restatedev",
    `restate-server-${process.platform}-${process.arch}`,
    "bin",
    "restate-server",
  );
}

/** The ports of a directory stay the same over restarts: the server remembers where the service is. */
export async function portsOf(directory: string): Promise<RestatePorts> {
  const file = join(directory, "restate-ports.json");
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as RestatePorts;
  const ports: RestatePorts = {
    ingress: await freePort(),
    admin: await freePort(),
    node: await freePort(),
    service: await freePort(),
  };
  writeFileSync(file, JSON.stringify(ports));
  return ports;
}

export function spawnServer(directory: string, ports: RestatePorts): ChildProcess {
  const log = openSync(join(directory, "restate-server.log"), "a");
  return spawn(restateBinary(), ["--no-logo", "--node-name", "bench"], {
    stdio: ["ignore", log, log],
    env: {
      ...process.env,
      RESTATE_BASE_DIR: join(directory, "restate"),
      RESTATE_LISTEN_MODE: "tcp",
      RESTATE_BIND_ADDRESS: `127.0.0.1:${ports.node}`,
      RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${ports.node}`,
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ports.ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${ports.admin}`,
      RESTATE_LOG_FILTER: "warn",
      RESTATE_DISABLE_TELEMETRY: "true",
    },
  });
}

export interface ServiceProcess {
  readonly child: ChildProcess;
  readonly listening: Promise<void>;
  readonly firstStep: Promise<void>;
}

export function spawnService(ports: RestatePorts, killAtStep: number | undefined): ServiceProcess {
  const spec: ServiceSpec = { port: ports.service, killAtStep };
  const child = fork(join(import.meta.dirname, "service.js"), [JSON.stringify(spec)], {
    // The SDK logs each attempt that fails, which is each run at the moment of a kill.
    env: { ...process.env, RESTATE_LOGGING: "ERROR" },
  });
  const reported = (type: ServiceReport["type"]): Promise<void> =>
    new Promise((resolve, reject) => {
      child.on("message", (report: ServiceReport) => {
        if (report.type === type) resolve();
      });
      child.once("exit", (code, signal) => {
        reject(new BenchError(`the Restate service ended (${signal ?? code}) before "${type}"`));
      });
    });
  const listening = reported("listening");
  const firstStep = reported("firstStep");
  // As for the host: a death is what the workload wants.
  listening.catch(() => {});
  firstStep.catch(() => {});
  return { child, listening, firstStep };
}

/** Waits until the server's HTTP interfaces answer, then makes the services known to it. */
export async function registerService(ports: RestatePorts): Promise<void> {
  await waitUntilHealthy(`http://127.0.0.1:${ports.admin}/health`);
  await waitUntilHealthy(`http://127.0.0.1:${ports.ingress}/restate/health`);
  const response = await fetch(`http://127.0.0.1:${ports.admin}/deployments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ uri: `http://127.0.0.1:${ports.service}` }),
  });
  if (!response.ok) throw new BenchError(`Restate did not register the service: ${await response.text()}`);
}

async function waitUntilHealthy(url: string): Promise<void> {
  const until = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      if ((await fetch(url)).ok) return;
    } catch {
      // Not listening yet.
    }
    if (performance.now() > until) throw new BenchError(`Restate did not come up: ${url}`);
    await delay(10);
  }
}

export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}
