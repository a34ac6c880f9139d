import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Store } from "../../src/store/contract.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import type { CrashProgram } from "./crash-programs.ts";
import { crashActivities, crashPrograms } from "./crash-programs.ts";
import { checkAtRest, checkLaws, essenceOf, settledKeys } from "./laws.ts";
import type { Fault } from "./world.ts";
import { World } from "./world.ts";

const seed = Number(process.env["AION_TEST_SEED"] ?? 1);
/** How many times as many tries as usual. */
const scale = Number(process.env["AION_TEST_SCALE"] ?? 1);

/** Faults that the process does not survive. */
const endings: ReadonlySet<Fault> = new Set(["crash-before", "crash-after", "failed-made", "failed-lost"]);

interface Played {
  readonly world: World;
  readonly essence: Readonly<Record<string, readonly string[]>>;
}

/** Plays a program to its end, with faults at the appends given. */
async function play(
  program: CrashProgram,
  faults: ReadonlyMap<number, Fault> = new Map(),
  store?: Store,
): Promise<Played> {
  /** What was settled on disk when a process died: by the number of that process. */
  const settledAtDeath: { readonly processNumber: number; readonly keys: Promise<ReadonlySet<string>> }[] =
    [];
  const world: World = new World({
    workflows: program.workflows,
    activities: crashActivities,
    ...(store === undefined ? {} : { store: () => store }),
    fault: ({ number, process }) => {
      const fault = faults.get(number);
      if (fault !== undefined && endings.has(fault)) {
        // Read after the append, in the same turn: the survivor has not begun yet.
        settledAtDeath.push({
          processNumber: process.number,
          keys: Promise.resolve().then(() => settledKeys(world)),
        });
      }
      return fault;
    },
  });
  await world.open();
  await world.during(program.script(world));
  await world.settle();
  await checkLaws(world);
  await checkAtRest(world);
  for (const { processNumber, keys } of settledAtDeath) {
    const settled = await keys;
    // I-8, C-1: what was settled is not executed again.
    const again = world.effects.filter(
      (effect) => effect.processNumber > processNumber && settled.has(effect.key),
    );
    expect(again).toEqual([]);
  }
  return { world, essence: await essenceOf(world) };
}

/** How each workflow of a control run ended. */
function endsOf({ world }: Played): Promise<Readonly<Record<string, string>>> {
  return world.runs().then((runs) => Object.fromEntries(runs.map((run) => [run.workflowId, run.status])));
}

const withoutAttempts = (text: string): string => text.replaceAll(/at attempt \d+/g, "");

const countsOf = ({ world }: Played): readonly number[] =>
  [...world.effectCounts().values()].toSorted((a, b) => a - b);

describe.each(crashPrograms)("$name", (program) => {
  // I-1, I-3, I-4, I-8, I-46, C-1, C-3: what was acknowledged is not asked for again by the client, so a loss would show.
  // I-48: a disk that fails stops the engine, and the next one goes on from what is there.
  it.each(["crash-before", "crash-after", "failed-made", "failed-lost"] as const)(
    "comes to the same history with a %s at every append",
    async (fault) => {
      const control = await play(program);
      expect(await endsOf(control)).toEqual(program.ends);
      const { appendCount } = control.world;
      expect(appendCount).toBeGreaterThan(1);
      for (let number = 1; number <= appendCount; number++) {
        const { world, essence } = await play(program, new Map([[number, fault]]));
        expect(world.crashCount).toBe(1);
        expect(essence, `after a ${fault} at append ${number}`).toEqual(control.essence);
      }
    },
  );

  // I-6
  it("goes on as if nothing had been when the answer to a commit that was made is lost", async () => {
    const control = await play(program);
    for (let number = 1; number <= control.world.appendCount; number++) {
      const played = await play(program, new Map([[number, "unknown-made"]]));
      expect(played.essence, `at append ${number}`).toEqual(control.essence);
      // Nobody died and nothing was lost: nothing is executed once more.
      expect(countsOf(played), `at append ${number}`).toEqual(countsOf(control));
    }
  });

  // I-6, I-47
  it.each(["unknown-lost", "full"] as const)(
    "comes to the same end with a %s at every append",
    async (fault) => {
      const control = await play(program);
      for (let number = 1; number <= control.world.appendCount; number++) {
        // What was refused is read anew after a pause, in which what lies side by side may change places.
        const { world } = await play(program, new Map([[number, fault]]));
        const [end, controlEnd] = await Promise.all(
          [world, control.world].map(async (of) => (await of.history("main")).at(-1)),
        );
        expect(end?.type, `at append ${number}`).toBe(controlEnd?.type);
        if (end?.type === "WorkflowCompleted" && controlEnd?.type === "WorkflowCompleted") {
          expect(withoutAttempts(end.result), `at append ${number}`).toBe(withoutAttempts(controlEnd.result));
        }
      }
    },
  );
});

// I-1, I-3, I-4, I-46: the same on SQL, where a commit is several statements in a transaction.
it.each([
  "steps one after the other",
  "children: awaited, failing, side by side, and left behind",
  "a subscription that continues as new and loses no signal",
  "a reset while a child is open, a signal that is carried, and a fork",
])("over SQLite, a crash at any append of %s comes to the same history", async (name) => {
  const program = crashPrograms.find((each) => each.name === name);
  if (program === undefined) throw new Error(`no program ${name}`);
  const control = await play(program);
  for (let number = 1; number <= control.world.appendCount; number++) {
    for (const fault of ["crash-before", "crash-after"] as const) {
      const store = openSqliteStore({ path: ":memory:" });
      const { world, essence } = await play(program, new Map([[number, fault]]), store);
      expect(world.crashCount).toBe(1);
      expect({ number, fault, essence }).toEqual({ number, fault, essence: control.essence });
      await store.close();
    }
  }
});

// I-46
it("any program comes to the same history through up to four faults anywhere", async () => {
  const controls = new Map<string, Played>();
  for (const program of crashPrograms) controls.set(program.name, await play(program));
  const fault = fc.constantFrom<Fault>(
    "crash-before",
    "crash-after",
    "unknown-made",
    "failed-made",
    "failed-lost",
  );
  const plan = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 40 }), fault), { minLength: 1, maxLength: 4 })
    .map((entries) => new Map(entries));
  const program = fc.constantFrom(...crashPrograms.map(({ name }) => name));
  await fc.assert(
    fc.asyncProperty(program, plan, async (name, several) => {
      const played = crashPrograms.find((each) => each.name === name);
      if (played === undefined) throw new Error(`no program ${name}`);
      const { essence } = await play(played, several);
      expect(essence).toEqual(controls.get(name)?.essence);
    }),
    { seed, numRuns: 60 * scale },
  );
});
