import type { Duration } from "../core/duration.ts";
import { parseDuration } from "../core/duration.ts";
import { parseName } from "../core/ids.ts";
import { fetchSend } from "./fetch-send.ts";
import type { FetchSendOptions } from "./fetch-send.ts";
import { HttpService } from "./http-service.ts";
import { defaultNamespace } from "./routes.ts";

/** How a server is reached. */
export interface RemoteOptions extends FetchSendOptions {
  /** Default `"default"`. */
  readonly namespace?: string;
  /**
   * For how long a call is made again while the server cannot be reached or is being started anew. Only calls that
   * read, or that name themselves, are; `start` and `signal` are given a name if they have none. Default 30 s; 0: none is.
   */
  readonly patience?: Duration;
}

/** The service of a server's namespace. Error: `invalid_argument`. */
export function connectRemote({ namespace, patience = "30s", ...options }: RemoteOptions): HttpService {
  return new HttpService({
    send: fetchSend(options),
    isTogether: true,
    namespace: parseName(namespace ?? defaultNamespace, "namespace"),
    patience: {
      patienceMs: parseDuration(patience, "patience"),
      wait: waitFor,
      random: () => Math.random(),
      uuid: () => crypto.randomUUID(),
      now: () => performance.now(),
    },
  });
}

function waitFor(delayMs: number, abortSignal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      abortSignal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, delayMs);
    abortSignal?.addEventListener("abort", end, { once: true });
    if (abortSignal?.aborted === true) end();
  });
}
