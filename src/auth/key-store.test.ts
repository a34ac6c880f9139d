import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Grant } from "../client/access.ts";
import { formatKey, newKeyId, newSecret, parseKey } from "./api-key.ts";
import { KeyStore, keyFileName } from "./key-store.ts";

const grants: readonly Grant[] = [{ roles: ["read"], namespaces: ["team-a"] }];

let directory: string;
let now: number;
let store: KeyStore;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-keys-"));
  now = 1_000_000;
  store = new KeyStore(directory, () => now);
});

afterEach(() => {
  store.close();
  rmSync(directory, { recursive: true });
});

describe("an API key", () => {
  it("is an id and 256 bits that nobody has twice", () => {
    const made = Array.from({ length: 100 }, () => ({ id: newKeyId(), secret: newSecret() }));
    expect(new Set(made.map(({ secret }) => secret)).size).toBe(100);
    for (const key of made) {
      expect(Buffer.from(key.secret, "base64url")).toHaveLength(32);
      expect(parseKey(formatKey(key))).toEqual(key);
    }
  });

  it("is nothing else, whatever is shown", () => {
    const whole = formatKey({ id: newKeyId(), secret: newSecret() });
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" })), fc.nat(whole.length), (noise, at) => {
        for (const text of [noise, whole.slice(0, at) + noise + whole.slice(at), whole.slice(0, at)]) {
          const parsed = parseKey(text);
          if (parsed !== undefined) expect(formatKey(parsed)).toBe(text);
        }
      }),
    );
    expect(parseKey(`${whole}\n`)).toBeUndefined();
  });

  it("says who shows it, and what he may", () => {
    const { key, token } = store.create({ subject: "ann", grants }, "key:root");
    expect(key).toEqual({ id: key.id, subject: "ann", grants, createdAt: now, createdBy: "key:root" });
    expect(store.prove(token)?.principal).toEqual({ subject: "key:ann", grants, keyId: key.id });
    expect(store.list()).toEqual([key]);
  });

  it("does not show its secret in any file, nor to others than its user", () => {
    const { token } = store.create({ subject: "ann", grants });
    const { secret = "" } = parseKey(token) ?? {};
    for (const name of readdirSync(directory)) {
      const file = path.join(directory, name);
      const content = readFileSync(file, "latin1");
      expect(content).not.toContain(secret);
      expect(content).not.toContain(Buffer.from(secret, "base64url").toString("latin1"));
      expect([name, statSync(file).mode & 0o777]).toEqual([name, 0o600]);
    }
    expect(readdirSync(directory)).toContain(keyFileName);
  });

  it("does not hold with a bit of its secret changed, or with the id of another", () => {
    const [one, other] = [store.create({ subject: "a", grants }), store.create({ subject: "b", grants })];
    const secret = parseKey(one.token)?.secret ?? "";
    for (let at = 0; at < secret.length; at++) {
      const changed = `${secret.slice(0, at)}${secret[at] === "A" ? "B" : "A"}${secret.slice(at + 1)}`;
      expect(store.prove(formatKey({ id: one.key.id, secret: changed }))).toBeUndefined();
    }
    expect(store.prove(formatKey({ id: other.key.id, secret }))).toBeUndefined();
    expect(store.prove(formatKey({ id: newKeyId(), secret }))).toBeUndefined();
  });

  it("expires to the millisecond, also for what is open with it", () => {
    const { key, token } = store.create({ subject: "ann", grants, expiresInMs: 500 });
    expect(key.expiresAt).toBe(now + 500);
    const proof = store.prove(token);
    now += 499;
    expect(store.prove(token)).toBeDefined();
    expect(proof?.holds()).toBe(true);
    now += 1;
    expect(store.prove(token)).toBeUndefined();
    expect(proof?.holds()).toBe(false);
  });

  it("that is made again under the name of the call is the same one, with a secret that the caller has", () => {
    const request = { subject: "ann", grants, requestId: "r1" };
    const { key, token: lost } = store.create(request);
    const { key: again, token } = store.create(request);
    expect(again).toEqual(key);
    expect([store.prove(lost), store.prove(token)?.principal.keyId]).toEqual([undefined, key.id]);
    expect(store.list()).toHaveLength(1);
    for (const other of [
      { ...request, subject: "bob" },
      { ...request, grants: [] },
      { ...request, expiresInMs: 1_000 },
    ])
      expect(() => store.create(other)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    expect(() => store.create(request, "key:another admin")).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
    expect(store.prove(token)).toBeDefined();
    now += 5;
    const brief = { ...request, expiresInMs: 1_000, requestId: "brief" };
    expect(store.create(brief, "key:root").key).toEqual(store.create(brief, "key:root").key);
    expect(store.create({ ...request, requestId: "r2" }).key.id).not.toBe(key.id);
  });

  it("that is rotated again under the name of the call keeps the secret that is in use", () => {
    const { key, token: used } = store.create({ subject: "ann", grants });
    const request = { id: key.id, overlapMs: 1_000, requestId: "r1" };
    const { token: lost } = store.rotate(request);
    now += 500;
    const { key: rotated, token } = store.rotate(request);
    expect(rotated.previousUntil).toBe(now + 500);
    expect([used, lost, token].map((each) => store.prove(each) !== undefined)).toEqual([true, false, true]);
    // Under another name it is another rotation.
    store.rotate({ ...request, requestId: "r2" });
    expect([used, token].map((each) => store.prove(each) !== undefined)).toEqual([false, true]);
  });

  it("that is revoked holds no more, and stays on the list", () => {
    const { key, token } = store.create({ subject: "ann", grants });
    const proof = store.prove(token);
    expect(store.revoke(key.id)).toMatchObject({ revokedAt: now });
    now += 5;
    expect(store.revoke(key.id)).toMatchObject({ revokedAt: now - 5 });
    expect([store.prove(token), proof?.holds()]).toEqual([undefined, false]);
    expect(store.list()).toMatchObject([{ id: key.id, revokedAt: now - 5 }]);
    expect(() => store.rotate({ id: key.id })).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    expect(() => store.revoke("nobody")).toThrow(expect.objectContaining({ code: "key_not_found" }));
  });

  it("does not take a secret again that was over at once, though the clock is set back", () => {
    const { key, token: first } = store.create({ subject: "ann", grants });
    const { token: second } = store.rotate({ id: key.id, overlapMs: 0 });
    now -= 500;
    expect([store.prove(first) === undefined, store.prove(second) === undefined]).toEqual([true, false]);
  });

  it("has two secrets while it is rotated, then the later one", () => {
    const { key, token: first } = store.create({ subject: "ann", grants });
    const { key: rotated, token: second } = store.rotate({ id: key.id, overlapMs: 100 });
    expect(rotated).toMatchObject({ id: key.id, rotatedAt: now, previousUntil: now + 100 });
    const proof = store.prove(first);
    expect(store.prove(second)?.principal).toEqual(proof?.principal);
    now += 99;
    expect(store.prove(first)).toBeDefined();
    now += 1;
    expect([store.prove(first), proof?.holds()]).toEqual([undefined, false]);
    expect(store.prove(second)).toBeDefined();
    // A second rotation leaves the one before it, and no other.
    const { token: third } = store.rotate({ id: key.id, overlapMs: 100 });
    const { token: fourth } = store.rotate({ id: key.id, overlapMs: 0 });
    expect([second, third, fourth].map((token) => store.prove(token) !== undefined)).toEqual([
      false,
      false,
      true,
    ]);
    store.revoke(key.id);
    expect(store.prove(fourth)).toBeUndefined();
  });

  it("that is changed by another process is seen changed at the next question", () => {
    const other = new KeyStore(directory, () => now);
    const { key, token } = other.create({ subject: "ann", grants });
    const proof = store.prove(token);
    expect(proof).toBeDefined();
    other.revoke(key.id);
    expect([proof?.holds(), store.prove(token)]).toEqual([false, undefined]);
    expect(store.list()).toMatchObject([{ revokedAt: now }]);
    other.close();
  });

  it("is there after a restart", () => {
    const { token } = store.create({ subject: "ann", grants });
    store.close();
    store = new KeyStore(directory, () => now);
    expect(store.prove(token)?.principal.subject).toBe("key:ann");
  });

  it.each([
    [{ subject: "", grants }],
    [{ subject: "a\nb", grants }],
    [{ subject: "a", grants: [{ roles: ["root"], namespaces: "*" }] as never }],
    [{ subject: "a", grants, expiresInMs: -1 }],
    [{ subject: "a", grants, expiresInMs: Number.NaN }],
  ])("is not made of %j", (request) => {
    expect(() => store.create(request)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
    expect(store.list()).toEqual([]);
  });

  it("whose row was damaged grants nothing, and the others hold", () => {
    const [one, other] = [store.create({ subject: "a", grants }), store.create({ subject: "b", grants })];
    const database = new DatabaseSync(path.join(directory, keyFileName));
    database.prepare("UPDATE keys SET grants = '[{}]' WHERE id = ?").run(one.key.id);
    database.close();
    expect(store.prove(one.token)?.principal.grants).toEqual([]);
    expect(store.prove(other.token)?.principal.grants).toEqual(grants);
  });
});

describe("the file of the keys", () => {
  it("tells of what another process changes in it when that counts", async () => {
    const { token, key } = store.create({ subject: "a", grants });
    const proof = store.prove(token);
    const told: (boolean | undefined)[] = [];
    store.watch(() => told.push(proof?.holds()));
    const elsewhere = `
      const database = new (require("node:sqlite").DatabaseSync)(process.argv[1]);
      database.exec("PRAGMA synchronous = FULL");
      database.prepare("UPDATE keys SET revoked_at = 1 WHERE id = ?").run(process.argv[2]);
    `;
    const file = path.join(directory, keyFileName);
    const ran = spawn(process.execPath, ["-e", elsewhere, file, key.id], { stdio: "inherit" });
    expect(await once(ran, "exit")).toEqual([0, null]);
    await expect.poll(() => told.at(-1)).toBe(false);
  });

  it("tells when a key is over by itself", () => {
    const forever = store.create({ subject: "a", grants });
    expect(store.prove(forever.token)?.expiresAt()).toBeUndefined();
    const brief = store.create({ subject: "b", grants, expiresInMs: 60_000 });
    const [old] = [store.prove(brief.token)];
    expect(old?.expiresAt()).toBe(now + 60_000);
    store.rotate({ id: brief.key.id, overlapMs: 1_000 });
    expect(old?.expiresAt()).toBe(now + 1_000);
  });

  it("that is something else is not touched", () => {
    const elsewhere = mkdtempSync(path.join(tmpdir(), "aion-keys-"));
    const file = path.join(elsewhere, keyFileName);
    writeFileSync(file, "no database, and never was one".repeat(100));
    chmodSync(file, 0o600);
    expect(() => new KeyStore(elsewhere)).toThrow(expect.objectContaining({ code: "store_unavailable" }));
    expect(readFileSync(file, "utf8")).toContain("never was one");
    rmSync(elsewhere, { recursive: true });
  });
});
