import { copyFileSync, existsSync } from "node:fs";
import type { Event } from "../../src/core/event.ts";
import { isAionError } from "../../src/core/errors.ts";
import { isTerminal, projectStatus } from "../../src/core/status.ts";
import type { RunRecord, Store } from "../../src/store/contract.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { attributesIn } from "./attributes-in.ts";
import type { Said } from "./workload.ts";
import { allIds, isDoomed, idOfIndex, orderIds, resultOfOrder } from "./workload.ts";

interface Read {
  readonly runs: readonly RunRecord[];
  readonly histories: ReadonlyMap<string, readonly Event[]>;
  readonly feed: readonly Event[];
}

const audited: ReadonlySet<string> = new Set([
  "started",
  "signalled",
  "cancelled",
  "resumed",
  "reset",
  "forked",
  "ended",
  "ran",
]);

/**
 * Holds what a file contains against what was said to the outside world while it came to be.
 *
 * Owner: one file, over all the lives of its victims. Laws that it checks, by the numbers of docs/invariants.md:
 * I-1, I-2, I-3 what was acknowledged is there; I-8 no execution after a recorded outcome; I-9 no execution before
 * its record; I-10 attempts without gaps, none twice, none before its backoff is over; I-22 each signal once;
 * I-28 no timer before its instant; I-34, I-36, I-37, I-40 histories are gapless, only grow, and end once; I-60 what waits for an operator is not tried; I-61, I-62 a reset and a
 * fork are there once; I-63 a run is found by what its history says. The feed is the
 * histories in one order, to which every life adds at its end.
 */
export class Audit {
  readonly violations: string[] = [];
  readonly #said: Said[] = [];
  readonly #witnessed: Said[] = [];
  #before: ReadonlyMap<string, readonly string[]> = new Map();
  #feedBefore: readonly string[] = [];
  /** Keys of activities whose outcome was on the file at the last check. */
  #settled: ReadonlySet<string> = new Set();
  #unchecked: Said[] = [];

  hear(said: readonly Said[]): void {
    this.#said.push(...said);
    this.#unchecked.push(...said);
  }

  /** Things said that are held against the file. */
  get auditedCount(): number {
    return this.#said.filter(({ said }) => audited.has(said)).length;
  }

  /** Attempts that began, whether or not the file is recent enough to know of them. */
  witness(said: readonly Said[]): void {
    this.#witnessed.push(...said);
  }

  /** How many, from the first, are known to have ended. */
  endedFrom(from: number, total: number): number {
    const ended = new Set(this.#said.flatMap((what) => (what.said === "ended" ? [what.id] : [])));
    let index = from;
    while (index < total && ended.has(idOfIndex(index))) index += 1;
    return index;
  }

  /** Between two lives. Returns what was read. */
  async check(path: string): Promise<Read> {
    const read = await readFile(path);
    this.#checkShape(read);
    this.#checkFeed(read);
    const events = eventsByKey(read.histories);
    // I-8: what had its outcome when the last life ended was not to run in this one.
    for (const what of this.#unchecked) {
      if (what.said === "ran" && this.#settled.has(what.key))
        this.#violate(
          `${what.key} (${what.name}) ran again, attempt ${what.attempt}, after its outcome was on disk`,
        );
    }
    this.#unchecked = [];
    this.#checkAttempts(events);
    this.#checkSaid(read);
    this.#checkTimes(read.histories);
    this.#checkParked(read.histories);
    this.#checkAttributes(read);
    this.#settled = new Set([...events].filter(([, trail]) => trail.some(isOutcome)).map(([key]) => key));
    return read;
  }

  /** After the last life: everything has come to its end, and to the right one. */
  async checkEnd(path: string, total: number): Promise<void> {
    const { histories, runs } = await this.check(path);
    for (const run of runs) {
      if (run.status === "running") this.#violate(`${run.workflowId} has not ended`);
      if (run.blocked !== undefined) this.#violate(`${run.workflowId} is blocked: ${run.blocked}`);
    }
    const wanted = allIds(total).toSorted();
    const found = [...histories.keys()].toSorted();
    if (wanted.join() !== found.join()) this.#violate(`the file holds ${found.join(", ")}`);
    for (let index = 0; index < total; index += 1) {
      const id = idOfIndex(index);
      const history = histories.get(id) ?? [];
      const end = history.at(-1);
      const isRight = isDoomed(index)
        ? end?.type === "WorkflowCancelled"
        : end?.type === "WorkflowCompleted" && isResultOf(id, JSON.parse(end.result), history);
      if (!isRight) this.#violate(`${id} ended with ${JSON.stringify(end)}`);
    }
    const end = histories.get("tally")?.at(-1);
    const heard = end?.type === "WorkflowCompleted" ? end.result : undefined;
    const expected = JSON.stringify([...orderIds(total)].toSorted());
    if (heard !== expected) this.#violate(`the tally heard ${heard}`);
  }

  #violate(what: string): void {
    this.violations.push(what);
  }

  #checkFeed({ histories, feed }: Read): void {
    const lines = feed.map((event) => JSON.stringify(event));
    const changedAt = this.#feedBefore.findIndex((line, index) => lines[index] !== line);
    if (changedAt >= 0) this.#violate(`the feed changed at its event ${changedAt}`);
    this.#feedBefore = lines;
    const byId = Map.groupBy(feed, ({ workflowId }) => workflowId as string);
    for (const id of new Set([...byId.keys(), ...histories.keys()])) {
      const [shown, recorded] = [byId.get(id) ?? [], histories.get(id) ?? []];
      if (JSON.stringify(shown) !== JSON.stringify(recorded))
        this.#violate(
          `the feed has ${shown.length} events of ${id}, which are not the ${recorded.length} of its history`,
        );
    }
  }

  #checkShape({ histories, runs }: Read): void {
    const texts = new Map<string, readonly string[]>();
    for (const [id, history] of histories) {
      // I-40
      if (history.some((event, index) => event.seq !== index + 1)) this.#violate(`${id} has a gap`);
      const lines = history.map((event) => JSON.stringify(event));
      const before = this.#before.get(id) ?? [];
      if (before.some((line, index) => lines[index] !== line)) this.#violate(`the history of ${id} changed`);
      texts.set(id, lines);
      this.#checkSegments(id, history, runs);
      for (const [name, count] of countSignals(history)) {
        // I-22
        if (count !== 1) this.#violate(`${id} received signal ${name} ${count} times`);
      }
    }
    for (const id of this.#before.keys()) if (!texts.has(id)) this.#violate(`${id} is gone`);
    this.#before = texts;
  }

  #checkSegments(id: string, history: readonly Event[], runs: readonly RunRecord[]): void {
    for (const run of runs.filter((each) => each.workflowId === id)) {
      const segment = history.slice(run.firstSeq - 1, run.headSeq);
      const [start, ...rest] = segment;
      if (start?.type !== "WorkflowStarted" || start.runId !== run.runId)
        this.#violate(`a run of ${id} begins with ${JSON.stringify(start)}`);
      if (rest.some((event) => event.type === "WorkflowStarted"))
        this.#violate(`a run of ${id} starts twice`);
      // I-37
      const ends = segment.filter(isTerminal);
      if (ends.length > 1 || (ends.length === 1 && !isEndOf(segment)))
        this.#violate(`a run of ${id} ends twice`);
      // I-4: the row and the events are one commit.
      if (projectStatus(segment) !== run.status)
        this.#violate(`${id} is ${run.status} on its row, and ${projectStatus(segment)} by its events`);
    }
  }

  #checkAttempts(events: ReadonlyMap<string, readonly Event[]>): void {
    const ran = new Set<string>();
    for (const what of this.#said) {
      if (what.said !== "ran") continue;
      const { key, attempt } = what;
      // I-10: an attempt has one execution.
      if (ran.has(`${key}/${attempt}`)) this.#violate(`attempt ${attempt} of ${key} ran twice`);
      ran.add(`${key}/${attempt}`);
      const trail = events.get(key) ?? [];
      // I-9: it began after its record was on disk.
      if (!trail.some((event) => event.type === "ActivityStarted" && event.attempt === attempt))
        this.#violate(`attempt ${attempt} of ${key} (${what.name}) ran, and no history says so`);
      const outcome = trail.find(isOutcome);
      if (outcome !== undefined && "attempt" in outcome && attempt > outcome.attempt)
        this.#violate(`attempt ${attempt} of ${key} ran after the outcome of attempt ${outcome.attempt}`);
    }
    for (const what of this.#witnessed) if (what.said === "ran") ran.add(`${what.key}/${what.attempt}`);
    for (const [key, trail] of events) {
      const attempts = trail.flatMap((event) => (event.type === "ActivityStarted" ? [event.attempt] : []));
      // I-10
      if (attempts.some((attempt, index) => attempt !== index + 1))
        this.#violate(`${key} has the attempts ${attempts.join(", ")}`);
      if (trail.filter(isOutcome).length > 1) this.#violate(`${key} has two outcomes`);
      for (const event of trail) {
        if (event.type === "ActivityCompleted" && !ran.has(`${key}/${event.attempt}`))
          this.#violate(`${key} has an outcome of attempt ${event.attempt}, which never ran`);
      }
    }
  }

  #checkSaid({ histories }: Read): void {
    for (const what of this.#said) {
      switch (what.said) {
        case "started":
          // I-1, I-2
          if (histories.get(what.id)?.[0]?.type !== "WorkflowStarted")
            this.#violate(`the start of ${what.id} was acknowledged, and is not there`);
          break;
        case "signalled":
          // I-3
          if (countSignals(histories.get(what.id) ?? []).get(what.signalId) !== 1)
            this.#violate(`signal ${what.signalId} was acknowledged, and is not there once`);
          break;
        case "cancelled":
          if (histories.get(what.id)?.some((event) => event.type === "WorkflowCancelRequested") !== true)
            this.#violate(`the cancellation of ${what.id} was acknowledged, and is not there`);
          break;
        case "resumed": {
          // I-60
          const made = histories
            .get(what.id)
            ?.filter((event) => event.type === "ActivityResumed" && event.requestId === what.requestId);
          if (made?.length !== 1)
            this.#violate(`${what.requestId} was acknowledged, and is there ${made?.length} times`);
          break;
        }
        case "reset":
        case "forked": {
          // I-61, I-62
          const made = histories
            .get(what.id)
            ?.filter((event) => event.type === "WorkflowStarted" && event.resetOf !== undefined);
          const [start] = made ?? [];
          if (made?.length !== 1 || start?.type !== "WorkflowStarted" || start.runId !== what.runId)
            this.#violate(
              `${what.said} ${what.id} was told run ${what.runId}, and has ${JSON.stringify(made)}`,
            );
          break;
        }
        case "ended": {
          const end = histories.get(what.id)?.at(-1);
          const isSame =
            end?.type === "WorkflowCompleted"
              ? JSON.stringify(what.result) === end.result
              : end?.type === "WorkflowCancelled" && what.result === "cancelled";
          if (!isSame)
            this.#violate(`the result of ${what.id} was given, and its history ends with ${end?.type}`);
          break;
        }
        case "gave-up":
          if (what.code === "other" || what.code === "internal")
            this.#violate(`the victim ended with ${what.code}: ${what.message}`);
          break;
        default:
      }
    }
  }

  #checkParked(histories: ReadonlyMap<string, readonly Event[]>): void {
    for (const [id, history] of histories) {
      const parked = new Set<number>();
      for (const event of history) {
        if (event.type === "WorkflowStarted" || event.type === "WorkflowReset") parked.clear();
        if (event.type === "ActivityParked") parked.add(event.ordinal);
        if (event.type === "ActivityResumed") for (const ordinal of event.ordinals) parked.delete(ordinal);
        // I-60
        if (event.type === "ActivityStarted" && parked.has(event.ordinal))
          this.#violate(`${id}: activity ${event.ordinal} was tried while it waited for an operator`);
      }
    }
  }

  #checkAttributes({ histories, runs }: Read): void {
    for (const { workflowId, firstSeq, headSeq, attributes } of runs) {
      const recorded = JSON.stringify(
        attributesIn((histories.get(workflowId) ?? []).slice(firstSeq - 1, headSeq)),
      );
      // I-63
      if (JSON.stringify(attributes ?? {}) !== recorded)
        this.#violate(
          `a run of ${workflowId} is found by ${JSON.stringify(attributes)}, and its history says ${recorded}`,
        );
    }
  }

  #checkTimes(histories: ReadonlyMap<string, readonly Event[]>): void {
    for (const [id, history] of histories) {
      const fireAt = new Map<string, number>();
      for (const event of history) {
        if (event.type === "TimerStarted") fireAt.set(`timer ${event.ordinal}`, event.fireAt);
        if (event.type === "ActivityFailed" && event.retryAt !== undefined)
          fireAt.set(`backoff ${event.ordinal}`, event.retryAt);
        const due =
          event.type === "TimerFired"
            ? fireAt.get(`timer ${event.ordinal}`)
            : event.type === "ActivityStarted"
              ? fireAt.get(`backoff ${event.ordinal}`)
              : undefined;
        // I-28, I-10
        if (due !== undefined && event.recordedAt < due)
          this.#violate(`${id}: event ${event.seq} (${event.type}) came ${due - event.recordedAt} ms early`);
      }
    }
  }
}

/** As it is on the disk in this moment, if nobody writes. */
export function copyStore(from: string, to: string): void {
  for (const suffix of ["", "-wal", "-journal"])
    if (existsSync(`${from}${suffix}`)) copyFileSync(`${from}${suffix}`, `${to}${suffix}`);
}

/** Through a connection of its own, as the command line does it. */
export async function readFile(path: string): Promise<Read> {
  const store = openSqliteStore({ path, readOnly: true });
  try {
    return await readStore(store);
  } finally {
    await store.close();
  }
}

async function readStore(store: Store): Promise<Read> {
  const runs: RunRecord[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await store.list(
      {},
      { limit: 500, withAttributes: true, ...(cursor === undefined ? {} : { cursor }) },
    );
    runs.push(...page.runs);
    cursor = page.nextCursor;
    if (cursor === undefined) break;
  }
  const histories = new Map<string, readonly Event[]>();
  for (const { workflowId } of runs)
    if (!histories.has(workflowId)) histories.set(workflowId, await store.readHistory(workflowId));
  return { runs, histories, feed: await readFeed(store) };
}

/** In pages that end where they happen to end. */
async function readFeed(store: Store): Promise<readonly Event[]> {
  const events: Event[] = [];
  for (let after = "oldest"; ;) {
    const page = await store.readFeed({ after, limit: 37 }).catch((error: unknown) => {
      // No life got as far as owning the file.
      if (isAionError(error) && error.code === "feed_off") return undefined;
      throw error;
    });
    if (page === undefined) return [];
    const { items, nextCursor, isAtHead } = page;
    for (const { event, damage } of items) {
      if (event === undefined) throw damage.error;
      events.push(event);
    }
    if (isAtHead) return events;
    after = nextCursor;
  }
}

/** The events of each activity, by its idempotency key. */
function eventsByKey(
  histories: ReadonlyMap<string, readonly Event[]>,
): ReadonlyMap<string, readonly Event[]> {
  const found = new Map<string, Event[]>();
  for (const history of histories.values()) {
    let runId = "";
    for (const event of history) {
      if (event.type === "WorkflowStarted") runId = event.runId;
      if (!event.type.startsWith("Activity") || !("ordinal" in event)) continue;
      const key = `${runId}:${event.ordinal}`;
      const trail = found.get(key) ?? [];
      trail.push(event);
      found.set(key, trail);
    }
  }
  return found;
}

function isOutcome(event: Event): boolean {
  if (event.type === "ActivityFailed" || event.type === "ActivityTimedOut")
    return event.retryAt === undefined;
  return event.type === "ActivityCompleted" || event.type === "ActivityCancelled";
}

/** Notes may stand anywhere, and the last input of a run is followed by its end. */
function isEndOf(segment: readonly Event[]): boolean {
  const last = segment.at(-1);
  return last !== undefined && isTerminal(last);
}

/** Signals of the script, by what they say; the tally's, by the order that sent them. */
function countSignals(history: readonly Event[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const add = (payload: string): void => {
    const value: unknown = JSON.parse(payload);
    const name =
      typeof value === "object" && value !== null && "text" in value ? String(value.text) : String(value);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  for (const event of history) if (event.type === "SignalReceived") add(event.payload);
  return counts;
}

function isResultOf(id: string, result: unknown, history: readonly Event[]): boolean {
  if (typeof result !== "object" || result === null || !("picked" in result)) return false;
  const { picked, ...rest } = result;
  const recorded = history.find((event) => event.type === "SideEffectRecorded");
  if (recorded?.type !== "SideEffectRecorded" || recorded.value !== JSON.stringify(picked)) return false;
  return JSON.stringify(rest) === JSON.stringify(resultOfOrder(id));
}
