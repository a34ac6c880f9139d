import { randomBytes } from "node:crypto";
import path from "node:path";
import process from "node:process";
import type { RemoteOptions } from "../../client/remote.ts";
import { pingLocal } from "../../local/client.ts";
import type { OwnerFacts } from "../../store/sqlite/owner.ts";
import { thisVersion } from "../../store/sqlite/version.ts";
import { formatSpan } from "../instant.ts";
import type { PlaceFacts } from "./disk.ts";
import type { CheckName, Finding } from "./finding.ts";
import { checkNames, failed, ok, skipped, warning } from "./finding.ts";
import { checkNode, checkPort, checkSqlite, serverPort } from "./machine.ts";
import { checkFile, checkFileSystem, checkLogSize, checkSpace, checkSync } from "./place-checks.ts";
import type { Probed } from "./probe.ts";
import { probe } from "./probe.ts";
import { lookAtServer } from "./server-checks.ts";
import type { Ping } from "./store-checks.ts";
import {
  checkAttributes,
  checkBlocked,
  checkParked,
  checkClock,
  checkOwner,
  checkSchedules,
  checkTimers,
  checkVersion,
} from "./store-checks.ts";

export interface ExamineOptions {
  /** The file of the store; without it the machine alone is looked at. */
  readonly path?: string | undefined;
  /** Instead of a store. */
  readonly server?: RemoteOptions | undefined;
  /** How long the integrity of the file may be looked at. */
  readonly integrityTimeoutMs: number;
  readonly onFinding?: (finding: Finding) => void;
}

const placeTimeoutMs = 5_000;
const syncTimeoutMs = 8_000;
/** More than a busy file is waited for. */
const storeTimeoutMs = 10_000;
/** An engine that runs takes up what is due at once; this long after it, something is wrong. */
const dueGraceMs = 60_000;

/** All checks, one after the other; each finding is told when it is there. Nothing of the store is written. */
export async function examine(options: ExamineOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of look(options)) {
    findings.push(finding);
    options.onFinding?.(finding);
  }
  return findings;
}

async function* look({ path: file, server, integrityTimeoutMs }: ExamineOptions): AsyncGenerator<Finding> {
  yield checkNode(process.versions.node);
  yield checkSqlite(process.versions["sqlite"] ?? "0");
  yield await checkPort(serverPort);
  if (server !== undefined) yield* lookAtServer(server, thisVersion());
  if (file === undefined) return;
  const rest = checkNames.slice(checkNames.indexOf("file"));

  const place = await probe({ probe: "place", path: file }, placeTimeoutMs);
  if (place.kind !== "done") {
    yield unanswered("file", place, `where ${file} should be`);
    yield* skipAll(rest.slice(1), "what is at that place could not be told");
    return;
  }
  const fileFinding = checkFile(place.result);
  yield fileFinding;
  yield checkFileSystem(place.result, process.platform);
  yield checkSpace(place.result);
  yield await checkSyncAt(place.result);
  if (place.result.file === undefined || fileFinding.status === "failed") {
    yield* skipAll(rest.slice(rest.indexOf("store")), "there is no file that could be read");
    return;
  }
  yield* lookAtStore(place.result, integrityTimeoutMs);
}

async function checkSyncAt({ directory, isDirectoryWritable }: PlaceFacts): Promise<Finding> {
  if (!isDirectoryWritable) return skipped("sync", `nothing can be written in ${directory}`);
  const file = path.join(directory, `.aion-doctor-${process.pid}-${randomBytes(4).toString("hex")}`);
  const probed = await probe({ probe: "sync", file }, syncTimeoutMs);
  if (probed.kind === "done") return checkSync(probed.result);
  // What it has written stays: to remove it might hang as well.
  return unanswered("sync", probed, `a write in ${directory}`);
}

async function* lookAtStore(place: PlaceFacts, integrityTimeoutMs: number): AsyncGenerator<Finding> {
  const { path: file } = place;
  const now = Date.now();
  const store = await probe({ probe: "store", path: file, now, dueBy: now - dueGraceMs }, storeTimeoutMs);
  yield store.kind === "done"
    ? ok("store", "it can be opened and read, and its log is whole", { runCount: store.result.runCount })
    : unanswered("store", store, `the store ${file}`);
  yield checkLogSize(place);
  if (store.kind !== "done") {
    const rest = checkNames.slice(checkNames.indexOf("integrity"));
    yield* skipAll(rest, "the store could not be read");
    return;
  }
  yield await checkIntegrity(file, integrityTimeoutMs);
  const compared = await probe({ probe: "attributes", path: file }, storeTimeoutMs);
  yield compared.kind === "done"
    ? checkAttributes(compared.result)
    : unanswered("attributes", compared, `the store ${file}`);
  const facts = store.result;
  yield checkOwner(facts.owner, await ping(facts.owner), now);
  yield checkVersion(facts, thisVersion());
  yield checkClock(facts, now);
  yield checkBlocked(facts);
  yield checkParked(facts);
  yield checkTimers(facts, now);
  const schedules = await probe({ probe: "schedules", path: file, now }, storeTimeoutMs);
  yield schedules.kind === "done"
    ? checkSchedules(schedules.result, now)
    : unanswered("schedules", schedules, "the schedules of the store");
}

async function ping(owner: OwnerFacts | undefined): Promise<Ping> {
  // One of another container may be reached too, if the directory is shared.
  if (owner?.endpoint === undefined || owner.isGone) return undefined;
  const refusal = await pingLocal(owner.endpoint);
  return refusal === undefined ? { isAnswered: true } : { isAnswered: false, refusal };
}

async function checkIntegrity(file: string, timeoutMs: number): Promise<Finding> {
  const probed = await probe({ probe: "integrity", path: file }, timeoutMs);
  if (probed.kind === "timeout") {
    const which = probed.done.length === 0 ? "no table" : `only ${probed.done.join(", ")}`;
    return warning(
      "integrity",
      `in ${formatSpan(timeoutMs)} ${which} could be looked through, and nothing wrong was found`,
      "Give it more time with --integrity-timeout, or make a backup: `aion backup` reads everything.",
      { isComplete: false },
    );
  }
  if (probed.kind === "failed") return unanswered("integrity", probed, file);
  const { damage } = probed.result;
  if (damage === undefined)
    return ok("integrity", "no page of it is damaged, as far as a quick look tells", { isComplete: true });
  return failed(
    "integrity",
    `the file is damaged: ${damage}`,
    "Stop the engine, keep a copy of the file, and restore it from a backup.",
    { isComplete: true },
  );
}

function unanswered(
  check: CheckName,
  probed: Exclude<Probed<unknown>, { readonly kind: "done" }>,
  what: string,
): Finding {
  if (probed.kind === "failed") {
    const { code, message, hint, details } = probed;
    const isOlder = code === "store_unavailable" && Number(details["found"]) < Number(details["needed"]);
    return (isOlder ? warning : failed)(check, message, hint, { code });
  }
  return failed(
    check,
    `${what} did not answer within ${formatSpan(probed.timeoutMs)}`,
    "Look for a network disk that is away, for a disk with errors, or for a process that holds the file.",
    { timeoutMs: probed.timeoutMs },
  );
}

function* skipAll(checks: readonly CheckName[], why: string): Generator<Finding> {
  for (const check of checks) yield skipped(check, why);
}
