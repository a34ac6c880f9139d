import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { FullDiskReport, ReadOnlyReport } from "./limited-process.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-limits-"));
});

afterEach(() => {
  chmodSync(directory, 0o700);
  rmSync(directory, { recursive: true, force: true });
});

const program = join(import.meta.dirname, "limited-process.ts");

it("a file or a directory that cannot be written is said to be so when it is opened, and can be read", () => {
  mkdirSync(join(directory, "locked"));
  chmodSync(directory, 0o755);
  const report = execFileSync(process.execPath, [program, "read-only", directory], { encoding: "utf8" });
  chmodSync(join(directory, "locked"), 0o755);
  expect(JSON.parse(report) as ReadOnlyReport).toEqual({
    create: "store_read_only",
    open: "store_read_only",
    openFile: "store_read_only",
    readCount: 1,
    readLogged: "store_read_only",
  });
});

/** A file system of 2 MB in a mount namespace of the process's own, where the system lets us make one. */
const onSmallDisk = ["-r", "-m", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'];
const canMount = spawnSync("unshare", [...onSmallDisk, tmpdir(), "true"]).status === 0;

// Where it does not, the same law is shown on a file that may not grow (writer.test.ts).
// I-47
it.runIf(canMount)(
  "a full disk refuses the write and nothing else, and when there is space all goes on",
  () => {
    const args = [...onSmallDisk, directory, process.execPath, program, "full", directory];
    const report = JSON.parse(execFileSync("unshare", args, { encoding: "utf8" })) as FullDiskReport;
    expect(report.code).toBe("store_full");
    expect(report.refusedWhileFull).toBe("store_full");
    expect(report.headWhenFull).toBe(report.lengthBefore);
    expect(report.historyWhenFull).toBe(report.lengthBefore);
    expect(report.headAfterwards).toBe(report.lengthBefore + 2);
    expect(report.historyAfterwards).toBe(report.lengthBefore + 2);
  },
);
