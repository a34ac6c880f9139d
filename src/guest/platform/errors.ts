/**
 * The parts of `Error` and `RegExp` through which one run would see another, or the host.
 */
import { defineMembers } from "./define.ts";
import { addHidden } from "./intrinsics.ts";

/** The interface of V8 to one line of a stack trace, as far as it is used here. */
interface CallSite {
  getFileName(): string | null | undefined;
  toString(): string;
}

/** Scripts of the host are known by where they lie; those of the realm must bear names that are no places. */
const hostFile = /^(?:node:|file:|\/|[A-Za-z]:[\\/]|\\\\)/;

/** `RegExp.$1` and its kin: what was matched last, by whomever. */
const legacyStatics = /^(?:\$.|input|lastMatch|lastParen|leftContext|rightContext)$/;

/**
 * Stack traces end where the host begins, which is another place live than in replay.
 *
 * Node asks `Error.prepareStackTrace` of the realm for the text of `stack`, when it is first read. It cannot be
 * replaced; who assigns it is not told, because libraries put it back and forth without needing it.
 */
export function installStackTraces(): void {
  const prepareStackTrace = (error: unknown, trace: readonly CallSite[]): string => {
    const lines = [describe(error)];
    for (const site of trace) {
      if (!isOfHost(site)) lines.push(`    at ${site.toString()}`);
    }
    return lines.join("\n");
  };
  addHidden(prepareStackTrace);
  defineMembers(Error, {
    get prepareStackTrace(): unknown {
      return prepareStackTrace;
    },
    set prepareStackTrace(_replaced: unknown) {
      // Left as it is.
    },
  });
}

function isOfHost(site: CallSite): boolean {
  const file = site.getFileName();
  return typeof file === "string" && hostFile.test(file);
}

function describe(error: unknown): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "<error>";
  }
}

export function removeLegacyStatics(): void {
  for (const key of Reflect.ownKeys(RegExp)) {
    if (typeof key === "string" && legacyStatics.test(key)) Reflect.deleteProperty(RegExp, key);
  }
}
