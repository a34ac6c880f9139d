import { AionError, isAionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";

/** Whatever was thrown, as an error with a code: what has none is a bug of ours. */
export function toAionError(error: unknown): AionError {
  return isAionError(error) ? error : new AionError("internal", messageOf(error), { cause: error });
}
