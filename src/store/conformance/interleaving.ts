import assert from "node:assert/strict";
import type * as FastCheck from "fast-check";
import type { Store } from "../contract.ts";
import { perform, showCall, showOutcome, showPlain } from "./call.ts";
import type { Ledger, Operation } from "./operation.ts";
import { operationArbitraries } from "./operation.ts";
import { findOrder } from "./order.ts";
import type { Made } from "./order.ts";
import { simplerLists, simplerOperations } from "./minimize.ts";
import { checkProperty, runCountDefault } from "./property.ts";
import type { Property } from "./property.ts";
import { Sequence } from "./sequence.ts";
import { Tally } from "./tally.ts";
import type { Scenario, StoreBackend, StoreTime } from "./world.ts";
import { leaseMs, openFresh } from "./world.ts";

/** What a lane lets pass before its next call: nothing, so that calls begin together, or some turns. */
type Pause = "none" | "microtask" | "turn";

interface LaneStep {
  readonly pause: Pause;
  readonly operation: Operation;
}

interface Interleaving {
  readonly before: readonly Operation[];
  /** Whether the owner's lease is over when the lanes begin: then a claim can succeed. */
  readonly isExpired: boolean;
  readonly lanes: readonly (readonly LaneStep[])[];
}

interface Told {
  readonly tally: Tally;
  overlapCount: number;
}

export const interleavingScenario: Scenario = {
  // I-4, I-5, I-16, I-18, I-22, I-36, I-40
  name: "calls that are under way at one time are answered as in some order, one after another",
  async run(_world, backend, options) {
    const fc = await import("fast-check");
    const told: Told = { tally: new Tally(), overlapCount: 0 };
    const property: Property<Interleaving> = {
      cases: interleavings(fc),
      hold: (given) => tryOne(given, backend, told),
      simpler: simplerInterleavings,
    };
    // Twice as many: each is short.
    const isTold = await checkProperty(fc, property, options, 2 * runCountDefault);
    if (!isTold) return;
    told.tally.assertAll();
    assert.ok(told.overlapCount > 0, "calls overlapped");
  },
};

function* simplerInterleavings(given: Interleaving): Generator<Interleaving> {
  for (const before of simplerLists(given.before, simplerOperations)) yield { ...given, before };
  if (given.isExpired) yield { ...given, isExpired: false };
  for (const lanes of simplerLists(given.lanes, (lane) => simplerLists(lane, simplerSteps)))
    yield { ...given, lanes };
}

function* simplerSteps({ pause: length, operation }: LaneStep): Generator<LaneStep> {
  if (length !== "none") yield { pause: "none", operation };
  for (const other of simplerOperations(operation)) yield { pause: length, operation: other };
}

function interleavings(fc: typeof FastCheck): FastCheck.Arbitrary<Interleaving> {
  const { write, read, own } = operationArbitraries(fc);
  const operation = fc.oneof(
    { weight: 6, arbitrary: write },
    { weight: 4, arbitrary: read },
    { weight: 1, arbitrary: own },
  );
  const step = fc.record({ pause: fc.constantFrom<Pause>("none", "microtask", "turn"), operation });
  const lane = fc.array(step, { minLength: 1, maxLength: 5, size: "max" });
  return fc.record({
    before: fc.array(write, { maxLength: 5, size: "max" }),
    isExpired: fc.boolean(),
    lanes: fc.array(lane, { minLength: 2, maxLength: 3, size: "max" }),
  });
}

async function tryOne(given: Interleaving, backend: StoreBackend, told: Told): Promise<void> {
  const { opened, time } = await openFresh(backend);
  const other = await backend.reopen?.(opened);
  try {
    const sequence = new Sequence(opened, time, told.tally);
    const ledger = await sequence.begin();
    for (const operation of given.before) await sequence.carryOut(operation, ledger);
    if (given.isExpired) await sequence.carryOut({ kind: "wait", millis: leaseMs + 1 }, ledger);
    const made = await runLanes(given, {
      ledger,
      time,
      stores: other ? [opened.store, other] : [opened.store],
    });
    for (const { call, outcome } of made) told.tally.count(call, outcome);
    told.overlapCount += made.filter((one) =>
      made.some((two) => two.beganAt > one.beganAt && two.beganAt < one.endedAt),
    ).length;
    // What is there afterwards, as calls that began when all others had ended.
    const end = Math.max(0, ...made.map((one) => one.endedAt));
    const seen: Made[] = [];
    for (const call of ledger.readAll()) {
      const at = end + 2 * seen.length;
      seen.push({
        lane: -1,
        call,
        outcome: await perform(opened.store, call),
        beganAt: at + 1,
        endedAt: at + 2,
      });
    }
    check([...made, ...seen], sequence, await time.now());
  } finally {
    await other?.close();
    await opened.dispose();
  }
}

async function runLanes(
  { lanes }: Interleaving,
  of: { readonly ledger: Ledger; readonly time: StoreTime; readonly stores: readonly Store[] },
): Promise<readonly Made[]> {
  const { ledger, time, stores } = of;
  const now = await time.now();
  const made: Made[] = [];
  let place = 0;
  const runLane = async (steps: readonly LaneStep[], lane: number): Promise<void> => {
    // Each lane through an object of its own, as far as there are some.
    const store = stores[lane % stores.length];
    assert.ok(store !== undefined);
    for (const { pause: length, operation } of steps) {
      await pause(length);
      if (operation.kind === "wait") continue;
      const call = ledger.toCall(operation, now);
      if (call === undefined) continue;
      const beganAt = (place += 1);
      const outcome = await perform(store, call);
      made.push({ lane, call, outcome, beganAt, endedAt: (place += 1) });
      ledger.learn(call, outcome);
    }
  };
  await Promise.all(lanes.map(runLane));
  return made;
}

async function pause(length: Pause): Promise<void> {
  if (length === "microtask") await Promise.resolve();
  if (length === "turn") await new Promise((resolve) => setImmediate(resolve));
}

function check(made: readonly Made[], sequence: Sequence, now: number): void {
  const { isWhole, explained, stuckAt } = findOrder(sequence.states, made, now);
  if (isWhole) return;
  const line = ({ lane, call, outcome, beganAt, endedAt }: Made): string =>
    `${lane < 0 ? "afterwards" : `lane ${lane}, ${beganAt} to ${endedAt}`}: ${showCall(call)} -> ${showOutcome(outcome)}`;
  const reasons = stuckAt.map(
    ({ made: one, expected }) => `${line(one)}\n    but the contract asks for ${showPlain(expected)}`,
  );
  const beside = made.filter((one) => one.lane >= 0);
  throw new assert.AssertionError({
    message: [
      "no order of these calls explains their answers",
      "Calls before:",
      ...sequence.transcript.map((text) => `  ${text}`),
      "Calls under way at one time:",
      ...beside.toSorted((left, right) => left.beganAt - right.beganAt).map((one) => `  ${line(one)}`),
      `The longest order that explains something ends after ${explained.length}, where none of these can follow:`,
      ...reasons.map((text) => `  ${text}`),
    ].join("\n"),
  });
}
