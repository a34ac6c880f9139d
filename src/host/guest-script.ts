import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

let script: Promise<string> | undefined;

/**
 * The engine's side inside the realms of packages (`src/guest/main.ts`) as one script, whose value is `makeGuest`. A published
 * build has it as a file; in the repository it is made when it is first asked for.
 */
export function guestScript(): Promise<string> {
  script ??= import.meta.url.endsWith(".ts")
    ? bundle()
    : readFile(new URL("../guest/guest.js", import.meta.url), "utf8");
  return script;
}

async function bundle(): Promise<string> {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    ...guestBuild,
    entryPoints: [fileURLToPath(new URL("../guest/main.ts", import.meta.url))],
    write: false,
  });
  return outputFiles[0]?.text ?? "";
}

/** How it is bundled: also by scripts/build.ts. */
export const guestBuild = {
  bundle: true,
  format: "iife",
  globalName: "guest",
  banner: { js: '(() => { "use strict";' },
  footer: { js: "return guest.makeGuest; })()" },
  platform: "neutral",
  target: "es2024",
  keepNames: true,
} as const;
