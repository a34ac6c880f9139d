import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { AionError, assert, errorTable, isAionError, isErrorCode, unreachable } from "./errors.ts";

describe("an error of Aion", () => {
  it("has the hint of its code unless a better one is given, and passes its cause on", () => {
    const cause = new Error("disk");
    const plain = new AionError("store_failed", "write failed", { cause });
    expect(plain).toMatchObject({
      code: "store_failed",
      hint: errorTable.store_failed.hint,
      cause,
      details: {},
    });
    const exact = new AionError("store_failed", "write failed", { hint: "look", details: { errno: 5 } });
    expect(exact).toMatchObject({ hint: "look", details: { errno: 5 } });
  });

  it("is recognised by its brand, from any realm", () => {
    const foreign: unknown = runInNewContext(
      `Object.defineProperty(new Error("x"), Symbol.for("aion.error"), { value: true })`,
    );
    expect(isAionError(foreign)).toBe(true);
    expect(isAionError(Object.assign(new Error("x"), { name: "AionError", code: "internal" }))).toBe(false);
    expect([undefined, null, "internal"].some(isAionError)).toBe(false);
  });

  it.each(Object.entries(errorTable))("%s says what happened and what to do", (code, row) => {
    expect(isErrorCode(code)).toBe(true);
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    for (const text of [row.cause, row.hint]) expect(text).toMatch(/^.{20,}\.$/);
  });

  it("has no code outside the table", () => {
    for (const text of ["", "toString", "constructor", "INTERNAL"]) expect(isErrorCode(text)).toBe(false);
  });
});

describe("what must hold", () => {
  it("throws with the law when it does not", () => {
    for (const claim of [undefined, null, false, 0, ""]) {
      expect(() => assert(claim, "there is one")).toThrow(
        expect.objectContaining({ code: "internal", message: "broken law: there is one" }),
      );
    }
    for (const claim of [true, 1, "a", {}, []]) expect(() => assert(claim, "there is one")).not.toThrow();
  });

  it("throws with the value where the types say it is impossible", () => {
    expect(() => unreachable({ kind: "odd" } as never, "delivery")).toThrow(/unexpected delivery: .*odd/);
  });
});
