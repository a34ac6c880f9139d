import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import type { Service, UpdateReply } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import { fromPayload } from "../core/payload.ts";
import { addInput, toInput } from "./act-commands.ts";
import type { InputOptions } from "./act-commands.ts";
import { toUpdateView } from "./json-view.ts";
import { errorStyle } from "./output.ts";
import { printable } from "./printable.ts";
import { failureLines } from "./run-view.ts";
import { Session } from "./session.ts";
import { durationOption, usageError } from "./usage.ts";

/** One wait is no longer, so that an engine that comes or goes meanwhile is noticed. */
const waitPerCallMs = 20_000;

interface UpdateCommandOptions extends InputOptions {
  readonly run?: string;
  readonly updateId?: string;
  readonly wait: boolean;
  readonly timeout?: number;
}

export function addUpdateCommand(program: Command): void {
  addInput(
    program
      .command("update")
      .description(
        "Asks a run to do something, and waits for its answer; exit code 1 when that is a failure.",
      )
      .argument("<id>", "workflow id")
      .argument("[name]", "update name; without one, waits for the update that --update-id names"),
  )
    .option("--run <run-id>", "this run of the chain instead of the latest")
    .option("--update-id <id>", "a second update with this id is the first one")
    .option("--no-wait", "only until the update is accepted")
    .option("--timeout <duration>", "wait no longer than this", durationOption("--timeout"))
    .action(update);
}

async function update(
  workflowId: string,
  name: string | undefined,
  options: UpdateCommandOptions,
  command: Command,
): Promise<void> {
  const session = new Session(command);
  if (name === undefined && options.updateId === undefined)
    throw usageError("neither an update nor the id of one is named", "Pass its name, or --update-id.");
  if (name === undefined && (options.input !== undefined || options.inputFile !== undefined))
    throw usageError("an input belongs to an update that is made", "Pass its name, too.");
  const input = toInput(options);
  const endAt = performance.now() + (options.timeout ?? Number.POSITIVE_INFINITY);
  // Made here, so that it is the same update if the engine goes away while it is waited for.
  const updateId = options.updateId ?? randomUUID();
  const address = { workflowId, ...(options.run === undefined ? {} : { runId: options.run }) };
  let known: UpdateReply | undefined;
  const ask = (service: Service, waitMs: number): Promise<UpdateReply> => {
    if (known?.status === "accepted")
      return service.updateResult({ workflowId, runId: known.runId, updateId, waitMs });
    if (name === undefined) return service.updateResult({ ...address, updateId, waitMs });
    const waitFor = options.wait ? "completed" : "accepted";
    return service.update({ ...address, name, input, updateId, waitMs, waitFor });
  };
  const until = async (service: Service): Promise<UpdateReply> => {
    for (;;) {
      const leftMs = Math.max(0, Math.ceil(endAt - performance.now()));
      known = await ask(service, Math.min(leftMs, waitPerCallMs));
      const isEnough = known.status === "accepted" && (!options.wait || known.blocked !== undefined);
      if (known.status === "completed" || known.status === "failed" || isEnough || leftMs === 0) return known;
    }
  };
  // What changes something goes to an engine, or is refused; what waits for it goes on over restarts.
  const purpose = name === undefined ? "read" : "write";
  const first = await session.with({ purpose }, ({ service }) => ask(service, 0));
  known = first;
  const reply =
    first.status === "completed" ||
    first.status === "failed" ||
    (first.status === "accepted" && !options.wait)
      ? first
      : await session.waiting(({ service }) => until(service));
  show(session, workflowId, reply, options);
}

function show(session: Session, workflowId: string, reply: UpdateReply, options: UpdateCommandOptions): void {
  const { output } = session;
  if (output.isJson) output.json("update", toUpdateView(workflowId, reply));
  const isAccepted = reply.status === "accepted" && !options.wait;
  if (reply.status === "completed" || isAccepted) {
    if (output.isJson) return;
    const text =
      reply.status === "completed"
        ? JSON.stringify(fromPayload(reply.result), undefined, 2)
        : `accepted as ${reply.updateId}`;
    output.line(printable(text));
    return;
  }
  session.fail();
  if (reply.status === "failed") {
    // The document has said so.
    if (output.isJson) return;
    const [first = "", ...causes] = failureLines(reply.failure, errorStyle);
    process.stderr.write(`${errorStyle(["bold", "red"], "failed")}: ${[first, ...causes].join("\n  ")}\n`);
    return;
  }
  const blocked = reply.status === "accepted" ? reply.blocked : undefined;
  const of = `update ${reply.updateId} of workflow ${workflowId}`;
  output.error(
    blocked === undefined
      ? new AionError(
          "result_timeout",
          `${of} ${reply.status === "accepted" ? "has no outcome" : "is not accepted"} yet`,
        )
      : new AionError("run_blocked", `${of} has no outcome, and run ${reply.runId} is blocked: ${blocked}`),
  );
}
