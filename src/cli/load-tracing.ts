import { AionError } from "../core/errors.ts";
import type { Tracing } from "../core/tracing.ts";

/**
 * OpenTelemetry, for processes that the command begins: the SDK is what a module sets up that Node was told to import first. Error:
 * `invalid_argument` (its API is not installed).
 */
export async function loadTracing(): Promise<Tracing> {
  try {
    const { otelTracing } = await import("../otel/index.ts");
    return otelTracing();
  } catch (error) {
    throw new AionError("invalid_argument", "tracing needs the package @opentelemetry/api", {
      cause: error,
      hint: "npm install @opentelemetry/api, with the SDK that you use.",
    });
  }
}
