import { describe, expect, it } from "vitest";
import { virtualPorts } from "../../test/recovery/virtual-ports.ts";
import { toRunId } from "../core/ids.ts";
import { idOf } from "../store/conformance/world.ts";
import type { TaskQueueLimits, WaitingTask } from "./task-queues.ts";
import { TaskQueues } from "./task-queues.ts";

function open(limits: Readonly<Record<string, TaskQueueLimits>> = {}) {
  const hand = virtualPorts();
  let rights = 0;
  const queues = new TaskQueues(limits, hand.ports, () => (rights += 1));
  return {
    hand,
    queues,
    get rights() {
      return rights;
    },
    /** Whom `next` serves, until it serves nobody. */
    serve: (isServed: (task: WaitingTask) => boolean = () => true): readonly string[] => {
      const served: string[] = [];
      for (;;) {
        const next = queues.next((task) => (isServed(task) ? "somebody" : undefined));
        if (next === undefined) return served;
        served.push(next.task.address.runId);
      }
    },
  };
}

const task = (name: string, activityType = "work", taskQueue = "q"): WaitingTask => ({
  address: { workflowId: idOf("w"), runId: toRunId(name), ordinal: 0 },
  taskQueue,
  activityType,
  preferred: undefined,
});

describe("a line", () => {
  it("is served in order of arrival, over all queues and types", () => {
    const { queues, serve } = open();
    queues.join(task("a"));
    queues.join(task("b", "play"));
    queues.join(task("c", "work", "other"));
    queues.join(task("d"));
    queues.join(task("a"));
    expect(serve()).toEqual(["a", "b", "c", "d"]);
  });

  it("that nobody serves holds up no other", () => {
    const { queues, serve } = open();
    for (const name of ["a", "b"]) queues.join(task(name, "odd"));
    queues.join(task("c"));
    expect(serve(({ activityType }) => activityType === "work")).toEqual(["c"]);
    expect(serve()).toEqual(["a", "b"]);
  });

  it("makes a newcomer wait as long as somebody stands in it", () => {
    const { queues } = open();
    expect(queues.hasLine("q", "work")).toBe(false);
    queues.join(task("a"));
    expect([queues.hasLine("q", "work"), queues.hasLine("q", "play")]).toEqual([true, false]);
    queues.leave("q", "work", "a:0");
    expect(queues.hasLine("q", "work")).toBe(false);
  });

  it("takes back at its head who had left it for a worker that is gone", () => {
    const { queues, serve } = open();
    for (const name of ["a", "b", "c"]) queues.join(task(name));
    const first = queues.next(() => "somebody");
    queues.giveBack("q", true);
    queues.rejoin(first?.task ?? task("none"));
    expect(serve()).toEqual(["a", "b", "c"]);
  });

  it("is left by a whole run", () => {
    const { queues, serve } = open();
    queues.join(task("a"));
    queues.join({ ...task("a", "play"), address: { ...task("a").address, ordinal: 1 } });
    queues.join(task("b"));
    queues.leaveRun("a");
    expect(serve()).toEqual(["b"]);
  });
});

describe("the concurrency of a queue", () => {
  it("is what may be under way at once", () => {
    const { queues, serve } = open({ q: { concurrency: 2 } });
    for (const name of ["a", "b", "c"]) queues.join(task(name));
    queues.join(task("d", "work", "free"));
    expect(serve()).toEqual(["a", "b", "d"]);
    expect(queues.take("q")).toBe(false);
    queues.giveBack("q", false);
    expect(serve()).toEqual(["c"]);
  });

  it("that is used up holds back newcomers of other types, too, and not those who would not be served", () => {
    const { queues } = open({ q: { concurrency: 1 } });
    queues.take("q");
    queues.join(task("a"));
    queues.next(() => undefined);
    expect(queues.hasLine("q", "play")).toBe(false);
    queues.next(() => "somebody");
    expect(queues.hasLine("q", "play")).toBe(true);
  });

  it("counts what was under way before, whatever it allows", () => {
    const { queues, serve } = open({ q: { concurrency: 1 } });
    queues.force("q");
    queues.force("q");
    queues.join(task("a"));
    queues.giveBack("q", false);
    expect(serve()).toEqual([]);
    queues.giveBack("q", false);
    expect(serve()).toEqual(["a"]);
  });
});

describe("the rate of a queue", () => {
  it("lets a second's worth begin at once, and then so many in a second", async () => {
    const opened = open({ q: { perSecond: 4 } });
    for (const name of ["a", "b", "c", "d", "e", "f"]) opened.queues.join(task(name));
    expect(opened.serve()).toEqual(["a", "b", "c", "d"]);
    await opened.hand.pass(249);
    expect([opened.rights, opened.serve()]).toEqual([0, []]);
    await opened.hand.pass(1);
    expect([opened.rights, opened.serve()]).toEqual([1, ["e"]]);
    await opened.hand.pass(250);
    expect([opened.rights, opened.serve()]).toEqual([2, ["f"]]);
    // Nobody waits: nobody looks.
    await opened.hand.pass(10_000);
    expect([opened.rights, opened.hand.waitingCount]).toEqual([2, 0]);
    expect([1, 2, 3, 4, 5].map(() => opened.queues.take("q"))).toEqual([true, true, true, true, false]);
  });

  it("below one in a second gives one at a time", async () => {
    const { queues, serve, hand } = open({ q: { perSecond: 0.1 } });
    for (const name of ["a", "b"]) queues.join(task(name));
    expect(serve()).toEqual(["a"]);
    await hand.pass(9_999);
    expect(serve()).toEqual([]);
    await hand.pass(1);
    expect(serve()).toEqual(["b"]);
  });

  it("gives a right back that was not used, and none for an attempt that ended", () => {
    const { queues } = open({ q: { perSecond: 1 } });
    expect(queues.take("q")).toBe(true);
    queues.giveBack("q", true);
    expect(queues.take("q")).toBe(true);
    queues.giveBack("q", false);
    expect(queues.take("q")).toBe(false);
  });

  it("stands still while the clock is set back, and gives nothing twice", async () => {
    const { queues, hand } = open({ q: { perSecond: 1 } });
    queues.take("q");
    hand.time.jump(-3_600_000);
    expect(queues.take("q")).toBe(false);
    await hand.pass(1_000);
    expect([queues.take("q"), queues.take("q")]).toEqual([true, false]);
  });

  it("that somebody waits for is his: a newcomer does not take it", async () => {
    const { queues, serve, hand } = open({ q: { perSecond: 1 } });
    queues.take("q");
    queues.join(task("a"));
    expect(serve()).toEqual([]);
    await hand.pass(2_000);
    expect(queues.hasLine("q", "play")).toBe(true);
    expect(serve()).toEqual(["a"]);
  });
});
