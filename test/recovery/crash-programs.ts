/**
 * Workflows that between them use everything a run can do, each with a client that is as careful as clients should be.
 * Durations lie far apart (activities: tens of milliseconds; waits: minutes), so that an attempt that a crash made start
 * again does not change who comes first.
 */
import { isAionError } from "../../src/core/errors.ts";
import type { AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import {
  activity,
  ApplicationFailure,
  child,
  compensate,
  continueAsNew,
  expose,
  isCancelled,
  patched,
  receive,
  scope,
  shield,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  step,
  waitUntil,
  workflow,
} from "../../src/workflow/index.ts";
import type { World } from "./world.ts";

export interface CrashProgram {
  readonly name: string;
  readonly workflows: (world: World) => readonly AnyWorkflow[];
  readonly script: (world: World) => Promise<void>;
  /** The status that each workflow id ends with. */
  readonly ends: Readonly<Record<string, string>>;
}

const go = signal<number>("go");
const note = signal<string>("note");
const stop = signal("stop");
const ping = signal<string>("ping");
const pong = signal<string>("pong");

interface Work {
  readonly label: string;
  readonly ms?: number;
  /** Fails for as long as it was executed less often than this. */
  readonly failures?: number;
  readonly fatal?: true;
  /** The result says with which heartbeat it began. */
  readonly tells?: true;
  /** Never comes to an end by itself; ends when it is told to. */
  readonly hangs?: true;
}

/** The implementations: each leaves a mark on the outside and takes its time. */
export function crashActivities(world: World): readonly AnyActivity[] {
  return [
    activity("work", async (input: Work, task) => {
      await world.effect(task, input);
      if (input.hangs === true) {
        await new Promise<void>((resolve) => task.signal.addEventListener("abort", () => resolve()));
        throw new ApplicationFailure("told to stop");
      }
      await world.pause(input.ms ?? 10);
      if (input.fatal === true) {
        throw new ApplicationFailure(`${input.label} is not possible`, { type: "Fatal", nonRetryable: true });
      }
      if ((world.effectCounts().get(task.idempotencyKey) ?? 0) <= (input.failures ?? 0)) {
        throw new ApplicationFailure(`${input.label} is busy`, { type: "Busy" });
      }
      return `${input.label} done`;
    }),
    activity("steady-beat", async (input: Work, task) => {
      await world.effect(task, input);
      const from = task.lastHeartbeat as number | undefined;
      for (let beat = (from ?? 0) + 1; beat <= 3; beat++) {
        task.heartbeat(beat);
        await world.pause(5_000);
      }
      return input.tells === true ? { from } : "beaten";
    }),
  ];
}

// What workflows call: the name counts, the implementations are those above.
const work = activity("work", (_input: Work): string => "never called here");
const steadyBeat = activity("steady-beat", (_input: Work): string => "never called here");
const retry = { maxAttempts: 10, initialDelay: "1 minute", backoff: "fixed", jitter: 0 } as const;

const leaf = workflow("leaf", async (label: string) => {
  const done = await work({ label });
  await sleep("1 minute");
  return done;
});
const failingLeaf = workflow("failing-leaf", async (label: string) => {
  await work({ label, fatal: true });
});

async function startAndWait(world: World, type: string, input: unknown = null): Promise<void> {
  await world.call((client) => client.start(type, input, { id: "main" }));
}

const closed = (world: World): Promise<unknown> =>
  world.call((client) =>
    client
      .get("main")
      .result()
      .catch((error: unknown) => {
        if (isAionError(error) && error.code !== "run_closed") throw error;
        return undefined;
      }),
  );

/** The seq of the nth outcome of an activity in the latest run. */
async function outcomeOf(world: World, workflowId: string, nth: number): Promise<number> {
  const events = await world.history(workflowId);
  const start = events.findLastIndex(({ type }) => type === "WorkflowStarted");
  const outcomes = events.slice(start).filter(({ type }) => type === "ActivityCompleted");
  return outcomes[nth - 1]?.seq ?? 0;
}

export const crashPrograms: readonly CrashProgram[] = [
  {
    name: "steps one after the other",
    ends: { main: "completed" },
    workflows: (world) => [
      workflow("main", async (label: string) => {
        const first = await work({ label });
        const second = await step("in place", async (task) => {
          await world.effect(task, first);
          await world.pause(10);
          return `${first}!`;
        });
        return [first, second, await work({ label: second })];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main", "a");
      await closed(world);
    },
  },
  {
    name: "retries, and a failure for good that is caught",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        const patient = await work({ label: "patient", failures: 2 }, { retry });
        try {
          await work({ label: "hopeless", fatal: true }, { retry });
        } catch (error) {
          return [patient, (error as Error).name, await work({ label: "instead" })];
        }
        return "no failure";
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "timers, alone, side by side, and called off",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        await sleep("1 minute");
        await Promise.all([sleep("20 minutes"), sleep("2 minutes"), work({ label: "meanwhile" })]);
        const won = await Promise.race([
          work({ label: "quick" }),
          scope(() => sleep("5 minutes").then(() => "slow"), { timeout: "1 day" }),
        ]);
        return [won, await scope(() => sleep("1 hour"), { timeout: "1 minute" })];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "signals, asked for before and after they come",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        const early = await receive(go);
        await sleep("10 minutes");
        const waiting = [await receive(go), await receive(go)];
        const timely = await receive(note, { timeout: "1 hour" });
        const late = await receive(note, { timeout: "1 minute" });
        return [early, waiting, timely, late];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await world.idle(60_000);
      for (let index = 1; index <= 3; index++) {
        await world.call((client) => client.get("main").signal(go, index, { signalId: `go-${index}` }));
        await world.idle(60_000);
      }
      // The same once more: it is the one before.
      await world.call((client) => client.get("main").signal(go, 3, { signalId: "go-3" }));
      await world.idle(20 * 60_000);
      await world.call((client) => client.get("main").signal(note, "in time", { signalId: "note-1" }));
      await closed(world);
    },
  },
  {
    name: "handlers and a condition",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        const seen: string[] = [];
        let isStopped = false;
        expose(note, async (text) => {
          seen.push(await work({ label: text }));
        });
        expose(stop, () => {
          isStopped = true;
        });
        const inTime = await waitUntil(() => seen.length >= 5, "2 minutes");
        await waitUntil(() => isStopped && seen.length >= 2);
        return [inTime, seen];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      for (const text of ["one", "two"]) {
        await world.call((client) => client.get("main").signal(note, text, { signalId: text }));
        await world.idle(10_000);
      }
      await world.idle(300_000);
      await world.call((client) => client.get("main").signal(stop, undefined, { signalId: "stop" }));
      await closed(world);
    },
  },
  {
    name: "fan-out and what becomes of all of it",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        const all = await Promise.all([1, 2, 3, 4].map((n) => work({ label: `all-${n}`, ms: 5_000 * n })));
        const settled = await Promise.allSettled([
          work({ label: "fine", ms: 5_000 }),
          work({ label: "not", ms: 10_000, fatal: true }),
        ]);
        const any = await Promise.any([
          work({ label: "fails", ms: 5_000, fatal: true }),
          work({ label: "comes", ms: 10_000 }),
        ]);
        return [all, settled.map((each) => each.status), any];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "a scope that times out, with an activity in it that is told to stop",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        const cut = await scope(() => work({ label: "endless", hangs: true }), { timeout: "1 minute" });
        const kept = await scope(() => shield(() => work({ label: "shielded", ms: 20 })), {
          timeout: "1 hour",
        });
        const resting = await scope(() => work({ label: "resting", failures: 50 }, { retry }), {
          timeout: "90s",
        });
        return [cut, kept, resting];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "a saga that is undone",
    ends: { main: "failed" },
    workflows: () => [
      workflow("main", async () => {
        await work({ label: "flight" });
        compensate(() => work({ label: "cancel flight", failures: 1 }, { retry }));
        await work({ label: "hotel" });
        compensate(() => work({ label: "cancel hotel" }));
        await work({ label: "car", fatal: true });
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "children: awaited, failing, side by side, and left behind",
    ends: {
      main: "completed",
      "kid-1": "completed",
      "kid-2": "failed",
      "kid-3": "completed",
      "kid-4": "completed",
      "kid-5": "terminated",
      "kid-6": "cancelled",
      "kid-7": "completed",
    },
    workflows: () => [
      leaf,
      failingLeaf,
      workflow("main", async () => {
        const one = await child(leaf, "one", { id: "kid-1" });
        const two = await child(failingLeaf, "two", { id: "kid-2" }).catch((error: unknown) => {
          return (error as Error).message;
        });
        const both = await Promise.all([
          child(leaf, "three", { id: "kid-3" }),
          child(leaf, "four", { id: "kid-4" }),
        ]);
        for (const [id, parentClosePolicy] of [
          ["kid-5", "terminate"],
          ["kid-6", "cancel"],
          ["kid-7", "abandon"],
        ] as const) {
          void child(leaf, id, { id, parentClosePolicy }).catch(() => undefined);
        }
        await sleep("30s");
        return [one, two, both];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
      await world.idle(600_000);
    },
  },
  {
    name: "a subscription that continues as new and loses no signal",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async (state: { readonly round: number; readonly sum: number }) => {
        const amount = await receive(go);
        await work({ label: `charge ${amount}` });
        await sleep("10 minutes");
        const next = { round: state.round + 1, sum: state.sum + amount };
        if (next.round === 4) return next.sum;
        return continueAsNew(next);
      }),
    ],
    script: async (world) => {
      await world.call((client) =>
        client.start("main", { round: 0, sum: 0 }, { id: "main", requestId: "once" }),
      );
      for (const amount of [1, 10, 100, 1_000]) {
        await world.call((client) => client.get("main").signal(go, amount, { signalId: `go-${amount}` }));
        await world.idle(5_000);
      }
      await closed(world);
    },
  },
  {
    name: "a reset while a child is open, a signal that is carried, and a fork",
    ends: { main: "completed", copy: "completed", "kid-1": "completed" },
    workflows: () => [
      leaf,
      workflow("main", async () => {
        const kid = child(leaf, "kid", { id: "kid-1" });
        const first = await work({ label: "first" });
        const heard = await receive(note);
        const second = await work({ label: `about ${heard}` });
        await sleep("10 minutes");
        return [first, heard, second, await receive(note), await kid];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      const tell = (text: string) =>
        world.call((client) => client.get("main").signal(note, text, { signalId: text }));
      await tell("one");
      // The child is under way: it belongs to the run that goes on.
      await world.idle(30_000);
      const first = await outcomeOf(world, "main", 1);
      await world.call((client) =>
        client.get("main").reset({ toSeq: first, reason: "again", requestId: "reset-1" }),
      );
      await tell("two");
      await closed(world);
      // What it did when it learned of that, the fork does anew.
      const late = await outcomeOf(world, "main", 2);
      await world.call((client) =>
        client.get("main").fork("copy", { toSeq: late, signals: "carry", requestId: "fork-1" }),
      );
      await world.call((client) => client.get("copy").result());
    },
  },
  {
    name: "two workflows that talk to each other, and one who is gone",
    ends: { main: "completed", other: "completed" },
    workflows: () => [
      workflow("other", async () => {
        const heard = await receive(ping);
        await signalWorkflow("main", pong, `${heard} heard`);
        return receive(ping);
      }),
      workflow("main", async () => {
        await signalWorkflow("other", ping, "one");
        const answer = await receive(pong);
        await signalWorkflow("other", ping, "two");
        await sleep("1 minute");
        const refused = await signalWorkflow("other", ping, "three").catch((error: unknown) => {
          return (error as ApplicationFailure).type;
        });
        return [answer, refused];
      }),
    ],
    script: async (world) => {
      await world.call((client) => client.start("other", null, { id: "other" }));
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "a cancellation with cleaning up, down to a child and an activity",
    ends: { main: "cancelled", "kid-1": "cancelled" },
    workflows: () => [
      workflow("leaf-that-hangs", async () => {
        try {
          await work({ label: "hangs in the child", hangs: true });
        } catch (error) {
          await shield(() => work({ label: "child cleans up" }));
          throw error;
        }
      }),
      workflow("main", async () => {
        compensate(() => work({ label: "undo" }));
        try {
          await Promise.all([
            child("leaf-that-hangs", null, { id: "kid-1" }),
            work({ label: "hangs", hangs: true }),
            sleep("1 day"),
          ]);
        } catch (error) {
          await shield(() => work({ label: isCancelled(error) ? "tidy" : "odd" }));
          throw error;
        }
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await world.idle(60_000);
      await world.call((client) => client.get("main").cancel("not wanted"));
      await closed(world);
      await world.idle(600_000);
    },
  },
  {
    name: "recorded values and guarded changes",
    ends: { main: "completed" },
    workflows: (world) => [
      workflow("main", async () => {
        const isNew = patched("greeting");
        const picked = sideEffect(() => ["red", "green"][world.isUp ? 1 : 1]);
        const failed = ((): string => {
          try {
            return sideEffect(() => {
              throw new ApplicationFailure("no luck");
            });
          } catch (error) {
            return (error as Error).message;
          }
        })();
        await work({ label: "between" });
        return [isNew, picked, failed, patched("greeting"), sideEffect(() => "again")];
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await closed(world);
    },
  },
  {
    name: "a run that times out while it retries",
    ends: { main: "timed-out", "kid-1": "terminated" },
    workflows: () => [
      leaf,
      workflow("main", async () => {
        void child(leaf, "kid", { id: "kid-1" }).catch(() => undefined);
        await work({ label: "never works", failures: 1_000 }, { retry: { ...retry, maxAttempts: 1_000 } });
      }),
    ],
    script: async (world) => {
      await world.call((client) => client.start("main", null, { id: "main", runTimeout: "45s" }));
      await closed(world);
      await world.idle(600_000);
    },
  },
  {
    name: "a run that is terminated",
    ends: { main: "terminated" },
    workflows: () => [
      workflow("main", async () => {
        compensate(() => work({ label: "not undone" }));
        await Promise.all([work({ label: "hangs", hangs: true }), sleep("1 day")]);
      }),
    ],
    script: async (world) => {
      await startAndWait(world, "main");
      await world.idle(60_000);
      await world
        .call((client) => client.get("main").terminate("enough"))
        .catch((error: unknown) => {
          // Asked twice, since the first answer was lost: it has ended.
          if (!isAionError(error) || error.code !== "run_closed") throw error;
        });
      await closed(world);
    },
  },
  {
    name: "a delayed start with a signal, and time-outs of activities",
    ends: { main: "completed" },
    workflows: () => [
      workflow("main", async () => {
        const first = await receive(go);
        const beaten = await steadyBeat({ label: "beats" }, { heartbeat: "30s" });
        const late = await work(
          { label: "too slow", ms: 600_000 },
          { startToClose: "1 minute", retry: { ...retry, maxAttempts: 2 } },
        ).catch((error: unknown) => ((error as Error).cause as Error).name);
        const silent = await work({ label: "silent", hangs: true }, { heartbeat: "1 minute" }).catch(
          (error: unknown) => ((error as Error).cause as Error).name,
        );
        return [first, beaten, late, silent];
      }),
    ],
    script: async (world) => {
      await world.call((client) =>
        client.start("main", null, {
          id: "main",
          startDelay: "10 minutes",
          signal: [go, 5, { signalId: "go-5" }],
        }),
      );
      await closed(world);
    },
  },
];
