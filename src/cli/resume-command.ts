import type { Command } from "commander";
import { Option } from "commander";
import type { ResumeActivityRequest, Service } from "../client/service.ts";
import type { AionError } from "../core/errors.ts";
import { isAionError } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { countOption, parseJsonOption, readJsonFile, usageError } from "./usage.ts";

const listPage = 200;

interface ResumeOptions {
  readonly run?: string;
  readonly parked?: true;
  readonly activity?: number;
  readonly activityType?: string;
  readonly type?: string;
  readonly result?: Payload;
  readonly resultFile?: string;
  readonly fail?: string;
  readonly failType?: string;
  readonly reason?: string;
  readonly requestId?: string;
}

interface Resumed {
  readonly workflowId: string;
  readonly runId: string;
  readonly ordinals: readonly number[];
}

interface Refused {
  readonly workflowId: string;
  readonly runId: string;
  readonly error: Pick<AionError, "code" | "message" | "hint" | "details">;
}

/** What waits for an operator goes on: a run that was paused, or activities that are parked. */
export function addResumeCommand(program: Command): void {
  program
    .command("resume")
    .description(
      "Lets a paused run go on; or parked activities: of one run, or of all (--parked without an id). Without other options they are tried again.",
    )
    .argument("[id]", "workflow id; without one, all runs that have parked activities")
    .option("--parked", "the parked activities, all of them")
    .option(
      "--activity <n>",
      "the parked activity of this number (describe shows it)",
      countOption("--activity", Number.MAX_SAFE_INTEGER, 0),
    )
    .option("--activity-type <name>", "the parked activities of this type")
    .option("--type <workflow-type>", "without an id: of runs of this workflow type")
    .addOption(
      new Option("--result <json>", "completes the activity with this instead")
        .argParser((text) => parseJsonOption(text, "--result"))
        .conflicts(["resultFile", "fail"]),
    )
    .addOption(
      new Option("--result-file <file>", "the same, from a file with JSON; - is stdin").conflicts("fail"),
    )
    .option("--fail <message>", "lets the activity fail instead, with this message")
    .option("--fail-type <type>", "the type of the failure")
    .option("--run <run-id>", "only if this run is the latest of the chain")
    .option("--reason <text>", "recorded with it")
    .option("--request-id <id>", "names this call: repeated with the same one it has no second effect")
    .action(resume);
}

async function resume(
  workflowId: string | undefined,
  options: ResumeOptions,
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const { run, reason, requestId } = options;
  const isOfActivities =
    options.parked === true || options.activity !== undefined || options.activityType !== undefined;
  const decision = toDecision(options, workflowId);
  if (workflowId !== undefined && options.type !== undefined)
    throw usageError(
      "--type is for all runs of a workflow type, and a workflow id names one",
      "Leave one of the two out; --activity-type says which of its activities.",
    );
  if (!isOfActivities || workflowId === undefined)
    demandNothingElse(options, { isOfActivities, hasId: workflowId !== undefined });
  await session.with({ purpose: "write" }, async (connection) => {
    const { service } = connection;
    if (workflowId === undefined) {
      await resumeAll(service, session, options);
    } else if (isOfActivities) {
      const resumed = await resumeOf(service, workflowId, options, decision);
      session.output.told("resume", describeResumed(resumed), resumed);
    } else {
      await demandPaused(service, workflowId, options);
      await service.resume({
        workflowId,
        ...(run === undefined ? {} : { runId: run }),
        ...(reason === undefined ? {} : { reason }),
        ...(requestId === undefined ? {} : { requestId }),
      });
      session.output.told("resume", `resumed ${printable(workflowId)}`, { workflowId });
    }
    session.noteIdle(connection);
  });
}

/** Whoever has only parked activities to resume would be told that all is well, and nothing would have happened. */
async function demandPaused(service: Service, workflowId: string, { run }: ResumeOptions): Promise<void> {
  const { status, parked } = await service.describe({
    workflowId,
    ...(run === undefined ? {} : { runId: run }),
  });
  if (status !== "running" || parked === undefined) return;
  const [first] = parked.activities;
  throw usageError(
    `${workflowId} is not paused; ${parked.count} of its activities wait for an operator`,
    `Mend the cause (\`aion describe\` shows it), and add --parked to have them all tried again, or --activity ${first?.ordinal ?? 0} for one.`,
  );
}

type Decision = Pick<ResumeActivityRequest, "outcome" | "result" | "failure">;

function toDecision(options: ResumeOptions, workflowId: string | undefined): Decision {
  const { result, resultFile, fail, failType } = options;
  const isOutcome = result !== undefined || resultFile !== undefined || fail !== undefined;
  if (failType !== undefined && fail === undefined)
    throw usageError("--fail-type belongs to a --fail", "Say what the activity failed with: --fail MESSAGE.");
  if (!isOutcome) return {};
  if (workflowId === undefined || options.activity === undefined)
    throw usageError(
      "--result and --fail are for one activity of one run",
      "Name both: aion resume ID --activity N --result JSON.",
    );
  if (fail !== undefined) {
    const type = failType === undefined ? {} : { type: failType };
    return { outcome: "fail", failure: { message: fail, ...type } };
  }
  const payload = result ?? readJsonFile(resultFile ?? "-", "--result-file");
  return { outcome: "complete", result: payload };
}

function demandNothingElse(
  options: ResumeOptions,
  { isOfActivities, hasId }: { readonly isOfActivities: boolean; readonly hasId: boolean },
): void {
  if (!hasId && options.parked !== true && options.activityType === undefined)
    throw usageError(
      "what is to be resumed is missing",
      "Give a workflow id, or --parked for all runs that have parked activities.",
    );
  if (!hasId && (options.run !== undefined || options.activity !== undefined))
    throw usageError("--run and --activity are for one run", "Give its workflow id.");
  if (isOfActivities) return;
  if (options.result !== undefined || options.resultFile !== undefined || options.fail !== undefined)
    throw usageError(
      "--result and --fail are for one activity of one run",
      "Name it: aion resume ID --activity N --result JSON.",
    );
}

async function resumeOf(
  service: Service,
  workflowId: string,
  { run, activity, activityType, reason, requestId }: ResumeOptions,
  decision: Decision,
): Promise<Resumed> {
  const reply = await service.resumeActivity({
    workflowId,
    ...(run === undefined ? {} : { runId: run }),
    ...(activity === undefined ? {} : { ordinal: activity }),
    ...(activityType === undefined ? {} : { activityType }),
    ...decision,
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId }),
  });
  return { workflowId, ...reply };
}

/**
 * Each by itself: those that ended, or were resumed by somebody else, while the others were, are passed over, and what keeps one from
 * going on keeps no other.
 */
async function resumeAll(service: Service, session: Session, options: ResumeOptions): Promise<void> {
  const { output } = session;
  const { type } = options;
  const filter = { isParked: true, ...(type === undefined ? {} : { workflowType: type }) };
  const runs: Resumed[] = [];
  const refused: Refused[] = [];
  let cursor: string | undefined;
  do {
    const page = await service.list({ filter, limit: listPage, ...(cursor === undefined ? {} : { cursor }) });
    for (const { workflowId, runId } of page.runs) {
      try {
        const resumed = await resumeOf(service, workflowId, { ...options, run: runId }, {});
        runs.push(resumed);
        if (!output.isJson) output.line(describeResumed(resumed));
      } catch (error) {
        if (!isAionError(error) || !ofRun.has(error.code)) throw error;
        if (passedOver.has(error.code)) continue;
        const { code, message, hint, details } = error;
        refused.push({ workflowId, runId, error: { code, message, hint, details } });
        if (!output.isJson) output.error(error);
      }
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  if (refused.length > 0) session.fail();
  if (output.isJson) output.json("resume", { runs, refused });
  else if (runs.length === 0 && refused.length === 0) output.note("no activity is parked that matches");
}

const passedOver: ReadonlySet<string> = new Set(["activity_not_parked", "run_closed", "run_not_found"]);
/** What says nothing of the others. */
const ofRun: ReadonlySet<string> = new Set([...passedOver, "run_blocked"]);

function describeResumed({ workflowId, ordinals }: Resumed): string {
  const which = ordinals.map((ordinal) => `#${ordinal}`).join(", ");
  return `resumed ${printable(workflowId)}: ${which === "" ? "nothing" : which}`;
}
