import type { Command } from "commander";
import { Option } from "commander";
import type { ReusePolicy } from "../client/service.ts";
import type { AttributeData } from "../core/attributes.ts";
import type { Payload } from "../core/payload.ts";
import { nullPayload } from "../core/payload.ts";
import { printable } from "./printable.ts";
import { addResumeCommand } from "./resume-command.ts";
import { Session } from "./session.ts";
import { attributeOption, durationOption, parseJsonOption, readJsonFile, usageError } from "./usage.ts";

const reusePolicies: readonly ReusePolicy[] = [
  "return",
  "reject",
  "after-close",
  "after-failure",
  "terminate",
];

export interface InputOptions {
  readonly input?: string;
  readonly inputFile?: string;
}

interface StartOptions extends InputOptions {
  readonly id?: string;
  readonly requestId?: string;
  readonly reuse?: ReusePolicy;
  readonly startDelay?: number;
  readonly runTimeout?: number;
  readonly executionTimeout?: number;
  readonly signal?: string;
  readonly signalInput?: Payload;
  readonly signalId?: string;
  readonly attribute?: Readonly<Record<string, AttributeData>>;
}

/** The commands that change something: start, signal, cancel, terminate, pause, resume, reopen. */
export function addActCommands(program: Command): void {
  addInput(program.command("start").description("Starts a run.").argument("<type>", "workflow type"))
    .option("--id <workflow-id>", "the workflow id; without one, a random one")
    .option("--request-id <id>", "names this call: repeated, it gives the run it gave before")
    .addOption(new Option("--reuse <policy>", "what to do when the id is taken").choices(reusePolicies))
    .option(
      "--start-delay <duration>",
      "nothing runs before this has passed",
      durationOption("--start-delay"),
    )
    .option("--run-timeout <duration>", "how long the run may take", durationOption("--run-timeout"))
    .option(
      "--execution-timeout <duration>",
      "how long the whole chain of runs may take",
      durationOption("--execution-timeout"),
    )
    .option("--signal <name>", "a signal recorded with the start, or sent to the run that exists")
    .option("--signal-input <json>", "its payload", (text) => parseJsonOption(text, "--signal-input"))
    .option("--signal-id <id>", "its dedupe id")
    .option(
      "--attribute <name=value>",
      "a search attribute: what the run is found by (repeat it for more)",
      attributeOption,
    )
    .action(start);
  addInput(
    program
      .command("signal")
      .description("Sends a signal to a run.")
      .argument("<id>", "workflow id")
      .argument("<name>", "signal name"),
  )
    .option("--run <run-id>", "this run of the chain instead of the latest")
    .option("--signal-id <id>", "a second signal with this id is the first one")
    .action(signal);
  addEnd(program.command("cancel").description("Asks a run to stop; its code may clean up.")).action(
    (id: string, options: EndOptions, command: Command) => end("cancel", id, options, command),
  );
  addEnd(program.command("terminate").description("Ends a run at once, without asking its code.")).action(
    (id: string, options: EndOptions, command: Command) => end("terminate", id, options, command),
  );
  addEnd(
    program.command("pause").description("Holds a run: its code does not move, and no attempt begins."),
  ).action((id: string, options: EndOptions, command: Command) => end("pause", id, options, command));
  addResumeCommand(program);
  addEnd(
    program
      .command("reopen")
      .description("Lets a run that failed, was cancelled or timed out go on from before its end."),
  ).action((id: string, options: EndOptions, command: Command) => end("reopen", id, options, command));
}

export function addInput(command: Command): Command {
  return command
    .addOption(new Option("--input <json>", "the input, as JSON").conflicts("inputFile"))
    .option("--input-file <file>", "the input, from a file with JSON; - is stdin");
}

export function toInput({ input, inputFile }: InputOptions): Payload {
  if (input !== undefined) return parseJsonOption(input, "--input");
  return inputFile === undefined ? nullPayload : readJsonFile(inputFile, "--input-file");
}

async function start(workflowType: string, options: StartOptions, command: Command): Promise<void> {
  const session = new Session(command);
  const {
    id,
    requestId,
    reuse,
    startDelay,
    runTimeout,
    executionTimeout,
    signal: name,
    signalInput,
    signalId,
    attribute: attributes,
  } = options;
  if (name === undefined && (signalInput !== undefined || signalId !== undefined)) {
    throw usageError("--signal-input and --signal-id belong to a --signal", "Name the signal with --signal.");
  }
  const input = toInput(options);
  await session.with({ purpose: "write" }, async (connection) => {
    const reply = await connection.service.start({
      workflowType,
      input,
      ...(id === undefined ? {} : { workflowId: id }),
      ...(requestId === undefined ? {} : { requestId }),
      ...(reuse === undefined ? {} : { reuse }),
      ...(startDelay === undefined ? {} : { startDelayMs: startDelay }),
      ...(runTimeout === undefined ? {} : { runTimeoutMs: runTimeout }),
      ...(executionTimeout === undefined ? {} : { executionTimeoutMs: executionTimeout }),
      ...(name === undefined
        ? {}
        : {
            signal: {
              name,
              payload: signalInput ?? nullPayload,
              ...(signalId === undefined ? {} : { signalId }),
            },
          }),
      ...(attributes === undefined ? {} : { attributes }),
    });
    const { workflowId, runId, isNew } = reply;
    const said = isNew ? "started" : "was there already:";
    session.output.told("start", `${said} ${printable(workflowId)} (run ${printable(runId)})`, reply);
    if (isNew) session.noteIdle(connection);
  });
}

async function signal(
  workflowId: string,
  name: string,
  options: InputOptions & { readonly run?: string; readonly signalId?: string },
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const { run, signalId } = options;
  const payload = toInput(options);
  await session.with({ purpose: "write" }, async (connection) => {
    await connection.service.signal({
      workflowId,
      name,
      payload,
      ...(run === undefined ? {} : { runId: run }),
      ...(signalId === undefined ? {} : { signalId }),
    });
    session.output.told("signal", `sent ${printable(name)} to ${printable(workflowId)}`, {
      workflowId,
      name,
    });
    session.noteIdle(connection);
  });
}

interface EndOptions {
  readonly run?: string;
  readonly reason?: string;
  readonly requestId?: string;
}

function addEnd(command: Command): Command {
  return command
    .argument("<id>", "workflow id")
    .option("--run <run-id>", "only if this run is the latest of the chain")
    .option("--reason <text>", "recorded with it")
    .option("--request-id <id>", "names this call: repeated with the same one it has no second effect");
}

const saidOf = {
  cancel: "asked to stop:",
  terminate: "terminated",
  pause: "paused",
  reopen: "reopened",
} as const;

async function end(
  method: keyof typeof saidOf,
  workflowId: string,
  { run, reason, requestId }: EndOptions,
  command: Command,
): Promise<void> {
  const session = new Session(command);
  await session.with({ purpose: "write" }, async (connection) => {
    await connection.service[method]({
      workflowId,
      ...(run === undefined ? {} : { runId: run }),
      ...(reason === undefined ? {} : { reason }),
      ...(requestId === undefined ? {} : { requestId }),
    });
    session.output.told(method, `${saidOf[method]} ${printable(workflowId)}`, { workflowId });
    if (method === "cancel") session.noteIdle(connection);
  });
}
