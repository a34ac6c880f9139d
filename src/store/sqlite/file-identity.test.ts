import {
  copyFileSync,
  linkSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileIdentity, checkSingleName } from "./file-identity.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "aion-identity-"));
  path = join(directory, "a.db");
  writeFileSync(path, "a");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function refusal(said: string): unknown {
  return expect.objectContaining({ code: "store_failed", message: expect.stringContaining(said) as string });
}

// I-51
describe("the names of a file", () => {
  it("may be one, or none yet, or one that a symbolic link leads to", () => {
    symlinkSync(path, join(directory, "link"));
    for (const name of ["a.db", "link", "none.db"])
      expect(() => checkSingleName(join(directory, name))).not.toThrow();
    expect(() => checkSingleName(":memory:")).not.toThrow();
  });

  it("may not be two or more, and it says how many", () => {
    for (const linkCount of [2, 3]) {
      const other = join(directory, `${linkCount}.db`);
      linkSync(path, other);
      for (const name of [path, other]) {
        expect(() => checkSingleName(name)).toThrow(
          expect.objectContaining({
            code: "store_unavailable",
            message: expect.stringContaining(`${linkCount} names`) as string,
            details: { linkCount },
          }),
        );
      }
    }
  });
});

// I-51
describe("the file that was opened", () => {
  it("is the one at its path, though it was written to and has other names", () => {
    const identity = new FileIdentity(path);
    writeFileSync(path, "more");
    linkSync(path, join(directory, "other.db"));
    expect(() => identity.check()).not.toThrow();
  });

  it("is missed when it was removed, or another took its place, and is found when it is back", () => {
    const identity = new FileIdentity(path);
    const aside = join(directory, "aside.db");
    copyFileSync(path, aside);
    linkSync(path, join(directory, "kept.db"));
    unlinkSync(path);
    expect(() => identity.check()).toThrow(refusal("removed"));
    renameSync(aside, path);
    expect(() => identity.check()).toThrow(refusal("replaced by another"));
    renameSync(join(directory, "kept.db"), path);
    expect(() => identity.check()).not.toThrow();
  });

  it("is known to another thread by its text", () => {
    const { text } = new FileIdentity(path);
    expect(() => new FileIdentity(path, text).check()).not.toThrow();
    copyFileSync(path, `${path}.copy`);
    renameSync(`${path}.copy`, path);
    expect(() => new FileIdentity(path, text).check()).toThrow(refusal(path));
    expect(() => new FileIdentity(path).check()).not.toThrow();
  });

  it("in memory has no place that could be lost", () => {
    const folder = process.cwd();
    process.chdir(directory);
    try {
      // A file of that name is another thing.
      writeFileSync(":memory:", "");
      const identity = new FileIdentity(":memory:");
      expect(identity.text).toBeUndefined();
      rmSync(":memory:");
      expect(() => identity.check()).not.toThrow();
    } finally {
      process.chdir(folder);
    }
  });
});
