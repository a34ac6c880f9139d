import type { Command } from "commander";
import type { LogsLine, LogsReply } from "../client/service.ts";
import type { LogLevel } from "../core/ports.ts";
import { formatClock, formatInstant } from "./instant.ts";
import { toLogsLineView } from "./json-view.ts";
import type { Style } from "./output.ts";
import { style } from "./output.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";

const pageLines = 500;
const followWaitMs = 20_000;

interface LogsOptions {
  readonly run?: string;
  readonly follow?: true;
}

/** The command that shows what workflow code said: logs. */
export function addLogsCommand(program: Command): void {
  program
    .command("logs")
    .description("What the code of a workflow said (`log` in workflow code).")
    .argument("<id>", "workflow id")
    .option("--run <run-id>", "this run alone instead of the whole chain")
    .option("--follow", "and then each line as it is said, until the run has ended")
    .action(logs);
}

async function logs(workflowId: string, options: LogsOptions, command: Command): Promise<void> {
  const session = new Session(command);
  const { output } = session;
  const run = { workflowId, ...(options.run === undefined ? {} : { runId: options.run }) };
  const isCollecting = output.isJson && options.follow !== true;
  const collected: LogsLine[] = [];
  let cursor: string | undefined;
  let droppedCount = 0;
  let lineCount = 0;
  let day = "";
  // Over restarts of the engine it goes on behind what was shown.
  await session.waiting(async (connection) => {
    if (options.follow === true) await session.noteIdleWait(connection, run);
    for (;;) {
      const reply: LogsReply = await connection.service.logs({
        ...run,
        ...(cursor === undefined ? {} : { after: cursor }),
        limit: pageLines,
        ...(options.follow === true ? { waitMs: followWaitMs } : {}),
      });
      droppedCount += reply.droppedCount;
      lineCount += reply.lines.length;
      if (reply.droppedCount > 0 && !isCollecting)
        output.note(`${reply.droppedCount} older lines were dropped`);
      for (const line of reply.lines) {
        if (isCollecting) collected.push(line);
        else if (output.isJson) output.jsonEvent(toLogsLineView(line));
        else {
          const date = formatInstant(line.recordedAt).slice(0, 10);
          if (date !== day) output.line(style("dim", date));
          day = date;
          output.line(toText(line));
        }
      }
      const isSame = reply.nextCursor === (cursor ?? "0");
      cursor = reply.nextCursor;
      if (reply.isEnd || (options.follow !== true && isSame)) return;
    }
  });
  if (lineCount === 0 && !output.isJson) output.note("its code has said nothing");
  if (isCollecting) output.json("logs", { workflowId, lines: collected.map(toLogsLineView), droppedCount });
}

const styles: Readonly<Record<LogLevel, Style>> = {
  debug: "dim",
  info: "cyan",
  warn: "yellow",
  error: "red",
};

function toText({ recordedAt, level, message, fields }: LogsLine): string {
  const told = fields === undefined ? "" : `  ${style("dim", printable(fields))}`;
  return `${style("dim", formatClock(recordedAt))}  ${style(styles[level], level.padEnd(5))}  ${printable(message)}${told}`;
}
