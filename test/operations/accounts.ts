/** Updates: each is accepted once, on disk before anybody hears of it, and has one outcome, whoever asks, however often. */
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "../../src/client/json-form.ts";
import type { UpdateReply } from "../../src/client/service.ts";
import { isAionError } from "../../src/core/errors.ts";
import type { Event } from "../../src/core/event.ts";
import type { Entry, Place } from "./desk.ts";
import { isEnd, segmentsOf } from "./laws.ts";
import type { Cast, Part, Read } from "./part.ts";
import { endOf } from "./part.ts";

interface Told {
  readonly entry: string;
  /** `accepted`, an outcome, or `refused` with a code. */
  readonly answer: string;
}

const updateWaitMs = 1_500;
/** One that answers so has not been accepted. */
const refusals: ReadonlySet<string> = new Set(["update_rejected", "run_closed", "update_not_found"]);

export class Account implements Part {
  readonly #cast: Cast;
  readonly name: string;
  readonly #told: Told[] = [];
  #end: { status: string; result?: string } | undefined;
  #conflictCount = 0;

  constructor(cast: Cast, name: string) {
    this.#cast = cast;
    this.name = name;
  }

  readonly ids = (): readonly string[] => [this.name];

  get toldCount(): number {
    return this.#told.length + this.#conflictCount;
  }

  async drive(): Promise<void> {
    const { stage, draws, lastsMs } = this.#cast;
    const id = this.name;
    const input = textOf({ id, book: [] });
    await stage.ask((desk) => desk.start({ workflowType: "account", workflowId: id, requestId: id, input }));
    const hows = ["plain", "plain", "work", "work", "wait", "fail", "invalid"] as const;
    const entries = Array.from({ length: Math.ceil(lastsMs / 350) }, (_, index): Entry => ({
      entry: `${id}-${index}`,
      how: draws.of(hows),
    }));
    const began = Date.now();
    const at = async (share: number): Promise<void> => {
      await delay(Math.max(0, began + share * lastsMs - Date.now()));
    };
    const callers = entries.flatMap((entry) => {
      const share = draws.number();
      return Array.from({ length: draws.between(1, 3) }, async () => {
        await at(share);
        await delay(draws.between(0, 40));
        await this.#deposit(entry);
      });
    });
    const turns = [0.3, 0.6].map(async (share) => {
      await at(share);
      await this.#turn("roll", share);
    });
    const pause = (async () => {
      await at(draws.number() * 0.8);
      await stage.ask((desk) => desk.pause({ workflowId: id, requestId: "hold" }));
      await delay(draws.between(50, 400));
      await stage.ask((desk) => desk.resume({ workflowId: id, requestId: "go on" }));
    })();
    await Promise.all([...callers, ...turns, pause]);
    // Some that the end finds amid their work.
    const late = entries.slice(0, 2).map(({ entry }): Entry => ({ entry: `${entry}-late`, how: "wait" }));
    const last = Promise.all(late.map((entry) => this.#deposit(entry)));
    await this.#turn(draws.of(["over", "leave"]), 1);
    await last;
    this.#end = await endOf(stage, id);
    // Whoever asks when all is over is told the same.
    await Promise.all([...entries, ...late].map((entry) => this.#deposit(entry)));
  }

  #turn(what: string, share: number): Promise<void> {
    const request = { workflowId: this.name, name: "turn", payload: textOf(what) };
    return this.#cast.stage.ask((desk) => desk.signal({ ...request, signalId: `${what} ${share}` }));
  }

  async #deposit(entry: Entry): Promise<void> {
    const { stage, draws } = this.#cast;
    const request = {
      workflowId: this.name,
      name: "deposit",
      updateId: entry.entry,
      input: textOf(entry),
    };
    const tell = (answer: string): void => {
      this.#told.push({ entry: entry.entry, answer });
      // Whatever was said must be true though nothing else is done.
      if (draws.chance(entry.how === "work" ? 0.4 : 0.12)) stage.killNow();
    };
    const waitFor = draws.of(["accepted", "completed"] as const);
    try {
      for (let isFirst = true; ; isFirst = false) {
        const reply: UpdateReply = await stage.ask((desk) =>
          desk.update({ ...request, waitMs: updateWaitMs, waitFor }),
        );
        if (reply.status === "waiting") continue;
        if (reply.status === "accepted" && isFirst && draws.chance(0.2)) await this.#contradict(entry);
        if (reply.status !== "accepted") {
          tell(outcomeOf(reply));
          return;
        }
        tell("accepted");
        for (;;) {
          const { workflowId, updateId } = request;
          const later = await stage.ask((desk) =>
            desk.updateResult({ workflowId, updateId, waitMs: updateWaitMs }),
          );
          if (later.status === "accepted" || later.status === "waiting") continue;
          tell(outcomeOf(later));
          return;
        }
      }
    } catch (error) {
      if (!isAionError(error)) throw error;
      tell(`refused ${error.code}`);
    }
  }

  /** Another update under the same id is refused, as long as there is anybody who refuses. */
  async #contradict({ entry }: Entry): Promise<void> {
    const input = textOf({ entry: "another", how: "plain" });
    const told = await this.#cast.stage.told((desk) =>
      desk.update({ workflowId: this.name, name: "deposit", updateId: entry, input, waitMs: 0 }),
    );
    this.#conflictCount += 1;
    if (told !== "update_conflict") this.#told.push({ entry, answer: `another under its id: ${told}` });
  }

  judge({ histories }: Read): readonly string[] {
    const history = histories.get(this.name) ?? [];
    const found: string[] = [];
    const violate = (what: string): void => void found.push(`${this.name}: ${what}`);
    const outcomes = outcomesIn(history, violate);
    for (const { entry, answer } of this.#told) {
      const is = outcomes.get(entry);
      if (answer === "accepted") {
        if (is === undefined) violate(`${entry} was told to be accepted, and no history has it`);
      } else if (answer.startsWith("refused ")) {
        if (is !== undefined || !refusals.has(answer.slice("refused ".length)))
          violate(`${entry} was ${answer}, and in the history it is ${is}`);
      } else if (answer !== is) violate(`${entry} was told ${answer}, and in the history it is ${is}`);
    }
    // Each that was accepted was dealt with once, in that order, over all runs.
    const accepted = history.flatMap((event) => (event.type === "UpdateAccepted" ? [event.updateId] : []));
    if (this.#end?.result !== JSON.stringify(accepted))
      violate(`it ended with ${this.#end?.result}, and has accepted ${accepted.join()}`);
    return found;
  }
}

function outcomeOf(reply: UpdateReply): string {
  if (reply.status === "completed") return `completed ${canonical(reply.result)}`;
  if (reply.status === "failed") return `failed ${reply.failure.type ?? reply.failure.kind}`;
  return reply.status;
}

function canonical(payload: string): string {
  const { entry, place, by = "nobody" } = JSON.parse(payload) as Place;
  return `${entry} at ${place} by ${by}`;
}

/** What became of each update that was accepted. */
function outcomesIn(
  history: readonly Event[],
  violate: (what: string) => void,
): ReadonlyMap<string, string | undefined> {
  const outcomes = new Map<string, string | undefined>();
  for (const segment of segmentsOf(history)) {
    const open = new Set<string>();
    for (const event of segment) {
      if (event.type === "UpdateAccepted") {
        if (outcomes.has(event.updateId)) violate(`${event.updateId} is accepted twice`);
        outcomes.set(event.updateId, undefined);
        open.add(event.updateId);
      }
      if (event.type === "UpdateCompleted") {
        const { updateId, result, failure } = event;
        if (!open.delete(updateId)) violate(`${updateId} has an outcome, and is not open`);
        outcomes.set(
          updateId,
          result === undefined
            ? `failed ${failure?.type ?? failure?.kind}`
            : `completed ${canonical(result)}`,
        );
      }
      if (isEnd(event)) for (const updateId of open) outcomes.set(updateId, "failed update_unfinished");
    }
  }
  return outcomes;
}
