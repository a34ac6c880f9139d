import { fstatSync, fsyncSync, mkdtempSync, rmSync, statSync, writeFileSync, chmodSync } from "node:fs";
import type * as Fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { makePrivate } from "./private-file.ts";

vi.mock("node:fs", async (original) => {
  const actual = await original<typeof Fs>();
  return { ...actual, fsyncSync: vi.fn<typeof actual.fsyncSync>(actual.fsyncSync) };
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-private-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

it("a private file is its user's alone, and its name is on the disk", () => {
  const file = path.join(directory, "keys.db");
  const synced: number[] = [];
  vi.mocked(fsyncSync).mockImplementation((descriptor) => void synced.push(fstatSync(descriptor).ino));
  makePrivate(file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(synced).toEqual([statSync(directory).ino]);
});

it("one that is there stays as it is", () => {
  const file = path.join(directory, "keys.db");
  writeFileSync(file, "kept");
  chmodSync(file, 0o640);
  makePrivate(file);
  expect(statSync(file)).toMatchObject({ size: 4 });
  expect(statSync(file).mode & 0o777).toBe(0o640);
});

it("one that cannot be made is told", () => {
  expect(() => makePrivate(path.join(directory, "none", "keys.db"))).toThrow(/ENOENT/);
});
