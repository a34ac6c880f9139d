#!/usr/bin/env node
/** The `aion` command. */
import { runCommandLine } from "./command-line.ts";

// Whoever reads may have seen enough (`aion list | head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const exitCode = await runCommandLine(process.argv.slice(2));
// Code that a command loaded may keep the process alive; what was written goes out first.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
