/** Plays a scenario live, and keeps what was seen of each run at each of its commits. */
import type { Client } from "../../src/client/client.ts";
import type { RunHandle } from "../../src/client/run-handle.ts";
import type { Turn } from "../../src/core/activation.ts";
import type { WorkflowId } from "../../src/core/ids.ts";
import type { Ports } from "../../src/core/ports.ts";
import { nullPayload } from "../../src/core/payload.ts";
import { loadRun } from "../../src/engine/load.ts";
import { loadInline } from "../../src/program/inline.ts";
import type { InstanceInit, ProgramInstance, ProgramSource } from "../../src/program/program.ts";
import type { RunState } from "../../src/replay/run-state.ts";
import type { RunRecord, Store } from "../../src/store/contract.ts";
import type { AnyWorkflow } from "../../src/workflow/definition.ts";
import { overStore } from "../recovery/over-store.ts";
import type { Fault } from "../recovery/world.ts";
import { World } from "../recovery/world.ts";
import type { Scenario } from "./arbitrary-program.ts";
import { account, bump, programActivities, programWorkflows } from "./interpreter.ts";
import type { Outside } from "./interpreter.ts";

/** The account of a run that is ended without its code. */
export const noCode = "no code";

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
  /** What the client was told of each of its updates, by its id. */
  readonly answers: ReadonlyMap<string, Answer>;
}

type Answer = { readonly result: unknown } | { readonly failure: unknown };

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
    signalIds: state.requests.recent().signalIds,
    updates: [...state.updates.pending],
    left: [...state.updates.leftBy(state.terminal)],
    updateIds: state.updates.recentIds(),
  });
}

function accountOf(instance: ProgramInstance): string | Promise<string> {
  try {
    const told = instance.query(account.name, nullPayload);
    return typeof told === "string" ? told : told.catch(untold);
  } catch (error) {
    return untold(error);
  }
}

/** Children and listeners tell nothing. */
function untold(error: unknown): string {
  return (error as Error).message.split(":")[0] ?? "";
}

/** Only inline code answers at once. */
function nowOf(told: string | Promise<string>): string {
  return typeof told === "string" ? told : noCode;
}

/** Keeps the commands of every instance. */
function tracing(programs: ProgramSource, log: CommandLog): ProgramSource {
  const wrap = (program: ReturnType<ProgramSource["find"]>): typeof program => {
    if (program === undefined) return undefined;
    return new Proxy(program, {
      get: (target, name) => {
        if (name === "instantiate") {
          return (init: InstanceInit): ProgramInstance => {
            const instance = target.instantiate(init);
            const onTurn = log.begin(init);
            return new Proxy(instance, {
              get: (inner, key) => {
                if (key === "end") {
                  return (): ReturnType<ProgramInstance["end"]> => {
                    const turn = inner.end();
                    if (typeof turn !== "string") onTurn(turn);
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

/** The commands of each run, as text: those that its latest instance has issued since its start. */
class CommandLog {
  readonly #byRun = new Map<string, string[]>();
  #latest: readonly string[] = [];

  begin({ runId }: InstanceInit): (turn: Turn) => void {
    const issued: string[] = [];
    this.#byRun.set(runId, issued);
    this.#latest = issued;
    return ({ commands }) => {
      for (const command of commands) {
        // Stacks name frames of whoever called.
        issued.push(JSON.stringify(command, (key, value: unknown) => (key === "stack" ? undefined : value)));
      }
    };
  }

  /** Of the instance that was begun last. The code of a copy calls itself what the run was called that it is a copy of. */
  get latest(): string {
    return this.#latest.join("\n");
  }

  of(runId: string): string {
    return (this.#byRun.get(runId) ?? []).join("\n");
  }
}

const limitMs = 60_000;

/** Plays a scenario to its end, with faults at the appends given. Clients repeat what was not answered. */
export async function record(
  scenario: Scenario,
  faults: ReadonlyMap<number, Fault> = new Map(),
  programsOf: (inline: ProgramSource, ports: Ports) => ProgramSource = (inline) => inline,
): Promise<Recording> {
  const { program, sent, cancelAfterMs } = scenario;
  const snapshots: Snapshot[] = [];
  const produced: string[] = [];
  const answers = new Map<string, Answer>();
  const log = new CommandLog();
  const world: World = new World({
    workflows: (of) => programWorkflows({ world: of, produced }, { subject: program }),
    activities: programActivities,
    wrapPrograms: (programs, ports) => tracing(programsOf(programs, ports), log),
    fault: ({ number }) => faults.get(number),
    onAppend: ({ number, commits, process }) => {
      // What was not written was never so.
      const fault = faults.get(number);
      if (fault !== undefined && fault !== "crash-after" && !fault.endsWith("-made")) return;
      for (const { run, start } of commits) {
        const workflowId = run?.workflowId ?? start?.workflowId;
        if (workflowId === undefined || (run ?? start)?.events.length === 0) continue;
        const resident = process.kernel.residency.get(workflowId);
        if (resident === undefined) continue;
        const { state, instance } = resident;
        snapshots.push({
          workflowId,
          runId: state.started.runId,
          headSeq: state.headSeq,
          state: describeState(state),
          account: instance === undefined ? noCode : nowOf(accountOf(instance)),
          commands: log.of(state.started.runId),
        });
      }
    },
  });
  await world.open();
  await world.during(world.call((client) => client.start("listener", null, { id: "listener" })));
  await world.during(
    world.call((client) => client.start("subject", { round: 0 }, { id: "subject", requestId: "once" })),
  );
  const acts: Promise<unknown>[] = sent.map(async ({ afterMs, signal, value }, index) => {
    await world.idle(afterMs);
    const run = (client: Client): RunHandle => client.get("subject");
    if (signal === "bump") {
      const updateId = `s${index}`;
      const tell = (answer: Answer): unknown => answers.set(updateId, answer);
      return world
        .call((client) => run(client).update(bump, value, { updateId }))
        .then(
          (result) => tell({ result }),
          (failure: unknown) => tell({ failure }),
        );
    }
    return world.call((client) => run(client).signal(signal, value, { signalId: `s${index}` }));
  });
  if (cancelAfterMs > 0) {
    acts.push(world.idle(cancelAfterMs).then(() => world.call((client) => client.get("subject").cancel())));
  }
  // Too late is fine.
  const told = Promise.allSettled(acts);
  let isOver = false;
  const end = (): void => {
    isOver = true;
  };
  world.call((client) => client.get("subject").result()).then(end, end);
  if (!(await world.runUntil(() => isOver, world.nowMs + limitMs))) throw new Error("the run did not end");
  await world.during(told);
  // Children that were left behind have their end too.
  await world.advance(limitMs);
  return { world, outside: { world, produced }, snapshots, answers };
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
  /** Instead of them. */
  readonly programs?: ProgramSource;
  readonly onLog?: () => void;
}): Promise<Replayed> {
  const { store, run, headSeq = run.headSeq, workflows } = of;
  const log = new CommandLog();
  const upTo = overStore(store, {
    readSegment: async (ref, from, limit) =>
      (await store.readSegment(ref, from, limit)).filter((event) => event.seq <= headSeq),
  });
  const loaded = await loadRun(
    { ...run, headSeq, status: "running" },
    {
      store: upTo,
      programs: tracing(of.programs ?? loadInline(workflows), log),
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
    account: await accountOf(loaded.instance),
    commands: log.latest,
    liveCount: loaded.live.length,
  };
  loaded.instance.dispose();
  return replayed;
}
