/** The check of the Python worker: what it makes of a machine without Python, and of reports. */
import { describe, expect, it } from "vitest";
import { findPython, tallyOf } from "../scripts/python.ts";

describe("the check of the Python worker", () => {
  it("finds no Python where there is none, or one that is too old", () => {
    expect(findPython(["no-such-python"])).toBeUndefined();
    // Something that is there, and is none.
    expect(findPython([process.execPath])).toBeUndefined();
  });

  it("counts what a report tells, and a test that was skipped as neither", () => {
    const suite = (counts: string): string =>
      `<?xml version="1.0"?><testsuites name="pytest"><testsuite name="pytest" ${counts} time="1.0"></testsuite></testsuites>`;
    expect(tallyOf(suite('errors="0" failures="0" skipped="0" tests="103"'))).toEqual({
      passed: 103,
      failed: 0,
      skipped: 0,
    });
    expect(tallyOf(suite('errors="1" failures="2" skipped="4" tests="10"'))).toEqual({
      passed: 3,
      failed: 3,
      skipped: 4,
    });
    expect(tallyOf("")).toEqual({ passed: 0, failed: 0, skipped: 0 });
  });
});
