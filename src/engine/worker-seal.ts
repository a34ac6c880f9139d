import { isAionError } from "../core/errors.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { parsePayload } from "../core/payload.ts";
import type { PayloadContext, SyncPayloadCodec } from "../core/payload-codec.ts";
import { decodeFailure, encodeFailure, parseEncoded } from "../core/payload-codec.ts";

interface Of {
  readonly activityType: string;
  readonly workflowId: string;
}

/**
 * What workers report, before it is recorded: held against the limit and, with a codec, decoded once to see that workflow code can be
 * told it; what comes from a worker without a codec is encoded here.
 */
export class WorkerSeal {
  readonly #codec: SyncPayloadCodec | undefined;
  readonly #limitBytes: number;

  constructor(codec: SyncPayloadCodec | undefined, limitBytes: number) {
    this.#codec = codec;
    this.#limitBytes = limitBytes;
  }

  /** Errors: `payload_not_serializable`, `payload_too_large`, those of the codec. */
  payload(reported: string, kind: PayloadContext["kind"], { activityType, workflowId }: Of): Payload {
    const what = `the ${kind} of activity ${JSON.stringify(activityType)}`;
    const payload = parsePayload(reported, what, this.#limitBytes);
    const codec = this.#codec;
    if (codec === undefined) return payload;
    const context = { kind, workflowId };
    const text = codec.decode(payload, context);
    if (parseEncoded(payload) !== undefined) return payload;
    return parsePayload(codec.encode(text, context), what, this.#limitBytes);
  }

  /** Total: how an attempt failed is recorded, whatever it says. */
  failure(failure: Failure, of: Of): Failure {
    const codec = this.#codec;
    return codec === undefined ? failure : sealFailure(codec, failure, of);
  }
}

/** How an attempt failed, encoded; what it says is left out where that cannot be done, or could not be told to workflow code. */
export function sealFailure(codec: SyncPayloadCodec, failure: Failure, { workflowId }: Of): Failure {
  const { failureText = "encoded" } = codec;
  const of = { failureText, workflowId };
  try {
    const encoded = encodeFailure(failure, (text, context) => codec.encode(text, context) as Payload, of);
    decodeFailure(encoded, (payload, context) => codec.decode(payload, context) as Payload, of);
    return encoded;
  } catch (error) {
    const { kind, type, nonRetryable, park } = failure;
    const why = isAionError(error) ? error.code : "codec_failed";
    return {
      kind,
      message: `what the failure says cannot be encoded or decoded here (${why})`,
      ...(type === undefined ? {} : { type }),
      ...(nonRetryable === undefined ? {} : { nonRetryable }),
      ...(park === undefined ? {} : { park }),
    };
  }
}
