import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type {
  Grant,
  KeyDirectory,
  KeyRequest,
  KeySecret,
  KeySummary,
  RotateRequest,
} from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import { formatKey, hashOf, isSecret, newKeyId, newSecret, parseKey } from "./api-key.ts";
import { parseGrants } from "./grants.ts";
import type { Principal } from "./policy.ts";
import { makePrivate } from "./private-file.ts";

/** In the directory of the server's data. */
export const keyFileName = "keys.db";
export const overlapMsDefault = 24 * 60 * 60 * 1_000;

const fileFormat = 2;
const busyMs = 5_000;
const lookMs = 1_000;

const schema = `
CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  grants TEXT NOT NULL,
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT,
  expires_at INTEGER,
  revoked_at INTEGER,
  rotated_at INTEGER,
  previous_hash BLOB,
  previous_until INTEGER,
  created_request TEXT,
  rotated_request TEXT
) STRICT, WITHOUT ROWID;
PRAGMA user_version = ${fileFormat};
`;

/** From a format to the next one. */
const upgrades: Readonly<Record<number, string>> = {
  1: `ALTER TABLE keys ADD COLUMN created_request TEXT;
ALTER TABLE keys ADD COLUMN rotated_request TEXT;
PRAGMA user_version = 2;`,
};

interface Key extends KeySummary {
  readonly hash: Uint8Array;
  readonly createdRequest?: string;
  readonly rotatedRequest?: string;
  readonly previousHash?: Uint8Array;
}

/** What was shown is a key that holds, or is none. */
export interface KeyProof {
  readonly principal: Principal;
  /** Whether it still holds. */
  readonly holds: () => boolean;
  /** When it will not, unless something is changed. `undefined`: it will. */
  readonly expiresAt: () => number | undefined;
}

/**
 * The API keys of a server, in a file of its data directory that only its user can read. Of a secret only the hash is kept.
 *
 * Law: every change is on disk (fsync) before it is answered. Other processes may write to the file, too (`aion key --data`): that
 * is seen at the next question.
 */
export class KeyStore implements KeyDirectory {
  readonly #database: DatabaseSync;
  readonly #now: () => number;
  readonly #dataVersion: { get(): unknown };
  #keys: ReadonlyMap<string, Key> = new Map();
  #version: unknown;
  #onChange: (() => void) | undefined;
  #unwatch = (): void => undefined;

  /** Made if it is not there. Error: `store_unavailable`. */
  constructor(directory: string, now: () => number = Date.now) {
    this.#now = now;
    const file = path.join(directory, keyFileName);
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      makePrivate(file);
      this.#database = new DatabaseSync(file);
      this.#database.exec(
        `PRAGMA busy_timeout = ${busyMs}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`,
      );
      this.#make(file);
      this.#dataVersion = this.#database.prepare("PRAGMA data_version");
      this.#load();
    } catch (error) {
      if (error instanceof AionError) throw error;
      throw new AionError("store_unavailable", `cannot open ${file}: ${messageOf(error)}`, {
        cause: error,
        hint: "Check that the directory can be written by this user, and that the file was made by Aion.",
      });
    }
  }

  #make(file: string): void {
    this.#transaction(() => {
      const { user_version: format } = this.#database.prepare("PRAGMA user_version").get() as {
        readonly user_version: number;
      };
      if (format === 0) this.#database.exec(schema);
      else if (upgrades[format] !== undefined) this.#database.exec(upgrades[format]);
      else if (format !== fileFormat)
        throw new AionError("store_newer_format", `${file} was written by a newer version of Aion`);
    });
  }

  list(): readonly KeySummary[] {
    this.#refresh();
    return [...this.#keys.values()]
      .map(toSummary)
      .toSorted((left, right) => left.createdAt - right.createdAt || (left.id < right.id ? -1 : 1));
  }

  /** Error: `invalid_argument`. */
  create({ subject, grants, expiresInMs, requestId }: KeyRequest, createdBy?: string): KeySecret {
    const [secret, createdAt] = [newSecret(), this.#now()];
    let id = newKeyId();
    const expiresAt = expiresInMs === undefined ? null : createdAt + parseMs(expiresInMs, "expiresInMs");
    const granted = JSON.stringify(parseGrants(grants));
    const request = requestId === undefined ? undefined : parseName(requestId, "request id");
    parseName(subject, "subject");
    this.#change(() => {
      const made =
        request === undefined
          ? undefined
          : [...this.#keys.values()].find((key) => key.createdRequest === request);
      if (made === undefined) {
        this.#database
          .prepare(
            "INSERT INTO keys (id, subject, grants, hash, created_at, created_by, expires_at, created_request) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
          )
          .run(
            id,
            subject,
            granted,
            hashOf(secret),
            createdAt,
            createdBy ?? null,
            expiresAt,
            request ?? null,
          );
        return;
      }
      const madeInMs = made.expiresAt === undefined ? undefined : made.expiresAt - made.createdAt;
      const isSame =
        made.subject === subject &&
        JSON.stringify(made.grants) === granted &&
        // The name that somebody else gave to a call of his says nothing of this one.
        made.createdBy === createdBy &&
        madeInMs === expiresInMs;
      if (!isSame || made.revokedAt !== undefined || made.rotatedAt !== undefined)
        throw new AionError(
          "invalid_argument",
          `request id ${JSON.stringify(request)} has made key ${made.id}, which is ${isSame ? "no longer as it was made" : "for somebody or something else"}`,
        );
      id = made.id;
      this.#database.prepare("UPDATE keys SET hash = ? WHERE id = ?").run(hashOf(secret), id);
    });
    return { key: toSummary(this.#find(id)), token: formatKey({ id, secret }) };
  }

  /** Errors: `key_not_found`, `invalid_argument` (it was revoked). */
  rotate({ id, overlapMs = overlapMsDefault, requestId }: RotateRequest): KeySecret {
    const secret = newSecret();
    const now = this.#now();
    const until = now + parseMs(overlapMs, "overlapMs");
    const request = requestId === undefined ? undefined : parseName(requestId, "request id");
    this.#change(() => {
      const { revokedAt, rotatedRequest } = this.#find(id);
      if (revokedAt !== undefined)
        throw new AionError("invalid_argument", `key ${id} was revoked: it takes a new one`);
      if (request !== undefined && request === rotatedRequest) {
        this.#database.prepare("UPDATE keys SET hash = ? WHERE id = ?").run(hashOf(secret), id);
        return;
      }
      this.#database
        .prepare(
          // One that is over at once does not come back when the clock is set back.
          "UPDATE keys SET previous_hash = iif(? > 0, hash, NULL), previous_until = ?, hash = ?, rotated_at = ?, rotated_request = ? WHERE id = ?",
        )
        .run(overlapMs, until, hashOf(secret), now, request ?? null, id);
    });
    return { key: toSummary(this.#find(id)), token: formatKey({ id, secret }) };
  }

  /** Error: `key_not_found`. */
  revoke(id: string): KeySummary {
    this.#change(() => {
      this.#find(id);
      this.#database
        .prepare("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
        .run(this.#now(), id);
    });
    return toSummary(this.#find(id));
  }

  /** `undefined`: no key that holds now. */
  prove(token: string): KeyProof | undefined {
    const shown = parseKey(token);
    if (shown === undefined) return undefined;
    this.#refresh();
    const given = hashOf(shown.secret);
    const holds = (): boolean => {
      this.#refresh();
      return this.#holds(this.#keys.get(shown.id), given);
    };
    const key = this.#keys.get(shown.id);
    if (!this.#holds(key, given) || key === undefined) return undefined;
    const expiresAt = (): number | undefined => {
      const { previousUntil, ...now } = this.#keys.get(shown.id) ?? key;
      if (isSecret(given, now.hash) || previousUntil === undefined) return now.expiresAt;
      return Math.min(previousUntil, now.expiresAt ?? Infinity);
    };
    const principal = { subject: `key:${key.subject}`, grants: key.grants, keyId: key.id };
    return { principal, holds, expiresAt };
  }

  #holds(key: Key | undefined, given: Buffer): boolean {
    const now = this.#now();
    const isCurrent = isSecret(given, key?.hash);
    const isPrevious = isSecret(given, key?.previousHash) && now < (key?.previousUntil ?? 0);
    if (key === undefined || !(isCurrent || isPrevious) || key.revokedAt !== undefined) return false;
    return key.expiresAt === undefined || now < key.expiresAt;
  }

  /**
   * Calls back after a key was changed: at once if that was here, within a second if it was in another process. What the system tells of
   * the file comes too early: it tells of what is written before it counts, and not of the moment from which on it does.
   */
  watch(onChange: () => void): void {
    this.#onChange = onChange;
    let told = this.#version;
    const look = (): void => {
      try {
        this.#refresh();
      } catch {
        // The next time, then; whoever calls meanwhile is told.
        return;
      }
      if (told === this.#version) return;
      told = this.#version;
      onChange();
    };
    const timer = setInterval(look, lookMs).unref();
    this.#unwatch = () => clearInterval(timer);
  }

  close(): void {
    this.#unwatch();
    this.#database.close();
  }

  #find(id: string): Key {
    const key = this.#keys.get(id);
    if (key === undefined)
      throw new AionError("key_not_found", `there is no key ${JSON.stringify(id.slice(0, 100))}`);
    return key;
  }

  #change(write: () => void): void {
    this.#transaction(() => {
      this.#load();
      write();
    });
    this.#load();
    this.#onChange?.();
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #refresh(): void {
    const { data_version: version } = this.#dataVersion.get() as { readonly data_version: number };
    if (version === this.#version) return;
    this.#load();
    this.#version = version;
  }

  #load(): void {
    const rows = this.#database.prepare("SELECT * FROM keys").all() as unknown as readonly Row[];
    this.#keys = new Map(rows.map((row) => [row.id, toKey(row)]));
  }
}

interface Row {
  readonly id: string;
  readonly subject: string;
  readonly grants: string;
  readonly hash: Uint8Array;
  readonly created_at: number;
  readonly created_by: string | null;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
  readonly rotated_at: number | null;
  readonly previous_hash: Uint8Array | null;
  readonly previous_until: number | null;
  readonly created_request: string | null;
  readonly rotated_request: string | null;
}

function toKey(row: Row): Key {
  return {
    id: row.id,
    subject: row.subject,
    grants: toGrants(row.grants),
    hash: row.hash,
    createdAt: row.created_at,
    ...(row.created_by === null ? {} : { createdBy: row.created_by }),
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
    ...(row.rotated_at === null ? {} : { rotatedAt: row.rotated_at }),
    ...(row.previous_hash === null ? {} : { previousHash: row.previous_hash }),
    ...(row.previous_until === null ? {} : { previousUntil: row.previous_until }),
    ...(row.created_request === null ? {} : { createdRequest: row.created_request }),
    ...(row.rotated_request === null ? {} : { rotatedRequest: row.rotated_request }),
  };
}

/** A row that somebody damaged grants nothing, and keeps no other key from being one. */
function toGrants(text: string): readonly Grant[] {
  try {
    return parseGrants(JSON.parse(text));
  } catch {
    return [];
  }
}

function toSummary(key: Key): KeySummary {
  const {
    hash: _hash,
    previousHash: _previous,
    createdRequest: _created,
    rotatedRequest: _rotated,
    ...summary
  } = key;
  return summary;
}

function parseMs(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= 100 * 365 * 86_400_000) return value;
  throw new AionError("invalid_argument", `${what} is no number of milliseconds: ${String(value)}`);
}
