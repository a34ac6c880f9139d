/** Reset and fork: a run goes on exactly from a point of another one, and nothing that was done before it is done again. */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import type { ResetReply } from "../../src/client/service.ts";
import type { Attributes } from "../../src/core/attributes.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import { attributesIn } from "../torture/attributes-in.ts";
import { isEnd, ownEvents, segmentsOf } from "./laws.ts";
import type { Cast, Part, Read } from "./part.ts";
import { endOf } from "./part.ts";

interface Told {
  readonly requestId: string;
  readonly toSeq: number;
  readonly runIds: readonly string[];
}

const stepCount = 10;
const wordCount = 8;
const resetCount = 3;
/** Points that are none are answered with those that are near. */
const triesMax = 30;

export class Tale implements Part {
  readonly #cast: Cast;
  readonly name: string;
  readonly #resets: Told[] = [];
  readonly #forks = new Map<string, Told>();
  readonly #ends = new Map<string, { status: string; result?: string }>();
  readonly #attributes = new Map<string, Attributes | undefined>();
  #refusedCount = 0;

  constructor(cast: Cast, name: string) {
    this.#cast = cast;
    this.name = name;
  }

  readonly ids = (): readonly string[] => [this.name, ...this.#forks.keys()];

  get toldCount(): number {
    const told = [...this.#resets, ...this.#forks.values()];
    return told.reduce((sum, { runIds }) => sum + runIds.length, this.#refusedCount);
  }

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const workflowId = this.name;
    await delay(draws.between(0, lastsMs / 3));
    const input = textOf({ id: workflowId, stepCount, wordCount });
    await stage.ask((desk) => desk.start({ workflowType: "tale", workflowId, requestId: workflowId, input }));
    const speaking = (async () => {
      for (let said = 0; said < wordCount; said++) {
        await delay(draws.between(0, (lastsMs * 0.6) / wordCount));
        const request = { workflowId, name: "word", payload: textOf(String(said)), signalId: `word ${said}` };
        await stage.ask((desk) => desk.signal(request));
      }
    })();
    speaking.catch(() => undefined);
    for (let number = 0; number < resetCount; number++) {
      await delay(draws.between(0, lastsMs * 0.2));
      const requestId = `reset ${number}`;
      const told = await this.#goOn((toSeq) =>
        stage.ask((desk) => desk.reset({ workflowId, toSeq, requestId })),
      );
      if (told !== undefined) this.#resets.push({ requestId, ...told });
    }
    await speaking;
    await this.#end(workflowId);
    // Of a run that has ended; it hears all that came, and comes to its own end.
    const newWorkflowId = `${workflowId}-fork`;
    const told = await this.#goOn((toSeq) =>
      stage.ask((desk) =>
        desk.fork({ workflowId, newWorkflowId, toSeq, requestId: "fork", signals: "carry" }),
      ),
    );
    if (told === undefined) return;
    this.#forks.set(newWorkflowId, { requestId: "fork", ...told });
    await this.#end(newWorkflowId);
  }

  async #end(workflowId: string): Promise<void> {
    const { stage } = this.#cast;
    this.#ends.set(workflowId, await endOf(stage, workflowId));
    this.#attributes.set(workflowId, (await stage.ask((desk) => desk.describe({ workflowId }))).attributes);
  }

  /** Two say the same, of a point of the latest run that is drawn. */
  async #goOn(
    ask: (toSeq: number) => Promise<ResetReply>,
  ): Promise<{ readonly toSeq: number; readonly runIds: readonly string[] } | undefined> {
    const { stage, draws } = this.#cast;
    let wanted: number | undefined;
    for (let tried = 0; tried < triesMax; tried++) {
      const latest = segmentsOf(await stage.history(this.name)).at(-1) ?? [];
      const toSeq = wanted ?? draws.between(latest[0]?.seq ?? 1, latest.at(-1)?.seq ?? 1);
      try {
        const both = await Promise.all([ask(toSeq), ask(toSeq)]);
        if (draws.chance(0.4)) stage.killNow();
        return { toSeq, runIds: both.map(({ runId }) => runId) };
      } catch (error) {
        if (!isAionError(error) || error.code !== "run_not_resettable") throw error;
        this.#refusedCount += 1;
        const { before, after } = error.details;
        const near = [before, after].filter((seq) => typeof seq === "number");
        wanted = tried % 2 === 0 ? near[draws.between(0, near.length - 1)] : undefined;
      }
    }
    return undefined;
  }

  judge({ histories }: Read): readonly string[] {
    const found: string[] = [];
    const violate = (what: string): void => void found.push(`${this.name}: ${what}`);
    const history = histories.get(this.name) ?? [];
    if (this.#resets.length === 0) violate("it was never reset");
    for (const told of this.#resets) this.#judgeCopy(told, history, history, violate);
    const askedFor = new Set(this.#resets.map(({ requestId }) => requestId));
    for (const segment of segmentsOf(history)) {
      const [started] = segment;
      const requestId = started?.type === "WorkflowStarted" ? started.resetOf?.requestId : undefined;
      if (requestId !== undefined && !askedFor.has(requestId))
        violate(`${requestId} was refused, and is there`);
    }
    for (const [id, told] of this.#forks) this.#judgeCopy(told, history, histories.get(id) ?? [], violate);
    if (this.#forks.size === 0) violate("it was never forked");
    for (const [id, end] of this.#ends) judgeEnd(id, end, histories.get(id) ?? [], violate);
    for (const [id, shown] of this.#attributes) {
      const last = segmentsOf(histories.get(id) ?? []).at(-1) ?? [];
      const recorded = JSON.stringify(attributesIn(last));
      if (JSON.stringify(shown ?? {}) !== recorded)
        violate(`${id} is found by ${JSON.stringify(shown)}, and its history says ${recorded}`);
    }
    return found;
  }

  /** It is there once, and begins with the very events of the other run, up to the point. */
  #judgeCopy(
    { requestId, toSeq, runIds }: Told,
    source: readonly Event[],
    target: readonly Event[],
    violate: (what: string) => void,
  ): void {
    const made = segmentsOf(target).filter(
      ([started]) => started?.type === "WorkflowStarted" && started.resetOf?.requestId === requestId,
    );
    const [segment] = made;
    const [started] = segment ?? [];
    if (segment === undefined || made.length !== 1 || started?.type !== "WorkflowStarted")
      return violate(`${requestId} was acknowledged, and is there ${made.length} times`);
    const { resetOf, runId } = started;
    if (runIds.some((told) => told !== runId) || resetOf?.toSeq !== toSeq)
      violate(`${requestId} to ${toSeq} was answered with ${runIds.join()}, and made ${runId}`);
    const from = segmentsOf(source).find(
      ([first]) => first?.type === "WorkflowStarted" && first.runId === resetOf?.runId,
    );
    const kept = (from ?? []).filter(({ seq }) => seq <= toSeq).slice(1);
    const copies = segment.slice(1, resetOf?.eventCount);
    if (essence(copies) !== essence(kept))
      violate(`${requestId} begins with other events than it was told to`);
    const [reset] = ownEvents(segment);
    if (reset?.type !== "WorkflowReset" || reset.as.runId !== runId)
      violate(`${requestId} goes on with ${JSON.stringify(reset)}`);
    if (from !== undefined && source === target) {
      const end = from.at(-1);
      const isLed = end?.type === "WorkflowTerminated" && end.resetTo === runId;
      if (end === undefined || !isEnd(end) || (end.type === "WorkflowTerminated" && !isLed))
        violate(`${requestId} leaves a run that ends with ${JSON.stringify(end)}`);
    }
  }
}

/** Whatever was reset: each word is heard once in its order, and each step is what its run says that was done. */
function judgeEnd(
  id: string,
  end: { readonly status: string; readonly result?: string },
  history: readonly Event[],
  violate: (what: string) => void,
): void {
  const last = segmentsOf(history).at(-1) ?? [];
  const done = last.flatMap((event) =>
    event.type === "ActivityCompleted" ? [JSON.parse(event.result) as string] : [],
  );
  const heard = Array.from({ length: wordCount }, (_, index) => String(index));
  const result = JSON.stringify({ heard, done });
  if (end.result !== result) violate(`${id} ended ${end.status} with ${end.result} instead of ${result}`);
  const steps = done.map((step) => step.replace(/^.*:(.*)#\d+$/u, "$1"));
  const wanted = Array.from({ length: stepCount }, (_, index) => `step-${index}`);
  if (steps.join() !== wanted.join()) violate(`${id} did ${steps.join()}`);
}

/** Seqs are those of the run that an event is in, and so are those that it names. */
function essence(events: readonly Event[]): string {
  return JSON.stringify(
    events.map((event) => {
      const { seq: _seq, workflowId: _workflowId, ...body } = event;
      if (body.type === "InputDelivered") return { ...body, of: 0 };
      // Whoever made the request made it of another workflow.
      return { ...body, requestId: undefined };
    }),
  );
}
