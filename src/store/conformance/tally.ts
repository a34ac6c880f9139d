import assert from "node:assert/strict";
import type { CatalogReply, CommitResult } from "../contract.ts";
import type { Call, Outcome } from "./call.ts";

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
  /** What a case of few calls seldom comes to. */
  readonly #rare = { "repeated with its request id": 0, "read from a cursor of the feed": 0 };

  count(call: Call, outcome: Outcome): void {
    const counts = this.#counts;
    if (!outcome.ok) {
      if (outcome.code === "not_owner") counts.fenced += 1;
      if (outcome.code === "package_in_use") counts["unloaded, or kept being in use"] += 1;
      return;
    }
    if (call.kind === "claim") counts.claimed += 1;
    if (call.kind === "readFeed" && typeof call.after !== "string")
      this.#rare["read from a cursor of the feed"] += 1;
    if (call.kind === "changeCatalog") {
      if ((outcome.value as CatalogReply).isRepeated) this.#rare["repeated with its request id"] += 1;
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
    for (const [what, count] of Object.entries(this.#rare)) assert.ok(count > 0, `something was ${what}`);
  }
}
