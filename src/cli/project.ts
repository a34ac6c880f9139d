import { globSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";

/** What a project can begin as: folders of `templates/`. The first is the default. */
export const templates = {
  order: "a saga: charge, wait for an approval, ship; undone if any fails",
  subscription: "one that lives for years: timers, signals, continue-as-new",
  pipeline: "files in parallel, with retries, heartbeats, and a report",
} as const;

export type TemplateName = keyof typeof templates;

export const templateNames = Object.keys(templates) as readonly TemplateName[];

export interface Project {
  readonly directory: string;
  /** Its package's name, after the directory. */
  readonly name: string;
  readonly template: TemplateName;
  /** From the directory, with forward slashes. */
  readonly files: readonly string[];
}

interface Manifest {
  readonly version: string;
  readonly private?: boolean;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Of the package that this file is part of. */
export const packageRoot = path.join(import.meta.dirname, "..", "..");

/** Files that all templates have. npm leaves a `.gitignore` out of packages, so it has another name there. */
const base = "base";
const renamed: Readonly<Record<string, string>> = { gitignore: ".gitignore" };

/**
 * Writes a project that can be run. Nothing is replaced: it is refused if any file stands in the way, and what was
 * written is taken away again if it cannot be finished. Errors: `invalid_argument`.
 */
export function createProject(directory: string, template: TemplateName): Project {
  const contents = readTemplate(template, toPackageName(path.basename(directory)));
  const files = [...contents.keys()].toSorted();
  refuseObstacles(directory, files);
  const made: string[] = [];
  try {
    for (const file of files) {
      const target = path.join(directory, file);
      const firstMade = mkdirSync(path.dirname(target), { recursive: true });
      if (firstMade !== undefined) made.push(firstMade);
      writeFileSync(target, contents.get(file) ?? "", { flag: "wx" });
      made.push(target);
    }
  } catch (error) {
    for (const one of made.toReversed()) rmSync(one, { recursive: true, force: true });
    throw new AionError("invalid_argument", `cannot make a project in ${directory}: ${messageOf(error)}`, {
      cause: error,
      hint: "Name a directory that can be written, or one whose parent can. Nothing was left behind.",
    });
  }
  const { name } = JSON.parse(contents.get("package.json") ?? "") as { readonly name: string };
  return { directory, name, template, files };
}

/** Each file by its place in the project. */
function readTemplate(template: TemplateName, name: string): ReadonlyMap<string, string> {
  const contents = new Map<string, string>();
  for (const folder of [base, template]) {
    const cwd = path.join(packageRoot, "templates", folder);
    for (const entry of globSync("**/*", { cwd, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = path.relative(cwd, path.join(entry.parentPath, entry.name)).split(path.sep).join("/");
      contents.set(renamed[file] ?? file, readFileSync(path.join(cwd, file), "utf8"));
    }
  }
  contents.set("package.json", fillManifest(contents.get("package.json") ?? "", name));
  return contents;
}

/** The versions are those that this package was tested with. */
function fillManifest(text: string, name: string): string {
  const manifest = JSON.parse(text) as Manifest & { readonly name: string };
  const own = JSON.parse(readFileSync(path.join(packageRoot, "package.json"), "utf8")) as Manifest;
  const known: Readonly<Record<string, string>> = {
    ...own.devDependencies,
    ...own.dependencies,
    // Not published: then the copy that runs is the one to use.
    aion: own.private === true ? `file:${packageRoot}` : `^${own.version}`,
  };
  const fill = (wanted: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Object.entries(wanted).map(([dependency, range]) => [dependency, known[dependency] ?? range]),
    );
  const filled = {
    ...manifest,
    name,
    dependencies: fill(manifest.dependencies),
    devDependencies: fill(manifest.devDependencies),
  };
  return `${JSON.stringify(filled, undefined, 2)}\n`;
}

function refuseObstacles(directory: string, files: readonly string[]): void {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new AionError("invalid_argument", `${directory} is no directory`, {
      hint: "Name a directory; it is made if it is not there.",
    });
  }
  const inTheWay = files.filter((file) => isThere(path.join(directory, file)));
  if (inTheWay.length > 0) {
    throw new AionError(
      "invalid_argument",
      `${inTheWay.length === 1 ? "a file stands" : "files stand"} in the way in ${directory}: ${inTheWay.join(", ")}`,
      {
        hint: "Nothing was written. Name a directory of its own, or move them away.",
        details: { directory, files: inTheWay },
      },
    );
  }
}

function isThere(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // The way to it leads through a file, or is closed: writing will say so.
    return false;
  }
}

const nameLengthMax = 214;

/** What npm takes for a name: https://docs.npmjs.com/cli/configuring-npm/package-json#name */
export function toPackageName(directoryName: string): string {
  const name = directoryName
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9._~-]+/g, "-")
    .replaceAll(/^[._-]+|[._-]+$/g, "")
    .slice(0, nameLengthMax);
  // A package that depends on one of its own name cannot be installed.
  if (name === "") return "my-workflows";
  return takenNames.has(name) ? `${name}-workflows` : name;
}

const takenNames: ReadonlySet<string> = new Set(["aion", "zod", "typescript", "node_modules"]);
