import { createRequire } from "node:module";

let own: string | undefined;

/** The version of this build. */
export function thisVersion(): string {
  own ??= String((createRequire(import.meta.url)("aion/package.json") as { version?: unknown }).version);
  return own;
}

/** Whether `version` comes after `other` by the order of Semantic Versioning 2.0.0, section 11. What is no version is the first. */
export function isLaterVersion(version: string, other: string): boolean {
  return compareVersions(version, other) > 0;
}

function compareVersions(left: string, right: string): number {
  const [one, two] = [parse(left), parse(right)];
  if (one === undefined || two === undefined) return Number(one !== undefined) - Number(two !== undefined);
  const byRelease = compareLists(one.release, two.release);
  if (byRelease !== 0) return byRelease;
  // A version under way comes before the one it leads to.
  if (one.before.length === 0 || two.before.length === 0) {
    return Number(one.before.length === 0) - Number(two.before.length === 0);
  }
  return compareLists(one.before, two.before);
}

interface Version {
  readonly release: readonly string[];
  readonly before: readonly string[];
}

function parse(text: string): Version | undefined {
  const match = /^(\d+\.\d+\.\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(text);
  const release = match?.[1];
  if (release === undefined) return undefined;
  return { release: release.split("."), before: match?.[2]?.split(".") ?? [] };
}

function compareLists(left: readonly string[], right: readonly string[]): number {
  for (const [index, one] of left.entries()) {
    const two = right[index];
    if (two === undefined) return 1;
    const order = compareIdentifiers(one, two);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareIdentifiers(one: string, two: string): number {
  const isNumber = [one, two].map((text) => /^\d+$/.test(text));
  if (isNumber[0] === true && isNumber[1] === true) return Number(one) - Number(two);
  if (isNumber[0] !== isNumber[1]) return isNumber[0] === true ? -1 : 1;
  return one === two ? 0 : one < two ? -1 : 1;
}
