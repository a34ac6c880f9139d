import { AionError } from "../src/core/errors.ts";
import type { Dice } from "./dice.ts";
import type { FaultKind } from "./plan.ts";
import type { Sometimes } from "./statistics.ts";

/** How far a transaction had come when it went wrong: nothing was asked, something was, its commit was. */
type Moment = "connect" | "statement" | "commit";

/** An error as PostgreSQL's protocol tells it, or as the socket does. https://www.postgresql.org/docs/current/errcodes-appendix.html */
export interface PostgresFault {
  readonly sqlstate: string;
  readonly text: string;
  readonly moment: Moment;
}

/** What of PostgreSQL's can go wrong: how often, when, and what it is counted as. */
const faults: readonly {
  readonly kind: FaultKind;
  readonly share: number;
  readonly sqlstate: string;
  readonly text: string;
  readonly moments: readonly Moment[];
  readonly hitsReads: boolean;
  readonly remark: Sometimes;
}[] = [
  {
    kind: "serialization-failure",
    share: 0.1,
    sqlstate: "40001",
    text: "could not serialize access due to concurrent update",
    moments: ["statement", "commit"],
    hitsReads: true,
    remark: "PostgreSQL: serialization failure",
  },
  {
    kind: "deadlock",
    share: 0.06,
    sqlstate: "40P01",
    text: "deadlock detected",
    moments: ["statement"],
    hitsReads: false,
    remark: "PostgreSQL: deadlock",
  },
  {
    kind: "admin-shutdown",
    share: 0.05,
    sqlstate: "57P01",
    text: "terminating connection due to administrator command",
    moments: ["connect", "statement", "commit"],
    hitsReads: true,
    remark: "PostgreSQL: shut down by an administrator",
  },
  {
    kind: "connection-cut",
    share: 0.06,
    sqlstate: "08006",
    text: "connection terminated unexpectedly",
    moments: ["statement", "commit", "commit"],
    hitsReads: true,
    remark: "PostgreSQL: connection cut",
  },
  {
    kind: "too-many-connections",
    share: 0.06,
    sqlstate: "53300",
    text: "sorry, too many clients already",
    moments: ["connect"],
    hitsReads: true,
    remark: "PostgreSQL: too many connections",
  },
];

export function drawPostgresFault(of: {
  readonly isWrite: boolean;
  readonly dice: Dice;
  readonly meets: (kind: FaultKind, share: number) => boolean;
  readonly note: (remark: Sometimes) => void;
}): PostgresFault | undefined {
  const { isWrite, dice, meets, note } = of;
  for (const { kind, share, sqlstate, text, moments, hitsReads, remark } of faults) {
    if ((!isWrite && !hitsReads) || !meets(kind, share)) continue;
    note(remark);
    // What only reads commits nothing.
    return { sqlstate, text, moment: isWrite ? dice.pick(moments) : "statement" };
  }
  return undefined;
}

/** How often a transaction that PostgreSQL rolled back by itself is made anew before its caller hears of it. */
export const postgresAttemptsMax = 4;

/**
 * What a backend has to make of an error of PostgreSQL's, in the terms of the store contract. `"again"`: the whole transaction
 * was rolled back, and is to be made anew. An error: what the caller is told; `commit_unknown` only once the server has ended
 * the transaction, since what reading tells then is final.
 */
export function judgePostgres({ sqlstate, text, moment }: PostgresFault): "again" | AionError {
  const message = `${text} (SQLSTATE ${sqlstate})`;
  switch (sqlstate) {
    // In answer to a COMMIT, too, these say that it was not made.
    case "40001":
    case "40P01":
      return "again";
    case "53300":
      return new AionError("store_unavailable", message);
    // Until the commit is asked for, the server rolls back whatever loses its connection; afterwards nobody was told.
    case "57P01":
    case "08006":
      return new AionError(moment === "commit" ? "commit_unknown" : "store_unavailable", message);
    default:
      return new AionError("store_failed", message);
  }
}
