import type { ResumeActivityReply, ResumeActivityRequest } from "../client/service.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, EventBody } from "../core/event.ts";
import { toFailure } from "../core/failure.ts";
import type { Failure } from "../core/failure.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { parseName } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { nullPayload, parsePayload } from "../core/payload.ts";
import { isCoordinatorId } from "../core/schedule.ts";
import type { OpenActivity } from "../replay/open-activity.ts";
import type { RunState } from "../replay/run-state.ts";
import { requestTaken } from "../store/catalog.ts";
import type { RunRecord, Store } from "../store/contract.ts";
import { notAWorkflow } from "./coordinator.ts";
import type { ParsedEnd } from "./end-requests.ts";
import { once, parseEnd } from "./end-requests.ts";
import { isUnreadable } from "./endings.ts";
import type { Kernel } from "./kernel.ts";
import { pageEvents } from "./load.ts";
import { offerTo } from "./offer.ts";
import { demandRun } from "./views.ts";
import { sealFailure } from "./worker-seal.ts";

/**
 * What operators decide about parked activities.
 *
 * Laws: a decision is one event, so that all of it is recorded or nothing. It is taken against the state of the moment: what is not parked
 * then (another operator was faster) is refused, and never decided on twice. A repeated request changes nothing and is answered
 * as it was. An ordinal is of one run, and says nothing of those that this one goes on as.
 */
export async function resumeActivities(
  kernel: Kernel,
  request: ResumeActivityRequest,
): Promise<ResumeActivityReply> {
  kernel.demandOpen();
  const of = parseEnd(request);
  const { workflowId, fields } = of;
  if (isCoordinatorId(workflowId)) throw notAWorkflow(workflowId);
  const { requestId } = fields;
  const decision = parseDecision(kernel, request);
  let reply: ResumeActivityReply | undefined;
  let meant: RunId | undefined;
  await once(kernel, "resume-activity", of, async (latestId) => {
    if (request.ordinal !== undefined)
      meant ??= latestId ?? (await kernel.residency.latest(workflowId))?.runId;
    const runId = meant ?? latestId;
    const result =
      decision.kind === "complete" ? await checkedResult(kernel, workflowId, decision) : undefined;
    let isRepeated = false;
    await offerTo(kernel, workflowId, runId, {
      toEvent: (state) => {
        isRepeated = requestId !== undefined && state.requests.hasControl("resume-activity", requestId);
        reply = undefined;
        if (isRepeated) return undefined;
        const parked = demandParked(state, request);
        reply = { runId: state.started.runId, ordinals: parked.map(({ ordinal }) => ordinal) };
        return toEvent(parked, decision, result, fields);
      },
      ...(runId === undefined ? { followsChain: true as const } : {}),
    });
    if (isRepeated) kernel.meter.repeated("resume-activity");
  });
  return (
    reply ?? (await findReply(kernel.store, of, requestId ?? "", { ...decision, ordinal: request.ordinal }))
  );
}

type Decision =
  | { readonly kind: "retry" }
  | { readonly kind: "complete"; readonly ordinal: number; readonly result: Payload }
  | { readonly kind: "fail"; readonly ordinal: number; readonly failure: Failure };

/** Errors: `invalid_argument`, `payload_too_large`. */
function parseDecision(kernel: Kernel, request: ResumeActivityRequest): Decision {
  const { workflowId, ordinal, activityType, outcome = "retry", result, failure } = request;
  const { payloadLimitBytes, codec } = kernel.options;
  if (ordinal !== undefined && (!Number.isSafeInteger(ordinal) || ordinal < 0))
    throw invalid(`ordinal must be a whole number of 0 or more, got ${ordinal}`);
  if (activityType !== undefined) parseName(activityType, "activity type");
  if (outcome !== "complete" && result !== undefined)
    throw invalid("a result is given to complete an activity");
  if (outcome !== "fail" && failure !== undefined) throw invalid("a failure is given to fail an activity");
  if (outcome === "retry") return { kind: "retry" };
  if (ordinal === undefined) throw invalid(`which activity is to ${outcome} must be said by its ordinal`);
  if (outcome === "complete") {
    const payload = parsePayload(
      result ?? nullPayload,
      `the result of activity #${ordinal}`,
      payloadLimitBytes,
    );
    return { kind: "complete", ordinal, result: payload };
  }
  if (outcome !== "fail") throw invalid(`there is no outcome ${JSON.stringify(outcome)}`);
  if (failure === undefined || typeof failure.message !== "string")
    throw invalid("an activity is failed with a message");
  const { message, type, details } = failure;
  const cut = toFailure(message).message.toWellFormed();
  const plain: Failure = {
    kind: "application",
    message: cut,
    type: type === undefined ? "Error" : parseName(type, "failure type"),
    ...(details === undefined
      ? {}
      : { details: parsePayload(details, "the details of the failure", failureDetailsMax) }),
  };
  const sealed = codec === undefined ? plain : sealFailure(codec, plain, { activityType: "", workflowId });
  return { kind: "fail", ordinal, failure: sealed };
}

const failureDetailsMax = 256 * 1024;

function invalid(message: string): AionError {
  return new AionError("invalid_argument", message);
}

/** By the code that asked for the activity: it knows the schema of the result. Errors: `payload_invalid`, `run_blocked`. */
async function checkedResult(
  { residency }: Kernel,
  workflowId: WorkflowId,
  { ordinal, result }: Decision & { readonly kind: "complete" },
): Promise<Payload> {
  const run = await residency.resident(workflowId);
  return (await run?.instance?.parseResult(ordinal, result)) ?? result;
}

/** Errors: `activity_not_parked`. */
function demandParked(
  state: RunState,
  { ordinal, activityType }: ResumeActivityRequest,
): readonly OpenActivity[] {
  const parked = state.parked.filter(
    (activity) =>
      (ordinal === undefined || activity.ordinal === ordinal) &&
      (activityType === undefined || activity.activityType === activityType),
  );
  if (parked.length > 0) return parked;
  const { workflowId, started } = state;
  const run = `run ${started.runId} of workflow ${workflowId}`;
  const found = ordinal === undefined ? undefined : state.activities.get(ordinal);
  const what =
    ordinal === undefined
      ? `no activity${activityType === undefined ? "" : ` ${JSON.stringify(activityType)}`} of ${run} is parked`
      : found === undefined
        ? `activity #${ordinal} of ${run} is not open: it has ended, or there is none`
        : activityType !== undefined && found.activityType !== activityType
          ? `activity #${ordinal} of ${run} is ${JSON.stringify(found.activityType)}, not ${JSON.stringify(activityType)}`
          : `activity #${ordinal} (${JSON.stringify(found.activityType)}) of ${run} is not parked: it is ${
              found.startedAt === undefined ? "to be tried" : "being tried"
            }`;
  throw new AionError("activity_not_parked", what, { details: { workflowId, runId: started.runId } });
}

function toEvent(
  parked: readonly OpenActivity[],
  decision: Decision,
  result: Payload | undefined,
  fields: { readonly reason?: string; readonly requestId?: string },
): EventBody {
  const ordinals = parked.map(({ ordinal }) => ordinal);
  if (decision.kind === "retry") return { type: "ActivityResumed", ordinals, ...fields };
  const { ordinal } = decision;
  const of = { ordinal, attempt: parked[0]?.attempt ?? 0, byOperator: true as const, ...fields };
  return decision.kind === "complete"
    ? { type: "ActivityCompleted", result: result ?? decision.result, ...of }
    : { type: "ActivityFailed", failure: decision.failure, ...of };
}

/** What a request was answered with that is in a history. Error: `request_conflict` (the id has made another decision). */
async function findReply(
  store: Store,
  { workflowId, runId }: Pick<ParsedEnd, "workflowId" | "runId">,
  requestId: string,
  asked: Pick<Decision, "kind"> & { readonly ordinal: number | undefined },
): Promise<ResumeActivityReply> {
  // The first that has it: those that were reset since have copies.
  for (const run of await store.readRunChain(workflowId)) {
    if (runId !== undefined && run.runId !== runId) continue;
    const made = await findMade(store, run, requestId);
    if (made === undefined) continue;
    const { kind, ordinals } = made;
    if (kind === asked.kind && (asked.ordinal === undefined || ordinals.join() === String(asked.ordinal)))
      return { runId: run.runId, ordinals };
    throw requestTaken(requestId);
  }
  // It was made of a run that is deleted since: what is known of it is that it was made.
  const latest = await demandRun(store, workflowId, runId);
  return { runId: latest.runId, ordinals: [] };
}

interface Made {
  readonly kind: Decision["kind"];
  readonly ordinals: readonly number[];
}

async function findMade(store: Store, run: RunRecord, requestId: string): Promise<Made | undefined> {
  try {
    for (let fromSeq = run.firstSeq; ;) {
      const page = await store.readSegment(run, fromSeq, pageEvents);
      for (const event of page) {
        const made = toMade(event);
        if (made !== undefined && "requestId" in event && event.requestId === requestId) return made;
      }
      const last = page.at(-1);
      if (last === undefined || last.seq >= run.headSeq) return undefined;
      fromSeq = last.seq + 1;
    }
  } catch (error) {
    // What cannot be read cannot be asked.
    if (isAionError(error) && isUnreadable(error)) return undefined;
    throw error;
  }
}

/** `undefined`: no operator decided that. */
function toMade(event: Event): Made | undefined {
  switch (event.type) {
    case "ActivityResumed":
      return { kind: "retry", ordinals: event.ordinals };
    case "ActivityCompleted":
    case "ActivityFailed":
      if (event.byOperator !== true) return undefined;
      return { kind: event.type === "ActivityCompleted" ? "complete" : "fail", ordinals: [event.ordinal] };
    default:
      return undefined;
  }
}
