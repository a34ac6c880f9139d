/**
 * The approver: a process of its own that is told which orders wait and sends each decision as a signal to the workflow.
 *
 * Owner: the process of approver.ts.
 * Law: a request that was accepted is answered exactly once, however often this process or the server is killed.
 * 1. A request is on disk before it is accepted; a repeated one is the same request.
 * 2. A decision is sent until the server has taken it or the run is over. The signal's id is the order's, so sending
 *    it again after a crash does no harm.
 * 3. Nobody decides about a customer whose credit is unknown: the workflow's own time-out has to end the wait.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { Journal } from "./journal.ts";
import { Seeded } from "./seeded.ts";

export const ApprovalRequest = z.strictObject({
  orderId: z.string().min(1).max(100),
  amount: z.int(),
  currency: z.string(),
  credit: z.enum(["good", "poor", "unknown"]),
});
export type ApprovalRequest = z.infer<typeof ApprovalRequest>;

const DeskEntry = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("requested"), ...ApprovalRequest.shape }),
  z.strictObject({
    type: z.literal("settled"),
    orderId: z.string(),
    sent: z.enum(["delivered", "too late"]),
  }),
]);
type DeskEntry = z.infer<typeof DeskEntry>;

export interface Decision {
  readonly by: string;
  readonly ok: boolean;
}

/** Sends one decision; rejects when the server cannot be reached at the moment. */
export type SendDecision = (orderId: string, decision: Decision) => Promise<"delivered" | "too late">;

const RETRY_DELAY_MS = 300;

export class ApprovalDesk {
  readonly #journal: Journal<DeskEntry>;
  readonly #send: SendDecision;
  readonly #known = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #sending = new Set<Promise<void>>();
  #settledCount = 0;

  private constructor(journal: Journal<DeskEntry>, send: SendDecision) {
    this.#journal = journal;
    this.#send = send;
    const settled = new Set(
      journal.recovered.filter(({ type }) => type === "settled").map(({ orderId }) => orderId),
    );
    this.#settledCount = settled.size;
    for (const entry of journal.recovered) {
      if (entry.type !== "requested") continue;
      this.#known.set(entry.orderId, Promise.resolve());
      if (!settled.has(entry.orderId)) this.#decide(entry);
    }
  }

  static async open(dataDir: string, send: SendDecision): Promise<ApprovalDesk> {
    const journal = await Journal.open(join(dataDir, "approvals.journal.jsonl"), (value) =>
      DeskEntry.parse(value),
    );
    return new ApprovalDesk(journal, send);
  }

  get counts(): { readonly requested: number; readonly settled: number } {
    return { requested: this.#known.size, settled: this.#settledCount };
  }

  /** Resolves when the request is on disk. */
  async request(request: ApprovalRequest): Promise<void> {
    const known = this.#known.get(request.orderId);
    if (known !== undefined) return known;
    const durable = this.#journal.append({ type: "requested", ...request });
    this.#known.set(request.orderId, durable);
    await durable;
    this.#decide(request);
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#sending);
    await this.#journal.close();
  }

  #decide(request: ApprovalRequest): void {
    const { orderId, credit } = request;
    if (credit === "unknown") return;
    const thinkingMs = new Seeded("approval", orderId).integer(100, 1_500);
    const sending = this.#settle(orderId, { by: "credit desk", ok: credit === "good" }, thinkingMs).finally(
      () => this.#sending.delete(sending),
    );
    this.#sending.add(sending);
  }

  async #settle(orderId: string, decision: Decision, thinkingMs: number): Promise<void> {
    const { signal } = this.#stopping;
    let waitMs = thinkingMs;
    while (!signal.aborted) {
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      waitMs = RETRY_DELAY_MS;
      const sent = await this.#send(orderId, decision).catch(() => undefined);
      if (sent === undefined) continue;
      await this.#journal.append({ type: "settled", orderId, sent });
      this.#settledCount += 1;
      return;
    }
  }
}
