import { existsSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { grantToText, parseGrants } from "../auth/grants.ts";
import { KeyStore, keyFileName, overlapMsDefault } from "../auth/key-store.ts";
import { createKey, listKeys, revokeKey, rotateKey } from "../client/access.ts";
import type { KeyRequest, KeySecret, KeySummary, RotateRequest } from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import { formatInstant } from "./instant.ts";
import { Output } from "./output.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { table } from "./table.ts";
import { asUsage, durationOption, usageError } from "./usage.ts";

interface DataFlag {
  readonly data?: string;
}

interface CreateFlags extends DataFlag {
  readonly grant: readonly string[];
  readonly expires?: number;
  readonly requestId?: string;
}

/** The keys, wherever they are. */
interface Keys {
  list(): Promise<readonly KeySummary[]>;
  create(request: KeyRequest): Promise<KeySecret>;
  rotate(request: RotateRequest): Promise<KeySecret>;
  revoke(id: string): Promise<KeySummary>;
}

const dataOption = [
  "--data <dir>",
  "the directory of a server's data, on this machine, whether the server runs or not",
] as const;

const requestIdOption = [
  "--request-id <id>",
  "names this call: repeated with the same one it makes nothing more, and prints a new secret",
] as const;

/** The commands for API keys: key create, list, rotate, revoke. */
export function addKeyCommands(program: Command): void {
  const key = program
    .command("key")
    .description("The API keys of a server: by its directory, or with the key of an admin by --url.")
    .addHelpText(
      "after",
      `
A grant is roles, an @ and namespaces, * for all; for workers also a / and task
queues. Roles: read, start, signal, operate, deploy, work, admin (all of them).

Examples:
  aion key create ann --data ./aion-data --grant 'admin@*'
  aion key create ci --grant deploy,read@team-a --expires '90 days'
  aion key create gpu-worker --grant work@team-a/gpu
  aion key rotate 3f2a90c1d4e5b687 --overlap '1 hour'`,
    );
  key
    .command("create")
    .description("Makes a key. Its secret is printed now, and never again.")
    .argument("<subject>", "who will hold it")
    .requiredOption("--grant <grants...>", "what it may do: roles@namespaces")
    .option(
      "--expires <duration>",
      "after which it is taken no more (default: never)",
      durationOption("--expires"),
    )
    .option(...requestIdOption)
    .option(...dataOption)
    .action(create);
  key
    .command("list")
    .description("All of them, without their secrets.")
    .option(...dataOption)
    .action(list);
  key
    .command("rotate")
    .description("Gives a key a new secret, and prints it; the one of before is taken for a while, too.")
    .argument("<id>")
    .option(
      "--overlap <duration>",
      "for how long that is (default: 24h)",
      durationOption("--overlap"),
      overlapMsDefault,
    )
    .option(...requestIdOption)
    .option(...dataOption)
    .action(rotate);
  key
    .command("revoke")
    .description("Ends a key at once, and whatever is open with it.")
    .argument("<id>")
    .option(...dataOption)
    .action(revoke);
}

async function create(subject: string, flags: CreateFlags, command: Command): Promise<void> {
  const grants = asUsage(() => parseGrants(flags.grant));
  const { expires, requestId } = flags;
  const output = outputOf(command);
  const made = await withKeys(command, flags, { isMaking: true }, (keys) =>
    keys.create({
      subject,
      grants,
      ...(expires === undefined ? {} : { expiresInMs: expires }),
      ...(requestId === undefined ? {} : { requestId }),
    }),
  );
  output.note("this is the only time that the key is shown");
  output.told("key", made.token, made);
}

async function rotate(
  id: string,
  { overlap, requestId, ...flags }: DataFlag & { readonly overlap: number; readonly requestId?: string },
  command: Command,
): Promise<void> {
  const output = outputOf(command);
  const made = await withKeys(command, flags, {}, (keys) =>
    keys.rotate({ id, overlapMs: overlap, ...(requestId === undefined ? {} : { requestId }) }),
  );
  const { previousUntil } = made.key;
  output.note(
    `this is the only time that the key is shown; the one of before is taken until ${formatInstant(previousUntil ?? 0)}`,
  );
  output.told("key", made.token, made);
}

async function revoke(id: string, flags: DataFlag, command: Command): Promise<void> {
  const key = await withKeys(command, flags, {}, (keys) => keys.revoke(id));
  outputOf(command).told("key", `revoked ${key.id} (${printable(key.subject)})`, { key });
}

async function list(flags: DataFlag, command: Command): Promise<void> {
  const output = outputOf(command);
  const keys = await withKeys(command, flags, {}, (some) => some.list());
  if (output.isJson) output.json("key", { keys });
  else {
    const rows = keys.map((key) => [
      key.id,
      printable(key.subject),
      key.grants.map(grantToText).join(" "),
      formatInstant(key.createdAt),
      stateOf(key),
    ]);
    output.line(
      table(
        [
          "KEY",
          { title: "SUBJECT", cut: "middle" },
          { title: "GRANTS", cut: "end" },
          { title: "MADE", leaveOut: 1 },
          "STATE",
        ],
        rows,
      ),
    );
  }
}

function stateOf({ revokedAt, expiresAt }: KeySummary): string {
  if (revokedAt !== undefined) return `revoked ${formatInstant(revokedAt)}`;
  if (expiresAt === undefined) return "holds";
  return `${expiresAt <= Date.now() ? "expired" : "holds until"} ${formatInstant(expiresAt)}`;
}

function outputOf(command: Command): Output {
  return new Output({ isJson: command.optsWithGlobals<{ json?: boolean }>().json === true });
}

async function withKeys<Result>(
  command: Command,
  { data }: DataFlag,
  { isMaking = false }: { readonly isMaking?: boolean },
  work: (keys: Keys) => Promise<Result>,
): Promise<Result> {
  if (data === undefined) {
    const { place } = new Session(command);
    if (!("server" in place)) {
      throw usageError(
        "keys are a server's",
        "Pass --data DIR on its machine, or --url with the key of an admin.",
      );
    }
    const { server } = place;
    return await work({
      list: () => listKeys(server),
      create: (request) => createKey(server, request),
      rotate: (request) => rotateKey(server, request),
      revoke: (id) => revokeKey(server, id),
    });
  }
  if (!isMaking && !existsSync(path.join(data, keyFileName))) {
    throw new AionError("key_not_found", `there are no keys in ${data}`, {
      hint: "Check the directory; `aion key create` makes a first one.",
    });
  }
  const store = new KeyStore(data);
  try {
    return await work({
      list: async () => store.list(),
      create: async (request) => store.create(request, "the machine of the server"),
      rotate: async (request) => store.rotate(request),
      revoke: async (id) => store.revoke(id),
    });
  } finally {
    store.close();
  }
}
