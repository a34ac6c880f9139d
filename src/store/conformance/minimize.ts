import type { Operation, Step } from "./operation.ts";

/** How a case that fails is made smaller: `simpler` names candidates, the smallest first. */
export interface Minimizing<Case> {
  readonly simpler: (given: Case) => Iterable<Case>;
  /** What goes wrong with a case, if something does. */
  readonly failureOf: (given: Case) => Promise<unknown>;
  readonly endAt: number;
}

export interface Minimized<Case> {
  readonly given: Case;
  readonly failure: unknown;
  readonly stepCount: number;
}

/** Takes the first simpler case that fails as well, again and again, until there is none or the time is over. */
export async function minimize<Case>(
  start: { readonly given: Case; readonly failure: unknown },
  { simpler, failureOf, endAt }: Minimizing<Case>,
): Promise<Minimized<Case>> {
  let { given, failure } = start;
  let stepCount = 0;
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const candidate of simpler(given)) {
      if (performance.now() >= endAt) return { given, failure, stepCount };
      const found = await failureOf(candidate);
      if (found === undefined) continue;
      given = candidate;
      failure = found;
      stepCount += 1;
      isSmaller = true;
      break;
    }
  }
  return { given, failure, stepCount };
}

/** The list without half of it, without a quarter, …, without one of its items; then with one item simpler. */
export function* simplerLists<Item>(
  items: readonly Item[],
  simpler: (item: Item) => Iterable<Item>,
): Generator<readonly Item[]> {
  for (let size = items.length; size >= 1; size = Math.floor(size / 2)) {
    // From the end: what comes after the fault has no part in it.
    for (let from = items.length - size; from >= 0; from -= size) yield items.toSpliced(from, size);
  }
  for (const [index, item] of items.entries()) {
    for (const other of simpler(item)) yield items.with(index, other);
  }
}

export function* simplerOperations(operation: Operation): Generator<Operation> {
  switch (operation.kind) {
    case "append":
      for (const steps of simplerLists(operation.steps, simplerSteps)) {
        if (steps.length > 0) yield { ...operation, steps };
      }
      break;
    case "retain":
      yield* withDefaults(operation, { limit: 1_000, ageMs: 0 });
      break;
    case "read":
      yield* withDefaults(operation, { limit: undefined, from: 0, which: 0 });
      break;
    case "page":
    case "feed":
      yield* withDefaults(operation, { limit: 1_000, which: 0 });
      break;
    case "deploy":
    case "route":
    case "unload":
      yield* withDefaults(operation, { types: 0, package: 0, request: undefined, isRepeated: false });
      break;
    case "claim":
      yield* withDefaults(operation, { feed: undefined });
      break;
    case "renew":
    case "release":
    case "wait":
      break;
  }
}

function simplerSteps(step: Step): Generator<Step> {
  return withDefaults(step, {
    drift: 0,
    sendCount: 0,
    consume: undefined,
    beatCount: 0,
    lineCount: 0,
    blocked: undefined,
    parked: undefined,
    package: undefined,
    isPackageNeeded: false,
    wakeAt: null,
    eventCount: 0,
    workflow: 0,
  });
}

/** The same with one of its fields as it is by default. */
function* withDefaults<Fields extends object>(of: Fields, defaults: Partial<Fields>): Generator<Fields> {
  for (const [name, value] of Object.entries(defaults)) {
    if (of[name as keyof Fields] !== value) yield { ...of, [name]: value };
  }
}
