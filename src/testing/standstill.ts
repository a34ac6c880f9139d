import type { WorkflowId } from "../core/ids.ts";
import { isClosed } from "../core/status.ts";
import { loadState } from "../engine/load.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";
import type { Store } from "../store/contract.ts";

const pageRuns = 200;

/**
 * The earliest instant at which something would happen to a run without anybody doing anything, read from the histories of all
 * that are open: a timer, a backoff, a time-out. `undefined`: never.
 */
export async function nextInstant(store: Store, nowMs: number): Promise<number | undefined> {
  let next = Number.POSITIVE_INFINITY;
  for (let after = 0; ;) {
    const page = await store.listActive(after, pageRuns);
    for (const record of page) {
      after = record.runKey;
      next = Math.min(next, instantOf(await loadState(record, store), nowMs));
    }
    if (page.length < pageRuns) return next === Number.POSITIVE_INFINITY ? undefined : next;
  }
}

function instantOf(state: RunState, nowMs: number): number {
  const { runDeadlineAt, executionDeadlineAt } = state.deadlines;
  return Math.min(
    runDeadlineAt ?? Number.POSITIVE_INFINITY,
    executionDeadlineAt ?? Number.POSITIVE_INFINITY,
    ...[...state.timers.values()].map((timer) => timer.fireAt),
    ...[...state.activities.values()].map((activity) => activityInstant(activity, nowMs)),
  );
}

function activityInstant(activity: OpenActivity, nowMs: number): number {
  const { scheduledAt, startedAt, attempt, retryAt, options } = activity;
  const { scheduleToStartMs, startToCloseMs, scheduleToCloseMs, heartbeatMs } = options;
  const after = (from: number | undefined, ms: number | undefined): number =>
    from === undefined || ms === undefined ? Number.POSITIVE_INFINITY : from + ms;
  return Math.min(
    retryAt ?? Number.POSITIVE_INFINITY,
    after(scheduledAt, scheduleToCloseMs),
    after(attempt === 0 ? scheduledAt : undefined, scheduleToStartMs),
    after(startedAt, startToCloseMs),
    // Each beat moves it; the latest is not in the history.
    after(startedAt === undefined ? undefined : nowMs, heartbeatMs),
  );
}

/** What the open runs wait for, for people; the one of that workflow id first. */
export async function describeOpen(store: Store, workflowId: WorkflowId): Promise<string> {
  const lines: string[] = [];
  const asked = await store.findRun(workflowId);
  const others = (await store.listActive(0, shownRuns)).filter((run) => run.workflowId !== workflowId);
  const open = asked === undefined || isClosed(asked.status) ? others : [asked, ...others];
  for (const record of open.slice(0, shownRuns)) {
    const state = await loadState(record, store);
    const waits = [
      ...[...state.activities.values()].map(
        (activity) =>
          `activity ${JSON.stringify(activity.activityType)} (attempt ${activity.attempt}, ${
            activity.parked !== undefined
              ? `parked: it waits for \`run.resumeActivity()\`; ${activity.lastFailure?.message ?? ""}`
              : activity.startedAt === undefined
                ? "not under way"
                : "under way"
          })`,
      ),
      ...[...state.timers.values()].map((timer) => `a timer at ${new Date(timer.fireAt).toISOString()}`),
      ...[...state.children.values()].map((child) => `child ${child.childWorkflowId}`),
      ...[...state.sends.keys()].map((ordinal) => `signal #${ordinal} it sent`),
    ];
    const what = waits.length === 0 ? "a signal, or a condition" : waits.slice(0, shownWaits).join(", ");
    lines.push(`${record.workflowId} (${record.workflowType}) waits for ${what}`);
  }
  return lines.length === 0 ? "no run is open" : lines.join("; ");
}

const shownRuns = 5;
const shownWaits = 5;
