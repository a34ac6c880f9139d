import { type Connection, connect } from "aion";
import { isAionError } from "aion/client";
import { approval } from "../workflow.ts";
import type { SendDecision } from "./approval-desk.ts";

/**
 * Decisions reach the workflow as signals, through the engine that has the store, in whatever process it runs. One
 * connection serves until a call fails; the next call then looks for the engine anew, which may be another one by then.
 */
export function decisionSender(store: string): SendDecision {
  let connected: Promise<Connection> | undefined;
  return async (orderId, decision) => {
    const connection = (connected ??= connect(store));
    try {
      const { client } = await connection;
      // A decision sent again after a crash has the same id, and is the same decision.
      await client.get(orderId).signal(approval, decision, { signalId: `decision-${orderId}` });
      return "delivered";
    } catch (error) {
      if (isAionError(error) && (error.code === "run_closed" || error.code === "run_not_found"))
        return "too late";
      if (connected === connection) connected = undefined;
      throw error;
    }
  };
}
