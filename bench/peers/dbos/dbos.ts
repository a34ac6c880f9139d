/**
 * DBOS as its guide uses it: registered workflow functions, `DBOS.runStep`, `DBOS.sleep`,
 * `DBOS.send`/`recv`, embedded in the process, over PostgreSQL with the settings it ships with.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { embeddedCrash } from "../../embedded-crash.ts";
import type { CrashableEngine, EngineOptions, EngineUnderTest } from "../../engine-under-test.ts";
import { peerRoot } from "../../paths.ts";
import { payloadFor, trivialStep } from "../../trivial-step.ts";
import type { Payload } from "../../trivial-step.ts";
import { startPostgres } from "./postgres.ts";
import type { PostgresServer } from "./postgres.ts";

/** What is used of the SDK. Its own types are there only where the peer is installed. */
interface Dbos {
  setConfig(config: Readonly<Record<string, unknown>>): void;
  launch(): Promise<void>;
  shutdown(): Promise<void>;
  registerWorkflow<Input extends readonly unknown[], Output>(
    run: (...input: Input) => Promise<Output>,
    options: { readonly name: string },
  ): (...input: Input) => Promise<Output>;
  startWorkflow<Input extends readonly unknown[], Output>(
    workflow: (...input: Input) => Promise<Output>,
    options: { readonly workflowID: string },
  ): (...input: Input) => Promise<{ getResult(): Promise<Output> }>;
  runStep<Output>(run: () => Promise<Output>, options: { readonly name: string }): Promise<Output>;
  sleep(ms: number): Promise<void>;
  send(workflowId: string, message: unknown, topic: string): Promise<void>;
  recv(topic: string, options: { readonly timeoutSeconds: number }): Promise<unknown>;
}

const survivingUrl = "BENCH_DBOS_URL";
const hourMs = 3_600_000;

async function loadDbos(): Promise<Dbos> {
  const require = createRequire(join(peerRoot("dbos"), "package.json"));
  const entry: unknown = await import(pathToFileURL(require.resolve("@dbos-inc/dbos-sdk")).href);
  return (entry as { readonly DBOS: Dbos }).DBOS;
}

function registerWorkflows(dbos: Dbos) {
  const step = (name: string, input: Payload): Promise<Payload> =>
    dbos.runStep(() => Promise.resolve(trivialStep(input)), { name });
  return {
    steps: dbos.registerWorkflow(
      async (input: Payload) => {
        const reserved = await step("reserve", input);
        const charged = await step("charge", reserved);
        return await step("ship", charged);
      },
      { name: "steps" },
    ),
    fanOut: dbos.registerWorkflow(
      async (input: Payload, width: number) => {
        const results = await Promise.all(Array.from({ length: width }, () => step("part", input)));
        return results.length;
      },
      { name: "fanOut" },
    ),
    sequence: dbos.registerWorkflow(
      async (input: Payload, steps: number) => {
        let value = input;
        for (let index = 0; index < steps; index += 1) value = await step("next", value);
        return value;
      },
      { name: "sequence" },
    ),
    sleeper: dbos.registerWorkflow(
      async (input: Payload) => {
        await dbos.sleep(hourMs);
        return input;
      },
      { name: "sleeper" },
    ),
    receiver: dbos.registerWorkflow(
      async (count: number) => {
        let sum = 0;
        for (let index = 0; index < count; index += 1) {
          const message = (await dbos.recv("item", { timeoutSeconds: 300 })) as Payload;
          sum += message.amount;
        }
        return sum;
      },
      { name: "receiver" },
    ),
  };
}

export async function dbosEngine({ directory }: EngineOptions): Promise<EngineUnderTest> {
  const dbos = await loadDbos();
  const workflows = registerWorkflows(dbos);
  let server: PostgresServer | undefined;
  const start = async <Input extends readonly unknown[], Output>(
    workflow: (...input: Input) => Promise<Output>,
    id: string,
    ...input: Input
  ): Promise<{ getResult(): Promise<Output> }> =>
    await dbos.startWorkflow(workflow, { workflowID: id })(...input);

  return {
    name: "dbos",
    messageStyles: ["send/recv"],
    async open() {
      // A host that is killed finds the server that its driver started and keeps.
      const url = process.env[survivingUrl] ?? (server = await startPostgres(directory)).url;
      dbos.setConfig({
        name: "aion-bench",
        applicationVersion: "1",
        systemDatabaseUrl: url,
        logLevel: "error",
      });
      await dbos.launch();
    },
    async close() {
      await dbos.shutdown();
      await server?.stop();
    },
    async runSteps(id, input) {
      const handle = await start(workflows.steps, id, input);
      return await handle.getResult();
    },
    async runFanOut(id, width) {
      const handle = await start(workflows.fanOut, id, payloadFor(id), width);
      return await handle.getResult();
    },
    async runSequence(id, steps) {
      const handle = await start(workflows.sequence, id, payloadFor(id), steps);
      return await handle.getResult();
    },
    async startSleeper(id) {
      await start(workflows.sleeper, id, payloadFor(id));
    },
    async startReceiver(id, count) {
      const handle = await start(workflows.receiver, id, count);
      return {
        send: (_index, payload) => dbos.send(id, payload, "item"),
        result: () => handle.getResult(),
      };
    },
  };
}

/** The program dies and starts again; PostgreSQL stays up. */
export function dbosCrashable({ directory }: EngineOptions): CrashableEngine {
  return embeddedCrash({
    engine: "dbos",
    directory,
    async startSurvivor() {
      const server = await startPostgres(directory);
      process.env[survivingUrl] = server.url;
      return {
        ...(server.pid === undefined ? {} : { pid: server.pid }),
        async stop() {
          Reflect.deleteProperty(process.env, survivingUrl);
          await server.stop();
        },
      };
    },
  });
}
