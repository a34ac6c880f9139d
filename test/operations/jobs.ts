/** Reopening: a run that came to a bad end goes on, once for each that asks, and what succeeded is not done again. */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import { nullPayload } from "../../src/core/payload.ts";
import type { JobWay } from "./desk.ts";
import { fix } from "./effects.ts";
import { countRequests } from "./laws.ts";
import type { Cast, Part, Read } from "./part.ts";
import { endOf } from "./part.ts";

interface Reopening {
  readonly requestId: string;
  readonly answers: readonly string[];
}

const badEnds: Readonly<Record<JobWay, string>> = {
  fail: "failed",
  "fail-twice": "failed",
  cancel: "cancelled",
  "time-out": "timed-out",
};
/** Longer than all of its work takes on a loaded machine. */
const runTimeoutMs = 2_000;
const reopeningsMax = 40;

export class Job implements Part {
  readonly #cast: Cast;
  readonly name: string;
  readonly #way: JobWay;
  readonly #reopenings: Reopening[] = [];
  readonly #found: string[] = [];
  #end: { status: string; result?: string } | undefined;

  constructor(cast: Cast, name: string, way: JobWay) {
    this.#cast = cast;
    this.name = name;
    this.#way = way;
  }

  readonly ids = (): readonly string[] => [this.name];

  get toldCount(): number {
    return this.#reopenings.reduce((sum, { answers }) => sum + answers.length, 1);
  }

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const workflowId = this.name;
    const way = this.#way;
    await delay(draws.between(0, lastsMs * 0.7));
    const input = textOf({ id: workflowId, way });
    const timeout = way === "time-out" ? { runTimeoutMs } : {};
    await stage.ask((desk) =>
      desk.start({ workflowType: "job", workflowId, requestId: workflowId, input, ...timeout }),
    );
    if (way === "cancel") {
      await delay(draws.between(0, 200));
      await stage.ask((desk) => desk.cancel({ workflowId, requestId: "stop" }));
    }
    for (let number = 0; ; number++) {
      this.#end = await endOf(stage, workflowId);
      const { status } = this.#end;
      if (status === "completed") return;
      if (status !== badEnds[way] || number >= reopeningsMax) {
        this.#found.push(`${workflowId}: it ended ${status} after ${number} reopenings`);
        return;
      }
      if (draws.chance(0.3)) stage.killNow();
      // The first time a failure may come again, since nothing is right yet.
      if (way === "fail" && (number > 0 || draws.chance(0.6))) fix(stage.directory, `${workflowId}/right`);
      if (way === "fail-twice") fix(stage.directory, `${workflowId}/${number === 0 ? "right" : "last"}`);
      const requestId = `reopen ${number}`;
      const askers = Array.from({ length: draws.between(1, 2) }, async () => {
        const answer = await stage.told((desk) => desk.reopen({ workflowId, requestId }));
        // Before anybody could bring it back.
        if (draws.chance(0.4)) stage.killNow();
        return answer;
      });
      this.#reopenings.push({ requestId, answers: await Promise.all(askers) });
      if (way === "cancel" || way === "time-out") {
        const signal = { workflowId, name: "go", payload: nullPayload, signalId: "go" };
        await stage.told((desk) => desk.signal(signal));
      }
    }
  }

  judge({ histories, effects }: Read): readonly string[] {
    const history = histories.get(this.name) ?? [];
    const found = [...this.#found];
    const violate = (what: string): void => void found.push(`${this.name}: ${what}`);
    for (const { requestId, answers } of this.#reopenings) {
      if (answers.some((answer) => answer !== "ok"))
        violate(`${requestId} was answered with ${answers.join()}`);
      const count = countRequests(history, "WorkflowReopened", requestId);
      if (count !== 1) violate(`${requestId} was acknowledged, and is ${count} times in its history`);
    }
    if (this.#reopenings.length === 0) violate("it was never reopened");
    const names = ["first", "left", "right", "last"];
    const result = JSON.stringify(names.map((name) => `${this.name}:${name}`));
    if (this.#end?.result?.replaceAll(/#\d+/g, "") !== result) violate(`it ended with ${this.#end?.result}`);
    for (const name of names) {
      const done = effects.filter((effect) => effect.id === this.name && effect.name === name);
      if (!done.some(({ kind }) => kind === "done")) violate(`${name} was never done`);
      // Whatever its run came to, it is the same piece of work.
      if (new Set(done.map(({ key }) => key)).size > 1) violate(`${name} was done under several keys`);
    }
    return found;
  }
}
