import type { SendDecision } from "./approval-desk.ts";
export function decisionSender(_store: string): SendDecision { return async () => { throw new Error("todo"); }; }
