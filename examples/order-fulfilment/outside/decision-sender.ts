import { Client, isAionError } from "aion/client";
import { approval } from "../workflow.ts";
import type { SendDecision } from "./approval-desk.ts";

/** Decisions reach the workflow as signals, through whatever server answers there. */
export function decisionSender(serverUrl: string): SendDecision {
  const client = new Client({ url: serverUrl });
  return async (orderId, decision) => {
    try {
      // A decision sent again after a crash has the same id, and is the same decision.
      await client.get(orderId).signal(approval, decision, { signalId: `decision-${orderId}` });
      return "delivered";
    } catch (error) {
      if (isAionError(error) && (error.code === "run_closed" || error.code === "run_not_found"))
        return "too late";
      // It is sent again; whoever looks for the reason finds it in the log.
      process.stderr.write(`${orderId}: ${error instanceof Error ? error.message : String(error)}\n`);
      throw error;
    }
  };
}
