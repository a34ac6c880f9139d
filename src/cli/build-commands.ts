import { randomUUID } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { BuiltPackage, Dropped } from "../package/build.ts";
import { Output, style } from "./output.ts";
import { printable } from "./printable.ts";

/** The command that makes packages: build. It needs no store. */
export function addBuildCommands(program: Command): void {
  program
    .command("build")
    .description("Builds a workflow file into a package, without the implementations of its activities.")
    .argument("<file>", "TypeScript or JavaScript that exports workflows")
    .option(
      "--out <path>",
      "the package to write; by default the name of the file with .aion, in this directory",
    )
    .action(build);
}

async function build(file: string, options: { readonly out?: string }, command: Command): Promise<void> {
  const output = new Output({ isJson: command.optsWithGlobals<{ readonly json?: boolean }>().json === true });
  const startedAt = performance.now();
  // The bundler and the parser are loaded for this command only.
  const { buildPackage } = await import("../package/build.ts");
  const { describeProblem } = await import("../package/problem.ts");
  const built = await buildPackage(file);
  const target = path.resolve(options.out ?? `${path.basename(file, path.extname(file))}.aion`);
  writeWhole(target, built.bytes);
  const durationMs = Math.round(performance.now() - startedAt);

  for (const warning of built.warnings) output.note(describeProblem(warning));
  if (output.isJson) {
    const { hash, bytes, manifest, dropped, warnings } = built;
    output.json("build", {
      file: target,
      hash,
      byteCount: bytes.length,
      durationMs,
      manifest,
      dropped,
      warnings,
    });
    return;
  }
  for (const line of describeBuild(built, { target, durationMs })) output.line(line);
}

/** A reader sees the whole package or the one before it. */
function writeWhole(target: string, bytes: Uint8Array): void {
  const beside = `${target}.${randomUUID()}.tmp`;
  try {
    writeFileSync(beside, bytes);
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new AionError("invalid_argument", `cannot write ${target}: ${messageOf(error)}`, {
      cause: error,
      hint: "Name a file in a directory that is there, with --out.",
    });
  }
}

function describeBuild(
  { bytes, hash, manifest, dropped }: BuiltPackage,
  { target, durationMs }: { readonly target: string; readonly durationMs: number },
): readonly string[] {
  const row = (name: string, text: string): string => `${style("dim", name.padEnd(11))}${printable(text)}`;
  const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));
  return [
    row("package", target),
    row("hash", hash),
    row("size", `${bytes.length} bytes`),
    row("workflows", list(manifest.workflows.map(({ type }) => type))),
    row("activities", list(manifest.activities.map(({ type }) => type))),
    ...dropped.map((module) => row("dropped", describeDropped(module))),
    row("time", `${durationMs} ms`),
  ];
}

function describeDropped({ file, activities, imports, names }: Dropped): string {
  const others = [...names, ...imports.map((specifier) => JSON.stringify(specifier))];
  const also = others.length === 0 ? "" : `, and what only they use: ${others.join(", ")}`;
  return `in ${file} the implementations of ${activities.join(", ")}${also}`;
}
