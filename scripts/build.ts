/**
 * `npm run build`: src/ → dist/, as it is published. JavaScript, declarations and source maps by the compiler;
 * then what the compiler leaves behind: the store's SQL migrations, the script for the realms of packages, and the executable bit
 * of the command.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { build } from "esbuild";
import { guestBuild } from "../src/host/guest-script.ts";

const root = path.dirname(import.meta.dirname);
const source = path.join(root, "src");
const target = path.join(root, "dist");

rmSync(target, { recursive: true, force: true });
const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);

for (const file of globSync("**/*.sql", { cwd: source })) {
  const copy = path.join(target, file);
  mkdirSync(path.dirname(copy), { recursive: true });
  copyFileSync(path.join(source, file), copy);
}

// The page that shows the API is Swagger UI's.
const reference = path.join(target, "http", "reference");
mkdirSync(reference, { recursive: true });
for (const file of ["swagger-ui.css", "swagger-ui-bundle.js", "LICENSE", "NOTICE"]) {
  copyFileSync(path.join(root, "node_modules", "swagger-ui-dist", file), path.join(reference, file));
}

// What runs inside the realms of packages is one script, and no module.
await build({
  ...guestBuild,
  entryPoints: [path.join(source, "guest", "main.ts")],
  outfile: path.join(target, "guest", "guest.js"),
});

const command = path.join(target, "cli", "main.js");
if (existsSync(command)) chmodSync(command, 0o755);
