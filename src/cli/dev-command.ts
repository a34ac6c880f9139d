import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { Client } from "../client/client.ts";
import { CodedService } from "../client/coded-service.ts";
import { connectRemote } from "../client/remote.ts";
import type { Service } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import { isFailure, toFailure } from "../core/failure.ts";
import { fromPayload, messageOf, nullPayload } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import type { PayloadCodec } from "../core/payload-codec.ts";
import { describeProblem, frameOf } from "../package/problem.ts";
import type { Place } from "../package/problem.ts";
import type { Server } from "../server/server.ts";
import { loadCodec } from "./codec-file.ts";
import type { DocumentOf } from "./documents.ts";
import { findPlace } from "./failure-place.ts";
import { Output, paintFrames, style } from "./output.ts";
import { printable } from "./printable.ts";
import { failureLines } from "./run-view.ts";
import { serverLog } from "./server-log.ts";
import { SourceWatch, entriesOf } from "./source-watch.ts";
import { countOption, parseJsonOption, usageError } from "./usage.ts";

interface DevFlags {
  readonly port: number;
  readonly data?: string;
  readonly run?: string;
  readonly input?: string;
}

/** What is not the author's, or is made by what he runs. */
const passedOver: ReadonlySet<string> = new Set(["node_modules", "dist", "coverage"]);
const codeEnding = /\.(?:ts|mts|js|mjs)$/;
const testEnding = /\.(?:test|spec|d)\.[mc]?[jt]s$/;
/** A worker whose code never yields hears no signal. It has a second to drain, and one to say that it leaves. */
const workerEndMs = 3_000;
/** Before a worker that has ended is started anew: it may end again at once. */
const workerAnewMs = 1_000;
/** An editor writes a file in several steps. */
const settleMs = 100;
const portMax = 65_535;
const portDefault = 4_466;

/** The command for writing workflows: a server, a worker, and each change of a file taken up at once. */
export function addDevCommand(program: Command): void {
  program
    .command("dev")
    .description(
      "Serves the workflows of a directory while you write them: each change is built and deployed at once.",
    )
    .argument("[dir]", "the directory, or one file in it", ".")
    .option(
      "--port <number>",
      "where the server listens (0: any that is free)",
      countOption("--port", portMax, 0),
      portDefault,
    )
    .option("--data <dir>", "the directory of its data (default: .aion in the directory)")
    .option("--run <workflow-type>", "starts a run after each change, and shows what becomes of it")
    .option("--input <json>", "the input of that run")
    .addHelpText(
      "after",
      `
It is a server, and a worker that runs the activities. Runs that are under way
stay on the version that they were begun with; new ones get the one that you
see. Files that import aion/workflow and define a workflow are built; tests are
not.`,
    )
    .action(develop);
}

async function develop(directory: string, flags: DevFlags, command: Command): Promise<void> {
  const mode = command.optsWithGlobals<{ readonly json?: boolean; readonly codec?: string }>();
  const output = new Output({ isJson: mode.json === true });
  const place = path.resolve(directory);
  const found = statSync(place, { throwIfNoEntry: false });
  if (found === undefined)
    throw usageError(`there is no ${place}`, "Name a directory with workflow files in it.");
  const root = found.isDirectory() ? place : path.dirname(place);
  const input = flags.input === undefined ? nullPayload : parseJsonOption(flags.input, "--input");
  // Only who develops needs all of it.
  const { Server: Opened } = await import("../server/server.ts");
  const data = path.resolve(flags.data ?? path.join(root, ".aion"));
  const codecFile = mode.codec === "" ? undefined : mode.codec;
  const coded = codecFile === undefined ? {} : { codec: await loadCodec(codecFile) };
  const server = await Opened.open({ data, port: flags.port, log: serverLog(undefined, "warn"), ...coded });
  output.told("dev", `${style("bold", "aion dev")} serves ${root} at ${server.url}`, {
    what: "serving",
    url: server.url,
  });
  const development = new Development({
    server,
    root,
    only: found.isDirectory() ? undefined : place,
    data,
    output,
    ...coded,
    ...(codecFile === undefined ? {} : { codecFile: path.resolve(codecFile) }),
    ...(flags.run === undefined ? {} : { run: { workflowType: flags.run, input } }),
  });
  await development.go();
}

interface DevelopmentOptions {
  readonly server: Server;
  readonly root: string;
  readonly only: string | undefined;
  readonly data: string;
  readonly output: Output;
  /** Of encrypted payloads, and where it is from. */
  readonly codec?: PayloadCodec;
  readonly codecFile?: string;
  readonly run?: { readonly workflowType: string; readonly input: Payload };
}

/** One `aion dev`: what is built, the worker, and the watch over the files. */
type Deployed = "new" | "unchanged" | "failed";

interface DeployedFile {
  readonly version: string;
  readonly hasActivities: boolean;
  readonly root: string;
  readonly sources: readonly string[];
}

class Development {
  readonly #of: DevelopmentOptions;
  readonly #service: Service;
  /** By file, as it was deployed last. */
  readonly #deployed = new Map<string, DeployedFile>();
  /** Files whose latest text does not build. */
  readonly #failed = new Set<string>();
  #worker: ChildProcess | undefined;
  #workerAnew: NodeJS.Timeout | undefined;
  #isStopping = false;
  #round: Promise<void> = Promise.resolve();

  constructor(of: DevelopmentOptions) {
    this.#of = of;
    const service = connectRemote({ url: of.server.url, patience: 0 });
    this.#service = of.codec === undefined ? service : new CodedService(service, of.codec);
  }

  /** Until a signal comes. */
  async go(): Promise<void> {
    const { root, server } = this.#of;
    let timer: NodeJS.Timeout | undefined;
    const watcher = new SourceWatch({
      root,
      isPassedOver: (directory) => this.#isPassedOver(directory),
      onChange: (place) => {
        if (!this.#isSource(place) && !this.#isUsed(place) && !this.#isDirectory(place)) return;
        clearTimeout(timer);
        timer = setTimeout(() => {
          this.#round = this.#round.then(takeUp);
        }, settleMs);
      },
      onError: (error) => this.#tell(error),
    });
    const takeUp = async (): Promise<void> => {
      // Before it is read: what is written meanwhile is another change.
      watcher.refresh(this.#usedFiles());
      await this.#takeUp();
      watcher.refresh(this.#usedFiles());
    };
    this.#round = takeUp();
    const signalled = Promise.withResolvers<void>();
    const onSignal = (): void => {
      if (this.#isStopping) {
        this.#worker?.kill("SIGKILL");
        process.exit(130);
      }
      this.#isStopping = true;
      signalled.resolve();
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
    await signalled.promise;
    watcher.close();
    clearTimeout(timer);
    clearTimeout(this.#workerAnew);
    await this.#round;
    await this.#stopWorker();
    await server.close({ drain: 0 });
  }

  #isSource(file: string): boolean {
    const { only } = this.#of;
    if (this.#isPassedOver(file)) return false;
    return codeEnding.test(file) && (only === undefined || !testEnding.test(file));
  }

  #isPassedOver(place: string): boolean {
    const { root, data } = this.#of;
    if (place === data || place.startsWith(`${data}${path.sep}`)) return true;
    const parts = path.relative(root, place).split(path.sep);
    return parts.some((part) => passedOver.has(part) || (part.startsWith(".") && part !== "."));
  }

  /** Of what was deployed, and of the worker: what is not code, and what lies elsewhere, as a library of the same repository. */
  #usedFiles(): ReadonlySet<string> {
    return new Set([...this.#deployed.values()].flatMap(({ sources }) => sources));
  }

  #isUsed(file: string): boolean {
    return [...this.#deployed.values()].some(({ sources }) => sources.includes(file));
  }

  /** One that was made, or moved to here, may hold files. */
  #isDirectory(place: string): boolean {
    return !this.#isPassedOver(place) && statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;
  }

  /** Builds and deploys what has changed, and has the worker run what there is now. Never rejects. */
  async #takeUp(): Promise<void> {
    if (this.#isStopping) return;
    try {
      const files = this.#findFiles();
      if (files.length === 0) {
        this.#say("no file here defines a workflow; waiting for one", { what: "waiting" });
      }
      const outcomes: Deployed[] = [];
      for (const file of files) outcomes.push(await this.#deploy(file));
      // What does not build would end a new worker at once, so the one there is goes on.
      if (!outcomes.includes("failed") || !this.#hasWorker()) {
        await this.#startWorker(files.filter((file) => this.#deployed.get(file)?.hasActivities === true));
      }
      if (outcomes.includes("new") && this.#of.run !== undefined) await this.#run(this.#of.run);
    } catch (error) {
      this.#tell(error);
    }
  }

  #findFiles(): readonly string[] {
    const { root, only } = this.#of;
    if (only !== undefined) return [only];
    const files: string[] = [];
    const directories = [root];
    // One by one: a recursive read goes into `node_modules`, and there round and round the links of package managers.
    for (const directory of directories) {
      for (const entry of entriesOf(directory)) {
        const file = path.join(directory, entry.name);
        if (entry.isDirectory() && !this.#isPassedOver(file)) directories.push(file);
        if (!entry.isFile() || !this.#isSource(file) || testEnding.test(file)) continue;
        const text = readFileSync(file, "utf8");
        if (/["']aion\/workflow["']/.test(text) && /\bworkflow\s*[(<]/.test(text)) files.push(file);
      }
    }
    return files.toSorted();
  }

  async #deploy(file: string): Promise<Deployed> {
    const shown = path.relative(this.#of.root, file);
    const begunAt = performance.now();
    try {
      const { buildPackage } = await import("../package/build.ts");
      const { findSourceFiles } = await import("../package/source-files.ts");
      const { bytes, hash: version, warnings, dropped, root, sources: packed } = await buildPackage(file);
      const hasFailed = this.#failed.delete(file);
      const deployed = this.#deployed.get(file);
      const sources = [...packed, ...((await findSourceFiles(file)) ?? deployed?.sources ?? [])];
      if (deployed?.version === version) {
        this.#deployed.set(file, { ...deployed, root, sources });
        if (hasFailed) {
          const text = `${style("green", "builds")} again: ${shown}, as it was (${version.slice(0, 12)})`;
          this.#say(text, { what: "unchanged", file: shown, version });
        }
        return "unchanged";
      }
      for (const warning of warnings) this.#of.output.note(describeProblem(warning));
      const { workflowTypes } = await this.#service.deploy({ archive: bytes });
      this.#deployed.set(file, {
        version,
        hasActivities: dropped.some(({ activities }) => activities.length > 0),
        root,
        sources,
      });
      const took = Math.round(performance.now() - begunAt);
      const types = workflowTypes.map(printable).join(", ");
      this.#say(
        `${style("green", "built")} ${shown} in ${took} ms: ${types} (${version.slice(0, 12)}); new runs get it`,
        { what: "built", file: shown, version, workflowTypes },
      );
      return "new";
    } catch (error) {
      this.#failed.add(file);
      this.#tell(error);
      return "failed";
    }
  }

  #hasWorker(): boolean {
    return this.#worker !== undefined && this.#worker.exitCode === null && this.#worker.signalCode === null;
  }

  /** The code of activities is loaded once by a process, so each change needs another. */
  async #startWorker(files: readonly string[]): Promise<void> {
    await this.#stopWorker();
    clearTimeout(this.#workerAnew);
    if (this.#isStopping || files.length === 0) return;
    const [main = ""] = process.argv.slice(1);
    const worker = spawn(
      process.execPath,
      [...process.execArgv, main, "worker", ...files, "--url", this.#of.server.url, "--drain", "1s"],
      // By the channel it notices when this process is gone.
      {
        stdio: ["ignore", "pipe", "inherit", "ipc"],
        env: {
          ...process.env,
          AION_STORE: "",
          AION_NAMESPACE: "",
          AION_CODEC: this.#of.codecFile ?? "",
        },
      },
    );
    this.#worker = worker;
    let hasBegun = false;
    worker.stdout?.setEncoding("utf8").on("data", (text: string) => {
      hasBegun = true;
      this.#say(text.trimEnd(), { what: "worker", message: text.trimEnd() });
    });
    worker.once("exit", (code, signal) => {
      if (worker.killed || this.#isStopping) return;
      const how = signal ?? `exit code ${code}`;
      // What could not be loaded has said why, and would not be the next time.
      const next = hasBegun ? "it is started anew" : "the next change starts it anew";
      this.#of.output.note(`the worker has ended (${how}); ${next}`);
      if (!hasBegun) return;
      this.#workerAnew = setTimeout(() => {
        this.#round = this.#round.then(async () => {
          if (!this.#hasWorker()) await this.#startWorker(files);
        });
      }, workerAnewMs);
    });
  }

  async #stopWorker(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined || !this.#hasWorker()) return;
    const ended = once(worker, "exit");
    worker.kill("SIGTERM");
    const timer = setTimeout(() => worker.kill("SIGKILL"), workerEndMs);
    await ended;
    clearTimeout(timer);
  }

  async #run({ workflowType, input }: NonNullable<DevelopmentOptions["run"]>): Promise<void> {
    try {
      const run = await new Client(this.#service).start(workflowType, fromPayload(input));
      const { workflowId } = run;
      this.#say(`${style("cyan", "started")} ${workflowType} as ${workflowId}`, {
        what: "started",
        workflowId,
      });
      void run.result().then(
        (result) => {
          const shown = printable(JSON.stringify(result));
          this.#say(`${style("green", "completed")} ${workflowId}: ${shown}`, {
            what: "completed",
            workflowId,
            result,
          });
        },
        (error: unknown) => {
          if (this.#isStopping) return;
          const message = messageOf(error);
          const place = this.#placeOf(error);
          const lines = isFailure(error) ? failureLines(toFailure(error)) : [printable(message)];
          this.#say(
            [`${style("red", "ended")} ${workflowId}: ${lines.join("\n  ")}`, ...this.#frameOf(place)].join(
              "\n",
            ),
            { what: "ended", workflowId, message, ...(place === undefined ? {} : { place }) },
          );
        },
      );
    } catch (error) {
      this.#tell(error);
    }
  }

  #placeOf(error: unknown): Place | undefined {
    if (!isFailure(error)) return undefined;
    const roots = new Set([...this.#deployed.values()].map(({ root }) => root));
    return findPlace(error, roots);
  }

  #frameOf(place: Place | undefined): readonly string[] {
    return place === undefined ? [] : [paintFrames(printable(frameOf(place).join("\n")), style)];
  }

  #say(text: string, document: DocumentOf<"dev">): void {
    this.#of.output.told("dev", text, document);
  }

  #tell(error: unknown): void {
    this.#of.output.error(
      isAionError(error) ? error : new AionError("internal", messageOf(error), { cause: error }),
    );
  }
}
