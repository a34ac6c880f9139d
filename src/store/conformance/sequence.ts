import assert from "node:assert/strict";
import type * as FastCheck from "fast-check";
import type { Call, Outcome } from "./call.ts";
import { perform, showCall, showOutcome, showPlain } from "./call.ts";
import type { State } from "./model.ts";
import { emptyState, explain } from "./model.ts";
import { Ledger, operationArbitraries } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { simplerLists, simplerOperations } from "./minimize.ts";
import { checkProperty, runCountDefault } from "./property.ts";
import type { Property } from "./property.ts";
import { Tally } from "./tally.ts";
import type { OpenedStore, Scenario, StoreBackend, StoreTime } from "./world.ts";
import { feedKeepMs, leaseMs, openFresh } from "./world.ts";

const writes: ReadonlySet<Operation["kind"]> = new Set(["append", "retain", "deploy", "route", "unload"]);

/** One caller, one call after another, and after each of them the model is in some state that explains all answers. */
export class Sequence {
  readonly #opened: OpenedStore;
  readonly #time: StoreTime;
  readonly #tally: Tally;
  readonly #transcript: string[] = [];
  #states: readonly State[] = [emptyState];
  #ledger: Ledger | undefined;

  constructor(opened: OpenedStore, time: StoreTime, tally: Tally) {
    this.#opened = opened;
    this.#time = time;
    this.#tally = tally;
  }

  get states(): readonly State[] {
    return this.#states;
  }

  get transcript(): readonly string[] {
    return this.#transcript;
  }

  async begin(): Promise<Ledger> {
    const call: Call = { kind: "claim", leaseMs, feed: { keepMs: feedKeepMs } };
    const outcome = await this.call(call);
    assert.ok(outcome.ok, "the first claim of a fresh store is accepted");
    this.#ledger = new Ledger(outcome.value as ConstructorParameters<typeof Ledger>[0]);
    return this.#ledger;
  }

  async carryOut(operation: Operation, ledger: Ledger): Promise<void> {
    if (operation.kind === "wait") {
      await this.#time.advance(operation.millis);
      this.#transcript.push(`${operation.millis} ms pass`);
      return;
    }
    if (writes.has(operation.kind) && !ledger.isOwned) await this.call({ kind: "claim", leaseMs });
    const call = ledger.toCall(operation, await this.#time.now());
    if (call !== undefined) await this.call(call);
  }

  /** All that can be read is read, each time. A transcript shows only the read that went wrong. */
  async readAll(ledger: Ledger): Promise<void> {
    const { length } = this.#transcript;
    for (const call of ledger.readAll()) {
      await this.call(call);
      this.#transcript.length = length;
    }
  }

  async call(call: Call): Promise<Outcome> {
    const now = await this.#time.now();
    const outcome = await perform(this.#opened.store, call);
    this.#transcript.push(`${showCall(call)} -> ${showOutcome(outcome)}`);
    const explanations = this.#states.map((state) => explain(state, call, outcome, now));
    this.#states = explanations.flatMap(({ next }) => next);
    if (this.#states.length === 0) {
      throw new assert.AssertionError({
        message: `the contract asks for ${showPlain(explanations[0]?.expected)}\nCalls:\n  ${this.#transcript.join("\n  ")}`,
      });
    }
    this.#tally.count(call, outcome);
    this.#ledger?.learn(call, outcome);
    return outcome;
  }
}

export const sequenceScenario: Scenario = {
  // I-4, I-5, I-16, I-22, I-36, I-40
  name: "any sequence of calls is answered as the model foretells",
  async run(_world, backend, options) {
    const fc = await import("fast-check");
    const tally = new Tally();
    const isTold = await checkProperty(fc, sequences(fc, backend, tally), options, runCountDefault);
    if (!isTold) return;
    tally.assertAll();
    tally.assertRare();
  },
};

function sequences(
  fc: typeof FastCheck,
  backend: StoreBackend,
  tally: Tally,
): Property<readonly Operation[]> {
  const { write, read, own, wait } = operationArbitraries(fc);
  const operation = fc.oneof(
    { weight: 8, arbitrary: write },
    { weight: 4, arbitrary: read },
    { weight: 2, arbitrary: own },
    { weight: 1, arbitrary: wait },
  );
  return {
    cases: fc.array(operation, { minLength: 1, maxLength: 40, size: "max" }),
    simpler: (given) => simplerLists(given, simplerOperations),
    async hold(given) {
      const { opened, time } = await openFresh(backend);
      try {
        const sequence = new Sequence(opened, time, tally);
        const ledger = await sequence.begin();
        for (const one of given) {
          await sequence.carryOut(one, ledger);
          await sequence.readAll(ledger);
        }
      } finally {
        await opened.dispose();
      }
    },
  };
}
