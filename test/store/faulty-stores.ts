/**
 * Stores that break one law each: the memory store, with one of its answers bent. What the conformance suite
 * does not catch of these it would not catch of a backend either.
 */
import type { AttributeCondition } from "../../src/core/attribute-filter.ts";
import type { Attributes } from "../../src/core/attributes.ts";
import { AionError, isAionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { isClosed } from "../../src/core/status.ts";
import { encodeCatalogChange } from "../../src/store/catalog.ts";
import type { OpenedStore, StoreBackend } from "../../src/store/conformance/world.ts";
import type {
  Catalog,
  CatalogChange,
  CatalogReply,
  Commit,
  CommitResult,
  FeedItem,
  FeedPage,
  Heartbeat,
  OwnerToken,
  PackageUse,
  RouteRecord,
  RunCommit,
  RunFilter,
  RunKey,
  RunRecord,
  RunRef,
  Store,
} from "../../src/store/contract.ts";
import { toOwnerToken } from "../../src/store/contract.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import type { LogEntry } from "../../src/store/run-log.ts";
import { runLogLinesMax } from "../../src/store/run-log.ts";

export interface Fault {
  readonly name: string;
  /** Bends the answers of a sound store. */
  readonly bend: (sound: Store) => Partial<Store>;
  /** What the second object on the data does instead, if not the same. */
  readonly bendOther?: (sound: Store) => Partial<Store>;
}

const methods = [
  "claim",
  "renew",
  "release",
  "readOwner",
  "append",
  "readHistory",
  "readHistoryFrom",
  "readSegment",
  "readRunChain",
  "findRun",
  "findRunByKey",
  "listActive",
  "listDue",
  "nextWakeAt",
  "listMessages",
  "readHeartbeats",
  "readLog",
  "list",
  "count",
  "deleteClosed",
  "readCatalog",
  "readPackage",
  "changeCatalog",
  "readFeed",
  "close",
] as const satisfies readonly (keyof Store)[];

/** The same data through another object, whose methods can be replaced, and which is closed by itself. */
function delegate(store: Store): Store {
  let isOver = false;
  const call = async (name: keyof Store, args: readonly unknown[]): Promise<unknown> => {
    if (isOver) throw new AionError("store_unavailable", "this object is closed");
    return (await Reflect.apply(store[name] as () => unknown, store, args)) as unknown;
  };
  const bound = methods.map((name) => [name, (...args: readonly unknown[]) => call(name, args)] as const);
  const close = async (): Promise<void> => {
    isOver = true;
  };
  return { name: store.name, ...Object.fromEntries(bound), close } as unknown as Store;
}

interface OpenedFaulty extends OpenedStore {
  readonly memory: Store;
  readonly damaged: Set<string>;
}

/** A backend with all that the suite can ask for, and the fault. */
export function toBackend(fault: Fault): StoreBackend<OpenedFaulty> {
  return {
    async open({ clock }) {
      const memory = openMemoryStore({ clock });
      const damaged = new Set<string>();
      const sound = delegate({ ...delegate(memory), ...noticing(memory, damaged) });
      const store = { ...sound, ...fault.bend(sound) };
      return { store, memory, damaged, dispose: () => memory.close() };
    },
    async reopen({ memory, damaged }) {
      const sound = delegate({ ...delegate(memory), ...noticing(memory, damaged) });
      return { ...sound, ...(fault.bendOther ?? fault.bend)(sound) };
    },
    async damage({ damaged }, { run }) {
      damaged.add(run.workflowId);
    },
    async damagePackage({ damaged }, version) {
      damaged.add(version);
    },
  };
}

/** The memory store cannot be damaged: it is told which histories and which archives are. */
function noticing(memory: Store, damaged: Set<string>): Partial<Store> {
  const check = (workflowId: WorkflowId): void => {
    if (!damaged.has(workflowId)) return;
    throw new AionError("history_corrupt", `workflow ${workflowId} is damaged`, { details: { workflowId } });
  };
  return {
    async readHistory(workflowId) {
      check(workflowId);
      return await memory.readHistory(workflowId);
    },
    async readSegment(run, fromSeq, limit) {
      check(run.workflowId);
      return await memory.readSegment(run, fromSeq, limit);
    },
    async readPackage(version) {
      if (!damaged.has(version)) return await memory.readPackage(version);
      throw new AionError("store_corrupt", `package ${version} is damaged`, { details: { version } });
    },
    async changeCatalog(token, change) {
      const reply = await memory.changeCatalog(token, change);
      if (change.kind === "deploy") damaged.delete(change.version);
      return reply;
    },
    async readFeed(request) {
      const page = await memory.readFeed(request);
      const items = page.items.map((item): FeedItem => {
        const { event, ...rest } = item;
        if (event === undefined || !damaged.has(item.workflowId)) return item;
        const error = new AionError("history_corrupt", `workflow ${item.workflowId} is damaged`);
        return { ...rest, damage: { firstSeq: event.seq, lastSeq: event.seq, error } };
      });
      return { ...page, items };
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const accepted: CommitResult = { ok: true, messageIds: [] };
const made: CatalogReply = { isRepeated: false, isNew: false };

/** Applies the commits of an append each in a transaction of its own. */
async function oneByOne(
  sound: Store,
  token: OwnerToken,
  commits: readonly Commit[],
): Promise<CommitResult[]> {
  const results: CommitResult[] = [];
  for (const commit of commits) results.push(...(await sound.append(token, [commit])));
  return results;
}

/** Every commit's part that extends a run, changed. */
function mapRuns(commits: readonly Commit[], change: (run: RunCommit) => RunCommit): readonly Commit[] {
  return commits.map((commit) =>
    commit.run === undefined ? commit : { ...commit, run: change(commit.run) },
  );
}

/** Unloads also what is in use, when it is used in that way: what is gone is kept from sight. */
function unloadingAlso(
  sound: Store,
  isGone: (use: PackageUse) => boolean,
): Pick<Store, "changeCatalog" | "readCatalog" | "readPackage"> {
  const gone = new Set<string>();
  return {
    async changeCatalog(token, change) {
      try {
        const reply = await sound.changeCatalog(token, change);
        if (change.kind === "deploy") gone.delete(change.version);
        return reply;
      } catch (error) {
        const isInUse = isAionError(error) && error.code === "package_in_use";
        if (!isInUse || !isGone(error.details as unknown as PackageUse)) throw error;
        gone.add(change.version);
        return made;
      }
    },
    async readCatalog() {
      const { packages, routes } = await sound.readCatalog();
      const isThere = ({ version }: { readonly version: string }): boolean => !gone.has(version);
      return { packages: packages.filter(isThere), routes: routes.filter(isThere) };
    },
    readPackage: async (version) => (gone.has(version) ? undefined : await sound.readPackage(version)),
  };
}

export const faults: readonly Fault[] = [
  {
    name: "every fifth commit is acknowledged and not written",
    bend(sound) {
      let count = 0;
      return {
        async append(token, commits) {
          const results: CommitResult[] = [];
          for (const commit of commits) {
            const isSimple = commit.start === undefined && commit.send === undefined;
            if (isSimple) count += 1;
            const isLost = isSimple && count % 5 === 0;
            results.push(...(isLost ? [accepted] : await sound.append(token, [commit])));
          }
          return results;
        },
      };
    },
  },
  {
    name: "a refused commit sends its messages all the same",
    bend: (sound) => ({
      async append(token, commits) {
        const results = await sound.append(token, commits);
        for (const [index, { ok }] of results.entries()) {
          const send = commits[index]?.send ?? [];
          if (!ok && send.length > 0) await sound.append(token, [{ send }]);
        }
        return results;
      },
    }),
  },
  {
    name: "a refused commit consumes its messages all the same",
    bend: (sound) => ({
      async append(token, commits) {
        const results = await sound.append(token, commits);
        for (const [index, { ok }] of results.entries()) {
          if (ok) continue;
          for (const messageId of commits[index]?.consume ?? [])
            await sound.append(token, [{ consume: [messageId] }]);
        }
        return results;
      },
    }),
  },
  {
    name: "the seqs of a second commit are one too high",
    bend: (sound) => ({
      async readHistory(workflowId) {
        const history = await sound.readHistory(workflowId);
        return history.map((event) => (event.seq > 1 ? { ...event, seq: event.seq + 1 } : event));
      },
    }),
  },
  {
    name: "the epoch of a write is not checked",
    bend: (sound) => ({
      async append(token, commits) {
        const owner = await sound.readOwner();
        return await sound.append(owner === undefined ? token : toOwnerToken(owner.epoch), commits);
      },
    }),
  },
  {
    name: "the epoch of a deletion is not checked",
    bend: (sound) => ({
      async deleteClosed(token, closedBefore, limit) {
        const owner = await sound.readOwner();
        return await sound.deleteClosed(
          owner === undefined ? token : toOwnerToken(owner.epoch),
          closedBefore,
          limit,
        );
      },
    }),
  },
  {
    name: "the epoch is checked before the transaction, not in it",
    bend: (sound) => ({
      async append(token, commits) {
        const owner = await sound.readOwner();
        if (owner?.epoch !== token.epoch) return await sound.append(token, commits);
        await turn();
        const now = await sound.readOwner();
        return await sound.append(now === undefined ? token : toOwnerToken(now.epoch), commits);
      },
    }),
  },
  {
    name: "expectedSeq is not checked: the last writer wins",
    bend: (sound) => ({
      async append(token, commits) {
        const heads = new Map<RunKey, number>();
        for (const { run } of commits) {
          const found = run === undefined ? undefined : await sound.findRunByKey(run.runKey);
          if (found !== undefined) heads.set(found.runKey, found.headSeq);
        }
        return await sound.append(
          token,
          mapRuns(commits, (run) => ({ ...run, expectedSeq: heads.get(run.runKey) ?? run.expectedSeq })),
        );
      },
    }),
  },
  {
    name: "expectedSeq is checked before the transaction, not in it",
    bend: (sound) => ({
      async append(token, commits) {
        const results: CommitResult[] = [];
        for (const commit of commits) {
          const { run } = commit;
          const before = run === undefined ? undefined : await sound.findRunByKey(run.runKey);
          if (run === undefined || before?.headSeq !== run.expectedSeq) {
            results.push(...(await sound.append(token, [commit])));
            continue;
          }
          await turn();
          const expectedSeq = (await sound.findRunByKey(run.runKey))?.headSeq ?? run.expectedSeq;
          results.push(...(await sound.append(token, [{ ...commit, run: { ...run, expectedSeq } }])));
        }
        return results;
      },
    }),
  },
  {
    name: "an id may have two runs at one time",
    bend: (sound) => ({
      async append(token, commits) {
        const results: CommitResult[] = [];
        for (const commit of commits) {
          const [result] = await sound.append(token, [commit]);
          const { start, run } = commit;
          if (result?.ok === false && start !== undefined && run === undefined) {
            const latest = await sound.findRun(start.workflowId);
            const firstSeq = (latest?.headSeq ?? 0) + 1;
            if (latest !== undefined && !isClosed(latest.status) && firstSeq === start.firstSeq) {
              const { runKey, workflowId, headSeq, wakeAt } = latest;
              const end = {
                runKey,
                workflowId,
                expectedSeq: headSeq,
                events: [],
                status: "terminated" as const,
                closedAt: 1,
                wakeAt: null,
                wakeAtBefore: wakeAt,
              };
              results.push(...(await sound.append(token, [{ run: end, start }])));
              continue;
            }
          }
          results.push(result ?? accepted);
        }
        return results;
      },
    }),
  },
  {
    name: "a start does not look at which run it follows",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          commits.map((commit) => {
            if (commit.start === undefined) return commit;
            const { follows: _follows, ...start } = commit.start;
            return { ...commit, start };
          }),
        ),
    }),
  },
  {
    name: "a continue-as-new is two transactions",
    bend: (sound) => ({
      async append(token, commits) {
        const results: CommitResult[] = [];
        for (const commit of commits) {
          const { run, start, ...rest } = commit;
          if (run === undefined || start === undefined) {
            results.push(...(await sound.append(token, [commit])));
            continue;
          }
          const [ended = accepted] = await sound.append(token, [{ run, ...rest }]);
          if (!ended.ok) {
            results.push(ended);
            continue;
          }
          await turn();
          const [begun = accepted] = await sound.append(token, [{ start }]);
          results.push(begun.ok ? { ...begun, messageIds: ended.messageIds } : begun);
        }
        return results;
      },
    }),
  },
  {
    name: "the results of a call are in reverse",
    bend: (sound) => ({
      append: async (token, commits) => (await sound.append(token, commits)).toReversed(),
    }),
  },
  {
    name: "the commits of a call are applied in reverse",
    bend: (sound) => ({
      append: async (token, commits) => (await sound.append(token, commits.toReversed())).toReversed(),
    }),
  },
  {
    name: "a refused commit refuses its neighbours",
    bend: (sound) => ({
      async append(token, commits) {
        const results: CommitResult[] = [];
        for (const commit of commits) {
          const refusal = results.find(({ ok }) => !ok);
          results.push(...(refusal === undefined ? await sound.append(token, [commit]) : [refusal]));
        }
        return results;
      },
    }),
  },
  {
    name: "the commits of a call are no one transaction",
    bend: (sound) => ({
      async append(token, commits) {
        const results: CommitResult[] = [];
        for (const commit of commits) {
          results.push(...(await sound.append(token, [commit])));
          await turn();
        }
        return results;
      },
    }),
  },
  {
    name: "the refusal does not say what was found",
    bend: (sound) => ({
      async append(token, commits) {
        const results = await sound.append(token, commits);
        return results.map((result) =>
          result.ok ? result : { ok: false, error: new AionError(result.error.code, result.error.message) },
        );
      },
    }),
  },
  {
    name: "a commit is encoded when it is written, not when it is given",
    bend: (sound) => ({
      async append(token, commits) {
        await turn();
        return await sound.append(token, commits);
      },
    }),
  },
  {
    name: "a message can be consumed twice",
    bend: (sound) => ({
      async append(token, commits) {
        const there = new Set((await sound.listMessages(0, 10_000)).map(({ messageId }) => messageId));
        return await sound.append(
          token,
          commits.map((commit) =>
            commit.consume === undefined
              ? commit
              : { ...commit, consume: commit.consume.filter((messageId) => there.has(messageId)) },
          ),
        );
      },
    }),
  },
  {
    name: "messages are listed newest first",
    bend: (sound) => ({
      listMessages: async (afterId, limit) => (await sound.listMessages(afterId, limit)).toReversed(),
    }),
  },
  {
    name: "the message after the cursor is left out",
    bend: (sound) => ({
      listMessages: (afterId, limit) => sound.listMessages(afterId === 0 ? 0 : afterId + 1, limit),
    }),
  },
  {
    name: "a range read begins one event late",
    bend: (sound) => ({
      readHistoryFrom: (workflowId, fromSeq, limit) => sound.readHistoryFrom(workflowId, fromSeq + 1, limit),
    }),
  },
  {
    name: "a limited range read loses its last event",
    bend: (sound) => ({
      async readHistoryFrom(workflowId, fromSeq, limit) {
        const events = await sound.readHistoryFrom(workflowId, fromSeq, limit);
        return limit !== undefined && events.length === limit ? events.slice(0, -1) : events;
      },
    }),
  },
  {
    name: "a segment goes on into the next run",
    bend: (sound) => ({
      async readSegment(run, fromSeq, limit) {
        const own = await sound.readSegment(run, fromSeq, limit);
        return own.length === 0 ? own : await sound.readHistoryFrom(run.workflowId, own[0]?.seq ?? 1, limit);
      },
    }),
  },
  {
    name: "an unknown workflow is an error",
    bend: (sound) => ({
      async readHistory(workflowId) {
        const history = await sound.readHistory(workflowId);
        if (history.length === 0) throw new AionError("run_not_found", `no workflow ${workflowId}`);
        return history;
      },
    }),
  },
  {
    name: "a history is read run by run, not of one instant",
    bend: (sound) => ({
      async readHistory(workflowId) {
        const events: Event[] = [];
        for (const run of await sound.readRunChain(workflowId)) {
          await turn();
          events.push(...(await sound.readSegment(run, 1)));
        }
        return events;
      },
    }),
  },
  {
    name: "a run that was read once is remembered",
    bend(sound) {
      const cache = new Map<RunKey, { readonly run: RunRecord | undefined; uses: number }>();
      return {
        async findRunByKey(runKey) {
          const known = cache.get(runKey);
          if (known !== undefined && (known.uses += 1) < 3) return known.run;
          const run = await sound.findRunByKey(runKey);
          cache.set(runKey, { run, uses: 0 });
          return run;
        },
      };
    },
  },
  {
    name: "what was read is the stored object itself",
    bend(sound) {
      const kept = new Map<string, readonly Event[]>();
      return {
        async readHistory(workflowId) {
          const events = await sound.readHistory(workflowId);
          const known = kept.get(workflowId);
          if (known?.length === events.length) return known;
          kept.set(workflowId, events);
          return events;
        },
      };
    },
  },
  {
    name: "the oldest run of a chain is taken for the latest",
    bend: (sound) => ({
      async findRun(workflowId, runId) {
        return runId === undefined
          ? (await sound.readRunChain(workflowId))[0]
          : await sound.findRun(workflowId, runId);
      },
    }),
  },
  {
    name: "blocked is forgotten by a commit that does not name it",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          mapRuns(commits, (run) => ({ ...run, blocked: run.blocked ?? null })),
        ),
    }),
  },
  {
    name: "what is parked is forgotten by a commit that does not name it",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          mapRuns(commits, (run) => ({ ...run, parked: run.parked ?? null })),
        ),
    }),
  },
  {
    name: "a commit without events does not change wakeAt",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          mapRuns(commits, (run) => (run.events.length > 0 ? run : { ...run, wakeAt: run.wakeAtBefore })),
        ),
    }),
  },
  {
    name: "heartbeats are mixed between runs",
    bend(sound) {
      const all = new Map<number, Heartbeat>();
      return {
        async append(token, commits) {
          for (const { run } of commits)
            for (const beat of run?.heartbeats ?? []) all.set(beat.ordinal, beat);
          return await sound.append(token, commits);
        },
        async readHeartbeats(runKey) {
          const own = await sound.readHeartbeats(runKey);
          return own.map((beat) => all.get(beat.ordinal) ?? beat);
        },
      };
    },
  },
  {
    name: "the first heartbeat of an activity is kept, not the last",
    bend(sound) {
      const first = new Map<string, Heartbeat>();
      return {
        async append(token, commits) {
          for (const { run } of commits) {
            for (const beat of run?.heartbeats ?? []) {
              const key = `${run?.runKey} ${beat.ordinal}`;
              if (!first.has(key)) first.set(key, beat);
            }
          }
          return await sound.append(token, commits);
        },
        async readHeartbeats(runKey) {
          const own = await sound.readHeartbeats(runKey);
          return own.map((beat) => first.get(`${runKey} ${beat.ordinal}`) ?? beat);
        },
      };
    },
  },
  {
    name: "nextWakeAt counts the instant itself",
    bend: (sound) => ({ nextWakeAt: (afterAt) => sound.nextWakeAt(afterAt - 1) }),
  },
  {
    name: "due runs are in the order of their keys",
    bend: (sound) => ({
      listDue: async (untilAt, after, limit) =>
        (await sound.listDue(untilAt, after, limit)).toSorted((left, right) => left.runKey - right.runKey),
    }),
  },
  {
    name: "the instant itself is not due yet",
    bend: (sound) => ({ listDue: (untilAt, after, limit) => sound.listDue(untilAt - 1, after, limit) }),
  },
  {
    name: "a page of due runs skips the rest of an instant",
    bend: (sound) => ({
      listDue: (untilAt, after, limit) =>
        sound.listDue(untilAt, after === undefined ? after : { ...after, runKey: 2 ** 40 }, limit),
    }),
  },
  {
    name: "a run that ended at its start counts as active",
    bend: (sound) => ({
      async listActive(afterKey, limit) {
        const { runs } = await sound.list({}, { limit: 20_000 });
        return runs
          .filter(
            (run) => run.runKey > afterKey && (!isClosed(run.status) || run.headSeq === run.firstSeq + 1),
          )
          .toReversed()
          .slice(0, limit);
      },
    }),
  },
  {
    name: "the cursor skips a run",
    bend: (sound) => ({
      async list(filter, page) {
        const found = await sound.list(filter, page);
        if (found.nextCursor === undefined) return found;
        return { ...found, nextCursor: String(Number(found.nextCursor) - 1) };
      },
    }),
  },
  {
    name: "pages are counted from the end that grows",
    bend: (sound) => ({
      async list(filter, { cursor, limit }) {
        if (cursor !== undefined && !/^\d+$/.test(cursor)) return await sound.list(filter, { cursor, limit });
        const offset = Number(cursor ?? 0);
        const { runs } = await sound.list(filter, { limit: 20_000 });
        const page = runs.slice(offset, offset + limit);
        const isEnd = offset + limit >= runs.length;
        return isEnd ? { runs: page } : { runs: page, nextCursor: String(offset + limit) };
      },
    }),
  },
  {
    name: "a full page always says that there is more",
    bend: (sound) => ({
      async list(filter, page) {
        const found = await sound.list(filter, page);
        const last = found.runs.at(-1);
        if (found.nextCursor !== undefined || last === undefined || found.runs.length < page.limit)
          return found;
        return { ...found, nextCursor: String(last.runKey) };
      },
    }),
  },
  {
    name: "any cursor is taken",
    bend: (sound) => ({
      list: (filter, { cursor, limit }) =>
        sound.list(
          filter,
          cursor === undefined ? { limit } : { limit, cursor: cursor.replaceAll(/\D/g, "") || "0" },
        ),
    }),
  },
  {
    name: "a listing does not see the run that was begun last",
    bend: (sound) => ({
      async list(filter, page) {
        const latest = (await sound.list({}, { limit: 1 })).runs[0];
        const cursor = page.cursor ?? (latest === undefined ? undefined : String(latest.runKey));
        return await sound.list(filter, cursor === undefined ? page : { limit: page.limit, cursor });
      },
    }),
  },
  {
    name: "a bound of a filter is exclusive",
    bend: (sound) => ({
      count: (filter) =>
        sound.count(
          filter.startedBefore === undefined
            ? filter
            : { ...filter, startedBefore: filter.startedBefore - 1 },
        ),
    }),
  },
  {
    name: "of two conditions one is enough",
    bend: (sound) => ({
      async list({ status, ...rest }, page) {
        return await sound.list(
          status === undefined || Object.keys(rest).length === 0
            ? { ...rest, ...(status && { status }) }
            : rest,
          page,
        );
      },
    }),
  },
  {
    name: "retention takes what closed at the instant itself",
    bend: (sound) => ({
      deleteClosed: (token, closedBefore, limit) => sound.deleteClosed(token, closedBefore + 1, limit),
    }),
  },
  {
    name: "retention takes an open run",
    bend: (sound) => ({
      async deleteClosed(token, closedBefore, limit) {
        const [oldest] = await sound.listActive(0, 1);
        if (oldest !== undefined && oldest.startedAt < closedBefore) {
          const { runKey, workflowId, headSeq, wakeAt } = oldest;
          const run = {
            runKey,
            workflowId,
            expectedSeq: headSeq,
            events: [],
            status: "completed" as const,
            closedAt: closedBefore - 1,
            wakeAt: null,
            wakeAtBefore: wakeAt,
          };
          await sound.append(token, [{ run }]);
        }
        return await sound.deleteClosed(token, closedBefore, limit);
      },
    }),
  },
  {
    name: "retention takes a part of a run",
    bend(sound) {
      let closedBefore = 0;
      return {
        async deleteClosed(token, before, limit) {
          const count = await sound.deleteClosed(token, before, limit);
          if (count > 0) closedBefore = Math.max(closedBefore, before);
          return count;
        },
        async readHistory(workflowId) {
          const history = await sound.readHistory(workflowId);
          return closedBefore === 0 ? history : history.filter((event) => event.seq !== 2);
        },
      };
    },
  },
  {
    name: "retention does not count what it left for later",
    bend: (sound) => ({
      deleteClosed: (token, closedBefore, limit) =>
        sound.deleteClosed(token, closedBefore, Math.max(0, limit - 1)),
    }),
  },
  {
    name: "a claim is accepted while the owner is alive",
    bend: (sound) => ({
      async claim(claim) {
        const owner = await sound.readOwner();
        if (owner !== undefined) await sound.release(toOwnerToken(owner.epoch));
        return await sound.claim(claim);
      },
    }),
  },
  {
    name: "a stale owner can give the store up",
    bend: (sound) => ({
      async release(token) {
        const owner = await sound.readOwner();
        await sound.release(owner === undefined ? token : toOwnerToken(owner.epoch));
      },
    }),
  },
  {
    name: "a stale owner can renew",
    bend: (sound) => ({
      async renew(token) {
        const owner = await sound.readOwner();
        await sound.renew(owner === undefined ? token : toOwnerToken(owner.epoch));
      },
    }),
  },
  { name: "renewing does nothing", bend: () => ({ renew: async () => undefined }) },
  {
    name: "a renewal lasts twice as long",
    bend: (sound) => ({
      async readOwner() {
        const owner = await sound.readOwner();
        if (owner === undefined) return undefined;
        return { ...owner, leaseUntil: owner.leaseUntil + 1 };
      },
    }),
  },
  {
    name: "a closed store still reads",
    bend: () => ({ close: async () => undefined }),
  },
  {
    name: "the second object reads what was there when it was opened",
    bend: () => ({}),
    bendOther(sound) {
      const known = new Map<WorkflowId, Promise<readonly Event[]>>();
      return {
        async readHistory(workflowId) {
          const history = known.get(workflowId) ?? sound.readHistory(workflowId);
          known.set(workflowId, history);
          return await history;
        },
      };
    },
  },
  {
    name: "the second object lets every claim through",
    bend: () => ({}),
    bendOther: (sound) => ({
      async claim(claim) {
        const owner = await sound.readOwner();
        if (owner !== undefined) await sound.release(toOwnerToken(owner.epoch));
        return await sound.claim(claim);
      },
    }),
  },
  {
    name: "the first object fences only owners that it has seen itself",
    bend(sound) {
      let claimed: OwnerToken | undefined;
      return {
        async claim(claim) {
          claimed = await sound.claim(claim);
          return claimed;
        },
        async append(token, commits) {
          const owner = await sound.readOwner();
          const isKnown = claimed?.epoch === token.epoch && owner !== undefined;
          return await sound.append(isKnown ? toOwnerToken(owner.epoch) : token, commits);
        },
      };
    },
    bendOther: () => ({}),
  },
  {
    name: "damage is handed out",
    bend: (sound) => ({
      readHistory: (workflowId) => sound.readHistoryFrom(workflowId, 1),
    }),
  },
  {
    name: "damage of one run makes all of them unreadable",
    bend(sound) {
      return {
        async readHistory(workflowId) {
          await sound.readHistory("damaged" as WorkflowId);
          return await sound.readHistory(workflowId);
        },
      };
    },
  },
  {
    name: "ids are told apart without regard to case",
    bend: (sound) => ({
      async findRun(workflowId, runId) {
        const { runs } = await sound.list({}, { limit: 20_000 });
        const same = runs.filter((run) => run.workflowId.toLowerCase() === workflowId.toLowerCase());
        return runId === undefined ? same[0] : same.find((run) => run.runId === runId);
      },
    }),
  },
  {
    name: "a text ends at its first NUL",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          mapRuns(commits, (run) =>
            typeof run.blocked === "string" ? { ...run, blocked: run.blocked.split("\u0000")[0] ?? "" } : run,
          ),
        ),
    }),
  },
  {
    name: "instants are kept as 32-bit floats",
    bend: (sound) => ({
      nextWakeAt: async (afterAt) => {
        const at = await sound.nextWakeAt(afterAt);
        return at === undefined ? undefined : Math.fround(at);
      },
    }),
  },
  {
    name: "an append that is refused as a whole is applied all the same",
    bend: (sound) => ({
      async append(token, commits) {
        try {
          return await sound.append(token, commits);
        } catch (error) {
          const owner = await sound.readOwner();
          if (owner !== undefined) await oneByOne(sound, toOwnerToken(owner.epoch), commits);
          throw error;
        }
      },
    }),
  },
  {
    name: "the epoch of a change of the catalog is not checked",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        const owner = await sound.readOwner();
        return await sound.changeCatalog(owner === undefined ? token : toOwnerToken(owner.epoch), change);
      },
    }),
  },
  {
    name: "a deployment and its routes are two transactions",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        if (change.kind !== "deploy" || change.route.length === 0)
          return await sound.changeCatalog(token, change);
        const { route, version, deployedAt: routedAt } = change;
        const reply = await sound.changeCatalog(token, { ...change, route: [] });
        await turn();
        await sound.changeCatalog(token, { kind: "route", workflowTypes: route, version, routedAt });
        return reply;
      },
    }),
  },
  {
    name: "a route of many types is made as far as it goes",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        if (change.kind !== "route" || change.workflowTypes.length === 0)
          return await sound.changeCatalog(token, change);
        const { requestId: _requestId, ...rest } = change;
        for (const type of change.workflowTypes)
          await sound.changeCatalog(token, { ...rest, workflowTypes: [type] });
        return await sound.changeCatalog(token, change);
      },
    }),
  },
  {
    name: "routes that count no more are forgotten",
    bend: (sound) => ({
      async readCatalog() {
        const { packages, routes } = await sound.readCatalog();
        const last = new Map(routes.map((route) => [route.workflowType, route]));
        return { packages, routes: routes.filter((route) => last.get(route.workflowType) === route) };
      },
    }),
  },
  {
    name: "routes to a package that was unloaded stay",
    bend(sound) {
      const kept: RouteRecord[] = [];
      return {
        async changeCatalog(token, change) {
          const { routes } = await sound.readCatalog();
          const reply = await sound.changeCatalog(token, change);
          if (change.kind === "unload" && !reply.isRepeated)
            kept.push(...routes.filter(({ version }) => version === change.version));
          return reply;
        },
        async readCatalog() {
          const { packages, routes } = await sound.readCatalog();
          return { packages, routes: [...kept, ...routes] };
        },
      };
    },
  },
  {
    name: "a package that is routed to is unloaded all the same",
    bend: (sound) => unloadingAlso(sound, ({ runCount }) => runCount === 0),
  },
  {
    name: "a package that a running run needs is unloaded all the same",
    bend: (sound) => unloadingAlso(sound, ({ workflowTypes }) => workflowTypes.length === 0),
  },
  {
    name: "whether a package is in use is looked at before the transaction, not in it",
    bend(sound) {
      const forcing = unloadingAlso(sound, () => true);
      return {
        ...forcing,
        async changeCatalog(token, change) {
          if (change.kind !== "unload") return await forcing.changeCatalog(token, change);
          const { routes } = await forcing.readCatalog();
          const { runs } = await sound.list({ status: "running" }, { limit: 20_000 });
          const last = new Map(routes.map(({ workflowType, version }) => [workflowType, version]));
          const { version } = change;
          if ([...last.values()].includes(version) || runs.some((run) => run.version === version))
            return await sound.changeCatalog(token, change);
          await turn();
          return await forcing.changeCatalog(token, change);
        },
      };
    },
  },
  {
    name: "the package that a commit needs is not looked for",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          commits.map(({ needsPackage: _needsPackage, ...commit }) => commit),
        ),
    }),
  },
  {
    name: "the refusal of an unload counts only the runs that it names",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        try {
          return await sound.changeCatalog(token, change);
        } catch (error) {
          if (!isAionError(error) || error.code !== "package_in_use") throw error;
          const { workflowIds } = error.details as unknown as PackageUse;
          const details = { ...error.details, runCount: workflowIds.length };
          throw new AionError(error.code, error.message, { details });
        }
      },
    }),
  },
  {
    name: "a package that is deployed again is a newer one",
    bend(sound) {
      const latest = new Map<string, number>();
      return {
        async changeCatalog(token, change) {
          const reply = await sound.changeCatalog(token, change);
          if (change.kind === "deploy") latest.set(change.version, change.deployedAt);
          return reply;
        },
        async readCatalog() {
          const { packages, routes } = await sound.readCatalog();
          const renewed = packages.map((one) => ({
            ...one,
            deployedAt: latest.get(one.version) ?? one.deployedAt,
          }));
          return { packages: renewed, routes };
        },
      };
    },
  },
  {
    name: "an archive is copied when it is written, not when it is given",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        await turn();
        return await sound.changeCatalog(token, change);
      },
    }),
  },
  {
    name: "an archive is handed out without a look at its hash",
    bend(sound) {
      const archives = new Map<string, Uint8Array>();
      return {
        async changeCatalog(token, change) {
          const archive = change.kind === "deploy" ? new Uint8Array(change.archive) : undefined;
          const reply = await sound.changeCatalog(token, change);
          if (reply.isRepeated) return reply;
          if (archive !== undefined) archives.set(change.version, archive);
          if (change.kind === "unload") archives.delete(change.version);
          return reply;
        },
        async readPackage(version) {
          await sound.readCatalog();
          const archive = archives.get(version);
          return archive && new Uint8Array(archive);
        },
      };
    },
  },
  {
    name: "an archive is kept up to 16 MiB",
    bend: (sound) => ({
      readPackage: async (version) => (await sound.readPackage(version))?.subarray(0, 16 * 1024 * 1024),
    }),
  },
  {
    name: "damage of one package makes all of them unreadable",
    bend: (sound) => ({
      async readCatalog() {
        const catalog = await sound.readCatalog();
        for (const { version } of catalog.packages) await sound.readPackage(version);
        return catalog;
      },
    }),
  },
  {
    name: "a damaged archive that is deployed again stays damaged",
    bend: (sound) => ({
      async changeCatalog(token, given) {
        const change = encodeCatalogChange(given);
        const { packages } = await sound.readCatalog();
        const isThere = packages.some(({ version }) => version === change.version);
        if (change.kind !== "deploy" || !isThere) return await sound.changeCatalog(token, change);
        const { version, route, deployedAt: routedAt } = change;
        await sound.changeCatalog(token, { kind: "route", version, workflowTypes: route, routedAt });
        return made;
      },
    }),
  },
  {
    name: "the second object reads the catalog as it was when it was first read",
    bend: () => ({}),
    bendOther(sound) {
      let known: Promise<Catalog> | undefined;
      return { readCatalog: () => (known ??= sound.readCatalog()) };
    },
  },
  {
    name: "the feed leaves an item out",
    bend: (sound) => bendFeed(sound, (items) => items.filter((_, index) => index % 5 !== 3)),
  },
  {
    name: "the feed has an item twice",
    bend: (sound) =>
      bendFeed(sound, (items) => items.flatMap((one, at) => (at % 4 === 2 ? [one, one] : [one]))),
  },
  {
    name: "the feed is in another order than the commits",
    bend: (sound) => bendFeed(sound, (items) => items.toReversed()),
  },
  {
    name: "the feed shows a commit before it is made",
    bend(sound) {
      const pending = new Set<Commit>();
      return {
        async append(token, given) {
          const commits = structuredClone(given);
          await sound.readOwner();
          for (const commit of commits) pending.add(commit);
          await turn();
          for (const commit of commits) pending.delete(commit);
          return await sound.append(token, commits);
        },
        async readFeed(request) {
          const page = await sound.readFeed(request);
          if (!page.isAtHead || page.items.length >= request.limit) return page;
          const coming = [...pending].flatMap(({ start }): FeedItem[] => {
            const [event] = start?.events ?? [];
            if (start === undefined || event === undefined) return [];
            const { workflowId, runId, workflowType, firstSeq } = start;
            const shown: Event = { ...event, seq: firstSeq, workflowId };
            return [{ cursor: page.nextCursor, workflowId, runId, workflowType, event: shown }];
          });
          return { ...page, items: [...page.items, ...coming].slice(0, request.limit) };
        },
      };
    },
  },
  {
    name: "a transaction appears in the feed before one that was there",
    bend(sound) {
      let count = 0;
      let late = "";
      return {
        async append(token, commits) {
          count += 1;
          const [first] = commits;
          const event = first?.run?.events[0];
          late = count % 3 === 0 && event?.type === "VersionMarked" ? event.changeId : "";
          return await sound.append(token, commits);
        },
        async readFeed(request) {
          const page = await sound.readFeed(request);
          const isLate = ({ event }: FeedItem): boolean =>
            late !== "" && event?.type === "VersionMarked" && event.changeId === late;
          return { ...page, items: page.items.filter((item) => !isLate(item)) };
        },
      };
    },
  },
  {
    name: "the feed is trimmed, and a cursor from before goes on behind what is missing",
    bend: (sound) => forgiving(sound, /older than/),
  },
  {
    name: "a cursor from before the feed was off goes on in the next feed",
    bend: (sound) => forgiving(sound, /has ended/),
  },
  {
    name: "the feed cannot be turned off",
    bend: (sound) => ({
      claim: ({ feed, ...claim }) =>
        sound.claim({ ...claim, ...(feed === "off" ? {} : feed === undefined ? {} : { feed }) }),
    }),
  },
  {
    name: "a claim that says nothing of the feed turns it off",
    bend: (sound) => ({ claim: (claim) => sound.claim({ feed: "off", ...claim }) }),
  },
  {
    name: "the cursor of an item is that of its page",
    bend: (sound) => ({
      async readFeed(request) {
        const page = await sound.readFeed(request);
        return { ...page, items: page.items.map((item) => ({ ...item, cursor: page.nextCursor })) };
      },
    }),
  },
  {
    name: "a page of the feed is as long as it likes",
    bend: (sound) => ({ readFeed: (request) => sound.readFeed({ ...request, limit: request.limit + 1 }) }),
  },
  {
    name: "the feed of one workflow has the events of others",
    bend: (sound) => ({
      readFeed: ({ workflowId: _workflowId, ...request }) => sound.readFeed(request),
    }),
  },
  {
    name: "a page of the feed that has nothing for its reader does not move on",
    bend: (sound) => ({
      async readFeed(request) {
        const page = await sound.readFeed(request);
        return page.items.length > 0 || request.after === "oldest" || request.after === "latest"
          ? page
          : { ...page, nextCursor: request.after };
      },
    }),
  },
  {
    name: "the feed always says that there is more",
    bend: (sound) => ({
      readFeed: async (request): Promise<FeedPage> => ({
        ...(await sound.readFeed(request)),
        isAtHead: false,
      }),
    }),
  },
  {
    name: "damage of one run makes the feed unreadable",
    bend: (sound) => ({
      async readFeed(request) {
        const page = await sound.readFeed(request);
        for (const { damage } of page.items) if (damage !== undefined) throw damage.error;
        return page;
      },
    }),
  },
  {
    name: "the feed passes over what is damaged",
    bend: (sound) => bendFeed(sound, (items) => items.filter(({ damage }) => damage === undefined)),
  },
  {
    name: "request ids of changes of the catalog are not remembered",
    bend: (sound) => ({
      changeCatalog: (token, change) => sound.changeCatalog(token, withoutRequest(change)),
    }),
  },
  {
    name: "request ids of changes of the catalog are remembered by the object, not with the data",
    bend: () => ({}),
    bendOther: (sound) => ({
      changeCatalog: (token, change) => sound.changeCatalog(token, withoutRequest(change)),
    }),
  },
  {
    name: "a change of the catalog that was refused counts as made",
    bend(sound) {
      const refused = new Set<string>();
      return {
        async changeCatalog(token, change) {
          const { requestId } = change;
          if (requestId !== undefined && refused.has(requestId)) return { isRepeated: true, isNew: false };
          try {
            return await sound.changeCatalog(token, change);
          } catch (error) {
            if (requestId !== undefined) refused.add(requestId);
            throw error;
          }
        },
      };
    },
  },
  {
    name: "another change with a request id that is known is taken for the first",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        try {
          return await sound.changeCatalog(token, change);
        } catch (error) {
          if (!isAionError(error) || error.code !== "request_conflict") throw error;
          return { isRepeated: true, isNew: false };
        }
      },
    }),
  },
  {
    name: "a change of the catalog that was made before is told as made now",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        return { ...(await sound.changeCatalog(token, change)), isRepeated: false };
      },
    }),
  },
  {
    name: "a repeated deployment is told as one of a package that was there",
    bend: (sound) => ({
      async changeCatalog(token, change) {
        const { isRepeated, isNew } = await sound.changeCatalog(token, change);
        return { isRepeated, isNew: isNew && !isRepeated };
      },
    }),
  },
  {
    name: "what a run said comes with a commit that was refused, too",
    bend(sound) {
      const refused = new Map<string, LogEntry[]>();
      return {
        async append(token, commits) {
          const results = await sound.append(token, commits);
          for (const [index, { run }] of commits.entries()) {
            if (results[index]?.ok === true || run?.log === undefined) continue;
            refused.set(keyOfRun(run), [...(refused.get(keyOfRun(run)) ?? []), ...structuredClone(run.log)]);
          }
          return results;
        },
        async readLog(run, afterSeq, limit) {
          const page = await sound.readLog(run, afterSeq, limit);
          const more = (refused.get(keyOfRun(run)) ?? []).filter(({ seq }) => seq > afterSeq);
          return { ...page, entries: [...page.entries, ...more] };
        },
      };
    },
  },
  {
    name: "an entry of a log that is said again takes the place of the first",
    bend(sound) {
      const latest = new Map<string, LogEntry>();
      return {
        async append(token, commits) {
          const results = await sound.append(token, commits);
          for (const [index, { run }] of commits.entries()) {
            if (results[index]?.ok !== true) continue;
            for (const entry of run?.log ?? [])
              latest.set(`${run?.runKey} ${entry.seq}`, structuredClone(entry));
          }
          return results;
        },
        ...bendLog(sound, (entries, { runKey }) =>
          entries.map((entry) => latest.get(`${runKey} ${entry.seq}`) ?? entry),
        ),
      };
    },
  },
  {
    name: "an entry of a log that is said again is there twice",
    bend(sound) {
      const all = new Map<RunKey, LogEntry[]>();
      return {
        async append(token, commits) {
          const results = await sound.append(token, commits);
          for (const [index, { run }] of commits.entries()) {
            if (results[index]?.ok !== true || run?.log === undefined) continue;
            all.set(run.runKey, [...(all.get(run.runKey) ?? []), ...structuredClone(run.log)]);
          }
          return results;
        },
        ...bendLog(sound, (entries, { runKey }) =>
          entries.flatMap((entry) => {
            const same = (all.get(runKey) ?? []).filter(({ seq }) => seq === entry.seq);
            return same.length > 1 ? same : [entry];
          }),
        ),
      };
    },
  },
  {
    name: "a log that is too long keeps its oldest entries",
    bend(sound) {
      const kept = new Map<string, LogEntry[]>();
      return {
        async append(token, commits) {
          const results = await sound.append(token, commits);
          for (const [index, { run, start }] of commits.entries()) {
            const result = results[index];
            if (result?.ok !== true) continue;
            const add = (key: string, log: readonly LogEntry[] = []): void => {
              const entries = kept.get(key) ?? [];
              for (const entry of structuredClone(log)) {
                const lineCount = [...entries, entry].flatMap(({ lines }) => lines).length;
                if (entry.seq > (entries.at(-1)?.seq ?? 0) && lineCount <= runLogLinesMax)
                  entries.push(entry);
              }
              kept.set(key, entries);
            };
            if (run !== undefined) add(keyOfRun(run), run.log);
            if (start !== undefined && result.startedKey !== undefined)
              add(keyOfRun({ runKey: result.startedKey, workflowId: start.workflowId }), start.log);
          }
          return results;
        },
        async readLog(run, afterSeq, limit) {
          const page = await sound.readLog(run, afterSeq, limit);
          if (page.droppedCount === 0) return page;
          return { ...page, entries: (kept.get(keyOfRun(run)) ?? []).filter(({ seq }) => seq > afterSeq) };
        },
      };
    },
  },
  {
    name: "lines of a log that were dropped are not counted",
    bend: (sound) => ({
      async readLog(run, afterSeq, limit) {
        return { ...(await sound.readLog(run, afterSeq, limit)), droppedCount: 0 };
      },
    }),
  },
  {
    name: "the log of a run is read under the id of another workflow",
    bend: (sound) => ({
      async readLog({ runKey, workflowId }, afterSeq, limit) {
        const run = await sound.findRunByKey(runKey);
        return await sound.readLog({ runKey, workflowId: run?.workflowId ?? workflowId }, afterSeq, limit);
      },
    }),
  },
  {
    name: "a page of a log is as long as it likes",
    bend: (sound) => ({
      readLog: (run, afterSeq) => sound.readLog(run, afterSeq, 1_000_000),
    }),
  },
  {
    name: "a page of a log begins with the entry that was read last",
    bend: (sound) => ({
      readLog: (run, afterSeq, limit) => sound.readLog(run, Math.max(0, afterSeq - 1), limit),
    }),
  },
  {
    name: "attributes are added to those before",
    bend: (sound) => ({
      async append(token, given) {
        if (given.every(({ run }) => run?.attributes === undefined)) return await sound.append(token, given);
        const commits = structuredClone(given);
        const before = new Map<RunKey, Attributes>();
        const { runs } = await sound.list({}, { limit: 1_000, withAttributes: true });
        for (const { runKey, attributes = {} } of runs) before.set(runKey, attributes);
        return await sound.append(
          token,
          mapRuns(commits, (run) =>
            run.attributes === undefined
              ? run
              : { ...run, attributes: { ...before.get(run.runKey), ...run.attributes } },
          ),
        );
      },
    }),
  },
  {
    name: "a run that ends loses its attributes",
    bend: (sound) => ({
      append: (token, commits) =>
        sound.append(
          token,
          mapRuns(commits, (run) => (isClosed(run.status) ? { ...run, attributes: {} } : run)),
        ),
    }),
  },
  {
    name: "a number is met by the text of it",
    bend: (sound) =>
      bendConditions(sound, (condition) =>
        condition.kind === "in"
          ? { ...condition, values: condition.values.flatMap((value) => [value, JSON.stringify(value)]) }
          : condition,
      ),
  },
  {
    name: "a condition includes the bound that it excludes",
    bend: (sound) =>
      bendConditions(sound, (condition) => {
        if (condition.kind !== "range") return condition;
        const { from, to } = condition;
        return {
          ...condition,
          ...(from === undefined ? {} : { from: { ...from, isOpen: false } }),
          ...(to === undefined ? {} : { to: { ...to, isOpen: false } }),
        };
      }),
  },
  {
    name: "of several conditions on attributes one is asked",
    bend: (sound) => ({
      list: (filter, page) => sound.list(firstOnly(filter), page),
      count: (filter) => sound.count(firstOnly(filter)),
    }),
  },
  {
    name: "the feed is read of all runs, whatever their attributes",
    bend: (sound) => ({
      readFeed: ({ attributes: _attributes, ...request }) => sound.readFeed(request),
    }),
  },
];

function bendConditions(
  sound: Store,
  bend: (condition: AttributeCondition) => AttributeCondition,
): Pick<Store, "list" | "count"> {
  const bent = (filter: RunFilter): RunFilter =>
    filter.attributes === undefined ? filter : { ...filter, attributes: filter.attributes.map(bend) };
  return {
    list: (filter, page) => sound.list(bent(filter), page),
    count: (filter) => sound.count(bent(filter)),
  };
}

function firstOnly(filter: RunFilter): RunFilter {
  return filter.attributes === undefined ? filter : { ...filter, attributes: filter.attributes.slice(0, 1) };
}

function keyOfRun({ runKey, workflowId }: RunRef): string {
  return `${runKey} ${workflowId}`;
}

function bendLog(
  sound: Store,
  bend: (entries: readonly LogEntry[], run: RunRef) => readonly LogEntry[],
): Pick<Store, "readLog"> {
  return {
    async readLog(run, afterSeq, limit) {
      const page = await sound.readLog(run, afterSeq, limit);
      return { ...page, entries: bend(page.entries, run) };
    },
  };
}

function bendFeed(
  sound: Store,
  bend: (items: readonly FeedItem[]) => readonly FeedItem[],
): Pick<Store, "readFeed"> {
  return {
    async readFeed(request) {
      const page = await sound.readFeed(request);
      return { ...page, items: bend(page.items) };
    },
  };
}

/** Reads all that there is where a cursor should be refused. */
function forgiving(sound: Store, why: RegExp): Pick<Store, "readFeed"> {
  return {
    async readFeed(request) {
      try {
        return await sound.readFeed(request);
      } catch (error) {
        const isExpired = isAionError(error) && error.code === "cursor_expired";
        if (!isExpired || !why.test(error.message)) throw error;
        return await sound.readFeed({ ...request, after: "oldest" });
      }
    },
  };
}

function withoutRequest({ requestId: _requestId, ...change }: CatalogChange): CatalogChange {
  return change;
}
