import type { AionError } from "../../core/errors.ts";
import { countMax } from "../../store/sqlite/inspection.ts";
import type { StoreFacts } from "../../store/sqlite/inspection.ts";
import type { OwnerFacts } from "../../store/sqlite/owner.ts";
import { isLaterVersion } from "../../store/sqlite/version.ts";
import { formatSpan, formatWhen } from "../instant.ts";
import type { AttributeFacts } from "./compare-attributes.ts";
import type { Facts, Finding } from "./finding.ts";
import type { ScheduleFacts } from "./probe.ts";
import { failed, ok, warning } from "./finding.ts";

/** Whether the owner's socket answers: `undefined` if it has none. */
export type Ping = { readonly isAnswered: boolean; readonly refusal?: AionError } | undefined;

export function checkOwner(owner: OwnerFacts | undefined, ping: Ping, now: number): Finding {
  if (owner === undefined) return ok("owner", "no engine has the store open", { isOwned: false });
  const { pid, host, claimedAt, leaseUntil } = owner;
  const facts: Facts = {
    isOwned: true,
    pid,
    host,
    claimedAt,
    leaseUntil,
    isAlive: owner.isAlive,
    isAnswering: ping?.isAnswered === true,
  };
  const who = `process ${pid} on ${host}`;
  if (owner.isGone)
    return ok("owner", `${who}, which had it open, has ended; the next engine takes over at once`, facts);
  if (ping?.isAnswered === true)
    return ok("owner", `${who} has it open since ${formatWhen(claimedAt, now)}, and answers`, facts);
  if (!owner.isAlive && !owner.isHere)
    return ok("owner", `${who} has been silent for longer than its lease; the next engine takes over`, facts);
  if (!owner.isHere)
    return warning(
      "owner",
      `${who} has it open, and cannot be reached from here`,
      "Run the doctor on that machine (or in that container), as the same user.",
      facts,
    );
  if (owner.isAlive && ping === undefined)
    return ok("owner", `${who} has it open since ${formatWhen(claimedAt, now)}, and serves no socket`, facts);
  const why = ping?.refusal === undefined ? "its lease is over" : ping.refusal.message;
  return failed(
    "owner",
    `${who} has it open, and does not answer: ${why}`,
    `It is stopped, or too busy. Continue it (kill -CONT ${pid}), or end it (kill -9 ${pid}): the next engine goes on from what is on disk.`,
    facts,
  );
}

export function checkVersion({ lastVersion, newestVersion, owner }: StoreFacts, own: string): Finding {
  const facts: Facts = {
    own,
    ...(lastVersion === undefined ? {} : { lastVersion }),
    ...(newestVersion === undefined ? {} : { newestVersion }),
  };
  if (newestVersion !== undefined && isLaterVersion(newestVersion, own))
    return warning(
      "version",
      `Aion ${newestVersion} has written to the store, and this is ${own}: it may not know all that is in there`,
      `Use Aion ${newestVersion} or later.`,
      facts,
    );
  if (owner?.isAlive === true && lastVersion !== undefined && lastVersion !== own)
    return warning(
      "version",
      `the engine is Aion ${lastVersion}, and this command is ${own}: they may not understand each other`,
      "Use the command of the version that the engine runs, or open the engine with this one.",
      facts,
    );
  const before = lastVersion === undefined || lastVersion === own ? "" : `; ${lastVersion} had it open last`;
  return ok("version", `this is Aion ${own}${before}`, facts);
}

/** Clocks of one machine differ by no more between two looks. */
const skewMaxMs = 1_000;

export function checkClock({ latestAt, owner }: StoreFacts, now: number): Finding {
  const aheadMs = Math.max(0, (latestAt ?? 0) - now);
  const facts: Facts = { now, aheadMs, ...(latestAt === undefined ? {} : { latestAt }) };
  if (aheadMs <= skewMaxMs)
    return ok("clock", "nothing in the store is of a time that is still to come", facts);
  const span = formatSpan(aheadMs);
  if (owner?.isAlive === true && !owner.isHere && owner.renewedAt - now > skewMaxMs)
    return warning(
      "clock",
      `the clock of ${owner.host}, where the engine runs, is ahead of this one by ${span}`,
      "Set both by a time server: by its lease an owner is judged from elsewhere.",
      { ...facts, host: owner.host },
    );
  return warning(
    "clock",
    `the store has records of ${span} from now: the clock of this machine has been set back, or was ahead`,
    "Set it by a time server. Until it is there again, timers wait longer, and a lease that was renewed in the future holds longer.",
    facts,
  );
}

const differingShown = 5;

export function checkAttributes({ runCount, differing }: AttributeFacts): Finding {
  const facts: Facts = { runCount, differingCount: differing.length };
  if (differing.length === 0)
    return ok("attributes", `each of the newest ${runCount} runs is found by what its history says`, facts);
  const shown = differing.slice(0, differingShown).join(", ");
  return failed(
    "attributes",
    `${differing.length} of the newest ${runCount} runs are found by something else than their histories say: ${shown}`,
    "Their histories are right, and lists by search attributes are not. It is a bug of Aion, or somebody changed the file: please report it.",
    facts,
  );
}

/** `namespaces`: of a server, those in which there are some. */
export function checkBlocked(
  { blockedCount, runCount, runningCount }: Pick<StoreFacts, "blockedCount" | "runCount" | "runningCount">,
  namespaces: readonly string[] = [],
): Finding {
  const facts: Facts = { runCount, runningCount, blockedCount };
  if (blockedCount === 0)
    return ok("blocked", `none is blocked of ${runningCount} running runs, ${runCount} in all`, facts);
  return warning(
    "blocked",
    `${blockedCount} of ${runningCount} running runs cannot go on until somebody acts${shownNamespaces(namespaces)}`,
    "`aion list --blocked` shows them, `aion describe ID` why.",
    facts,
  );
}

/** `namespaces`: of a server, those in which there are some. */
export function checkParked(
  { parkedCount, runningCount }: Pick<StoreFacts, "parkedCount" | "runningCount">,
  namespaces: readonly string[] = [],
): Finding {
  const facts: Facts = { runningCount, parkedCount };
  if (parkedCount === 0)
    return ok("parked", `no activity waits for an operator, in ${runningCount} running runs`, facts);
  return warning(
    "parked",
    `activities of ${parkedCount} of ${runningCount} running runs wait for an operator${shownNamespaces(namespaces)}`,
    "`aion list --parked` shows which, and why; `aion resume --parked` lets them go on when the cause is mended.",
    facts,
  );
}

const namespacesShown = 5;

function shownNamespaces(names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > namespacesShown ? ` and ${names.length - namespacesShown} more` : "";
  return `, in ${names.length === 1 ? "namespace" : "namespaces"} ${names.slice(0, namespacesShown).join(", ")}${more}`;
}

export function checkTimers(
  { dueCount, dueSince, underWayCount, messageCount, owner }: StoreFacts,
  now: number,
): Finding {
  const lateMs = dueSince === undefined ? 0 : Math.max(0, now - dueSince);
  const facts: Facts = { dueCount, lateMs, underWayCount, messageCount };
  const count = `${dueCount}${dueCount >= countMax ? " or more" : ""}`;
  const isRunning = owner?.isAlive === true;
  if (isRunning) {
    if (dueCount === 0) return ok("timers", "no timer is overdue", facts);
    return warning(
      "timers",
      `the timers of ${count} runs are overdue, one by ${formatSpan(lateMs)}, though an engine is running`,
      "Look at the load of its process and its disk, and at its log.",
      facts,
    );
  }
  const waiting = [
    ...(dueCount > 0 ? [`${count} runs with a timer that is due (${formatSpan(lateMs)} ago)`] : []),
    ...(underWayCount > 0 ? [`${underWayCount} runs that were under way or have not begun`] : []),
    ...(messageCount > 0 ? [`${messageCount} messages`] : []),
  ];
  if (waiting.length === 0) return ok("timers", "nothing waits for an engine", facts);
  return warning(
    "timers",
    `no engine is running, and there wait for one: ${waiting.join(", ")}`,
    "Start the process that embeds the engine.",
    facts,
  );
}

const namedMax = 5;

export function checkSchedules({ count, silent }: ScheduleFacts, now: number): Finding {
  const facts: Facts = { count, silentCount: silent.length };
  const [first] = silent;
  if (first === undefined)
    return ok("schedules", `${count} of them, none ahead of the clock of this machine`, facts);
  const names = silent.slice(0, namedMax).map(({ scheduleId }) => JSON.stringify(scheduleId));
  const more = silent.length > namedMax ? ` and ${silent.length - namedMax} more` : "";
  const span = formatSpan(Math.max(...silent.map(({ untilAt }) => untilAt)) - now);
  return warning(
    "schedules",
    `${names.join(", ")}${more} start nothing for up to ${span}: their times until then were decided on while the clock was ahead`,
    "Set the clock by a time server; if it is right now, delete them and create them again (a time whose workflow is there is skipped).",
    facts,
  );
}
