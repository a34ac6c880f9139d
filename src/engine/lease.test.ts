import { describe, expect, it } from "vitest";
import { overStore } from "../../test/recovery/over-store.ts";
import { virtualPorts } from "../../test/recovery/virtual-ports.ts";
import type { VirtualPorts } from "../../test/recovery/virtual-ports.ts";
import { AionError } from "../core/errors.ts";
import type { OwnerToken, Store } from "../store/contract.ts";
import { openMemoryStore } from "../store/memory.ts";
import { Lease } from "./lease.ts";

const leaseMs = 10_001;
const halfMs = 5_000;

interface Held extends VirtualPorts {
  readonly lease: Lease;
  readonly store: Store;
  readonly token: OwnerToken;
  readonly lost: AionError[];
  /** When the store was asked to renew: milliseconds after the beginning. */
  readonly renewals: number[];
  /** How often the owner's row was read. */
  readonly reads: () => number;
}

/** A lease on a memory store; `renew` may stand between the two. */
async function held(
  between: (renew: Store["renew"], hand: VirtualPorts) => Store["renew"] = (renew) => renew,
): Promise<Held> {
  const hand = virtualPorts();
  const began = hand.now();
  const store = openMemoryStore({ clock: hand.time.clock });
  const token = await store.claim({ leaseMs });
  const lost: AionError[] = [];
  const renewals: number[] = [];
  let reads = 0;
  const renew = between((of) => store.renew(of), hand);
  const watched = overStore(store, {
    renew: (of) => {
      renewals.push(hand.now() - began);
      return renew(of);
    },
    readOwner: () => {
      reads += 1;
      return store.readOwner();
    },
  });
  const lease = new Lease({ store: watched, token, leaseMs, ports: hand.ports }, (error) => lost.push(error));
  return Object.assign(Object.create(hand) as VirtualPorts, {
    lease,
    store,
    token,
    lost,
    renewals,
    reads: () => reads,
  });
}

/** Another process takes over, as it may when the lease has run out. */
async function takeOver({ store, time }: Held): Promise<void> {
  time.jump(2 * leaseMs);
  await store.claim({ leaseMs });
}

describe("a lease that is kept", () => {
  // I-21
  it("is renewed twice within its length, so that nobody else can take the store", async () => {
    const hand = await held();
    hand.lease.keep();
    await hand.pass(halfMs - 1);
    expect(hand.renewals).toEqual([]);
    await hand.pass(3 * halfMs + 1);
    expect(hand.renewals).toEqual([1, 2, 3, 4].map((count) => count * halfMs));
    expect(hand.waitingCount).toBe(1);
    await expect(hand.store.claim({ leaseMs })).rejects.toMatchObject({ code: "store_owned" });
    expect(hand.lost).toEqual([]);
  });

  it("is tried again when it could not be renewed, and that is logged", async () => {
    let failures = 1;
    const hand = await held((renew) => async (of) => {
      failures -= 1;
      if (failures === 0) throw new AionError("store_full", "no space is left");
      return renew(of);
    });
    hand.lease.keep();
    await hand.pass(2 * halfMs);
    expect(hand.renewals).toEqual([halfMs, 2 * halfMs]);
    expect(hand.lost).toEqual([]);
    expect(hand.logged).toEqual([
      {
        level: "warn",
        message: "the lease could not be renewed; trying again",
        fields: { error: "no space is left" },
      },
    ]);
  });

  it("is tried again whatever it was that failed", async () => {
    const hand = await held(() => () => Promise.reject(new TypeError("a bug of the store")));
    hand.lease.keep();
    await hand.pass(3 * halfMs);
    expect(hand.renewals).toHaveLength(3);
    expect(hand.logged).toHaveLength(3);
    expect(hand.lost).toEqual([]);
  });

  // I-16, I-19
  it("and was lost to another owner ends the engine, once, and is asked for no more", async () => {
    const hand = await held();
    hand.lease.keep();
    await takeOver(hand);
    await hand.pass(10 * leaseMs);
    expect(hand.lost).toMatchObject([{ code: "not_owner" }]);
    expect(hand.renewals).toEqual([2 * leaseMs + halfMs]);
    expect(hand.waitingCount).toBe(0);
    expect(hand.logged).toEqual([]);
  });

  it("is let go by a stop, before a renewal and amid one", async () => {
    const before = await held();
    before.lease.keep();
    before.lease.stop();
    await before.pass(10 * leaseMs);
    expect([before.renewals, before.waitingCount]).toEqual([[], 0]);

    const amid = await held((renew, { time }) => async (of) => {
      await new Promise<void>((resolve) => time.delay(100, resolve));
      await renew(of);
    });
    amid.lease.keep();
    await amid.pass(halfMs + 50);
    amid.lease.stop();
    await amid.pass(10 * leaseMs);
    expect(amid.renewals).toEqual([halfMs]);
    expect(amid.waitingCount).toBe(0);
  });

  it("was never kept: a stop finds nothing", async () => {
    const hand = await held();
    hand.lease.stop();
    await hand.pass(leaseMs);
    expect(hand.renewals).toEqual([]);
  });
});

// I-27
describe("an answer from memory", () => {
  it("needs no question to the store while a renewal cannot have run out", async () => {
    const hand = await held();
    hand.lease.keep();
    await hand.pass(halfMs);
    await hand.lease.confirm();
    hand.time.jump(leaseMs - 1);
    await hand.lease.confirm();
    expect(hand.reads()).toBe(0);
    // The instant at which another may take over.
    hand.time.jump(1);
    await hand.lease.confirm();
    expect(hand.reads()).toBe(1);
    expect(hand.lost).toEqual([]);
  });

  it("needs one before the first renewal, and writes nothing for it: a full disk has to answer, too", async () => {
    const hand = await held(() => () => Promise.reject(new AionError("store_full", "no space is left")));
    hand.lease.keep();
    await hand.lease.confirm();
    expect(hand.reads()).toBe(1);
    expect(hand.renewals).toEqual([]);
    // A renewal that failed is none.
    await hand.pass(halfMs);
    await hand.lease.confirm();
    expect(hand.reads()).toBe(2);
  });

  // I-16
  it("counts the lease from when it was asked for: the answer may have been long in coming", async () => {
    const hand = await held((renew, { time }) => async (of) => {
      await renew(of);
      await new Promise<void>((resolve) => time.delay(leaseMs - 100, resolve));
    });
    hand.lease.keep();
    await hand.pass(halfMs + leaseMs - 100);
    await hand.lease.confirm();
    expect(hand.reads()).toBe(0);
    hand.time.jump(100);
    await hand.lease.confirm();
    expect(hand.reads()).toBe(1);
  });

  // I-16, I-19
  it("is not given by one who was frozen while another took over", async () => {
    const hand = await held();
    await takeOver(hand);
    const refused = hand.lease.confirm();
    await expect(refused).rejects.toMatchObject({
      code: "not_owner",
      message: "store memory:: this engine holds epoch 1, and it is at epoch 2 now",
    });
    expect(hand.lost).toEqual([await refused.catch((error: unknown) => error)]);
  });

  it("is not given when nobody owns the store: another may have owned it meanwhile", async () => {
    const hand = await held();
    await hand.store.release(hand.token);
    await expect(hand.lease.confirm()).rejects.toMatchObject({
      code: "not_owner",
      message: "store memory:: this engine holds epoch 1, and nobody owns it now",
    });
    expect(hand.lost).toHaveLength(1);
  });
});
