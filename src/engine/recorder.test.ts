import { beforeEach, describe, expect, it } from "vitest";
import { overStore } from "../../test/recovery/over-store.ts";
import { AionError } from "../core/errors.ts";
import type { Event } from "../core/event.ts";
import { toRunId } from "../core/ids.ts";
import { idOf, mark, startOf } from "../store/conformance/world.ts";
import type { Commit, CommitResult, OwnerToken, RunCommit, RunKey, Store } from "../store/contract.ts";
import { openMemoryStore } from "../store/memory.ts";
import { Recorder } from "./recorder.ts";

type Append = Store["append"];

const chunkCommits = 32;
const looksMax = 60;

let inner: Store;
let token: OwnerToken;
/** The commits of each append that reached the store, by the ids of their workflows. */
let appends: string[][];
let lost: AionError[];
let pauses: number;
/** What stands between the recorder and the store. */
let methods: Partial<Store>;
let recorder: Recorder;

beforeEach(async () => {
  inner = openMemoryStore();
  token = await inner.claim({ leaseMs: 1e12 });
  appends = [];
  lost = [];
  pauses = 0;
  methods = {};
  const store = overStore(inner, {
    append: (...args) => {
      appends.push(args[1].map(({ run, start }) => (run ?? start)?.workflowId ?? "a message"));
      return (methods.append ?? inner.append.bind(inner))(...args);
    },
    readSegment: (...args) => (methods.readSegment ?? inner.readSegment.bind(inner))(...args),
    findRun: (...args) => (methods.findRun ?? inner.findRun.bind(inner))(...args),
  });
  recorder = new Recorder(
    store,
    token,
    (error) => lost.push(error),
    async () => {
      pauses += 1;
    },
  );
});

const begin = (id: string): Commit => ({ start: startOf(id) });

async function startedKey(id: string): Promise<RunKey> {
  const [result] = await inner.append(token, [begin(id)]);
  if (result?.ok !== true || result.startedKey === undefined) throw new Error("the run did not start");
  return result.startedKey;
}

/** Extends a run that was begun by `startedKey`. */
function extend(
  id: string,
  runKey: RunKey,
  fields: Partial<RunCommit> = {},
): Commit & { readonly run: RunCommit } {
  const run: RunCommit = {
    runKey,
    workflowId: idOf(id),
    expectedSeq: 1,
    events: [mark("one"), mark("two")],
    status: "running",
    wakeAt: null,
    wakeAtBefore: null,
    ...fields,
  };
  return { run };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** An append whose answer comes when `answer` is called, in which order soever. */
function held(append: Append): { readonly append: Append; readonly answer: (() => void)[] } {
  const answer: (() => void)[] = [];
  return {
    answer,
    append: async (...args) => {
      const results = await append(...args);
      await new Promise<void>((resolve) => answer.push(resolve));
      return results;
    },
  };
}

describe("what is recorded during one turn", () => {
  it("goes to the store as one append, in order, and not before the turn is over", async () => {
    const results: string[] = [];
    for (const id of ["a", "b", "c"])
      recorder.record(begin(id), ({ ok }) => results.push(`${id} ${ok ? "made" : "refused"}`));
    await settle();
    expect(appends).toEqual([]);
    recorder.flush();
    await recorder.drained();
    expect(appends).toEqual([["a", "b", "c"]]);
    expect(results).toEqual(["a made", "b made", "c made"]);
    expect(recorder.commitCount).toBe(3);
  });

  it("is answered each by itself: one that is refused takes nobody along", async () => {
    await startedKey("b");
    const results = new Map<string, CommitResult>();
    for (const id of ["a", "b", "c"]) recorder.record(begin(id), (result) => results.set(id, result));
    recorder.flush();
    await recorder.drained();
    expect([...results.values()].map(({ ok }) => ok)).toEqual([true, false, true]);
    expect(results.get("b")).toMatchObject({ error: { code: "sequence_conflict" } });
    // Each has the answer to its own commit.
    const key = async (id: string): Promise<RunKey | undefined> => (await inner.findRun(idOf(id)))?.runKey;
    expect(results.get("a")).toMatchObject({ startedKey: await key("a") });
    expect(results.get("c")).toMatchObject({ startedKey: await key("c") });
  });

  // I-7
  it("is answered once, and no earlier than the store acknowledges it", async () => {
    const { append, answer } = held(inner.append.bind(inner));
    methods = { append };
    let answers = 0;
    recorder.record(begin("a"), () => {
      answers += 1;
    });
    recorder.flush();
    await settle();
    expect(answers).toBe(0);
    answer[0]?.();
    await settle();
    recorder.flush();
    await settle();
    expect(answers).toBe(1);
    expect(appends).toEqual([["a"]]);
  });

  it("is handed over in parts when it is much, so that the store writes while the turn goes on", async () => {
    const ids = Array.from({ length: 2 * chunkCommits + 6 }, (_, index) => `w${index}`);
    for (const [index, id] of ids.entries()) {
      recorder.record(begin(id), () => undefined);
      expect(appends).toHaveLength(Math.floor((index + 1) / chunkCommits));
    }
    recorder.flush();
    expect(appends).toEqual([
      ids.slice(0, chunkCommits),
      ids.slice(chunkCommits, 2 * chunkCommits),
      ids.slice(2 * chunkCommits),
    ]);
    expect(recorder.commitCount).toBe(ids.length);
    await recorder.drained();
  });

  it("is nothing: then the store is not asked", async () => {
    recorder.flush();
    recorder.record(begin("a"), () => undefined);
    recorder.flush();
    recorder.flush();
    await recorder.drained();
    expect(appends).toEqual([["a"]]);
  });

  it("and outside a turn goes at once, with what is there already", async () => {
    recorder.record(begin("a"), () => undefined);
    const result = await recorder.commit(begin("b"));
    expect(result).toMatchObject({ ok: true });
    expect(appends).toEqual([["a", "b"]]);
  });

  it("is refused when the store gives no answer to it", async () => {
    methods = { append: async (...args) => (await inner.append(...args)).slice(0, 1) };
    const results: CommitResult[] = [];
    for (const id of ["a", "b"]) recorder.record(begin(id), (result) => results.push(result));
    recorder.flush();
    await recorder.drained();
    expect(results).toMatchObject([{ ok: true }, { ok: false, error: { code: "internal" } }]);
  });
});

describe("appends under way", () => {
  it("may be several, and are waited for by all who want them done", async () => {
    const { append, answer } = held(inner.append.bind(inner));
    methods = { append };
    const results: string[] = [];
    for (const id of ["a", "b"]) {
      recorder.record(begin(id), () => results.push(id));
      recorder.flush();
    }
    expect(appends).toEqual([["a"], ["b"]]);
    await settle();
    let drained = 0;
    for (let waiter = 0; waiter < 2; waiter++) {
      void recorder.drained().then(() => {
        drained += 1;
      });
    }
    answer[1]?.();
    await settle();
    expect(results).toEqual(["b"]);
    expect(drained).toBe(0);
    answer[0]?.();
    await settle();
    expect(results).toEqual(["b", "a"]);
    expect(drained).toBe(2);
  });

  it("are waited for with those that their answers give rise to", async () => {
    const { append, answer } = held(inner.append.bind(inner));
    methods = { append };
    recorder.record(begin("a"), () => {
      recorder.record(begin("b"), () => undefined);
      recorder.flush();
    });
    recorder.flush();
    let isDrained = false;
    void recorder.drained().then(() => {
      isDrained = true;
    });
    await settle();
    answer[0]?.();
    await settle();
    expect(appends).toEqual([["a"], ["b"]]);
    expect(isDrained).toBe(false);
    answer[1]?.();
    await settle();
    expect(isDrained).toBe(true);
  });

  it("are none: then nobody waits", async () => {
    await recorder.drained();
    await recorder.commit(begin("a"));
    await recorder.drained();
    expect(appends).toEqual([["a"]]);
  });
});

describe("an append that the store refuses as a whole", () => {
  // I-16, I-19, I-48
  it.each(["not_owner", "store_failed"] as const)(
    "with %s ends the engine, once, and refuses every commit",
    async (code) => {
      const error = new AionError(code, "it is over");
      methods = { append: () => Promise.reject(error) };
      const results: CommitResult[] = [];
      for (const id of ["a", "b"]) recorder.record(begin(id), (result) => results.push(result));
      recorder.flush();
      await recorder.drained();
      expect(lost).toEqual([error]);
      expect(results).toEqual([
        { ok: false, error },
        { ok: false, error },
      ]);
      expect(appends).toHaveLength(1);
    },
  );

  // I-47
  it.each(["store_full", "store_unavailable"] as const)(
    "with %s refuses every commit, and the engine goes on",
    async (code) => {
      const error = new AionError(code, "not now");
      methods = { append: () => Promise.reject(error) };
      const results = await Promise.all([recorder.commit(begin("a")), recorder.commit(begin("b"))]);
      expect(results).toEqual([
        { ok: false, error },
        { ok: false, error },
      ]);
      await recorder.drained();
      expect(lost).toEqual([]);
      methods = {};
      expect(await recorder.commit(begin("a"))).toMatchObject({ ok: true });
    },
  );

  it("with an error that it does not name has failed", async () => {
    const cause = new TypeError("no such file");
    methods = { append: () => Promise.reject(cause) };
    const result = await recorder.commit(begin("a"));
    expect(lost).toHaveLength(1);
    expect(result).toEqual({ ok: false, error: lost[0] });
    expect(lost[0]).toMatchObject({ code: "store_failed", message: "the store failed: no such file", cause });
  });

  it("ends the engine when whoever hears of it breaks: nobody knows what they had heard", async () => {
    methods = { append: () => Promise.reject(new AionError("store_full", "no space is left")) };
    const bug = new Error("a bug");
    recorder.record(begin("a"), () => {
      throw bug;
    });
    recorder.flush();
    await settle();
    expect(lost).toMatchObject([{ code: "store_failed", cause: bug }]);
  });
});

// I-6
describe("a commit of unknown outcome", () => {
  const unknown = new AionError("commit_unknown", "the answer was lost");

  /** The store cannot say; `made`: it was written. */
  function lose(made: boolean): Append {
    return async (...args) => {
      if (made) await inner.append(...args);
      throw unknown;
    };
  }

  it("that began a run and is there was made; it is never written again", async () => {
    methods = { append: lose(true) };
    const result = await recorder.commit(begin("a"));
    const run = await inner.findRun(idOf("a"));
    expect(result).toEqual({ ok: true, startedKey: run?.runKey, messageIds: [] });
    expect(appends).toEqual([["a"]]);
    expect(lost).toEqual([]);
  });

  it("that began a run and is not there was not made", async () => {
    methods = { append: lose(false) };
    expect(await recorder.commit(begin("a"))).toEqual({ ok: false, error: unknown });
    expect(appends).toEqual([["a"]]);
    expect(lost).toEqual([]);
  });

  it("that would have begun another run of the id was not made", async () => {
    await startedKey("a");
    methods = { append: lose(false) };
    const start = startOf("a", { runId: toRunId("another") });
    expect(await recorder.commit({ start })).toEqual({ ok: false, error: unknown });
  });

  it.each([[[mark("one")]], [[mark("one"), mark("two")]]])(
    "that extends a run and is there was made: %j",
    async (events) => {
      const commit = extend("a", await startedKey("a"), { events });
      methods = { append: lose(true) };
      expect(await recorder.commit(commit)).toEqual({ ok: true, messageIds: [] });
      expect(appends).toEqual([["a"]]);
      expect(await inner.readHistory(idOf("a"))).toHaveLength(1 + events.length);
    },
  );

  it("is told from what another commit wrote in its place", async () => {
    const runKey = await startedKey("a");
    const commit = extend("a", runKey);
    const others: readonly RunCommit["events"][] = [
      [mark("one"), mark("other")],
      // The same at another instant.
      [mark("one"), mark("two", 1_700_000_000_009)],
    ];
    for (const [index, events] of others.entries()) {
      const id = `other ${index}`;
      const key = await startedKey(id);
      await inner.append(token, [extend(id, key, { events })]);
      methods = { append: lose(false) };
      expect(await recorder.commit(extend(id, key))).toEqual({ ok: false, error: unknown });
    }
    methods = { append: lose(false) };
    expect(await recorder.commit(commit)).toEqual({ ok: false, error: unknown });
  });

  it("is told from a part of it", async () => {
    const runKey = await startedKey("a");
    await inner.append(token, [extend("a", runKey, { events: [mark("one")] })]);
    methods = { append: lose(false) };
    expect(await recorder.commit(extend("a", runKey))).toEqual({ ok: false, error: unknown });
  });

  it("was made also when others have followed it", async () => {
    const runKey = await startedKey("a");
    const commit = extend("a", runKey);
    methods = {
      append: async (...args) => {
        await inner.append(...args);
        await inner.append(token, [extend("a", runKey, { expectedSeq: 3, events: [mark("three")] })]);
        throw unknown;
      },
      // A store may give more than it was asked for.
      readSegment: (run, fromSeq): Promise<readonly Event[]> => inner.readSegment(run, fromSeq),
    };
    expect(await recorder.commit(commit)).toEqual({ ok: true, messageIds: [] });
  });

  it.each([
    ["that records no event", { events: [] }],
    ["that only sends", undefined],
  ])("%s leaves no trace to look for: it counts as refused", async (_what, fields) => {
    const runKey = await startedKey("a");
    const noLook = (): Promise<never> => Promise.reject(new Error("there is nothing to look for"));
    methods = { append: lose(true), findRun: noLook, readSegment: noLook };
    const commit: Commit =
      fields === undefined
        ? { send: [{ target: idOf("b"), message: { kind: "cancel" } }] }
        : extend("a", runKey, fields);
    expect(await recorder.commit(commit)).toEqual({ ok: false, error: unknown });
    expect(lost).toEqual([]);
    expect(appends).toHaveLength(1);
  });

  it("is looked for by itself: of one append all may be there but one", async () => {
    const runKey = await startedKey("a");
    methods = {
      append: async (of, [first]) => {
        await inner.append(of, first === undefined ? [] : [first]);
        throw unknown;
      },
    };
    const results: CommitResult[] = [];
    recorder.record(begin("b"), (result) => results.push(result));
    recorder.record(extend("a", runKey), (result) => results.push(result));
    recorder.flush();
    await recorder.drained();
    expect(results).toEqual([
      { ok: true, startedKey: (await inner.findRun(idOf("b")))?.runKey, messageIds: [] },
      { ok: false, error: unknown },
    ]);
  });

  it("is neither made nor refused until the store can be read, and is waited for", async () => {
    const busy = new AionError("store_unavailable", "the store is busy");
    let looks = 0;
    methods = {
      append: lose(true),
      findRun: async (...args) => {
        looks += 1;
        if (looks < looksMax) throw busy;
        await settle();
        return inner.findRun(...args);
      },
    };
    const results: CommitResult[] = [];
    recorder.record(begin("a"), (result) => results.push(result));
    recorder.flush();
    let isDrained = false;
    void recorder.drained().then(() => {
      isDrained = true;
    });
    await settle();
    expect([pauses, results, isDrained]).toEqual([looksMax - 1, [], false]);
    await settle();
    await settle();
    expect(results).toMatchObject([{ ok: true }]);
    expect(isDrained).toBe(true);
    expect([looks, pauses, lost]).toEqual([looksMax, looksMax - 1, []]);
  });

  it("ends the engine when the store cannot be read for too long", async () => {
    const busy = new AionError("store_unavailable", "the store is busy");
    let looks = 0;
    methods = {
      append: lose(true),
      findRun: async () => {
        looks += 1;
        throw busy;
      },
    };
    expect(await recorder.commit(begin("a"))).toEqual({ ok: false, error: busy });
    expect([looks, pauses, lost]).toEqual([looksMax, looksMax - 1, [busy]]);
    await recorder.drained();
  });

  // I-48
  it("ends the engine at once when reading fails", async () => {
    const cause = new Error("EIO");
    methods = { append: lose(true), findRun: () => Promise.reject(cause) };
    const result = await recorder.commit(begin("a"));
    expect(lost).toMatchObject([{ code: "store_failed", cause }]);
    expect(result).toEqual({ ok: false, error: lost[0] });
    expect(pauses).toBe(0);
  });
});
