/**
 * The service process of the Restate peer: the program that an author writes, in a process of its
 * own as Restate means it. Started with an IPC channel and a `ServiceSpec` as its argument.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { peerRoot } from "../../paths.ts";
import { payloadFor, stepProbe, trivialStep } from "../../trivial-step.ts";
import type { Payload } from "../../trivial-step.ts";

export interface ServiceSpec {
  readonly port: number;
  readonly killAtStep: number | undefined;
}

export type ServiceReport = { readonly type: "listening" } | { readonly type: "firstStep" };

/** What is used of the SDK. Its own types are there only where the peer is installed. */
interface Context {
  run<Output>(name: string, action: () => Output): PromiseLike<Output>;
  sleep(ms: number): PromiseLike<void>;
  promise<Value>(name: string): PromiseLike<Value> & { resolve(value: Value): PromiseLike<void> };
  get<Value>(name: string): PromiseLike<Value | null>;
  set(name: string, value: unknown): void;
}
type Handler = (context: Context, input: never) => Promise<unknown>;
interface RestateSdk {
  workflow(definition: {
    readonly name: string;
    readonly handlers: Readonly<Record<string, Handler>>;
  }): unknown;
  object(definition: {
    readonly name: string;
    readonly handlers: Readonly<Record<string, Handler>>;
  }): unknown;
  serve(options: { readonly services: readonly unknown[]; readonly port: number }): Promise<number>;
  readonly RestatePromise: {
    all<Value>(promises: readonly PromiseLike<Value>[]): PromiseLike<readonly Value[]>;
  };
}

const hourMs = 3_600_000;

const spec = JSON.parse(process.argv[2] ?? "{}") as ServiceSpec;

function report(message: ServiceReport): void {
  process.send?.(message);
}

if (spec.killAtStep !== undefined) stepProbe.killAtStep = spec.killAtStep;
stepProbe.onFirstStep = () => {
  report({ type: "firstStep" });
};

const require = createRequire(join(peerRoot("restate"), "package.json"));
const loaded: unknown = await import(pathToFileURL(require.resolve("@restatedev/restate-sdk")).href);
const restate = loaded as RestateSdk;

const step = (context: Context, name: string, input: Payload): PromiseLike<Payload> =>
  context.run(name, () => trivialStep(input));

const steps = restate.workflow({
  name: "steps",
  handlers: {
    run: async (context: Context, input: Payload) => {
      const reserved = await step(context, "reserve", input);
      const charged = await step(context, "charge", reserved);
      return await step(context, "ship", charged);
    },
  },
});

const fanOut = restate.workflow({
  name: "fanOut",
  handlers: {
    run: async (context: Context, input: { readonly width: number }) => {
      const payload = payloadFor("fan-out");
      const results = await restate.RestatePromise.all(
        Array.from({ length: input.width }, () => step(context, "part", payload)),
      );
      return results.length;
    },
  },
});

const sequence = restate.workflow({
  name: "sequence",
  handlers: {
    run: async (context: Context, input: { readonly steps: number }) => {
      let value = payloadFor("sequence");
      for (let index = 0; index < input.steps; index += 1) value = await step(context, "next", value);
      return value;
    },
  },
});

const sleeper = restate.workflow({
  name: "sleeper",
  handlers: {
    run: async (context: Context, input: Payload) => {
      await context.sleep(hourMs);
      return input;
    },
  },
});

/** Messages as durable promises, one name each: what the documentation calls signals. */
const promiseReceiver = restate.workflow({
  name: "promiseReceiver",
  handlers: {
    run: async (context: Context, input: { readonly count: number }) => {
      let sum = 0;
      for (let index = 0; index < input.count; index += 1) {
        const message = await context.promise<Payload>(`item-${index}`);
        sum += message.amount;
      }
      return sum;
    },
    send: async (context: Context, input: { readonly index: number; readonly payload: Payload }) => {
      await context.promise<Payload>(`item-${input.index}`).resolve(input.payload);
    },
  },
});

/** Messages as calls of one virtual object, which takes them one after the other. */
const objectReceiver = restate.object({
  name: "objectReceiver",
  handlers: {
    add: async (context: Context, payload: Payload) => {
      const sum = (await context.get<number>("sum")) ?? 0;
      context.set("sum", sum + payload.amount);
    },
  },
});

await restate.serve({
  services: [steps, fanOut, sequence, sleeper, promiseReceiver, objectReceiver],
  port: spec.port,
});
report({ type: "listening" });

process.on("disconnect", () => {
  process.exit();
});
