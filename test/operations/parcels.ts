/** Search attributes: a run is found by what its history says, from the commit on that says so. */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import { nullPayload } from "../../src/core/payload.ts";
import type { Attributes } from "../../src/core/attributes.ts";
import { attributesIn } from "../torture/attributes-in.ts";
import type { Cast, Part, Read } from "./part.ts";
import { endOf } from "./part.ts";

const markCount = 8;
const updateWaitMs = 1_500;

export class Parcel implements Part {
  readonly #cast: Cast;
  readonly name: string;
  readonly #found: string[] = [];
  #end: { status: string; result?: string } | undefined;
  #shown: Attributes | undefined;
  toldCount = 0;

  constructor(cast: Cast, name: string) {
    this.#cast = cast;
    this.name = name;
  }

  readonly ids = (): readonly string[] => [this.name];

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const workflowId = this.name;
    const attributes = { owner: workflowId, since: { at: 0 } };
    await stage.ask((desk) =>
      desk.start({
        workflowType: "parcel",
        workflowId,
        requestId: workflowId,
        input: nullPayload,
        attributes,
      }),
    );
    await this.#look([`owner=${workflowId}`], true);
    for (let number = 0; number < markCount; number++) {
      await delay(draws.between(0, (lastsMs * 1.2) / markCount));
      await this.#mark(number);
      if (draws.chance(0.3)) stage.killNow();
      const own = `owner=${workflowId}`;
      await Promise.all([
        this.#look([own, `mark=${number}`], true),
        this.#look([own, `mark>=${number}`, `seen=mark-${number}`], true),
        this.#look([own, `mark=${number - 1}`], false),
        this.#look([own, `seen=mark-${number - 1}`], false),
        this.#look([own, "isEven exists"], number % 2 === 0),
      ]);
    }
    const request = { workflowId, name: "close", payload: nullPayload, signalId: "close" };
    await stage.ask((desk) => desk.signal(request));
    this.#end = await endOf(stage, workflowId);
    this.#shown = (await stage.ask((desk) => desk.describe({ workflowId }))).attributes;
    // It has ended, and is found all the same.
    await this.#look([`owner=${workflowId}`, `mark=${markCount - 1}`], true);
  }

  async #mark(number: number): Promise<void> {
    const { stage } = this.#cast;
    const update = {
      workflowId: this.name,
      name: "mark",
      updateId: `mark ${number}`,
      input: textOf(number),
      waitMs: updateWaitMs,
    };
    for (;;) {
      const { status } = await stage.ask((desk) => desk.update(update));
      if (status === "completed") return;
      if (status === "failed") throw new Error(`${update.updateId} of ${this.name} failed`);
    }
  }

  /** Nobody else marks it: until the next mark it is found by this one, and by no other. */
  async #look(where: readonly string[], isFound: boolean): Promise<void> {
    const { stage } = this.#cast;
    const [{ runs }, count] = await Promise.all([
      stage.ask((desk) => desk.list({ filter: { where }, limit: 10 })),
      stage.ask((desk) => desk.count({ where })),
    ]);
    this.toldCount += 2;
    const ids = runs.map(({ workflowId }) => workflowId).join();
    if (ids !== (isFound ? this.name : "") || count !== (isFound ? 1 : 0))
      this.#found.push(`${this.name}: by ${where.join(" and ")} there is ${ids}, and ${count} are counted`);
  }

  judge({ histories }: Read): readonly string[] {
    const recorded = JSON.stringify(attributesIn(histories.get(this.name) ?? []));
    const found = [...this.#found];
    if (JSON.stringify(this.#shown) !== recorded)
      found.push(
        `${this.name}: it is found by ${JSON.stringify(this.#shown)}, and its history says ${recorded}`,
      );
    const told = this.#end?.result === undefined ? undefined : sorted(JSON.parse(this.#end.result) as object);
    // To the code an instant is a `Date`, and in its result the text of one.
    const coded = recorded.replace('{"at":0}', JSON.stringify(new Date(0)));
    if (told !== coded) found.push(`${this.name}: its code knew ${told}, and its history says ${coded}`);
    return found;
  }
}

function sorted(values: object): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(values).toSorted(([left], [right]) => (left < right ? -1 : 1))),
  );
}
