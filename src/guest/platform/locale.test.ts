// I-45: the same answers whatever the time zone and the locale of the process.
import { execFileSync } from "node:child_process";
import path from "node:path";
import process from "node:process";
import { describe, expect, it } from "vitest";
import { createRun, TestRealm } from "../../../test/guest/realm.ts";

const probe = path.join(import.meta.dirname, "../../../test/guest/locale-probe.ts");

function ask(where: "realm" | "process", timeZone: string, locale: string): Record<string, unknown> {
  const env = { ...process.env, TZ: timeZone, LC_ALL: locale, LANG: locale };
  const text = execFileSync(process.execPath, ["--conditions=aion-source", probe, where], { env });
  return JSON.parse(text.toString()) as Record<string, unknown>;
}

describe("dates and texts for people", () => {
  const expected = ask("process", "UTC", "en_US.UTF-8");

  it("are tried on enough that differs elsewhere", () => {
    expect(ask("process", "America/New_York", "de_DE.UTF-8")).not.toEqual(expected);
    const parsed = expected["parsed"] as readonly (readonly string[])[];
    expect(parsed.filter(([, at]) => at !== "NaN").length).toBeGreaterThan(700);
    expect(parsed.filter(([, at]) => at === "NaN").length).toBeGreaterThan(700);
  });

  it.each([
    ["America/New_York", "de_DE.UTF-8"],
    ["Asia/Kolkata", "tr_TR.UTF-8"],
    ["Australia/Lord_Howe", "ja_JP.UTF-8"],
  ])("in %s are those of UTC and en-US", (timeZone, locale) => {
    expect(ask("realm", timeZone, locale)).toEqual(expected);
  });
});

describe("the clock", () => {
  const run = createRun();
  const realm = new TestRealm({ run });
  const now = "2026-01-02T03:04:05.006Z";

  it.each([
    ["new Date().toISOString()", now],
    ["new Date(Date.now()).toISOString()", now],
    ["Date()", "Fri Jan 02 2026 03:04:05 GMT+0000 (Coordinated Universal Time)"],
    ["Date(0)", "Fri Jan 02 2026 03:04:05 GMT+0000 (Coordinated Universal Time)"],
    ["new (class Late extends Date {})().toISOString()", now],
    ["Reflect.construct(Date, []).toISOString()", now],
    ["Reflect.construct(Date, [], class Other {}) instanceof Date", false],
    ["new Date().constructor === Date && Date.prototype.constructor === Date", true],
    ["new Date() instanceof Date", true],
    ["Object.getOwnPropertyNames(Date).sort().join()", "UTC,length,name,now,parse,prototype"],
    ["Date.length + Date.name", "7Date"],
    ["new Intl.DateTimeFormat('en').format()", "1/2/2026"],
    ["new Intl.DateTimeFormat('en').formatToParts().map((it) => it.value).join('')", "1/2/2026"],
    ["[undefined].map(new Intl.DateTimeFormat('en').format).join()", "1/2/2026"],
    ["(() => { const it = new Intl.DateTimeFormat(); return it.format === it.format; })()", true],
  ])("is the run's: %s", (expression, answer) => {
    expect(realm.evaluate(`return ${expression};`)).toBe(answer);
  });

  it("moves with the run, and only with it", () => {
    expect(
      realm.evaluate("const a = Date.now(); for (let i = 0; i < 1e6; i++); return Date.now() - a;"),
    ).toBe(0);
    run.time += 86_400_000;
    expect(realm.evaluate("new Date().getDate()")).toBe(3);
  });

  it("cannot be asked where no run executes", () => {
    const realmWithout = new TestRealm();
    realmWithout.port = () => {
      throw new Error("no run is executing");
    };
    expect(() => realmWithout.evaluate("Date.now()")).toThrow("no run is executing");
    expect(() => realmWithout.evaluate("new Date()")).toThrow("no run is executing");
    expect(() => realmWithout.evaluate("Math.random()")).toThrow("no run is executing");
    expect(realmWithout.evaluate("new Date(5).getTime()")).toBe(5);
  });
});
