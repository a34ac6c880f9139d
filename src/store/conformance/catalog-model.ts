import { isDeepStrictEqual } from "node:util";
import type {
  Catalog,
  CatalogChange,
  CatalogReply,
  PackageRecord,
  RouteRecord,
  RunRecord,
} from "../contract.ts";
import { pinnedCountMax, pinnedIdsMax } from "../contract.ts";
import type { Outcome } from "./call.ts";

/** The part of the model that packages and routes are. */
export interface ModelCatalog extends Catalog {
  /** In order of first deployment, with their bytes in hexadecimal digits. */
  readonly packages: readonly (PackageRecord & { readonly archive: string })[];
  /** In the order in which they were made. */
  readonly routes: readonly RouteRecord[];
  /** Changes that were asked for with a request id, with what their reply said. */
  readonly requests: readonly ModelRequest[];
}

interface ModelRequest {
  readonly requestId: string;
  readonly content: unknown;
  readonly isNew: boolean;
}

export const noPackages: ModelCatalog = { packages: [], routes: [], requests: [] };

/** What a store says when it refuses. */
export interface Refusal {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** The catalogs that there may be after a change that had this outcome; `open`: the running runs. */
export function explainChange(
  catalog: ModelCatalog,
  change: CatalogChange,
  outcome: Outcome,
  open: readonly RunRecord[],
): { readonly next: readonly ModelCatalog[]; readonly expected: unknown } {
  const { requestId } = change;
  const earlier = catalog.requests.find((one) => one.requestId === requestId);
  const content = contentOf(change);
  const isOther = earlier !== undefined && !isDeepStrictEqual(earlier.content, content);
  const refusal = isOther
    ? { code: "request_conflict", details: { requestId } }
    : earlier === undefined
      ? refusalOf(catalog, change, open)
      : undefined;
  const isMadeNow = refusal === undefined && earlier === undefined;
  const isNew =
    earlier?.isNew ??
    (change.kind === "deploy" && catalog.packages.every(({ version }) => version !== change.version));
  const requests =
    isMadeNow && requestId !== undefined
      ? [...catalog.requests, { requestId, content, isNew }]
      : catalog.requests;
  const changed = isMadeNow ? { ...changedBy(catalog, change), requests } : catalog;
  const reply: CatalogReply = { isRepeated: earlier !== undefined, isNew };
  const expected = refusal ?? reply;
  if (outcome.ok) {
    const isForetold = refusal === undefined && isDeepStrictEqual(outcome.value, reply);
    return { next: isForetold ? [changed] : [], expected };
  }
  const { code, details } = outcome;
  if (code === "commit_unknown" || code === "store_failed") return { next: [catalog, changed], expected };
  const isForetold = code === "store_full" || isDeepStrictEqual({ code, details }, refusal);
  return { next: isForetold ? [catalog] : [], expected };
}

/** All but when it is asked for. */
function contentOf(change: CatalogChange): unknown {
  const { kind, version } = change;
  if (kind === "unload") return [kind, version];
  return [kind, version, [...new Set(kind === "deploy" ? change.route : change.workflowTypes)]];
}

function refusalOf(
  { packages, routes }: ModelCatalog,
  change: CatalogChange,
  open: readonly RunRecord[],
): Refusal | undefined {
  const { version } = change;
  const found =
    packages.find((one) => one.version === version) ?? (change.kind === "deploy" ? change : undefined);
  if (found === undefined) return { code: "package_not_found", details: { version } };
  if (change.kind !== "unload") {
    const wanted = change.kind === "deploy" ? change.route : change.workflowTypes;
    const workflowTypes = [...new Set(wanted)].filter((type) => !found.workflowTypes.includes(type));
    if (workflowTypes.length === 0) return undefined;
    return { code: "workflow_type_unknown", details: { version, workflowTypes } };
  }
  const workflowTypes = routes
    .filter((route) => route.version === version && isCounting(routes, route))
    .map((route) => route.workflowType);
  const pinned = open.filter((run) => run.version === version);
  if (workflowTypes.length === 0 && pinned.length === 0) return undefined;
  const runCount = Math.min(pinned.length, pinnedCountMax);
  const workflowIds = pinned.slice(0, pinnedIdsMax).map((run) => run.workflowId);
  return { code: "package_in_use", details: { version, workflowTypes, runCount, workflowIds } };
}

/** The last of its type. */
function isCounting(routes: readonly RouteRecord[], route: RouteRecord): boolean {
  return routes.findLast(({ workflowType }) => workflowType === route.workflowType) === route;
}

function changedBy(
  { packages, routes }: ModelCatalog,
  change: CatalogChange,
): Omit<ModelCatalog, "requests"> {
  const { version } = change;
  switch (change.kind) {
    case "deploy": {
      const { archive, workflowTypes, deployedAt } = change;
      const isThere = packages.some((one) => one.version === version);
      const one = {
        version,
        sizeBytes: archive.byteLength,
        deployedAt,
        workflowTypes: [...new Set(workflowTypes)],
        archive: Buffer.from(archive).toString("hex"),
      };
      return {
        packages: isThere ? packages : [...packages, one],
        routes: routed(routes, change.route, { version, routedAt: deployedAt }),
      };
    }
    case "route":
      return {
        packages,
        routes: routed(routes, change.workflowTypes, { version, routedAt: change.routedAt }),
      };
    case "unload":
      return {
        packages: packages.filter((one) => one.version !== version),
        routes: routes.filter((route) => route.version !== version),
      };
  }
}

function routed(
  routes: readonly RouteRecord[],
  workflowTypes: readonly string[],
  to: Omit<RouteRecord, "workflowType">,
): readonly RouteRecord[] {
  return workflowTypes.reduce((all, workflowType) => {
    const current = all.findLast((route) => route.workflowType === workflowType);
    return current?.version === to.version ? all : [...all, { workflowType, ...to }];
  }, routes);
}
