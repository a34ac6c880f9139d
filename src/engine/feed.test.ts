import { beforeEach, describe, expect, it } from "vitest";
import { AionError } from "../core/errors.ts";
import type { FeedItem, FeedPage, FeedRange } from "../store/contract.ts";
import { idOf } from "../store/conformance/world.ts";
import { toRunId } from "../core/ids.ts";
import { Feed } from "./feed.ts";

interface Delay {
  readonly delayMs: number;
  readonly callback: () => void;
  isStopped: boolean;
}

let reads: FeedRange[];
let pages: (FeedPage | Error)[];
let delays: Delay[];
let feed: Feed;

/** Turns come at once; delays when the test says so. */
beforeEach(() => {
  reads = [];
  pages = [];
  delays = [];
  feed = new Feed(
    {
      readFeed: async (range) => {
        reads.push(range);
        const page = pages.shift() ?? pageOf([], `after ${range.after}`);
        if (page instanceof Error) throw page;
        return page;
      },
    },
    {
      turn: (callback) => void setImmediate(callback),
      delay: (delayMs, callback) => {
        const delay = { delayMs, callback, isStopped: false };
        delays.push(delay);
        return () => {
          delay.isStopped = true;
        };
      },
    },
  );
});

function itemOf(seq: number, type: "TimerFired" | "WorkflowCompleted" = "TimerFired"): FeedItem {
  const workflowId = idOf("w");
  const event = { type, ordinal: 0, result: "1", seq, recordedAt: 0, workflowId } as never;
  return { cursor: `c${seq}`, workflowId, runId: toRunId("r"), workflowType: "order", event };
}

function pageOf(items: readonly FeedItem[], nextCursor: string, isAtHead = true): FeedPage {
  return { items, nextCursor, isAtHead };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Whether it has been answered after a few turns. */
async function stateOf(promise: Promise<unknown>): Promise<"waiting" | "answered"> {
  let state: "waiting" | "answered" = "waiting";
  const settle = (): void => {
    state = "answered";
  };
  promise.then(settle, settle);
  for (let count = 0; count < 5; count += 1) await turn();
  return state;
}

describe("a call that does not wait", () => {
  it("is answered with what there is, from the end that it names", async () => {
    for (const [after, asked] of [
      [undefined, "latest"],
      ["", "latest"],
      ["0", "oldest"],
      ["oldest", "oldest"],
      ["1.2.3", "1.2.3"],
    ] as const) {
      pages = [pageOf([itemOf(1)], "next")];
      const reply = await feed.read({ limit: 5, ...(after === undefined ? {} : { after }) }, 5);
      expect(reply).toMatchObject({ events: [{ cursor: "c1" }], nextCursor: "next", isAtHead: true });
      expect(reads.at(-1)).toEqual({ after: asked, limit: 5 });
    }
    expect(delays).toEqual([]);
  });

  it("reads on through pages that have nothing for it, with a turn between two, and says how far it came", async () => {
    pages = Array.from({ length: 200 }, (_, index) => pageOf([], `p${index}`, false));
    const turns: number[] = [];
    setImmediate(() => turns.push(reads.length));
    const reply = await feed.read({ limit: 5 }, 5);
    expect(reply).toEqual({ events: [], nextCursor: "p63", isAtHead: false });
    expect(reads.map(({ after }) => after).slice(0, 3)).toEqual(["latest", "p0", "p1"]);
    expect(turns[0]).toBeLessThan(3);
  });

  it("leaves out other types of events, but never what cannot be read", async () => {
    const error = new AionError("history_corrupt", "its checksum does not fit");
    const { event: _event, ...rest } = itemOf(3);
    const broken = { ...rest, damage: { firstSeq: 3, lastSeq: 4, error } } as FeedItem;
    pages = [pageOf([itemOf(1), itemOf(2, "WorkflowCompleted"), broken], "next")];
    const { events } = await feed.read({ limit: 5, filter: { types: ["WorkflowCompleted"] } }, 5);
    expect(events).toMatchObject([
      { cursor: "c2" },
      { cursor: "c3", unreadable: { firstSeq: 3, lastSeq: 4, code: "history_corrupt" } },
    ]);
    expect(Object.keys(events[1] ?? {})).not.toContain("damage");
  });

  it("is refused for a filter that can match nothing there is", async () => {
    const types = ["Nothing"] as never;
    await expect(feed.read({ limit: 5, filter: { types } }, 5)).rejects.toMatchObject({
      code: "invalid_argument",
    });
    await expect(feed.read({ limit: 5, filter: { workflowId: "" } }, 5)).rejects.toMatchObject({
      code: "invalid_argument",
    });
    expect(reads).toEqual([]);
  });
});

describe("a call that waits", () => {
  it("looks again after an append, and not without one", async () => {
    const call = feed.read({ limit: 5, waitMs: 1_000 }, 5);
    expect(await stateOf(call)).toBe("waiting");
    expect(reads).toHaveLength(1);
    feed.appended();
    expect(await stateOf(call)).toBe("waiting");
    expect(reads.map(({ after }) => after)).toEqual(["latest", "after latest"]);
    pages = [pageOf([itemOf(7)], "next")];
    feed.appended();
    expect(await call).toMatchObject({ events: [{ cursor: "c7" }], nextCursor: "next" });
    expect(delays).toMatchObject([{ delayMs: 1_000, isStopped: true }]);
  });

  it("misses nothing that is appended while it looks", async () => {
    const call = feed.read({ limit: 5, waitMs: 1_000 }, 5);
    // The look is under way: what it answers was true before this append.
    pages = [pageOf([itemOf(1)], "next")];
    feed.appended();
    expect(await call).toMatchObject({ events: [{ cursor: "c1" }] });
  });

  it("gives up in time, behind what it passed over", async () => {
    const call = feed.read({ limit: 5, waitMs: 1_000, filter: { types: ["WorkflowCompleted"] } }, 5);
    await stateOf(call);
    pages = [pageOf([itemOf(1)], "behind")];
    feed.appended();
    await stateOf(call);
    delays[0]?.callback();
    expect(await call).toMatchObject({ events: [], nextCursor: "after behind", isAtHead: true });
  });

  it("is answered with why the engine stopped", async () => {
    const call = feed.read({ limit: 5, waitMs: 1_000 }, 5);
    await stateOf(call);
    feed.fail(new AionError("engine_closed", "closed"));
    await expect(call).rejects.toMatchObject({ code: "engine_closed" });
    // Also one that was amid its look.
    const looking = feed.read({ limit: 5, waitMs: 1_000 }, 5);
    feed.fail(new AionError("not_owner", "lost"));
    await expect(looking).rejects.toMatchObject({ code: "not_owner" });
  });

  it("passes on what the store refuses, and waits no more", async () => {
    pages = [new AionError("cursor_expired", "old")];
    await expect(feed.read({ limit: 5, after: "1.1.1", waitMs: 9 }, 5)).rejects.toMatchObject({
      code: "cursor_expired",
    });
    expect(delays).toMatchObject([{ isStopped: true }]);
  });

  it("beside many others that wait at the head shares one look with them", async () => {
    const calls = Array.from({ length: 100 }, () => feed.read({ limit: 5, waitMs: 1_000, after: "head" }, 5));
    const other = feed.read({ limit: 5, waitMs: 1_000, after: "head", filter: { workflowType: "bill" } }, 5);
    await stateOf(other);
    expect(reads).toHaveLength(2);
    pages = [pageOf([itemOf(1)], "next")];
    feed.appended();
    for (const call of calls) expect(await call).toMatchObject({ events: [{ cursor: "c1" }] });
    expect(reads).toHaveLength(4);
    pages = [pageOf([itemOf(2)], "next")];
    feed.appended();
    await other;
    // What was shared is of its state alone: later calls look for themselves.
    await turn();
    pages = [pageOf([itemOf(3)], "next")];
    expect(await feed.read({ limit: 5, after: "head" }, 5)).toMatchObject({ events: [{ cursor: "c3" }] });
  });
});
