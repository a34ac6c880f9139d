import type { Schema } from "../core/schema.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { ActivityImplementation } from "./definition.ts";

/**
 * An activity called where no workflow runs: its implementation, once. The call has no durable identity, so the
 * key is fresh each time; a constant one would make a payment service drop the second charge.
 */
export async function runDirectly(
  of: {
    readonly activityType: string;
    readonly implementation: ActivityImplementation<unknown, unknown>;
    readonly inputSchema: Schema | undefined;
    readonly outputSchema: Schema | undefined;
  },
  input: unknown,
): Promise<unknown> {
  const parsed =
    of.inputSchema === undefined
      ? input
      : parseWithSchema(of.inputSchema, input, `the input of activity ${JSON.stringify(of.activityType)}`);
  const output = await of.implementation(parsed, {
    // oxlint-disable-next-line no-restricted-globals -- outside every workflow and every simulated world
    idempotencyKey: globalThis.crypto.randomUUID(),
    signal: new AbortController().signal,
    attempt: 1,
    activityType: of.activityType,
    workflowId: "",
    runId: "",
    heartbeat: () => undefined,
    lastHeartbeat: undefined,
  });
  if (of.outputSchema === undefined) return output;
  return parseWithSchema(
    of.outputSchema,
    output,
    `the result of activity ${JSON.stringify(of.activityType)}`,
  );
}
