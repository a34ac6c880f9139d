// Node 24 has Temporal behind a flag, later versions without.
import process from "node:process";
import v8 from "node:v8";
import { describe, expect, it } from "vitest";
import { TestRealm } from "../../../test/guest/realm.ts";

process.env["TZ"] = "America/New_York";
v8.setFlagsFromString("--harmony-temporal");

describe("Temporal", () => {
  const realm = new TestRealm();

  it.each([
    ["Temporal.Now.instant()", "2026-01-02T03:04:05.006Z"],
    ["Temporal.Now.timeZoneId()", "UTC"],
    ["Temporal.Now.zonedDateTimeISO()", "2026-01-02T03:04:05.006+00:00[UTC]"],
    ["Temporal.Now.zonedDateTimeISO('America/New_York')", "2026-01-01T22:04:05.006-05:00[America/New_York]"],
    ["Temporal.Now.plainDateTimeISO()", "2026-01-02T03:04:05.006"],
    ["Temporal.Now.plainDateISO('Pacific/Kiritimati')", "2026-01-02"],
    ["Temporal.Now.plainTimeISO('Asia/Kolkata')", "08:34:05.006"],
    ["Temporal.Now.instant().toLocaleString().replaceAll('\\u202f', ' ')", "1/2/2026, 3:04:05 AM"],
    ["Temporal.Now.instant().toLocaleString('de')", "2.1.2026, 03:04:05"],
    ["Temporal.Now.plainDateISO().toLocaleString()", "1/2/2026"],
    ["new Date().toTemporalInstant()", "2026-01-02T03:04:05.006Z"],
    ["Object.isFrozen(Temporal.Now) && Object.isFrozen(Temporal.Instant.prototype)", "true"],
  ])("has the clock of the run: %s", (expression, answer) => {
    expect(realm.evaluate(`String(${expression})`)).toBe(answer);
  });

  it("refuses a time zone that there is not", () => {
    expect(() => realm.evaluate("Temporal.Now.zonedDateTimeISO('Nowhere')")).toThrow(
      /Nowhere|time zone|Invalid/i,
    );
  });
});
