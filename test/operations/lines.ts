/** Pause and resume: no attempt begins and no code moves in between, and nothing that comes meanwhile is lost. */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import { nullPayload } from "../../src/core/payload.ts";
import { steadyNow } from "./effects.ts";
import { countRequests } from "./laws.ts";
import type { Cast, Part, Read } from "./part.ts";
import { endOf } from "./part.ts";

interface Pause {
  readonly requestId: string;
  /** From the answer to the pause to the call that ends it. */
  readonly fromSteady: number;
  toSteady: number;
}

const stepCount = 12;
const wordCount = 8;

export class Line implements Part {
  readonly #cast: Cast;
  readonly name: string;
  readonly #pauses: Pause[] = [];
  readonly #found: string[] = [];
  #end: { status: string; result?: string } | undefined;
  #way: "complete" | "cancel" | "terminate" = "complete";
  toldCount = 0;

  constructor(cast: Cast, name: string) {
    this.#cast = cast;
    this.name = name;
  }

  readonly ids = (): readonly string[] => [this.name];

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const workflowId = this.name;
    this.#way = draws.of(["complete", "complete", "cancel", "terminate"]);
    const input = textOf({ id: workflowId, stepCount, wordCount });
    await delay(draws.between(0, lastsMs / 2));
    await stage.ask((desk) => desk.start({ workflowType: "line", workflowId, requestId: workflowId, input }));
    const pauseCount = 3;
    let said = 0;
    const speak = async (): Promise<void> => {
      const signalId = `word ${said}`;
      const request = { workflowId, name: "word", payload: textOf(String(said)), signalId };
      said += 1;
      await stage.ask((desk) => desk.signal(request));
      this.toldCount += 1;
    };
    for (let number = 0; number < pauseCount; number++) {
      await delay(draws.between(0, 120));
      const requestId = `pause ${number}`;
      // Two say the same.
      const both = [0, 1].map(() => stage.ask((desk) => desk.pause({ workflowId, requestId })));
      await Promise.all(both);
      const pause: Pause = { requestId, fromSteady: steadyNow(), toSteady: Number.POSITIVE_INFINITY };
      this.#pauses.push(pause);
      if (draws.chance(0.15)) stage.killNow();
      const before = await this.#look();
      await Promise.all([speak(), delay(draws.between(20, 500))]);
      await speak();
      if ((await this.#look()) !== before) this.#found.push(`${workflowId}: its code moved in ${requestId}`);
      const { status } = await stage.ask((desk) => desk.describe({ workflowId }));
      if (status !== "paused") this.#found.push(`${workflowId}: it is ${status} in ${requestId}`);
      this.toldCount += 4;
      pause.toSteady = steadyNow();
      if (this.#way !== "complete" && number === pauseCount - 1) {
        const end = { workflowId, requestId: "the end" };
        const way = this.#way;
        await stage.ask((desk) => (way === "cancel" ? desk.cancel(end) : desk.terminate(end)));
      } else await stage.ask((desk) => desk.resume({ workflowId, requestId: `resume ${number}` }));
      this.toldCount += 1;
    }
    const left = this.#way === "complete" ? wordCount - said : 0;
    for (let count = 0; count < left; count++) await speak();
    this.#end = await endOf(stage, workflowId);
  }

  #look(): Promise<string> {
    const request = { workflowId: this.name, name: "where", input: nullPayload };
    return this.#cast.stage.ask((desk) => desk.query(request));
  }

  judge({ histories, effects }: Read): readonly string[] {
    const history = histories.get(this.name) ?? [];
    const found = [...this.#found];
    const violate = (what: string): void => void found.push(`${this.name}: ${what}`);
    const own = effects.filter(({ id, kind }) => id === this.name && kind === "began");
    for (const { requestId, fromSteady, toSteady } of this.#pauses) {
      const paused = history.find(
        (event) => event.type === "WorkflowPaused" && event.requestId === requestId,
      );
      if (paused === undefined) {
        violate(`${requestId} was acknowledged, and is not in its history`);
        continue;
      }
      // What had been recorded before may come to its worker later.
      for (const { key, attempt, name, steadyAt } of own) {
        if (steadyAt < fromSteady || steadyAt > toSteady) continue;
        const ordinal = Number(key.slice(key.lastIndexOf(":") + 1));
        const started = history.find(
          (event) =>
            event.type === "ActivityStarted" && event.ordinal === ordinal && event.attempt === attempt,
        );
        if (started === undefined || started.seq > paused.seq)
          violate(`attempt ${attempt} of ${name} began in ${requestId}`);
      }
    }
    for (let number = 0; number < this.#pauses.length; number++) {
      const isLast = number === this.#pauses.length - 1 && this.#way !== "complete";
      if (!isLast && countRequests(history, "WorkflowResumed", `resume ${number}`) !== 1)
        violate(`resume ${number} was acknowledged, and is not once in its history`);
    }
    const words = history.flatMap((event) =>
      event.type === "SignalReceived" ? [JSON.parse(event.payload) as string] : [],
    );
    const isComplete = this.#way === "complete";
    const sent = Array.from(
      { length: isComplete ? wordCount : this.#pauses.length * 2 },
      (_, index) => index,
    );
    if (words.join() !== sent.join()) violate(`it received ${words.join()} of ${sent.join()}`);
    const status = { complete: "completed", cancel: "cancelled", terminate: "terminated" }[this.#way];
    if (this.#end?.status !== status) violate(`it ended ${this.#end?.status} instead of ${status}`);
    const result = JSON.stringify({ at: stepCount, heard: words });
    if (isComplete && this.#end?.result !== result) violate(`it ended with ${this.#end?.result}`);
    const hasCleaned = effects.some(
      ({ id, kind, name }) => id === this.name && kind === "done" && name === "cleanup",
    );
    if (hasCleaned !== (this.#way !== "terminate")) violate(`cleaned up: ${hasCleaned}`);
    return found;
  }
}
