/** `npm start`: fulfils a file of orders, shows how it goes, and audits itself against the payment provider's ledger. */
import { mkdirSync } from "node:fs";
import { join, relative } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { isAionError } from "aion/client";
import { runWithKills } from "./chaos.ts";
import { emptyDataDirectory, resolveDataDirectory } from "./data-directory.ts";
import { Display } from "./display.ts";
import { ORDER_COUNT_MAX } from "./order-file.ts";
import { acquireInstanceLock } from "./outside/single-instance.ts";
import { countAll, type Snapshot } from "./progress.ts";
import { type Report, type RunHooks, runOrders } from "./run-orders.ts";
import { renderSummary } from "./summary.ts";
import { World } from "./world.ts";

interface Flags {
  readonly orders: number;
  readonly inFlight: number;
  readonly faultRate: number;
  readonly seed: number;
  readonly kills: number;
  readonly data?: string;
  readonly chaos?: true;
  readonly fresh?: true;
  readonly plain?: true;
}

const EXIT_INTERRUPTED = 130;

const program = new Command("npm start --")
  .description("Fulfils orders with Aion, and audits itself against the payment provider's ledger.")
  .option("--orders <count>", "how many orders", wholeNumber(1, ORDER_COUNT_MAX), 1_000)
  .option("--in-flight <count>", "how many of them at a time", wholeNumber(1, 10_000), 50)
  .option(
    "--fault-rate <part>",
    "the part of the calls to other services that go wrong, 0 to 0.9",
    faultRate,
    0.2,
  )
  .option("--seed <number>", "which calls go wrong, and when --chaos kills", wholeNumber(0, 2 ** 31), 1)
  .option("--chaos", "kill the engine's process with SIGKILL again and again, then audit")
  .option("--kills <count>", "how often --chaos kills", wholeNumber(0, 1_000), 20)
  .option("--fresh", "forget earlier runs and begin again")
  .option("--data <directory>", "where everything is kept (also AION_DATA; default .data/order-fulfilment)")
  .option("--plain", "plain lines, no redrawing")
  .showHelpAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .allowExcessArguments(false)
  .parse();

process.exitCode = await main(program.opts<Flags>()).catch(explain);

async function main(flags: Flags): Promise<number> {
  const dataDir = resolveDataDirectory(flags.data, process.env);
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
  const { faultRate: rate, seed, orders: orderCount, inFlight: inFlightMax } = flags;
  const options = { dataDir, faultRate: rate, seed, orderCount, inFlightMax };
  const world = new World(options);
  if (flags.fresh === true) {
    await world.disconnect();
    emptyDataDirectory(dataDir);
  }
  const shown: { snapshot?: Snapshot; killCount?: number } = flags.chaos === true ? { killCount: 0 } : {};
  const display = new Display({
    stream: process.stdout,
    isPlain: flags.plain === true,
    read: () => ({ snapshot: shown.snapshot, killCount: shown.killCount }),
  });
  const stopping = stopOnSignals((text) => display.note(text));
  const hooks: RunHooks = {
    onOpened: ({ endedCount, recoveredCount }) => {
      if (recoveredCount > 0)
        display.note(`recovered ${recoveredCount} orders under way; ${endedCount} had ended before`);
      else if (endedCount > 0) display.note(`${endedCount} orders had ended before`);
    },
    onSnapshot: (snapshot) => {
      shown.snapshot = snapshot;
    },
    onNote: (text) => display.note(text),
    signal: stopping,
  };
  display.note(
    `Order fulfilment: ${orderCount} orders, ${Math.round(rate * 100)} % faults, data in ${shortPath(dataDir)}`,
  );
  display.start();
  try {
    const report =
      flags.chaos === true
        ? await runWithKills(
            { ...options, killCount: flags.kills },
            {
              ...hooks,
              onKill: (killCount) => {
                shown.killCount = killCount;
              },
            },
          )
        : await runOrders(options, hooks);
    display.stop();
    if (report !== undefined) return conclude(report);
    const endedCount = shown.snapshot === undefined ? 0 : countAll(shown.snapshot.ended);
    process.stdout.write(
      `Stopped after ${endedCount} of ${orderCount} orders. \`npm start\` goes on from here.\n`,
    );
    return EXIT_INTERRUPTED;
  } finally {
    display.stop();
    await world.disconnect();
  }
}

function conclude(report: Report): number {
  process.stdout.write(
    `${renderSummary(report, { hasColor: process.stdout.isTTY && process.stdout.hasColors() })}\n`,
  );
  if (report.isNothingNew)
    process.stdout.write("Everything was done already. `npm start -- --fresh` begins again.\n");
  return report.audit.findings.length === 0 ? 0 : 1;
}

/** The first Ctrl-C closes the engine in good order, the second ends the process; either way nothing is lost. */
function stopOnSignals(note: (text: string) => void): AbortSignal {
  const stopping = new AbortController();
  const onSignal = (): void => {
    if (stopping.signal.aborted) process.exit(EXIT_INTERRUPTED);
    note("Stopping; once more to stop at once.");
    stopping.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
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
