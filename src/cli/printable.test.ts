import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { oneLine, printable } from "./printable.ts";

describe("text for a terminal", () => {
  it("shows what would act on the terminal instead of sending it", () => {
    expect(printable("a\u001b[31mb\u009bc\u007f")).toBe(String.raw`a\u001b[31mb\u009bc\u007f`);
    expect(printable("a\tb\r\nc é 漢 🙂")).toBe("a  b\\r\nc é 漢 🙂");
    expect(printable("abc\u202edef")).toBe(String.raw`abc\u202edef`);
  });

  it("never holds a control character but the line feed, whatever goes in", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
        expect(printable(text)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });

  it("is cut to a line of the length given", () => {
    expect(oneLine("one\ntwo", 20)).toBe(String.raw`one\ntwo`);
    expect(oneLine("abcdef", 6)).toBe("abcdef");
    expect(oneLine("abcdefg", 6)).toBe("abcde…");
  });
});
