import type { NewEvent } from "../src/core/codec.ts";
import type { ParentLink } from "../src/core/event.ts";
import type { Commit, CommitResult, StartCommit } from "../src/store/contract.ts";
import { SimulationFailure } from "./failure.ts";

type Started = NewEvent & { readonly type: "WorkflowStarted" };

interface KnownRun {
  readonly workflowId: string;
  readonly runId: string;
  readonly firstSeq: number;
  readonly started: Started;
  readonly events: NewEvent[];
  /** So many of them are copies, or signals that were handed on. */
  readonly ownFrom: number;
  isEnded: boolean;
  /** Signals that were handed on to it, and that its code was not told of yet. */
  untold: number;
  /** The run before it, of which it is what becomes. */
  readonly before: KnownRun | undefined;
}

const ends: ReadonlySet<string> = new Set([
  "WorkflowCompleted",
  "WorkflowFailed",
  "WorkflowCancelled",
  "WorkflowTerminated",
  "WorkflowTimedOut",
  "WorkflowContinuedAsNew",
]);

/** Of what happens to a run, what its code is told of. */
const comesLater: ReadonlySet<string> = new Set([
  "SignalReceived",
  "TimerFired",
  "ActivityCompleted",
  "ChildWorkflowCompleted",
  "SignalSettled",
]);

/** What may differ between an event and its copy. */
const ownOfStart: ReadonlySet<string> = new Set([
  "runId",
  "version",
  "resetOf",
  "continuedFrom",
  "signalIds",
  "updateIds",
  "cancelRequestIds",
  "controlRequestIds",
  "requestId",
]);

/**
 * Resets and forks, from the commits that the store accepted and the attempts that were made. Written apart from the engine: it knows no
 * state of a run, and compares texts. Throws `SimulationFailure`.
 */
export class ResetOracle {
  readonly counts = { resets: 0, forks: 0, redone: 0, carried: 0, "taken over": 0, "open ended": 0 };
  /** How signals were asked to be dealt with, by the id of the request. */
  readonly asked = new Map<string, "carry" | "drop">();
  readonly #runs = new Map<string, KnownRun>();
  readonly #latest = new Map<string, KnownRun>();
  /** Inputs of activities hold a draw: who has asked for it. */
  readonly #draws = new Map<string, string>();
  /** What was executed under a key. */
  readonly #keys = new Map<string, string>();
  readonly #requests = new Map<string, string>();

  committed(commit: Commit, result: CommitResult): void {
    if (!result.ok) return;
    const { run, start, send = [] } = commit;
    for (const { message } of send) {
      if ((message.kind !== "cancel" && message.kind !== "terminate") || message.parent === undefined)
        continue;
      const { workflowId, runId } = message.parent;
      // I-62
      if ((this.#runs.get(runId)?.workflowId ?? workflowId) !== workflowId)
        throw new SimulationFailure(
          "reset-fork",
          `${workflowId} ends a child of run ${runId}, which is another's`,
        );
    }
    const before = run === undefined ? undefined : this.#latest.get(run.workflowId);
    const wasOpen = before !== undefined && !before.isEnded;
    if (run !== undefined && before !== undefined) this.#extend(before, run.events);
    if (start === undefined) return;
    const [started] = start.events;
    if (started?.type !== "WorkflowStarted") throw fail(start, "reset-shape", "it begins with another event");
    if (started.resetOf !== undefined) {
      const latest = this.#latest.get(start.workflowId);
      this.#reset(commit, start, started, wasOpen || latest?.isEnded === false);
    }
    const ownFrom = countCopies(started, start.events);
    const known: KnownRun = {
      workflowId: start.workflowId,
      runId: start.runId,
      firstSeq: start.firstSeq,
      started,
      events: [],
      ownFrom,
      isEnded: false,
      untold: 0,
      before: started.resetOf === undefined ? undefined : this.#latest.get(start.workflowId),
    };
    this.#runs.set(start.runId, known);
    this.#latest.set(start.workflowId, known);
    this.#extend(known, start.events);
  }

  #extend(run: KnownRun, events: readonly NewEvent[]): void {
    for (const event of events) {
      const isOwn = run.events.length >= run.ownFrom;
      run.events.push(event);
      if (ends.has(event.type)) run.isEnded = true;
      if (event.type === "WorkflowReset") run.untold = event.carriedSignals ?? 0;
      if (isOwn) {
        // What was handed on comes before whatever came since.
        if (run.untold > 0 && comesLater.has(event.type))
          throw fail(run, "reset-signal-untold", `${event.type} comes before ${run.untold} signals`);
        if (event.type === "InputDelivered" && event.of >= run.firstSeq + run.ownFrom - run.untold)
          run.untold -= 1;
      }
      // What is drawn is drawn once, whoever goes on from where.
      if (event.type === "ActivityScheduled" && isOwn) {
        const asker = `${run.runId}:${event.ordinal}`;
        const other = this.#draws.get(event.input);
        if (other !== undefined && other !== asker)
          throw fail(run, "reset-draw", `activity ${asker} has the draw of ${other}`);
        this.#draws.set(event.input, asker);
      }
      if (event.type === "SignalReceived" && event.signalId !== undefined) {
        const count = run.events.filter(
          (each) => each.type === "SignalReceived" && each.signalId === event.signalId,
        ).length;
        // I-22
        if (count > 1) throw fail(run, "reset-signal-twice", `signal ${event.signalId} was received twice`);
      }
    }
  }

  #reset({ run, send = [] }: Commit, start: StartCommit, started: Started, wasOpen: boolean): void {
    const origin = started.resetOf;
    const source = origin === undefined ? undefined : this.#runs.get(origin.runId);
    if (origin === undefined || source === undefined)
      throw fail(start, "reset-source", "it is of a run that nobody knows");
    const isFork = origin.workflowId !== undefined;
    if (isFork) this.counts.forks += 1;
    else this.counts.resets += 1;
    this.#demandCopy(start, started, source, isFork);
    const { requestId } = origin;
    if (requestId !== undefined) {
      const made = this.#requests.get(requestId);
      if (made !== undefined) throw fail(start, "reset-repeated", `${requestId} was made as run ${made}`);
      this.#requests.set(requestId, start.runId);
    }
    if (isFork) {
      if (run !== undefined) throw fail(start, "reset-fork", "a fork ends a run");
      if (started.parent !== undefined || started.requestId !== undefined)
        throw fail(start, "reset-fork", "it has a parent, or the request of another");
      return;
    }
    const terminal = run?.events.at(-1);
    if (wasOpen && (terminal?.type !== "WorkflowTerminated" || terminal.resetTo !== start.runId))
      throw fail(start, "reset-open", "the run that was open is not ended for it");
    if (wasOpen) this.counts["open ended"] += 1;
    for (const { message } of send) {
      // I-34: its parent waits for the run that goes on.
      if (message.kind === "child-closed" && isSame(message, started.parent))
        throw fail(start, "reset-parent", "its parent is told of an end");
      if (message.kind !== "cancel" && message.kind !== "terminate") continue;
      if (message.parent !== undefined && this.#openChildren(start).has(linkOf(message.parent)))
        throw fail(start, "reset-child", "a child that it has taken over is told to end");
    }
    this.counts["taken over"] += this.#openChildren(start).size;
    this.#demandSignals(start, started, source);
  }

  /** I-61: one for one, each as it was. */
  #demandCopy(start: StartCommit, started: Started, source: KnownRun, isFork: boolean): void {
    const { toSeq = 0, eventCount = 0 } = started.resetOf ?? {};
    if (eventCount !== toSeq - source.firstSeq + 1)
      throw fail(start, "reset-copy", `${eventCount} events are not those up to ${toSeq}`);
    const offset = start.firstSeq - source.firstSeq;
    for (let index = 0; index < eventCount; index++) {
      const original = source.events[index];
      const copy = start.events[index];
      if (
        original === undefined ||
        copy === undefined ||
        toText(copy, 0, isFork) !== toText(original, offset, isFork)
      )
        throw fail(start, "reset-copy", `event ${index} is another one: ${JSON.stringify([original, copy])}`);
    }
    const reset = start.events[eventCount];
    if (reset?.type !== "WorkflowReset") throw fail(start, "reset-copy", "no WorkflowReset is behind it");
    if (reset.isRedone === true) this.counts.redone += 1;
    this.counts.carried += reset.carriedSignals ?? 0;
    if (reset.as.runId !== start.runId || reset.as.workflowId !== start.workflowId)
      throw fail(start, "reset-identity", "its code is told to be another one");
  }

  /** I-22: those that came later are there once, in the order in which they came first; or none is, if that was asked for. */
  #demandSignals(start: StartCommit, started: Started, source: KnownRun): void {
    const { requestId = "", eventCount = 0, toSeq = 0 } = started.resetOf ?? {};
    const found = signalsOf(start.events.slice(eventCount));
    if (this.asked.get(requestId) === "drop") {
      if (found.length > 0) throw fail(start, "reset-signal-kept", `it has ${found.join()}`);
      return;
    }
    // All that the runs that went on from the source have received by themselves.
    const line: KnownRun[] = [];
    for (const run of this.#runs.values())
      if (run.workflowId === start.workflowId && run.before === (line.at(-1) ?? source)) line.push(run);
    const expected = [
      ...signalsOf(source.events.slice(toSeq - source.firstSeq + 1)),
      ...line.flatMap((run) => signalsOf(run.events.slice(run.ownFrom))),
    ];
    const there = new Set(signalsOf(start.events.slice(0, eventCount)));
    const wanted = [...new Set(expected)].filter((id) => !there.has(id));
    if (wanted.join() !== found.join())
      throw fail(start, "reset-signal-lost", `it has ${found.join()}, and is to have ${wanted.join()}`);
  }

  /** Children that are open in what it begins with: as they know their parent. */
  #openChildren({ workflowId, runId, events }: StartCommit): ReadonlySet<string> {
    const open = new Map<number, string>();
    for (const event of events) {
      if (event.type === "ChildWorkflowStarted")
        open.set(event.ordinal, this.#ownerOf(runId, events, "ChildWorkflowStarted", event.ordinal));
      else if (
        /^ChildWorkflow(Completed|Failed|Cancelled|TimedOut|Terminated)$/.test(event.type) &&
        "ordinal" in event
      )
        open.delete(event.ordinal);
    }
    return new Set(
      [...open].map(([ordinal, owner]) =>
        linkOf({ workflowId, runId: owner, ordinal } as unknown as ParentLink),
      ),
    );
  }

  /** The run that asked for it first. */
  #ownerOf(
    runId: string,
    events: readonly NewEvent[],
    type: "ActivityScheduled" | "ChildWorkflowStarted",
    ordinal: number,
  ): string {
    const [started] = events;
    const origin = started?.type === "WorkflowStarted" ? started.resetOf : undefined;
    if (origin === undefined) return runId;
    const index = events.findIndex((event) => event.type === type && event.ordinal === ordinal);
    if (index < 0 || index >= origin.eventCount) return runId;
    const source = this.#runs.get(origin.runId);
    // A fork has no part in what others asked for.
    if (origin.workflowId !== undefined) return runId;
    return source === undefined ? runId : this.#ownerOf(origin.runId, source.events, type, ordinal);
  }

  /** An attempt has begun. */
  executed(of: { readonly runId: string; readonly key: string; readonly text: string }): void {
    const { runId, key, text } = of;
    const run = this.#runs.get(runId);
    if (run === undefined)
      throw new SimulationFailure("reset-attempt", `an attempt of run ${runId} is not on disk`);
    const ordinal = Number(key.slice(key.lastIndexOf(":") + 1));
    const expected = `${this.#ownerOf(runId, run.events, "ActivityScheduled", ordinal)}:${ordinal}`;
    if (key !== expected) throw fail(run, "reset-key", `an attempt has the key ${key}, and not ${expected}`);
    const other = this.#keys.get(key);
    if (other !== undefined && other !== text)
      throw fail(run, "reset-key", `${key} stood for ${other}, and now for ${text}`);
    this.#keys.set(key, text);
  }

  /** Somebody was told that this is the run of that request. */
  acknowledged(requestId: string, runId: string): void {
    const made = this.#requests.get(requestId);
    // I-3, I-6
    if (made !== runId)
      throw new SimulationFailure(
        "reset-acknowledged",
        `${requestId} is run ${made}, and was told as ${runId}`,
      );
  }

  /** Of a run: its first event, and how many there are. */
  rangeOf(runId: string): { readonly firstSeq: number; readonly count: number } {
    const run = this.#runs.get(runId);
    return { firstSeq: run?.firstSeq ?? 1, count: run?.events.length ?? 0 };
  }

  /** All runs of a workflow, the latest last. */
  runsOf(workflowId: string): readonly string[] {
    return [...this.#runs.values()].filter((run) => run.workflowId === workflowId).map(({ runId }) => runId);
  }
}

function countCopies({ resetOf }: Started, events: readonly NewEvent[]): number {
  if (resetOf === undefined) return 0;
  const reset = events[resetOf.eventCount];
  return resetOf.eventCount + 1 + (reset?.type === "WorkflowReset" ? (reset.carriedSignals ?? 0) : 0);
}

function signalsOf(events: readonly NewEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === "SignalReceived" ? [event.signalId ?? "?"] : []));
}

function toText(event: NewEvent, offset: number, isFork: boolean): string {
  const fields = Object.entries(event)
    .filter(([name]) => name !== "seq" && name !== "workflowId")
    .filter(([name]) => !(event.type === "WorkflowStarted" && ownOfStart.has(name)))
    .filter(
      ([name]) =>
        !isFork ||
        (name !== "requestId" &&
          !(event.type === "WorkflowStarted" && (name === "parent" || name === "scheduled"))),
    )
    .map(([name, value]: readonly [string, unknown]): readonly [string, unknown] => {
      if (name === "of") return [name, (value as number) + offset];
      if (name === "voids") return [name, (value as number[]).map((seq) => seq + offset)];
      return [name, value];
    });
  return JSON.stringify(Object.fromEntries(fields.toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

function linkOf({ runId, ordinal }: ParentLink): string {
  return `${runId} ${ordinal}`;
}

function isSame(
  { runId, ordinal }: { readonly runId: string; readonly ordinal: number },
  parent: ParentLink | undefined,
): boolean {
  return parent?.runId === runId && parent.ordinal === ordinal;
}

function fail(
  { workflowId, runId }: { readonly workflowId: string; readonly runId: string },
  kind: string,
  why: string,
): SimulationFailure {
  return new SimulationFailure(kind, `${workflowId}, run ${runId}: ${why}`);
}
