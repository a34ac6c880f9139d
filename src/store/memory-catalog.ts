import type { WorkflowId } from "../core/ids.ts";
import {
  checkArchive,
  contentOf,
  packageInUse,
  packageNotFound,
  requestTaken,
  typesNotInPackage,
} from "./catalog.ts";
import type { Catalog, CatalogChange, CatalogReply, PackageRecord, RouteRecord } from "./contract.ts";
import { pinnedCountMax, pinnedIdsMax, requestsKept } from "./contract.ts";

interface Package {
  readonly record: PackageRecord;
  readonly archive: Uint8Array;
}

/** A run as far as it may need a package. */
interface PinnedRun {
  readonly workflowId: WorkflowId;
  readonly version: string;
}

/**
 * Packages and routes in memory.
 *
 * Owner: the memory store. Law: `change` checks everything, then writes everything: nothing to undo.
 */
export class MemoryCatalog {
  readonly #packages = new Map<string, Package>();
  #routes: readonly RouteRecord[] = [];
  /** The latest last. */
  readonly #requests = new Map<string, { readonly content: string; readonly isNew: boolean }>();

  has(version: string): boolean {
    return this.#packages.has(version);
  }

  read(): Catalog {
    return {
      packages: [...this.#packages.values()].map(({ record }) => ({
        ...record,
        workflowTypes: [...record.workflowTypes],
      })),
      routes: this.#routes.map((route) => ({ ...route })),
    };
  }

  readPackage(version: string): Uint8Array | undefined {
    const archive = this.#packages.get(version)?.archive;
    if (archive === undefined) return undefined;
    checkArchive(version, archive);
    return new Uint8Array(archive);
  }

  /** `open`: the running runs, the oldest first. */
  change(change: CatalogChange, open: Iterable<PinnedRun>): CatalogReply {
    const { requestId } = change;
    const made = requestId === undefined ? undefined : this.#requests.get(requestId);
    if (requestId !== undefined && made !== undefined) {
      if (made.content !== contentOf(change)) throw requestTaken(requestId);
      return { isRepeated: true, isNew: made.isNew };
    }
    const isNew = change.kind === "deploy" && !this.#packages.has(change.version);
    this.#make(change, open);
    if (requestId !== undefined) {
      this.#requests.set(requestId, { content: contentOf(change), isNew });
      const [oldest] = this.#requests.keys();
      if (this.#requests.size > requestsKept && oldest !== undefined) this.#requests.delete(oldest);
    }
    return { isRepeated: false, isNew };
  }

  #make(change: CatalogChange, open: Iterable<PinnedRun>): void {
    switch (change.kind) {
      case "deploy": {
        const { version, archive, deployedAt, workflowTypes, route } = change;
        const record = this.#packages.get(version)?.record ?? {
          version,
          sizeBytes: archive.byteLength,
          deployedAt,
          workflowTypes,
        };
        checkTypes(record, route);
        this.#packages.set(version, { record, archive });
        this.#route(route, version, deployedAt);
        break;
      }
      case "route": {
        const found = this.#packages.get(change.version);
        if (found === undefined) throw packageNotFound(change.version);
        checkTypes(found.record, change.workflowTypes);
        this.#route(change.workflowTypes, change.version, change.routedAt);
        break;
      }
      case "unload":
        this.#unload(change.version, open);
    }
  }

  #route(workflowTypes: readonly string[], version: string, routedAt: number): void {
    const current = this.#currentRoutes();
    const made = workflowTypes
      .filter((workflowType) => current.get(workflowType)?.version !== version)
      .map((workflowType) => ({ workflowType, version, routedAt }));
    this.#routes = [...this.#routes, ...made];
  }

  #unload(version: string, open: Iterable<PinnedRun>): void {
    if (!this.#packages.has(version)) throw packageNotFound(version);
    const counting = new Set(this.#currentRoutes().values());
    const workflowTypes = this.#routes
      .filter((route) => route.version === version && counting.has(route))
      .map((route) => route.workflowType);
    const workflowIds: WorkflowId[] = [];
    let runCount = 0;
    for (const run of open) {
      if (run.version !== version) continue;
      if (runCount === pinnedCountMax) break;
      runCount += 1;
      if (workflowIds.length < pinnedIdsMax) workflowIds.push(run.workflowId);
    }
    if (workflowTypes.length > 0 || runCount > 0)
      throw packageInUse({ version, workflowTypes, runCount, workflowIds });
    this.#packages.delete(version);
    this.#routes = this.#routes.filter((route) => route.version !== version);
  }

  #currentRoutes(): ReadonlyMap<string, RouteRecord> {
    return new Map(this.#routes.map((route) => [route.workflowType, route]));
  }
}

function checkTypes({ version, workflowTypes }: PackageRecord, wanted: readonly string[]): void {
  const lacking = wanted.filter((type) => !workflowTypes.includes(type));
  if (lacking.length > 0) throw typesNotInPackage(version, lacking);
}
