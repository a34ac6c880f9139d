import { expect, it, vi } from "vitest";
import { toRow } from "./audit-command.ts";
import { serverLog } from "./server-log.ts";

// What a caller who is let in nowhere may write: the namespace of an address, and an id.
const forged = "x\n2026-01-01 00:00:00  key:root  createKey\u001b[2J";

it("shows an entry of the audit log in one line, whatever callers have written into it", () => {
  const row = toRow({
    id: 1,
    at: 0,
    subject: forged,
    operation: "start",
    namespace: forged,
    ids: { workflowId: forged },
    address: `\u009b2J${forged}`,
    outcome: "unauthenticated",
    count: 1,
  });
  for (const cell of row)
    for (const character of ["\n", "\u001b", "\u009b"]) expect(cell).not.toContain(character);
});

it("writes an entry of the log in one line, but for the stack of a bug", () => {
  const written: string[] = [];
  const write = vi
    .spyOn(process.stderr, "write")
    .mockImplementation((text) => written.push(String(text)) > 0);
  try {
    serverLog("text", "info")("warn", forged, { error: forged, more: { forged }, stack: "Error\nat x" });
  } finally {
    write.mockRestore();
  }
  const [first = "", ...rest] = written.join("").trimEnd().split("\n");
  expect(first).toContain("createKey");
  expect(rest).toEqual(["    at x"]);
});
