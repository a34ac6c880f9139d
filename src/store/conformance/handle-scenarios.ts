import assert from "node:assert/strict";
import { toPayload } from "../../core/payload.ts";
import type { Store } from "../contract.ts";
import type { KnownRun, Scenario, World } from "./world.ts";
import { assertRejects, endOf, idOf, leaseMs, mark, runOf, snapshot, startOf } from "./world.ts";

/** What holds between two objects on the same data, as between two processes. */
function between(name: string, law: (world: World, other: Store) => Promise<void>): Scenario {
  return {
    name,
    needs: "reopen",
    async run(world, backend) {
      const other = await backend.reopen?.(world.opened);
      assert.ok(other !== undefined, "the data is opened again");
      try {
        await law(world, other);
      } finally {
        await other.close();
      }
    },
  };
}

export const handleScenarios: readonly Scenario[] = [
  between("another opener sees what was acknowledged", async (world, other) => {
    const run = await world.start("w");
    await world.extend(run);
    assert.deepEqual(await other.readHistory(idOf("w")), await world.store.readHistory(idOf("w")));
    for (let round = 0; round < 10; round += 1) {
      await world.extend(run);
      assert.equal((await other.readHistory(idOf("w"))).length, run.headSeq);
      assert.deepEqual(await snapshot(other, "w"), await snapshot(world.store, "w"));
    }
  }),
  between(
    "heartbeats that came through one object are gone when the run closes through the other",
    async (world, other) => {
      const [first, second] = [await world.start("first"), await world.start("second")];
      const heartbeat = { ordinal: 0, attempt: 1, details: toPayload("half done", "details") };
      const beat = async (store: Store, run: KnownRun): Promise<void> => {
        const commit = runOf(run, { events: [], heartbeats: [heartbeat] });
        const [result] = await store.append(world.token, [{ run: commit }]);
        assert.equal(result?.ok, true);
        assert.deepEqual(await world.store.readHeartbeats(run.runKey), [heartbeat]);
      };
      // Each object has seen that there are none, when the other writes one.
      await world.end(await world.start("none"));
      await beat(other, first);
      await world.end(first);
      await beat(world.store, second);
      const closing = runOf(second, { status: "completed", closedAt: 5, events: [endOf("completed")] });
      const [closed] = await other.append(world.token, [{ run: closing }]);
      assert.equal(closed?.ok, true);
      for (const run of [first, second]) {
        assert.deepEqual(await world.store.readHeartbeats(run.runKey), []);
        assert.deepEqual(await other.readHeartbeats(run.runKey), []);
      }
    },
  ),
  // I-16, I-51
  between("another opener's claim is refused while the owner is alive", async (world, other) => {
    const details = await assertRejects(other.claim({ leaseMs }), "store_owned");
    assert.equal(details["endpoint"], "/run/aion.sock");
    assert.deepEqual(await other.readOwner(), await world.store.readOwner());
    await world.start("still-mine");
  }),
  // I-16
  between(
    "an owner that another opener has replaced is fenced, whichever object it writes through",
    async (world, other) => {
      const run = await world.start("w");
      await world.advance(leaseMs + 1);
      const token = await other.claim({ leaseMs });
      const before = await snapshot(other, "w");
      for (const store of [world.store, other]) {
        await assertRejects(
          store.append(world.token, [{ run: runOf(run) }, { start: startOf("v") }]),
          "not_owner",
        );
        await assertRejects(store.renew(world.token), "not_owner");
        await assertRejects(store.deleteClosed(world.token, await world.now(), 10), "not_owner");
        await store.release(world.token);
      }
      assert.deepEqual(await snapshot(other, "w"), before);
      assert.deepEqual(await world.store.readOwner(), await other.readOwner());
      const [accepted] = await other.append(token, [{ run: runOf(run) }]);
      assert.equal(accepted?.ok, true);
      assert.equal((await world.store.findRun(idOf("w")))?.headSeq, 2);
    },
  ),
  // I-18
  between("of claims through two objects at one time one succeeds", async (world, other) => {
    await world.advance(leaseMs + 1);
    const claims = Array.from({ length: 8 }, (_, index) =>
      (index % 2 === 0 ? world.store : other).claim({ leaseMs }),
    );
    const outcomes = await Promise.allSettled(claims);
    assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 1);
  }),
  between(
    "keys and ids given through one object are not given again through the other",
    async (world, other) => {
      const ends: (readonly [number, number])[] = [];
      for (let round = 0; round < 6; round += 1) {
        const store = round % 2 === 0 ? world.store : other;
        const [result] = await store.append(world.token, [
          {
            start: startOf(`w-${round}`),
            send: [{ target: idOf("x"), message: { kind: "cancel", reason: String(round) } }],
          },
        ]);
        assert.ok(result?.ok === true);
        ends.push([result.startedKey ?? 0, result.messageIds[0] ?? 0] as const);
      }
      for (const column of [0, 1] as const) {
        const given: readonly number[] = ends.map((end) => end[column]);
        assert.deepEqual(
          given,
          [...new Set(given)].toSorted((left, right) => left - right),
        );
      }
    },
  ),
];

export const damageScenarios: readonly Scenario[] = [
  {
    // I-50
    name: "a stored row that has changed is refused before it is handed out, and its run alone",
    needs: "damage",
    async run(world, backend) {
      const damaged = await world.start("damaged");
      const sound = await world.start("sound");
      for (const run of [damaged, sound]) {
        await world.extend(run, { events: [mark("first"), mark("second")] });
        await world.extend(run, { events: [mark("third")] });
      }
      const before = await world.store.readHistory(idOf("sound"));
      await backend.damage?.(world.opened, { run: damaged, seq: 2 });
      const details = await assertRejects(world.store.readHistory(idOf("damaged")), "history_corrupt");
      assert.equal(details["workflowId"], "damaged");
      await assertRejects(world.store.readSegment(damaged, 1), "history_corrupt");
      assert.deepEqual(await world.store.readHistory(idOf("sound")), before);
      assert.equal((await world.store.findRun(idOf("damaged")))?.headSeq, 4);
      assert.equal((await world.store.list({}, { limit: 10 })).runs.length, 2);
      await world.extend(sound);
    },
  },
];
