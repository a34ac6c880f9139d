import assert from "node:assert/strict";
import type { CatalogChange, PackageUse, Store } from "../contract.ts";
import { packageBytesMax } from "../../core/package-version.ts";
import { pinnedIdsMax } from "../contract.ts";
import type { Archive, Scenario, World } from "./world.ts";
import { archiveOf, assertRejects, deployOf, endOf, idOf, leaseMs, runOf, startOf } from "./world.ts";

const first = archiveOf("the first package", ["order", "bill"]);
const second = archiveOf("the second package", ["order"]);
const third = archiveOf("the third package", ["bill"]);

function routeTo({ version }: Archive, workflowTypes: readonly string[], routedAt = 7): CatalogChange {
  return { kind: "route", version, workflowTypes, routedAt };
}

const unloadOf = ({ version }: Archive): CatalogChange => ({ kind: "unload", version });

/** Who gets what: of each type the last route. */
async function routesOf(store: Store): Promise<Readonly<Record<string, string>>> {
  const { routes } = await store.readCatalog();
  return Object.fromEntries(routes.map(({ workflowType, version }) => [workflowType, version]));
}

async function versionsOf(store: Store): Promise<readonly string[]> {
  return (await store.readCatalog()).packages.map(({ version }) => version);
}

async function assertHolds({ store }: World, { version, bytes }: Archive): Promise<void> {
  const read = await store.readPackage(version);
  assert.ok(read !== undefined && Buffer.compare(read, bytes) === 0, "the archive comes back as it was");
}

/** Makes the call after so many turns of the event loop: at once, if after none. */
async function later<Result>(turnCount: number, call: () => Promise<Result>): Promise<Result> {
  for (let turn = 0; turn < turnCount; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return await call();
}

/** Bytes that no page of a database is filled with by chance, each unlike its neighbours. */
function noise(byteCount: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  let word = 0x2545_f491;
  for (let at = 0; at < byteCount; at += 1) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    bytes[at] = word;
  }
  return bytes;
}

export const catalogScenarios: readonly Scenario[] = [
  {
    name: "a package that was deployed is listed with its types and its routes, and its archive comes back",
    async run(world) {
      assert.deepEqual(await world.store.readCatalog(), { packages: [], routes: [] });
      assert.equal(await world.store.readPackage(first.version), undefined);
      await world.change(deployOf(first, { deployedAt: 5, route: ["bill"] }));
      await world.change(deployOf(second, { deployedAt: 3 }));
      assert.deepEqual(await world.store.readCatalog(), {
        packages: [
          {
            version: first.version,
            sizeBytes: first.bytes.byteLength,
            deployedAt: 5,
            workflowTypes: ["order", "bill"],
          },
          {
            version: second.version,
            sizeBytes: second.bytes.byteLength,
            deployedAt: 3,
            workflowTypes: ["order"],
          },
        ],
        routes: [{ workflowType: "bill", version: first.version, routedAt: 5 }],
      });
      await assertHolds(world, first);
      await assertHolds(world, second);
      for (const version of [first.version.toUpperCase(), first.version.slice(0, 8), ""])
        assert.equal(await world.store.readPackage(version), undefined, "a version is a whole hash");
    },
  },
  {
    name: "a package that is deployed again is there once, as it was, and its routes are changed as asked",
    async run(world) {
      await world.change(deployOf(first, { deployedAt: 5, route: ["bill"] }));
      await world.change(deployOf(second, { deployedAt: 6, route: ["order"] }));
      const { packages } = await world.store.readCatalog();
      await world.change(deployOf(first, { deployedAt: 9, workflowTypes: ["other"] }));
      assert.deepEqual((await world.store.readCatalog()).packages, packages);
      await world.change(deployOf(first, { deployedAt: 10, route: ["order", "bill"] }));
      const after = await world.store.readCatalog();
      assert.deepEqual(after.packages, packages);
      // What is routed there already stays as it is.
      assert.deepEqual(after.routes, [
        { workflowType: "bill", version: first.version, routedAt: 5 },
        { workflowType: "order", version: second.version, routedAt: 6 },
        { workflowType: "order", version: first.version, routedAt: 10 },
      ]);
      await assertHolds(world, first);
    },
  },
  {
    name: "the last route of a type counts, the earlier ones are kept, and an earlier one can be gone back to",
    async run(world) {
      for (const archive of [first, second]) await world.change(deployOf(archive));
      await world.change(routeTo(first, ["order", "bill"], 9));
      await world.change(routeTo(second, ["order"], 3));
      assert.deepEqual(await routesOf(world.store), { order: second.version, bill: first.version });
      await world.change(routeTo(first, ["order", "order"], 4));
      assert.deepEqual(await routesOf(world.store), { order: first.version, bill: first.version });
      const { routes } = await world.store.readCatalog();
      assert.deepEqual(
        routes.map(({ workflowType, version, routedAt }) => [workflowType, version, routedAt]),
        [
          ["order", first.version, 9],
          ["bill", first.version, 9],
          ["order", second.version, 3],
          ["order", first.version, 4],
        ],
      );
    },
  },
  {
    // I-4
    name: "a change of the catalog that is refused says why, and changes nothing of what it asked for",
    async run(world) {
      await world.change(deployOf(first, { route: ["order"] }));
      const before = await world.store.readCatalog();
      const unknown = [routeTo(second, ["order"]), unloadOf(second), routeTo(second, [])];
      for (const change of unknown) {
        const details = await assertRejects(world.change(change), "package_not_found");
        assert.deepEqual(details, { version: second.version });
      }
      const lacking: readonly (readonly [CatalogChange, string])[] = [
        // What comes before the type that is refused is not done either.
        [routeTo(first, ["bill", "none", "order", "nobody"]), first.version],
        [deployOf(first, { route: ["bill", "none", "nobody"] }), first.version],
        [deployOf(second, { route: ["order", "none", "nobody"] }), second.version],
      ];
      for (const [change, version] of lacking) {
        const details = await assertRejects(world.change(change), "workflow_type_unknown");
        assert.deepEqual(details, { version, workflowTypes: ["none", "nobody"] });
      }
      assert.deepEqual(await world.store.readCatalog(), before);
      assert.equal(await world.store.readPackage(second.version), undefined);
    },
  },
  {
    // I-4
    name: "a deployment is seen with its routes, or not at all",
    async run(world) {
      const archives = Array.from({ length: 12 }, (_, index) =>
        archiveOf(`package ${index}`, ["order", "bill"]),
      );
      const progress = { isOver: false };
      const watch = async (): Promise<number> => {
        let seenCount = 0;
        while (!progress.isOver) {
          const { packages, routes } = await world.store.readCatalog();
          const counting = new Map(routes.map(({ workflowType, version }) => [workflowType, version]));
          const newest = packages.at(-1)?.version;
          assert.deepEqual([counting.get("order"), counting.get("bill")], [newest, newest]);
          assert.equal(routes.length, 2 * packages.length);
          if (newest !== undefined) assert.ok((await world.store.readPackage(newest)) !== undefined);
          seenCount += 1;
          await new Promise((resolve) => setImmediate(resolve));
        }
        return seenCount;
      };
      const watching = watch();
      for (const archive of archives) await world.change(deployOf(archive, { route: archive.workflowTypes }));
      progress.isOver = true;
      assert.ok((await watching) > 0);
      assert.deepEqual(
        await versionsOf(world.store),
        archives.map(({ version }) => version),
      );
    },
  },
  {
    name: "a package that is routed to is not unloaded, and the refusal names the types",
    async run(world) {
      await world.change(deployOf(first, { route: ["bill", "order"] }));
      await world.change(deployOf(second));
      const use = { version: first.version, workflowTypes: ["bill", "order"], runCount: 0, workflowIds: [] };
      assert.deepEqual(await assertRejects(world.change(unloadOf(first)), "package_in_use"), use);
      await world.change(routeTo(second, ["order"]));
      assert.deepEqual(await assertRejects(world.change(unloadOf(first)), "package_in_use"), {
        ...use,
        workflowTypes: ["bill"],
      });
      await assertHolds(world, first);
      // A route that counts no more holds nothing, and goes with its package.
      await world.change(deployOf(third, { route: ["bill"] }));
      await world.change(unloadOf(first));
      assert.deepEqual(await versionsOf(world.store), [second.version, third.version]);
      const { routes } = await world.store.readCatalog();
      assert.deepEqual(
        routes.map(({ version }) => version),
        [second.version, third.version],
      );
      assert.equal(await world.store.readPackage(first.version), undefined);
      await assertRejects(world.change(unloadOf(first)), "package_not_found");
      await world.change(deployOf(first));
      assert.deepEqual(await versionsOf(world.store), [second.version, third.version, first.version]);
      assert.equal((await world.store.readCatalog()).routes.length, 2, "routes that were forgotten stay so");
    },
  },
  {
    name: "a package is not unloaded while a run of it is running, and the refusal says how many and which",
    async run(world) {
      const { version } = first;
      await world.change(deployOf(first));
      await world.change(deployOf(second));
      await world.start("another", { version: second.version });
      const runs = [];
      for (let index = 0; index < pinnedIdsMax + 2; index += 1)
        runs.push(await world.start(`w-${index}`, { version }));
      const refusal = async (): Promise<PackageUse> =>
        (await assertRejects(world.change(unloadOf(first)), "package_in_use")) as unknown as PackageUse;
      assert.deepEqual(await refusal(), {
        version,
        workflowTypes: [],
        runCount: runs.length,
        workflowIds: runs.slice(0, pinnedIdsMax).map(({ workflowId }) => workflowId),
      });
      const [reopened, continued, blocked, ...others] = runs;
      assert.ok(reopened !== undefined && continued !== undefined && blocked !== undefined);
      for (const run of [...others, reopened]) await world.end(run);
      // As new: the next run of the chain has it still.
      const [next] = await world.append({
        run: runOf(continued, {
          status: "continued-as-new",
          closedAt: 9,
          events: [endOf("continued-as-new")],
        }),
        start: startOf(continued.workflowId, { firstSeq: 3, version }),
      });
      assert.ok(next?.ok === true && next.startedKey !== undefined);
      await world.extend(blocked, { blocked: "no code", events: [] });
      assert.deepEqual((await refusal()).workflowIds, [blocked.workflowId, continued.workflowId]);
      await world.end(blocked);
      await world.end({ ...continued, runKey: next.startedKey, headSeq: 3 });
      // A run that has ended and is opened again needs it again.
      await world.extend(reopened);
      assert.deepEqual(await refusal(), {
        version,
        workflowTypes: [],
        runCount: 1,
        workflowIds: [reopened.workflowId],
      });
      await world.end(reopened);
      await world.change(unloadOf(first));
      assert.deepEqual(await versionsOf(world.store), [second.version]);
      assert.equal((await world.store.findRun(idOf("w-0")))?.version, version, "its runs are still there");
      await assertRejects(world.change(unloadOf(second)), "package_in_use");
    },
  },
  {
    name: "a commit that needs a package which is not there is refused, and its neighbours are not",
    async run(world) {
      const { version } = first;
      await world.change(deployOf(second));
      const needs = { start: startOf("needs", { version }), needsPackage: version };
      const commits = [
        { start: startOf("before") },
        { ...needs, send: [{ target: idOf("x"), message: { kind: "cancel" as const } }] },
        { start: startOf("after", { version: second.version }), needsPackage: second.version },
      ];
      const [before, refused, after] = await world.append(...commits);
      assert.deepEqual([before?.ok, after?.ok], [true, true]);
      assert.ok(refused?.ok === false);
      assert.equal(refused.error.code, "package_not_found");
      assert.deepEqual({ ...refused.error.details }, { version });
      assert.equal(await world.store.findRun(idOf("needs")), undefined);
      assert.deepEqual(await world.store.listMessages(0, 10), []);
      await world.change(deployOf(first));
      const [accepted] = await world.append(needs);
      assert.equal(accepted?.ok, true);
    },
  },
  {
    name: "of an unload and a start that needs the package, under way at one time, one succeeds",
    async run(world) {
      const { version } = first;
      for (let round = 0; round < 12; round += 1) {
        await world.change(deployOf(first));
        const id = `w-${round}`;
        const calls: [() => Promise<unknown>, () => Promise<unknown>] = [
          () => world.change(unloadOf(first)),
          () => world.append({ start: startOf(id, { version }), needsPackage: version }),
        ];
        if (round % 2 === 1) calls.reverse();
        const [unloaded, started] = round % 2 === 0 ? [0, 1] : [1, 0];
        const outcomes = await Promise.allSettled([calls[0](), later(round >> 1, calls[1])]);
        const run = await world.store.findRun(idOf(id));
        const isThere = (await world.store.readPackage(version)) !== undefined;
        assert.equal(outcomes[unloaded]?.status === "fulfilled", !isThere);
        assert.equal(outcomes[started]?.status, "fulfilled");
        assert.equal(run !== undefined, isThere, "the package is there exactly if a run of it is");
        if (run !== undefined) await world.end({ ...run });
      }
    },
  },
  {
    // I-16
    name: "a stale owner changes nothing of the catalog",
    async run(world) {
      await world.change(deployOf(first));
      const before = await world.store.readCatalog();
      await world.advance(leaseMs + 1);
      const token = await world.store.claim({ leaseMs });
      const changes = [deployOf(second), routeTo(first, ["order"]), unloadOf(first), unloadOf(second)];
      for (const change of changes) {
        const details = await assertRejects(world.change(change), "not_owner");
        assert.deepEqual([details["epoch"], details["currentEpoch"]], [world.token.epoch, token.epoch]);
      }
      const [stale, current] = await Promise.allSettled([
        world.change(unloadOf(first)),
        world.store.changeCatalog(token, routeTo(first, ["bill"])),
        world.change(deployOf(second, { route: ["order"] })),
      ]);
      assert.deepEqual([stale.status, current.status], ["rejected", "fulfilled"]);
      assert.deepEqual(await world.store.readCatalog(), {
        packages: before.packages,
        routes: [{ workflowType: "bill", version: first.version, routedAt: 7 }],
      });
      await world.store.release(token);
      await assertRejects(world.store.changeCatalog(token, unloadOf(first)), "not_owner");
    },
  },
  {
    name: "what a caller does with a change after the call, and with what it read, changes nothing stored",
    async run(world) {
      const bytes = new Uint8Array(first.bytes);
      const [workflowTypes, route] = [[...first.workflowTypes], ["order"]];
      const deploying = world.change({
        kind: "deploy",
        version: first.version,
        archive: bytes,
        workflowTypes,
        deployedAt: 5,
        route,
      });
      bytes.fill(0);
      workflowTypes.push("late");
      route.push("bill");
      await deploying;
      await assertHolds(world, first);
      const before = await world.store.readCatalog();
      assert.deepEqual([before.packages[0]?.workflowTypes, before.routes.length], [["order", "bill"], 1]);
      // A part of a larger buffer, as readers of files hand them out.
      const pool = Buffer.concat([Buffer.from("before"), second.bytes, Buffer.from("after")]);
      await world.change(deployOf(second, { archive: pool.subarray(6, 6 + second.bytes.byteLength) }));
      assert.equal(pool.subarray(0, 6).toString(), "before", "the caller keeps its buffer");
      await assertHolds(world, second);
      (await world.store.readPackage(first.version))?.fill(0);
      const [record] = before.packages;
      assert.ok(record !== undefined);
      (record.workflowTypes as string[]).push("late");
      await assertHolds(world, first);
      assert.deepEqual((await world.store.readCatalog()).packages[0]?.workflowTypes, ["order", "bill"]);
    },
  },
  {
    name: "an archive that does not have the hash that names it is refused when it is read",
    async run(world) {
      const { version } = second;
      await world.change(deployOf(first));
      // A fault of its caller's.
      await world.change(deployOf({ ...second, bytes: first.bytes }));
      const details = await assertRejects(world.store.readPackage(version), "store_corrupt");
      assert.deepEqual([details["version"], details["found"]], [version, first.version]);
      assert.deepEqual(await versionsOf(world.store), [first.version, version]);
      await assertHolds(world, first);
      await world.change(deployOf(second));
      await assertHolds(world, second);
    },
  },
  {
    name: "changes of the catalog and appends under way at one time are all done",
    async run(world) {
      await world.change(deployOf(first));
      const runs = [];
      for (let index = 0; index < 10; index += 1) runs.push(await world.start(`before-${index}`));
      const archives = runs.map((_, index) => archiveOf(`package ${index}`, ["order"]));
      const [appended, changed] = [[], []] as [ReturnType<World["append"]>[], Promise<unknown>[]];
      for (const [index, run] of runs.entries()) {
        const archive = archives[index];
        if (archive !== undefined) changed.push(world.change(deployOf(archive, { route: ["order"] })));
        const start = {
          start: startOf(`w-${index}`, { version: first.version }),
          needsPackage: first.version,
        };
        appended.push(world.append({ run: runOf(run) }), world.append(start));
      }
      await Promise.all(changed);
      const results = (await Promise.all(appended)).flat();
      assert.deepEqual(
        results.map(({ ok }) => ok),
        results.map(() => true),
      );
      assert.equal(await world.store.count({ status: "running" }), 20);
      const { packages, routes } = await world.store.readCatalog();
      assert.deepEqual([packages.length, routes.length], [11, 10]);
      for (const archive of archives) await assertHolds(world, archive);
    },
  },
  {
    name: "an archive of the largest size, and one of a byte, come back whole",
    async run(world) {
      const archives = [noise(packageBytesMax), noise(1), noise(4_097), new Uint8Array(5_000)].map(
        (bytes, index) => archiveOf(bytes, [`🚀 ${index}`, "a\u0000b"]),
      );
      for (const archive of archives) await world.change(deployOf(archive, { route: archive.workflowTypes }));
      const run = await world.start("w");
      await world.extend(run);
      const { packages } = await world.store.readCatalog();
      assert.deepEqual(
        packages.map(({ sizeBytes, workflowTypes }) => [sizeBytes, workflowTypes]),
        archives.map(({ bytes, workflowTypes }) => [bytes.byteLength, workflowTypes]),
      );
      for (const archive of archives) await assertHolds(world, archive);
    },
  },
  {
    // I-3
    name: "another opener sees the catalog as it was acknowledged, and is fenced like the first",
    needs: "reopen",
    async run(world, backend) {
      const other = await backend.reopen?.(world.opened);
      assert.ok(other !== undefined, "the data is opened again");
      try {
        await world.change(deployOf(first, { route: ["order"] }));
        assert.deepEqual(await other.readCatalog(), await world.store.readCatalog());
        assert.equal(
          Buffer.compare((await other.readPackage(first.version)) ?? Buffer.alloc(0), first.bytes),
          0,
        );
        await world.change(deployOf(second, { route: ["order"] }));
        await world.change(unloadOf(first));
        assert.deepEqual(await other.readCatalog(), await world.store.readCatalog());
        assert.deepEqual(await versionsOf(other), [second.version]);
        const start = { start: startOf("w", { version: first.version }), needsPackage: first.version };
        const [refused] = await other.append(world.token, [start]);
        assert.equal(refused?.ok, false);
        // A run that came through the other object.
        await world.change(deployOf(first));
        assert.equal((await other.append(world.token, [start]))[0]?.ok, true);
        await assertRejects(world.change(unloadOf(first)), "package_in_use");
        await world.advance(leaseMs + 1);
        const token = await other.claim({ leaseMs });
        await assertRejects(world.change(routeTo(first, ["bill"])), "not_owner");
        await other.changeCatalog(token, routeTo(first, ["bill"]));
        assert.deepEqual(await routesOf(world.store), { order: second.version, bill: first.version });
      } finally {
        await other.close();
      }
    },
  },
  {
    // I-3
    name: "packages and routes outlast the object that they were deployed through",
    needs: "reopen",
    async run(world, backend) {
      const archives = [first, second, archiveOf(noise(100_000), ["bill"])];
      for (const archive of archives) await world.change(deployOf(archive, { route: archive.workflowTypes }));
      const before = await world.store.readCatalog();
      await world.store.close();
      const again = await backend.reopen?.(world.opened);
      assert.ok(again !== undefined, "the data is opened again");
      try {
        assert.deepEqual(await again.readCatalog(), before);
        for (const { version, bytes } of archives)
          assert.equal(Buffer.compare((await again.readPackage(version)) ?? Buffer.alloc(0), bytes), 0);
      } finally {
        await again.close();
      }
    },
  },
];

export const packageDamageScenarios: readonly Scenario[] = [
  {
    // I-50
    name: "an archive that has changed is refused when it is read, it alone, and mended by deploying it again",
    needs: "damagePackage",
    async run(world, backend) {
      const large = archiveOf(noise(300_000), ["bill"]);
      for (const archive of [first, large]) {
        await world.change(deployOf(archive, { deployedAt: 5, route: ["bill"] }));
        const before = await world.store.readCatalog();
        await backend.damagePackage?.(world.opened, archive.version);
        const details = await assertRejects(world.store.readPackage(archive.version), "store_corrupt");
        assert.equal(details["version"], archive.version);
        assert.deepEqual(await world.store.readCatalog(), before);
        if (archive === large) await assertHolds(world, first);
        await world.change(deployOf(archive, { deployedAt: 6 }));
        await assertHolds(world, archive);
        assert.deepEqual(await world.store.readCatalog(), before);
      }
    },
  },
];
