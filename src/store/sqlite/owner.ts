import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { assert } from "../../core/errors.ts";
import type { AionError } from "../../core/errors.ts";
import type { OwnerClaim, OwnerRecord } from "../contract.ts";
import { notOwner } from "../commit.ts";
import { storeOwned } from "../owned.ts";
import { nextEra } from "../feed.ts";

/**
 * The owner row: who may write.
 *
 * Owner: the connection it is made with. Law: every method runs inside a transaction that the caller began,
 * so what was checked still holds when it is written.
 *  1. The epoch only grows, by one at each claim, and outlives the owner.
 *  2. An owner of this machine is alive while its process is there; another's, while its lease lasts.
 *  3. Whoever has not renewed within the lease may be replaced, alive or not: the epoch fences it.
 */
export class OwnerRow {
  readonly #storeName: string;
  readonly #read: StatementSync;
  readonly #readLease: StatementSync;
  readonly #claim: StatementSync;
  readonly #renew: StatementSync;
  readonly #renewAlone: StatementSync;
  readonly #release: StatementSync;

  constructor(database: DatabaseSync, storeName: string) {
    this.#storeName = storeName;
    this.#read = database.prepare(
      "SELECT epoch, pid, host, machine, process_started, endpoint, claimed_at, lease_ms, lease_until FROM owner WHERE id = 1",
    );
    this.#readLease = database.prepare(
      "SELECT epoch, pid, lease_ms, lease_until, feed_keep_ms, feed_floor FROM owner WHERE id = 1",
    );
    this.#claim = database.prepare(
      `UPDATE owner SET epoch = epoch + 1, pid = ?, host = ?, machine = ?, process_started = ?, endpoint = ?,
         claimed_at = ?, lease_ms = ?, lease_until = ? WHERE id = 1`,
    );
    this.#renew = database.prepare("UPDATE owner SET lease_until = ? WHERE id = 1");
    this.#renewAlone = database.prepare(
      "UPDATE owner SET lease_until = ? + lease_ms WHERE id = 1 AND epoch = ? AND pid IS NOT NULL",
    );
    this.#release = database.prepare(releaseSql);
  }

  /** Returns the epoch. Throws `store_owned`. */
  claim(claim: OwnerClaim, now: number): number {
    const current = this.read(now);
    if (current?.isAlive === true) throw storeOwned(this.#storeName, current, now);
    const { pid, host, machine, processStarted } = thisProcess();
    this.#claim.run(
      pid,
      host,
      machine,
      processStarted,
      claim.endpoint ?? null,
      now,
      claim.leaseMs,
      now + claim.leaseMs,
    );
    return this.#row().epoch;
  }

  /** Throws `not_owner` unless the epoch is the current one. */
  check(epoch: number, now: number): void {
    const lease = this.readLease();
    const refusal = this.refusal(lease, epoch);
    if (refusal !== undefined) throw refusal;
    this.renewWhenDue(lease, now);
  }

  readLease(): Lease {
    const row = this.#readLease.get();
    assert(row, "the owner row is there from the creation of the file");
    return {
      epoch: Number(row["epoch"]),
      isOwned: row["pid"] !== null,
      // 0 when they are null: nobody's.
      leaseMs: Number(row["lease_ms"]),
      leaseUntil: Number(row["lease_until"]),
      feedKeepMs: numberOrNull(row["feed_keep_ms"]) ?? undefined,
      feedFloor: Number(row["feed_floor"]),
    };
  }

  refusal(lease: Lease, epoch: number): AionError | undefined {
    if (lease.isOwned && lease.epoch === epoch) return undefined;
    return notOwner(this.#storeName, { epoch, currentEpoch: lease.epoch });
  }

  /** Whoever writes lives: the lease is renewed on the way when a third of it has passed. */
  renewWhenDue(lease: Lease, now: number): void {
    if (now <= lease.leaseUntil - (2 * lease.leaseMs) / 3) return;
    lease.leaseUntil = now + lease.leaseMs;
    this.#renew.run(lease.leaseUntil);
  }

  /** One statement, and a transaction of its own: an idle engine does this and nothing else. Throws `not_owner`. */
  renew(epoch: number, now: number): number {
    const changes = Number(this.#renewAlone.run(now, epoch).changes);
    if (changes === 0) throw notOwner(this.#storeName, { epoch, currentEpoch: this.#row().epoch });
    return changes;
  }

  /** Returns 1 if there was something to give up. */
  release(epoch: number): number {
    const row = this.#row();
    return row.pid !== null && row.epoch === epoch ? Number(this.#release.run().changes) : 0;
  }

  read(now: number): OwnerRecord | undefined {
    const row = this.#row();
    if (row.pid === null) return undefined;
    const leaseUntil = row.leaseUntil ?? 0;
    return {
      epoch: row.epoch,
      pid: row.pid,
      host: row.host ?? "",
      ...(row.endpoint === null ? {} : { endpoint: row.endpoint }),
      claimedAt: row.claimedAt ?? 0,
      leaseUntil,
      isAlive:
        now <= leaseUntil &&
        !isKnownDead({ pid: row.pid, machine: row.machine, processStarted: row.processStarted }),
    };
  }

  /** The owner with what tells whether it is alive, frozen or gone. */
  inspect(now: number): OwnerFacts | undefined {
    const owner = this.read(now);
    if (owner === undefined) return undefined;
    const row = this.#row();
    const identity = { pid: owner.pid, machine: row.machine, processStarted: row.processStarted };
    return {
      ...owner,
      renewedAt: owner.leaseUntil - (row.leaseMs ?? 0),
      isGone: isKnownDead(identity),
      isHere: row.machine !== null && row.machine === machineOf(),
    };
  }

  #row(): OwnerColumns {
    const row = this.#read.get();
    assert(row, "the owner row is there from the creation of the file");
    return {
      epoch: Number(row["epoch"]),
      pid: numberOrNull(row["pid"]),
      host: textOrNull(row["host"]),
      machine: textOrNull(row["machine"]),
      processStarted: textOrNull(row["process_started"]),
      endpoint: textOrNull(row["endpoint"]),
      claimedAt: numberOrNull(row["claimed_at"]),
      leaseMs: numberOrNull(row["lease_ms"]),
      leaseUntil: numberOrNull(row["lease_until"]),
    };
  }
}

export interface OwnerFacts extends OwnerRecord {
  /** When it last said that it lives. */
  readonly renewedAt: number;
  /** Its process has ended, as far as this machine can tell. */
  readonly isGone: boolean;
  /** Its process is one of this machine and this container, so that its pid means something here. */
  readonly isHere: boolean;
}

const releaseSql = "UPDATE owner SET pid = NULL, endpoint = NULL, lease_until = NULL WHERE id = 1";

/** Of a copy: nobody owns it, whoever owns the original; and its feed is another one from here on. */
export function disown(database: DatabaseSync): void {
  database.exec(releaseSql);
  const era = Number(database.prepare("SELECT feed_era FROM owner WHERE id = 1").get()?.["feed_era"] ?? 0);
  if (era > 0) database.prepare("UPDATE owner SET feed_era = ? WHERE id = 1").run(nextEra(era, Date.now()));
}

/** What an append must know of the owner row. */
export interface Lease {
  readonly epoch: number;
  readonly isOwned: boolean;
  readonly leaseMs: number;
  leaseUntil: number;
  /** Undefined: nothing gets into the feed. */
  readonly feedKeepMs: number | undefined;
  readonly feedFloor: number;
}

interface OwnerColumns {
  readonly epoch: number;
  readonly pid: number | null;
  readonly host: string | null;
  readonly machine: string | null;
  readonly processStarted: string | null;
  readonly endpoint: string | null;
  readonly claimedAt: number | null;
  readonly leaseMs: number | null;
  readonly leaseUntil: number | null;
}

interface ProcessIdentity {
  readonly pid: number;
  /** Names the space in which `pid` means this process: one boot of one kernel, one pid namespace. */
  readonly machine: string | null;
  /** Tells the process from a later one that got the same pid. */
  readonly processStarted: string | null;
}

function thisProcess(): ProcessIdentity & { readonly host: string } {
  return {
    pid: process.pid,
    host: hostname(),
    machine: machineOf(),
    processStarted: readProcess(process.pid)?.started ?? null,
  };
}

/** False also when it cannot be told: then the lease decides. */
function isKnownDead(owner: ProcessIdentity): boolean {
  const machine = machineOf();
  if (machine === null || owner.machine === null) return false;
  if (owner.machine !== machine) {
    // The same machine, started anew: none of its processes has survived. Otherwise another machine or container.
    const [boot, space, host] = owner.machine.split("/");
    const [bootNow, spaceNow, hostNow] = machine.split("/");
    return host === hostNow && space === spaceNow && boot !== bootNow;
  }
  if (!isRunning(owner.pid)) return true;
  const found = readProcess(owner.pid);
  if (found === undefined) return false;
  return found.isEnded || (owner.processStarted !== null && found.started !== owner.processStarted);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and another user's.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

let machine: string | null | undefined;

function machineOf(): string | null {
  if (machine === undefined) {
    try {
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
      const space = readlinkSync("/proc/self/ns/pid");
      machine = `${boot}/${space}/${hostname()}`;
    } catch {
      machine = process.platform === "linux" ? null : `-/-/${hostname()}`;
    }
  }
  return machine;
}

/** When a process started, in the kernel's ticks since boot, and whether it has ended and waits to be reaped. */
function readProcess(pid: number): { readonly started: string; readonly isEnded: boolean } | undefined {
  try {
    // proc_pid_stat(5): fields 3 and 22. The second is the command in brackets, and may itself hold brackets.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const started = fields[19];
    return started === undefined ? undefined : { started, isEnded: fields[0] === "Z" || fields[0] === "X" };
  } catch {
    return undefined;
  }
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
