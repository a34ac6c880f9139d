/** Traces over `@opentelemetry/api`: what an engine, a server, a client or a worker is handed as `tracing`. */
export { otelTracing } from "./tracing.ts";
export type { OtelOptions } from "./tracing.ts";
export { AionIdGenerator } from "./id-generator.ts";
