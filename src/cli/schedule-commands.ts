import type { Command } from "commander";
import { Option } from "commander";
import { scheduleToJson } from "../client/json-form.ts";
import type { AttributeData } from "../core/attributes.ts";
import type {
  ScheduleActionRequest,
  ScheduleService,
  UpdateScheduleRequest,
} from "../client/schedule-service.ts";
import type { BackfillOverlap, OverlapPolicy, ScheduleSpec } from "../core/schedule.ts";
import { overlapPolicies } from "../core/schedule.ts";
import type { InputOptions } from "./act-commands.ts";
import { addInput, toInput } from "./act-commands.ts";
import type { DocumentOf } from "./documents.ts";
import { counted, printable } from "./printable.ts";
import { describeSchedule, describeSchedules } from "./schedule-view.ts";
import { Session } from "./session.ts";
import { attributeOption, countOption, durationOption, instantOption, usageError } from "./usage.ts";

interface TimesFlags {
  readonly cron?: readonly string[];
  readonly timeZone?: string;
  readonly every?: readonly string[];
  readonly startAt?: number;
  readonly endAt?: number;
  readonly jitter?: number;
}

interface ScheduleFlags extends TimesFlags, InputOptions {
  readonly overlap?: OverlapPolicy;
  readonly catchUp?: number;
  readonly actionsMax?: number;
  readonly idPrefix?: string;
  readonly runTimeout?: number;
  readonly executionTimeout?: number;
  readonly attribute?: Readonly<Record<string, AttributeData>>;
  readonly requestId?: string;
}

interface CallFlags {
  readonly requestId?: string;
}

const actionsMaxOfCommand = 1_000_000_000;
const pageMax = 1_000;
const requestIdOption = [
  "--request-id <id>",
  "names this call: repeated with the same one it has no second effect",
] as const;

/** The commands for workflows that start at given times: schedule create, list, describe, update, pause, resume, trigger, backfill, delete. */
export function addScheduleCommands(program: Command): void {
  const schedule = program
    .command("schedule")
    .description("Workflows that start at given times, by an engine that runs.")
    .addHelpText(
      "after",
      `
What starts at a time has the workflow id <schedule>-<time>:
report-2026-11-27T09:00:00Z.

Examples:
  aion schedule create report make-report --cron '0 9 * * 1-5' \\
    --time-zone Europe/Berlin --input '{"depth": 3}'
  aion schedule create sync pull --every 15m --overlap buffer-one --jitter 1m
  aion schedule describe report
  aion schedule pause report --note 'until the audit is over'
  aion schedule backfill report --from 2026-11-01 --to 2026-11-08`,
    );
  addTimes(
    addInput(
      schedule
        .command("create")
        .description("Creates a schedule. The same again changes nothing.")
        .argument("<id>", "names the schedule")
        .argument("<type>", "workflow type"),
    ),
  )
    .option("--paused", "nothing starts until it is resumed")
    .option("--note <text>", "why it is paused")
    .action(create);
  addTimes(
    addInput(
      schedule
        .command("update")
        .description("Changes a schedule. What is not given stays as it is.")
        .argument("<id>"),
    ),
  )
    .option("--type <type>", "what it starts from now on; with --input and the options of a start")
    .option("--no-actions-max", "without end from now on")
    .action(update);
  schedule
    .command("list")
    .description("All schedules, the one that was made last first.")
    .option("--limit <count>", "at most so many (default: 50)", countOption("--limit", pageMax), 50)
    .option("--cursor <cursor>", "the next page: `nextCursor` of the one before")
    .action(list);
  schedule
    .command("describe")
    .description("Its state, the times to come, and what became of the latest.")
    .argument("<id>")
    .option("--next <count>", "how many of the times to come (default: 5)", countOption("--next", 100))
    .action(describe);
  schedule
    .command("pause")
    .description("Nothing starts until it is resumed. Times that come meanwhile are skipped.")
    .argument("<id>")
    .option("--note <text>", "why")
    .option(...requestIdOption)
    .action(async (id: string, flags: CallFlags & { readonly note?: string }, command: Command) =>
      change(id, command, "paused", (service) => service.pauseSchedule({ scheduleId: id, ...flags })),
    );
  schedule
    .command("resume")
    .description("Starts at its times again, from now on.")
    .argument("<id>")
    .option(...requestIdOption)
    .action(async (id: string, flags: CallFlags, command: Command) =>
      change(id, command, "resumed", (service) => service.resumeSchedule({ scheduleId: id, ...flags })),
    );
  schedule
    .command("trigger")
    .description("Starts the action now.")
    .argument("<id>")
    .addOption(
      new Option(
        "--overlap <policy>",
        "skip: refused while a run is open; allow-all: started beside it",
      ).choices(["skip", "allow-all"]),
    )
    .option(...requestIdOption)
    .action(trigger);
  schedule
    .command("backfill")
    .description("Starts the times of a range that has passed, at most 1,000.")
    .argument("<id>")
    .requiredOption("--from <time>", "the first time", instantOption)
    .requiredOption("--to <time>", "the last time", instantOption)
    .addOption(
      new Option(
        "--overlap <policy>",
        "one-by-one (default): each waits for the end of the one before",
      ).choices(["one-by-one", "allow-all"]),
    )
    .option(...requestIdOption)
    .action(backfill);
  schedule
    .command("delete")
    .description("Deletes a schedule. Runs that it has started go on.")
    .argument("<id>")
    .option(...requestIdOption)
    .action(async (id: string, flags: CallFlags, command: Command) =>
      change(id, command, "deleted", (service) => service.deleteSchedule({ scheduleId: id, ...flags })),
    );
}

function addTimes(command: Command): Command {
  return command
    .option(
      "--cron <expressions...>",
      "minute hour day-of-month month day-of-week; six fields: seconds first",
    )
    .option("--time-zone <zone>", "of the expressions: an IANA name (default: UTC)")
    .option(
      "--every <durations...>",
      "from 1970 on, so 15m is at every full quarter of an hour; 1h+5m: five past",
    )
    .option("--start-at <time>", "no time before this one", instantOption)
    .option("--end-at <time>", "no time after this one", instantOption)
    .option("--jitter <duration>", "a time starts late by up to so much", durationOption("--jitter"))
    .addOption(
      new Option(
        "--overlap <policy>",
        "what happens at a time while a run of it is open (default: skip)",
      ).choices(overlapPolicies),
    )
    .option(
      "--catch-up <duration>",
      "a time that could not start for longer, since no engine ran, is skipped (default: 24h)",
      durationOption("--catch-up"),
    )
    .option(
      "--actions-max <count>",
      "so many times start, and then none any more",
      countOption("--actions-max", actionsMaxOfCommand),
    )
    .option("--id-prefix <text>", "of the workflow ids, before the time (default: the id of the schedule)")
    .option("--run-timeout <duration>", "how long a run may take", durationOption("--run-timeout"))
    .option(
      "--execution-timeout <duration>",
      "how long the whole chain of runs may take",
      durationOption("--execution-timeout"),
    )
    .option(
      "--attribute <name=value>",
      "a search attribute: what the runs are found by (repeat it for more)",
      attributeOption,
    )
    .option(...requestIdOption);
}

async function create(
  scheduleId: string,
  workflowType: string,
  flags: ScheduleFlags & { readonly paused?: true; readonly note?: string },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const spec = toSpec(flags);
  if (spec === undefined)
    throw usageError("a schedule needs times", "Give --cron '0 9 * * 1-5', or --every 15m.");
  const { note, paused } = flags;
  const action = toAction(workflowType, flags);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const reply = await service.createSchedule({
      scheduleId,
      spec,
      action,
      ...toRest(flags),
      ...(flags.actionsMax === undefined ? {} : { actionsMax: flags.actionsMax }),
      ...(paused === undefined ? {} : { isPaused: true }),
      ...(note === undefined ? {} : { note }),
    });
    const said = reply.isNew ? "created" : "was there already:";
    session.output.told("schedule", `${said} ${printable(scheduleId)}`, reply);
  });
}

async function update(
  scheduleId: string,
  flags: Omit<ScheduleFlags, "actionsMax"> & { readonly type?: string; readonly actionsMax?: number | false },
  command: Command,
): Promise<void> {
  const { type, actionsMax } = flags;
  const { input, inputFile, idPrefix, runTimeout, executionTimeout, attribute } = flags;
  const isOfAction =
    (input ?? inputFile ?? idPrefix ?? runTimeout ?? executionTimeout ?? attribute) !== undefined;
  if (type === undefined && isOfAction)
    throw usageError("what a schedule starts is changed as a whole", "Name the workflow type with --type.");
  const spec = toSpec(flags);
  const request: UpdateScheduleRequest = {
    scheduleId,
    ...(spec === undefined ? {} : { spec }),
    ...(type === undefined ? {} : { action: toAction(type, flags) }),
    ...toRest(flags),
    ...(actionsMax === undefined ? {} : { actionsMax: actionsMax === false ? null : actionsMax }),
  };
  await change(scheduleId, command, "changed", (service) => service.updateSchedule(request));
}

async function change(
  scheduleId: string,
  command: Command,
  said: string,
  ask: (service: ScheduleService) => Promise<void>,
): Promise<void> {
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    await ask(service);
    session.output.told("schedule", `${said} ${printable(scheduleId)}`, { scheduleId });
  });
}

async function trigger(
  scheduleId: string,
  flags: CallFlags & { readonly overlap?: "skip" | "allow-all" },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const reply = await service.triggerSchedule({ scheduleId, ...flags });
    session.output.told("schedule", `started ${printable(reply.workflowId)}`, { scheduleId, ...reply });
  });
}

async function backfill(
  scheduleId: string,
  {
    from,
    to,
    ...rest
  }: CallFlags & { readonly from: number; readonly to: number; readonly overlap?: BackfillOverlap },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const reply = await service.backfillSchedule({ scheduleId, fromAt: from, toAt: to, ...rest });
    const said = `${counted(reply.count, "time")} of ${printable(scheduleId)} will start`;
    session.output.told("schedule", said, { scheduleId, ...reply });
  });
}

async function list(
  flags: { readonly limit: number; readonly cursor?: string },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const { output } = session;
  await session.with({ purpose: "read" }, async ({ service }) => {
    const page = await service.listSchedules(flags);
    if (output.isJson) {
      output.json("schedule", page);
      return;
    }
    output.line(describeSchedules(page.schedules, Date.now()));
    if (page.nextCursor !== undefined) output.note(`there are more: --cursor ${page.nextCursor}`);
  });
}

async function describe(
  scheduleId: string,
  { next }: { readonly next?: number },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const { output } = session;
  await session.with({ purpose: "read" }, async ({ service }) => {
    const description = await service.describeSchedule({
      scheduleId,
      ...(next === undefined ? {} : { nextCount: next }),
    });
    if (output.isJson) output.json("schedule", scheduleToJson(description) as DocumentOf<"schedule">);
    else output.line(describeSchedule(description, Date.now()));
  });
}

function toRest({ overlap, catchUp, requestId }: Pick<ScheduleFlags, "overlap" | "catchUp" | "requestId">) {
  return {
    ...(overlap === undefined ? {} : { overlap }),
    ...(catchUp === undefined ? {} : { catchUpWindowMs: catchUp }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

function toAction(
  workflowType: string,
  flags: InputOptions & Pick<ScheduleFlags, "idPrefix" | "runTimeout" | "executionTimeout" | "attribute">,
): ScheduleActionRequest {
  const { idPrefix, runTimeout, executionTimeout, attribute: attributes } = flags;
  return {
    workflowType,
    input: toInput(flags),
    ...(idPrefix === undefined ? {} : { workflowIdPrefix: idPrefix }),
    ...(runTimeout === undefined ? {} : { runTimeoutMs: runTimeout }),
    ...(executionTimeout === undefined ? {} : { executionTimeoutMs: executionTimeout }),
    ...(attributes === undefined ? {} : { attributes }),
  };
}

/** `undefined`: no times are given. */
function toSpec(flags: TimesFlags): ScheduleSpec | undefined {
  const { cron = [], timeZone, every = [], startAt, endAt, jitter } = flags;
  if (cron.length === 0 && every.length === 0) {
    if (timeZone ?? startAt ?? endAt ?? jitter)
      throw usageError("the times of a schedule are given as a whole", "Give --cron or --every with it.");
    return undefined;
  }
  if (timeZone !== undefined && cron.length === 0)
    throw usageError("a time zone is one of cron expressions", "Give --cron with it.");
  return {
    ...(cron.length === 0
      ? {}
      : {
          crons: cron.map((expression) => ({ expression, ...(timeZone === undefined ? {} : { timeZone }) })),
        }),
    ...(every.length === 0 ? {} : { intervals: every.map(toInterval) }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
    ...(jitter === undefined ? {} : { jitterMs: jitter }),
  };
}

function toInterval(text: string): { readonly everyMs: number; readonly offsetMs?: number } {
  const [every = "", offset] = text.split("+");
  const parse = durationOption("--every");
  return {
    everyMs: parse(every.trim()),
    ...(offset === undefined ? {} : { offsetMs: parse(offset.trim()) }),
  };
}
