import { isDeepStrictEqual } from "node:util";
import type { EngineLink, WorkerAcceptor } from "../../protocol/transport.ts";
import { conformanceQueue } from "./scenarios.ts";
import type { Pattern, ScenarioStep, WorkerScenario } from "./scenarios.ts";

/** A worker of any make, as the kit handles it. */
export interface WorkerUnderTest {
  /**
   * Starts a worker that serves `conformanceActivities` and connects to this engine: in this process, or through whatever transport it
   * speaks, whose far end calls `acceptWorker`.
   */
  start(
    engine: WorkerAcceptor,
    settings: { readonly taskQueues: readonly string[]; readonly capacity: number },
  ): Promise<RunningWorker>;
}

export interface RunningWorker {
  /** Asks it to stop, with time to end what it has. */
  stop(): Promise<void>;
  /** Settles when it has stopped, by itself or because it was asked. */
  readonly stopped: Promise<unknown>;
}

/** Frames that a worker may send at any time. */
const unasked: ReadonlySet<unknown> = new Set(["alive", "heartbeat"]);
const withinMsDefault = 10_000;
const shownMax = 2_000;

/**
 * Plays one scenario with a worker. Throws an error that says at which step the worker went another way, and what it said.
 *
 * @example
 * import { runWorkerScenario, workerScenarios } from "aion/worker";
 * for (const scenario of workerScenarios) await runWorkerScenario(scenario, myWorker);
 */
export async function runWorkerScenario(
  scenario: WorkerScenario,
  underTest: WorkerUnderTest,
  options: { readonly withinMs?: number } = {},
): Promise<void> {
  const engine = new ScriptedEngine(options.withinMs ?? withinMsDefault);
  const worker = await underTest.start(engine, {
    taskQueues: [conformanceQueue],
    capacity: scenario.capacity,
  });
  worker.stopped.catch(() => undefined);
  try {
    for (const [index, step] of scenario.steps.entries()) {
      try {
        await engine.play(step, worker);
      } catch (error) {
        const what = `${scenario.name}: step ${index + 1} (${shown(step)})`;
        throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
      }
    }
  } finally {
    engine.dismiss();
    await worker.stop();
  }
}

interface Conversation {
  readonly link: EngineLink;
  readonly said: unknown[];
  isOver: boolean;
}

/** An engine that says what the scenario tells it to, and keeps what it hears. */
class ScriptedEngine implements WorkerAcceptor {
  readonly #withinMs: number;
  /** Connections that the scenario has not come to. */
  readonly #waiting: Conversation[] = [];
  #current: Conversation | undefined;
  #isDismissed = false;
  #onNews: () => void = () => undefined;

  constructor(withinMs: number) {
    this.#withinMs = withinMs;
  }

  acceptWorker(link: EngineLink): ReturnType<WorkerAcceptor["acceptWorker"]> {
    const conversation: Conversation = { link, said: [], isOver: this.#isDismissed };
    if (this.#isDismissed) {
      link.send({ type: "refused", message: "the scenario is over", isFinal: true });
      link.close();
    } else {
      this.#waiting.push(conversation);
      this.#onNews();
    }
    return {
      receive: (frame) => {
        if (conversation.isOver) return;
        conversation.said.push(frame);
        this.#onNews();
      },
      closed: () => {
        conversation.isOver = true;
        this.#onNews();
      },
    };
  }

  /** The worker that is stopped now needs nobody to talk to. */
  dismiss(): void {
    this.#isDismissed = true;
    for (const conversation of [this.#current, ...this.#waiting]) conversation?.link.close();
  }

  async play(step: ScenarioStep, worker: RunningWorker): Promise<void> {
    switch (step.step) {
      case "connects":
        this.#current = await this.#await("no connection came", () => this.#waiting.shift());
        return;
      case "says":
        await this.#hear([step.frame]);
        return;
      case "says-all":
        await this.#hear(step.frames);
        return;
      case "is-silent":
        await pause(step.forMs);
        for (const frame of this.#current?.said ?? []) {
          if (!unasked.has(typeOf(frame))) throw new Error(`it said ${shown(frame)}`);
        }
        return;
      case "tell":
        this.#current?.link.send(step.frame);
        if (step.frame.type === "refused" || step.frame.type === "closing") this.#cut();
        return;
      case "cut":
        this.#cut();
        return;
      case "stop":
        worker.stop().catch(() => undefined);
        return;
      case "stopped": {
        let isStopped = false;
        const tell = (): void => {
          isStopped = true;
          this.#onNews();
        };
        worker.stopped.then(tell, tell);
        await this.#await("it goes on", () => (isStopped ? true : undefined));
        return;
      }
    }
  }

  #cut(): void {
    const conversation = this.#current;
    if (conversation === undefined) return;
    conversation.isOver = true;
    conversation.link.close();
  }

  /** Hears frames that look like these, in any order, and nothing else in between. */
  async #hear(patterns: readonly Pattern[]): Promise<void> {
    const left = [...patterns];
    while (left.length > 0) {
      const frame = await this.#await("it said nothing", () => {
        const said = this.#current?.said ?? [];
        for (let next = said.shift(); next !== undefined; next = said.shift()) {
          const isWanted = left.some((pattern) => typeOf(pattern) === typeOf(next));
          if (isWanted || !unasked.has(typeOf(next))) return next;
        }
        return undefined;
      });
      const index = left.findIndex((pattern) => isLike(frame, pattern));
      if (index < 0) throw new Error(`it said ${shown(frame)}`);
      left.splice(index, 1);
    }
  }

  /** Asks at each news, until there is an answer or the time of a step is over. */
  #await<Found extends {} | null>(what: string, find: () => Found | undefined): Promise<Found> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#onNews = () => undefined;
        reject(new Error(`${what} for ${this.#withinMs} ms`));
      }, this.#withinMs);
      const look = (): void => {
        const found = find();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#onNews = () => undefined;
        resolve(found);
      };
      this.#onNews = look;
      look();
    });
  }
}

/** As far as anybody would read it. */
function shown(said: unknown): string {
  const text = JSON.stringify(said);
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text;
}

function typeOf(frame: unknown): unknown {
  return isObject(frame) ? frame["type"] : undefined;
}

/** Whether a value looks as the pattern says. */
export function isLike(value: unknown, pattern: Pattern): boolean {
  if (Array.isArray(pattern)) {
    return (
      Array.isArray(value) &&
      value.length === pattern.length &&
      value.every((each, index) => isLike(each, pattern[index] as Pattern))
    );
  }
  if (!isObject(pattern)) return value === pattern;
  if ("json" in pattern)
    return typeof value === "string" && isDeepStrictEqual(decode(value), pattern["json"]);
  if ("text" in pattern && pattern["text"] === true) return typeof value === "string" && value.length > 0;
  if ("oneOf" in pattern) return (pattern["oneOf"] as readonly Pattern[]).some((each) => isLike(value, each));
  return isObject(value) && Object.entries(pattern).every(([field, each]) => isLike(value[field], each));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
