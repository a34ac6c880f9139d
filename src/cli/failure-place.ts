import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Place } from "../package/problem.ts";

interface WithStack {
  readonly stack?: string | undefined;
  readonly cause?: unknown;
}

/** Where a failure was thrown, as its stack has it: `order.ts:89:41`. Of its innermost cause that tells. */
export function placeNameOf(failure: WithStack): string | undefined {
  let name: string | undefined;
  for (let at: WithStack | undefined = failure; at !== undefined; at = causeOf(at)) {
    name = firstFrame(at.stack) ?? name;
  }
  return name;
}

/** The same with the line, if it is in one of these directories, from which such names are. */
export function findPlace(failure: WithStack, roots: Iterable<string>): Place | undefined {
  const name = placeNameOf(failure);
  const [, file = "", line = "", column = ""] = frame.exec(name ?? "") ?? [];
  if (file === "") return undefined;
  for (const root of roots) {
    const absolute = path.resolve(root, file);
    if (!existsSync(absolute)) continue;
    const lineText = readFileSync(absolute, "utf8").split(/\r?\n/)[Number(line) - 1];
    if (lineText === undefined) return undefined;
    return {
      file: path.relative(root, absolute),
      line: Number(line),
      column: Number(column),
      length: lengthOfName(lineText, Number(column)),
      lineText,
    };
  }
  return undefined;
}

const frame = /^(.+):(\d+):(\d+)$/;

/** The first in code of the author. */
function firstFrame(stack: string | undefined): string | undefined {
  for (const line of stack?.split("\n") ?? []) {
    const place = /^\s+at (?:.*\()?([^()]+:\d+:\d+)\)?$/.exec(line)?.[1];
    if (place === undefined || /^node:|[\\/]node_modules[\\/]|^evalmachine|^<anonymous>/.test(place))
      continue;
    return place.startsWith("file://") ? toPath(place) : place;
  }
  return undefined;
}

/** What a stack says is written by whoever reported it. */
function toPath(place: string): string | undefined {
  const [, url = "", rest = ""] = /^(.*?)((?::\d+){2})$/.exec(place) ?? [];
  try {
    return `${fileURLToPath(url)}${rest}`;
  } catch {
    return undefined;
  }
}

function lengthOfName(lineText: string, column: number): number {
  return /^[\w$]+/.exec(lineText.slice(column - 1))?.[0].length ?? 1;
}

function causeOf({ cause }: WithStack): WithStack | undefined {
  return typeof cause === "object" && cause !== null ? cause : undefined;
}
