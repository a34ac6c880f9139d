/**
 * Parked activities: none is tried while it waits for an operator, and each decision about one is made once, or refused. One that was
 * refused leaves nothing behind: said again when the activity is parked anew, it may be made.
 */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import { fix } from "./effects.ts";
import { segmentsOf } from "./laws.ts";
import type { Cast, Part, Read } from "./part.ts";
import { endOf } from "./part.ts";

type Outcome = "retry" | "complete" | "fail";

interface Decision {
  readonly requestId: string;
  readonly ordinal: number;
  readonly outcome: Outcome;
  /** What the other operator asked at the same time has as its request id. */
  readonly rivals: readonly string[];
  /** Ordinals, or codes. */
  readonly answers: readonly string[];
}

const askCount = 4;

export class Kiosk implements Part {
  readonly #cast: Cast;
  readonly name: string;
  readonly #decisions: Decision[] = [];
  #end: { status: string; result?: string } | undefined;

  constructor(cast: Cast, name: string) {
    this.#cast = cast;
    this.name = name;
  }

  readonly ids = (): readonly string[] => [this.name];

  get toldCount(): number {
    return this.#decisions.reduce((sum, { answers }) => sum + answers.length, 1);
  }

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const workflowId = this.name;
    await delay(draws.between(0, lastsMs * 0.6));
    const input = textOf({ id: workflowId, count: askCount });
    await stage.ask((desk) =>
      desk.start({ workflowType: "kiosk", workflowId, requestId: workflowId, input }),
    );
    for (;;) {
      const { parked, status } = await stage.ask((desk) => desk.describe({ workflowId }));
      if (status !== "running") break;
      await Promise.all((parked?.activities ?? []).map(({ ordinal }) => this.#decide(ordinal)));
      await delay(draws.between(5, 60));
    }
    this.#end = await endOf(stage, workflowId);
  }

  /** One operator, or two at once who think differently; each says it twice. */
  async #decide(ordinal: number): Promise<void> {
    const { draws, stage } = this.#cast;
    if (draws.chance(0.5)) fix(stage.directory, `${this.name}/ask-${ordinal}`);
    const wishes = Array.from({ length: draws.between(1, 2) }, (_, index) => ({
      outcome: draws.of(["retry", "retry", "complete", "fail"] as const),
      requestId: `decision ${this.#decisions.length}.${index} ${draws.between(0, 1_000_000)}`,
    }));
    const operators = wishes.map(async ({ outcome, requestId }) => {
      const rivals = wishes.map((wish) => wish.requestId).filter((id) => id !== requestId);
      const said = [0, 1].map(() => this.#say(ordinal, outcome, requestId));
      this.#decisions.push({ requestId, ordinal, outcome, rivals, answers: await Promise.all(said) });
    });
    await Promise.all(operators);
  }

  async #say(ordinal: number, outcome: Outcome, requestId: string): Promise<string> {
    const { stage, draws } = this.#cast;
    const request = {
      workflowId: this.name,
      ordinal,
      outcome,
      requestId,
      ...(outcome === "complete" ? { result: textOf(`given by ${requestId}`) } : {}),
      ...(outcome === "fail" ? { failure: { message: `refused by ${requestId}` } } : {}),
    };
    try {
      const { ordinals } = await stage.ask((desk) => desk.resumeActivity(request));
      if (draws.chance(0.25)) stage.killNow();
      return ordinals.join();
    } catch (error) {
      if (isAionError(error)) return error.code;
      throw error;
    }
  }

  judge({ histories }: Read): readonly string[] {
    const found: string[] = [];
    const violate = (what: string): void => void found.push(`${this.name}: ${what}`);
    const history = segmentsOf(histories.get(this.name) ?? []).flat();
    if (!history.some(({ type }) => type === "ActivityParked")) violate("nothing was ever parked");
    const told = new Set(this.#decisions.map(({ requestId }) => requestId));
    for (const { requestId, ordinal, outcome, rivals, answers } of this.#decisions) {
      const made = history.filter((event) => requestOf(event) === requestId);
      const isMade = made.length === 1 && made.every((event) => isDecision(event, ordinal, outcome));
      const wanted = isMade ? String(ordinal) : "activity_not_parked";
      // The other operator had it tried again, and it was parked anew before this was said the second time.
      const wasTriedBefore = history
        .slice(
          0,
          history.findIndex((event) => requestOf(event) === requestId),
        )
        .some((event) => event.type === "ActivityResumed" && rivals.includes(event.requestId ?? ""));
      const isTold = answers.every(
        (answer) =>
          answer === wanted ||
          // One that came to its end meanwhile has nothing parked.
          (made.length === 0 && answer === "run_closed") ||
          (isMade && wasTriedBefore && answer === "activity_not_parked"),
      );
      if (made.length > 1 || (made.length === 1 && !isMade) || !isTold)
        violate(
          `${requestId} (${outcome} ${ordinal}) was answered with ${answers.join()}, and made ${JSON.stringify(made)}`,
        );
    }
    for (const event of history) {
      const requestId = requestOf(event);
      if (requestId !== undefined && !told.has(requestId))
        violate(`nobody asked for ${JSON.stringify(event)}`);
    }
    const results = Array.from({ length: askCount }, (_, ordinal) => outcomeIn(history, ordinal));
    if (this.#end?.result !== JSON.stringify(results))
      violate(`it ended with ${this.#end?.result} instead of ${JSON.stringify(results)}`);
    return found;
  }
}

function requestOf(event: Event): string | undefined {
  switch (event.type) {
    case "ActivityResumed":
    case "ActivityCompleted":
    case "ActivityFailed":
      return event.requestId;
    default:
      return undefined;
  }
}

function isDecision(event: Event, ordinal: number, outcome: Outcome): boolean {
  switch (outcome) {
    case "retry":
      return event.type === "ActivityResumed" && event.ordinals.join() === String(ordinal);
    case "complete":
      return event.type === "ActivityCompleted" && event.byOperator === true && event.ordinal === ordinal;
    case "fail":
      return event.type === "ActivityFailed" && event.byOperator === true && event.ordinal === ordinal;
  }
}

/** What the code is told of it. */
function outcomeIn(history: readonly Event[], ordinal: number): string | undefined {
  for (const event of history) {
    if (event.type === "ActivityCompleted" && event.ordinal === ordinal)
      return JSON.parse(event.result) as string;
    if (event.type === "ActivityFailed" && event.ordinal === ordinal && event.byOperator === true)
      return `failed: ${event.failure.message}`;
  }
  return undefined;
}
