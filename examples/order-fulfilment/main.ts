/** `npm start`: fulfils a file of orders, shows how it goes, and audits itself against the payment provider's ledger. */
import { mkdirSync } from "node:fs";
import { join, relative } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { isAionError } from "aion/client";
import type { Victim } from "./backend.ts";
import {
  chaosDirectoryIn,
  emptyDataDirectory,
  resolveDataDirectory,
  STANDARD_DATA_DIRECTORY,
} from "./data-directory.ts";
import { Display } from "./display.ts";
import { ORDER_COUNT_MAX } from "./order-file.ts";
import { acquireInstanceLock } from "./outside/single-instance.ts";
import { countAll, type Snapshot } from "./progress.ts";
import { type RunHooks, runOrders } from "./run-orders.ts";
import { renderSummary } from "./summary.ts";
import { World } from "./world.ts";

interface Flags {
  readonly orders: number;
  readonly inFlight: number;
  readonly faultRate: number;
  readonly seed: number;
  readonly kills: number;
  readonly port: number;
  readonly data?: string;
  readonly chaos?: true;
  readonly fresh?: true;
  readonly plain?: true;
}

/** What happened so far, for the display and the summary. */
interface Seen {
  snapshot?: Snapshot;
  /** What was found, before anything was done. */
  endedBeforeCount?: number;
  readonly kills: Record<Victim, number>;
}

const ORDER_COUNT = 1_000;
const PORT = 4_466;
const EXIT_INTERRUPTED = 130;

const program = new Command("npm start --")
  .description("Fulfils orders with Aion, and audits itself against the payment provider's ledger.")
  .option("--orders <count>", "how many orders", wholeNumber(1, ORDER_COUNT_MAX), ORDER_COUNT)
  .option("--in-flight <count>", "how many of them at a time", wholeNumber(1, 10_000), 50)
  .option(
    "--fault-rate <part>",
    "the part of the calls to other services that go wrong, 0 to 0.9",
    faultRate,
    0.2,
  )
  .option("--seed <number>", "which calls go wrong, and when --chaos kills", wholeNumber(0, 2 ** 31), 1)
  .option("--chaos", "begin again, and kill the server and the worker with SIGKILL on the way")
  .option("--kills <count>", "how often --chaos kills", wholeNumber(0, 1_000), 20)
  .option("--port <number>", "where the server listens, 0 for a free port", wholeNumber(0, 65_535), PORT)
  .option("--fresh", "forget earlier runs and begin again")
  .option(
    "--data <directory>",
    "where everything is kept (also AION_DATA; default .data/order-fulfilment); --chaos uses its folder chaos",
  )
  .option("--plain", "plain lines, no redrawing")
  .showHelpAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .allowExcessArguments(false)
  .parse();

process.exitCode = await main(program.opts<Flags>()).catch(explain);

async function main(flags: Flags): Promise<number> {
  const dataDir = directoryOf(flags);
  mkdirSync(dataDir, { recursive: true });
  const lock = acquireInstanceLock(join(dataDir, "main.lock"));
  if (lock === undefined) throw new Error(`another run is using ${dataDir}; wait for its end or stop it`);
  try {
    return await runLocked(flags, dataDir);
  } finally {
    lock.release();
  }
}

async function runLocked(flags: Flags, dataDir: string): Promise<number> {
  const { faultRate: rate, seed, orders: orderCount, inFlight: inFlightMax, port } = flags;
  const isChaos = flags.chaos === true;
  const killCount = isChaos ? flags.kills : 0;
  const startedAtMs = Date.now();
  // To find and end the services, wherever the server may be.
  const world = new World({ dataDir, faultRate: rate, seed, serverUrl: "" });
  if (flags.fresh === true || isChaos) {
    await world.disconnect();
    emptyDataDirectory(dataDir);
  }
  const seen: Seen = { kills: { server: 0, worker: 0 } };
  const display = new Display({
    stream: process.stdout,
    isPlain: flags.plain === true,
    read: () => ({
      snapshot: seen.snapshot,
      ...(isChaos ? { killCount: seen.kills.server + seen.kills.worker } : {}),
    }),
  });
  const hooks: RunHooks = {
    onOpened: ({ url, endedCount, recoveredCount }) => {
      seen.endedBeforeCount = endedCount;
      if (recoveredCount > 0)
        display.note(`recovered ${recoveredCount} orders under way; ${endedCount} had ended before`);
      else if (endedCount > 0) display.note(`${endedCount} orders had ended before`);
      display.note(`The server is at ${url} (in a browser: ${url}/docs).`);
      display.note(`Look inside from another terminal: npm run --silent aion -- list --url ${url}`);
    },
    onSnapshot: (snapshot) => {
      seen.snapshot = snapshot;
    },
    onKill: (victim) => {
      seen.kills[victim] += 1;
    },
    onNote: (text) => display.note(text),
    signal: stopOnSignals((text) => display.note(text)),
  };
  introduce(flags, dataDir, (text) => display.note(text));
  display.start();
  try {
    const report = await runOrders(
      { dataDir, faultRate: rate, seed, port, orderCount, inFlightMax, killCount },
      hooks,
    );
    display.stop();
    if (report === undefined) {
      const endedCount = seen.snapshot === undefined ? 0 : countAll(seen.snapshot.ended);
      print(
        `Stopped after ${endedCount} of ${orderCount} orders. \`${commandToGoOn(flags, dataDir)}\` goes on from here.`,
      );
      return EXIT_INTERRUPTED;
    }
    const endedNowCount = orderCount - (seen.endedBeforeCount ?? 0);
    const hasColor = process.stdout.isTTY && process.stdout.hasColors();
    const elapsedMs = Date.now() - startedAtMs;
    print(
      renderSummary(report, { hasColor, elapsedMs, endedNowCount, kills: isChaos ? seen.kills : undefined }),
    );
    if (endedNowCount === 0) print("Everything was done already. `npm start -- --fresh` begins again.");
    return report.audit.findings.length === 0 ? 0 : 1;
  } finally {
    display.stop();
    await world.disconnect();
  }
}

function introduce(flags: Flags, dataDir: string, note: (text: string) => void): void {
  const { orders, faultRate: rate, kills } = flags;
  note(
    `Order fulfilment: ${orders} orders, ${Math.round(rate * 100)} % faults, data in ${shortPath(dataDir)}`,
  );
  note(
    flags.chaos === true
      ? `Server and worker are processes of their own, which are killed ${kills} times on the way.`
      : `Kill this process at any moment (kill -9 ${process.pid}), or the server, or the worker: it goes on.`,
  );
}

function directoryOf(flags: Flags): string {
  const dataDir = resolveDataDirectory(flags.data, process.env);
  return flags.chaos === true ? chaosDirectoryIn(dataDir) : dataDir;
}

function commandToGoOn(flags: Flags, dataDir: string): string {
  const words = [
    ...(dataDir === STANDARD_DATA_DIRECTORY ? [] : ["--data", shortPath(dataDir)]),
    ...(flags.orders === ORDER_COUNT ? [] : ["--orders", String(flags.orders)]),
    ...(flags.port === PORT ? [] : ["--port", String(flags.port)]),
  ];
  return ["npm start", ...(words.length === 0 ? [] : ["--", ...words])].join(" ");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The first Ctrl-C stops server and worker in good order, the second ends the process; either way nothing is lost. */
function stopOnSignals(note: (text: string) => void): AbortSignal {
  const stopping = new AbortController();
  const onSignal = (): void => {
    if (stopping.signal.aborted) process.exit(EXIT_INTERRUPTED);
    note("Stopping; once more to stop at once.");
    stopping.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // Whoever read the output has seen enough, as in `npm start | head`.
  process.stdout.on("error", () => stopping.abort());
  return stopping.signal;
}

function shortPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") || fromHere === "" ? path : fromHere;
}

function explain(error: unknown): number {
  if (isAionError(error)) process.stderr.write(`error[${error.code}]: ${error.message}\n  ${error.hint}\n`);
  else process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function faultRate(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 0.9) return value;
  throw new InvalidArgumentError("It must be a number from 0 to 0.9.");
}
