/**
 * What packaged code costs beside the same code inline: `npm run bench:packages`.
 *
 * Realms, instances and activations are measured without an engine, in processor time; workflows a second with one, over a store in
 * memory, so that it is the code that counts. Everything in one run, so that the ratios mean something.
 */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Client } from "../src/client/client.ts";
import type { Activation } from "../src/core/activation.ts";
import type { RunId, WorkflowId } from "../src/core/ids.ts";
import { toPayload } from "../src/core/payload.ts";
import { nodePorts } from "../src/embedded/node-ports.ts";
import { Kernel } from "../src/engine/kernel.ts";
import { Operations } from "../src/engine/operations.ts";
import { guestScript } from "../src/host/guest-script.ts";
import { processLine } from "../src/host/process-line.ts";
import { Realm } from "../src/host/realm.ts";
import { loadInline, outsideWorkflow } from "../src/program/inline.ts";
import type { InstanceInit, ProgramSource } from "../src/program/program.ts";
import { openMemoryStore } from "../src/store/memory.ts";
import { activity, workflow } from "../src/workflow/index.ts";
import { hostPackage, pack } from "../test/packages/pack.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const instanceCount = 10_000;
const workflowCount = 5_000;
const atOnce = 500;
const rounds = 3;

const source = `
  import { activity, workflow } from "aion/workflow";
  const work = activity("work", async (value: number) => value + 1);
  export const three = workflow("three", async (start: number) => {
    let value = start;
    for (let step = 0; step < 3; step++) value = await work(value);
    return value;
  });
`;
const withZod = `
  import { workflow } from "aion/workflow";
  import { z } from "zod";
  const Order = z.object({ id: z.string(), amount: z.number(), card: z.string() });
  const Receipt = z.object({ paymentId: z.string(), shipped: z.boolean() });
  export const three = workflow("three", { input: Order, output: Receipt }, async ({ id }) => ({ paymentId: id, shipped: true }));
`;
const work = activity("work", async (value: number) => value + 1);
const three = workflow("three", async (start: number) => {
  let value = start;
  for (let step = 0; step < 3; step++) value = await work(value);
  return value;
});

const guest = await guestScript();
const silent = { log: () => undefined, stray: () => undefined };
const initOf = (index: number): Omit<InstanceInit, "log" | "onStray"> => ({
  workflowId: `workflow-${index}` as WorkflowId,
  runId: `run-${index}` as RunId,
  startedAt: 1_700_000_000_000,
  isUnchecked: false,
  payloadLimitBytes: 1_000_000,
  isTracing: false,
});
const activation = (delivery: Activation["delivery"]): Activation => ({
  delivery,
  nowMs: 1_700_000_000_000,
  historyLength: 1,
  isHistoryLong: false,
  recorded: [],
  isLast: true,
  isReplaying: false,
});
const starting = activation({ kind: "start", input: toPayload(1, "an input") });
const stepping = (ordinal: number): Activation =>
  activation({ kind: "activity", ordinal, outcome: { ok: true, value: toPayload(1, "a result") } });

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Of this process, in milliseconds: what else the machine does is not in it. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

async function measureRealm(name: string, text: string): Promise<Realm> {
  const code = await pack(text);
  const before = heap();
  const from = processorMs();
  const realm = new Realm(code, guest, silent);
  const realmMs = processorMs() - from;
  const realmKiB = (heap() - before) / 1024;
  const beforeInstances = heap();
  const createFrom = processorMs();
  for (let index = 0; index < instanceCount; index++)
    realm.create(index, "three", JSON.stringify(initOf(index)));
  const createUs = ((processorMs() - createFrom) * 1_000) / instanceCount;
  const instanceKiB = (heap() - beforeInstances) / instanceCount / 1024;
  write(
    `${name}: realm ${realmMs.toFixed(0)} ms and ${realmKiB.toFixed(0)} KiB; instance ${createUs.toFixed(0)} us and ${instanceKiB.toFixed(1)} KiB`,
  );
  return realm;
}

/** Microseconds for one activation of a step, as the median of three steps. */
function measureRealmSteps(realm: Realm): number {
  const start = JSON.stringify(starting);
  for (let index = 0; index < instanceCount; index++) {
    realm.begin(index, start);
    realm.end(index);
  }
  return median(
    [0, 1, 2].map((ordinal) => {
      const step = JSON.stringify(stepping(ordinal));
      const from = processorMs();
      for (let index = 0; index < instanceCount; index++) {
        realm.begin(index, step);
        realm.end(index);
      }
      return ((processorMs() - from) * 1_000) / instanceCount;
    }),
  );
}

async function measureInlineSteps(): Promise<number> {
  const program = loadInline([three]).route("three");
  const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  const instances = Array.from({ length: instanceCount }, (_, index) =>
    program?.instantiate({ ...initOf(index), log: () => undefined, onStray: () => undefined }),
  );
  const move = async (next: Activation): Promise<number> => {
    const from = processorMs();
    for (const instance of instances) instance?.begin(next);
    await turn();
    for (const instance of instances) instance?.end();
    return ((processorMs() - from) * 1_000) / instanceCount;
  };
  await move(starting);
  const steps: number[] = [];
  for (const ordinal of [0, 1, 2]) steps.push(await move(stepping(ordinal)));
  return median(steps);
}

async function measureWorkflows(programs: ProgramSource): Promise<number> {
  const store = openMemoryStore();
  const leaseMs = 600_000;
  const kernel = new Kernel({
    store,
    token: await store.claim({ leaseMs }),
    leaseMs,
    ports: nodePorts(() => undefined),
    programs,
    activities: [work],
    activityConcurrency: 1_000,
    activityConcurrencyPerType: {},
    residentMax: 10_000,
    payloadLimitBytes: 1_000_000,
    onNondeterminism: "fail",
    outsideWorkflow,
  });
  await kernel.start();
  const client = new Client(new Operations(kernel));
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    for (let begun = 0; begun < workflowCount; begun += atOnce) {
      const results = Array.from({ length: atOnce }, async (_, index) =>
        (await client.start("three", index)).result(),
      );
      await Promise.all(results);
    }
    rates.push(workflowCount / ((performance.now() - from) / 1_000));
  }
  await kernel.close(0);
  return median(rates);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}

const realm = await measureRealm("three steps", source);
await measureRealm("with zod", withZod);
const packagedUs = measureRealmSteps(realm);
const inlineUs = await measureInlineSteps();
write(
  `activation of a step: packaged ${packagedUs.toFixed(1)} us, inline ${inlineUs.toFixed(1)} us, ratio ${(packagedUs / inlineUs).toFixed(1)}`,
);
const inlineRate = await measureWorkflows(loadInline([three]));
const line = processLine({ guest, budgetMs: 10_000, memoryMb: 512 });
const { host, programs } = hostPackage(await pack(source), ["three"], line);
const packagedRate = await measureWorkflows(programs);
await host.close();
write(
  `workflows of three steps: packaged ${packagedRate.toFixed(0)}/s, inline ${inlineRate.toFixed(0)}/s, ratio ${(packagedRate / inlineRate).toFixed(2)}`,
);
process.exit();
