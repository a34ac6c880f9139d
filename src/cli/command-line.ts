import { readFileSync } from "node:fs";
import path from "node:path";
import { Command, CommanderError, Option } from "commander";
import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import { addActCommands } from "./act-commands.ts";
import { addAskCommands } from "./ask-commands.ts";
import { addLookCommands } from "./look-commands.ts";
import { writeError } from "./output.ts";
import { UsageError } from "./usage.ts";

const exitOk = 0;
const exitFailed = 1;
const exitUsage = 2;

/** Runs the command that the arguments name. Returns the exit code: 0 fine, 1 failed, 2 wrong usage. Never rejects. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const program = createProgram();
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitOk;
  } catch (error) {
    return exitCodeFor(error);
  }
}
