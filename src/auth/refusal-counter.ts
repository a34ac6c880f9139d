import type { ErrorCode } from "../core/errors.ts";
import type { AuditFacts } from "./gatekeeper.ts";

interface Tally {
  readonly facts: AuditFacts;
  readonly outcome: ErrorCode;
  seen: number;
  unwritten: number;
}

const spanMs = 60_000;
/** Of one kind, within a span. */
const eachMax = 10;
/** Of all kinds together. */
const allMax = 300;
const kindsMax = 200;

/**
 * Lets the first refusals of each kind (who, from where, what, why) through, and counts the rest: one entry for each kind at the end of
 * a minute. So whoever is refused without end writes a bounded number of entries, and none is passed over in silence.
 */
export class RefusalCounter {
  readonly #now: () => number;
  readonly #tell: (facts: AuditFacts, outcome: ErrorCode, count: number) => void;
  #tallies = new Map<string, Tally>();
  #toldCount = 0;
  #since: number;

  constructor(now: () => number, tell: (facts: AuditFacts, outcome: ErrorCode, count: number) => void) {
    this.#now = now;
    this.#tell = tell;
    this.#since = now();
  }

  count(facts: AuditFacts, outcome: ErrorCode): void {
    this.look();
    const tally = this.#tallyOf(facts, outcome);
    tally.seen += 1;
    if (tally.seen <= eachMax && this.#toldCount < allMax) {
      this.#toldCount += 1;
      this.#tell(facts, outcome, 1);
    } else tally.unwritten += 1;
  }

  #tallyOf(facts: AuditFacts, outcome: ErrorCode): Tally {
    const kind = JSON.stringify([facts.subject, facts.address, facts.operation, outcome]);
    const known = this.#tallies.get(kind);
    if (known !== undefined) return known;
    const isFull = this.#tallies.size >= kindsMax;
    const various: AuditFacts = {
      subject: undefined,
      keyId: undefined,
      operation: "various",
      namespace: undefined,
      ids: {},
      address: "various",
    };
    if (isFull) {
      const other = this.#tallies.get("various") ?? { facts: various, outcome, seen: eachMax, unwritten: 0 };
      this.#tallies.set("various", other);
      return other;
    }
    const tally: Tally = {
      facts: { ...facts, ids: {}, namespace: undefined },
      outcome,
      seen: 0,
      unwritten: 0,
    };
    this.#tallies.set(kind, tally);
    return tally;
  }

  /** Writes down what was counted, once a minute. */
  look(): void {
    // A clock that was set back begins anew.
    const passed = this.#now() - this.#since;
    if (passed >= 0 && passed < spanMs) return;
    this.close();
    this.#since = this.#now();
    this.#toldCount = 0;
  }

  close(): void {
    const tallies = this.#tallies;
    this.#tallies = new Map();
    for (const { facts, outcome, unwritten } of tallies.values())
      if (unwritten > 0) this.#tell(facts, outcome, unwritten);
  }
}
