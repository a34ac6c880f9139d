import type { RunId, WorkflowId } from "../core/ids.ts";
import type { TaskToken } from "../protocol/frames.ts";
import type { TaskAddress } from "./attempt.ts";

/** What a token says. Anybody can write one: it is a claim, to be held against the history. */
export interface TokenClaim {
  readonly address: TaskAddress;
  readonly attempt: number;
  /** Of the engine that gave it out. */
  readonly epoch: number;
}

/** Two names of 255 characters, each written with six, and three numbers. */
const tokenLengthMax = 4_096;

export function toToken({ address, attempt, epoch }: TokenClaim): TaskToken {
  const { workflowId, runId, ordinal } = address;
  return JSON.stringify([epoch, workflowId, runId, ordinal, attempt]);
}

/** `undefined`: no engine gives out such a token. */
export function fromToken(token: TaskToken): TokenClaim | undefined {
  if (token.length > tokenLengthMax) return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(token);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts) || parts.length !== 5) return undefined;
  const [epoch, workflowId, runId, ordinal, attempt] = parts as unknown[];
  if (typeof workflowId !== "string" || typeof runId !== "string") return undefined;
  if (!isCount(epoch) || !isCount(ordinal) || !isCount(attempt) || attempt === 0) return undefined;
  return {
    address: { workflowId: workflowId as WorkflowId, runId: runId as RunId, ordinal },
    attempt,
    epoch,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
