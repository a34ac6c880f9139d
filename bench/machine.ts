/** The conditions of a run, as they must stand beside its figures. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import type { EngineName } from "./engine-under-test.ts";
import { BenchError } from "./engine-under-test.ts";
import { benchRoot, peerRoot } from "./paths.ts";

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly filesystem: string;
}

/** Magic numbers of `statfs`, as the kernel lists them. */
const filesystems: Readonly<Record<string, string>> = {
  "61267": "ext4",
  "1481003842": "xfs",
  "2435016766": "btrfs",
  "2035054128": "overlayfs",
  "801189825": "zfs",
};
const memoryFilesystems = new Set([0x01_02_19_94, 0x85_84_58_f6]);

/** Throws where the directory is in memory: an fsync there costs nothing and proves nothing. */
export function readMachine(directory: string): MachineFacts {
  const { type } = statfsSync(directory);
  if (memoryFilesystems.has(type)) throw new BenchError(`${directory} is in memory; the bench needs a disk`);
  const processors = cpus();
  return {
    cpu: cpuModel(processors[0]?.model),
    cores: processors.length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: `${process.platform} ${release()}`,
    filesystem: filesystems[String(type)] ?? `type 0x${type.toString(16)}`,
  };
}

/** Virtual machines give a number for a name; vendor and family say more. */
function cpuModel(model: string | undefined): string {
  if (model !== undefined && model.length > 3) return model;
  if (!existsSync("/proc/cpuinfo")) return "unknown";
  const text = readFileSync("/proc/cpuinfo", "utf8");
  const field = (name: string): string => new RegExp(`^${name}\\s*:\\s*(.*)$`, "m").exec(text)?.[1] ?? "?";
  return `${field("vendor_id")} family ${field("cpu family")} model ${field("model")} at ${field("cpu MHz")} MHz`;
}

/** Versions and durability settings of what is measured. */
export async function readVersions(
  engines: readonly EngineName[],
): Promise<Readonly<Record<string, string>>> {
  const versions: Record<string, string> = { Node: process.versions.node, SQLite: sqliteVersion() };
  const own = JSON.parse(readFileSync(join(benchRoot, "..", "package.json"), "utf8")) as {
    readonly version: string;
  };
  if (engines.includes("aion")) versions["Aion"] = own.version;
  if (engines.includes("dbos")) {
    versions["DBOS"] = packageVersion("dbos", "@dbos-inc/dbos-sdk");
    const { postgresVersion } = await import("./peers/dbos/postgres.ts");
    versions["PostgreSQL"] = postgresVersion();
  }
  if (engines.includes("restate")) {
    versions["Restate server"] = packageVersion("restate", "@restatedev/restate-server");
    versions["Restate SDK"] = packageVersion("restate", "@restatedev/restate-sdk");
  }
  return versions;
}

export const durability: Readonly<Record<EngineName, string>> = {
  floor: "SQLite WAL, synchronous=FULL",
  aion: "SQLite WAL, synchronous=FULL",
  dbos: "PostgreSQL as shipped: fsync=on, synchronous_commit=on",
  restate: "Restate as shipped: one node, WAL with fsync in the log server",
};

function sqliteVersion(): string {
  const database = new DatabaseSync(":memory:");
  const row = database.prepare("SELECT sqlite_version() AS version").get();
  database.close();
  return String(row?.["version"]);
}

function packageVersion(peer: string, name: string): string {
  const file = join(peerRoot(peer), "node_modules", name, "package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
}
