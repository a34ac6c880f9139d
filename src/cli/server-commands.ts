import type { Command } from "commander";
import { Option } from "commander";
import { createNamespace, listNamespaces } from "../client/server-client.ts";
import type { Server } from "../server/server.ts";
import { loadCodec } from "./codec-file.ts";
import { describeSettings, flagOf, loadConfiguration, toServerOptions } from "./configuration.ts";
import { loadTracing } from "./load-tracing.ts";
import { Output } from "./output.ts";
import { printable } from "./printable.ts";
import { serverLog } from "./server-log.ts";
import { Session } from "./session.ts";
import { table } from "./table.ts";
import { usageError } from "./usage.ts";

/** The commands for servers: to be one, and for what they hold. */
export function addServerCommands(program: Command): void {
  const server = program
    .command("server")
    .description("Serves workflows over HTTP: the packages and runs of a data directory.")
    .option("--data <dir>", "the directory of its data (default: ./aion-data)")
    .option("--host <address>", "where it listens (default: 127.0.0.1)")
    .option("--port <number>", "its port, 0 for a free one (default: 4466)")
    .option("--auth <whether>", "none, or required: callers show who they are (default: none)")
    .option("--config <file>", "its settings (default: aion.config.json, if it is there)")
    .option("--log <format>", "text or json (default: text on a terminal)")
    .option("--log-level <level>", "debug, info, warn or error (default: info)")
    .addHelpText(
      "after",
      `
Settings come from flags, then from the environment (AION_DATA, AION_HOST,
AION_PORT, …), then from the file. docs/server.md has all of them, and each is
a flag, too: --resident-max, --history-events-max, …
SIGTERM and SIGINT drain: calls under way are answered, attempts of activities
may end. A second one ends it at once; nothing acknowledged is lost either way.`,
    )
    .action(serve);
  // Each setting has a flag; those that few need are in the guide, and not in the help.
  const shown = new Set(["codec", ...server.options.map((option) => option.attributeName())]);
  for (const { name } of describeSettings()) {
    if (!shown.has(name)) server.addOption(new Option(`${flagOf(name)} <value>`).hideHelp());
  }
  const namespace = program.command("namespace").description("The namespaces of a server.");
  namespace.command("list").description("All of them, and whether they are open.").action(list);
  namespace.command("create").description("Makes one, if it is not there.").argument("<name>").action(create);
}

async function serve(flags: Readonly<Record<string, string>>, command: Command): Promise<void> {
  const { json, codec: codecFlag } = command.optsWithGlobals<{ json?: boolean; codec?: string }>();
  const output = new Output({ isJson: json === true });
  const settings = loadConfiguration(
    codecFlag === undefined || codecFlag === "" ? flags : { ...flags, codec: codecFlag },
    process.env,
  );
  const { log, logLevel, drain, codec: codecFile, tracing, ...rest } = settings;
  const given = toServerOptions(rest);
  const options = codecFile === undefined ? given : { ...given, codec: await loadCodec(codecFile) };
  // Only the server needs it.
  const { Server: Opened } = await import("../server/server.ts");
  const server = await Opened.open({
    ...options,
    ...(tracing ? { tracing: await loadTracing() } : {}),
    log: serverLog(log, logLevel),
  });
  // Who has read that it listens may send a signal.
  const drained = untilSignal(server, drain);
  const names = server.namespaces.map(({ name }) => name);
  output.told("server", `aion listens at ${server.url} (namespaces: ${names.join(", ")})`, {
    url: server.url,
    pid: process.pid,
    namespaces: server.namespaces,
  });
  await drained;
}

/** Drains at the first signal; at the second the process ends as it is. */
async function untilSignal(server: Server, drain: number): Promise<void> {
  const signalled = Promise.withResolvers<void>();
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    if (count > 1) process.exit(130);
    signalled.resolve();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  await signalled.promise;
  await server.close({ drain });
}

async function list(_options: object, command: Command): Promise<void> {
  const { output, place } = new Session(command);
  if (!("server" in place)) throw needsServer();
  const namespaces = await listNamespaces(place.server);
  if (output.isJson) output.json("namespace", { namespaces });
  else {
    const rows = namespaces.map(({ name, state, error }) => [name, state, printable(error ?? "")]);
    output.line(table([{ title: "NAMESPACE", cut: "middle" }, "STATE", "WHY"], rows));
  }
}

async function create(name: string, _options: object, command: Command): Promise<void> {
  const { output, place } = new Session(command);
  if (!("server" in place)) throw needsServer();
  const isNew = await createNamespace(place.server, name);
  output.told("namespace", isNew ? `created ${name}` : `${name} was there already`, { name, isNew });
}

function needsServer(): Error {
  return usageError("namespaces are a server's", "Pass --url http://127.0.0.1:4466 instead of --store.");
}
