import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { findPlace, placeNameOf } from "./failure-place.ts";

const directory = mkdtempSync(path.join(tmpdir(), "aion-place-"));
writeFileSync(path.join(directory, "order.ts"), "const a = 1;\nthrow refuse(a);\n");
afterAll(() => rmSync(directory, { recursive: true }));

const stackOf = (...frames: readonly string[]): string =>
  ["Error: at odds", ...frames.map((frame) => `    at ${frame}`)].join("\n");

describe("where a failure was thrown", () => {
  it.each([
    ["in a package", "Object.run (order.ts:2:7)", "order.ts:2:7"],
    ["without a function", "src/a b/order.ts:2:7", "src/a b/order.ts:2:7"],
    ["asynchronously", "async fulfil (../lib/x.ts:3:1)", "../lib/x.ts:3:1"],
    ["in a process", `charge (${pathToFileURL("/app/o r.ts").href}:4:5)`, "/app/o r.ts:4:5"],
  ])("%s", (_where, frame, name) => {
    expect(placeNameOf({ stack: stackOf(frame, "later (other.ts:1:1)") })).toBe(name);
  });

  it("is in the author's code, and of the innermost cause", () => {
    const stack = stackOf(
      "parse (file:///app/node_modules/zod/a.js:1:1)",
      "node:internal/x:1:1",
      "run (order.ts:2:7)",
    );
    expect(placeNameOf({ stack, cause: { stack: "no frames", cause: {} } })).toBe("order.ts:2:7");
    expect(placeNameOf({ stack, cause: { stack: stackOf("charge (charge.ts:8:9)") } })).toBe("charge.ts:8:9");
  });

  it.each([undefined, "", "Error", stackOf("<anonymous>"), stackOf("x (file://%zz:1:1)"), stackOf("native")])(
    "is not known from %j",
    (stack) => {
      expect(placeNameOf({ stack })).toBeUndefined();
      expect(findPlace({ stack }, [directory])).toBeUndefined();
    },
  );

  it("is shown with its line where the file is", () => {
    expect(findPlace({ stack: stackOf("run (order.ts:2:7)") }, ["/nowhere", directory])).toEqual({
      file: "order.ts",
      line: 2,
      column: 7,
      length: "refuse".length,
      lineText: "throw refuse(a);",
    });
    // The file is another one by now.
    expect(findPlace({ stack: stackOf("run (order.ts:99:7)") }, [directory])).toBeUndefined();
  });
});
