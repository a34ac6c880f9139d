import type { Command } from "commander";
import type { TaskQueueInfo, WorkerInfo, WorkersRequest } from "../client/service.ts";
import { formatRelative } from "./instant.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { table } from "./table.ts";

/** The command that shows who works, and what waits: workers. */
export function addWorkersCommand(program: Command): void {
  program
    .command("workers")
    .description("Who runs activities, and what waits in task queues.")
    .option("--task-queue <name>", "this one alone, and who takes tasks from it")
    .action(workers);
}

async function workers(options: WorkersRequest, command: Command): Promise<void> {
  const session = new Session(command);
  const { output } = session;
  await session.with({ purpose: "read" }, async ({ service, via }) => {
    const reply = await service.listWorkers(options);
    if (output.isJson) {
      output.json("workers", reply);
      return;
    }
    if (via === "file") output.note(`no engine is running on ${session.placeName}, so nobody works for one`);
    if (via === "beside") output.note("who works for the engine, only the engine knows");
    for (const line of describeWorkers(reply.workers)) output.line(line);
    for (const line of describeQueues(reply.taskQueues, Date.now())) output.line(line);
  });
}

function describeWorkers(all: readonly WorkerInfo[]): readonly string[] {
  if (all.length === 0) return ["no workers"];
  return [
    table(
      [
        { title: "WORKER", cut: "middle" },
        { title: "STATE" },
        { title: "TASKS" },
        { title: "QUEUES", cut: "end" },
        { title: "ACTIVITIES", cut: "end" },
        { title: "BUILD", cut: "middle", leaveOut: 1 },
      ],
      all.map(({ identity, state, tasksInFlight, capacity, taskQueues, activityTypes, build }) => [
        printable(identity),
        state,
        `${tasksInFlight} of ${capacity}`,
        taskQueues.map(printable).join(", "),
        activityTypes.map(printable).join(", "),
        printable(build ?? ""),
      ]),
    ),
  ];
}

function describeQueues(queues: readonly TaskQueueInfo[], nowMs: number): readonly string[] {
  if (queues.length === 0) return ["nothing waits for a worker"];
  return [
    table(
      [{ title: "TASK QUEUE", cut: "middle" }, "WAITING", "SINCE", "IN FLIGHT"],
      queues.map(({ taskQueue, waitingCount, waitingSince, inFlightCount }) => [
        printable(taskQueue),
        String(waitingCount),
        waitingSince === undefined ? "" : formatRelative(waitingSince, nowMs),
        String(inFlightCount),
      ]),
    ),
  ];
}
