import { isIPv6 } from "node:net";

const spanMs = 60_000;
/** Addresses that are remembered. */
const addressesMax = 10_000;

interface Tally {
  readonly since: number;
  count: number;
}

/**
 * Counts proofs that did not hold, by the address that they came from. Memory is bounded: the address that began longest ago is forgotten
 * first. Whoever shows a proof that holds is never counted, and never asked for: many may be behind one address.
 */
export class FailedAttempts {
  readonly #failuresMax: number;
  readonly #now: () => number;
  readonly #tallies = new Map<string, Tally>();

  /** `failuresMax`: of one address within a minute, that are answered as what they are. */
  constructor(failuresMax: number, now: () => number = Date.now) {
    this.#failuresMax = failuresMax;
    this.#now = now;
  }

  get size(): number {
    return this.#tallies.size;
  }

  /** Counts one more. Returns after how many seconds the address may try again; `undefined`: at once. */
  count(address: string): number | undefined {
    const now = this.#now();
    const block = blockOf(address);
    let tally = this.#tallies.get(block);
    // A clock that was set back begins anew.
    if (tally === undefined || now >= tally.since + spanMs || now < tally.since) {
      this.#tallies.delete(block);
      tally = { since: now, count: 0 };
      this.#tallies.set(block, tally);
      if (this.#tallies.size > addressesMax)
        for (const oldest of this.#tallies.keys()) if (this.#tallies.delete(oldest)) break;
    }
    tally.count += 1;
    return tally.count <= this.#failuresMax ? undefined : Math.ceil((tally.since + spanMs - now) / 1_000);
  }
}

/** Who has one address of IPv6 has all of its /64. */
function blockOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail = ""] = address.split("%")[0]?.split("::") ?? [];
  const [first, last] = [head, tail].map((part) => (part === "" ? [] : part.split(":"))) as [
    string[],
    string[],
  ];
  const zeros = address.includes("::") ? Math.max(0, 8 - first.length - last.length) : 0;
  const groups = [...first, ...Array.from({ length: zeros }, () => "0"), ...last];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
