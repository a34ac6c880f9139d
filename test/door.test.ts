/**
 * What the engine reads of runs, and where. What a run's row says is acted on by who comes through the residency, and by nobody
 * else: a look at the disk past it may tell of a run that is being begun, loaded or ended at that moment. So whoever else reads a
 * store stands in this table with what it reads, and why that is no such look.
 */
import { parseSync, Visitor } from "oxc-parser";
import { describe, expect, it } from "vitest";
import { readSourceFiles } from "./source-files.ts";
import type { SourceFile } from "./source-files.ts";

interface Reader {
  readonly reads: readonly string[];
  readonly why: string;
}

const readers: Readonly<Record<string, Reader>> = {
  "src/engine/door.ts": { reads: ["findRun", "findRunByKey"], why: "the door" },
  "src/engine/engine-meter.ts": {
    reads: ["count"],
    why: "how many runs there are, for who asks for metrics",
  },
  "src/engine/load.ts": {
    reads: ["findRunByKey", "readSegment"],
    why: "the history of a run whose row it is given, and whether the run is still there when that is empty",
  },
  "src/engine/recorder.ts": {
    reads: ["findRun", "readSegment"],
    why: "whether a commit of its own was made; its run waits for that",
  },
  "src/engine/recovery.ts": {
    reads: ["listActive", "listDue"],
    why: "which runs there are; each is looked up again at the door",
  },
  "src/engine/wake-queue.ts": {
    reads: ["listDue"],
    why: "which runs are due; each is asked for at the door",
  },
  "src/engine/views.ts": {
    reads: ["findRun", "readHistoryFrom", "readRunChain", "readSegment"],
    why: "what is shown: descriptions, histories, results of closed runs, and what stays true once it is on disk",
  },
  "src/engine/end-requests.ts": {
    reads: ["readRunChain", "readSegment"],
    why: "whether a request is on disk, which stays true; the run that is to be ended is come to at the door, by its run id",
  },
  "src/engine/accepted-updates.ts": {
    reads: ["findRun", "readSegment"],
    why: "outcomes of updates, which stay true once they are on disk",
  },
  "src/engine/resuming.ts": {
    reads: ["readRunChain", "readSegment"],
    why: "what a request was answered with, which stays true; the run that it is about is come to at the door",
  },
  "src/engine/parked.ts": {
    reads: ["list"],
    why: "how many activities are parked, to be shown; each commit after it tells what it changes",
  },
  "src/engine/reopening.ts": {
    reads: ["findRun", "findRunByKey"],
    why: "a run that has ended, whose row does not move; that it is still so is what its one commit says",
  },
  "src/engine/reset-source.ts": {
    reads: ["findRun", "readRunChain", "readSegment"],
    why: "what is copied, up to a point that does not move; of a workflow that is reset, while nobody else comes near it",
  },
  "src/engine/resetting.ts": {
    reads: ["findRun", "readRunChain"],
    why: "whether a request is on disk, which stays true; and of what a fork is made, to which nothing is done",
  },
  "src/engine/taking-over.ts": {
    reads: ["findRun"],
    why: "what became of children that have ended; that one is open is what its message will say",
  },
  "src/engine/schedule-views.ts": {
    reads: ["findRun", "list"],
    why: "what is shown of schedules",
  },
  "src/engine/operations.ts": {
    reads: ["count", "list", "readRunChain"],
    why: "what is shown: lists",
  },
};

/** Everything by which a store tells of runs. */
const reads: ReadonlySet<string> = new Set([
  "findRun",
  "findRunByKey",
  "readHistory",
  "readHistoryFrom",
  "readSegment",
  "readRunChain",
  "listActive",
  "listDue",
]);
/** These names others have, too: it counts what is called `store`. */
const readsOfStore: ReadonlySet<string> = new Set(["list", "count"]);

function readsOf({ path, text }: SourceFile): readonly string[] {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`);
  const found = new Set<string>();
  new Visitor({
    MemberExpression: ({ object, property, computed }) => {
      const name =
        property.type === "Literal" && computed
          ? String(property.value)
          : property.type === "Identifier" && !computed
            ? property.name
            : undefined;
      if (name === undefined) return;
      if (reads.has(name)) found.add(name);
      const owner =
        object.type === "Identifier"
          ? object.name
          : object.type === "MemberExpression" && "name" in object.property
            ? object.property.name
            : undefined;
      if (readsOfStore.has(name) && owner === "store") found.add(name);
    },
    ObjectPattern: ({ properties }) => {
      for (const property of properties) {
        if (property.type !== "Property" || property.key.type !== "Identifier") continue;
        if (reads.has(property.key.name)) found.add(property.key.name);
      }
    },
  }).visit(program);
  return [...found].toSorted();
}

const sources = readSourceFiles(["src/engine/*.ts"]).filter(({ path }) => !path.endsWith(".test.ts"));

// I-17
describe("what the engine reads of runs", () => {
  it("is read by who stands in the table, and by nobody else", () => {
    const found = sources.map((source) => [source.path, readsOf(source)] as const);
    const table = Object.entries(readers).map(([path, { reads: some }]) => [path, some] as const);
    expect(Object.fromEntries(found.filter(([, some]) => some.length > 0))).toEqual(
      Object.fromEntries(table),
    );
  });

  it.each([
    ["a call", "await this.#kernel.store.findRun(target);", "findRun"],
    ["a call past the face of the kernel", "await kernel.options.store.findRunByKey(1);", "findRunByKey"],
    ["a method by its name as text", 'await store["readSegment"](run, 1);', "readSegment"],
    ["a method taken from its object", "const { readRunChain } = store;", "readRunChain"],
    ["a method handed on", "const look = store.readHistory.bind(store);", "readHistory"],
    ["a list of the store's", "await this.#store.list({}, { limit: 1 });", "list"],
  ])("is seen in %s", (_what, text, read) => {
    expect(readsOf({ path: "src/engine/a.ts", text })).toEqual([read]);
  });

  it("is not seen in a list of something else", () => {
    expect(readsOf({ path: "src/engine/a.ts", text: "await this.mailbox.list(); counts.count();" })).toEqual(
      [],
    );
  });
});
