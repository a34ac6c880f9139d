/** What programs that serve workflows import. */
export { Server } from "./server.ts";
export type { ServerCloseOptions, ServerOptions } from "./server.ts";
