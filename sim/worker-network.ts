import { AionError } from "../src/core/errors.ts";
import type { EngineFrame, WorkerFrame } from "../src/protocol/frames.ts";
import type { EngineReceiver, WorkerLink, WorkerTransport } from "../src/protocol/transport.ts";
import type { Dice } from "./dice.ts";
import type { EngineLife } from "./engine-life.ts";
import type { FaultKind } from "./plan.ts";
import type { Actor, Schedule } from "./schedule.ts";
import { Lane } from "./schedule.ts";
import type { Statistics } from "./statistics.ts";
import type { WorkerLife } from "./worker-life.ts";
import type { WorkerOracle } from "./worker-oracle.ts";

type Side = "engine" | "worker";
type User = Parameters<WorkerTransport["connect"]>[0];

/** One direction of a connection: what was put in arrives in that order, or not at all. */
class Pipe {
  /** Nothing arrives any more, and nobody knows. */
  isSilent = false;
  readonly #schedule: Schedule;
  readonly #lane: Lane;
  readonly #underWay: { readonly what: string; readonly run: () => void; isLost: boolean }[] = [];

  constructor(schedule: Schedule, to: Actor) {
    this.#schedule = schedule;
    this.#lane = new Lane(to);
  }

  put(what: string, delayMs: number, run: () => void): void {
    this.#underWay.push({ what, run, isLost: false });
    this.#schedule.after(delayMs, this.#lane, what, () => {
      const first = this.#underWay.shift();
      if (first !== undefined && !first.isLost && !this.isSilent) first.run();
    });
  }

  loseAll(): void {
    for (const each of this.#underWay) each.isLost = true;
  }
}

/** A connection between one worker and one engine. */
export class Wire {
  readonly worker: WorkerLife;
  readonly life: EngineLife;
  readonly user: User;
  readonly toEngine: Pipe;
  readonly toWorker: Pipe;
  receiver: EngineReceiver | undefined;
  /** Each side's end: closed by it, or it was told. */
  readonly isOver: Record<Side, boolean> = { engine: false, worker: false };
  isBroken = false;
  /** Since when the worker knows that it is registered, by the time that only passes. */
  registeredAtMs = Number.POSITIVE_INFINITY;
  /** Since when the engine knows that the worker takes no more. */
  drainedAtMs = Number.POSITIVE_INFINITY;
  /** As the engine was told. */
  serves: { readonly taskQueues: readonly string[]; readonly activityTypes: readonly string[] } | undefined;

  constructor(schedule: Schedule, of: Pick<Wire, "worker" | "life" | "user">) {
    const { worker, life } = of;
    this.worker = worker;
    this.life = life;
    this.user = of.user;
    this.toEngine = new Pipe(schedule, life);
    this.toWorker = new Pipe(schedule, worker);
  }

  get isWhole(): boolean {
    return (
      !this.isBroken &&
      !this.isOver.engine &&
      !this.isOver.worker &&
      !this.toEngine.isSilent &&
      !this.toWorker.isSilent
    );
  }
}

export interface WorkerNetworkOptions {
  readonly schedule: Schedule;
  readonly dice: Dice;
  readonly statistics: Statistics;
  readonly oracle: WorkerOracle;
  readonly meets: (kind: FaultKind, share: number) => boolean;
  /** Engines that are there, owners or not. */
  readonly engines: () => readonly EngineLife[];
  readonly fail: (error: unknown) => void;
}

/**
 * What lies between workers and engines. Frames are carried as JSON, in order, and take their time. A connection breaks at any frame,
 * what is under way lost or not; it falls silent in one direction or both; who is at its other end may not hear that it is over.
 */
export class WorkerNetwork {
  readonly #of: WorkerNetworkOptions;
  readonly #wires = new Set<Wire>();

  constructor(of: WorkerNetworkOptions) {
    this.#of = of;
  }

  transportOf(worker: WorkerLife): WorkerTransport {
    return { connect: (user) => this.#connect(worker, user) };
  }

  #connect(worker: WorkerLife, user: User): Promise<WorkerLink> {
    const { schedule, dice, engines } = this.#of;
    return new Promise((resolve, reject) => {
      const there = engines();
      if (there.length === 0) {
        schedule.after(dice.int(1, 50), new Lane(worker), "nobody is there", () =>
          reject(new AionError("transport_failed", "no engine is there")),
        );
        return;
      }
      const life = dice.pick(there);
      const wire = new Wire(schedule, { worker, life, user });
      this.#wires.add(wire);
      worker.wire = wire;
      const close = (side: Side): void => this.#close(wire, side);
      const toEngine = (frame: WorkerFrame): void => this.#carry(wire, "engine", frame);
      life.onGone(() => {
        // The machine of a process that died closes its connections; one that lost its power does not.
        if (dice.chance(0.7)) this.#tellOver(wire, "worker");
      });
      worker.onGone(() => {
        if (dice.chance(0.7)) this.#tellOver(wire, "engine");
      });
      wire.toEngine.put(`${worker.name} connects`, this.#latency(), () => {
        const acceptor = life.kernel?.workers;
        if (acceptor === undefined) {
          this.#tellOver(wire, "worker");
          return;
        }
        wire.toWorker.put(`connected to ${life.name}`, this.#latency(), () =>
          resolve({ send: toEngine, close: () => close("worker") }),
        );
        wire.receiver = acceptor.acceptWorker({
          send: (frame) => this.#carry(wire, "worker", frame),
          close: () => close("engine"),
        });
      });
    });
  }

  #carry(wire: Wire, to: Side, frame: WorkerFrame | EngineFrame): void {
    const { statistics, meets, oracle, dice } = this.#of;
    const from = to === "engine" ? "worker" : "engine";
    if (wire.isOver[from]) return;
    const text = JSON.stringify(frame);
    try {
      if (to === "engine") oracle.workerSends(wire, frame as WorkerFrame);
      else oracle.engineSends(wire, frame as EngineFrame);
    } catch (failure) {
      this.#of.fail(failure);
      return;
    }
    if (meets("half-open", 0.004)) {
      statistics.note("connection of a worker half open");
      oracle.disturbed(wire.worker.identity);
      const which = dice.int(0, 2);
      if (which !== 1) wire.toEngine.isSilent = true;
      if (which !== 0) wire.toWorker.isSilent = true;
    }
    if (meets("frame-cut", 0.01)) this.#break(wire, dice.chance(0.5));
    if (wire.isBroken) return;
    const deliver = (): void => {
      if (wire.isOver[to]) return;
      // What a process sends is nobody's object here.
      if (to === "engine") {
        const copy = JSON.parse(text) as WorkerFrame;
        oracle.engineHears(wire, copy);
        wire.receiver?.receive(copy);
      } else {
        const copy = JSON.parse(text) as EngineFrame;
        oracle.workerHears(wire, copy);
        wire.user.receive(copy);
      }
    };
    const what = `${wire.worker.name} ${to === "engine" ? "to" : "from"} ${wire.life.name}: ${toText(frame)}`;
    const pipe = to === "engine" ? wire.toEngine : wire.toWorker;
    const latencyMs = this.#latency(wire);
    pipe.put(what, latencyMs, deliver);
    if (meets("frame-twice", 0.03)) {
      statistics.note("frame delivered twice");
      pipe.put(`${what}, again`, latencyMs, deliver);
    }
  }

  /** Some connection breaks, whatever is under way on it. */
  cutOne(): void {
    const { dice } = this.#of;
    const whole = [...this.#wires].filter((wire) => wire.isWhole);
    if (whole.length > 0) this.#break(dice.pick(whole), dice.chance(0.5));
  }

  #break(wire: Wire, isLost: boolean): void {
    if (wire.isBroken) return;
    const { statistics, oracle, dice } = this.#of;
    statistics.note("connection of a worker cut");
    oracle.disturbed(wire.worker.identity);
    wire.isBroken = true;
    if (isLost) {
      statistics.note("frames lost with a connection");
      wire.toEngine.loseAll();
      if (dice.chance(0.5)) wire.toWorker.loseAll();
    }
    this.#tellOver(wire, "worker");
    // With a cable that was pulled, the other side hears of it by the silence alone.
    if (dice.chance(0.8)) this.#tellOver(wire, "engine");
  }

  /** A side ends the connection: what it said before is heard before. */
  #close(wire: Wire, side: Side): void {
    if (wire.isOver[side]) return;
    wire.isOver[side] = true;
    this.#tellOver(wire, side === "engine" ? "worker" : "engine");
    if (wire.isOver.engine && wire.isOver.worker) this.#wires.delete(wire);
  }

  #tellOver(wire: Wire, side: Side): void {
    if (wire.isOver[side]) return;
    const pipe = side === "engine" ? wire.toEngine : wire.toWorker;
    pipe.put(`the connection of ${wire.worker.name} to ${wire.life.name} is over`, this.#latency(), () => {
      if (wire.isOver[side]) return;
      wire.isOver[side] = true;
      this.#wires.delete(wire);
      if (side === "engine") wire.receiver?.closed();
      else wire.user.closed();
    });
  }

  #latency(wire?: Wire): number {
    const { dice, meets, oracle } = this.#of;
    if (wire !== undefined && meets("slow-link", 0.02)) {
      oracle.disturbed(wire.worker.identity);
      return dice.pick([50, 500, 2_000, 6_000]);
    }
    return dice.pick([0, 0, 1, 3, 10]);
  }
}

function toText(frame: WorkerFrame | EngineFrame): string {
  switch (frame.type) {
    case "task":
    case "report":
    case "heartbeat":
      return `${frame.type} ${frame.token}`;
    case "cancel":
      return `${frame.type} ${frame.token} ${frame.reason}`;
    case "acknowledged":
      return `${frame.type} ${frame.token} ${frame.became}`;
    case "refused":
      return `${frame.type} ${frame.message}`;
    case "register":
      return `${frame.type} ${frame.identity}, held ${frame.held.length}, owes ${frame.unacknowledged.length}`;
    default:
      return frame.type;
  }
}
