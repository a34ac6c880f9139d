import { AionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";
import { parsePayload, payloadLimitBytesDefault } from "../core/payload.ts";
import type { Payload } from "../core/payload.ts";
import { isClosed } from "../core/status.ts";
import { nodePorts } from "../embedded/node-ports.ts";
import { loadRun } from "../engine/load.ts";
import type { HistoryStore, LoadedRun } from "../engine/load.ts";
import type { ProgramSource } from "../program/program.ts";
import { ResumeTracker } from "../replay/resume-point.ts";
import type { ResumePoint } from "../replay/resume-point.ts";
import type { RunRecord, Store } from "../store/contract.ts";

const messagesPage = 1_000;

export interface ReplayOf {
  readonly run: RunRecord;
  readonly store: HistoryStore;
  readonly programs: ProgramSource;
}

/** The code fits the history, and this is where it would go on; `undefined`: the run has ended. */
export interface ReplayReport {
  readonly commandCount: number;
  readonly resumePoint: ResumePoint | undefined;
}

/** Replays a run's history against code. Nothing is written, no activity runs. Errors: those of `loadRun`. */
export async function replayRun(of: ReplayOf): Promise<ReplayReport> {
  const tracker = new ResumeTracker();
  const { instance } = await load(of, tracker);
  instance.dispose();
  const { run } = of;
  const resumePoint = isClosed(run.status) ? undefined : tracker.resumePoint(run.headSeq);
  return { commandCount: tracker.resolutions.length, resumePoint };
}

/** Answers a query from a run's history. Errors: `no_owner` when something waits that only an engine can take up. */
export async function queryRun(
  of: ReplayOf & { readonly store: Store },
  query: { readonly name: string; readonly input: Payload },
): Promise<Payload> {
  const name = parseName(query.name, "query name");
  const input = parsePayload(query.input, `the input of query ${JSON.stringify(name)}`);
  await demandSettled(of);
  const { instance } = await load(of, undefined);
  try {
    return await instance.query(name, input);
  } finally {
    instance.dispose();
  }
}

/** An answer must reflect all that was acknowledged: it cannot while signals wait, or a start. */
async function demandSettled({ run, store }: ReplayOf & { readonly store: Store }): Promise<void> {
  if (isClosed(run.status)) return;
  const { workflowId } = run;
  const refuse = (what: string): AionError =>
    new AionError("no_owner", `${what}, and no engine is running that could take it up`, {
      hint: "Start the process that embeds the engine, then ask again.",
    });
  if (run.headSeq === run.firstSeq && run.wakeAt === 0)
    throw refuse(`workflow ${workflowId} has not begun to run`);
  for (let after = 0; ;) {
    const page = await store.listMessages(after, messagesPage);
    const waiting = page.find(({ target }) => target === workflowId);
    if (waiting?.message.kind === "damaged") throw waiting.message.error;
    if (waiting !== undefined) throw refuse(`a ${waiting.message.kind} waits for workflow ${workflowId}`);
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.messageId;
  }
}

async function load(
  { run, store, programs }: ReplayOf,
  tracker: ResumeTracker | undefined,
): Promise<LoadedRun> {
  const { scheduler } = nodePorts(() => undefined);
  const loaded = await loadRun(run, {
    store,
    programs,
    scheduler,
    payloadLimitBytes: payloadLimitBytesDefault,
    log: () => undefined,
    onStray: () => undefined,
    ...(tracker === undefined ? {} : { tracker }),
  });
  if (loaded.isStuck && loaded.live.length === 0 && !loaded.state.isClosed) {
    loaded.instance.dispose();
    throw new AionError(
      "nondurable_await",
      `workflow ${run.workflowId} waits for nothing durable and has not ended`,
    );
  }
  return loaded;
}
