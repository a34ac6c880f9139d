import type { Command } from "commander";
import { AionError } from "../core/errors.ts";
import { parseDuration } from "../core/duration.ts";
import { defaultTaskQueue } from "../core/event.ts";
import type { AnyActivity } from "../workflow/definition.ts";
import { isImplemented } from "../workflow/definition.ts";
import { loadTracing } from "./load-tracing.ts";
import { serverLog } from "./server-log.ts";
import { Session } from "./session.ts";
import { asUsage, countOption, usageError } from "./usage.ts";
import { loadExports } from "./workflow-file.ts";

interface WorkerFlags {
  readonly taskQueue?: readonly string[];
  readonly concurrency?: number;
  readonly identity?: string;
  readonly tracing?: true;
  readonly drain: string;
}

const concurrencyMax = 10_000;

/** The command that runs activities for a server: worker. */
export function addWorkerCommand(program: Command): void {
  program
    .command("worker")
    .description("Runs the activities that files export, for a server.")
    .argument("<files...>", "files of workflows and activities, as Node runs them")
    .option(
      "--task-queue <names...>",
      "the lines that it takes tasks from (default: those that its activities name)",
    )
    .option(
      "--concurrency <number>",
      "tasks at once (default: 100)",
      countOption("--concurrency", concurrencyMax),
    )
    .option("--identity <name>", "names this process (default: host, process id and a random part)")
    .option("--tracing", "makes a span of each attempt, through OpenTelemetry (see the guide)")
    .option("--drain <duration>", "how long tasks may go on when it is stopped", "10s")
    .addHelpText(
      "after",
      `
SIGTERM and SIGINT drain: it takes no more tasks, and leaves when those under
way are recorded. A second one ends it at once; its tasks are then begun anew
by others.`,
    )
    .action(work);
}

async function work(files: readonly string[], flags: WorkerFlags, command: Command): Promise<void> {
  const session = new Session(command);
  const { output, place } = session;
  if (!("server" in place))
    throw usageError("a worker works for a server", "Pass --url http://127.0.0.1:4466.");
  const drain = asUsage(() => parseDuration(flags.drain, "--drain"));
  const activities = await loadActivities(files);
  const codec = await session.codec();
  // Only a worker needs it.
  const { Worker } = await import("../worker/index.ts");
  const { url, token, tls, namespace } = place.server;
  const worker = new Worker({
    url,
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(codec === undefined ? {} : { codec }),
    activities,
    taskQueues: flags.taskQueue ?? [
      ...new Set(activities.map(({ options }) => options.taskQueue ?? defaultTaskQueue)),
    ],
    ...(flags.concurrency === undefined ? {} : { concurrency: flags.concurrency }),
    ...(flags.identity === undefined ? {} : { identity: flags.identity }),
    ...(flags.tracing === true ? { tracing: await loadTracing() } : {}),
    log: serverLog(output.isJson ? "json" : undefined, "info"),
  });
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    if (count > 1) process.exit(130);
    void worker.stop({ drain });
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  // Of `aion dev`, which started it: a worker of its code is not to stay behind.
  if (process.connected) process.once("disconnect", onSignal);
  // Who has read this may send a signal.
  const types = activities.map(({ activityType }) => activityType);
  output.told("worker", `worker ${worker.identity} runs ${types.join(", ")} for ${url}`, {
    identity: worker.identity,
    activities: types,
    url,
    pid: process.pid,
  });
  await worker.run();
}

async function loadActivities(files: readonly string[]): Promise<readonly AnyActivity[]> {
  const loaded = await Promise.all(files.map(loadExports));
  const activities = [...new Set(loaded.flat().filter(isActivity))];
  if (activities.length > 0) return activities;
  throw new AionError("invalid_argument", `${files.join(", ")} export no activity`, {
    hint: 'Export what activity("name", …) returns.',
  });
}

function isActivity(value: unknown): value is AnyActivity {
  const mayBe = typeof value === "function" || (typeof value === "object" && value !== null);
  return mayBe && "kind" in value && value.kind === "activity" && isImplemented(value as AnyActivity);
}
