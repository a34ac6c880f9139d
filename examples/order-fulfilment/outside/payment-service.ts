/**
 * A payment provider in a process of its own, with its own ledger on disk, and with the bad days of a real one.
 *
 * `POST /charges`, `POST /refunds` (both need an `Idempotency-Key`), `GET /ledger` (JSON lines), `GET /stats`,
 * `GET /health`, `POST /shutdown`.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ALREADY_RUNNING_EXIT_CODE, PAYMENT_SERVICE } from "./companion.ts";
import { type Fault, FAULT_KINDS, FaultInjector } from "./faults.ts";
import { ChargeRequest, PaymentLedger, RefundRequest } from "./payment-ledger.ts";
import { Seeded } from "./seeded.ts";
import { hostService, type HostedService, type ServiceReply, type ServiceRequest } from "./service-host.ts";
import { acquireInstanceLock } from "./single-instance.ts";

const LATENCY_MS_MAX = 400;

export interface PaymentServiceOptions {
  readonly dataDir: string;
  /** The part of the requests that fail in one way or another, from 0 to 1. */
  readonly faultRate: number;
  readonly seed: number;
  /** The longest that a request without a fault takes. Default 400. */
  readonly latencyMsMax?: number;
  readonly idleExitMs?: number;
}

export interface PaymentStats {
  readonly requests: number;
  readonly syncs: number;
  readonly faults: Readonly<Record<Fault["kind"], number>>;
}

/** Starts the service in this process, or returns undefined when another one serves the directory. */
export async function startPaymentService(
  options: PaymentServiceOptions,
): Promise<HostedService | undefined> {
  const lock = acquireInstanceLock(join(options.dataDir, `${PAYMENT_SERVICE}.lock`));
  if (lock === undefined) return undefined;
  try {
    const ledger = await PaymentLedger.open(options.dataDir);
    const service = new PaymentService(ledger, options);
    const hosted = await hostService({
      name: PAYMENT_SERVICE,
      dataDir: options.dataDir,
      settings: { faultRate: options.faultRate, seed: options.seed },
      idleExitMs: options.idleExitMs,
      handle: (request) => service.handle(request),
      onClose: async () => {
        await ledger.close();
        lock.release();
      },
    });
    return hosted;
  } catch (cause) {
    lock.release();
    throw cause;
  }
}

class PaymentService {
  readonly #ledger: PaymentLedger;
  readonly #faults: FaultInjector;
  readonly #latency: Seeded;
  readonly #latencyMsMax: number;
  readonly #faultCounts = new Map<Fault["kind"], number>(FAULT_KINDS.map((kind) => [kind, 0]));
  #requestCount = 0;

  constructor(ledger: PaymentLedger, options: PaymentServiceOptions) {
    this.#ledger = ledger;
    this.#faults = new FaultInjector({ rate: options.faultRate, seed: options.seed });
    this.#latency = new Seeded("latency", options.seed);
    this.#latencyMsMax = options.latencyMsMax ?? LATENCY_MS_MAX;
  }

  async handle(request: ServiceRequest): Promise<ServiceReply> {
    switch (`${request.method} ${request.path}`) {
      case "POST /charges":
        return this.#move(request, ChargeRequest, (key, body) => this.#ledger.charge(key, body));
      case "POST /refunds":
        return this.#move(request, RefundRequest, (key, body) => this.#ledger.refund(key, body));
      case "GET /ledger":
        return { kind: "lines", lines: this.#ledger.entries };
      case "GET /stats":
        return { kind: "json", status: 200, body: this.#stats() };
      default:
        return failed(404, "not_found");
    }
  }

  async #move<Body extends { readonly reference: string; readonly cardToken?: string }>(
    request: ServiceRequest,
    schema: { safeParse(value: unknown): { success: true; data: Body } | { success: false } },
    act: (key: string, body: Body) => Promise<{ readonly status: number; readonly body: unknown }>,
  ): Promise<ServiceReply> {
    this.#requestCount += 1;
    if (request.idempotencyKey === undefined) return failed(400, "idempotency_key_missing");
    const parsed = schema.safeParse(request.body);
    if (!parsed.success) return failed(422, "invalid_request");
    const { data } = parsed;
    const flaky = data.cardToken?.startsWith("tok_flaky_") === true;
    const fault = this.#faults.next(`${request.path} ${data.reference}`, { flaky });
    if (fault !== undefined) this.#faultCounts.set(fault.kind, (this.#faultCounts.get(fault.kind) ?? 0) + 1);
    switch (fault?.kind) {
      case "unavailable":
        return failed(503, "unavailable");
      case "time-out":
        return { kind: "silence" };
      case "slow":
        await delay(fault.delayMs);
        break;
      default:
        await delay(this.#latency.integer(0, this.#latencyMsMax));
    }
    const answer = await act(request.idempotencyKey, data);
    return fault?.kind === "lost-reply" ? { kind: "cut" } : { kind: "json", ...answer };
  }

  #stats(): PaymentStats {
    const count = (kind: Fault["kind"]): number => this.#faultCounts.get(kind) ?? 0;
    return {
      requests: this.#requestCount,
      syncs: this.#ledger.syncCount,
      faults: {
        unavailable: count("unavailable"),
        "time-out": count("time-out"),
        slow: count("slow"),
        "lost-reply": count("lost-reply"),
      },
    };
  }
}

function failed(status: number, code: string): ServiceReply {
  return { kind: "json", status, body: { error: { code } } };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      "fault-rate": { type: "string", default: "0" },
      seed: { type: "string", default: "1" },
      "idle-exit-ms": { type: "string", default: "900000" },
    },
  });
  if (values.data === undefined) throw new Error("--data DIRECTORY is missing");
  const service = await startPaymentService({
    dataDir: values.data,
    faultRate: Number(values["fault-rate"]),
    seed: Number(values.seed),
    idleExitMs: Number(values["idle-exit-ms"]),
  });
  if (service === undefined) {
    process.exitCode = ALREADY_RUNNING_EXIT_CODE;
  } else {
    process.once("SIGTERM", () => void service.close());
    await service.closed;
  }
}
