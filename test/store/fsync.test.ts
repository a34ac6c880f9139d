import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-fsync-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** The fsyncs of a process that opens the store, appends and closes it, counted from outside. */
function countFsyncs(
  writer: string,
  how: "one-by-one" | "together" | "concurrently" | "deploying",
  count: number,
): number {
  const output = join(directory, "count");
  const tracer = join(import.meta.dirname, "fsync-count.pl");
  const program = join(import.meta.dirname, "append-process.ts");
  const path = join(directory, "store.db");
  execFileSync("perl", [tracer, output, process.execPath, program, path, writer, how, String(count)], {
    stdio: "inherit",
  });
  return Number(readFileSync(output, "utf8"));
}

// I-7: counted, since the pragma that asks for them says nothing about what is done.
describe.each(["auto", "thread", "inline"])("writer %s", (writer) => {
  it("every append that follows another's acknowledgement has an fsync of its own, on a new file and an old one", () => {
    const created = countFsyncs(writer, "one-by-one", 0);
    expect(created).toBeGreaterThan(0);
    const opened = countFsyncs(writer, "one-by-one", 0);
    for (const count of [40, 80]) {
      const fsyncs = countFsyncs(writer, "one-by-one", count) - opened;
      expect(fsyncs).toBeGreaterThanOrEqual(count);
      expect(fsyncs).toBeLessThan(count * 1.2);
    }
  });

  it("every deployment has an fsync of its own", () => {
    countFsyncs(writer, "deploying", 0);
    const opened = countFsyncs(writer, "deploying", 0);
    const fsyncs = countFsyncs(writer, "deploying", 20) - opened;
    expect(fsyncs).toBeGreaterThanOrEqual(20);
    expect(fsyncs).toBeLessThan(26);
  });

  it("a thousand commits of one append share one", () => {
    countFsyncs(writer, "together", 0);
    const opened = countFsyncs(writer, "together", 0);
    const fsyncs = countFsyncs(writer, "together", 1_000) - opened;
    expect(fsyncs).toBeGreaterThanOrEqual(1);
    expect(fsyncs).toBeLessThanOrEqual(2);
  });

  it("appends that are under way at one time share few", () => {
    countFsyncs(writer, "concurrently", 0);
    const opened = countFsyncs(writer, "concurrently", 0);
    const fsyncs = countFsyncs(writer, "concurrently", 400) - opened;
    expect(fsyncs).toBeGreaterThanOrEqual(1);
    expect(fsyncs).toBeLessThan(40);
  });
});

it("the first append to a new file, which no other has prepared, has its fsync", () => {
  const writer = "inline";
  const without = countFsyncs(writer, "one-by-one", 0);
  rmSync(join(directory, "store.db"));
  expect(countFsyncs(writer, "one-by-one", 30) - without).toBeGreaterThanOrEqual(30);
});
