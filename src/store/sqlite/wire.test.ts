import fc from "fast-check";
import { expect, it } from "vitest";
import { AionError } from "../../core/errors.ts";
import { toPayload } from "../../core/payload.ts";
import { encodeCatalogChange } from "../catalog.ts";
import { encodeCommit } from "../commit.ts";
import { archiveOf, deployOf, endOf, idOf, mark, startOf } from "../conformance/world.ts";
import type { Commit, CommitResult } from "../contract.ts";
import type { Job, JobResult } from "./job.ts";
import { decodeJobs, decodeResults, encodeJobs, encodeResults, transferOf } from "./wire.ts";

const run: fc.Arbitrary<Commit> = fc
  .record({
    runKey: fc.nat(),
    expectedSeq: fc.nat(),
    wakeAt: fc.option(fc.nat()),
    blocked: fc.option(fc.string()),
    parked: fc.option(fc.string()),
    isRare: fc.boolean(),
    attributes: fc.constantFrom({}, { attributes: {} }, { attributes: { "a.b": ["ü"], at: { at: -1 } } }),
  })
  .map(({ isRare, blocked, parked, wakeAt, attributes, ...rest }) => ({
    run: {
      ...rest,
      ...attributes,
      workflowId: idOf("w"),
      events: isRare ? [] : [mark("ü"), endOf("failed")],
      status: isRare ? ("running" as const) : ("failed" as const),
      ...(isRare
        ? { blocked, parked, heartbeats: [{ ordinal: 1, attempt: 2, details: toPayload(3, "details") }] }
        : { closedAt: 7 }),
      wakeAt,
      wakeAtBefore: null,
    },
  }));

const start: fc.Arbitrary<Commit> = fc.boolean().map((isChild) => ({
  start: startOf(
    "v",
    isChild
      ? {
          parent: { workflowId: idOf("p"), runId: startOf("p").runId, ordinal: 4 },
          attributes: { amount: 5 },
        }
      : {},
  ),
}));

const consume = fc.uniqueArray(fc.nat(), { minLength: 1 });
const send = fc.constant([{ target: idOf("x"), message: { kind: "cancel" as const } }]);
const rest: fc.Arbitrary<Commit> = fc.oneof(
  fc.record({ consume }),
  fc.record({ send }),
  fc.record({ consume, send }),
);

const need = fc.oneof(fc.constant({}), fc.record({ needsPackage: fc.string() }));

const commit = fc
  .tuple(fc.oneof(run, start, rest), fc.oneof(start, rest, fc.constant({})), need)
  .map(([a, b, c]) => ({ ...c, ...b, ...a }));

const archive = archiveOf("package", ["order"]);

const job: fc.Arbitrary<Job> = fc.oneof(
  fc.record({
    kind: fc.constant("append" as const),
    epoch: fc.nat(),
    now: fc.nat(),
    commits: fc.array(commit.map((one) => encode(one))),
  }),
  fc.constantFrom<Job>(
    { kind: "claim", claim: { leaseMs: 5, endpoint: "e" }, now: 1, version: "v" },
    { kind: "renew", epoch: 1, now: 2 },
    { kind: "release", epoch: 3 },
    { kind: "delete-closed", epoch: 1, now: 2, closedBefore: 3, limit: 4 },
    { kind: "checkpoint" },
    { kind: "change-catalog", epoch: 1, now: 2, change: encodeCatalogChange(deployOf(archive)) },
    { kind: "change-catalog", epoch: 1, now: 2, change: { kind: "unload", version: "v" } },
  ),
);

// Of `run` and `start` in one commit the workflow id is one.
function encode(one: Commit): ReturnType<typeof encodeCommit> {
  const { run: extended, start: started } = one;
  return encodeCommit(
    extended !== undefined && started !== undefined
      ? { ...one, start: { ...started, workflowId: extended.workflowId } }
      : one,
  );
}

it("jobs reach the thread as they were given", () => {
  fc.assert(
    fc.property(fc.array(job), (jobs) => {
      const decoded = decodeJobs(structuredClone(encodeJobs(jobs)));
      // Absent and undefined are one here; the events go as text.
      expect(decoded).toEqual(jobs.map(withoutEvents));
    }),
  );
});

function withoutEvents(one: Job): unknown {
  if (one.kind !== "append") return one;
  const strip = (part: { readonly of: object } | undefined): unknown =>
    part === undefined
      ? undefined
      : { ...part, of: { ...part.of, events: undefined, attributes: undefined } };
  return {
    ...one,
    commits: one.commits.map((each) => ({ ...each, run: strip(each.run), start: strip(each.start) })),
  };
}

const commitResult: fc.Arbitrary<CommitResult> = fc.oneof(
  fc.record({ ok: fc.constant(true as const), messageIds: fc.array(fc.nat()) }),
  fc.record({
    ok: fc.constant(true as const),
    startedKey: fc.integer({ min: 1 }),
    messageIds: fc.array(fc.nat()),
  }),
  fc.nat().map((found) => ({
    ok: false as const,
    error: new AionError("sequence_conflict", "conflict", { details: { expected: 1, found } }),
  })),
);

const jobResult: fc.Arbitrary<JobResult> = fc.oneof(
  fc.record({ kind: fc.constant("appended" as const), results: fc.array(commitResult) }),
  fc.record({ kind: fc.constant("done" as const), value: fc.nat() }),
  fc.constant<JobResult>({
    kind: "failed",
    error: new AionError("store_full", "full", { hint: "free some", cause: new Error("SQLite says so") }),
  }),
);

it("results come back as they were, errors with their code, hint, details and cause", () => {
  fc.assert(
    fc.property(fc.array(jobResult), (results) => {
      const decoded = decodeResults(structuredClone(encodeResults(results)));
      expect(decoded.map(facts)).toEqual(results.map(facts));
    }),
  );
});

it("a plain commit crosses as numbers and texts, which are cloned quickly", () => {
  const plain = encodeCommit({ start: startOf("w") });
  const wire = encodeJobs([{ kind: "append", epoch: 1, now: 2, commits: [plain, plain] }]);
  expect(wire.filter((value) => typeof value === "object" && value !== null)).toEqual([]);
});

it("a commit that needs a package crosses in the same way", () => {
  const needing = encodeCommit({ start: startOf("w"), needsPackage: "p" });
  const wire = encodeJobs([{ kind: "append", epoch: 1, now: 2, commits: [needing, needing] }]);
  expect(wire.filter((value) => typeof value === "object" && value !== null)).toEqual([]);
});

it("an archive is moved to the thread, not copied, and its giver's bytes are left alone", () => {
  const given = Buffer.from("before package after").subarray(7, 14);
  const deploy = archiveOf(given, ["order"]);
  const jobs: readonly Job[] = [
    { kind: "release", epoch: 1 },
    { kind: "change-catalog", epoch: 1, now: 2, change: encodeCatalogChange(deployOf(deploy)) },
    { kind: "change-catalog", epoch: 1, now: 2, change: { kind: "unload", version: "v" } },
  ];
  const transfer = transferOf(jobs);
  expect(transfer.map((buffer) => Buffer.from(buffer).toString())).toEqual(["package"]);
  const decoded = decodeJobs(structuredClone(encodeJobs(jobs), { transfer }));
  expect(decoded[1]).toMatchObject({ change: { archive: new Uint8Array(Buffer.from("package")) } });
  expect(transfer[0]?.byteLength).toBe(0);
  expect(given.toString()).toBe("package");
});

it("success crosses as a number: of most commits there is nothing to say", () => {
  const results: readonly CommitResult[] = [
    { ok: true, messageIds: [] },
    { ok: true, startedKey: 7, messageIds: [] },
    { ok: true, messageIds: [8] },
  ];
  expect(encodeResults([{ kind: "appended", results }])).toEqual([3, 0, 7, [0, 8]]);
});

it.each([
  ["an error that is not Aion's", new TypeError("x is undefined"), "x is undefined", TypeError],
  ["a value that is no error", { toString: (): string => "odd" }, "odd", String],
])("%s is a bug of the writer, and is told as one", (_, error, said, kind) => {
  const [result] = decodeResults(structuredClone(encodeResults([{ kind: "failed", error }])));
  const decoded = (result?.kind === "failed" ? result.error : undefined) as AionError;
  expect([decoded.code, decoded.message]).toEqual(["internal", `the store's writer failed: ${said}`]);
  expect(decoded.hint).toBe(new AionError("internal", "").hint);
  expect(kind === String ? decoded.cause : (decoded.cause as Error).constructor).toBe(
    kind === String ? said : kind,
  );
});

it("an error without a cause comes back without one", () => {
  const error = new AionError("store_full", "full");
  const [result] = decodeResults(structuredClone(encodeResults([{ kind: "failed", error }])));
  expect("cause" in ((result?.kind === "failed" ? result.error : undefined) as AionError)).toBe(false);
});

function facts(result: JobResult): unknown {
  if (result.kind === "appended")
    return result.results.map((one) => (one.ok ? { ...one } : factsOf(one.error)));
  return result.kind === "failed" ? factsOf(result.error as AionError) : result;
}

function factsOf(error: AionError): unknown {
  const { code, message, hint, details, cause } = error;
  return { code, message, hint, details, cause: cause instanceof Error ? cause.message : cause };
}
