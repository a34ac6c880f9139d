/** In the order in which they are made and shown. */
export const checkNames = [
  "node",
  "sqlite",
  "port",
  "server",
  "namespaces",
  "file",
  "filesystem",
  "space",
  "sync",
  "store",
  "log",
  "integrity",
  "attributes",
  "owner",
  "version",
  "clock",
  "blocked",
  "parked",
  "timers",
  "schedules",
] as const;

export type CheckName = (typeof checkNames)[number];

export const findingStatuses = ["ok", "warning", "failed", "skipped"] as const;

/** `skipped`: it could not be made, since another one failed or there is nothing to look at here. */
export type FindingStatus = (typeof findingStatuses)[number];

export type Facts = Readonly<Record<string, string | number | boolean>>;

/** What one check found. */
export interface Finding {
  readonly check: CheckName;
  readonly status: FindingStatus;
  /** One sentence, with the values. */
  readonly message: string;
  /** What to do, unless all is well. */
  readonly remedy?: string;
  /** The values, for programs. */
  readonly facts: Facts;
}

export function ok(check: CheckName, message: string, facts: Facts = {}): Finding {
  return { check, status: "ok", message, facts };
}

export function warning(check: CheckName, message: string, remedy: string, facts: Facts = {}): Finding {
  return { check, status: "warning", message, remedy, facts };
}

export function failed(check: CheckName, message: string, remedy: string, facts: Facts = {}): Finding {
  return { check, status: "failed", message, remedy, facts };
}

export function skipped(check: CheckName, message: string): Finding {
  return { check, status: "skipped", message, facts: {} };
}
