import type { Command } from "commander";
import type { ResetReply, ResetRequest, Service } from "../client/service.ts";
import { isClosed } from "../core/status.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { countOption, usageError } from "./usage.ts";

/** As `aion versions` shows it. */
const beginningOfVersion = /^[0-9a-f]{4,63}$/;

interface ResetOptions {
  readonly to?: number;
  readonly run?: string;
  readonly reason?: string;
  readonly requestId?: string;
  readonly codeVersion?: string;
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
    .option("--yes", "also if a later run than the one that is named is open, and is terminated by that")
    .action(reset);
  addReset(
    program
      .command("fork")
      .description(
        "Lets a copy of a workflow go on from an earlier point, under an id of its own; nothing happens to the workflow itself.",
      )
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
    .option(
      "--code-version <version>",
      "the package whose code goes on, or the beginning of its version; `same`: that of the old run. Default: that of new runs",
    );
}

async function reset(
  workflowId: string,
  options: ResetOptions & { readonly signals: boolean; readonly yes?: true },
  command: Command,
): Promise<void> {
  const signals = options.signals ? {} : { signals: "drop" as const };
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const request = await toRequest(workflowId, options, service);
    if (options.run !== undefined && options.yes !== true) await demandNoneOpen(request, service);
    const reply = await service.reset({ ...request, ...signals });
    session.output.told("reset", told("reset", reply), reply);
  });
}

/** Who names an old run need not know what has begun since. */
async function demandNoneOpen(
  { workflowId, runId, requestId }: ResetRequest,
  service: Service,
): Promise<void> {
  const { runId: latestId, status, resetOf } = await service.describe({ workflowId });
  // A call that is repeated ends nothing.
  const isMade = requestId !== undefined && resetOf?.runId === runId;
  if (latestId === runId || isClosed(status) || isMade) return;
  throw usageError(
    `a later run of workflow ${workflowId} than the one that is named is ${status}: run ${latestId} would be terminated`,
    "Add --yes if it is to end. `aion fork` leaves it alone, and goes on under another workflow id.",
  );
}

async function fork(
  workflowId: string,
  newWorkflowId: string,
  options: ResetOptions & { readonly signals?: true },
  command: Command,
): Promise<void> {
  const signals = options.signals === true ? { signals: "carry" as const } : {};
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const request = await toRequest(workflowId, options, service);
    const reply = await service.fork({ ...request, newWorkflowId, ...signals });
    session.output.told("fork", told(`forked ${workflowId} as`, reply), reply);
  });
}

async function toRequest(
  workflowId: string,
  { to, run, reason, requestId, codeVersion }: ResetOptions,
  service: Service,
): Promise<ResetRequest> {
  const version = codeVersion === undefined ? undefined : await toVersion(codeVersion, service);
  return {
    workflowId,
    ...(to === undefined ? {} : { toSeq: to }),
    ...(run === undefined ? {} : { runId: run }),
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(version === undefined ? {} : { version }),
  };
}

/** The one package whose version begins so; if there is none, the engine has to know it. */
async function toVersion(text: string, service: Service): Promise<string> {
  if (!beginningOfVersion.test(text)) return text;
  const { packages } = await service.listPackages({});
  const [only, ...others] = packages.filter(({ version }) => version.startsWith(text));
  if (others.length > 0)
    throw usageError(
      `${others.length + 1} packages have versions that begin with ${text}`,
      "Give more of it: `aion versions` tells what there is.",
    );
  return only?.version ?? text;
}

function told(what: string, { workflowId, runId, toSeq, isNew }: ResetReply): string {
  const said = isNew ? what : `was there already: ${what}`;
  return `${printable(said)} ${printable(workflowId)} (run ${printable(runId)}), going on from event ${toSeq}`;
}
