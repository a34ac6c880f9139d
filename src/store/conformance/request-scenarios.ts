import assert from "node:assert/strict";
import type { CatalogChange, Store } from "../contract.ts";
import { requestsKept } from "../contract.ts";
import type { Archive, Scenario, World } from "./world.ts";
import { archiveOf, assertRejects, deployOf, leaseMs } from "./world.ts";

const first = archiveOf("the first package", ["order", "bill"]);
const second = archiveOf("the second package", ["order"]);

function routeTo({ version }: Archive, requestId?: string): CatalogChange {
  const change = { kind: "route", version, workflowTypes: ["order"], routedAt: 7 } as const;
  return requestId === undefined ? change : { ...change, requestId };
}

async function routedTo({ store }: { readonly store: Store }): Promise<string | undefined> {
  const { routes } = await store.readCatalog();
  return routes.findLast(({ workflowType }) => workflowType === "order")?.version;
}

async function deployBoth(world: World): Promise<void> {
  for (const archive of [first, second]) await world.change(deployOf(archive));
}

const made = { isRepeated: false, isNew: false };
const repeated = { isRepeated: true, isNew: false };

export const requestScenarios: readonly Scenario[] = [
  {
    name: "a change that is repeated with its request id does not undo what was changed in between",
    async run(world) {
      const deploy = deployOf(first, { route: ["order"], requestId: "deploy" });
      assert.deepEqual(await world.change(deploy), { isRepeated: false, isNew: true });
      await world.change(deployOf(second));
      assert.deepEqual(await world.change(routeTo(second, "route")), made);
      // The reply is that of the first.
      assert.deepEqual(await world.change(deploy), { isRepeated: true, isNew: true });
      assert.equal(await routedTo(world), second.version);
      assert.deepEqual(await world.change(routeTo(first)), made);
      assert.deepEqual(
        await world.change({ ...routeTo(second, "route"), routedAt: 99 } as CatalogChange),
        repeated,
      );
      assert.equal(await routedTo(world), first.version);
      const unload: CatalogChange = { kind: "unload", version: second.version, requestId: "unload" };
      assert.deepEqual(await world.change(unload), made);
      await world.change(deployOf(second));
      assert.deepEqual(await world.change(unload), repeated);
      assert.equal((await world.store.readCatalog()).packages.length, 2);
    },
  },
  {
    name: "a change that was refused was not made, and is made when it is repeated",
    async run(world) {
      await world.change(deployOf(first));
      await assertRejects(world.change(routeTo(second, "route")), "package_not_found");
      await world.change(deployOf(second));
      assert.deepEqual(await world.change(routeTo(second, "route")), made);
      assert.deepEqual(await world.change(routeTo(second, "route")), repeated);
      assert.equal(await routedTo(world), second.version);
    },
  },
  {
    name: "a request id that was used for another change is refused, and changes nothing",
    async run(world) {
      await deployBoth(world);
      await world.change(routeTo(first, "mine"));
      const before = await world.store.readCatalog();
      const others: readonly CatalogChange[] = [
        routeTo(second, "mine"),
        { ...routeTo(first, "mine"), workflowTypes: ["bill"] } as CatalogChange,
        { kind: "unload", version: second.version, requestId: "mine" },
        deployOf(first, { route: ["order"], requestId: "mine" }),
      ];
      for (const other of others) {
        const details = await assertRejects(world.change(other), "request_conflict");
        assert.deepEqual(details, { requestId: "mine" });
      }
      assert.deepEqual(await world.store.readCatalog(), before);
    },
  },
  {
    name: "of one change that is asked for many times at one time one is made",
    async run(world) {
      await deployBoth(world);
      await world.change(routeTo(first));
      const asked = Array.from({ length: 8 }, () => world.change(routeTo(second, "once")));
      const back = world.change(routeTo(first));
      const replies = await Promise.all(asked);
      await back;
      assert.deepEqual(
        replies.filter(({ isRepeated }) => !isRepeated),
        [made],
      );
      await Promise.all([world.change(routeTo(second, "once")), world.change(routeTo(second, "once"))]);
      assert.equal(await routedTo(world), first.version);
    },
  },
  {
    name: "the latest thousand request ids are remembered, across owners",
    async run(world) {
      await deployBoth(world);
      await world.change(routeTo(first, "oldest"));
      await world.change(routeTo(first, "kept"));
      const ids = Array.from({ length: requestsKept - 1 }, (_, index) => `request ${index}`);
      await Promise.all(ids.map((id) => world.change(routeTo(second, id))));
      await world.store.release(world.token);
      const token = await world.store.claim({ leaseMs });
      assert.deepEqual(await world.store.changeCatalog(token, routeTo(first, "kept")), repeated);
      assert.deepEqual(await world.store.changeCatalog(token, routeTo(first, "oldest")), made);
      assert.equal(await routedTo(world), first.version);
    },
  },
  {
    // I-3
    name: "request ids outlast the object that they came through",
    needs: "reopen",
    async run(world, backend) {
      await deployBoth(world);
      await world.change(routeTo(first, "route"));
      await world.change(routeTo(second));
      const other = await backend.reopen?.(world.opened);
      assert.ok(other !== undefined, "the data is opened again");
      try {
        assert.deepEqual(await other.changeCatalog(world.token, routeTo(first, "route")), repeated);
        assert.equal(await routedTo(world), second.version);
        await other.changeCatalog(world.token, routeTo(first, "another"));
        await world.change(routeTo(second));
        assert.deepEqual(await world.change(routeTo(first, "another")), repeated);
      } finally {
        await other.close();
      }
    },
  },
];
