import { z } from "zod";
import type { Companion } from "./companion.ts";
import { type ChargeRequest, LedgerEntry } from "./payment-ledger.ts";

const Charge = z.object({ id: z.string(), reference: z.string(), amount: z.int(), currency: z.string() });
export type Charge = z.infer<typeof Charge>;

const Refund = z.object({ id: z.string(), chargeId: z.string(), amount: z.int(), currency: z.string() });
const RefundAnswer = z.object({ reference: z.string(), refunds: z.array(Refund) });
export type RefundAnswer = z.infer<typeof RefundAnswer>;

const Stats = z.object({ requests: z.int(), syncs: z.int(), faults: z.record(z.string(), z.int()) });
const Problem = z.object({ error: z.object({ code: z.string(), message: z.string().optional() }) });

/** The provider will not do this, today or tomorrow: asking again is no use. */
export class PaymentRejected extends Error {
  override readonly name: string = "PaymentRejected";
}

export class CardDeclined extends PaymentRejected {
  override readonly name = "CardDeclined";
}

export interface CallContext {
  /** The same for every attempt of one activity: this is what makes a repeated charge harmless. */
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
}

/** The payment provider as its callers see it. */
export class Payments {
  readonly #service: Companion;

  constructor(service: Companion) {
    this.#service = service;
  }

  /** Rejects with CardDeclined or PaymentRejected for good; any other error may be gone by the next attempt. */
  async charge(request: ChargeRequest, context: CallContext): Promise<Charge> {
    return Charge.parse(await this.#post("/charges", request, context));
  }

  /** Gives back what was charged under the reference, if anything was, and lets nothing be charged under it later. */
  async refund(reference: string, context: CallContext): Promise<RefundAnswer> {
    return RefundAnswer.parse(await this.#post("/refunds", { reference }, context));
  }

  async ledger(): Promise<readonly LedgerEntry[]> {
    const response = await this.#service.call({ method: "GET", path: "/ledger" });
    const text = await response.text();
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => LedgerEntry.parse(JSON.parse(line)));
  }

  async stats(): Promise<z.infer<typeof Stats>> {
    const response = await this.#service.call({ method: "GET", path: "/stats" });
    return Stats.parse(await response.json());
  }

  async #post(path: string, body: unknown, context: CallContext): Promise<unknown> {
    const { idempotencyKey, signal } = context;
    const response = await this.#service.call({ method: "POST", path, body, idempotencyKey, signal });
    const answer: unknown = await response.json();
    if (response.ok) return answer;
    const { error } = Problem.parse(answer);
    const message = `payment provider: ${error.code}${error.message === undefined ? "" : `: ${error.message}`}`;
    if (response.status >= 500) throw new Error(message);
    throw error.code === "card_declined" ? new CardDeclined(message) : new PaymentRejected(message);
  }
}
