/** The law of every border: what comes is taken, or refused with a code that says why; and nothing else happens. */
import { expect } from "vitest";
import type { ErrorCode } from "../../src/core/errors.ts";
import { isAionError } from "../../src/core/errors.ts";

/** A decoder that takes longer over what fits into a few hundred kilobytes can be made to stand still. */
const decodeMsMax = 2_000;

export interface Decoded {
  readonly value?: unknown;
  readonly code?: ErrorCode;
}

/** `alsoThrows`: what else stands for a refusal with a code. */
export async function decodeUnderLaw(
  decode: () => unknown,
  {
    alsoThrows = () => false,
    messageMax = 20_000,
  }: { readonly alsoThrows?: (error: unknown) => boolean; readonly messageMax?: number } = {},
): Promise<Decoded> {
  const fromMs = performance.now();
  let decoded: Decoded;
  try {
    decoded = { value: await decode() };
  } catch (error) {
    if (isAionError(error)) {
      expect(error.code).not.toBe("internal");
      // Who sends much is not to be sent as much back.
      expect(error.message.length).toBeLessThan(messageMax);
      decoded = { code: error.code };
    } else if (alsoThrows(error)) decoded = { code: "invalid_argument" };
    else throw new Error("it was refused without a code", { cause: error });
  }
  expect(performance.now() - fromMs).toBeLessThan(decodeMsMax);
  expect("polluted" in {}).toBe(false);
  return decoded;
}
