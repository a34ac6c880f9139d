/** CPU time and memory of a whole process tree, read from /proc (Linux). */
import { readdirSync, readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

/** Linux reports process times in ticks of 1/100 s on every architecture that Node runs on. */
const ticksPerSecond = 100;
const kibPerMib = 1024;

interface ProcessStat {
  readonly pid: number;
  readonly parentPid: number;
  readonly command: string;
  readonly ownTicks: number;
  /** Ticks of children that have ended and were waited for. */
  readonly reapedTicks: number;
}

function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // It ended between the listing and the read.
  }
  // The command is in parentheses and may itself contain spaces and parentheses.
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const field = (index: number): number => Number(fields[index] ?? 0);
  return {
    pid,
    parentPid: field(1),
    command: text.slice(open + 1, close),
    ownTicks: field(11) + field(12),
    reapedTicks: field(13) + field(14),
  };
}

function processTree(rootPid: number): readonly ProcessStat[] {
  const byParent = new Map<number, ProcessStat[]>();
  let root: ProcessStat | undefined;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readStat(Number(name));
    if (stat === undefined) continue;
    if (stat.pid === rootPid) root = stat;
    const siblings = byParent.get(stat.parentPid);
    if (siblings === undefined) byParent.set(stat.parentPid, [stat]);
    else siblings.push(stat);
  }
  const tree: ProcessStat[] = root === undefined ? [] : [root];
  for (const stat of tree) tree.push(...(byParent.get(stat.pid) ?? []));
  return tree;
}

/** CPU seconds of the tree under `rootPid`, its ended children included. */
export function treeCpuSeconds(rootPid: number): number {
  let ticks = 0;
  for (const stat of processTree(rootPid)) ticks += stat.ownTicks + stat.reapedTicks;
  return ticks / ticksPerSecond;
}

/** CPU seconds of that process alone. */
export function ownCpuSeconds(pid: number): number {
  return (readStat(pid)?.ownTicks ?? 0) / ticksPerSecond;
}

/** Processes that it has started and that are there. */
export function childrenOf(pid: number): readonly number[] {
  return processTree(pid)
    .filter(({ parentPid }) => parentPid === pid)
    .map((child) => child.pid);
}

interface MemoryFields {
  readonly peakMib: number;
  readonly residentMib: number;
  readonly anonymousMib: number;
  readonly fileMib: number;
  readonly sharedMib: number;
}

function readMemory(pid: number): MemoryFields | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return undefined;
  }
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0) / kibPerMib;
  return {
    peakMib: mib("VmHWM"),
    residentMib: mib("VmRSS"),
    anonymousMib: mib("RssAnon"),
    fileMib: mib("RssFile"),
    sharedMib: mib("RssShmem"),
  };
}

export interface TreeMemory {
  /** Sum of the peaks. PostgreSQL counts as it stands, since its backends live as long as the run. */
  readonly peakMib: number;
  readonly residentMib: number;
}

/**
 * Memory of the tree. PostgreSQL's backends map the same shared buffers and the same program, so
 * these are counted once and only their private memory is added up.
 */
export function treeMemory(rootPid: number): TreeMemory {
  let peakMib = 0;
  let residentMib = 0;
  let postgresPrivateMib = 0;
  let postgresSharedMib = 0;
  let postgresFileMib = 0;
  for (const stat of processTree(rootPid)) {
    const memory = readMemory(stat.pid);
    if (memory === undefined) continue;
    if (stat.command === "postgres") {
      postgresPrivateMib += memory.anonymousMib;
      postgresSharedMib = Math.max(postgresSharedMib, memory.sharedMib);
      postgresFileMib = Math.max(postgresFileMib, memory.fileMib);
    } else {
      peakMib += memory.peakMib;
      residentMib += memory.residentMib;
    }
  }
  const postgresMib = postgresPrivateMib + postgresSharedMib + postgresFileMib;
  return { peakMib: peakMib + postgresMib, residentMib: residentMib + postgresMib };
}

/** Waits until the tree is nearly idle (below 5 % of one core for a second) or the time is over. */
export async function settle(rootPid: number, timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs;
  let previous = treeCpuSeconds(rootPid);
  while (performance.now() < until) {
    await delay(1000);
    const current = treeCpuSeconds(rootPid);
    if (current - previous < 0.05) return;
    previous = current;
  }
}

/** Resident memory of a Node process that does nothing: what any embedding program has anyway. */
export async function measureIdleNodeMib(): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
  try {
    await delay(500);
    return treeMemory(child.pid ?? 0).residentMib;
  } finally {
    child.kill("SIGKILL");
  }
}
