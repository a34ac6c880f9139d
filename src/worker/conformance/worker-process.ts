import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { AionError } from "../../core/errors.ts";
import { messageOf } from "../../core/payload.ts";
import { answerHttp } from "../../http/node-http.ts";
import type { WorkerAcceptor } from "../../protocol/transport.ts";
import type { RunningWorker, WorkerUnderTest } from "./run-scenario.ts";

export interface WorkerProcessOptions {
  /** What it writes to stdout and stderr. Default: goes nowhere. */
  readonly onOutput?: (text: string) => void;
}

/** For who was told to stop: longer, and it is ended. */
const stopMs = 5_000;
const payloadLimitBytes = 2 * 1024 * 1024;

/**
 * A worker of any make as a process of its own, that speaks gRPC to a server on a port of this machine. The command is started anew for
 * each scenario, with `AION_URL`, `AION_TASK_QUEUES` (separated by commas) and `AION_CONCURRENCY` in its environment. SIGTERM asks it
 * to drain and leave; it ends by itself when it is refused for good.
 */
export function workerProcess(
  command: readonly [file: string, ...args: string[]],
  { onOutput = () => undefined }: WorkerProcessOptions = {},
): WorkerUnderTest {
  return {
    start: async (engine, { taskQueues, capacity }): Promise<RunningWorker> => {
      const server = await serveWorkers(engine);
      const [file, ...args] = command;
      const child = spawn(file, args, {
        env: {
          ...process.env,
          AION_URL: server.url,
          AION_TASK_QUEUES: taskQueues.join(","),
          AION_CONCURRENCY: String(capacity),
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", onOutput);
      try {
        await once(child, "spawn");
      } catch (error) {
        await server.close();
        throw new AionError("invalid_argument", `${file} cannot be started: ${messageOf(error)}`, {
          cause: error,
        });
      }
      const stopped = once(child, "exit");
      let stopping: Promise<void> | undefined;
      const stop = async (): Promise<void> => {
        // The second signal to a worker may mean that it is to end at once.
        child.kill("SIGTERM");
        const timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
        await stopped;
        clearTimeout(timer);
        await server.close();
      };
      return { stop: () => (stopping ??= stop()), stopped };
    },
  };
}

/** The part of a server that workers see, for whoever plays the engine. */
async function serveWorkers(engine: WorkerAcceptor): Promise<{
  readonly url: string;
  close(): Promise<void>;
}> {
  const answers = answerHttp({
    serviceOf: () => {
      throw new AionError("endpoint_unknown", "only workers are served here");
    },
    workersOf: () => engine,
    payloadLimitBytes,
    version: "conformance",
  });
  const listener = createServer({ pauseOnConnect: true }, (caller) => answers.take(caller));
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(listener, "close");
      listener.close();
      await answers.close();
      await closed;
    },
  };
}
