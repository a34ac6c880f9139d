import { expect, it } from "vitest";
import { encodeLogEntry } from "./log-entry.ts";

it("a line says what it says, whatever its fields are called", () => {
  const fields = { message: "theirs", level: 7, workflowId: "w", absent: undefined };
  expect(JSON.parse(encodeLogEntry("now", "warn", "ours", fields))).toEqual({
    time: "now",
    level: "warn",
    message: "ours",
    "field.message": "theirs",
    "field.level": 7,
    workflowId: "w",
  });
});

it("a field that is no JSON costs no other", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const fields = { cyclic, big: 7n, workflowId: "w" };
  expect(JSON.parse(encodeLogEntry("now", "info", "said", fields))).toEqual({
    time: "now",
    level: "info",
    message: "said",
    cyclic: expect.stringContaining("no JSON") as string,
    big: "7",
    workflowId: "w",
  });
});
