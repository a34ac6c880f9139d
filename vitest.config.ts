import { readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { defineConfig } from "vitest/config";

const { packages } = JSON.parse(
  readFileSync(path.join(import.meta.dirname, "package-lock.json"), "utf8"),
) as {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>;
};
const pinned = packages["node_modules/node"]?.version;
if (process.versions.node !== pinned) {
  throw new Error(
    `The tests run on Node ${pinned}, not ${process.versions.node}: npm run test:unit -- <path>`,
  );
}

// `aion/…` means the source of this tree, here and in the processes that tests start.
const condition = "aion-source";
// Those of Node: it loads what is not transformed here, and knows no `module`.
const conditions = [condition, "node", "development|production"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "sim/*.test.ts", "bench/*.test.ts"],
    env: {
      NODE_OPTIONS: `--conditions=${condition}`,
      // Tests start hundreds of processes of the same code.
      NODE_COMPILE_CACHE: path.join(import.meta.dirname, "node_modules", ".cache", "aion", "code"),
    },
    // A process for each file: tests that kill, block or leak touch nobody else's.
    pool: "forks",
    maxWorkers: 2,
    // Generous, for a loaded machine: a time-out here means hung, never slow.
    testTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    // What was found is said in full: some of it cannot be found a second time.
    chaiConfig: { truncateThreshold: 4_000 },
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    allowOnly: false,
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
  },
});
