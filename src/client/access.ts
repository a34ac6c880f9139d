import { fetchSend } from "./fetch-send.ts";
import type { FetchSendOptions } from "./fetch-send.ts";
import { readAnswer } from "./http-answer.ts";
import type { HttpCall } from "./http-answer.ts";
import { auditPath, keysPath } from "./routes.ts";

/** What somebody may do. None includes another, but `admin` includes all. */
export const roles = ["read", "start", "signal", "operate", "deploy", "work", "admin"] as const;
export type Role = (typeof roles)[number];

/** Roles in namespaces. `"*"`: in all, those that will be made later too. */
export interface Grant {
  readonly roles: readonly Role[];
  readonly namespaces: "*" | readonly string[];
  /** What a worker may serve. Default `"*"`. */
  readonly taskQueues?: "*" | readonly string[];
}

/** An API key, without its secret: that is shown once, when it is made. */
export interface KeySummary {
  readonly id: string;
  /** Who holds it. */
  readonly subject: string;
  readonly grants: readonly Grant[];
  readonly createdAt: number;
  readonly createdBy?: string;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
  readonly rotatedAt?: number;
  /** Until when the secret from before the rotation is taken, too. */
  readonly previousUntil?: number;
}

export interface KeyRequest {
  readonly subject: string;
  readonly grants: readonly Grant[];
  /** Default: it does not expire. */
  readonly expiresInMs?: number;
  /**
   * Names the call. Repeated with the same one it makes no second key, but gives the first one a new secret: nobody has the one whose
   * answer was lost.
   */
  readonly requestId?: string;
}

export interface RotateRequest {
  readonly id: string;
  /** How long the secret of before is taken, too. Default 24 hours. */
  readonly overlapMs?: number;
  /** Names the call. Repeated with the same one it gives another new secret, and the one of before the first call stays what it was. */
  readonly requestId?: string;
}

export interface KeySecret {
  readonly key: KeySummary;
  /** `aion_<id>_<secret>`: the token that goes with calls. */
  readonly token: string;
}

/** The keys of a server. */
export interface KeyDirectory {
  list(): readonly KeySummary[];
  /** Resolves when it is on disk. */
  create(request: KeyRequest, createdBy: string | undefined): KeySecret;
  rotate(request: RotateRequest): KeySecret;
  /** At once: calls and streams that are under way with it end. Doing so again changes nothing. */
  revoke(id: string): KeySummary;
}

/** Something that was asked of the server, and what became of it. */
export interface AuditEntry {
  readonly id: number;
  readonly at: number;
  /** Who. Absent: nobody that the server knows. */
  readonly subject?: string;
  /** Of an API key. */
  readonly keyId?: string;
  readonly operation: string;
  readonly namespace?: string;
  /** Ids that the request or its answer named. */
  readonly ids: Readonly<Record<string, string>>;
  /** Where the call came from. */
  readonly address: string;
  /** `ok`, the code of the error, or `unknown`: the call is under way, or the server ended before it did. */
  readonly outcome: string;
  /** More than 1: so many refusals of the same kind, of which the later ones were only counted. */
  readonly count: number;
}

export interface AuditQuery {
  /** Instants, the bounds included. */
  readonly since?: number;
  readonly until?: number;
  readonly subject?: string;
  readonly operation?: string;
  readonly namespace?: string;
  readonly outcome?: string;
  readonly limit: number;
  readonly cursor?: string;
}

export interface AuditPage {
  /** The latest first. */
  readonly entries: readonly AuditEntry[];
  readonly nextCursor?: string;
}

const callTimeoutMs = 60_000;

async function ask<Answer>(
  server: FetchSendOptions,
  verb: HttpCall["verb"],
  path: string,
  body?: object,
): Promise<Answer> {
  const json = readAnswer(
    await fetchSend(server)({
      verb,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), contentType: "application/json" }),
      timeoutMs: callTimeoutMs,
    }),
  );
  return json as Answer;
}

/** The API keys of a server, the oldest first. Errors: `unauthenticated`, `permission_denied`, `transport_failed`; of all here. */
export async function listKeys(server: FetchSendOptions): Promise<readonly KeySummary[]> {
  return (await ask<{ readonly keys: readonly KeySummary[] }>(server, "GET", keysPath)).keys;
}

export async function createKey(server: FetchSendOptions, request: KeyRequest): Promise<KeySecret> {
  return await ask(server, "POST", keysPath, request);
}

/** Error: `key_not_found`. */
export async function rotateKey(
  server: FetchSendOptions,
  { id, ...rest }: RotateRequest,
): Promise<KeySecret> {
  return await ask(server, "POST", `${keysPath}/${encodeURIComponent(id)}/rotate`, rest);
}

/** Error: `key_not_found`. */
export async function revokeKey(server: FetchSendOptions, id: string): Promise<KeySummary> {
  return await ask(server, "DELETE", `${keysPath}/${encodeURIComponent(id)}`);
}

/** What was asked of a server, the latest first. */
export async function readAudit(server: FetchSendOptions, query: AuditQuery): Promise<AuditPage> {
  const fields = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(
    fields.map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
  return await ask(server, "GET", `${auditPath}?${text}`);
}
