import type { Event } from "../../src/core/event.ts";
import type { Draws } from "../blackbox/generator.ts";
import type { Effect } from "./effects.ts";
import type { Stage } from "./stage.ts";

export interface Cast {
  readonly stage: Stage;
  readonly draws: Draws;
  /** For how long processes die. */
  readonly lastsMs: number;
}

export interface Read {
  readonly histories: ReadonlyMap<string, readonly Event[]>;
  readonly effects: readonly Effect[];
}

/** Something that is done to workflows while processes die, and what has to have come of it. */
export interface Part {
  readonly name: string;
  /** Workflow ids whose histories are to be read. */
  readonly ids: () => Promise<readonly string[]> | readonly string[];
  drive(): Promise<void>;
  /** What is wrong. */
  judge(read: Read): readonly string[];
  /** Answers that were held against the histories. */
  readonly toldCount: number;
}

const waitMs = 2_000;

/** How the run has ended, from what a caller is told. */
export async function endOf(stage: Stage, workflowId: string): Promise<{ status: string; result?: string }> {
  for (;;) {
    const reply = await stage.ask((desk) => desk.result({ workflowId, waitMs }));
    if (reply.status === "running") {
      if (reply.blocked !== undefined) throw new Error(`${workflowId} is blocked: ${reply.blocked}`);
      continue;
    }
    return reply.status === "completed"
      ? { status: reply.status, result: reply.result }
      : { status: reply.status };
  }
}
