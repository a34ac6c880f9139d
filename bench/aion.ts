/** Aion embedded in the measured process, over a SQLite file, as a user's program has it. */
import { join } from "node:path";
import { Engine } from "aion";
import { receive, signal, sleep, step, workflow } from "aion/workflow";
import { embeddedCrash } from "./embedded-crash.ts";
import type { CrashableEngine, EngineOptions, EngineUnderTest } from "./engine-under-test.ts";
import { payloadFor, trivialStep } from "./trivial-step.ts";
import type { Payload } from "./trivial-step.ts";

const item = signal<Payload>("item");

const steps = workflow("steps", async (input: Payload) => {
  const reserved = await step("reserve", () => trivialStep(input));
  const charged = await step("charge", () => trivialStep(reserved));
  return await step("ship", () => trivialStep(charged));
});

interface FanOut {
  readonly payload: Payload;
  readonly width: number;
}

const fanOut = workflow("fanOut", async (input: FanOut) => {
  const results = await Promise.all(
    Array.from({ length: input.width }, () => step("part", () => trivialStep(input.payload))),
  );
  return results.length;
});

const sequence = workflow(
  "sequence",
  async (input: { readonly payload: Payload; readonly steps: number }) => {
    let value = input.payload;
    for (let index = 0; index < input.steps; index += 1) {
      const previous = value;
      value = await step("next", () => trivialStep(previous));
    }
    return value;
  },
);

const sleeper = workflow("sleeper", async (input: Payload) => {
  await sleep("1 hour");
  return input;
});

const receiver = workflow("receiver", async (count: number) => {
  let sum = 0;
  for (let index = 0; index < count; index += 1) sum += (await receive(item)).amount;
  return sum;
});

const longHistory = workflow("longHistory", async (input: FanOut & { readonly rounds: number }) => {
  for (let round = 0; round < input.rounds; round += 1) {
    await Promise.all(
      Array.from({ length: input.width }, () => step("part", () => trivialStep(input.payload))),
    );
  }
  await step("hang", hang);
});

/** Reached when everything before it is durable; it never ends, so that a restart runs it again. */
const hung = Promise.withResolvers<void>();
function hang(): Promise<never> {
  trivialStep(payloadFor("hang"));
  hung.resolve();
  return new Promise(() => {});
}

/** Scheduled, started, completed. */
const eventsPerStep = 3;
const longHistoryWidth = 100;

export async function aionEngine({ directory }: EngineOptions): Promise<EngineUnderTest> {
  let opened: Engine | undefined;
  const engine = (): Engine => {
    if (opened === undefined) throw new TypeError("the engine is not open");
    return opened;
  };
  return {
    name: "aion",
    messageStyles: ["signals"],
    async open() {
      opened = await Engine.open({
        store: `sqlite:${join(directory, "aion.db")}`,
        workflows: [steps, fanOut, sequence, sleeper, receiver, longHistory],
        // W7 is longer than a history should be.
        limits: { historyEventsMax: 1_000_000 },
      });
    },
    async close() {
      await opened?.close();
    },
    async runSteps(id, input) {
      const run = await engine().client.start(steps, input, { id });
      return await run.result();
    },
    async runFanOut(id, width) {
      const run = await engine().client.start(fanOut, { payload: payloadFor(id), width }, { id });
      return await run.result();
    },
    async runSequence(id, count) {
      const run = await engine().client.start(sequence, { payload: payloadFor(id), steps: count }, { id });
      return await run.result();
    },
    async startSleeper(id) {
      await engine().client.start(sleeper, payloadFor(id), { id });
    },
    async startReceiver(id, count) {
      const run = await engine().client.start(receiver, count, { id });
      return {
        send: (_index, payload) => run.signal(item, payload),
        result: () => run.result(),
      };
    },
    async startLongHistory(id, events) {
      const rounds = Math.ceil(events / (eventsPerStep * longHistoryWidth));
      const input = { payload: payloadFor(id), width: longHistoryWidth, rounds };
      const run = await engine().client.start(longHistory, input, { id });
      await hung.promise;
      return (await run.describe()).historyLength;
    },
  };
}

/** The program dies and starts again; there is nothing else. */
export function aionCrashable({ directory }: EngineOptions): CrashableEngine {
  return embeddedCrash({ engine: "aion", directory });
}
