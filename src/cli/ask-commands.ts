import type { Command } from "commander";
import type { ResultReply, RunAddress } from "../client/service.ts";
import { describeCommand } from "../core/command.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { parseRunId, parseWorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload } from "../core/payload.ts";
import { openSqliteStore } from "../store/sqlite/store.ts";
import { addInput, toInput } from "./act-commands.ts";
import type { InputOptions } from "./act-commands.ts";
import { parseStoreUrl } from "./connect.ts";
import { toResultView } from "./json-view.ts";
import { errorStyle } from "./output.ts";
import { printable } from "./printable.ts";
import { replayRun } from "./replay-run.ts";
import { failureLines } from "./run-view.ts";
import { Session } from "./session.ts";
import { durationOption, usageError } from "./usage.ts";
import { loadWorkflowFile } from "./workflow-file.ts";

/** One wait is no longer, so that an engine that comes or goes meanwhile is noticed. */
const waitPerCallMs = 20_000;

/** The commands that need an answer from code, or wait for one: query, result, replay. */
export function addAskCommands(program: Command): void {
  addInput(
    program
      .command("query")
      .description("Asks a run something.")
      .argument("<id>", "workflow id")
      .argument("<name>", "query name"),
  )
    .option("--run <run-id>", "this run of the chain instead of the latest")
    .option("--workflows <file>", "the code, to answer from history when no engine is running")
    .action(query);
  program
    .command("result")
    .description("What a run ended with; exit code 1 when it failed, or has not ended.")
    .argument("<id>", "workflow id")
    .option("--run <run-id>", "begin at this run of the chain instead of the latest")
    .option("--wait", "wait for the end")
    .option("--timeout <duration>", "wait no longer than this (implies --wait)", durationOption("--timeout"))
    .action(result);
  program
    .command("replay")
    .description("Replays a run's history against code and tells whether the code still fits it.")
    .argument("<id>", "workflow id")
    .option("--workflows <file>", "the file that exports the workflows")
    .option("--run <run-id>", "this run of the chain instead of the latest")
    .action(replay);
}

async function query(
  workflowId: string,
  name: string,
  options: InputOptions & { readonly run?: string; readonly workflows?: string },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const { run, workflows } = options;
  const input = toInput(options);
  const answer = await session.with({ purpose: "write", workflows }, ({ service }) =>
    service.query({
      workflowId,
      name,
      input,
      ...(run === undefined ? {} : { runId: run }),
    }),
  );
  showPayload(session, answer);
}

async function result(
  workflowId: string,
  options: { readonly run?: string; readonly wait?: true; readonly timeout?: number },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const waitMs = options.timeout ?? (options.wait === true ? Number.POSITIVE_INFINITY : 0);
  const endAt = performance.now() + waitMs;
  let runId = options.run;
  const toRunAddress = (): RunAddress => ({ workflowId, ...(runId === undefined ? {} : { runId }) });
  const reply = await session.waiting(async (connection): Promise<ResultReply> => {
    if (waitMs > 0) await session.noteIdleWait(connection, toRunAddress());
    for (;;) {
      const leftMs = Math.max(0, Math.ceil(endAt - performance.now()));
      const current = await connection.service.result({
        ...toRunAddress(),
        waitMs: Math.min(leftMs, waitPerCallMs),
      });
      // From now on it is about this run and what it continues as, whoever takes the id next.
      runId = current.runId;
      if (current.status !== "running" || current.blocked !== undefined || leftMs === 0) return current;
    }
  });
  showResult(session, workflowId, reply, waitMs);
}

function showResult(session: Session, workflowId: string, reply: ResultReply, waitMs: number): void {
  const { output } = session;
  if (output.isJson) output.json("result", toResultView(workflowId, reply));
  if (reply.status === "completed") {
    if (!output.isJson) showPayload(session, reply.result);
    return;
  }
  session.fail();
  if (reply.status !== "running") {
    // The document has said so.
    if (output.isJson) return;
    const [first = "", ...causes] = failureLines(reply.failure, errorStyle);
    process.stderr.write(
      `${errorStyle(["bold", "red"], reply.status)}: ${[first, ...causes].join("\n  ")}\n`,
    );
    return;
  }
  const run = `run ${reply.runId} of workflow ${workflowId}`;
  output.error(
    reply.blocked !== undefined
      ? new AionError("run_blocked", `${run} is blocked: ${reply.blocked}`)
      : waitMs === 0
        ? new AionError("result_timeout", `${run} has not ended`, { hint: "Wait for its end with --wait." })
        : new AionError("result_timeout", `${run} did not end within ${waitMs} ms`),
  );
}

function showPayload(session: Session, payload: Payload): void {
  const value = fromPayload(payload);
  if (session.output.isJson) session.output.json("query", value);
  else session.output.line(printable(JSON.stringify(value, undefined, 2)));
}

async function replay(
  id: string,
  options: { readonly workflows?: string; readonly run?: string },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  if (options.workflows === undefined) {
    throw usageError("a replay needs the workflow's code", "Pass --workflows with the file that exports it.");
  }
  const workflowId = parseWorkflowId(id);
  const programs = await loadWorkflowFile(options.workflows, await session.codec());
  // A replay only reads: it may do so beside a running engine.
  const store = openSqliteStore({ path: parseStoreUrl(session.store), readOnly: true });
  try {
    const run = await store.findRun(
      workflowId,
      options.run === undefined ? undefined : parseRunId(options.run),
    );
    if (run === undefined) throw new AionError("run_not_found", `there is no workflow ${workflowId}`);
    const { runId, workflowType, firstSeq, headSeq } = run;
    const about = { workflowId, runId, workflowType, events: headSeq - firstSeq + 1 };
    try {
      const { resumePoint } = await replayRun({ run, store, programs });
      const next = resumePoint === undefined ? undefined : describeCommand(resumePoint.command);
      const goesOn = next === undefined ? "it has ended" : `it goes on at ${next}`;
      session.output.told(
        "replay",
        `ok: the code fits ${about.events} events of ${printable(id)}; ${printable(goesOn)}`,
        {
          ...about,
          outcome: "ok",
          ...(resumePoint === undefined || next === undefined
            ? {}
            : { resumesAt: { commandIndex: resumePoint.commandIndex, command: next } }),
        },
      );
    } catch (error) {
      if (!isAionError(error)) throw error;
      const { code, message, hint, details } = error;
      const outcome = code === "nondeterminism" ? "diverged" : "failed";
      session.output.told("replay", `${outcome}: ${printable(id)} (${about.events} events)`, {
        ...about,
        outcome,
        error: { code, message, hint, details },
      });
      session.fail();
      if (!session.output.isJson) session.output.error(error);
    }
  } finally {
    await store.close();
  }
}
