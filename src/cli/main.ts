#!/usr/bin/env node
/** The `aion` command. */

const nodeMin = 24;

// Whoever reads may have seen enough (`aion list | head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
// What is said there is said to nobody any more, and changes nothing of how the command ends.
process.stderr.on("error", () => undefined);

const exitCode = await run();
// Code that a command loaded may keep the process alive; what was written goes out first.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));

async function run(): Promise<number> {
  // Before anything is loaded: an older Node fails at the first module that it does not have.
  if (Number.parseInt(process.versions.node, 10) < nodeMin) {
    process.stderr.write(
      `error: aion needs Node ${nodeMin} or later, and this is ${process.versions.node} (${process.execPath})\n` +
        "hint: Put a newer one first in PATH, or add it to your project: npm install --save-dev node@24\n",
    );
    return 2;
  }
  const { runCommandLine } = await import("./command-line.ts");
  return await runCommandLine(process.argv.slice(2));
}
