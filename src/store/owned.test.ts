import { expect, it } from "vitest";
import type { OwnerRecord } from "./contract.ts";
import { storeOwned } from "./owned.ts";

const owner: OwnerRecord = {
  epoch: 7,
  pid: 4711,
  host: "ursa",
  claimedAt: 1_000,
  leaseUntil: 9_000,
  isAlive: true,
};

it("a refusal says who owns the store, how to reach it, and when its lease is over", () => {
  const error = storeOwned("sqlite:a.db", { ...owner, endpoint: "/run/aion.sock" }, 6_500);
  expect(error.code).toBe("store_owned");
  for (const said of [
    "sqlite:a.db",
    "process 4711 on ursa",
    "reached at /run/aion.sock",
    "epoch 7",
    "2500 ms",
  ])
    expect(error.message).toContain(said);
  const { pid, host, epoch, leaseUntil } = owner;
  expect(error.details).toEqual({ pid, host, epoch, leaseUntil, endpoint: "/run/aion.sock" });
});

it("an owner without an endpoint is named without one, and a lease that is over has nothing left", () => {
  const error = storeOwned("memory:", owner, 9_001);
  expect(error.message).not.toContain("reached");
  expect(error.message).toMatch(/\b0 ms/);
  expect(Object.keys(error.details)).not.toContain("endpoint");
});
