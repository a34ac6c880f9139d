import type { Service } from "../client/service.ts";
import { isAionError } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { toAionError } from "./errors.ts";
import type { Peer } from "./peer.ts";

/** Everything that can be asked for. */
export type AskedOperation =
  | keyof Service
  | "events"
  /** Many calls in one request; each is asked about by itself. */
  | "calls"
  | "work"
  | "listNamespaces"
  | "createNamespace"
  | "listKeys"
  | "createKey"
  | "rotateKey"
  | "revokeKey"
  | "readAudit"
  | "describeApi"
  | "metrics";

/** Who asks, as far as the request and its connection tell. */
export interface Caller {
  /** The name, and the port, under which the server was addressed. */
  readonly host: string;
  readonly headers: Headers;
  readonly peer: Peer;
}

/** What a caller asks for, as far as it is known before anything of it is done, or read. */
export interface Asked extends Caller {
  readonly operation: AskedOperation;
  /** Of those that concern one. The one that is used then, and no other. */
  readonly namespace?: string;
  /** That a worker would serve. */
  readonly taskQueues?: readonly string[];
  /** Of which namespace it is asked stands in a body that was not read: as yet it is only decided whether the caller is anybody. */
  readonly isUnread?: true;
}

export type Ids = Readonly<Record<string, string>>;

/** Who was let in, and for how long. */
export interface Admission {
  readonly subject?: string;
  /** Fires, with an `AionError` as its reason, when whoever was let in may not be any more: whatever is open then ends. */
  readonly ends?: AbortSignal;
  /** Of what `isUnread`: false when he may do it in no namespace, whichever it is about. */
  readonly mayAnywhere?: boolean;
  /** Whether he may know that there is a namespace of that name. */
  readonly mayKnow?: (namespace: string) => boolean;
  /** Resolves when it is on record that this is about to be done. Throws what the request itself leads to that stands against it. */
  readonly begin?: (request: object, ids: Ids) => Promise<void>;
  readonly end?: (outcome: "ok" | ErrorCode, ids: Ids) => void;
  /** Resolves when the answer may be written. Absent: at once. */
  readonly leave?: () => Promise<void> | undefined;
}

/** Throws what stands against the caller. */
export type Admit = (asked: Asked) => Promise<Admission>;

/** What the work tells of itself while it is done. */
export interface Admitted {
  readonly admission: Admission;
  /** To be called before anything is changed. */
  readonly begin: (request: object) => Promise<void>;
  /** Ids that are known only now. */
  readonly note: (answer: object) => void;
}

/** Does what is asked for, if the caller may; the one way by which anything is done for a caller. */
export async function underAdmission<Result>(
  admit: Admit | undefined,
  asked: Asked,
  work: (admitted: Admitted) => Promise<Result>,
): Promise<Result> {
  const admission = (await admit?.(asked)) ?? {};
  let ids: Ids = {};
  const admitted: Admitted = {
    admission,
    begin: async (request) => {
      ids = idsOf(request);
      await admission.begin?.(request, ids);
    },
    note: (answer) => (ids = { ...ids, ...idsOf(answer) }),
  };
  try {
    const result = await work(admitted);
    admission.end?.("ok", ids);
    await admission.leave?.();
    return result;
  } catch (error) {
    admission.end?.(toAionError(error).code, ids);
    throw error;
  }
}

/** Why an admission is over; `undefined`: it is not. */
export function whyEnded({ ends }: Admission): Error | undefined {
  return ends?.aborted === true && isAionError(ends.reason) ? ends.reason : undefined;
}

const idFields = [
  "workflowId",
  "runId",
  "newWorkflowId",
  "resetFrom",
  "scheduleId",
  "workflowType",
  "activityType",
  "name",
  "signalId",
  "updateId",
  "requestId",
  "version",
  "identity",
  "id",
  "keyId",
  "subject",
  // Of a decision about parked activities.
  "outcome",
];
/** What points into a run. */
const numberFields = ["toSeq", "ordinal"];
const idLengthMax = 255;

/** What says in a request or an answer what it is about; never a payload. */
function idsOf(of: object): Ids {
  const ids: Record<string, string> = {};
  for (const field of idFields) {
    const value: unknown = (of as Record<string, unknown>)[field];
    if (typeof value === "string") ids[field] = value.slice(0, idLengthMax).toWellFormed();
  }
  for (const field of numberFields) {
    const value: unknown = (of as Record<string, unknown>)[field];
    if (typeof value === "number") ids[field] = String(value);
  }
  // What a schedule is to start, with its type.
  const { action } = of as { readonly action?: unknown };
  if (typeof action === "object" && action !== null) Object.assign(ids, idsOf(action));
  for (const field of ["workflowTypes", "taskQueues"]) {
    const value: unknown = (of as Record<string, unknown>)[field];
    if (Array.isArray(value)) ids[field] = value.map(String).join(",").slice(0, idLengthMax).toWellFormed();
  }
  return ids;
}
