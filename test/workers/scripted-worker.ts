/** A worker that does what a test tells it, frame by frame. */
import type {
  EngineFrame,
  RegisterFrame,
  TaskFrame,
  TaskOutcome,
  WorkerFrame,
} from "../../src/protocol/frames.ts";
import { protocolVersion } from "../../src/protocol/frames.ts";
import type { EngineReceiver, WorkerAcceptor } from "../../src/protocol/transport.ts";
import type { Payload } from "../../src/core/payload.ts";

interface ScriptedWorkerOptions {
  readonly identity?: string;
  readonly taskQueues?: readonly string[];
  readonly activityTypes: readonly string[];
  readonly capacity?: number;
}

type FrameOf<Type extends EngineFrame["type"]> = Extract<EngineFrame, { readonly type: Type }>;

export class ScriptedWorker {
  /** All that it was told, on all its connections. */
  readonly frames: EngineFrame[] = [];
  isConnected = false;
  session: string | undefined;
  readonly #options: ScriptedWorkerOptions;
  #receiver: EngineReceiver | undefined;

  constructor(options: ScriptedWorkerOptions) {
    this.#options = options;
  }

  /** Opens a connection, and says nothing. `isAlive`: whether the engine's process still is. */
  connect(engine: WorkerAcceptor, isAlive: () => boolean = () => true): this {
    const connection = { isOver: false };
    this.isConnected = true;
    this.#receiver = engine.acceptWorker({
      send: (frame) => {
        if (connection.isOver || !isAlive()) return;
        // As it would come over a wire.
        this.frames.push(JSON.parse(JSON.stringify(frame)) as EngineFrame);
        if (frame.type === "registered") this.session = frame.session;
      },
      close: () => {
        connection.isOver = true;
        if (isAlive()) this.isConnected = false;
      },
    });
    this.#end = () => {
      connection.isOver = true;
    };
    return this;
  }

  #end: () => void = () => undefined;

  send(frame: WorkerFrame | Readonly<Record<string, unknown>>): this {
    this.#receiver?.receive(JSON.parse(JSON.stringify(frame)));
    return this;
  }

  register(more: Partial<RegisterFrame> = {}): this {
    const { identity = "w1", taskQueues = ["default"], activityTypes, capacity = 10 } = this.#options;
    return this.send({
      type: "register",
      protocol: protocolVersion,
      identity,
      taskQueues,
      activityTypes,
      capacity,
      held: [],
      unacknowledged: [],
      ...(this.session === undefined ? {} : { session: this.session }),
      ...more,
    });
  }

  /** Connects, registers and takes tasks. */
  join(engine: WorkerAcceptor, isAlive?: () => boolean): this {
    return this.connect(engine, isAlive).register().send({ type: "ready" });
  }

  report({ token }: TaskFrame, outcome: TaskOutcome): this {
    return this.send({ type: "report", token, outcome });
  }

  complete(task: TaskFrame, value: unknown): this {
    return this.report(task, { kind: "completed", result: JSON.stringify(value) as Payload });
  }

  fail(task: TaskFrame, message: string): this {
    return this.report(task, { kind: "failed", failure: { kind: "application", message, type: "Error" } });
  }

  /** The connection breaks; neither side is told what was under way. */
  cut(): this {
    this.isConnected = false;
    this.#end();
    this.#receiver?.closed();
    return this;
  }

  all<Type extends EngineFrame["type"]>(type: Type): readonly FrameOf<Type>[] {
    return this.frames.filter((frame): frame is FrameOf<Type> => frame.type === type);
  }

  get tasks(): readonly TaskFrame[] {
    return this.all("task");
  }

  task(index = 0): TaskFrame {
    const task = this.tasks[index];
    if (task === undefined) throw new Error(`it was given ${this.tasks.length} tasks, none at ${index}`);
    return task;
  }

  /** What became of its reports, in order. */
  get answers(): readonly string[] {
    return this.all("acknowledged").map(({ became }) => became);
  }
}
