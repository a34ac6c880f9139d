import { VirtualTime } from "../src/testing/virtual-time.ts";
import type { Dice } from "./dice.ts";
import type { Trace } from "./trace.ts";

/** Whoever does things in a world: an engine's process, a client, the store. */
export interface Actor {
  readonly name: string;
  /** Frozen: what it has to do waits. */
  isHalted: boolean;
  /** What it had to do is never done. */
  isGone: boolean;
}

interface Task {
  readonly what: string;
  readonly run: () => void;
}

/** Things that are done in the order in which they came. */
export class Lane {
  readonly actor: Actor;
  readonly tasks: Task[] = [];

  constructor(actor: Actor) {
    this.actor = actor;
  }
}

/**
 * What may happen next, and when. Owner: one world.
 *
 * Laws: one thing happens at a time, and everything it leads to without waiting happens before the next. Which of the things
 * that are ready comes next, the dice say. Time passes when nothing is ready, or when it is made to.
 */
export class Schedule {
  readonly time: VirtualTime;
  readonly #dice: Dice;
  readonly #trace: Trace;
  #lanes: Lane[] = [];
  #stepCount = 0;
  /** Calls of the inner store that have not come back: a step lasts until they have. */
  callsUnderWay = 0;

  constructor(of: { readonly dice: Dice; readonly trace: Trace; readonly startAtMs: number }) {
    this.#dice = of.dice;
    this.#trace = of.trace;
    this.time = new VirtualTime(of.startAtMs);
  }

  get stepCount(): number {
    return this.#stepCount;
  }

  add(lane: Lane, what: string, run: () => void): void {
    if (lane.actor.isGone) return;
    lane.tasks.push({ what, run });
    if (lane.tasks.length === 1) this.#lanes.push(lane);
  }

  /** Puts it into the lane after so much time. Returns how to call it off before that. */
  after(delayMs: number, lane: Lane, what: string, run: () => void): () => void {
    let isCancelled = false;
    const cancel = this.time.delay(delayMs, () =>
      this.add(lane, what, () => {
        if (!isCancelled) run();
      }),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  /** Does the next thing. False: nothing is left that could ever happen. */
  async step(): Promise<boolean> {
    this.#fireDue();
    let ready = this.#ready();
    while (ready.length === 0) {
      if (this.time.nextAt === undefined) return false;
      this.time.fireNext();
      this.#fireDue();
      ready = this.#ready();
    }
    const lane = this.#dice.pick(ready);
    const task = lane.tasks.shift();
    if (task === undefined) throw new Error("a lane without tasks was ready");
    if (lane.tasks.length === 0) this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    this.#stepCount += 1;
    this.#trace.add(`${this.#stepCount} @${this.time.elapsedMs} ${lane.actor.name}: ${task.what}`);
    task.run();
    await this.settle();
    return true;
  }

  /** Until what has begun can go no further without something else that happens. */
  async settle(): Promise<void> {
    do await nextTurn();
    while (this.callsUnderWay > 0);
  }

  #fireDue(): void {
    while ((this.time.nextAt ?? Number.POSITIVE_INFINITY) <= this.time.elapsedMs) this.time.fireNext();
  }

  #ready(): readonly Lane[] {
    const ready: Lane[] = [];
    let hasGone = false;
    for (const lane of this.#lanes) {
      if (lane.actor.isGone) hasGone = true;
      else if (!lane.actor.isHalted) ready.push(lane);
    }
    if (hasGone) this.#lanes = this.#lanes.filter((lane) => !lane.actor.isGone);
    return ready;
  }
}

/** After every microtask, and after unhandled rejections were told. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
