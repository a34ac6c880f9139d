import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { Address } from "../order.ts";
import { FaultInjector } from "./faults.ts";
import { Seeded } from "./seeded.ts";

export const Parcel = z.strictObject({ reference: z.string(), trackingNumber: z.string() });
export type Parcel = z.infer<typeof Parcel>;

/** How long a label or a parcel takes. */
const LATENCY_MS = [50, 350] as const;

/** Which attempt this is, and how to break it off. */
export interface Attempt {
  readonly attempt: number;
  readonly signal: AbortSignal;
}

/**
 * The carrier: labels and parcels are files in a directory. Both are named after the order, so an attempt that is made
 * again finds what the one before it did and changes nothing.
 */
export class Carrier {
  readonly #labels: string;
  readonly #parcels: string;
  readonly #faults: FaultInjector;
  readonly #latency: Seeded;

  constructor(options: { readonly dataDir: string; readonly faultRate: number; readonly seed: number }) {
    this.#labels = join(options.dataDir, "labels");
    this.#parcels = join(options.dataDir, "parcels");
    this.#faults = new FaultInjector({ rate: options.faultRate, seed: options.seed });
    this.#latency = new Seeded("carrier", options.seed);
  }

  async printLabel(
    label: { readonly reference: string; readonly to: Address },
    attempt: Attempt,
  ): Promise<Parcel> {
    const { reference, to } = label;
    await this.#work("label printer", reference, attempt);
    const trackingNumber = trackingNumberOf(reference);
    const lines = [trackingNumber, "", to.name, to.street, `${to.postcode} ${to.city}`, to.country, ""];
    await writeWhole(this.#labels, `${reference}.txt`, lines.join("\n"));
    return { reference, trackingNumber };
  }

  async handOver(parcel: Parcel, attempt: Attempt): Promise<void> {
    await this.#work("parcel hatch", parcel.reference, attempt);
    await writeWhole(this.#parcels, `${parcel.reference}.json`, `${JSON.stringify(parcel)}\n`);
  }

  /** Every parcel that left the house. */
  async parcels(): Promise<readonly Parcel[]> {
    const names = await readdir(this.#parcels).catch(() => []);
    const files = names.filter((name) => name.endsWith(".json"));
    return Promise.all(
      files.map(async (name) => Parcel.parse(JSON.parse(await readFile(join(this.#parcels, name), "utf8")))),
    );
  }

  async #work(place: string, reference: string, { attempt, signal }: Attempt): Promise<void> {
    await delay(this.#latency.integer(...LATENCY_MS), undefined, { signal });
    const fault = this.#faults.at(`${place} ${reference}`, attempt);
    if (fault?.kind === "unavailable") throw new Error(`the ${place} is jammed`);
  }
}

/** Two letters, the order's digits, a check digit modulo 11 and the country, after the pattern of UPU S10. */
export function trackingNumberOf(reference: string): string {
  const digits = reference.replaceAll(/\D/g, "").slice(-8).padStart(8, "0");
  const weights = [8, 6, 4, 2, 3, 5, 9, 7];
  const sum = weights.reduce((total, weight, index) => total + weight * Number(digits[index]), 0);
  const check = 11 - (sum % 11);
  return `RR${digits}${check === 10 ? 0 : check === 11 ? 5 : check}DE`;
}

/** A reader sees the whole file or none. */
async function writeWhole(directory: string, name: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `.${name}`), text);
  await rename(join(directory, `.${name}`), join(directory, name));
}
