/** Any order of failures, decisions, pauses, reopenings, time and crashes, held against a model of what is parked. */
import type { RunHandle } from "aion/client";
import { TestEngine } from "aion/testing";
import { activity, ApplicationFailure, workflow } from "aion/workflow";
import fc from "fast-check";
import { expect, it } from "vitest";
import { errorOf, eventsOf } from "./run-history.ts";

const activityCount = 3;

type Step =
  | { readonly kind: "mend" | "break" | "pause" | "resume" | "crash" | "reopen" | "cancel" }
  | { readonly kind: "skip"; readonly minutes: number }
  | { readonly kind: "retry"; readonly ordinal: number | undefined }
  | { readonly kind: "complete" | "fail"; readonly ordinal: number }
  /** Asked for before, and once more since the answer was lost. */
  | { readonly kind: "again"; readonly which: number };

const ordinal = fc.nat({ max: activityCount - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("mend" as const, "break" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("pause" as const, "resume" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("skip" as const), minutes: fc.integer({ min: 1, max: 90 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("retry" as const),
      ordinal: fc.option(ordinal, { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("complete" as const), ordinal }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("fail" as const), ordinal }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("again" as const), which: fc.nat({ max: 9 }) }) },
);

/** What a history says of what is parked, by its laws: told apart from how the engine goes by it. */
async function parkedBy(run: RunHandle): Promise<readonly number[]> {
  const events = await eventsOf(run);
  const voids = new Set(events.flatMap((event) => (event.type === "WorkflowReopened" ? event.voids : [])));
  const parked = new Set<number>();
  const requests = new Set<string>();
  for (const event of events) {
    if ("requestId" in event && event.requestId !== undefined && event.type.startsWith("Activity")) {
      expect(requests.has(event.requestId)).toBe(false);
      requests.add(event.requestId);
    }
    if (voids.has(event.seq)) continue;
    switch (event.type) {
      case "ActivityParked":
        parked.add(event.ordinal);
        break;
      case "ActivityResumed":
        for (const each of event.ordinals) expect(parked.delete(each)).toBe(true);
        break;
      case "ActivityStarted":
        expect(parked.has(event.ordinal)).toBe(false);
        break;
      case "ActivityCompleted":
      case "ActivityFailed":
        if (event.type === "ActivityFailed" && event.retryAt !== undefined) break;
        expect(parked.delete(event.ordinal)).toBe(event.byOperator === true);
        break;
      case "ActivityTimedOut":
      case "ActivityCancelled":
        parked.delete(event.ordinal);
        break;
      case "WorkflowCompleted":
      case "WorkflowFailed":
      case "WorkflowCancelled":
        parked.clear();
        break;
      default:
    }
  }
  return [...parked].toSorted((left, right) => left - right);
}

// I-60
it("what waits for an operator waits, whatever happens, and each decision about it is made once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 20 }), async (steps) => {
      const state = { isUp: false };
      const byCode = activity("by-code", async () => {
        if (!state.isUp) throw new ApplicationFailure("no key", { park: true });
        return "done";
      });
      const byPolicy = activity(
        "by-policy",
        { retry: { maxAttempts: 2, initialDelay: "1 minute", jitter: 0, onExhausted: "park" } },
        async () => {
          if (!state.isUp) throw new Error("down");
          return "done";
        },
      );
      const timed = activity("timed", { scheduleToClose: "4 hours" }, async () => {
        if (!state.isUp) throw new ApplicationFailure("no key", { park: true });
        return "done";
      });
      const all = workflow("all", () =>
        Promise.all([byCode(undefined), byPolicy(undefined), timed(undefined)]),
      );
      await using t = await TestEngine.open({ workflows: [all], activities: [byCode, byPolicy, timed] });
      const run = await t.client.start(all, undefined, { id: "all" });
      await t.settle();
      let count = 0;
      const made: { readonly ask: () => Promise<unknown>; readonly answer: readonly number[] }[] = [];
      const decide = async (
        options: NonNullable<Parameters<typeof run.resumeActivity>[0]>,
      ): Promise<void> => {
        const before = await parkedBy(run);
        const requestId = `r-${(count += 1)}`;
        const answer =
          options.ordinal === undefined ? before : before.filter((each) => each === options.ordinal);
        const ask = async (): Promise<unknown> => await run.resumeActivity({ ...options, requestId });
        if (answer.length === 0) {
          const code = expect.stringMatching(/activity_not_parked|run_closed/) as unknown;
          expect(await errorOf(ask())).toMatchObject({ code });
        } else {
          expect(await ask()).toEqual(answer);
          made.push({ ask, answer });
        }
      };
      for (const each of steps) {
        switch (each.kind) {
          case "mend":
          case "break":
            state.isUp = each.kind === "mend";
            break;
          case "pause":
          case "resume":
          case "reopen":
          case "cancel":
            await run[each.kind]().catch(() => undefined);
            break;
          case "crash":
            await t.crash();
            break;
          case "skip":
            await t.skip(each.minutes * 60_000);
            break;
          case "retry":
            await decide(each.ordinal === undefined ? {} : { ordinal: each.ordinal });
            break;
          case "complete":
            await decide({ ordinal: each.ordinal, result: "by hand" });
            break;
          case "fail":
            await decide({ ordinal: each.ordinal, failure: { message: "given up" } });
            break;
          case "again": {
            const request = made[each.which % Math.max(1, made.length)];
            if (request !== undefined) expect(await request.ask()).toEqual(request.answer);
            break;
          }
        }
        await t.settle();
        const parked = await parkedBy(run);
        const { parked: shown, pendingActivities } = await run.describe();
        expect(shown?.activities.map((one) => one.ordinal).toSorted() ?? []).toEqual(parked);
        const pending = pendingActivities.filter((one) => one.state === "parked").map((one) => one.ordinal);
        expect(pending).toEqual(parked);
        expect(await t.client.count({ isParked: true })).toBe(parked.length > 0 ? 1 : 0);
      }
      // Whatever happened, an operator who has mended the cause brings it to its end.
      state.isUp = true;
      await run.resume().catch(() => undefined);
      await t.settle();
      await run.resumeActivity().catch(() => undefined);
      await t.skip("1 hour");
      expect((await run.describe()).status).not.toBe("running");
      expect(await parkedBy(run)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
