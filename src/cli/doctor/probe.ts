import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { StoreFacts } from "../../store/sqlite/inspection.ts";
import type { AttributeFacts } from "./compare-attributes.ts";
import type { PlaceFacts, SyncFacts } from "./disk.ts";

export interface ScheduleFacts {
  readonly count: number;
  /** Those that start nothing before the clock is where it was. */
  readonly silent: readonly { readonly scheduleId: string; readonly untilAt: number }[];
}

export type ProbeRequest =
  | { readonly probe: "place"; readonly path: string }
  | { readonly probe: "sync"; readonly file: string }
  | { readonly probe: "store"; readonly path: string; readonly now: number; readonly dueBy: number }
  | { readonly probe: "integrity" | "attributes"; readonly path: string }
  | { readonly probe: "schedules"; readonly path: string; readonly now: number };

interface ProbeResults {
  readonly place: PlaceFacts;
  readonly sync: SyncFacts;
  readonly store: StoreFacts;
  readonly integrity: { readonly damage?: string };
  readonly attributes: AttributeFacts;
  readonly schedules: ScheduleFacts;
}

/** What the process says, by its channel. */
export type ProbeAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "on the way"; readonly done: string }
  | { readonly kind: "done"; readonly result: unknown }
  | ProbeFailure;

interface ProbeFailure {
  readonly kind: "failed";
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export type Probed<Result> =
  | { readonly kind: "done"; readonly result: Result }
  | ProbeFailure
  /** It was ended; `done`: what it had come to. */
  | { readonly kind: "timeout"; readonly timeoutMs: number; readonly done: readonly string[] };

/** Until the process itself is there: on a busy machine that takes long, and says nothing of the store. */
const startTimeoutMs = 60_000;

/**
 * Asks in a process of its own, which is ended when the time is over, counted from when the process is there: a call that hangs in SQLite or in the kernel holds up nobody.
 * Whatever lock it had on the store goes with it.
 */
export function probe<Request extends ProbeRequest>(
  request: Request,
  timeoutMs: number,
): Promise<Probed<ProbeResults[Request["probe"]]>> {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const script = fileURLToPath(new URL(`./probe-process${extension}`, import.meta.url));
  return new Promise((resolve) => {
    const child = fork(script, { stdio: ["ignore", "ignore", "ignore", "ipc"] });
    const done: string[] = [];
    const settle = (outcome: Probed<ProbeResults[Request["probe"]]>): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    const limit = (ms: number): NodeJS.Timeout =>
      setTimeout(() => {
        child.kill("SIGKILL");
        // One that waits for a disk that never answers cannot even be killed; it is left to itself.
        child.unref();
        child.channel?.unref();
        settle({ kind: "timeout", timeoutMs: ms, done });
      }, ms);
    let timer = limit(startTimeoutMs);
    child.on("message", (message) => {
      const answer = message as ProbeAnswer;
      if (answer.kind === "ready") {
        clearTimeout(timer);
        timer = limit(timeoutMs);
        child.send(request);
      } else if (answer.kind === "on the way") done.push(answer.done);
      else if (answer.kind === "failed") settle(answer);
      else settle({ kind: "done", result: answer.result as ProbeResults[Request["probe"]] });
    });
    const ended = (message: string): void =>
      settle({ kind: "failed", code: "internal", message, hint: "Please report it.", details: {} });
    child.once("error", (error) => ended(`the probe could not be started: ${error.message}`));
    child.once("exit", (code, signal) => ended(`the probe ended by itself (${signal ?? `code ${code}`})`));
  });
}
