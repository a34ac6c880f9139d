import { Approvals } from "./outside/approvals.ts";
import { Carrier } from "./outside/carrier.ts";
import { APPROVAL_DESK, Companion, PAYMENT_SERVICE } from "./outside/companion.ts";
import { Outbox } from "./outside/outbox.ts";
import { Payments } from "./outside/payments.ts";

export interface WorldOptions {
  readonly dataDir: string;
  /** The part of the calls to payment provider and carrier that go wrong, from 0 to 1. */
  readonly faultRate: number;
  readonly seed: number;
  /** Where the approver sends its decisions. */
  readonly serverUrl: string;
}

const WATCH_INTERVAL_MS = 1_000;

/** Everything outside the shop: the payment provider and the approver (processes of their own), the carrier, the mail. */
export class World {
  readonly payments: Payments;
  readonly approvals: Approvals;
  readonly carrier: Carrier;
  readonly outbox: Outbox;
  readonly #services: readonly { readonly name: string; readonly companion: Companion }[];

  constructor(options: WorldOptions) {
    const { dataDir, faultRate, seed, serverUrl } = options;
    const provider = new Companion({
      name: PAYMENT_SERVICE,
      dataDir,
      script: "payment-service.ts",
      arguments: ["--data", dataDir, "--fault-rate", String(faultRate), "--seed", String(seed)],
      settings: { faultRate, seed },
    });
    const approver = new Companion({
      name: APPROVAL_DESK,
      dataDir,
      script: "approver.ts",
      arguments: ["--data", dataDir, "--url", serverUrl],
      settings: { serverUrl },
    });
    this.#services = [
      { name: "payment service", companion: provider },
      { name: "approver", companion: approver },
    ];
    this.payments = new Payments(provider);
    this.approvals = new Approvals(approver);
    this.carrier = new Carrier(options);
    this.outbox = new Outbox(options);
  }

  /** Finds the services that run, and starts the others. */
  async connect(): Promise<void> {
    await Promise.all(this.#services.map(({ companion }) => companion.locate()));
  }

  /** Starts a service again whenever it has died, until the signal is aborted. */
  watch(signal: AbortSignal, note: (text: string) => void): void {
    let isLooking = false;
    const timer = setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      const looks = this.#services.map(async ({ name, companion }) => {
        if (await companion.ensure()) note(`the ${name} had died and was started again`);
      });
      void Promise.allSettled(looks).then(() => {
        isLooking = false;
      });
    }, WATCH_INTERVAL_MS);
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  /** Ends the services' processes; what they know is on disk. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#services.map(({ companion }) => companion.stop()));
  }
}
