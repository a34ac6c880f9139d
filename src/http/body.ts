import { AionError } from "../core/errors.ts";

/** What is too large is read to its end, up to this, so that its sender is there to hear the refusal. */
const discardBytesMax = 256 * 1024 * 1024;

/** Of somebody who was not let in. */
const strangerBytesMax = 1024 * 1024;

/** The whole body, whatever becomes of it. Error: `payload_too_large`. */
export async function readBody(request: Request, limitBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (request.body !== null) {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes <= limitBytes) chunks.push(chunk);
      else chunks.length = 0;
      // Leaving the loop early breaks the connection.
      if (bytes > discardBytesMax) break;
    }
  }
  if (bytes > limitBytes) {
    throw new AionError(
      "payload_too_large",
      `the body of the request has ${bytes} bytes or more, and the limit is ${limitBytes}`,
      {
        hint: "Store the data elsewhere and pass a reference, or raise `requestLimitBytes` (of packages `packageLimitBytes`).",
        details: { bytes, limitBytes },
      },
    );
  }
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

/** What nobody will look at is read to its end all the same, if that is near: else its sender does not hear why. */
export async function discardBody(request: Request): Promise<void> {
  if (request.body === null) return;
  let bytes = 0;
  try {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > strangerBytesMax) return;
    }
  } catch {
    // It was broken off: then nobody waits for the answer.
  }
}
