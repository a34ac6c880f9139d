import assert from "node:assert/strict";
import type { CatalogReply, CommitResult } from "../contract.ts";
import type { Call, Outcome } from "./call.ts";

/** Of so many calls at least one is as it seldom is. */
const chancesMin = 50;

/** What the calls came to: cases in which everything is refused show nothing. */
export class Tally {
  readonly #counts = {
    accepted: 0,
    refused: 0,
    fenced: 0,
    claimed: 0,
    consumed: 0,
    deployed: 0,
    "unloaded, or kept being in use": 0,
  };
  /** What a case of few calls seldom comes to, and of how many calls it may have come. */
  readonly #rare = {
    "repeated with its request id": { count: 0, chances: 0 },
    "read from a cursor of the feed": { count: 0, chances: 0 },
  };

  count(call: Call, outcome: Outcome): void {
    const counts = this.#counts;
    if (!outcome.ok) {
      if (outcome.code === "not_owner") counts.fenced += 1;
      if (outcome.code === "package_in_use") counts["unloaded, or kept being in use"] += 1;
      return;
    }
    if (call.kind === "claim") counts.claimed += 1;
    if (call.kind === "readFeed")
      noteChance(this.#rare["read from a cursor of the feed"], typeof call.after !== "string");
    if (call.kind === "changeCatalog") {
      const { isRepeated } = outcome.value as CatalogReply;
      noteChance(this.#rare["repeated with its request id"], isRepeated);
      if (call.change.kind === "deploy") counts.deployed += 1;
      if (call.change.kind === "unload") counts["unloaded, or kept being in use"] += 1;
    }
    if (call.kind !== "append") return;
    for (const [index, { ok }] of (outcome.value as readonly CommitResult[]).entries()) {
      counts[ok ? "accepted" : "refused"] += 1;
      if (ok) counts.consumed += call.commits[index]?.consume?.length ?? 0;
    }
  }

  assertAll(): void {
    for (const [what, count] of Object.entries(this.#counts)) assert.ok(count > 0, `something was ${what}`);
    const { accepted, refused } = this.#counts;
    assert.ok(accepted > refused, `${accepted} commits accepted, ${refused} refused`);
  }

  assertRare(): void {
    for (const [what, { count, chances }] of Object.entries(this.#rare))
      assert.ok(count > 0 || chances < chancesMin, `something was ${what}, in ${chances} calls`);
  }
}

function noteChance(rare: { count: number; chances: number }, isSo: boolean): void {
  rare.chances += 1;
  if (isSo) rare.count += 1;
}
