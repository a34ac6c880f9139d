import assert from "node:assert/strict";
import type { Arbitrary } from "fast-check";
import { toPayload } from "../../core/payload.ts";
import type { RunId } from "../../core/ids.ts";
import type { RunStatus } from "../../core/status.ts";
import type { Commit, CommitResult, Heartbeat, OwnerToken, Store } from "../contract.ts";
import type { Scenario, VirtualClock } from "./world.ts";
import { assertRejects, endOf, idOf, leaseMs, mark, startedEvent } from "./world.ts";

/**
 * The contract once more, as plainly as it can be said: arrays that are searched. The model is told what
 * will be appended, foretells each answer, and is compared with all that can be read.
 */

export interface RunModel {
  /** Known when the store has answered. */
  key: number | undefined;
  readonly id: string;
  readonly runId: RunId;
  readonly firstSeq: number;
  readonly marks: string[];
  status: RunStatus;
  closedAt: number | undefined;
  wakeAt: number | null;
  heartbeats: Heartbeat[];
}

/** One commit, described without reference to what the store holds, so that it can be shrunk. */
export interface Step {
  readonly kind: "start" | "extend" | "close" | "continue" | "consume";
  readonly workflow: number;
  /** 0, or how far off the expected seq is. */
  readonly drift: number;
  readonly eventCount: number;
  readonly wakeAt: number | null;
  readonly sendCount: number;
  /** Which of the messages that were ever sent the commit answers. */
  readonly consume: number | undefined;
  readonly beats: boolean;
}

export type Operation =
  | { readonly kind: "append"; readonly steps: readonly Step[] }
  | { readonly kind: "stale-append"; readonly steps: readonly Step[] }
  | { readonly kind: "take-over" }
  | { readonly kind: "release-and-claim" }
  | { readonly kind: "refused-claim" }
  | { readonly kind: "wait"; readonly millis: number }
  | { readonly kind: "retain"; readonly ageMs: number };

type Foretold = "accepted" | "refused";

/** What the operations came to: a sequence in which all is refused shows nothing. */
interface Tally {
  accepted: number;
  refused: number;
  fenced: number;
  deleted: number;
  consumed: number;
}

const head = (run: RunModel): number => run.firstSeq - 1 + run.marks.length;

class Model {
  runs: RunModel[] = [];
  readonly messages = new Map<number, string>();
  readonly sentIds: number[] = [];
  readonly retiredTokens: OwnerToken[] = [];
  readonly tally: Tally;
  token: OwnerToken;
  #markCount = 0;
  #runCount = 0;

  constructor(token: OwnerToken, tally: Tally) {
    this.tally = tally;
    this.token = token;
  }

  chain(id: string): readonly RunModel[] {
    return this.runs.filter((run) => run.id === id);
  }

  /** The commit that the step means now, what will become of it, and how the model changes if it is accepted. */
  plan(
    step: Step,
    clock: VirtualClock,
  ): {
    readonly commit: Commit;
    readonly foretold: Foretold;
    readonly apply: (result: CommitResult) => void;
  } {
    const id = `w${step.workflow}`;
    const latest = this.chain(id).at(-1);
    const extended =
      step.kind === "consume" || step.kind === "start" || latest?.key === undefined ? undefined : latest;
    const consume = this.#messageToConsume(step);
    const closes = step.kind === "close" || step.kind === "continue";
    const marks = Array.from({ length: step.eventCount }, () => this.#newMark());
    const status = step.kind === "close" ? "completed" : closes ? "continued-as-new" : "running";
    const heartbeats =
      step.beats && !closes
        ? [{ ordinal: step.eventCount, attempt: 1, details: toPayload(marks, "details") }]
        : [];
    const expectedSeq = Math.max(0, (extended === undefined ? 0 : head(extended)) + step.drift);
    const newHead =
      (latest === undefined ? 0 : head(latest)) +
      (extended === undefined ? 0 : marks.length + (closes ? 1 : 0));
    const isStart =
      extended === undefined ? step.kind !== "consume" || consume === undefined : step.kind === "continue";
    const firstSeq = Math.max(1, newHead + 1 + (extended === undefined ? step.drift : 0));
    const started = isStart ? this.#newRun(id, firstSeq, step.wakeAt) : undefined;
    const send = Array.from({ length: step.sendCount }, () => this.#newMark());
    const commit: Commit = {
      ...(extended?.key === undefined
        ? {}
        : {
            run: {
              runKey: extended.key,
              workflowId: idOf(id),
              expectedSeq,
              events: [...marks.map((text) => mark(text)), ...(closes ? [endOf(status)] : [])],
              status,
              ...(closes ? { closedAt: clock.now() } : {}),
              wakeAt: step.wakeAt,
              wakeAtBefore: extended.wakeAt,
              heartbeats,
            },
          }),
      ...(started === undefined
        ? {}
        : {
            start: {
              workflowId: idOf(id),
              runId: started.runId,
              workflowType: "order",
              version: "v1",
              firstSeq,
              events: [startedEvent(started.runId)],
              status: "running" as const,
              startedAt: clock.now(),
              wakeAt: step.wakeAt,
            },
          }),
      ...(consume === undefined ? {} : { consume: [consume] }),
      ...(send.length === 0
        ? {}
        : {
            send: send.map((text) => ({
              target: idOf(id),
              message: { kind: "cancel" as const, reason: text },
            })),
          }),
    };
    const isRunRight = extended === undefined || expectedSeq === head(extended);
    const isLatestClosed =
      latest === undefined || (extended === undefined ? latest.status !== "running" : closes);
    const isStartRight = started === undefined || (firstSeq === newHead + 1 && isLatestClosed);
    const isMessageThere = consume === undefined || this.messages.has(consume);
    return {
      commit,
      foretold: isRunRight && isStartRight && isMessageThere ? "accepted" : "refused",
      apply: (result) => {
        assert.ok(result.ok, "accepted, as foretold");
        if (consume !== undefined && this.messages.delete(consume)) this.tally.consumed += 1;
        if (extended !== undefined) {
          extended.marks.push(...marks, ...(closes ? ["end"] : []));
          extended.status = status;
          extended.closedAt = closes ? clock.now() : undefined;
          extended.wakeAt = closes ? null : step.wakeAt;
          const kept = extended.heartbeats.filter((beat) =>
            heartbeats.every((later) => later.ordinal !== beat.ordinal),
          );
          extended.heartbeats = closes
            ? []
            : [...kept, ...heartbeats].toSorted((left, right) => left.ordinal - right.ordinal);
        }
        if (started !== undefined) {
          started.key = result.startedKey;
          this.runs.push(started);
        }
        assert.equal(result.messageIds.length, send.length);
        for (const [index, messageId] of result.messageIds.entries()) {
          this.messages.set(messageId, send[index] ?? "");
          this.sentIds.push(messageId);
        }
      },
    };
  }

  retain(closedBefore: number): number {
    const goes = (run: RunModel): boolean => run.closedAt !== undefined && run.closedAt < closedBefore;
    const before = this.runs.length;
    this.runs = this.runs.filter((run) => {
      const chain = this.chain(run.id);
      return !chain.slice(0, chain.indexOf(run) + 1).every(goes);
    });
    this.tally.deleted += before - this.runs.length;
    return before - this.runs.length;
  }

  #messageToConsume(step: Step): number | undefined {
    if (step.consume === undefined || this.sentIds.length === 0) return undefined;
    return this.sentIds[step.consume % this.sentIds.length];
  }

  #newMark(): string {
    this.#markCount += 1;
    return `m${this.#markCount}`;
  }

  #newRun(id: string, firstSeq: number, wakeAt: number | null): RunModel {
    this.#runCount += 1;
    const runId = `run-${this.#runCount}` as RunId;
    return {
      key: undefined,
      id,
      runId,
      firstSeq,
      marks: ["start"],
      status: "running",
      closedAt: undefined,
      wakeAt,
      heartbeats: [],
    };
  }
}

async function carryOut(
  operation: Operation,
  of: { readonly model: Model; readonly store: Store; readonly clock: VirtualClock },
): Promise<void> {
  const { model, store, clock } = of;
  switch (operation.kind) {
    case "append":
      // One step at a time, for the model to know the keys; and all of one call in one transaction.
      return await appendAll(operation.steps, of);
    case "stale-append": {
      const stale = model.retiredTokens.at(-1) ?? (await takeOver(of));
      const commits = operation.steps.map((step) => model.plan(step, clock).commit);
      await assertRejects(store.append(stale, commits), "not_owner");
      model.tally.fenced += 1;
      return;
    }
    case "take-over":
      await takeOver(of);
      return;
    case "release-and-claim":
      await store.release(model.token);
      model.retiredTokens.push(model.token);
      model.token = await store.claim({ leaseMs });
      return;
    case "refused-claim":
      await store.renew(model.token);
      await assertRejects(store.claim({ leaseMs }), "store_owned");
      return;
    case "wait":
      clock.advance(operation.millis);
      return;
    case "retain": {
      const closedBefore = clock.now() + 1 - operation.ageMs;
      assert.equal(await store.deleteClosed(model.token, closedBefore, 1_000), model.retain(closedBefore));
    }
  }
}

/** Returns the token of the owner that was replaced. */
async function takeOver(of: {
  readonly model: Model;
  readonly store: Store;
  readonly clock: VirtualClock;
}): Promise<OwnerToken> {
  const { model, store, clock } = of;
  const stale = model.token;
  clock.advance(leaseMs + 1);
  model.retiredTokens.push(stale);
  model.token = await store.claim({ leaseMs });
  return stale;
}

// Steps on different workflows share a call. Two on one workflow do not: what the second means depends on
// the first's answer.
async function appendAll(
  steps: readonly Step[],
  of: { readonly model: Model; readonly store: Store; readonly clock: VirtualClock },
): Promise<void> {
  const { model, store, clock } = of;
  const seen = new Set<number>();
  const distinct = steps.filter((step) => !seen.has(step.workflow) && seen.add(step.workflow));
  const consumed = new Set<number>();
  const plans = distinct.flatMap((step) => {
    const plan = model.plan(step, clock);
    const messageIds = plan.commit.consume ?? [];
    if (messageIds.some((messageId) => consumed.has(messageId))) return [];
    for (const messageId of messageIds) consumed.add(messageId);
    return [plan];
  });
  const results = await store.append(
    model.token,
    plans.map((plan) => plan.commit),
  );
  assert.equal(results.length, plans.length);
  for (const [index, { foretold, apply }] of plans.entries()) {
    const result = results[index];
    assert.ok(result !== undefined);
    model.tally[foretold] += 1;
    if (foretold === "accepted") apply(result);
    else assert.ok(!result.ok && result.error.code === "sequence_conflict", "refused, as foretold");
  }
}

async function compare(model: Model, store: Store): Promise<void> {
  const ids = [...new Set(model.runs.map((run) => run.id)), "w0"];
  for (const id of ids) {
    const chain = model.chain(id);
    const history = await store.readHistory(idOf(id));
    assert.deepEqual(
      history.map((event) => [event.seq, textOf(event)]),
      chain.flatMap((run) => run.marks.map((text, index) => [run.firstSeq + index, text])),
    );
    const from = Math.floor(history.length / 2) + (chain[0]?.firstSeq ?? 1);
    assert.deepEqual(
      await store.readHistoryFrom(idOf(id), from),
      history.filter((event) => event.seq >= from),
    );
    const records = await store.readRunChain(idOf(id));
    assert.deepEqual(
      records.map((run) => [
        run.runKey,
        run.runId,
        run.status,
        run.firstSeq,
        run.headSeq,
        run.closedAt,
        run.wakeAt,
      ]),
      chain.map((run) => [run.key, run.runId, run.status, run.firstSeq, head(run), run.closedAt, run.wakeAt]),
    );
    for (const run of chain) assert.deepEqual(await store.readHeartbeats(run.key ?? 0), run.heartbeats);
  }
  const byKey = model.runs.toSorted((left, right) => (left.key ?? 0) - (right.key ?? 0));
  const active = byKey.filter((run) => run.status === "running");
  assert.deepEqual(
    (await store.listActive(0, 1_000)).map((run) => run.runKey),
    active.map((run) => run.key),
  );
  const listed = await store.list({}, { limit: 1_000 });
  assert.deepEqual(
    listed.runs.map((run) => run.runKey),
    byKey.map((run) => run.key).toReversed(),
  );
  assert.equal(await store.count({ status: "running" }), active.length);
  const due = byKey.flatMap((run) =>
    run.wakeAt === null ? [] : [{ runKey: run.key ?? 0, workflowId: run.id, wakeAt: run.wakeAt }],
  );
  assert.deepEqual(
    await store.listDue(1_000, undefined, 1_000),
    due.toSorted((left, right) => left.wakeAt - right.wakeAt || left.runKey - right.runKey),
  );
  assert.deepEqual(
    (await store.listMessages(0, 1_000)).map(({ messageId, message }) => [
      messageId,
      message.kind === "cancel" ? message.reason : "",
    ]),
    [...model.messages].toSorted(([left], [right]) => left - right),
  );
}

function textOf(event: Awaited<ReturnType<Store["readHistory"]>>[number]): string {
  if (event.type === "VersionMarked") return event.changeId;
  return event.type === "WorkflowStarted" ? "start" : "end";
}

const runCount = 12;

export const modelScenario: Scenario = {
  // I-4, I-5, I-16, I-22, I-36, I-40
  name: "appends, conflicts, takeovers, retention and reads agree with the model",
  async run({ clock }, backend) {
    const { default: fc } = await import("fast-check");
    const tally: Tally = { accepted: 0, refused: 0, fenced: 0, deleted: 0, consumed: 0 };
    const step: Arbitrary<Step> = fc.record({
      kind: fc.constantFrom("start", "extend", "extend", "close", "continue", "consume"),
      workflow: fc.nat({ max: 3 }),
      drift: fc.oneof(
        { weight: 6, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: -2, max: 2 }) },
      ),
      eventCount: fc.integer({ min: 1, max: 3 }),
      wakeAt: fc.option(fc.nat({ max: 5 })),
      sendCount: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 }) },
      ),
      consume: fc.option(fc.nat({ max: 50 }), { nil: undefined, freq: 3 }),
      beats: fc.boolean(),
    });
    const steps = fc.array(step, { minLength: 1, maxLength: 5 });
    const operation: Arbitrary<Operation> = fc.oneof(
      { weight: 12, arbitrary: fc.record({ kind: fc.constant("append"), steps }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("stale-append"), steps }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          { kind: "take-over" },
          { kind: "release-and-claim" },
          { kind: "refused-claim" },
        ),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait"), millis: fc.nat({ max: 20_000 }) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant("retain"), ageMs: fc.constantFrom(0, 1, 5_000) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 15, maxLength: 35, size: "max" }),
        async (operations) => {
          const opened = await backend.open({ clock });
          const { store } = opened;
          try {
            const model = new Model(await store.claim({ leaseMs }), tally);
            for (const one of operations) {
              await carryOut(one, { model, store, clock });
              await compare(model, store);
            }
          } finally {
            await opened.dispose();
          }
        },
      ),
      { numRuns: runCount },
    );
    for (const [what, count] of Object.entries(tally)) assert.ok(count > 0, `something was ${what}`);
    assert.ok(tally.accepted > tally.refused / 2, `${tally.accepted} accepted, ${tally.refused} refused`);
  },
};
