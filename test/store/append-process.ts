/**
 * Opens a store, appends as told, and closes it: what a tracer watches.
 * `node append-process.ts PATH WRITER one-by-one|together|concurrently|deploying COUNT`
 */
import { archiveOf, deployOf, mark, startOf, idOf } from "../../src/store/conformance/world.ts";
import type { Commit } from "../../src/store/contract.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { SqliteStoreOptions } from "../../src/store/sqlite/store.ts";

const [path = "", writer = "auto", how = "", count = "0"] = process.argv.slice(2);

const store = openSqliteStore({ path, writer: writer as NonNullable<SqliteStoreOptions["writer"]> });
const token = await store.claim({ leaseMs: 60_000 });
const id = `w-${token.epoch}`;
const [started] = await store.append(token, [{ start: startOf(id) }]);
const runKey = started?.ok === true ? (started.startedKey ?? 0) : 0;

const commits = Array.from({ length: Number(count) }, (_, index): Commit => ({
  run: {
    runKey,
    workflowId: idOf(id),
    expectedSeq: index + 1,
    events: [mark(String(index))],
    status: "running",
    wakeAt: null,
    wakeAtBefore: null,
  },
}));
if (how === "one-by-one") for (const commit of commits) await store.append(token, [commit]);
else if (how === "deploying") {
  for (const index of commits.keys()) {
    const archive = archiveOf(`package ${token.epoch} ${index}`, ["order"]);
    await store.changeCatalog(token, deployOf(archive, { route: ["order"] }));
  }
} else if (how === "together") await store.append(token, commits);
else await Promise.all(commits.map((commit) => store.append(token, [commit])));

const run = await store.findRunByKey(runKey);
const expectedHead = how === "deploying" ? 1 : commits.length + 1;
if (run?.headSeq !== expectedHead) throw new Error(`the head is at ${run?.headSeq}`);
await store.release(token);
await store.close();
