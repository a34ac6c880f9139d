import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Event, EventBody } from "./event.ts";
import type { RunId, WorkflowId } from "./ids.ts";
import type { Payload } from "./payload.ts";
import { runChain } from "./run-chain.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);

/** A history from short names: `start:a`, `start:b<a`, `work`, `continue:b`, `complete`, … */
function history(...names: readonly string[]): readonly Event[] {
  return names.map((name, index) => ({
    ...bodyOf(name),
    seq: index + 1,
    recordedAt: 1_000 + index,
    workflowId: "w" as WorkflowId,
  }));
}

function bodyOf(name: string): EventBody {
  const [what = "", of = ""] = name.split(":");
  const [runId = "", from] = of.split("<");
  switch (what) {
    case "start":
      return {
        type: "WorkflowStarted",
        runId: runId as RunId,
        workflowType: "t",
        version: "1",
        input: "1" as Payload,
        ...(from === undefined ? {} : { continuedFrom: from as RunId }),
      };
    case "continue":
      return {
        type: "WorkflowContinuedAsNew",
        newRunId: runId as RunId,
        workflowType: "t",
        input: "2" as Payload,
      };
    case "complete":
      return { type: "WorkflowCompleted", result: "3" as Payload };
    case "fail":
      return { type: "WorkflowFailed", failure: { kind: "application", message: "no" } };
    case "cancel":
      return { type: "WorkflowCancelled" };
    case "terminate":
      return { type: "WorkflowTerminated" };
    case "time-out":
      return { type: "WorkflowTimedOut", timeout: "run" };
    default:
      return { type: "TimerFired", ordinal: 0 };
  }
}

describe("the runs of a history", () => {
  it("are none for an empty one", () => {
    expect(runChain([])).toEqual([]);
  });

  it("have their numbers, times and status", () => {
    expect(runChain(history("start:a", "work", "continue:b", "start:b<a", "work", "complete"))).toEqual([
      {
        runId: "a",
        status: "continued-as-new",
        firstSeq: 1,
        lastSeq: 3,
        startedAt: 1_000,
        closedAt: 1_002,
      },
      {
        runId: "b",
        continuedFrom: "a",
        status: "completed",
        firstSeq: 4,
        lastSeq: 6,
        startedAt: 1_003,
        closedAt: 1_005,
      },
    ]);
  });

  it("may end with one that runs", () => {
    const [run] = runChain(history("start:a", "work"));
    expect(run).toEqual({ runId: "a", status: "running", firstSeq: 1, lastSeq: 2, startedAt: 1_000 });
  });

  it.each([
    ["complete", "completed"],
    ["fail", "failed"],
    ["cancel", "cancelled"],
    ["terminate", "terminated"],
    ["time-out", "timed-out"],
  ])("after %s may be followed by a run that was started anew", (end, status) => {
    const chain = runChain(history("start:a", end, "start:b"));
    expect(chain.map((run) => [run.runId, run.status, run.continuedFrom])).toEqual([
      ["a", status, undefined],
      ["b", "running", undefined],
    ]);
  });

  it("are found where retention has deleted those before", () => {
    const rest = history("start:a", "complete", "start:b", "work").slice(2);
    expect(runChain(rest).map((run) => run.runId)).toEqual(["b"]);
  });
});

describe("a history that no engine writes", () => {
  it.each([
    ["no start", history("work", "complete"), /event 1 .*no WorkflowStarted/],
    ["a start within a run", history("start:a", "start:b"), /event 2 .*a has not ended/],
    ["an event after the end", history("start:a", "complete", "work"), /event 3 .*has ended/],
    ["a second end", history("start:a", "complete", "fail"), /event 3 .*has ended/],
    ["a continuation that is missing", history("start:a", "continue:b"), /continues, is missing/],
    ["a continuation of another name", history("start:a", "continue:b", "start:c<a"), /continued as b/],
    ["a continuation of another run", history("start:a", "continue:b", "start:b<z"), /continued as b/],
    ["a continuation that knows of none", history("start:a", "continue:b", "start:b"), /continued as b/],
    ["a gap", history("start:a", "work", "work").filter((event) => event.seq !== 2), /event 2 is missing/],
    ["an event twice", [...history("start:a", "work"), ...history("start:a", "work").slice(1)], /missing/],
  ])("is refused, naming the place: %s", (_what, events, message) => {
    expect(() => runChain(events)).toThrow(
      expect.objectContaining({ code: "history_shape", message: expect.stringMatching(message) }),
    );
  });
});

it("the runs of a well-formed history cover it without gap or overlap", () => {
  const end = fc.constantFrom("complete", "fail", "cancel", "terminate", "time-out", "continue");
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 4 }), end), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (runs, isOpen) => {
        const names: string[] = [];
        let from = "";
        for (const [index, [workCount, how]] of runs.entries()) {
          names.push(`start:r${index}${from}`, ...Array.from({ length: workCount }, () => "work"));
          const isLast = index === runs.length - 1;
          if (isLast && isOpen) break;
          const isContinued = how === "continue" && !isLast;
          names.push(isContinued ? `continue:r${index + 1}` : how === "continue" ? "complete" : how);
          from = isContinued ? `<r${index}` : "";
        }
        const events = history(...names);
        const chain = runChain(events);
        expect(chain.map((run) => run.runId)).toEqual(runs.map((_run, index) => `r${index}`));
        let next = 1;
        for (const run of chain) {
          expect(run.firstSeq).toBe(next);
          next = run.lastSeq + 1;
        }
        expect(next).toBe(events.length + 1);
        expect(chain.filter((run) => run.status === "running")).toHaveLength(isOpen ? 1 : 0);
      },
    ),
    { seed },
  );
});
