import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { findNode, otherNodeVersions } from "./other-nodes.ts";

const script = path.join(import.meta.dirname, "digest.ts");

const seed = process.env["AION_TEST_SEED"] ?? "1";
/** Random programs, besides those that are written down. */
const programCount = 40 * Number(process.env["AION_TEST_SCALE"] ?? 1);

interface Digest {
  readonly environment: string;
  readonly digests: Readonly<Record<string, readonly string[]>>;
}

/** Runs the script elsewhere in the world, on this Node or another. */
async function digestIn(
  environment: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
  program: string = process.execPath,
) {
  const { stdout } = await promisify(execFile)(
    program,
    ["--conditions=aion-source", ...flags, script, String(programCount), seed],
    { maxBuffer: 1e9, env: { PATH: process.env["PATH"] ?? "", ...environment } },
  );
  return JSON.parse(stdout) as Digest;
}

describe("the commands of a history", () => {
  let base: Promise<Digest> | undefined;
  const digestHere = (): Promise<Digest> => (base ??= digestIn({ TZ: "UTC", LC_ALL: "C" }));

  // I-45
  it("are the same bytes in every time zone, locale and heap, resident or replayed", async () => {
    const here = await digestHere();
    const others = await Promise.all([
      digestIn({ TZ: "Pacific/Kiritimati", LC_ALL: "de_DE.UTF-8", LANG: "de_DE.UTF-8" }),
      digestIn({ TZ: "America/St_Johns", LC_ALL: "ar_EG.UTF-8", LANG: "ar_EG.UTF-8" }),
      // A heap so small that it is collected all the time, and code that is never optimised.
      digestIn({ TZ: "Asia/Kathmandu" }, ["--max-old-space-size=40", "--max-semi-space-size=1"]),
      digestIn({ TZ: "UTC" }, ["--no-opt", "--stack-size=900"]),
      digestIn({ TZ: "Africa/Casablanca" }, ["--expose-gc"]),
    ]);
    const seen = new Set([here, ...others].map(({ environment }) => environment));
    expect(seen.size).toBe(6);
    expect([...seen].filter((environment) => environment.endsWith("storm"))).toHaveLength(1);
    expect(Object.keys(here.digests).length).toBeGreaterThan(programCount);
    for (const { digests } of others) expect(digests).toEqual(here.digests);
    for (const lines of Object.values(here.digests)) {
      expect(lines.length).toBeGreaterThan(1);
      expect(lines.filter((line) => line.includes("another account"))).toEqual([]);
      const live = lines.filter((line) => line.includes(" live "));
      const replayed = lines.filter((line) => line.includes(" replayed "));
      expect(replayed.map((line) => line.replace(" replayed ", " live "))).toEqual(live);
    }
  });

  // I-45
  it.for(otherNodeVersions)("are the same bytes on Node %s", async (version, { skip }) => {
    const found = await findNode(version);
    if ("missing" in found) return skip(found.missing);
    const [here, there] = await Promise.all([
      digestHere(),
      digestIn({ TZ: "UTC", LC_ALL: "C" }, [], found.program),
    ]);
    expect(there.digests).toEqual(here.digests);
    expect(Object.keys(there.digests).length).toBeGreaterThan(programCount);
  });
});
