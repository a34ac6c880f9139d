import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { NewEvent } from "../../core/codec.ts";
import type { AionError } from "../../core/errors.ts";
import { idOf, startOf } from "../conformance/world.ts";
import { openDatabase } from "./migrate.ts";
import { openSqliteStore } from "./store.ts";
import { isLaterVersion, thisVersion } from "./version.ts";
import { Writer } from "./writer.ts";

it("versions come in the order of Semantic Versioning", () => {
  const ascending = [
    "no version",
    "0.0.9",
    "0.1.0",
    "0.9.0",
    "0.10.0",
    "1.0.0-9",
    "1.0.0-10",
    "1.0.0--a",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1+build.7",
    "2.0.0",
    "11.0.0",
  ];
  for (const [index, version] of ascending.entries()) {
    for (const [otherIndex, other] of ascending.entries()) {
      expect(isLaterVersion(version, other), `${version} after ${other}`).toBe(index > otherIndex);
    }
  }
  expect(isLaterVersion(thisVersion(), "no version")).toBe(true);
});

describe("an event type that this version does not know", () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "aion-version-"));
    path = join(directory, "store.db");
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  /** As engines of these versions would, one after the other. */
  function claimAs(...versions: readonly string[]): void {
    const database = openDatabase({ path, readOnly: false });
    const writer = new Writer(database, { path, storeName: path });
    for (const [index, version] of versions.entries()) {
      writer.run([
        { kind: "claim", claim: { leaseMs: 1 }, now: index * 10, version },
        { kind: "release", epoch: index + 1 },
      ]);
    }
    database.close();
  }

  /** What this version says when it reads the run, as its owner and by reading alone. */
  async function errorsOfThisVersion(): Promise<readonly AionError[]> {
    const writing = openSqliteStore({ path });
    const token = await writing.claim({ leaseMs: 60_000 });
    const from = { type: "TeleportStarted", ordinal: 0, recordedAt: 1 } as unknown as NewEvent;
    const begin = startOf("w");
    await writing.append(token, [{ start: { ...begin, events: [...begin.events, from] } }]);
    const errors = [await writing.readHistory(idOf("w")).catch((error: unknown) => error)];
    await writing.release(token);
    await writing.close();
    const reading = openSqliteStore({ path, readOnly: true });
    errors.push(await reading.readHistory(idOf("w")).catch((error: unknown) => error));
    await reading.close();
    return errors as readonly AionError[];
  }

  // I-44
  it("is refused with the newest version that has written to the file, also when older ones did since", async () => {
    claimAs("0.0.1", "9.10.0", "9.9.0", "0.0.2");
    for (const error of await errorsOfThisVersion()) {
      expect(error.code).toBe("event_unknown");
      expect(error.message).toContain('"TeleportStarted"');
      expect(error.message).toContain(`this is Aion ${thisVersion()}`);
      expect(error.message).toContain("9.10.0");
      expect(error.details).toMatchObject({ newestVersion: "9.10.0", thisVersion: thisVersion() });
      expect(error.hint).toContain("9.10.0");
    }
  });

  it("is refused too when no later version is known to have written to the file", async () => {
    claimAs("0.0.1");
    for (const error of await errorsOfThisVersion()) {
      expect(error.code).toBe("event_unknown");
      expect(error.message).toContain(`no later version than ${thisVersion()}`);
    }
  });

  it("of a file from before the newest version was kept goes by the last one", async () => {
    claimAs("9.1.0");
    const database = new DatabaseSync(path);
    expect(database.prepare("DELETE FROM meta WHERE name = 'newest_version'").run().changes).toBe(1);
    database.close();
    for (const error of await errorsOfThisVersion()) expect(error.message).toContain("9.1.0");
  });
});
