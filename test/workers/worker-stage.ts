import type { ActivityOptionsRecord, EventBody } from "../../src/core/event.ts";
import { toRunId } from "../../src/core/ids.ts";
import type { Payload } from "../../src/core/payload.ts";
import type { TaskAddress, ToEvent } from "../../src/engine/attempt.ts";
import type { WorkerOptions } from "../../src/engine/workers.ts";
import { Workers, workerOptionsDefault } from "../../src/engine/workers.ts";
import { RunState } from "../../src/replay/run-state.ts";
import { idOf } from "../../src/store/conformance/world.ts";
import type { VirtualPorts } from "../recovery/virtual-ports.ts";
import { virtualPorts } from "../recovery/virtual-ports.ts";
import { ScriptedWorker } from "./scripted-worker.ts";

export const workflowId = idOf("w");
export const runId = toRunId("r");
export const epoch = 7;
export const at = (ordinal: number): TaskAddress => ({ workflowId, runId, ordinal });

/** A run with activities, and who is told what of them. */
export class Stage {
  readonly hand: VirtualPorts = virtualPorts();
  readonly state = new RunState(workflowId);
  /** Activities that were told that a worker is there for them. */
  readonly free: number[] = [];
  readonly settled: {
    readonly ordinal: number;
    readonly toEvent: ToEvent;
    onDurable?(): void;
    onDropped?(): void;
  }[] = [];
  readonly recorded = new Set<string>();
  readonly lookedUp: string[] = [];
  readonly beats: string[] = [];
  isAtHand = true;
  readonly workers: Workers;
  #seq = 0;

  constructor(options: Partial<WorkerOptions> = {}) {
    this.add({
      type: "WorkflowStarted",
      runId,
      workflowType: "main",
      version: "1",
      input: "null" as Payload,
    });
    this.workers = new Workers({
      ports: this.hand.ports,
      options: { ...workerOptionsDefault, ...options },
      payloadLimitBytes: 1_000,
      epoch,
      host: {
        settled: ({ ordinal }, outcome) => this.settled.push({ ordinal, ...outcome }),
        slotFree: ({ ordinal }) => this.free.push(ordinal),
        heartbeat: ({ ordinal }, attempt, details) => this.beats.push(`${ordinal} ${attempt} ${details}`),
        isAtHand: () => this.isAtHand,
        standingOf: async ({ ordinal }, attempt) => {
          this.lookedUp.push(`${ordinal} ${attempt}`);
          if (!this.isAtHand) return { kind: "open", worker: "w1" };
          return this.recorded.has(`${ordinal} ${attempt}`)
            ? { kind: "recorded", as: "ActivityCompleted" }
            : { kind: "over" };
        },
      },
    });
    this.workers.open();
  }

  add(body: EventBody): void {
    this.#seq += 1;
    this.state.apply({ ...body, seq: this.#seq, recordedAt: this.hand.now(), workflowId });
  }

  schedule(ordinal: number, options: ActivityOptionsRecord = {}, activityType = "work"): void {
    this.add({ type: "ActivityScheduled", ordinal, activityType, input: json(ordinal), options });
  }

  activity(ordinal: number) {
    const found = this.state.activities.get(ordinal);
    if (found === undefined) throw new Error(`activity ${ordinal} is not open`);
    return found;
  }

  /** Asks for a worker; with one the attempt begins, as if its start were on disk at once. */
  begin(ordinal: number): string | undefined {
    const worker = this.reserve(ordinal);
    if (worker === undefined) return undefined;
    this.add({ type: "ActivityStarted", ordinal, attempt: this.activity(ordinal).attempt + 1, worker });
    this.workers.begin(at(ordinal), this.activity(ordinal));
    return worker;
  }

  reserve(ordinal: number): string | undefined {
    return this.workers.slots.reserve(at(ordinal), this.activity(ordinal), this.state.latestWorker);
  }

  /** Records what has been settled, and says so. */
  record(): readonly (EventBody["type"] | undefined)[] {
    return this.settled.splice(0).map((outcome) => {
      const event = outcome.toEvent(this.state, this.hand.now());
      if (event !== undefined) this.add(event);
      outcome.onDurable?.();
      return event?.type;
    });
  }

  join(options: Partial<ConstructorParameters<typeof ScriptedWorker>[0]> = {}): ScriptedWorker {
    return new ScriptedWorker({ activityTypes: ["work"], ...options }).join(this.workers);
  }
}

export const json = (value: unknown): Payload => JSON.stringify(value) as Payload;
