import assert from "node:assert/strict";
import { isClosed } from "../../core/status.ts";
import type { CommitResult, RunPage } from "../contract.ts";
import type { Call, Outcome } from "./call.ts";

/** What the calls came to: cases in which everything is refused show nothing. */
export class Tally {
  readonly #counts = {
    accepted: 0,
    refused: 0,
    fenced: 0,
    deleted: 0,
    consumed: 0,
    continued: 0,
    claimed: 0,
    "refused a claim": 0,
    "cut into pages": 0,
    "closed by a start": 0,
  };

  count(call: Call, outcome: Outcome): void {
    const counts = this.#counts;
    if (!outcome.ok) {
      if (outcome.code === "not_owner") counts.fenced += 1;
      if (outcome.code === "store_owned") counts["refused a claim"] += 1;
      return;
    }
    if (call.kind === "claim") counts.claimed += 1;
    if (call.kind === "deleteClosed") counts.deleted += Number(outcome.value);
    if (call.kind === "list" && (outcome.value as RunPage).nextCursor !== undefined)
      counts["cut into pages"] += 1;
    if (call.kind !== "append") return;
    for (const [index, { ok }] of (outcome.value as readonly CommitResult[]).entries()) {
      const { run, start, consume = [] } = call.commits[index] ?? {};
      counts[ok ? "accepted" : "refused"] += 1;
      if (!ok) continue;
      counts.consumed += consume.length;
      if (run !== undefined && start !== undefined) counts.continued += 1;
      if (start !== undefined && isClosed(start.status)) counts["closed by a start"] += 1;
    }
  }

  assertAll(): void {
    for (const [what, count] of Object.entries(this.#counts)) assert.ok(count > 0, `something was ${what}`);
    const { accepted, refused } = this.#counts;
    assert.ok(accepted > refused, `${accepted} commits accepted, ${refused} refused`);
  }
}
