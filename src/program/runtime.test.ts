import { describe, expect, it } from "vitest";
import type { Activation, Delivery, RecordedValue, Turn } from "../core/activation.ts";
import type { AionError } from "../core/errors.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { nullPayload, toPayload } from "../core/payload.ts";
import {
  activity,
  continueAsNew,
  expose,
  now,
  patched,
  query,
  random,
  receive,
  sideEffect,
  signal,
  sleep,
  uuid,
  waitUntil,
  workflow,
} from "../workflow/index.ts";
import { loadInline } from "./inline.ts";
import type { ProgramInstance } from "./program.ts";

const json = (value: unknown): ReturnType<typeof toPayload> => toPayload(value, "a test value");
const go = signal<number>("go");

/** Code that is driven by hand: one activation after the other, as an engine would. */
class Driven {
  readonly instance: ProgramInstance;
  readonly strays: AionError[] = [];
  #nowMs = 1_000;

  constructor(run: (input: never) => unknown) {
    const definition = workflow("subject", run as () => unknown);
    const program = loadInline([definition]).route("subject");
    if (program === undefined) throw new Error("no program");
    this.instance = program.instantiate({
      workflowId: "w" as WorkflowId,
      runId: "r" as RunId,
      startedAt: 1_000,
      isUnchecked: false,
      payloadLimitBytes: 10_000,
      isTracing: false,
      log: () => undefined,
      onStray: (error) => this.strays.push(error),
    });
  }

  async tell(delivery: Delivery, of: Partial<Activation> = {}): Promise<Turn> {
    this.instance.begin({
      delivery,
      nowMs: (this.#nowMs += 10),
      historyLength: 1,
      isHistoryLong: false,
      recorded: [],
      isLast: true,
      isReplaying: false,
      ...of,
    });
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const turn = this.instance.end();
      if (typeof turn !== "string") return turn;
    }
  }

  start(of: Partial<Activation> = {}): Promise<Turn> {
    return this.tell({ kind: "start", input: json("in") }, of);
  }

  timer(ordinal: number): Promise<Turn> {
    return this.tell({ kind: "timer", ordinal });
  }

  signal(payload: unknown): Promise<Turn> {
    return this.tell({ kind: "signal", name: "go", payload: json(payload) });
  }
}

const kindsOf = ({ commands }: Turn): readonly string[] => commands.map((command) => command.kind);

describe("the commands of code", () => {
  it("are numbered per kind, in the order in which they were asked for", async () => {
    const work = activity("work", (_input: number): number => 0);
    const driven = new Driven(async () => {
      const parallel = [work(1), sleep(5), work(2), sleep(6)];
      await Promise.race(parallel);
      await work(3);
    });
    expect((await driven.start()).commands).toMatchObject([
      { kind: "run-activity", ordinal: 0, input: "1" },
      { kind: "start-timer", ordinal: 0, durationMs: 5 },
      { kind: "run-activity", ordinal: 1, input: "2" },
      { kind: "start-timer", ordinal: 1, durationMs: 6 },
    ]);
    expect((await driven.timer(1)).commands).toMatchObject([{ kind: "run-activity", ordinal: 2 }]);
  });

  it("end with the one that says how the run ends, and nothing after it counts", async () => {
    let producedCount = 0;
    const marks: boolean[] = [];
    const driven = new Driven(async () => {
      const later = async (): Promise<void> => {
        for (let count = 0; count < 20; count++) await Promise.resolve();
        sideEffect(() => (producedCount += 1));
        marks.push(patched("late"));
        void sleep(5);
      };
      void later();
      return Promise.resolve("over");
    });
    const turn = await driven.start();
    expect(turn.commands).toEqual([{ kind: "complete", result: '"over"' }]);
    expect(turn.isSettled).toBe(true);
    expect(producedCount).toBe(0);
    expect(marks).toEqual([false]);
    expect(driven.strays).toEqual([]);
  });

  it("are reported as stray when they come between two turns, with the place and the hint", async () => {
    const gates: (() => void)[] = [];
    const driven = new Driven(async () => {
      void sleep(5);
      await new Promise<void>((resolve) => gates.push(resolve));
      await sleep(6);
    });
    await driven.start();
    for (const open of gates) open();
    await new Promise((resolve) => setImmediate(resolve));
    expect(driven.strays).toMatchObject([
      {
        code: "nondurable_await",
        message: expect.stringMatching(
          /workflow w \(subject\) went on with sleep at .*runtime\.test\.ts:\d+/,
        ),
      },
    ]);
  });

  it("are none in code that waits for nothing durable, and that is seen", async () => {
    const stuck = await new Driven(() => new Promise(() => undefined)).start();
    expect(stuck).toMatchObject({ commands: [], isSettled: false, isStuck: true });
    for (const waits of [() => sleep(1), () => receive(go), () => waitUntil(() => false)]) {
      expect((await new Driven(waits).start()).isStuck).toBe(false);
    }
  });
});

describe("conditions", () => {
  it("are asked at rest only, and wake one at a time in the order in which they began to wait", async () => {
    const woken: string[] = [];
    let isOpen = false;
    const driven = new Driven(async () => {
      expose(go, () => {
        isOpen = true;
      });
      const wait = async (name: string): Promise<void> => {
        await waitUntil(() => isOpen);
        woken.push(name);
        // The first one through closes the gate behind it.
        isOpen = false;
      };
      await Promise.all([wait("a"), wait("b"), wait("c")]);
    });
    await driven.start();
    await driven.signal(1);
    expect(woken).toEqual(["a"]);
    await driven.signal(1);
    expect(woken).toEqual(["a", "b"]);
    expect((await driven.signal(1)).isSettled).toBe(true);
    expect(woken).toEqual(["a", "b", "c"]);
  });

  it("that throw fail the wait, not the others", async () => {
    const driven = new Driven(async () => {
      let count = 0;
      const bad = waitUntil(() => {
        // Asked when it begins to wait, at the end of that turn, and after the signal.
        if (++count > 2) throw new Error("odd");
        return false;
      }).catch((error: unknown) => (error as Error).message);
      expose(go, () => undefined);
      return [await bad];
    });
    await driven.start();
    expect((await driven.signal(1)).commands).toEqual([{ kind: "complete", result: '["odd"]' }]);
  });
});

describe("a recorded value", () => {
  it.each<readonly [string, Partial<Activation>, string]>([
    ["is made anew live", {}, "made 1"],
    ["is the recorded one in a replay", { isReplaying: true, recorded: [effect("then")] }, "then 0"],
    [
      "is the recorded one in the last turn too",
      { isLast: true, isReplaying: true, recorded: [effect("then")] },
      "then 0",
    ],
    ["is none where history has none: no code of the outside runs", { isLast: false }, "undefined 0"],
  ])("%s", async (_what, of, expected) => {
    let madeCount = 0;
    const driven = new Driven(() => {
      const value = sideEffect(() => {
        madeCount += 1;
        return "made";
      });
      return `${String(value)} ${madeCount}`;
    });
    const { commands } = await driven.start(of);
    expect(commands.at(-1)).toEqual({ kind: "complete", result: json(expected) });
  });

  it("that failed is a failure again, of the same kind", async () => {
    const failure = { kind: "application", message: "no", type: "Odd" } as const;
    const recorded: readonly RecordedValue[] = [{ kind: "side-effect", failure }];
    const driven = new Driven(() => {
      try {
        return sideEffect(() => 1);
      } catch (error) {
        return `${(error as { readonly type: string }).type}: ${(error as Error).message}`;
      }
    });
    const { commands } = await driven.start({ isReplaying: true, recorded });
    expect(commands.at(-1)).toEqual({ kind: "complete", result: json("Odd: no") });
  });

  function effect(value: unknown): RecordedValue {
    return { kind: "side-effect", value: json(value) };
  }
});

describe("a guarded change", () => {
  it.each<readonly [string, Partial<Activation>, boolean]>([
    ["is made by code that is live", {}, true],
    ["is not made in a turn that was recorded without it", { isReplaying: true }, false],
    ["is not made in a turn that others follow", { isLast: false }, false],
    [
      "is made again where it was made before",
      { isReplaying: true, isLast: false, recorded: [{ kind: "version", changeId: "fee" }] },
      true,
    ],
    [
      "is another one than that of another name",
      { isReplaying: true, recorded: [{ kind: "version", changeId: "tax" }] },
      false,
    ],
  ])("%s", async (_what, of, expected) => {
    const driven = new Driven(() => [patched("fee"), patched("fee")]);
    const { commands } = await driven.start(of);
    expect(commands.at(-1)).toEqual({ kind: "complete", result: json([expected, expected]) });
    expect(commands.filter((command) => command.kind === "mark-version")).toHaveLength(expected ? 1 : 0);
  });
});

describe("time and chance", () => {
  // I-45
  it("are those of the place in the program: the same for every instance of the run", async () => {
    const drawn: unknown[][] = [];
    const play = async (): Promise<void> => {
      const seen: unknown[] = [];
      drawn.push(seen);
      const driven = new Driven(async () => {
        seen.push(now(), random(), uuid());
        await sleep(5);
        seen.push(now(), now(), random(), uuid());
      });
      await driven.start();
      await driven.timer(0);
    };
    await play();
    await play();
    expect(drawn[0]).toEqual(drawn[1]);
    expect(drawn[0]?.filter((each) => typeof each === "number" && each > 1)).toEqual([1_010, 1_020, 1_020]);
  });
});

describe("continue-as-new", () => {
  it("ends the run there, even if the code catches what it throws", async () => {
    const driven = new Driven(async () => {
      try {
        continueAsNew("next");
      } catch {
        await sleep(5).catch(() => undefined);
      }
      return "not this";
    });
    const turn = await driven.start();
    expect(kindsOf(turn)).toEqual(["continue-as-new"]);
    expect(turn.isSettled).toBe(true);
  });

  it("leaves behind the signals that nobody asked for", async () => {
    const driven = new Driven(async () => {
      await receive(go);
      await sleep(5);
      continueAsNew("next");
    });
    await driven.start();
    for (const payload of [1, 2, 3]) await driven.signal(payload);
    await driven.timer(0);
    expect(driven.instance.unconsumedSignals()).toEqual([
      { name: "go", payload: "2" },
      { name: "go", payload: "3" },
    ]);
  });
});

describe("a query", () => {
  const stage = query<string>("stage");

  it("answers from the live state, and changes nothing", async () => {
    const driven = new Driven(async () => {
      let at = "first";
      expose(stage, () => at);
      await sleep(5);
      at = "second";
      await sleep(6);
    });
    await driven.start();
    expect(driven.instance.query("stage", nullPayload)).toBe('"first"');
    expect(kindsOf(await driven.timer(0))).toEqual(["start-timer"]);
    expect(driven.instance.query("stage", nullPayload)).toBe('"second"');
  });

  it.each<readonly [string, () => unknown, RegExp]>([
    ["issues a command", () => sleep(5), /called sleep/],
    ["draws a number", () => random(), /called random/],
    ["returns a promise", () => Promise.resolve("later"), /returned a promise/],
    [
      "throws",
      () => {
        throw new Error("not now");
      },
      /not now/,
    ],
  ])("is refused when its handler %s, and the run goes on", async (_what, handler, message) => {
    const driven = new Driven(async () => {
      expose(stage, handler as () => string);
      await sleep(1);
      return "fine";
    });
    await driven.start();
    expect(() => driven.instance.query("stage", nullPayload)).toThrow(
      expect.objectContaining({ code: "query_failed", message: expect.stringMatching(message) }),
    );
    expect((await driven.timer(0)).commands).toEqual([{ kind: "complete", result: '"fine"' }]);
    expect(driven.strays).toEqual([]);
  });

  it("that is not exposed is refused, naming those that are", async () => {
    const driven = new Driven(async () => {
      expose(stage, () => "here");
      await sleep(5);
    });
    await driven.start();
    expect(() => driven.instance.query("other", nullPayload)).toThrow(
      expect.objectContaining({ code: "query_unknown", message: expect.stringContaining('"stage"') }),
    );
  });
});
