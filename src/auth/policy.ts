import type { Grant, Role } from "../client/access.ts";
import { AionError } from "../core/errors.ts";
import type { Asked, AskedOperation } from "../http/admission.ts";

/** Somebody whom the server knows, and what he may do. */
export interface Principal {
  /** Unique among all who call: `key:…`, `jwt:…`, `cert:…` and a name. */
  readonly subject: string;
  readonly grants: readonly Grant[];
  /** Of an API key. */
  readonly keyId?: string;
}

/**
 * What an operation asks of its caller.
 * - `anyone`: nothing, not even to be known. - `known`: to be known.
 * - `namespace`: the role in the namespace that is used. - `server`: the role in all namespaces.
 */
export type Demand =
  | { readonly of: "anyone" }
  | { readonly of: "known" }
  | { readonly of: "namespace"; readonly role: Role; readonly changes: boolean }
  | { readonly of: "server"; readonly role: Role; readonly changes: boolean };

const reads: Demand = { of: "namespace", role: "read", changes: false };
const inNamespace = (role: Role): Demand => ({ of: "namespace", role, changes: true });
const ofServer = (changes: boolean): Demand => ({ of: "server", role: "admin", changes });

/** Deny by default: an operation that is not here does not compile. */
export const demands: Readonly<Record<AskedOperation, Demand>> = {
  list: reads,
  count: reads,
  describe: reads,
  result: reads,
  history: reads,
  logs: reads,
  feed: reads,
  events: reads,
  query: reads,
  listPackages: reads,
  listWorkers: reads,
  describeSchedule: reads,
  listSchedules: reads,
  start: inNamespace("start"),
  signal: inNamespace("signal"),
  update: inNamespace("signal"),
  // Who may ask a run to do something is told what came of it.
  updateResult: { of: "namespace", role: "signal", changes: false },
  cancel: inNamespace("operate"),
  terminate: inNamespace("operate"),
  pause: inNamespace("operate"),
  resume: inNamespace("operate"),
  resumeActivity: inNamespace("operate"),
  reopen: inNamespace("operate"),
  reset: inNamespace("operate"),
  fork: inNamespace("operate"),
  // What it starts later is started for whoever made it: see `rolesOf`.
  createSchedule: inNamespace("operate"),
  updateSchedule: inNamespace("operate"),
  pauseSchedule: inNamespace("operate"),
  resumeSchedule: inNamespace("operate"),
  triggerSchedule: inNamespace("operate"),
  backfillSchedule: inNamespace("operate"),
  deleteSchedule: inNamespace("operate"),
  deploy: inNamespace("deploy"),
  route: inNamespace("deploy"),
  unload: inNamespace("deploy"),
  work: inNamespace("work"),
  calls: { of: "known" },
  listNamespaces: { of: "known" },
  createNamespace: ofServer(true),
  listKeys: ofServer(false),
  createKey: ofServer(true),
  rotateKey: ofServer(true),
  revokeKey: ofServer(true),
  readAudit: ofServer(false),
  // The same for every server of a version; a browser that shows it sends no credentials.
  describeApi: { of: "anyone" },
  // Names of workflows, activities and queues of all namespaces stand there.
  metrics: { of: "server", role: "read", changes: false },
};

/**
 * Of a start: what it does to runs that are there is a matter of these roles, too. Who says what a schedule starts has to be somebody who
 * may start it himself: nobody is asked again when it does.
 */
export function rolesOf(request: object): readonly Role[] {
  const { reuse, signal, action, newWorkflowId } = request as {
    readonly reuse?: unknown;
    readonly signal?: unknown;
    readonly action?: unknown;
    readonly newWorkflowId?: unknown;
  };
  return [
    ...(action === undefined || action === null ? [] : (["start"] as const)),
    // A fork starts what is new under that id.
    ...(newWorkflowId === undefined ? [] : (["start"] as const)),
    ...(reuse === "terminate" ? (["operate"] as const) : []),
    ...(signal === undefined || signal === null ? [] : (["signal"] as const)),
  ];
}

/** The answer about a namespace that is not there, and to who may not know that it is: one answer. */
export function namespaceNotFound(name: string): AionError {
  return new AionError("namespace_not_found", `there is no namespace ${JSON.stringify(name.slice(0, 100))}`);
}

export function mayKnow({ grants }: Principal, namespace: string): boolean {
  return grants.some((grant) => covers(grant, namespace));
}

/** Whether there may be a namespace in which he may do that. */
export function mayAnywhere({ grants }: Principal, { operation }: Pick<Asked, "operation">): boolean {
  const demand = demands[operation];
  return !("role" in demand) || grants.some((grant) => holds(grant, demand.role));
}

/**
 * Throws what stands against it. Who has no grant in a namespace is told what he would be told if it were not there, and nothing
 * has been looked up by then. Errors: `namespace_not_found`, `permission_denied`.
 */
export function judge(
  principal: Principal,
  { operation, namespace, taskQueues = [] }: Pick<Asked, "operation" | "namespace" | "taskQueues">,
): void {
  const demand = demands[operation];
  if (demand.of === "anyone" || demand.of === "known") return;
  const { role } = demand;
  if (demand.of === "server") {
    const may = principal.grants.some((grant) => grant.namespaces === "*" && holds(grant, role));
    if (!may) throw denied(operation, `it takes the role ${role} in all namespaces`);
    return;
  }
  // Of a caller that names none nothing is guessed.
  if (namespace === undefined) throw denied(operation, "it names no namespace");
  demandRole(principal, { operation, namespace, role, taskQueues });
}

/** As `judge`, for one role more. */
export function demandRole(
  { grants }: Principal,
  of: {
    readonly operation: AskedOperation;
    readonly namespace: string;
    readonly role: Role;
    readonly taskQueues?: readonly string[];
  },
): void {
  const { operation, namespace, role, taskQueues = [] } = of;
  const there = grants.filter((grant) => covers(grant, namespace));
  if (there.length === 0) throw namespaceNotFound(namespace);
  const held = there.filter((grant) => holds(grant, role));
  if (held.length === 0) throw denied(operation, `it takes the role ${role}`);
  for (const queue of taskQueues) {
    const may = held.some(({ taskQueues: queues = "*" }) => queues === "*" || queues.includes(queue));
    if (!may) throw denied(operation, `it takes the role ${role} for task queue ${JSON.stringify(queue)}`);
  }
}

function covers({ namespaces }: Grant, namespace: string): boolean {
  return namespaces === "*" || namespaces.includes(namespace);
}

function holds(grant: Grant, role: Role): boolean {
  return grant.roles.includes(role) || grant.roles.includes("admin");
}

function denied(operation: AskedOperation, why: string): AionError {
  return new AionError("permission_denied", `the caller may not do that (${operation}): ${why}`);
}
