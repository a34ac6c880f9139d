import { createHash } from "node:crypto";
import { AionError, assert } from "../core/errors.ts";
import { isPackageVersion, packageBytesMax } from "../core/package-version.ts";
import type { CatalogChange, PackageUse } from "./contract.ts";
import { pinnedCountMax } from "./contract.ts";

/** Checks the form of a change, and takes a copy: nothing in it changes with what its caller does next. */
export function encodeCatalogChange(change: CatalogChange): CatalogChange {
  const request = change.requestId === undefined ? {} : { requestId: change.requestId };
  switch (change.kind) {
    case "deploy": {
      const { archive, version, deployedAt } = change;
      assert(isPackageVersion(version), "a package is named by a SHA-256 in hexadecimal digits");
      assert(
        archive.byteLength > 0 && archive.byteLength <= packageBytesMax,
        `an archive has 1 to ${packageBytesMax} bytes`,
      );
      return {
        kind: "deploy",
        ...request,
        version,
        // Not `slice`, which of a Buffer is a window on the same bytes.
        archive: new Uint8Array(archive),
        workflowTypes: [...new Set(change.workflowTypes)],
        deployedAt,
        route: [...new Set(change.route)],
      };
    }
    case "route":
      return { ...change, workflowTypes: [...new Set(change.workflowTypes)] };
    case "unload":
      return { ...change };
  }
}

/** What two requests of one id must have in common: all but when they were made. */
export function contentOf(change: CatalogChange): string {
  const types = change.kind === "deploy" ? change.route : change.kind === "route" ? change.workflowTypes : [];
  return JSON.stringify([change.kind, change.version, ...types]);
}

/** A request id that is repeated with another content: neither of the two can be meant. */
export function requestTaken(requestId: string): AionError {
  return new AionError(
    "request_conflict",
    `request id ${JSON.stringify(requestId)} was used for another change`,
    { details: { requestId } },
  );
}

/** Throws `store_corrupt` when the bytes are not those that the version names. */
export function checkArchive(version: string, archive: Uint8Array): void {
  const found = createHash("sha256").update(archive).digest("hex");
  if (found === version) return;
  throw new AionError("store_corrupt", `package ${version} is damaged: the hash of its archive is ${found}`, {
    hint: "Deploy the same archive again, which mends it, and look after the disk.",
    details: { version, found },
  });
}

export function packageNotFound(version: string): AionError {
  return new AionError("package_not_found", `no package of version ${version} is deployed`, {
    details: { version },
  });
}

/** A route for types that the package does not have. */
export function typesNotInPackage(version: string, workflowTypes: readonly string[]): AionError {
  const names = workflowTypes.map((type) => JSON.stringify(type)).join(", ");
  return new AionError("workflow_type_unknown", `package ${version} has no workflow of type ${names}`, {
    hint: "Name types that are in the package, or deploy one that has them.",
    details: { version, workflowTypes },
  });
}

export function packageInUse(use: PackageUse): AionError {
  const { version, workflowTypes, runCount, workflowIds } = use;
  const reasons: string[] = [];
  if (workflowTypes.length > 0) reasons.push(`new runs of ${listOf(workflowTypes)} are routed to it`);
  if (runCount > 0) {
    const count =
      runCount === 1 ? "1 run" : `${runCount}${runCount === pinnedCountMax ? " or more" : ""} runs`;
    reasons.push(`${count} of it ${runCount === 1 ? "has" : "have"} not ended (${listOf(workflowIds)})`);
  }
  return new AionError("package_in_use", `package ${version} is in use: ${reasons.join("; ")}`, {
    details: { ...use },
  });
}

const namedMax = 10;

function listOf(names: readonly string[]): string {
  const more = names.length > namedMax ? ", …" : "";
  return `${names.slice(0, namedMax).join(", ")}${more}`;
}
