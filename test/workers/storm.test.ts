/**
 * Worlds from a seed: workers and engines that die, connections that break or go silent, a store that fails. What must hold whatever
 * happens: results are right, attempts are numbered without gaps and have one outcome each, nothing is executed twice as one attempt, what
 * was acknowledged is in the history, and in the end no credit is missing.
 */
import { describe, expect, it } from "vitest";
import { fromToken } from "../../src/engine/task-token.ts";
import { SeededRandom } from "../../src/program/random.ts";
import type { Fault } from "../recovery/world.ts";
import type { Work } from "./real-worker.ts";
import { startWorker } from "./real-worker.ts";
import { openRemoteWorld } from "./remote-world.ts";

const faults: readonly Fault[] = ["crash-before", "crash-after", "unknown-made", "unknown-lost", "full"];
const capacity = 2;
const workersAtOnce = 3;

async function playStorm(seed: number) {
  const random = new SeededRandom(`storm ${seed}`);
  const isLikely = (chance: number): boolean => random.number() < chance;
  let isStormy = true;
  const { world, job, start } = await openRemoteWorld({
    work: { retry: { initialDelay: 100, jitter: 0 }, heartbeat: "8s", startToClose: "20s" },
    workers: { sessionTimeoutMs: 5_000, taskQueues: { default: { perSecond: 20 } } },
    restarts: true,
    residentMax: 2,
    fault: ({ number }) =>
      isStormy && number > 3 && isLikely(0.04)
        ? faults[Math.floor(random.number() * faults.length)]
        : undefined,
  });
  const executions: string[] = [];
  const acknowledged: { readonly token: string; readonly became: string }[] = [];
  let peak = 0;
  let workerCount = 0;
  const alive = new Set<{ readonly kill: () => void }>();

  const begin = (): void => {
    const life = { isAlive: true, underWay: 0 };
    const name = `w${(workerCount += 1)}`;
    const work: Work = async (input, task) => {
      executions.push(`${task.idempotencyKey} ${task.attempt}`);
      life.underWay += 1;
      peak = Math.max(
        peak,
        [...lives].reduce((sum, each) => sum + (each.isAlive ? each.underWay : 0), 0),
      );
      for (let beat = 0; beat < 3; beat++) {
        task.heartbeat(beat);
        await world.idle(isStormy ? random.number() * 2_000 : 300);
        // A dead process does nothing more.
        if (!life.isAlive) await new Promise(() => undefined);
      }
      life.underWay -= 1;
      if (isStormy && isLikely(0.15)) throw new Error("by chance");
      return input;
    };
    lives.add(life);
    const { transport } = startWorker(world, work, {
      identity: name,
      concurrency: capacity,
      fate: (frame, to) => {
        if (!life.isAlive) return "vanishes";
        if (frame.type === "acknowledged") acknowledged.push(frame);
        if (!isStormy || to === "worker" || frame.type === "register") return "arrives";
        if (isLikely(0.01)) return "vanishes";
        return isLikely(0.06) ? (isLikely(0.5) ? "cut-before" : "cut-after") : "arrives";
      },
    });
    const worker = {
      kill: () => {
        life.isAlive = false;
        alive.delete(worker);
        // Most machines close the connections of a process that died; one that lost its power does not.
        if (isLikely(0.7)) transport.cut();
      },
    };
    alive.add(worker);
  };
  const lives = new Set<{ readonly isAlive: boolean; readonly underWay: number }>();
  for (let count = 0; count < workersAtOnce; count++) begin();

  const inputs = Array.from({ length: 5 }, (_, index) => [
    `${index}a`,
    [`${index}b`, `${index}c`, `${index}d`],
    `${index}e`,
  ]);
  const results = inputs.map(async (input, index) => {
    const id = `run-${index}`;
    await world.call((client) => client.start(job, input, { id }));
    return world.call((client) => client.get(id).result());
  });
  const weather = async (): Promise<void> => {
    for (let hour = 0; hour < 40; hour++) {
      await world.idle(random.number() * 1_500);
      const [victim] = [...alive].toSorted(() => random.number() - 0.5);
      if (isLikely(0.2)) victim?.kill();
      if (isLikely(0.1)) world.kill();
      while (alive.size < workersAtOnce) begin();
    }
    isStormy = false;
  };
  void weather();
  const settled = await world.during(Promise.all(results), 3_600_000);
  isStormy = false;
  await world.advance(60_000);

  // All credits are there: as many at once as the workers have room for.
  peak = 0;
  await world.up();
  const last = await start(
    "last",
    Array.from({ length: alive.size * capacity + 2 }, (_, index) => index),
  );
  await world.during(world.call((client) => client.get(last.workflowId).result()));
  return { world, settled, inputs, executions, acknowledged, peak, room: alive.size * capacity, workerCount };
}

describe("a storm", () => {
  // I-10, I-11, I-12, I-13
  it.each([...Array.from({ length: 25 }, (_, index) => index + 1), 989].map((seed) => [seed]))(
    "of seed %i breaks no law",
    async (seed) => {
      const played = await playStorm(seed);
      const { world, executions } = played;
      expect(played.settled).toEqual(played.inputs);
      expect(executions.length - new Set(executions).size).toBe(0);
      expect(played.peak).toBe(played.room);
      const histories = new Map<string, Awaited<ReturnType<typeof world.history>>>();
      for (const { workflowId, runId } of await world.runs()) {
        const history = await world.history(workflowId);
        histories.set(runId, history);
        const latest = new Map<number, { attempt: number; isOpen: boolean }>();
        for (const event of history) {
          if (event.type === "ActivityStarted") {
            const before = latest.get(event.ordinal);
            // On workers no attempt is cut off without a word.
            expect([before?.isOpen ?? false, event.attempt]).toEqual([false, (before?.attempt ?? 0) + 1]);
            latest.set(event.ordinal, { attempt: event.attempt, isOpen: true });
          } else if (
            event.type === "ActivityCompleted" ||
            event.type === "ActivityFailed" ||
            event.type === "ActivityTimedOut"
          ) {
            expect(latest.get(event.ordinal)).toEqual({ attempt: event.attempt, isOpen: true });
            latest.set(event.ordinal, { attempt: event.attempt, isOpen: false });
          }
        }
      }
      for (const { token, became } of played.acknowledged) {
        if (became === "not-wanted") continue;
        const claim = fromToken(token);
        const outcome = histories
          .get(claim?.address.runId ?? "")
          ?.find(
            (event) =>
              (event.type === "ActivityCompleted" || event.type === "ActivityFailed") &&
              event.ordinal === claim?.address.ordinal &&
              event.attempt === claim.attempt,
          );
        expect([token, became, outcome?.type]).toEqual([
          token,
          became,
          expect.stringMatching(/Completed|Failed/),
        ]);
      }
    },
  );

  it("is one: workers die, engines die, and attempts are lost", async () => {
    const seen = { crashes: 0, lost: 0, workers: 0, alreadyRecorded: 0, notWanted: 0 };
    for (let seed = 1; seed <= 8; seed++) {
      const { world, workerCount, acknowledged } = await playStorm(seed);
      seen.crashes += world.crashCount;
      seen.workers += workerCount - workersAtOnce;
      for (const { workflowId } of await world.runs()) {
        for (const event of await world.history(workflowId)) {
          if (event.type === "ActivityFailed" && event.lost !== undefined) seen.lost += 1;
        }
      }
      seen.alreadyRecorded += acknowledged.filter(({ became }) => became === "already-recorded").length;
      seen.notWanted += acknowledged.filter(({ became }) => became === "not-wanted").length;
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
  });
});
