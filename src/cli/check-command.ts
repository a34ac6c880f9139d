import { readFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import type { RunSummary, Service } from "../client/service.ts";
import { AionError, errorTable, isAionError } from "../core/errors.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import { ProcessLoader } from "../embedded/package-loader.ts";
import type { HistoryStore } from "../engine/load.ts";
import { describeProblem } from "../package/problem.ts";
import type { Problem } from "../package/problem.ts";
import type { ProgramSource } from "../program/program.ts";
import type { RunRecord } from "../store/contract.ts";
import type { DocumentOf } from "./documents.ts";
import { Output, style } from "./output.ts";
import { counted, printable } from "./printable.ts";
import { replayRun } from "./replay-run.ts";
import { Session } from "./session.ts";
import { countOption } from "./usage.ts";
import { loadWorkflowFile } from "./workflow-file.ts";

const archiveEnding = ".aion";
const listPage = 200;
const historyPage = 1_000;
/** Looked through for runs of types that the code does not have. */
const otherPagesMax = 100;
/** What is broken for one reason is mostly broken for all. */
const shownMax = 20;
const activationBudgetMs = 5_000;
const memoryMb = 512;

interface CheckOptions {
  readonly inline?: true;
  readonly type?: readonly string[];
  readonly limit?: number;
}

type BrokenRun = DocumentOf<"check">["broken"][number];

/** The command to run before a deployment: does the code fit the runs that are under way? */
export function addCheckCommand(program: Command): void {
  program
    .command("check")
    .description(
      "Holds code against the histories of all running runs of its types; exit code 1 if any would break.",
    )
    .argument("<file>", "a workflow file, which is built first, or a package that `aion build` wrote")
    .option(
      "--inline",
      "the file as it is handed to an engine in its process: not built, so it may have steps",
    )
    .option("--type <workflow-types...>", "only runs of these workflow types")
    .option(
      "--limit <n>",
      "not more runs than this, the latest started first",
      countOption("--limit", 1_000_000_000),
    )
    .addHelpText(
      "after",
      `
Runs of types that the code does not have are told of, and are no reason to
fail. Nothing is written, and no activity runs. Runs stay on the package that
they were begun with, so a deployment of one breaks none of them; who hands
functions to an engine gives them to the runs under way. Without --store and
--url only the build is checked.`,
    )
    .action(check);
}

/** What is to be checked, and what became of its build. */
interface Code {
  readonly programs: ProgramSource;
  readonly version?: string;
  readonly warnings: readonly Problem[];
  close(): Promise<void>;
}

async function check(file: string, options: CheckOptions, command: Command): Promise<void> {
  const globals = command.optsWithGlobals<{
    readonly store?: string;
    readonly url?: string;
    readonly json?: boolean;
  }>();
  const isPlaced = [globals.store, globals.url].some((text) => text !== undefined && text !== "");
  const session = isPlaced ? new Session(command) : undefined;
  const output = session?.output ?? new Output({ isJson: globals.json === true });
  const loader = options.inline === true ? "inline" : "package";
  let code: Code;
  try {
    code = options.inline === true ? await loadInlineCode(file) : await loadPackageCode(file);
  } catch (error) {
    if (!isAionError(error) || error.code !== "build_failed") throw error;
    tellUnbuilt(output, { file: path.resolve(file), loader }, error);
    return;
  }
  try {
    for (const warning of code.warnings) output.note(describeProblem(warning));
    const { version, warnings } = code;
    const workflowTypes = typesOf(code.programs, options.type);
    const report = {
      file: path.resolve(file),
      loader,
      ...(version === undefined ? {} : { version }),
      workflowTypes: [...workflowTypes],
      problems: [],
      warnings: [...warnings],
    } as const;
    if (session === undefined) {
      output.told("check", `ok: it builds (${workflowTypes.map(printable).join(", ")})`, {
        ...report,
        outcome: "ok",
        checkedCount: 0,
        brokenCount: 0,
        otherTypes: [],
        broken: [],
      });
      output.note("no store and no server is named, so no run was checked");
      return;
    }
    const { checkedCount, broken, otherTypes } = await session.with(
      { purpose: "read" },
      async ({ service }) => ({
        ...(await checkRuns({
          service,
          programs: code.programs,
          workflowTypes,
          limit: options.limit ?? Number.POSITIVE_INFINITY,
        })),
        otherTypes: options.type === undefined ? await findOtherTypes(service, workflowTypes) : [],
      }),
    );
    for (const { workflowType, runningCount } of otherTypes) {
      output.note(
        `the code has no ${printable(workflowType)}, of which there ${runningCount === 1 ? "is" : "are"} ${counted(runningCount, "running run")}: ` +
          "they need what they were begun with, a package that stays or another file",
      );
    }
    const outcome = broken.length === 0 ? "ok" : "broken";
    if (output.isJson) {
      output.json("check", {
        ...report,
        outcome,
        checkedCount,
        brokenCount: broken.length,
        otherTypes: [...otherTypes],
        broken: [...broken],
      });
    } else {
      for (const line of describeBroken(broken)) output.line(line);
      output.line(
        broken.length === 0
          ? `${style("green", "ok")}: the code fits ${counted(checkedCount, "running run")} of ${workflowTypes.map(printable).join(", ")}`
          : `${style("red", "broken")}: ${broken.length} of ${counted(checkedCount, "running run")} would not go on with this code`,
      );
    }
    if (broken.length > 0) session.fail();
  } finally {
    await code.close();
  }
}

function tellUnbuilt(
  output: Output,
  of: { readonly file: string; readonly loader: "package" | "inline" },
  error: AionError,
): void {
  process.exitCode = 1;
  if (!output.isJson) {
    output.error(error);
    return;
  }
  const { problems = [], warnings = [] } = error.details as {
    readonly problems?: readonly Problem[];
    readonly warnings?: readonly Problem[];
  };
  output.json("check", {
    ...of,
    workflowTypes: [],
    outcome: "not-built",
    checkedCount: 0,
    brokenCount: 0,
    otherTypes: [],
    broken: [],
    problems: [...problems],
    warnings: [...warnings],
  });
}

/** Histories come decoded, so the code needs no codec. */
async function loadInlineCode(file: string): Promise<Code> {
  return { programs: await loadWorkflowFile(file), warnings: [], close: async () => undefined };
}

async function loadPackageCode(file: string): Promise<Code> {
  const { bytes, warnings } = await readOrBuild(file);
  const loader = new ProcessLoader({ activationBudgetMs, memoryMb }, () => undefined);
  try {
    const code = await loader.read(bytes);
    const { workflows } = await loader.load(code);
    const { version } = code;
    const types = workflows.map(({ workflowType }) => workflowType);
    const find: ProgramSource["route"] = (workflowType) =>
      types.includes(workflowType) ? loader.program(workflowType, version) : undefined;
    return {
      programs: { route: find, find, workflowTypes: types },
      version,
      warnings,
      close: () => loader.close(),
    };
  } catch (error) {
    await loader.close();
    throw error;
  }
}

async function readOrBuild(
  file: string,
): Promise<{ readonly bytes: Uint8Array; readonly warnings: readonly Problem[] }> {
  if (path.extname(file) !== archiveEnding) {
    const { buildPackage } = await import("../package/build.ts");
    return await buildPackage(file);
  }
  try {
    return { bytes: readFileSync(file), warnings: [] };
  } catch (error) {
    throw new AionError("invalid_argument", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function typesOf(programs: ProgramSource, wanted: readonly string[] | undefined): readonly string[] {
  if (wanted === undefined) return programs.workflowTypes;
  for (const type of wanted) {
    if (programs.route(type) !== undefined) continue;
    throw new AionError(
      "workflow_type_unknown",
      `the code has no workflow type ${JSON.stringify(type)}; there are ${programs.workflowTypes.map((one) => JSON.stringify(one)).join(", ")}`,
    );
  }
  return [...new Set(wanted)];
}

interface RunsToCheck {
  readonly service: Service;
  readonly programs: ProgramSource;
  readonly workflowTypes: readonly string[];
  readonly limit: number;
}

async function checkRuns(
  of: RunsToCheck,
): Promise<{ readonly checkedCount: number; readonly broken: readonly BrokenRun[] }> {
  const broken: BrokenRun[] = [];
  let checkedCount = 0;
  for (const { workflowType, status } of of.workflowTypes.flatMap((type) =>
    (["running", "paused"] as const).map((each) => ({ workflowType: type, status: each })),
  )) {
    let cursor: string | undefined;
    do {
      const left = of.limit - checkedCount;
      if (left <= 0) break;
      const page = await of.service.list({
        filter: { workflowType, status },
        limit: Math.min(left, listPage),
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const run of page.runs) {
        const found = await checkRun(run, of);
        if (found === "gone") continue;
        checkedCount += 1;
        if (found !== "fits") broken.push(found);
      }
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }
  return { checkedCount, broken };
}

/** Types of running runs that are not among those of the code. Of very many runs not all are looked at. */
async function findOtherTypes(
  service: Service,
  workflowTypes: readonly string[],
): Promise<DocumentOf<"check">["otherTypes"]> {
  const counts = new Map<string, number>();
  const countOf = async (workflowType?: string): Promise<number> =>
    await service.count({ status: "running", ...(workflowType === undefined ? {} : { workflowType }) });
  let unknownCount = await countOf();
  for (const type of workflowTypes) unknownCount -= await countOf(type);
  let cursor: string | undefined;
  for (let page = 0; unknownCount > 0 && page < otherPagesMax; page++) {
    const { runs, nextCursor } = await service.list({
      filter: { status: "running" },
      limit: listPage,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const { workflowType } of runs) {
      if (workflowTypes.includes(workflowType) || counts.has(workflowType)) continue;
      const count = await countOf(workflowType);
      counts.set(workflowType, count);
      unknownCount -= count;
    }
    cursor = nextCursor;
    if (cursor === undefined) break;
  }
  return [...counts].map(([workflowType, runningCount]) => ({ workflowType, runningCount }));
}

async function checkRun(summary: RunSummary, of: RunsToCheck): Promise<"fits" | "gone" | BrokenRun> {
  const { workflowId, runId, workflowType, version } = summary;
  try {
    const run = await toRecord(summary, of.service);
    if (run === undefined) return "gone";
    await replayRun({ run, store: historiesOf(of.service), programs: of.programs });
    return "fits";
  } catch (error) {
    if (!isAionError(error)) throw error;
    const { code, message, hint, details } = error;
    if (code === "run_not_found") return "gone";
    // Who cannot be asked any more has said nothing of the run.
    if (errorTable[code].kind === "unavailable" && code !== "package_stopped") throw error;
    const outcome = code === "nondeterminism" ? "diverged" : "failed";
    const about = { workflowId, runId, workflowType, version, events: summary.historyLength };
    return { ...about, outcome, error: { code, message, hint, details } };
  }
}

/** The row of a run, as far as a replay needs it; `undefined`: it was deleted meanwhile. */
async function toRecord(summary: RunSummary, service: Service): Promise<RunRecord | undefined> {
  const { workflowId, runId, workflowType, version, status, startedAt, historyLength } = summary;
  const { events } = await service.history({ workflowId, runId, fromSeq: 1, limit: 1 });
  const [first] = events;
  if (first === undefined) return undefined;
  return {
    runKey: 0,
    workflowId: parseWorkflowId(workflowId),
    runId: parseRunId(runId),
    workflowType,
    version,
    status,
    firstSeq: first.seq,
    headSeq: first.seq + historyLength - 1,
    startedAt,
    wakeAt: null,
  };
}

/** Histories as the service gives them, whether it is a file, an engine or a server. */
function historiesOf(service: Service): HistoryStore {
  return {
    readSegment: async (run, fromSeq, limit = listPage) => {
      const { workflowId, runId } = run as RunRecord;
      return (await service.history({ workflowId, runId, fromSeq, limit: Math.min(limit, historyPage) }))
        .events;
    },
    findRunByKey: async () => undefined,
  };
}

function describeBroken(broken: readonly BrokenRun[]): readonly string[] {
  const lines = broken
    .slice(0, shownMax)
    .map(
      ({ workflowId, runId, outcome, events, error }) =>
        `${style(["bold", "red"], outcome.padEnd(8))}  ${style("bold", printable(workflowId))} (run ${printable(runId)}, ${events} events)\n` +
        `          ${printable(error.message)}`,
    );
  const more = broken.length - shownMax;
  return more > 0 ? [...lines, style("dim", `and ${more} more: --json has all`)] : lines;
}
