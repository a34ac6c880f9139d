import { expect, it } from "vitest";
import { abuse } from "./abuse.ts";
import { seedOfCommit } from "./scenario.ts";
import { clean, verdictOf } from "./verdict.ts";

// I-55
it("payloads that nobody should send, and floods, harm nobody else", { timeout: 600_000 }, async () => {
  expect(verdictOf(await abuse({ seed: seedOfCommit() }))).toEqual(clean);
});
