import path from "node:path";
import type { Command } from "commander";
import { backUpSqliteStore } from "../store/sqlite/backup.ts";
import { parseStoreUrl } from "./connect.ts";
import { counted, printable } from "./printable.ts";
import { Session } from "./session.ts";

/** The command that keeps the store safe: backup. */
export function addKeepCommands(program: Command): void {
  program
    .command("backup")
    .description("Copies the store into a file, while an engine goes on, and checks the copy.")
    .argument("<file>", "the file to make; one that is there is not replaced")
    .action(backUp);
}

async function backUp(file: string, _options: unknown, command: Command): Promise<void> {
  const session = new Session(command);
  const report = await backUpSqliteStore({ from: parseStoreUrl(session.store), to: file });
  const { runCount, eventCount, byteCount } = report;
  session.output.told(
    "backup",
    `backed up to ${printable(file)}: ${counted(runCount, "run")}, ${counted(eventCount, "event")}, ${byteCount} bytes; checked`,
    { file: path.resolve(file), ...report },
  );
}
