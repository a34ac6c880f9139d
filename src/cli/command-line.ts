import { readFileSync } from "node:fs";
import path from "node:path";
import { Command, CommanderError, Option } from "commander";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { addActCommands } from "./act-commands.ts";
import { addAskCommands } from "./ask-commands.ts";
import { addUpdateCommand } from "./update-command.ts";
import { addAuditCommand } from "./audit-command.ts";
import { addBuildCommands } from "./build-commands.ts";
import { addCheckCommand } from "./check-command.ts";
import { addCompletionCommand } from "./completion-command.ts";
import { addConformanceCommand } from "./conformance-command.ts";
import { addDeployCommands } from "./deploy-commands.ts";
import { addDevCommand } from "./dev-command.ts";
import { addDoctorCommand } from "./doctor-command.ts";
import { addInitCommand } from "./init-command.ts";
import { addKeepCommands } from "./keep-commands.ts";
import { addKeyCommands } from "./key-commands.ts";
import { addScheduleCommands } from "./schedule-commands.ts";
import { addServerCommands } from "./server-commands.ts";
import { addLookCommands } from "./look-commands.ts";
import { addResetCommands } from "./reset-commands.ts";
import { Output, writeError } from "./output.ts";
import { UsageError } from "./usage.ts";
import { knownVariables, misspelledVariables } from "./variables.ts";
import { addWorkerCommand } from "./worker-command.ts";
import { addLogsCommand } from "./logs-command.ts";
import { addWorkersCommand } from "./workers-command.ts";
import { addWatchCommand } from "./watch-command.ts";

const exitOk = 0;
const exitFailed = 1;
const exitUsage = 2;

/** Runs the command that the arguments name. Returns the exit code: 0 fine, 1 failed, 2 wrong usage. Never rejects. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  // Known before anything is parsed, since that may fail.
  const isJson = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length).includes("--json");
  const program = createProgram({ isJson });
  try {
    await program.parseAsync([...args], { from: "user" });
    return process.exitCode === undefined ? exitOk : exitFailed;
  } catch (error) {
    return exitCodeFor(error, { isJson });
  }
}

/** All commands, as they are typed, helped with and completed. */
export function createProgram(mode: OutputMode = { isJson: false }): Command {
  const program = new Command("aion")
    .description(
      "Durable workflows, on a SQLite file or at a server: look at runs, start them, talk to them.",
    )
    .version(readVersion(), "--version")
    .helpOption("-h, --help", "tell how it is used")
    .helpCommand("help [command]", "tell how a command is used")
    .addOption(new Option("--store <url>", "the store: sqlite:path/to/file.db").env("AION_STORE"))
    .addOption(new Option("--url <url>", "or a server: http://127.0.0.1:4466").env("AION_URL"))
    .addOption(
      new Option("--namespace <name>", "which of the server's (default: default)").env("AION_NAMESPACE"),
    )
    .addOption(new Option("--token <token>", "for a server that asks who calls").env("AION_TOKEN"))
    .addOption(
      new Option("--ca <file>", "the authority that has signed a server's certificate").env("AION_CA"),
    )
    .addOption(new Option("--cert <file>", "the certificate to show to a server").env("AION_CERT"))
    .addOption(new Option("--key <file>", "its key").env("AION_KEY"))
    .addOption(
      new Option(
        "--codec <file>",
        "of encrypted payloads: a key ring (.json), or a module that exports a codec",
      ).env("AION_CODEC"),
    )
    .option("--json", "one stable JSON document on stdout (JSON lines when following)")
    // Beside the names of the commands a terminal of 80 columns has less room than is wrapped by default.
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 20 })
    .configureOutput({
      // The help, where a command is missing.
      writeErr: (text) => {
        if (!mode.isJson) process.stderr.write(text);
      },
      outputError: (text) => writeError(toUsageError(text), mode),
    })
    .exitOverride()
    .addHelpText(
      "after",
      `
Exit codes: 0 fine, 1 failed, 2 wrong usage. Errors go to stderr as
error[code]: message, with a hint; with --json as JSON.

With --url a command asks the server. With --store it goes through the engine
that runs on the store. When none is running it reads the file itself, and what
it starts or sends waits in the file for the next engine.

Examples:
  aion init my-workflows
  aion list --store sqlite:aion.db --status running
  aion start fulfil --id order-42 --input '{"id": "order-42", "amount": 5}'
  aion signal order-42 approval --input '{"by": "ann", "ok": true}'
  aion history order-42 --follow
  aion result order-42 --wait --json
  aion backup /backups/aion-monday.db
  aion doctor --store sqlite:aion.db
  aion build order.ts
  aion check order.ts --url http://127.0.0.1:4466
  aion deploy order.aion
  aion schedule create report make-report --cron '0 9 * * 1-5'
  aion server --data ./aion-data`,
    );
  addInitCommand(program);
  addLookCommands(program);
  addLogsCommand(program);
  addWatchCommand(program);
  addActCommands(program);
  addResetCommands(program);
  addAskCommands(program);
  addUpdateCommand(program);
  addKeepCommands(program);
  addBuildCommands(program);
  addCheckCommand(program);
  addDeployCommands(program);
  addScheduleCommands(program);
  addDevCommand(program);
  addServerCommands(program);
  addKeyCommands(program);
  addAuditCommand(program);
  addWorkerCommand(program);
  addWorkersCommand(program);
  addConformanceCommand(program);
  addDoctorCommand(program);
  addCompletionCommand(program);
  program.hook("preAction", () => {
    for (const { name, near } of misspelledVariables(process.env, knownVariables(program)))
      new Output(mode).note(`the variable ${name} is read by no command; did you mean ${near}?`);
  });
  return program;
}

interface OutputMode {
  readonly isJson: boolean;
}

const wrongUsage = {
  code: "invalid_argument",
  hint: "`aion --help` and `aion <command> --help` tell what there is.",
} as const;

/** `error: unknown command 'lst'`, and maybe `(Did you mean list?)` below it. */
function toUsageError(text: string): Parameters<typeof writeError>[0] {
  const [, message = text, near] = /^(?:error: )?(.*?)(?:\n\((Did you mean .*\?)\))?\s*$/s.exec(text) ?? [];
  return { ...wrongUsage, message, ...(near === undefined ? {} : { hint: `${near} ${wrongUsage.hint}` }) };
}

function exitCodeFor(error: unknown, mode: OutputMode): number {
  if (error instanceof UsageError) {
    writeError(error.error, mode);
    return exitUsage;
  }
  if (error instanceof CommanderError) {
    // What was asked for: the version, or help.
    const isAnswer = error.exitCode === exitOk;
    if (mode.isJson && error.code === "commander.help" && !isAnswer)
      writeError({ ...wrongUsage, message: "no command is named" }, mode);
    return isAnswer ? exitOk : exitUsage;
  }
  writeError(isAionError(error) ? error : toBug(error), mode);
  return exitFailed;
}

/** With the stack of where it happened. */
function toBug(error: unknown): AionError {
  const bug = new AionError("internal", messageOf(error), { cause: error });
  if (error instanceof Error && error.stack !== undefined) bug.stack = error.stack;
  return bug;
}

function readVersion(): string {
  const file = path.join(import.meta.dirname, "..", "..", "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
}
