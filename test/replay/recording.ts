/** Plays a scenario live, and keeps what was seen of each run at each of its commits. */
import type { Turn } from "../../src/core/activation.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import { nullPayload } from "../../src/core/payload.ts";
import { loadRun } from "../../src/engine/load.ts";
import { loadInline } from "../../src/program/inline.ts";
import type { InstanceInit, ProgramInstance, ProgramSource } from "../../src/program/program.ts";
import type { RunState } from "../../src/replay/run-state.ts";
import type { RunRecord, Store } from "../../src/store/contract.ts";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";
import { overStore } from "../recovery/over-store.ts";
import { World } from "../recovery/world.ts";
import type { Scenario } from "./arbitrary-program.ts";
import { account, programActivities, programWorkflows } from "./interpreter.ts";
import type { Outside } from "./interpreter.ts";

/** What a run is at one of its commits. */
export interface Snapshot {
  readonly workflowId: WorkflowId;
  readonly runId: string;
  readonly headSeq: number;
  /** What is open, by the events. */
  readonly state: string;
  /** What the code says of itself. */
  readonly account: string;
  /** All commands of the run so far. */
  readonly commands: string;
}

export interface Recording {
  readonly world: World;
  readonly outside: Outside;
  readonly snapshots: readonly Snapshot[];
}

/** The projection as text. */
export function describeState(state: RunState): string {
  return JSON.stringify({
    headSeq: state.headSeq,
    status: state.status,
    terminal: state.terminal?.type,
    historyLength: state.historyLength,
    isCodeStarted: state.isCodeStarted,
    isCancelRequested: state.isCancelRequested,
    activities: [...state.activities.values()],
    timers: [...state.timers.values()],
    children: [...state.children.values()],
    sends: [...state.sends],
    signalIds: state.recentSignalIds(),
  });
}

function accountOf(instance: ProgramInstance): string {
  try {
    return instance.query(account.name, nullPayload);
  } catch (error) {
    // Children and listeners tell nothing.
    return (error as Error).message.split(":")[0] ?? "";
  }
}

/** Keeps the commands of every instance; `init` says whose they are. */
function tracing(programs: ProgramSource, onTurn: (init: InstanceInit, turn: Turn) => void): ProgramSource {
  const wrap = (program: ReturnType<ProgramSource["find"]>): typeof program => {
    if (program === undefined) return undefined;
    return new Proxy(program, {
      get: (target, name) => {
        if (name === "instantiate") {
          return (init: InstanceInit): ProgramInstance => {
            const instance = target.instantiate(init);
            return new Proxy(instance, {
              get: (inner, key) => {
                if (key === "end") {
                  return (): ReturnType<ProgramInstance["end"]> => {
                    const turn = inner.end();
                    if (turn !== "again") onTurn(init, turn);
                    return turn;
                  };
                }
                const value: unknown = Reflect.get(inner, key, inner);
                return typeof value === "function" ? (value.bind(inner) as unknown) : value;
              },
            });
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return {
    workflowTypes: programs.workflowTypes,
    route: (type) => wrap(programs.route(type)),
    find: (type, version) => wrap(programs.find(type, version)),
  };
}

/** Collects commands by run id, as text. */
function commandLog(): {
  readonly add: (init: InstanceInit, turn: Turn) => void;
  readonly of: (runId: string) => string;
} {
  const byRun = new Map<string, string[]>();
  return {
    add: ({ runId }, { commands }) => {
      const list = byRun.get(runId) ?? [];
      byRun.set(runId, list);
      // Stacks name lines of files, in frames that differ with who called.
      list.push(
        ...commands.map((command) =>
          JSON.stringify(command, (key, value: unknown) => (key === "stack" ? undefined : value)),
        ),
      );
    },
    of: (runId) => (byRun.get(runId) ?? []).join("\n"),
  };
}

const limitMs = 60_000;

/** Plays a scenario to its end, or for a minute of the world's time. */
export async function record(scenario: Scenario): Promise<Recording> {
  const { program, sent, cancelAfterMs } = scenario;
  const snapshots: Snapshot[] = [];
  const produced: string[] = [];
  const log = commandLog();
  const world: World = new World({
    workflows: (of) => programWorkflows({ world: of, produced }, { subject: program }),
    activities: programActivities,
    wrapPrograms: (programs) => tracing(programs, log.add),
    onAppend: ({ commits, process }) => {
      for (const { run, start } of commits) {
        const workflowId = run?.workflowId ?? start?.workflowId;
        if (workflowId === undefined || (run ?? start)?.events.length === 0) continue;
        const resident = process.kernel.residentRun(workflowId) ?? process.kernel.unbornRun(workflowId);
        if (resident === undefined) continue;
        const { state, instance } = resident;
        snapshots.push({
          workflowId,
          runId: state.started.runId,
          headSeq: state.headSeq,
          state: describeState(state),
          account: instance === undefined ? "no code" : accountOf(instance),
          commands: log.of(state.started.runId),
        });
      }
    },
  });
  const { client } = await world.open();
  await world.during(client.start("listener", null, { id: "listener" }));
  const run = await world.during(client.start("subject", { round: 0 }, { id: "subject" }));
  for (const { afterMs, signal, value } of sent) {
    void world.idle(afterMs).then(() => run.signal(signal, value).catch(() => undefined));
  }
  if (cancelAfterMs > 0) void world.idle(cancelAfterMs).then(() => run.cancel().catch(() => undefined));
  let isOver = false;
  run.result().then(
    () => (isOver = true),
    () => (isOver = true),
  );
  await world.runUntil(() => isOver, world.nowMs + limitMs);
  // Children that were left behind have their end too.
  await world.advance(1_000);
  return { world, outside: { world, produced }, snapshots };
}

export interface Replayed {
  readonly state: string;
  readonly account: string;
  readonly commands: string;
  readonly liveCount: number;
}

/** Replays a run from its history up to `headSeq`, with any code. Errors: those of `loadRun`. */
export async function replay(of: {
  readonly store: Store;
  readonly run: RunRecord;
  readonly headSeq?: number;
  readonly workflows: readonly AnyWorkflow[];
  readonly onLog?: () => void;
}): Promise<Replayed> {
  const { store, run, headSeq = run.headSeq, workflows } = of;
  const log = commandLog();
  const upTo = overStore(store, {
    readSegment: async (ref, from, limit) =>
      (await store.readSegment(ref, from, limit)).filter((event) => event.seq <= headSeq),
  });
  const loaded = await loadRun(
    { ...run, headSeq, status: "running" },
    {
      store: upTo,
      programs: tracing(loadInline(workflows), log.add),
      scheduler: { turn: (callback) => void setImmediate(callback), delay: () => () => undefined },
      payloadLimitBytes: 1_000_000,
      log: () => of.onLog?.(),
      onStray: (error) => {
        throw error;
      },
    },
  );
  const replayed = {
    state: describeState(loaded.state),
    account: accountOf(loaded.instance),
    commands: log.of(run.runId),
    liveCount: loaded.live.length,
  };
  loaded.instance.dispose();
  return replayed;
}
