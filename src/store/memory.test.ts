import { describe, expect, it } from "vitest";
import { describeStoreConformance } from "./conformance/suite.ts";
import { openMemoryStore } from "./memory.ts";

describeStoreConformance(
  "memory",
  {
    async open({ clock }) {
      const store = openMemoryStore({ clock });
      return { store, dispose: () => store.close() };
    },
  },
  { describe, it },
);

it("takes the machine's clock when it is given none", async () => {
  const store = openMemoryStore();
  const before = Date.now();
  await store.claim({ leaseMs: 1_000 });
  const owner = await store.readOwner();
  expect(owner?.claimedAt).toBeGreaterThanOrEqual(before);
  expect(owner?.claimedAt).toBeLessThanOrEqual(Date.now());
});
