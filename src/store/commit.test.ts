import { describe, expect, it } from "vitest";
import { encodeCommit, parseCursor } from "./commit.ts";
import { endOf, idOf, mark, runOf, startOf } from "./conformance/world.ts";
import type { Commit } from "./contract.ts";

const run = { runKey: 1, workflowId: idOf("w"), runId: startOf("w").runId, headSeq: 1, wakeAt: null };

describe("a commit that no engine makes", () => {
  it.each<readonly [string, Commit, string]>([
    ["of nothing", {}, "a commit has a run"],
    [
      "that closes a run without its instant",
      { run: runOf(run, { status: "completed" }) },
      "closedAt exactly",
    ],
    ["that keeps a run open at an instant", { run: runOf(run, { closedAt: 5 }) }, "closedAt exactly"],
    ["that starts a run without events", { start: startOf("w", { events: [] }) }, "a start has events"],
    [
      "that starts a run before the first seq",
      { start: startOf("w", { firstSeq: 0 }) },
      "a seq for the first",
    ],
    [
      "that starts an ended run without its instant",
      { start: startOf("w", { status: "failed" }) },
      "closedAt exactly",
    ],
    ["that starts an open run at an instant", { start: startOf("w", { closedAt: 5 }) }, "closedAt exactly"],
    ["that continues a run as another workflow", { run: runOf(run), start: startOf("v") }, "one workflow id"],
    ["that consumes a message twice", { consume: [1, 2, 1] }, "a message once"],
  ])("%s is a bug of its writer", (_, commit, said) => {
    expect(() => encodeCommit(commit)).toThrow(
      expect.objectContaining({ code: "internal", message: expect.stringContaining(said) as string }),
    );
  });

  it.each<readonly [string, Commit]>([
    ["that only sends", { send: [{ target: idOf("w"), message: { kind: "cancel" } }] }],
    ["that only consumes", { consume: [1, 2] }],
    [
      "that closes a run",
      { run: runOf(run, { status: "completed", closedAt: 5, events: [endOf("completed")] }) },
    ],
    ["that starts an ended run", { start: startOf("w", { status: "failed", closedAt: 5 }) }],
    ["of a run without events", { run: runOf(run, { events: [] }) }],
  ])("and one %s is none of these", (_, commit) => {
    expect(encodeCommit(commit)).toMatchObject({ consume: commit.consume ?? [] });
  });
});

it("a commit is text when it has been encoded: its objects may change", () => {
  const event = { ...mark("before") };
  const encoded = encodeCommit({ run: runOf(run, { events: [event] }) });
  Object.assign(event, { changeId: "after" });
  expect(encoded.run?.row).toContain("before");
  expect(encoded.run?.eventCount).toBe(1);
});

it("a cursor is the key of a run, and nothing else", () => {
  expect(parseCursor(undefined)).toBeUndefined();
  expect(parseCursor("0")).toBe(0);
  expect(parseCursor("9007199254740991")).toBe(Number.MAX_SAFE_INTEGER);
  for (const text of ["", "-1", "1.5", "1e3", " 1", "12345678901234567", "x".repeat(100)]) {
    expect(() => parseCursor(text)).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        message: expect.stringContaining(JSON.stringify(text.slice(0, 60))) as string,
      }),
    );
  }
});
