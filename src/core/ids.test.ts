import { describe, expect, it } from "vitest";
import { idLengthMax, parseName, parseRunId, parseWorkflowId, toPid } from "./ids.ts";

const refused = expect.objectContaining({ code: "invalid_argument" });

describe("a name from outside", () => {
  it("may be any text of up to 255 characters", () => {
    for (const text of ["a", "order-42", "Ünïcode ✓ 日本", "a b/c:d.e", "x".repeat(idLengthMax)]) {
      expect(parseWorkflowId(text)).toBe(text);
      expect(parseRunId(text)).toBe(text);
    }
  });

  it.each([
    ["empty text", ""],
    ["more than 255 characters", "x".repeat(idLengthMax + 1)],
    ["a line break", "a\nb"],
    ["a zero character", "a\u0000"],
    ["a delete character", "a\u007f"],
    ["a tab", "\ta"],
  ])("is refused when it is %s", (_what, text) => {
    expect(() => parseWorkflowId(text)).toThrow(refused);
    expect(() => parseRunId(text)).toThrow(refused);
    expect(() => parseName(text, "signal name")).toThrow(/signal name/);
  });

  it.each([undefined, null, 5, {}, Symbol("a")])("is refused when it is no text: %s", (value) => {
    expect(() => parseName(value, "query name")).toThrow(refused);
  });

  it("is shown shortened in the error, so that an error cannot be flooded", () => {
    try {
      parseWorkflowId("y".repeat(100_000));
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(300);
    }
  });
});

describe("a pid", () => {
  it("holds the epoch, so that no two engines of a store give the same one", () => {
    expect(toPid(3, 14)).toBe("3.14");
    expect(toPid(3, 14)).not.toBe(toPid(31, 4));
  });
});
