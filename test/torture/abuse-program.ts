/**
 * An engine that is abused in one way after another while others use it as they should. Tells what came of it, in one line of
 * JSON. `node --expose-gc abuse-program.ts FILE`
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Engine, isAionError } from "aion";
import {
  activity,
  expose,
  isFailure,
  query,
  receive,
  sideEffect,
  signal,
  sleep,
  workflow,
} from "aion/workflow";

export interface AbuseReport {
  readonly phases: readonly {
    readonly name: string;
    /** Orders that were placed meanwhile, and how long they took, in milliseconds. */
    readonly orderCount: number;
    /** How long the abuse itself took. */
    readonly abuseMs: number;
    readonly p50: number;
    readonly p99: number;
    readonly worst: number;
    /** What is held after it, with all garbage gone. */
    readonly heapMb: number;
  }[];
  /** What was tried, and what came of it. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** Orders that ended otherwise than they should. */
  readonly wrong: readonly string[];
}

const [path = ""] = process.argv.slice(2);
const huge = 100 * 1024 * 1024;
const ordersPerSecond = 40;

const note = signal<string>("note");
const go = signal<string>("go");
const count = query<number>("count");
const large = query<string>("large");

const work = activity("work", async (text: string) => {
  await delay(1);
  return `${text}!`;
});
const poisons: Readonly<Record<string, () => unknown>> = {
  "a result of 100 MB": () => "x".repeat(huge),
  "a result in a circle": () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    return circle;
  },
  "a result with a BigInt": () => ({ amount: 1n }),
  "a result whose toJSON throws": () => ({
    toJSON() {
      throw new Error("no JSON of me");
    },
  }),
  "a result 100,000 levels deep": () => {
    let deep: unknown = null;
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    return deep;
  },
  "an error whose message has 100 MB": () => {
    throw new Error("x".repeat(huge));
  },
  "an error that is null": () => {
    // oxlint-disable-next-line typescript/only-throw-error -- what user code may do
    throw null;
  },
  "an error that cannot be looked at": () => {
    // oxlint-disable-next-line typescript/only-throw-error -- what user code may do
    throw new Proxy(
      {},
      {
        get() {
          throw new Error("do not look at me");
        },
      },
    );
  },
};
const poison = activity("poison", (name: string) => poisons[name]?.());

const order = workflow("order", async (text: string) => {
  const once = await work(text);
  await sleep(1);
  return work(once);
});
const taster = workflow("taster", (name: string) => poison(name));
const listener = workflow("listener", async (total: number) => {
  let heard = 0;
  expose(count, () => heard);
  while (heard < total) {
    await receive(note);
    heard += 1;
  }
  return heard;
});
const reckless = workflow("reckless", async () => {
  void Promise.reject(new Error("nobody listens"));
  await receive(go);
});
const hoarder = workflow("hoarder", async () => {
  expose(large, () => "x".repeat(huge));
  await receive(go);
  return sideEffect(() => "x".repeat(huge));
});
const boaster = workflow("boaster", () => Promise.resolve("x".repeat(huge)));

const engine = await Engine.open({
  store: `sqlite:${path}`,
  workflows: [order, taster, listener, reckless, hoarder, boaster],
  activities: [work, poison],
  localSocket: false,
  log: () => undefined,
});
const { client } = engine;

const outcomes: Record<string, string> = {};
const wrong: string[] = [];
const phases: AbuseReport["phases"][number][] = [];

/** Notes the code of the error, or that there was none. */
async function attempt(what: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
    outcomes[what] = "done";
  } catch (error) {
    outcomes[what] = nameOf(error);
  }
}

/** The code at the bottom of it, or its kind. */
function nameOf(error: unknown): string {
  if (isAionError(error)) return error.code;
  if (!isFailure(error)) return error instanceof Error ? error.message : typeof error;
  if (error.cause !== undefined) return nameOf(error.cause);
  return "code" in error && typeof error.code === "string" ? error.code : error.kind;
}

async function during(name: string, abuse: () => Promise<unknown>): Promise<void> {
  const tookMs: number[] = [];
  const orders: Promise<void>[] = [];
  const over = new AbortController();
  const place = async (): Promise<void> => {
    const text = `${name} ${orders.length}`;
    const startedAt = performance.now();
    try {
      const run = await client.start(order, text);
      if ((await run.result()) !== `${text}!!`) wrong.push(text);
    } catch (error) {
      wrong.push(`${text}: ${nameOf(error)}`);
    }
    tookMs.push(performance.now() - startedAt);
  };
  const stream = (async () => {
    while (!over.signal.aborted) {
      orders.push(place());
      await delay(1_000 / ordersPerSecond);
    }
  })();
  const begunAt = performance.now();
  await Promise.all([abuse(), delay(1_500)]);
  const abuseMs = performance.now() - begunAt;
  over.abort();
  await stream;
  await Promise.all(orders);
  globalThis.gc?.();
  const sorted = tookMs.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const heapMb = process.memoryUsage().heapUsed / 1024 ** 2;
  const orderCount = sorted.length;
  phases.push({ name, orderCount, abuseMs, p50: at(0.5), p99: at(0.99), worst: at(1), heapMb });
}

await during("warming up", () => Promise.resolve());
await during("nothing", () => Promise.resolve());

await during("payloads of 100 MB", async () => {
  await attempt("an input of 100 MB", () => client.start(order, "x".repeat(huge)));
  const hoard = await client.start(hoarder);
  await attempt("a signal of 100 MB", () => hoard.signal(go, "x".repeat(huge)));
  await attempt("an answer of 100 MB", () => hoard.query(large));
  await hoard.signal(go, "");
  await attempt("a recorded value of 100 MB", () => hoard.result());
  const boast = await client.start(boaster);
  await attempt("a workflow's result of 100 MB", () => boast.result());
});

await during("poison", async () => {
  for (const name of Object.keys(poisons)) {
    const run = await client.start(taster, name);
    await attempt(name, () => run.result());
  }
  await attempt("an id of 1 MB", () => client.start(order, "text", { id: "x".repeat(1024 ** 2) }));
  await attempt("an empty id", () => client.start(order, "text", { id: "" }));
});

await during("10,000 signals to one run", async () => {
  const total = 10_000;
  const run = await client.start(listener, total);
  const sent = Array.from({ length: total }, () => run.signal(note, "heard"));
  await attempt("10,000 signals", () => Promise.all(sent));
  await attempt("a run that heard them all", async () => {
    if ((await run.result()) !== total) throw new Error("it heard too few");
  });
});

await during("promises that nobody listens to", async () => {
  const runs = await Promise.all(Array.from({ length: 100 }, () => client.start(reckless)));
  for (const run of runs) await attempt("a rejection that nobody listens to", () => run.result());
});

await during("nothing any more", () => Promise.resolve());
await engine.close();
const report: AbuseReport = { phases, outcomes, wrong };
process.stdout.write(`${JSON.stringify(report)}\n`);
