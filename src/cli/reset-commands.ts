import type { Command } from "commander";
import type { ResetReply, ResetRequest } from "../client/service.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { countOption } from "./usage.ts";

interface ResetOptions {
  readonly to?: number;
  readonly run?: string;
  readonly reason?: string;
  readonly requestId?: string;
  readonly version?: string;
}

/** The commands that let a workflow go on from an earlier point: reset, fork. */
export function addResetCommands(program: Command): void {
  addReset(
    program
      .command("reset")
      .description(
        "Lets a workflow go on from an earlier point, as a new run; one that is open is terminated.",
      )
      .argument("<id>", "workflow id"),
  )
    .option("--no-signals", "leave out the signals that came after that point")
    .action(reset);
  addReset(
    program
      .command("fork")
      .description("The same under an id of its own; nothing happens to the workflow that it is of.")
      .argument("<id>", "workflow id")
      .argument("<new-id>", "the workflow id of the fork"),
  )
    .option("--signals", "take along the signals that came after that point")
    .action(fork);
}

function addReset(command: Command): Command {
  return command
    .option(
      "--to <seq>",
      "the last event that is kept (see `history --points`); without it, of a run that did not end well or is blocked, the last one before what went wrong",
      countOption("--to", Number.MAX_SAFE_INTEGER),
    )
    .option("--run <run-id>", "from this run of the chain instead of the latest")
    .option("--reason <text>", "recorded with it")
    .option("--request-id <id>", "names this call: repeated, it gives the run it gave before")
    .option("--version <version>", "of the code; `same`: that of the old run. Default: that of new runs");
}

async function reset(
  workflowId: string,
  options: ResetOptions & { readonly signals: boolean },
  command: Command,
): Promise<void> {
  const request = {
    ...toRequest(workflowId, options),
    ...(options.signals ? {} : { signals: "drop" as const }),
  };
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const reply = await service.reset(request);
    session.output.told("reset", told("reset", reply), reply);
  });
}

async function fork(
  workflowId: string,
  newWorkflowId: string,
  options: ResetOptions & { readonly signals?: true },
  command: Command,
): Promise<void> {
  const request = {
    ...toRequest(workflowId, options),
    newWorkflowId,
    ...(options.signals === true ? { signals: "carry" as const } : {}),
  };
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const reply = await service.fork(request);
    session.output.told("fork", told(`forked ${workflowId} as`, reply), reply);
  });
}

function toRequest(workflowId: string, { to, run, reason, requestId, version }: ResetOptions): ResetRequest {
  return {
    workflowId,
    ...(to === undefined ? {} : { toSeq: to }),
    ...(run === undefined ? {} : { runId: run }),
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(version === undefined ? {} : { version }),
  };
}

function told(what: string, { workflowId, runId, toSeq, isNew }: ResetReply): string {
  const said = isNew ? what : `was there already: ${what}`;
  return `${printable(said)} ${printable(workflowId)} (run ${printable(runId)}), going on from event ${toSeq}`;
}
