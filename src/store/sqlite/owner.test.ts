import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAionError } from "../../core/errors.ts";
import { openDatabase } from "./migrate.ts";
import { OwnerRow, disown } from "./owner.ts";

const leaseMs = 9_000;
const now = 1_000_000;

let database: DatabaseSync;
let owner: OwnerRow;

beforeEach(() => {
  database = openDatabase({ path: ":memory:", readOnly: false });
  owner = new OwnerRow(database, "sqlite:a.db");
});

afterEach(() => {
  database.close();
});

function columns(): Readonly<Record<string, unknown>> {
  return { ...database.prepare("SELECT * FROM owner").get() };
}

function errorOf(work: () => unknown): { readonly code: string; readonly details: object } {
  try {
    work();
  } catch (error) {
    if (isAionError(error)) return { code: error.code, details: error.details };
    throw error;
  }
  return { code: "nothing was thrown", details: {} };
}

describe("a claim", () => {
  it("raises the epoch, and writes down who it is and until when", () => {
    expect(owner.claim({ leaseMs, endpoint: "/run/aion.sock" }, now)).toBe(1);
    const row = columns();
    expect(row).toMatchObject({ epoch: 1, pid: process.pid, host: hostname(), endpoint: "/run/aion.sock" });
    expect(row).toMatchObject({ claimed_at: now, lease_ms: leaseMs, lease_until: now + leaseMs });
    expect(owner.read(now)).toEqual({
      epoch: 1,
      pid: process.pid,
      host: hostname(),
      endpoint: "/run/aion.sock",
      claimedAt: now,
      leaseUntil: now + leaseMs,
      isAlive: true,
    });
  });

  it("without an endpoint leaves none of the last owner's", () => {
    owner.claim({ leaseMs, endpoint: "/run/aion.sock" }, now);
    expect(owner.claim({ leaseMs }, now + leaseMs + 1)).toBe(2);
    expect(columns()).toMatchObject({ endpoint: null, claimed_at: now + leaseMs + 1 });
    expect(Object.keys(owner.read(now) ?? {})).not.toContain("endpoint");
  });

  it("is refused to the last millisecond of the lease, and has changed nothing then", () => {
    owner.claim({ leaseMs }, now);
    const before = columns();
    const refused = errorOf(() => owner.claim({ leaseMs: 1 }, now + leaseMs));
    expect(refused).toMatchObject({ code: "store_owned", details: { pid: process.pid, epoch: 1 } });
    expect(columns()).toEqual(before);
    expect(owner.claim({ leaseMs }, now + leaseMs + 1)).toBe(2);
  });
});

it("a file whose owner row is gone lets nobody write", () => {
  database.exec("DELETE FROM owner");
  for (const work of [
    () => owner.read(now),
    () => owner.readLease(),
    () => owner.claim({ leaseMs }, now),
    () => owner.renew(1, now),
  ])
    expect(errorOf(work).code).toBe("internal");
});

describe("whoever writes", () => {
  it("must hold the current epoch", () => {
    expect(errorOf(() => owner.check(0, now)).code).toBe("not_owner");
    owner.claim({ leaseMs }, now);
    expect(() => owner.check(1, now)).not.toThrow();
    for (const epoch of [0, 2]) {
      const refused = { code: "not_owner", details: { epoch, currentEpoch: 1 } };
      expect(errorOf(() => owner.check(epoch, now))).toEqual(refused);
      expect(errorOf(() => owner.renew(epoch, now))).toEqual(refused);
      expect(owner.release(epoch)).toBe(0);
    }
    expect(owner.read(now)?.epoch).toBe(1);
  });

  it("renews the lease on the way when a third of it is over, and not before", () => {
    owner.claim({ leaseMs }, now);
    owner.check(1, now + leaseMs / 3);
    expect(owner.read(now)?.leaseUntil).toBe(now + leaseMs);
    owner.check(1, now + leaseMs / 3 + 1);
    expect(owner.read(now)?.leaseUntil).toBe(now + leaseMs / 3 + 1 + leaseMs);
  });

  it("renews it once for all that is written in one transaction", () => {
    owner.claim({ leaseMs }, now);
    const lease = owner.readLease();
    expect(lease).toEqual({
      epoch: 1,
      isOwned: true,
      leaseMs,
      leaseUntil: now + leaseMs,
      feedKeepMs: undefined,
      feedFloor: 0,
    });
    owner.renewWhenDue(lease, now + leaseMs);
    expect(lease.leaseUntil).toBe(now + 2 * leaseMs);
    expect(owner.readLease()).toEqual(lease);
  });

  it("may renew at any time, by the lease of its claim", () => {
    owner.claim({ leaseMs }, now);
    expect(owner.renew(1, now + 1)).toBe(1);
    expect(owner.read(now)?.leaseUntil).toBe(now + 1 + leaseMs);
  });
});

describe("a release", () => {
  it("leaves nobody, and the epoch", () => {
    owner.claim({ leaseMs, endpoint: "/run/aion.sock" }, now);
    expect(owner.release(1)).toBe(1);
    expect(columns()).toMatchObject({ epoch: 1, pid: null, endpoint: null, lease_until: null });
    expect(owner.read(now)).toBeUndefined();
    expect(owner.readLease().isOwned).toBe(false);
    expect(errorOf(() => owner.renew(1, now)).code).toBe("not_owner");
    expect(errorOf(() => owner.check(1, now)).code).toBe("not_owner");
    expect(owner.release(1)).toBe(0);
    expect(owner.claim({ leaseMs }, now)).toBe(2);
  });

  it("of a copy asks for no epoch", () => {
    owner.claim({ leaseMs }, now);
    disown(database);
    expect(owner.read(now)).toBeUndefined();
  });
});

// I-16, I-18
describe.runIf(process.platform === "linux")("an owner within its lease", () => {
  /** What the row says of a claim of ours, and says now. */
  function isAliveWith(
    change: (row: { readonly machine: string }) => Readonly<Record<string, unknown>>,
  ): boolean {
    disown(database);
    owner.claim({ leaseMs }, now);
    const changed = change({ machine: String(columns()["machine"]) });
    for (const [column, value] of Object.entries(changed))
      database.prepare(`UPDATE owner SET ${column} = ?`).run(value as string | number | null);
    return owner.read(now)?.isAlive === true;
  }

  const ended = (): number => spawnSync("true").pid;
  const parts = (machine: string): readonly [string, string, string] => {
    const [boot = "", space = "", host = ""] = machine.split("/");
    return [boot, space, host];
  };

  it("is found again by its pid, where that means it, and since when", () => {
    const { title } = process;
    // The name of a process stands in the midst of what the kernel says of it.
    process.title = "a) Z 1 2";
    try {
      expect(isAliveWith(() => ({}))).toBe(true);
    } finally {
      process.title = title;
    }
    const stat = readFileSync("/proc/self/stat", "utf8");
    const started = stat.split(") ").at(-1)?.split(" ")[19];
    const machine = expect.stringMatching(
      new RegExp(`^[0-9a-f-]{36}/pid:\\[\\d+\\]/${hostname()}$`),
    ) as unknown;
    expect(columns()).toMatchObject({ pid: process.pid, process_started: started, machine });
  });

  it("is alive when its process is there", () => {
    expect(isAliveWith(() => ({}))).toBe(true);
    expect(isAliveWith(() => ({ process_started: null }))).toBe(true);
  });

  it("is dead when its process is gone, or its pid is another process's by now", () => {
    expect(isAliveWith(() => ({ pid: ended() }))).toBe(false);
    expect(isAliveWith(() => ({ process_started: "1" }))).toBe(false);
  });

  it("is alive whatever its pid is here, when it cannot be told where it is", () => {
    expect(isAliveWith(() => ({ machine: null, pid: ended() }))).toBe(true);
  });

  it("is alive whatever its pid is here, on another machine, and in another container", () => {
    const elsewhere = (change: (of: readonly [string, string, string]) => readonly string[]): boolean =>
      isAliveWith(({ machine }) => ({ machine: change(parts(machine)).join("/"), pid: ended() }));
    expect(elsewhere(([boot, space]) => [boot, space, "ursa"])).toBe(true);
    expect(elsewhere(([boot, , host]) => [boot, "pid:[1]", host])).toBe(true);
    expect(elsewhere(([, space]) => ["another-boot", space, "ursa"])).toBe(true);
    expect(elsewhere(([, , host]) => ["another-boot", "pid:[1]", host])).toBe(true);
  });

  it("is dead when its machine has been started anew since, whoever has its pid now", () => {
    const restarted = isAliveWith(({ machine }) => {
      const [, space, host] = parts(machine);
      return { machine: ["another-boot", space, host].join("/") };
    });
    expect(restarted).toBe(false);
  });
});
