import { readFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import type { PackagesReply, PackageSummary, Service } from "../client/service.ts";
import { AionError } from "../core/errors.ts";
import { isPackageVersion } from "../core/package-version.ts";
import { messageOf } from "../core/payload.ts";
import { style } from "./output.ts";
import type { Output } from "./output.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { table } from "./table.ts";
import { usageError } from "./usage.ts";

const archiveEnding = ".aion";
/** Of a version, where there is no room for all of it. */
const shownDigits = 12;
const prefixDigitsMin = 4;

interface RequestOptions {
  readonly requestId?: string;
}

const requestIdOption = [
  "--request-id <id>",
  "names this call: repeated with the same one it has no second effect",
] as const;

/** The commands for packages in a store: deploy, versions, route, unload. */
export function addDeployCommands(program: Command): void {
  program
    .command("deploy")
    .description("Puts a package into the store, and gives it the new runs of its types.")
    .argument(
      "<file>",
      "a package that `aion build` wrote, or the workflow file itself, which is built first",
    )
    .option("--no-route", "new runs keep the versions that they get now")
    .option(...requestIdOption)
    .action(deploy);
  program
    .command("versions")
    .description("The packages in the store, and which of them new runs get.")
    .option("--type <workflow-type>", "those that have this workflow type")
    .action(versions);
  program
    .command("route")
    .description("Gives new runs of workflow types another version: all of the types, or none.")
    .argument("<types...>", "workflow types")
    .option("--to <version>", "the version, or the beginning of it")
    .option("--back", "the version that each of them had before")
    .option(...requestIdOption)
    .action(route);
  program
    .command("unload")
    .description("Takes a package out of the store, if neither a running run nor a route needs it.")
    .argument("<version>", "the version, or the beginning of it")
    .option(...requestIdOption)
    .action(unload);
}

async function deploy(
  file: string,
  { route: isRouted, ...request }: { readonly route: boolean } & RequestOptions,
  command: Command,
): Promise<void> {
  const session = new Session(command);
  const archive = await readOrBuild(file, session.output);
  await session.with({ purpose: "write" }, async ({ service, via }) => {
    const reply = await service.deploy({ archive, isRouted, ...request });
    const { version, workflowTypes, isNew } = reply;
    const types = workflowTypes.map(printable).join(", ");
    const routed = isRouted ? "; new runs get it" : "";
    session.output.told(
      "deploy",
      `${isNew ? "deployed" : "was there already:"} ${version} (${types})${routed}`,
      reply,
    );
    if (via === "file")
      session.output.note(`no engine is running on ${session.placeName}; the next one loads it`);
  });
}

async function readOrBuild(file: string, output: Output): Promise<Uint8Array> {
  if (path.extname(file) !== archiveEnding) {
    // The bundler and the parser are loaded only if there is something to build.
    const { buildPackage } = await import("../package/build.ts");
    const { describeProblem } = await import("../package/problem.ts");
    const { bytes, warnings } = await buildPackage(file);
    for (const warning of warnings) output.note(describeProblem(warning));
    return bytes;
  }
  try {
    return readFileSync(file);
  } catch (error) {
    throw new AionError("invalid_argument", `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

async function versions({ type }: { readonly type?: string }, command: Command): Promise<void> {
  const session = new Session(command);
  const reply = await session.with({ purpose: "read" }, ({ service }) =>
    service.listPackages(type === undefined ? {} : { workflowType: type }),
  );
  if (session.output.isJson) {
    session.output.json("versions", reply);
    return;
  }
  if (reply.packages.length === 0) {
    session.output.line(type === undefined ? "no packages" : `no packages with ${printable(type)}`);
    return;
  }
  session.output.line(
    table(
      [
        "VERSION",
        { title: "WORKFLOW TYPES", cut: "end" },
        { title: "NEW RUNS", cut: "end" },
        { title: "SIZE", leaveOut: 1 },
        { title: "DEPLOYED", leaveOut: 2 },
      ],
      reply.packages.map((item) => [
        item.version.slice(0, shownDigits),
        item.workflowTypes.map(printable).join(", "),
        describeRouted(item),
        `${Math.ceil(item.sizeBytes / 1024)} KiB`,
        new Date(item.deployedAt).toISOString(),
      ]),
    ),
  );
}

function describeRouted({ workflowTypes, routedTypes }: PackageSummary): string {
  if (routedTypes.length === 0) return style("dim", "none");
  return routedTypes.length === workflowTypes.length ? "all" : routedTypes.map(printable).join(", ");
}

async function route(
  workflowTypes: readonly string[],
  { to, back, ...request }: { readonly to?: string; readonly back?: true } & RequestOptions,
  command: Command,
): Promise<void> {
  const session = new Session(command);
  if ((to === undefined) === (back === undefined))
    throw usageError("a route goes --to a version, or --back", "Name one of the two.");
  if (back === true && request.requestId !== undefined)
    throw usageError("--back may mean another version when it is repeated", "Name the version with --to.");
  await session.with({ purpose: "write" }, async ({ service }) => {
    const known = await service.listPackages({});
    const version = to === undefined ? previousOf(workflowTypes, known) : await find(to, service);
    await service.route({ workflowTypes, version, ...request });
    session.output.told("route", `new runs of ${workflowTypes.map(printable).join(", ")} get ${version}`, {
      workflowTypes,
      version,
    });
  });
}

/** One version for all of them, so that they change together. */
function previousOf(workflowTypes: readonly string[], { routes }: PackagesReply): string {
  const versionsBefore = workflowTypes.map((type) => {
    const ofType = routes.filter(({ workflowType }) => workflowType === type).map(({ version }) => version);
    const current = ofType.at(-1);
    const before = ofType.findLast((version) => version !== current);
    if (before === undefined)
      throw new AionError("package_not_found", `${type} had no other version that is still in the store`);
    return before;
  });
  const [first = "", ...others] = versionsBefore;
  if (others.every((other) => other === first)) return first;
  throw usageError("these types had different versions before", "Take them back one by one.");
}

async function unload(prefix: string, request: RequestOptions, command: Command): Promise<void> {
  const session = new Session(command);
  await session.with({ purpose: "write" }, async ({ service }) => {
    const version = await find(prefix, service);
    await service.unload({ version, ...request });
    session.output.told("unload", `unloaded ${version}`, { version });
  });
}

/** The one package whose version begins so. */
async function find(prefix: string, service: Service): Promise<string> {
  if (prefix.length < prefixDigitsMin)
    throw usageError(
      `a version needs ${prefixDigitsMin} digits at least, got ${JSON.stringify(prefix)}`,
      "`aion versions` tells what there is.",
    );
  // Whole, it needs no look: a repeated request may be for one that is gone by now.
  if (isPackageVersion(prefix)) return prefix;
  const { packages } = await service.listPackages({});
  const found = packages.map(({ version }) => version).filter((version) => version.startsWith(prefix));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new AionError(
    "package_not_found",
    only === undefined
      ? `no package's version begins with ${prefix}`
      : `${found.length} packages have versions that begin with ${prefix}`,
    { hint: "`aion versions` tells what there is." },
  );
}
