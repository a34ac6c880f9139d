import type { Command } from "commander";
import { Option } from "commander";
import type { HistoryReply, ListFilter, RunSummary } from "../client/service.ts";
import type { Event } from "../core/event.ts";
import type { RunStatus } from "../core/status.ts";
import { runStatuses } from "../core/status.ts";
import { resetPoints } from "../replay/reset-points.ts";
import type { ResetPoint } from "../replay/reset-points.ts";
import { HistoryView } from "./history-view.ts";
import { toDescriptionView, toEventView } from "./json-view.ts";
import { describeRun, parkedTable, runTable } from "./run-view.ts";
import type { ViewOptions } from "./run-view.ts";
import { Session } from "./session.ts";
import { countOption, instantOption, whereOption } from "./usage.ts";

const listLimitDefault = 50;
const listPage = 500;
const historyPage = 200;
const followWaitMs = 20_000;

interface FilterOptions {
  readonly type?: string;
  readonly status?: RunStatus;
  readonly blocked?: true;
  readonly parked?: true;
  readonly id?: string;
  readonly parent?: string;
  readonly startedAfter?: number;
  readonly startedBefore?: number;
  readonly closedAfter?: number;
  readonly closedBefore?: number;
  readonly where?: readonly string[];
}

/** The commands that look: list, count, describe, history. */
export function addLookCommands(program: Command): void {
  addFilters(program.command("list").description("Runs, the latest started first."))
    .option(
      "--limit <n>",
      `how many at most (default ${listLimitDefault})`,
      countOption("--limit", 1_000_000),
    )
    .option("--cursor <cursor>", "go on after the page that gave this cursor")
    .option("--all", "all that match")
    .option("--attributes", "with the search attributes of each run")
    .action(list);
  addFilters(program.command("count").description("How many runs match.")).action(count);
  program
    .command("describe")
    .description("How a run stands: status, what it waits for, input and result.")
    .argument("<id>", "workflow id")
    .option("--run <run-id>", "this run of the chain instead of the latest")
    .option("--full", "payloads and messages in full")
    .action(describe);
  program
    .command("history")
    .description("What was recorded, event by event.")
    .argument("<id>", "workflow id")
    .option("--run <run-id>", "this run alone instead of the whole chain")
    .option("--from <seq>", "begin at this event", countOption("--from", Number.MAX_SAFE_INTEGER), 1)
    .option("--follow", "and then each event as it is recorded, until the run has ended")
    .addOption(
      new Option("--points", "mark the events from which a run can be reset").conflicts(["follow", "from"]),
    )
    .option("--full", "payloads and messages in full")
    .action(history);
}

function addFilters(command: Command): Command {
  return command
    .option(
      "--type <workflow-type>",
      "of this workflow type; aion.schedule: the coordinators of schedules, which are left out otherwise",
    )
    .addOption(new Option("--status <status>", "with this status").choices(runStatuses))
    .option("--blocked", "that cannot go on until somebody acts")
    .option("--parked", "of which activities wait for an operator (list: which, and why)")
    .option("--id <workflow-id>", "of this workflow id")
    .option("--parent <workflow-id>", "children of this workflow")
    .option(
      "--started-after <time>",
      "started since: 2h, 3 days, 2026-03-01, 2026-03-01T09:00Z",
      instantOption,
    )
    .option("--started-before <time>", "started until", instantOption)
    .option("--closed-after <time>", "ended since", instantOption)
    .option("--closed-before <time>", "ended until", instantOption)
    .option(
      "--where <condition>",
      "by search attributes: 'customerId=c-1', 'amount>=100', 'region in (eu, us)', 'dueAt exists' (all that are given hold)",
      whereOption,
    );
}

function toFilter(options: FilterOptions): ListFilter {
  const {
    type,
    status,
    blocked,
    parked,
    id,
    parent,
    startedAfter,
    startedBefore,
    closedAfter,
    closedBefore,
  } = options;
  return {
    ...(type === undefined ? {} : { workflowType: type }),
    ...(status === undefined ? {} : { status }),
    ...(blocked === undefined ? {} : { isBlocked: true }),
    ...(parked === undefined ? {} : { isParked: true }),
    ...(id === undefined ? {} : { workflowId: id }),
    ...(parent === undefined ? {} : { parentWorkflowId: parent }),
    ...(startedAfter === undefined ? {} : { startedAfter }),
    ...(startedBefore === undefined ? {} : { startedBefore }),
    ...(closedAfter === undefined ? {} : { closedAfter }),
    ...(closedBefore === undefined ? {} : { closedBefore }),
    ...(options.where === undefined ? {} : { where: options.where }),
  };
}

async function list(
  options: FilterOptions & {
    readonly limit?: number;
    readonly cursor?: string;
    readonly all?: true;
    readonly attributes?: true;
  },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const limit = options.all === true ? Number.POSITIVE_INFINITY : (options.limit ?? listLimitDefault);
  const runs: RunSummary[] = [];
  let { cursor } = options;
  await session.with({ purpose: "read" }, async ({ service }) => {
    do {
      const page = await service.list({
        filter: toFilter(options),
        limit: Math.min(limit - runs.length, listPage),
        ...(cursor === undefined ? {} : { cursor }),
        ...(options.attributes === true ? { withAttributes: true } : {}),
      });
      runs.push(...page.runs);
      cursor = page.nextCursor;
    } while (cursor !== undefined && runs.length < limit);
  });
  const { output } = session;
  if (output.isJson) {
    output.json("list", { runs, ...(cursor === undefined ? {} : { nextCursor: cursor }) });
    return;
  }
  const show = options.parked === true ? parkedTable : runTable;
  if (runs.length > 0) output.line(show(runs, viewOptions(session, {}), options.attributes === true));
  else output.note("no run matches");
  if (cursor !== undefined) output.note(`there are more: --cursor ${cursor}, or --all`);
}

async function count(options: FilterOptions, command: Command): Promise<void> {
  const session = new Session(command);
  const found = await session.with({ purpose: "read" }, ({ service }) => service.count(toFilter(options)));
  if (session.output.isJson) session.output.json("count", { count: found });
  else session.output.line(String(found));
}

interface RunOptions {
  readonly run?: string;
  readonly full?: true;
}

async function describe(workflowId: string, options: RunOptions, command: Command): Promise<void> {
  const session = new Session(command);
  const { output } = session;
  await session.with({ purpose: "read" }, async (connection) => {
    const run = await connection.service.describe({ workflowId, ...toRunId(options) });
    if (output.isJson) {
      output.json("describe", toDescriptionView(run));
      return;
    }
    output.line(describeRun(run, viewOptions(session, options)));
    if (run.status === "running") session.noteIdle(connection);
  });
}

async function history(
  workflowId: string,
  options: RunOptions & { readonly from: number; readonly follow?: true; readonly points?: true },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const { output } = session;
  const view = new HistoryView(viewOptions(session, options));
  const collected: Event[] = [];
  // Whether one can go on from an event, only what follows it tells.
  const isMarking = options.points === true;
  const isCollecting = isMarking || (output.isJson && options.follow !== true);
  let fromSeq = options.from;
  await session.waiting(async (connection) => {
    const { service } = connection;
    if (options.follow === true) await session.noteIdleWait(connection, { workflowId, ...toRunId(options) });
    for (;;) {
      const reply: HistoryReply = await service.history({
        workflowId,
        ...toRunId(options),
        fromSeq,
        limit: historyPage,
        ...(options.follow === true ? { waitMs: followWaitMs } : {}),
      });
      for (const event of reply.events) {
        if (isCollecting) collected.push(event);
        else if (output.isJson) output.jsonEvent(toEventView(event));
        else output.line(view.show(event));
      }
      fromSeq = reply.nextSeq;
      if (reply.isEnd || (options.follow !== true && reply.events.length === 0)) return;
    }
  });
  if (!isCollecting) return;
  const points = isMarking ? pointsOf(collected) : undefined;
  if (output.isJson) {
    const events = collected.map(toEventView);
    output.json("history", { workflowId, events, ...(points === undefined ? {} : { points }) });
    return;
  }
  const marks = new Map(points?.map(({ seq, isRedone }) => [seq, isRedone ? "+" : "*"]));
  for (const event of collected) output.line(view.show(event, marks.get(event.seq) ?? " "));
  output.line("* `reset --to`: goes on behind this event   + acts anew on this event");
}

/** Of all runs, each by itself. */
function pointsOf(events: readonly Event[]): readonly Pick<ResetPoint, "seq" | "isRedone">[] {
  const starts = events.flatMap(({ type }, index) => (type === "WorkflowStarted" ? [index] : []));
  return starts
    .flatMap((from, place) => resetPoints(events.slice(from, starts[place + 1])))
    .map(({ seq, isRedone }) => ({ seq, isRedone }));
}

function toRunId({ run }: RunOptions): { readonly runId?: string } {
  return run === undefined ? {} : { runId: run };
}

function viewOptions(session: Session, options: RunOptions): ViewOptions {
  return { nowMs: Date.now(), width: session.output.width, isFull: options.full === true };
}
