import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditPage, AuditQuery } from "../client/access.ts";
import { AuditFile, auditFileName } from "./audit-file.ts";
import { AuditLog } from "./audit-log.ts";
import type { AuditFacts } from "./gatekeeper.ts";

let directory: string;
let now: number;
let log: AuditLog;
let logged: string[];

const facts = (more: Partial<AuditFacts> = {}): AuditFacts => ({
  subject: "key:ann",
  keyId: "0123456789abcdef",
  operation: "start",
  namespace: "default",
  ids: { workflowId: "w" },
  address: "192.0.2.7",
  ...more,
});

async function open(): Promise<AuditLog> {
  return await AuditLog.open({
    directory,
    retentionMs: 1_000_000,
    now: () => now,
    log: (_level, message) => logged.push(message),
  });
}

/** As another process sees the file. */
function readBeside(query: Partial<AuditQuery> = {}): AuditPage {
  const file = new AuditFile(directory, { readOnly: true });
  try {
    return file.read({ limit: 1_000, ...query });
  } finally {
    file.close();
  }
}

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-audit-"));
  now = 5_000_000;
  logged = [];
  log = await open();
});

afterEach(async () => {
  await log.close();
  rmSync(directory, { recursive: true });
});

describe("an entry", () => {
  it("is on the disk before what it tells of is done, and has an outcome afterwards", async () => {
    const entry = await log.begin(facts());
    expect(readBeside().entries).toEqual([
      {
        id: entry,
        at: now,
        subject: "key:ann",
        keyId: "0123456789abcdef",
        operation: "start",
        namespace: "default",
        ids: { workflowId: "w" },
        address: "192.0.2.7",
        outcome: "unknown",
        count: 1,
      },
    ]);
    log.end(entry, "ok", { workflowId: "w", runId: "r" });
    expect((await log.read({ limit: 1 })).entries).toMatchObject([
      { outcome: "ok", ids: { workflowId: "w", runId: "r" } },
    ]);
  });

  it("whose outcome nobody heard of stays, over a restart, and later ones come behind it", async () => {
    const entry = await log.begin(facts());
    await log.close();
    log = await open();
    const next = await log.begin(facts({ operation: "signal" }));
    expect(next).toBeGreaterThan(entry);
    expect(readBeside().entries.map(({ operation, outcome }) => [operation, outcome])).toEqual([
      ["signal", "unknown"],
      ["start", "unknown"],
    ]);
  });

  it("shares a transaction with those of the same time", async () => {
    const entries = await Promise.all(Array.from({ length: 500 }, () => log.begin(facts())));
    expect(new Set(entries).size).toBe(500);
    for (const entry of entries) log.end(entry, "ok", {});
    expect((await log.read({ limit: 1_000 })).entries.filter(({ outcome }) => outcome === "ok")).toHaveLength(
      500,
    );
  });

  it("that cannot be written is told, and the next one is written when it can be", async () => {
    const database = new DatabaseSync(path.join(directory, auditFileName));
    database.exec("ALTER TABLE entries RENAME TO away");
    await expect(log.begin(facts())).rejects.toMatchObject({ code: "audit_unavailable" });
    log.refused(facts({ operation: "kept" }), "permission_denied");
    expect(logged).toContain("the audit log cannot be written");
    await new Promise((resolve) => setTimeout(resolve, 100));
    database.exec("ALTER TABLE away RENAME TO entries");
    database.close();
    await log.begin(facts({ operation: "later" }));
    const { entries } = await log.read({ limit: 10 });
    expect(entries.map(({ operation }) => operation)).toEqual(expect.arrayContaining(["later", "kept"]));
    expect(entries).toHaveLength(2);
  });

  it("whose number is taken is written under another one", async () => {
    const entry = await log.begin(facts());
    const database = new DatabaseSync(path.join(directory, auditFileName));
    database
      .prepare(
        "INSERT INTO entries SELECT id + 1, at, subject, key_id, 'taken', namespace, ids, address, outcome, count FROM entries WHERE id = ?",
      )
      .run(entry);
    database.close();
    log.refused(facts({ operation: "refused" }), "permission_denied");
    await expect.poll(() => logged).toContain("the audit log cannot be written");
    await log.begin(facts({ operation: "later" }));
    expect((await log.read({ limit: 10 })).entries.map(({ operation }) => operation)).toEqual(
      expect.arrayContaining(["later", "refused", "taken", "start"]),
    );
  });

  it("is for the user of the server alone", () => {
    expect(statSync(path.join(directory, auditFileName)).mode & 0o777).toBe(0o600);
  });

  it("is forgotten when it is older than it is to be kept", async () => {
    await log.begin(facts({ operation: "old" }));
    now += 1_000_001;
    await log.begin(facts({ operation: "new" }));
    await log.close();
    log = await open();
    await expect
      .poll(async () => (await log.read({ limit: 10 })).entries.map(({ operation }) => operation))
      .toEqual(["new"]);
  });
});

describe("the audit log", () => {
  it("is asked by time, subject, operation, namespace and outcome, a page at a time", async () => {
    for (let index = 0; index < 12; index++) {
      now += 1;
      const entry = await log.begin(
        facts({
          subject: index % 2 === 0 ? "key:ann" : "key:bob",
          operation: index % 3 === 0 ? "start" : "cancel",
          namespace: index % 4 === 0 ? "one" : "two",
        }),
      );
      log.end(entry, index % 6 === 0 ? "run_not_found" : "ok", {});
    }
    const all = (await log.read({ limit: 100 })).entries;
    expect(all.map(({ at }) => at)).toEqual(Array.from({ length: 12 }, (_, index) => now - index));
    for (const query of [
      { subject: "key:bob" },
      { operation: "start" },
      { namespace: "one" },
      { outcome: "run_not_found" },
      { since: now - 3 },
      { until: now - 8 },
      { subject: "key:ann", operation: "start", outcome: "ok" },
    ]) {
      const meant = all.filter((entry) =>
        Object.entries(query).every(([name, value]) =>
          name === "since"
            ? entry.at >= Number(value)
            : name === "until"
              ? entry.at <= Number(value)
              : entry[name as "subject"] === value,
        ),
      );
      const found = [];
      let cursor: string | undefined;
      do {
        const page: AuditPage = await log.read({
          ...query,
          limit: 2,
          ...(cursor === undefined ? {} : { cursor }),
        });
        found.push(...page.entries);
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect([query, found]).toEqual([query, meant]);
    }
    await expect(log.read({ limit: 1, cursor: "1 OR 1" })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});

describe("much that is there already", () => {
  const fill = async (count: number): Promise<void> => {
    await log.close();
    const file = new AuditFile(directory);
    const { ids, address } = facts();
    const more = { operation: "old", ids, address, at: now, outcome: "ok", count: 1 };
    file.write(
      Array.from({ length: count }, (_, index) => ({ ...more, id: index + 1 })),
      [],
    );
    file.close();
  };

  it("is looked through in parts, and what is to be written does not wait for all of them", async () => {
    await fill(120_000);
    log = await open();
    const ended: string[] = [];
    const read = log.read({ limit: 10, operation: "another" }).then(({ entries }) => {
      ended.push("read");
      return entries;
    });
    const begun = log.begin(facts()).then(() => ended.push("begun"));
    await Promise.all([read, begun]);
    expect(ended).toEqual(["begun", "read"]);
    expect(await read).toEqual([]);
    const far = await log.read({ limit: 10, cursor: String(Number.MAX_SAFE_INTEGER) });
    expect(far.entries).toHaveLength(10);
    const pages = [];
    for (let cursor: string | undefined = "50003"; cursor !== undefined;) {
      const page: AuditPage = await log.read({ limit: 25_001, cursor });
      pages.push(page.entries.length);
      cursor = page.nextCursor;
    }
    expect(pages).toEqual([25_001, 25_001]);
  });

  it("is forgotten in parts, and what is to be written does not wait for all of them", async () => {
    await fill(20_000);
    now += 1_000_001;
    log = await open();
    await log.begin(facts({ operation: "new" }));
    expect(readBeside({ limit: 1, operation: "old" }).entries).toHaveLength(1);
    await expect.poll(() => readBeside({ limit: 1, operation: "old" }).entries).toHaveLength(0);
  });
});

describe("refusals", () => {
  it("without end are counted: some entries a minute, and none is passed over", async () => {
    for (let minute = 0; minute < 3; minute++) {
      for (let index = 0; index < 5_000; index++)
        log.refused(facts({ subject: undefined, address: "198.51.100.1" }), "unauthenticated");
      now += 60_000;
    }
    log.refused(facts({ operation: "last" }), "permission_denied");
    const { entries } = await log.read({ limit: 1_000, outcome: "unauthenticated" });
    expect(entries.length).toBeLessThanOrEqual(3 * 11);
    expect(entries.reduce((sum, { count }) => sum + count, 0)).toBe(15_000);
    expect(entries.filter(({ count }) => count > 1)).toHaveLength(3);
  });

  it("from everywhere at once are bounded, too", async () => {
    for (let index = 0; index < 20_000; index++)
      log.refused(
        facts({ subject: undefined, address: `2001:db8::${index.toString(16)}` }),
        "unauthenticated",
      );
    now += 60_000;
    log.refused(facts({ operation: "last" }), "permission_denied");
    const { entries } = await log.read({ limit: 1_000, outcome: "unauthenticated" });
    expect(entries.length).toBeLessThan(600);
    expect(entries.reduce((sum, { count }) => sum + count, 0)).toBe(20_000);
    // Who did it only now and then is not lost among them.
    expect(readBeside({ operation: "last" }).entries).toHaveLength(1);
  });
});
