/** Encoding of payloads, for clients, workers and engines on Node. */
export { aes256gcm } from "./aes256gcm.ts";
export type { KeyRingOptions } from "../core/key-ring.ts";
export type { PayloadCodec, PayloadContext, SyncPayloadCodec } from "../core/payload-codec.ts";
export { AionError, isAionError } from "../core/errors.ts";
