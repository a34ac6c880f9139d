import { describe, expect, it } from "vitest";
import {
  formatClock,
  formatInstant,
  formatRelative,
  formatSpan,
  formatWhen,
  parseInstant,
} from "./instant.ts";

const at = new Date(2026, 2, 1, 9, 5, 7, 42).getTime();

describe("an instant", () => {
  it("is shown in the time zone of whoever looks", () => {
    expect(formatInstant(at)).toBe("2026-03-01 09:05:07");
    expect(formatClock(at)).toBe("09:05:07.042");
    expect(formatWhen(at, at + 200_000)).toBe("2026-03-01 09:05:07 (3m 20s ago)");
  });

  it.each([
    [0, "now"],
    [-999, "now"],
    [-5_000, "5.0s ago"],
    [90_000, "in 1m 30s"],
    [-3_600_000, "1h ago"],
  ])("%d ms away is %s", (span, shown) => {
    expect(formatRelative(at + span, at)).toBe(shown);
  });
});

describe("a span", () => {
  it.each([
    [0, "0ms"],
    [850, "850ms"],
    [2_449, "2.4s"],
    [9_999, "9.9s"],
    [59_999, "59s"],
    [200_000, "3m 20s"],
    [180_000, "3m"],
    [18_720_000, "5h 12m"],
    [1_051_200_000, "12d 4h"],
  ])("of %d ms is %s", (ms, shown) => {
    expect(formatSpan(ms)).toBe(shown);
  });
});

describe("a time on the command line", () => {
  it.each([
    ["2h", at - 7_200_000],
    ["3 days", at - 259_200_000],
    ["2026-03-01T09:00:00Z", Date.UTC(2026, 2, 1, 9)],
    ["2026-03-01", Date.UTC(2026, 2, 1)],
    ["1772355600000", 1_772_355_600_000],
  ])("%s is understood", (text, ms) => {
    expect(parseInstant(text, at)).toBe(ms);
  });

  it.each(["soon", "", "2026-13-45", "tomorrow"])("%j is refused", (text) => {
    expect(() => parseInstant(text, at)).toThrow(/is no time/);
  });
});
