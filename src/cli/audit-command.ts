import { existsSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { AuditFile, auditFileName } from "../auth/audit-file.ts";
import { readAudit } from "../client/access.ts";
import type { AuditEntry, AuditPage, AuditQuery } from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import { formatInstant } from "./instant.ts";
import { Output } from "./output.ts";
import { oneLine } from "./printable.ts";
import { Session } from "./session.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { countOption, instantOption, usageError } from "./usage.ts";

interface AuditFlags {
  readonly data?: string;
  readonly since?: number;
  readonly until?: number;
  readonly subject?: string;
  readonly operation?: string;
  readonly outcome?: string;
  readonly limit: number;
  readonly cursor?: string;
}

const limitDefault = 50;
const limitMax = 1_000;

/** The command that shows what was asked of a server: audit. */
export function addAuditCommand(program: Command): void {
  program
    .command("audit")
    .description("What was asked of a server, by whom, and what became of it; the latest first.")
    .option("--data <dir>", "the directory of a server's data, on this machine")
    .option("--since <time>", "from then on: 2026-03-01T09:00:00Z, or 2h for two hours ago", instantOption)
    .option("--until <time>", "up to then", instantOption)
    .option("--subject <name>", "who: key:ann, jwt:ann, cert:ann")
    .option("--operation <name>", "what: start, terminate, createKey, …")
    .option("--outcome <code>", "what became of it: ok, permission_denied, unauthenticated, unknown, …")
    .option(
      "--limit <number>",
      "how many at most (default: 50)",
      countOption("--limit", limitMax),
      limitDefault,
    )
    .option("--cursor <cursor>", "where the page before ended")
    .addHelpText("after", "\nWith --namespace: of that namespace alone.")
    .action(audit);
}

const columns: readonly Column[] = [
  { title: "TIME" },
  { title: "WHO", cut: "middle" },
  { title: "WHAT" },
  { title: "WHERE", cut: "middle" },
  { title: "OF", cut: "middle" },
  { title: "FROM", cut: "middle", leaveOut: 1 },
  { title: "OUTCOME" },
];

async function audit(flags: AuditFlags, command: Command): Promise<void> {
  const output = new Output({ isJson: command.optsWithGlobals<{ json?: boolean }>().json === true });
  const { data, ...given } = flags;
  const isNamed = command.getOptionValueSourceWithGlobals("namespace") === "cli";
  const namespace = command.optsWithGlobals<{ readonly namespace?: string }>().namespace;
  const query: AuditQuery = { ...given, ...(isNamed && namespace !== undefined ? { namespace } : {}) };
  const page = data === undefined ? await ask(command, query) : readFile(data, query);
  if (output.isJson) {
    output.json("audit", page);
    return;
  }
  output.line(table(columns, page.entries.map(toRow)));
  if (page.nextCursor !== undefined) output.note(`there are more: --cursor ${page.nextCursor}`);
}

async function ask(command: Command, query: AuditQuery): Promise<AuditPage> {
  const { place } = new Session(command);
  if ("server" in place) return await readAudit(place.server, query);
  throw usageError(
    "an audit log is a server's",
    "Pass --data DIR on its machine, or --url with the key of an admin.",
  );
}

function readFile(data: string, query: AuditQuery): AuditPage {
  if (!existsSync(path.join(data, auditFileName))) {
    throw new AionError("store_unavailable", `there is no audit log in ${data}`, {
      hint: "Check the directory. A server that asks nobody who he is keeps none.",
    });
  }
  const file = new AuditFile(data, { readOnly: true });
  try {
    return file.read(query);
  } finally {
    file.close();
  }
}

const cellMax = 3_000;

/** What callers chose stays in its line: it could be written so that it looks like an entry. */
export function toRow({
  at,
  subject,
  operation,
  namespace,
  ids,
  address,
  outcome,
  count,
}: AuditEntry): string[] {
  return [
    formatInstant(at),
    oneLine(subject ?? "nobody known", cellMax),
    operation,
    oneLine(namespace ?? "", cellMax),
    oneLine(Object.values(ids).join(" "), cellMax),
    oneLine(address, cellMax),
    count === 1 ? outcome : `${outcome} (${count} times)`,
  ];
}
