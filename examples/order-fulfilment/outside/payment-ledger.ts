/**
 * The books of the payment service.
 *
 * Owner: the payment service's process.
 * Law: no answer leaves before the entries that hold it are on disk.
 * 1. One idempotency key gives one answer for ever, after a restart too; with another request it gives none.
 * 2. A reference whose payment was taken back is closed: a charge that was still on its way then moves no money.
 * 3. A charge is given back once and in full, whoever asks and however often.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { Journal } from "./journal.ts";

const reference = z.string().min(1).max(200);
const amount = z.int().min(1).max(1_000_000_000);
const currency = z.string().regex(/^[A-Z]{3}$/);
const idempotencyKey = z.string().min(1).max(200);

export const ChargeRequest = z.strictObject({
  reference,
  amount,
  currency,
  cardToken: z.string().min(1).max(200),
});
export type ChargeRequest = z.infer<typeof ChargeRequest>;

export const RefundRequest = z.strictObject({ reference });
export type RefundRequest = z.infer<typeof RefundRequest>;

const movement = { id: z.string(), reference, amount, currency };
const made = { key: idempotencyKey, fingerprint: z.string(), atMs: z.int() };

export const LedgerEntry = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("charge"), ...movement, cardToken: z.string(), ...made }),
  z.strictObject({ type: z.literal("decline"), reference, reason: z.string(), ...made }),
  z.strictObject({ type: z.literal("refund"), ...movement, chargeId: z.string(), ...made }),
  /** The answer to a refund that found nothing (left) to give back. */
  z.strictObject({ type: z.literal("close"), reference, ...made }),
]);
export type LedgerEntry = z.infer<typeof LedgerEntry>;
type Charge = Extract<LedgerEntry, { type: "charge" }>;
type Refund = Extract<LedgerEntry, { type: "refund" }>;

/** An HTTP answer, so that a repeated request gets the same bytes. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

type EntryBase = Pick<LedgerEntry, "key" | "fingerprint" | "atMs">;

interface Answered {
  readonly fingerprint: string;
  readonly answer: Answer;
  readonly durable: Promise<void>;
}

interface Account {
  readonly charges: Charge[];
  readonly refunds: Refund[];
  closed: boolean;
}

export class PaymentLedger {
  readonly #journal: Journal<LedgerEntry>;
  readonly #now: () => number;
  readonly #answers = new Map<string, Answered>();
  readonly #accounts = new Map<string, Account>();
  readonly #durableEntries: LedgerEntry[] = [];
  #movementCount = 0;

  private constructor(journal: Journal<LedgerEntry>, now: () => number) {
    this.#journal = journal;
    this.#now = now;
    for (const entry of journal.recovered) {
      const before = this.#answers.get(entry.key);
      this.#post(entry);
      // Several refunds of one request share its key; the answer is what the account holds after the last of them.
      this.#answers.set(entry.key, {
        fingerprint: before?.fingerprint ?? entry.fingerprint,
        answer: this.#answerOf(entry),
        durable: Promise.resolve(),
      });
      this.#durableEntries.push(entry);
    }
  }

  static async open(directory: string, now: () => number = Date.now): Promise<PaymentLedger> {
    return new PaymentLedger(
      await Journal.open(ledgerPath(directory), (value) => LedgerEntry.parse(value)),
      now,
    );
  }

  /** What is on disk, oldest first. */
  get entries(): readonly LedgerEntry[] {
    return this.#durableEntries;
  }

  get tornBytes(): number {
    return this.#journal.tornBytes;
  }

  get syncCount(): number {
    return this.#journal.syncCount;
  }

  /** Takes the amount from the card: 201, 402 when the card is declined, 409 when the reference is closed. */
  charge(key: string, request: ChargeRequest): Promise<Answer> {
    const { reference: of, amount: charged, currency: chargedCurrency, cardToken } = request;
    return this.#once(key, fingerprintOf("charge", request), (base) => {
      if (this.#accountOf(of).closed) {
        return problem(409, "reference_closed", `${of} was taken back; it cannot be charged any more`);
      }
      if (isDeclined(cardToken))
        return [{ type: "decline", reference: of, reason: "insufficient funds", ...base }];
      const id = this.#nextId("ch");
      return [
        { type: "charge", id, reference: of, amount: charged, currency: chargedCurrency, cardToken, ...base },
      ];
    });
  }

  /** Gives back whatever was charged under the reference, in full, and closes it: always 200. */
  refund(key: string, request: RefundRequest): Promise<Answer> {
    const { reference: of } = request;
    return this.#once(key, fingerprintOf("refund", request), (base) => {
      const account = this.#accountOf(of);
      const refunded = new Set(account.refunds.map(({ chargeId }) => chargeId));
      const [first, ...others] = account.charges.filter(({ id }) => !refunded.has(id));
      if (first === undefined) return [{ type: "close", reference: of, ...base }];
      const giveBack = (charge: Charge): Refund => ({
        type: "refund",
        id: this.#nextId("re"),
        chargeId: charge.id,
        reference: of,
        amount: charge.amount,
        currency: charge.currency,
        ...base,
      });
      return [giveBack(first), ...others.map(giveBack)];
    });
  }

  close(): Promise<void> {
    return this.#journal.close();
  }

  /**
   * Answers a key the first time by what `decide` returns, and ever after by the same. Between the look-up and the
   * entry nothing is awaited: a second request with the key cannot slip in between and move the money again.
   */
  async #once(
    key: string,
    fingerprint: string,
    decide: (base: EntryBase) => Answer | readonly [LedgerEntry, ...(readonly LedgerEntry[])],
  ): Promise<Answer> {
    const known = this.#answers.get(key);
    if (known !== undefined) {
      if (known.fingerprint !== fingerprint) {
        return problem(
          422,
          "idempotency_key_reused",
          `the idempotency key ${key} belongs to another request`,
        );
      }
      await known.durable;
      return known.answer;
    }
    const decided = decide({ key, fingerprint, atMs: this.#now() });
    if ("status" in decided) return decided;
    for (const entry of decided) this.#post(entry);
    const answer = this.#answerOf(decided[0]);
    const durable = Promise.all(decided.map((entry) => this.#journal.append(entry))).then(() => {
      this.#durableEntries.push(...decided);
    });
    this.#answers.set(key, { fingerprint, answer, durable });
    await durable;
    return answer;
  }

  #nextId(prefix: "ch" | "re"): string {
    this.#movementCount += 1;
    return `${prefix}_${String(this.#movementCount).padStart(6, "0")}`;
  }

  #post(entry: LedgerEntry): void {
    const account = this.#accountOf(entry.reference);
    if (entry.type === "charge") account.charges.push(entry);
    if (entry.type === "refund") account.refunds.push(entry);
    if (entry.type === "refund" || entry.type === "close") account.closed = true;
    if (entry.type === "charge" || entry.type === "refund") {
      this.#movementCount = Math.max(this.#movementCount, Number(entry.id.slice(3)));
    }
  }

  #answerOf(entry: LedgerEntry): Answer {
    switch (entry.type) {
      case "charge": {
        const { id, amount: charged, currency: chargedCurrency } = entry;
        return {
          status: 201,
          body: { id, reference: entry.reference, amount: charged, currency: chargedCurrency },
        };
      }
      case "decline":
        return problem(402, "card_declined", entry.reason);
      case "refund":
      case "close": {
        const refunds = this.#accountOf(entry.reference).refunds.map((refund) => ({
          id: refund.id,
          chargeId: refund.chargeId,
          amount: refund.amount,
          currency: refund.currency,
        }));
        return { status: 200, body: { reference: entry.reference, refunds } };
      }
    }
  }

  #accountOf(of: string): Account {
    const known = this.#accounts.get(of);
    if (known !== undefined) return known;
    const account: Account = { charges: [], refunds: [], closed: false };
    this.#accounts.set(of, account);
    return account;
  }
}

export function ledgerPath(directory: string): string {
  return join(directory, "payments.ledger.jsonl");
}

/** Cards are test tokens, as payment providers have them: what a card does is written in its name. */
function isDeclined(cardToken: string): boolean {
  return cardToken.startsWith("tok_declined_");
}

function problem(status: number, code: string, message: string): Answer {
  return { status, body: { error: { code, message } } };
}

function fingerprintOf(operation: string, request: Readonly<Record<string, unknown>>): string {
  const fields = Object.entries(request).toSorted(([left], [right]) => (left < right ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([operation, fields]))
    .digest("base64url");
}
