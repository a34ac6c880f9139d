import assert from "node:assert/strict";
import type { OwnerToken } from "../contract.ts";
import { toOwnerToken } from "../contract.ts";
import type { Scenario, World } from "./world.ts";
import { assertRejects, idOf, leaseMs, runOf, snapshot, startOf } from "./world.ts";

/** Another owner takes over from one that has not renewed. */
async function takeOver(world: World): Promise<OwnerToken> {
  await world.advance(leaseMs + 1);
  return await world.store.claim({ leaseMs });
}

export const ownerScenarios: readonly Scenario[] = [
  {
    // I-16, I-51
    name: "a claim is refused while the owner is alive, and names it",
    async run(world) {
      const claimedAt = await world.now();
      await world.advance(leaseMs);
      const details = await assertRejects(world.store.claim({ leaseMs }), "store_owned");
      const owner = await world.store.readOwner();
      assert.ok(owner !== undefined);
      assert.deepEqual(owner, {
        epoch: world.token.epoch,
        pid: owner.pid,
        host: owner.host,
        endpoint: "/run/aion.sock",
        claimedAt,
        leaseUntil: claimedAt + leaseMs,
        isAlive: true,
      });
      assert.deepEqual(
        [details["pid"], details["host"], details["endpoint"]],
        [owner.pid, owner.host, owner.endpoint],
      );
      await world.start("still-mine");
    },
  },
  {
    // I-16
    name: "an owner that has not renewed within its lease is replaced, and fenced",
    async run(world) {
      const run = await world.start("w");
      const before = await snapshot(world.store, "w");
      const token = await takeOver(world);
      assert.ok(token.epoch > world.token.epoch);
      const details = await assertRejects(world.append({ run: runOf(run) }), "not_owner");
      assert.deepEqual([details["epoch"], details["currentEpoch"]], [world.token.epoch, token.epoch]);
      await assertRejects(world.append({ start: startOf("v") }), "not_owner");
      await assertRejects(world.append({ consume: [1] }), "not_owner");
      await assertRejects(world.store.renew(world.token), "not_owner");
      await assertRejects(world.store.deleteClosed(world.token, await world.now(), 10), "not_owner");
      await world.store.release(world.token);
      assert.equal((await world.store.readOwner())?.epoch, token.epoch, "a stale release releases nothing");
      assert.deepEqual(await snapshot(world.store, "w"), before);
      const [accepted] = await world.store.append(token, [{ run: runOf(run) }]);
      assert.equal(accepted?.ok, true);
    },
  },
  {
    // I-16
    name: "appends of the stale and the current owner at one time: the stale one writes nothing",
    async run(world) {
      const mine = await world.start("mine");
      const theirs = await world.start("theirs");
      const token = await takeOver(world);
      const outcomes = await Promise.allSettled([
        world.append({ run: runOf(mine) }, { start: startOf("v") }),
        world.store.append(token, [{ run: runOf(theirs) }]),
        world.append({ run: runOf(theirs, { expectedSeq: 2 }) }),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => outcome.status),
        ["rejected", "fulfilled", "rejected"],
      );
      assert.equal((await world.store.findRun(idOf("mine")))?.headSeq, 1);
      assert.equal((await world.store.findRun(idOf("theirs")))?.headSeq, 2);
      assert.equal(await world.store.findRun(idOf("v")), undefined);
    },
  },
  {
    name: "a renewed lease lasts from the renewal",
    async run(world) {
      await world.advance(leaseMs - 1);
      await world.store.renew(world.token);
      await world.advance(leaseMs - 1);
      await assertRejects(world.store.claim({ leaseMs }), "store_owned");
      assert.equal((await world.store.readOwner())?.isAlive, true);
    },
  },
  {
    name: "while appends flow the lease does not run out",
    async run(world) {
      const run = await world.start("w");
      for (let round = 0; round < 8; round += 1) {
        await world.advance(leaseMs / 2);
        await world.extend(run);
        await assertRejects(world.store.claim({ leaseMs }), "store_owned");
      }
    },
  },
  {
    name: "an owner whose lease has run out keeps writing as long as nobody has taken over",
    async run(world) {
      const run = await world.start("w");
      await world.advance(leaseMs * 5);
      assert.equal((await world.store.readOwner())?.isAlive, false);
      await world.extend(run);
      assert.equal((await world.store.readOwner())?.isAlive, true);
      await assertRejects(world.store.claim({ leaseMs }), "store_owned");
    },
  },
  {
    name: "a released store is owned by nobody, its last owner included, until the next claim",
    async run(world) {
      const run = await world.start("w");
      await world.store.release(world.token);
      assert.equal(await world.store.readOwner(), undefined);
      await assertRejects(world.append({ run: runOf(run) }), "not_owner");
      await assertRejects(world.store.renew(world.token), "not_owner");
      const token = await world.store.claim({ leaseMs });
      assert.ok(token.epoch > world.token.epoch);
      const owner = await world.store.readOwner();
      assert.equal(owner?.epoch, token.epoch);
      assert.equal(owner !== undefined && "endpoint" in owner, false, "the endpoint was the last owner's");
    },
  },
  {
    // I-18
    name: "of many claims at one time one succeeds",
    async run(world) {
      await world.advance(leaseMs + 1);
      const claims = Array.from({ length: 10 }, () => world.store.claim({ leaseMs }));
      const outcomes = await Promise.allSettled(claims);
      assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 1);
      for (const [index, claim] of claims.entries()) {
        if (outcomes[index]?.status === "rejected") await assertRejects(claim, "store_owned");
      }
    },
  },
  {
    name: "a token that no claim gave is refused",
    async run(world) {
      const run = await world.start("w");
      for (const epoch of [0, world.token.epoch - 1, world.token.epoch + 1]) {
        await assertRejects(world.store.append(toOwnerToken(epoch), [{ run: runOf(run) }]), "not_owner");
      }
    },
  },
  {
    name: "a closed store answers no more",
    async run(world) {
      const last = world.append({ start: startOf("w") });
      const [results] = await Promise.all([last, world.store.close()]);
      assert.equal(results[0]?.ok, true, "what was under way is finished");
      const { store, token } = world;
      const id = idOf("w");
      const calls: readonly (() => Promise<unknown>)[] = [
        () => store.claim({ leaseMs }),
        () => store.renew(token),
        () => store.release(token),
        () => store.readOwner(),
        () => store.append(token, [{ start: startOf("v") }]),
        () => store.readHistory(id),
        () => store.readHistoryFrom(id, 1),
        () => store.readSegment({ runKey: 1, workflowId: id }, 1),
        () => store.readRunChain(id),
        () => store.findRun(id),
        () => store.findRunByKey(1),
        () => store.listActive(0, 1),
        () => store.listDue(0, undefined, 1),
        () => store.nextWakeAt(0),
        () => store.listMessages(0, 1),
        () => store.readHeartbeats(1),
        () => store.list({}, { limit: 1 }),
        () => store.count({}),
        () => store.deleteClosed(token, 0, 1),
        () => store.readCatalog(),
        () => store.readFeed({ after: "oldest", limit: 10 }),
        () => store.readPackage("0".repeat(64)),
        () => store.changeCatalog(token, { kind: "unload", version: "0".repeat(64) }),
      ];
      for (const call of calls) await assertRejects(call(), "store_unavailable");
      await world.store.close();
    },
  },
];
