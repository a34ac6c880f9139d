import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import { AionError } from "../../core/errors.ts";
import type { WorkflowId } from "../../core/ids.ts";
import {
  checkArchive,
  contentOf,
  packageInUse,
  packageNotFound,
  requestTaken,
  typesNotInPackage,
} from "../catalog.ts";
import type { Catalog, CatalogChange, CatalogReply, PackageRecord } from "../contract.ts";
import { pinnedCountMax, pinnedIdsMax, requestsKept } from "../contract.ts";

type Row = Record<string, SQLOutputValue>;

/** What is read of the catalog, on the reader's connection. Law: an archive is handed out only if it is what was deployed. */
export class CatalogReader {
  readonly #sql: Statements<typeof readTexts>;

  constructor(database: DatabaseSync) {
    this.#sql = prepare(database, readTexts);
  }

  /** Inside a transaction of the caller's: several statements, and one state. */
  read(): Catalog {
    const packages = this.#sql.packages.all().map((row): PackageRecord => {
      const version = String(row["version"]);
      return {
        version,
        sizeBytes: Number(row["size_bytes"]),
        deployedAt: Number(row["deployed_at"]),
        workflowTypes: this.#sql.types.all(version).map(typeOf),
      };
    });
    const routes = this.#sql.routes.all().map((row) => ({
      workflowType: typeOf(row),
      version: String(row["version"]),
      routedAt: Number(row["routed_at"]),
    }));
    return { packages, routes };
  }

  /** Takes as long as the hash of the archive: a tenth of a second for the largest. */
  readPackage(version: string): Uint8Array | undefined {
    const archive = this.#sql.archive.get(version)?.["archive"];
    if (archive === undefined) return undefined;
    if (!(archive instanceof Uint8Array)) {
      throw new AionError("store_corrupt", `package ${version} is damaged: it has no archive`, {
        details: { version },
      });
    }
    checkArchive(version, archive);
    return archive;
  }
}

/**
 * What is written to the catalog.
 *
 * Owner: the writer. Law: every method runs inside a transaction that the caller began; what throws has it rolled back.
 */
export class CatalogWriter {
  readonly #sql: Statements<typeof writeTexts>;

  constructor(database: DatabaseSync) {
    this.#sql = prepare(database, writeTexts);
  }

  has(version: string): boolean {
    return this.#sql.package.get(version) !== undefined;
  }

  change(change: CatalogChange): CatalogReply {
    const { requestId } = change;
    const made = requestId === undefined ? undefined : this.#sql.request.get(requestId);
    if (requestId !== undefined && made !== undefined) {
      if (made["content"] !== contentOf(change)) throw requestTaken(requestId);
      return { isRepeated: true, isNew: made["is_new"] === 1 };
    }
    const isNew = change.kind === "deploy" && !this.has(change.version);
    this.#make(change);
    if (requestId !== undefined) {
      const { lastInsertRowid } = this.#sql.insertRequest.run(requestId, contentOf(change), isNew ? 1 : 0);
      this.#sql.deleteRequests.run(Number(lastInsertRowid) - requestsKept);
    }
    return { isRepeated: false, isNew };
  }

  #make(change: CatalogChange): void {
    switch (change.kind) {
      case "deploy":
        this.#deploy(change);
        break;
      case "route":
        this.#route(change.workflowTypes, change.version, change.routedAt);
        break;
      case "unload":
        this.#unload(change.version);
    }
  }

  #deploy(change: Extract<CatalogChange, { readonly kind: "deploy" }>): void {
    const { version, archive, deployedAt, workflowTypes, route } = change;
    if (this.has(version)) {
      // The same bytes by its name: if they are others, those on the disk are damaged.
      this.#sql.mendArchive.run(version, archive);
    } else {
      this.#sql.insertPackage.run(version, deployedAt, archive);
      for (const [place, type] of workflowTypes.entries()) this.#sql.insertType.run(version, place, type);
    }
    this.#route(route, version, deployedAt);
  }

  #route(workflowTypes: readonly string[], version: string, routedAt: number): void {
    if (!this.has(version)) throw packageNotFound(version);
    const known = new Set(this.#sql.types.all(version).map(typeOf));
    const lacking = workflowTypes.filter((type) => !known.has(type));
    if (lacking.length > 0) throw typesNotInPackage(version, lacking);
    for (const type of workflowTypes) {
      if (this.#sql.currentRoute.get(type)?.["version"] === version) continue;
      this.#sql.insertRoute.run(type, version, routedAt);
    }
  }

  #unload(version: string): void {
    if (!this.has(version)) throw packageNotFound(version);
    const workflowTypes = this.#sql.routedTypes.all(version).map(typeOf);
    const runCount = Number(this.#sql.countPinned.get(version, pinnedCountMax)?.["count"] ?? 0);
    if (workflowTypes.length > 0 || runCount > 0) {
      const workflowIds = this.#sql.pinned
        .all(version, pinnedIdsMax)
        .map((row) => String(row["workflow_id"]) as WorkflowId);
      throw packageInUse({ version, workflowTypes, runCount, workflowIds });
    }
    this.#sql.deleteRoutes.run(version);
    this.#sql.deleteTypes.run(version);
    this.#sql.deletePackage.run(version);
  }
}

type Statements<Texts> = Readonly<Record<keyof Texts, StatementSync>>;

const typesText = "SELECT workflow_type FROM package_types WHERE version = ? ORDER BY place";

const readTexts = {
  packages: "SELECT version, deployed_at, length(archive) AS size_bytes FROM packages ORDER BY package_key",
  types: typesText,
  routes: "SELECT workflow_type, version, routed_at FROM routes ORDER BY route_key",
  archive: "SELECT archive FROM packages WHERE version = ?",
} as const;

const pinnedText = `FROM runs INDEXED BY runs_pinned
  WHERE substr(version, 1, 8) = substr(?1, 1, 8) AND version = ?1 AND closed_at IS NULL AND length(version) = 64`;

const writeTexts = {
  package: "SELECT 1 FROM packages WHERE version = ?",
  request: "SELECT content, is_new FROM requests WHERE request_id = ?",
  insertRequest: "INSERT INTO requests (request_id, content, is_new) VALUES (?, ?, ?)",
  deleteRequests: "DELETE FROM requests WHERE request_key <= ?",
  insertPackage: "INSERT INTO packages (version, deployed_at, archive) VALUES (?, ?, ?)",
  mendArchive: "UPDATE packages SET archive = ?2 WHERE version = ?1 AND archive <> ?2",
  insertType: "INSERT INTO package_types (version, place, workflow_type) VALUES (?, ?, ?)",
  types: typesText,
  currentRoute: "SELECT version FROM routes WHERE workflow_type = ? ORDER BY route_key DESC LIMIT 1",
  insertRoute: "INSERT INTO routes (workflow_type, version, routed_at) VALUES (?, ?, ?)",
  routedTypes: `SELECT workflow_type FROM routes WHERE version = ? AND NOT EXISTS (SELECT 1 FROM routes AS later
    WHERE later.workflow_type = routes.workflow_type AND later.route_key > routes.route_key) ORDER BY route_key`,
  countPinned: `SELECT count(*) AS count FROM (SELECT 1 ${pinnedText} LIMIT ?2)`,
  pinned: `SELECT workflow_id ${pinnedText} ORDER BY run_key LIMIT ?2`,
  deleteRoutes: "DELETE FROM routes WHERE version = ?",
  deleteTypes: "DELETE FROM package_types WHERE version = ?",
  deletePackage: "DELETE FROM packages WHERE version = ?",
} as const;

function prepare<Texts extends Readonly<Record<string, string>>>(
  database: DatabaseSync,
  texts: Texts,
): Statements<Texts> {
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, database.prepare(text)]),
  ) as Statements<Texts>;
}

function typeOf(row: Row): string {
  return String(row["workflow_type"]);
}
