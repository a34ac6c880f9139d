import type { AionError } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload } from "../core/payload.ts";
import type { ActivityTask } from "../workflow/definition.ts";

/** An attempt at work. Its AbortController is made when somebody asks for the signal: few implementations do. */
export interface AttemptAtWork {
  /** The idempotency key. */
  readonly key: string;
  readonly activityType: string;
  readonly attempt: number;
  readonly address: { readonly workflowId: string; readonly runId: string };
  controller: AbortController | undefined;
  /** Why it was aborted, if it was. */
  abortReason: AionError | undefined;
}

/** What an implementation is handed. A class, since an object with an accessor is slow to make. */
export class Task implements ActivityTask {
  readonly idempotencyKey: string;
  readonly attempt: number;
  readonly activityType: string;
  readonly workflowId: string;
  readonly runId: string;
  readonly lastHeartbeat: unknown;
  readonly heartbeat: (details?: unknown) => void;
  readonly #atWork: AttemptAtWork;

  constructor(
    atWork: AttemptAtWork,
    lastHeartbeat: Payload | undefined,
    heartbeat: (details?: unknown) => void,
  ) {
    this.idempotencyKey = atWork.key;
    this.attempt = atWork.attempt;
    this.activityType = atWork.activityType;
    this.workflowId = atWork.address.workflowId;
    this.runId = atWork.address.runId;
    this.lastHeartbeat = lastHeartbeat === undefined ? undefined : fromPayload(lastHeartbeat);
    this.heartbeat = heartbeat;
    this.#atWork = atWork;
  }

  get signal(): AbortSignal {
    const atWork = this.#atWork;
    if (atWork.controller === undefined) {
      atWork.controller = new AbortController();
      if (atWork.abortReason !== undefined) atWork.controller.abort(atWork.abortReason);
    }
    return atWork.controller.signal;
  }
}

export function abort(atWork: AttemptAtWork, reason: AionError): void {
  atWork.abortReason ??= reason;
  atWork.controller?.abort(reason);
}
