import { parseWhere } from "../src/core/attribute-filter.ts";
import type { AttributeData, Attributes } from "../src/core/attributes.ts";
import type { NewEvent } from "../src/core/codec.ts";
import type { RunSummary } from "../src/client/service.ts";
import type { Store } from "../src/store/contract.ts";
import type { AuditedRun } from "./audited-run.ts";
import type { Auditor } from "./auditor.ts";
import { SimulationFailure } from "./failure.ts";

/** What clients look for, and what it means, said apart from the engine. */
export const searches = {
  "team=a": ({ team }) => team === "a",
  'step in (1, "2")': ({ step }) => step === 1 || step === "2",
  "step>=2": ({ step }) => typeof step === "number" && step >= 2,
  "tags=x": ({ tags }) => tags === "x" || (Array.isArray(tags) && tags.includes("x")),
  "team exists": ({ team }) => team !== undefined,
  "due<1970-01-01T00:00:00.005Z": ({ due }) =>
    typeof due === "object" && "at" in due && typeof due.at === "number" && due.at < 5,
} as const satisfies Readonly<Record<string, (attributes: Attributes) => boolean>>;

export type Search = keyof typeof searches;

/** What code sets and clients give: those that are looked for, and others. */
export const attributeValues: Readonly<Record<string, readonly (AttributeData | null)[]>> = {
  team: ["a", "b", null],
  step: [1, 2, 3, "2", null],
  tags: [["x", "y"], ["y"], "x", null],
  due: [{ at: 4 }, { at: 5 }, null],
};

export function isSearch(text: string): text is Search {
  return Object.hasOwn(searches, text);
}

/** What an event makes of the attributes of its run. */
export function attributesAfter(attributes: Attributes, event: NewEvent): Attributes {
  if (event.type === "WorkflowStarted") return event.attributes ?? {};
  if (event.type !== "SearchAttributesUpdated") return attributes;
  const kept = new Map<string, AttributeData>(Object.entries(attributes));
  for (const [name, data] of Object.entries(event.attributes)) {
    if (data === null) kept.delete(name);
    else kept.set(name, data);
  }
  return Object.fromEntries(kept);
}

/** Whatever the order of the names. */
export function textOfAttributes(attributes: Attributes): string {
  return JSON.stringify(Object.entries(attributes).toSorted(([one], [two]) => (one < two ? -1 : 1)));
}

/** I-63: what a commit says that its run is found by is what its history says. */
export function checkSaid(run: AuditedRun): void {
  const expected = textOfAttributes(run.attributes);
  const found = textOfAttributes(run.foundBy);
  if (expected !== found)
    throw new SimulationFailure(
      "attributes",
      `${run.workflowId}, run ${run.runId}: its history says ${expected}, and it is found by ${found}`,
    );
}

/** I-63: a run that continues another is found by what that one was. */
export function checkCarried(before: AuditedRun | undefined, run: AuditedRun): void {
  if (before === undefined) return;
  const expected = textOfAttributes(before.attributes);
  const found = textOfAttributes(run.attributes);
  if (expected !== found)
    throw new SimulationFailure(
      "attributes",
      `${run.workflowId}: a run with ${expected} goes on as one with ${found}`,
    );
}

/** What there was before a client looked. */
export type Before = ReadonlyMap<AuditedRun, number>;

export function beforeLooking(auditor: Auditor): Before {
  return new Map(
    [...auditor.runs.values()].filter((run) => !run.isDeleted).map((run) => [run, run.foundByStates.length]),
  );
}

/**
 * I-63: each run that is listed had such attributes at some moment, and is listed once; each that was there all the time, and had them, is
 * listed.
 */
export function checkListed(
  auditor: Auditor,
  search: Search,
  listed: readonly RunSummary[],
  before: Before,
): void {
  const fail = (what: string): never => {
    throw new SimulationFailure("listed", `runs with ${search}: ${what}`);
  };
  const seen = new Set<string>();
  for (const { runId, workflowId, attributes = {} } of listed) {
    if (seen.has(runId)) fail(`${workflowId}, run ${runId} is there twice`);
    seen.add(runId);
    const run = auditor.runs.get(runId);
    const text = textOfAttributes(attributes);
    if (run === undefined) return fail(`${workflowId}, run ${runId} is nowhere`);
    if (!searches[search](attributes)) fail(`${workflowId} is there with ${text}`);
    if (!run.foundByStates.includes(text)) fail(`${workflowId} never had ${text}`);
  }
  for (const [run, stateCount] of before) {
    const isSame = run.foundByStates.length === stateCount && !run.isDeleted;
    if (isSame && searches[search](run.foundBy) && !seen.has(run.runId))
      fail(`${run.workflowId}, run ${run.runId} is not there, with ${textOfAttributes(run.foundBy)}`);
  }
}

/** I-63: when all has ended, every search finds exactly the runs that their histories say. */
export async function checkFound(store: Store, auditor: Auditor, note: () => void): Promise<void> {
  const runs = [...auditor.runs.values()].filter((run) => !run.isDeleted);
  for (const [search, isMeant] of Object.entries(searches)) {
    const filter = { attributes: parseWhere([search]) };
    const page = await store.list(filter, { limit: 10_000, withAttributes: true });
    const found = page.runs.map(({ runId, attributes = {} }) => `${runId} ${textOfAttributes(attributes)}`);
    const expected = runs
      .filter((run) => isMeant(run.attributes))
      .map(({ runId, attributes }) => `${runId} ${textOfAttributes(attributes)}`);
    if (found.toSorted().join() !== expected.toSorted().join())
      throw new SimulationFailure("found", `${search} finds ${found.join()}, and not ${expected.join()}`);
    if ((await store.count(filter)) !== expected.length)
      throw new SimulationFailure("found", `${search} is not of ${expected.length} runs`);
    if (expected.length > 0) note();
  }
}
