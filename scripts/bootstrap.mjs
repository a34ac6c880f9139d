// Makes the repository ready and runs one of its scripts on the Node that the repository pins.
//
//   node scripts/bootstrap.mjs <script.ts | tool> [arguments…]
//
// Runs on whatever Node (20 or later) the machine has, before anything is installed: plain JavaScript, no
// dependency. What it guarantees to the script that it starts:
// 1. node_modules holds what package-lock.json names.
// 2. The script runs on the Node that the lock file names, and finds that one first in PATH.
// 3. `aion/…` means the source of this tree (the export condition "aion-source"), in child processes too.
// 4. Standard output belongs to the script: what the installation says goes to standard error.
// 5. Where the running Node can, the script replaces this process, so that signals and exit code are its own.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.join(root, "node_modules");
const isWindows = process.platform === "win32";
const pinnedNode = path.join(modules, "node", "bin", isWindows ? "node.exe" : "node");

/** @typedef {{ version?: string, optional?: boolean}} LockedPackage */

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`bootstrap: ${message}\n`);
  process.exit(1);
}

/**
 * @param {string} file
 * @returns {Record<string, LockedPackage>}
 */
function readLockedPackages(file) {
  const lock = /** @type {{ packages: Record<string, LockedPackage> }} */ (
    JSON.parse(readFileSync(file, "utf8"))
  );
  return lock.packages;
}

/** npm writes node_modules/.package-lock.json last: it is the stamp that says what a finished install holds. */
function isInstalled() {
  const stamp = path.join(modules, ".package-lock.json");
  if (!existsSync(stamp)) return false;
  const installed = readLockedPackages(stamp);
  return Object.entries(readLockedPackages(path.join(root, "package-lock.json"))).every(
    ([location, wanted]) =>
      location === "" || wanted.optional === true || installed[location]?.version === wanted.version,
  );
}

/**
 * The environment for npm: without node_modules/.bin in PATH, so that npm does not run on a Node which it is
 * about to delete.
 */
function environmentForNpm() {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  const elsewhere = folders.filter((folder) => path.resolve(folder) !== path.join(modules, ".bin"));
  return { ...process.env, PATH: elsewhere.join(path.delimiter), NODE_OPTIONS: "" };
}

/**
 * @param {string[]} args
 * @returns {boolean}
 */
function npm(args) {
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const { error, status } = spawnSync(isWindows ? "npm.cmd" : "npm", [...args, ...quiet], {
    cwd: root,
    env: environmentForNpm(),
    shell: isWindows,
    // What npm prints is no part of the script's output.
    stdio: ["ignore", 2, 2],
  });
  if (error !== undefined) fail(`npm could not be started: ${error.message}`);
  return status === 0;
}

function install() {
  process.stderr.write("bootstrap: installing the dependencies that package-lock.json names…\n");
  // An old node_modules is brought up to date in place: `npm ci` would begin by deleting it, under whatever runs
  // from it now. Both take their versions from the lock file, and --no-save leaves that file as it is. The other
  // way is tried when the first fails: `npm ci` mends a broken tree, and `npm install` accepts a lock file that
  // was made where the registry lacked a binary for some other platform.
  const clean = ["ci"];
  const inPlace = ["install", "--no-save"];
  const [first, second] = existsSync(modules) ? [inPlace, clean] : [clean, inPlace];
  if (!npm(first) && !npm(second)) fail("npm could not install the dependencies.");
}

/** @returns {string | undefined} */
function versionOfPinnedNode() {
  if (!existsSync(pinnedNode)) return undefined;
  if (realpathSync(process.execPath) === realpathSync(pinnedNode)) return process.version;
  const { status, stdout } = spawnSync(pinnedNode, ["--version"], {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** The npm package `node` fetches its binary in an install script, which npm may have been told not to run. */
function installPinnedNode() {
  process.stderr.write("bootstrap: installing the pinned Node…\n");
  const { status } = spawnSync(process.execPath, ["installArchSpecificPackage.js"], {
    cwd: path.join(modules, "node"),
    env: environmentForNpm(),
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) fail("the pinned Node could not be installed.");
}

/**
 * @param {string} tool
 * @returns {string}
 */
function fileOfTool(tool) {
  const manifest = path.join(modules, tool, "package.json");
  if (!existsSync(manifest)) fail(`${tool} is neither a script nor an installed tool.`);
  const { bin } = /** @type {{ bin?: string | Record<string, string> }} */ (
    JSON.parse(readFileSync(manifest, "utf8"))
  );
  const file = typeof bin === "string" ? bin : bin?.[tool];
  if (file === undefined) fail(`the package ${tool} has no program of that name.`);
  return path.join(modules, tool, file);
}

/**
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function runBeside(args, env) {
  const child = spawn(pinnedNode, args, { env, stdio: "inherit" });
  child.on("error", (error) => fail(`${pinnedNode} could not be started: ${error.message}`));
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => {
      // A terminal sends its interrupt to the child as well; twice would read as "stop at once".
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/**
 * @param {string} wanted
 * @param {string[]} rest
 */
function run(wanted, rest) {
  const script = /\.[cm]?[jt]s$/.test(wanted) ? path.resolve(root, wanted) : fileOfTool(wanted);
  if (!existsSync(script)) fail(`there is no ${wanted}.`);
  const args = [script, ...rest];
  const env = {
    ...process.env,
    PATH: [path.join(modules, ".bin"), process.env["PATH"]].join(path.delimiter),
    NODE_OPTIONS: [process.env["NODE_OPTIONS"], "--conditions=aion-source"].filter(Boolean).join(" "),
  };
  if (typeof process.execve === "function" && !isWindows) {
    process.removeAllListeners("warning");
    process.execve(pinnedNode, [pinnedNode, ...args], env);
  }
  runBeside(args, env);
}

const [wanted, ...rest] = process.argv.slice(2);
if (wanted === undefined)
  fail("say which script to run, for example: node scripts/bootstrap.mjs scripts/check.ts");

process.chdir(root);
try {
  if (!isInstalled()) install();
  const version = `v${readLockedPackages(path.join(root, "package-lock.json"))["node_modules/node"]?.version}`;
  if (versionOfPinnedNode() !== version) installPinnedNode();
  if (versionOfPinnedNode() !== version)
    fail(`Node ${version} is not available for ${process.platform} ${process.arch}.`);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
run(wanted, rest);
