import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { shorten, table, widthOf } from "./table.ts";
import type { Column } from "./table.ts";

const columns: readonly Column[] = [
  { title: "ID", cut: "middle" },
  { title: "STATUS" },
  { title: "STARTED", leaveOut: 1 },
  { title: "EVENTS", leaveOut: 2 },
  { title: "WHY", cut: "end" },
];
const id = "0123456789-0123456789-0123456789-abcdef";
const why = "the payment provider did not answer";
const rows = [
  [id, "running", "2026-03-01 09:00:00", "7", why],
  ["a-1", "failed", "2026-03-01 09:00:00", "1234", ""],
];

describe("a table", () => {
  it("that fits is shown whole", () => {
    expect(table(["ID", "STATE"], [["a", "open"]], 80)).toBe("ID  STATE\na   open");
  });

  it("is cut nowhere but on a terminal", () => {
    expect(table(columns, rows)).toContain(`${id}  running  2026-03-01 09:00:00  7       ${why}`);
  });

  it("leaves out what it may before ids are cut too short, the least first", () => {
    expect(table(columns, rows, 80).split("\n")).toEqual([
      "ID                              STATUS   EVENTS  WHY",
      "0123456789-0123…3456789-abcdef  running  7       the payment provider did not a…",
      "a-1                             failed   1234",
    ]);
  });

  it("cuts ids in their middle and texts at their end, the widest first", () => {
    expect(table(columns, rows, 45).split("\n")).toEqual([
      "ID                 STATUS   WHY",
      "01234567…9-abcdef  running  the payment prov…",
      "a-1                failed",
    ]);
  });

  it("has no head where no column has a title", () => {
    expect(table([{ title: "" }, { title: "" }], [["a", "b"]])).toBe("a  b");
    expect(table(["ID"], [])).toBe("ID");
  });

  it("keeps the colours of what it cuts, and the line of a cell with a line feed", () => {
    const red = `\u001B[1m\u001B[31m${id}\u001B[39m\u001B[22m`;
    expect(table([{ title: "", cut: "end" }], [[red]], 10)).toBe(
      "\u001B[1m\u001B[31m012345678…\u001B[39m\u001B[22m",
    );
    expect(table(["A"], [["b\nc"]])).toBe("A\nb\\nc");
  });

  it("is no wider than it has to be, whatever stands in it", () => {
    const cell = fc.string({ unit: "grapheme", maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell), { maxLength: 5 }),
        fc.integer({ min: 20, max: 100 }),
        (some, width) => {
          const lines = table(
            [
              { title: "A", cut: "middle" },
              { title: "B", cut: "end" },
            ],
            some,
            width,
          ).split("\n");
          expect(lines).toHaveLength(some.length + 1);
          for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        },
      ),
    );
  });
});

describe("the width of a terminal", () => {
  const before = Object.getOwnPropertyDescriptors(process.stdout);
  afterEach(() => {
    for (const name of ["isTTY", "columns"] as const) {
      if (before[name] === undefined) Reflect.deleteProperty(process.stdout, name);
      else Object.defineProperty(process.stdout, name, before[name]);
    }
  });

  it.each([
    [true, "0123…cdef"],
    [false, id],
  ])("counts where there is one: %s", (isTTY, shown) => {
    Object.defineProperty(process.stdout, "isTTY", { value: isTTY, configurable: true });
    Object.defineProperty(process.stdout, "columns", { value: 9, configurable: true });
    expect(table([{ title: "", cut: "middle" }], [[id]])).toBe(shown);
  });
});

describe("a text", () => {
  it.each([
    ["abc", 3],
    ["漢字", 4],
    ["é\u0301", 1],
    ["🙂👍🏽", 4],
    ["👨‍👩‍👧", 2],
    ["ｱ", 1],
    ["\u001B[31mred\u001B[39m", 3],
  ])("%j takes %i places", (text, width) => expect(widthOf(text)).toBe(width));

  it("is shortened between letters, never within one", () => {
    expect(shorten("漢字漢字漢字", 6, "middle")).toBe("漢…字");
    expect(shorten("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", 4, "end")).toBe("👨‍👩‍👧…");
    expect(shorten("abc", 3, "middle")).toBe("abc");
    expect(shorten("abc", 0, "end")).toBe("");
  });

  it("is whole where there is no terminal", () => {
    expect(shorten("abc", Number.POSITIVE_INFINITY, "middle")).toBe("abc");
  });
});
