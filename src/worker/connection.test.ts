import { beforeEach, describe, expect, it } from "vitest";
import type { VirtualPorts } from "../../test/recovery/virtual-ports.ts";
import { virtualPorts } from "../../test/recovery/virtual-ports.ts";
import type { EngineFrame, RegisterFrame, WorkerFrame } from "../protocol/frames.ts";
import { protocolVersion } from "../protocol/frames.ts";
import type { WorkerLink, WorkerTransport } from "../protocol/transport.ts";
import { Connection } from "./connection.ts";

const greeting: RegisterFrame = {
  type: "register",
  protocol: protocolVersion,
  identity: "w1",
  taskQueues: ["default"],
  activityTypes: ["work"],
  capacity: 1,
  held: [],
  unacknowledged: [],
};
const registered: EngineFrame = {
  type: "registered",
  session: "s",
  sessionTimeoutMs: 4_000,
  payloadLimitBytes: 1_000,
  stop: [],
};
const task: EngineFrame = { type: "acknowledged", token: "t", became: "recorded" };

/** One connection of the worker, as the far end has it. */
interface Wire {
  readonly said: WorkerFrame[];
  readonly worker: Parameters<WorkerTransport["connect"]>[0];
  isClosed: boolean;
}

class Stage {
  readonly hand: VirtualPorts = virtualPorts();
  /** When each connection was asked for. */
  readonly askedAt: number[] = [];
  readonly wires: Wire[] = [];
  readonly heard: string[] = [];
  refusal: string | undefined;
  /** How the next connections are answered; `undefined`: at once. */
  answer: ((link: WorkerLink) => Promise<WorkerLink>) | undefined;
  readonly connection: Connection;

  constructor() {
    const startedAt = this.hand.now();
    const transport: WorkerTransport = {
      connect: (worker) => {
        this.askedAt.push(this.hand.now() - startedAt);
        const wire: Wire = { said: [], worker, isClosed: false };
        this.wires.push(wire);
        const link: WorkerLink = {
          send: (frame) => wire.said.push(frame),
          close: () => {
            wire.isClosed = true;
          },
        };
        return this.answer?.(link) ?? Promise.resolve(link);
      },
    };
    this.connection = new Connection(transport, this.hand.ports, {
      greeting: () => greeting,
      registered: () => this.heard.push("registered"),
      receive: (frame) => this.heard.push(frame.type),
      refused: (message) => {
        this.refusal = message;
      },
    });
  }

  get wire(): Wire {
    const wire = this.wires.at(-1);
    if (wire === undefined) throw new Error("no connection was asked for");
    return wire;
  }

  async open(): Promise<void> {
    this.connection.open();
    await this.hand.settle();
    this.wire.worker.receive(registered);
  }

  saidTypes(wire: Wire = this.wire): readonly string[] {
    return wire.said.map(({ type }) => type);
  }
}

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});

describe("a connection", () => {
  it("says who it is first, and nothing else before it is taken", async () => {
    stage.connection.open();
    await stage.hand.settle();
    stage.connection.send({ type: "ready" });
    stage.wire.worker.receive(task);
    expect([stage.saidTypes(), stage.heard, stage.connection.isRegistered]).toEqual([
      ["register"],
      [],
      false,
    ]);
    stage.wire.worker.receive(registered);
    stage.connection.send({ type: "ready" });
    stage.wire.worker.receive(task);
    expect([stage.saidTypes(), stage.heard]).toEqual([
      ["register", "ready"],
      ["registered", "acknowledged"],
    ]);
  });

  it("is tried again, later each time, when there is nobody: three quarters of 0.1 s, 0.2 s, … to 10 s", async () => {
    stage.answer = () => Promise.reject(new Error("nobody"));
    stage.connection.open();
    await stage.hand.pass(60_000);
    const waits = stage.askedAt.slice(1).map((askedAt, index) => askedAt - (stage.askedAt[index] ?? 0));
    expect(waits.slice(0, 10)).toEqual([75, 150, 300, 600, 1_200, 2_400, 4_800, 7_500, 7_500, 7_500]);
  });

  it("that was taken is tried again soon", async () => {
    stage.answer = () => Promise.reject(new Error("nobody"));
    stage.connection.open();
    await stage.hand.pass(5_000);
    stage.answer = undefined;
    await stage.hand.pass(10_000);
    stage.wire.worker.receive(registered);
    const count = stage.wires.length;
    stage.wire.worker.closed();
    await stage.hand.pass(75);
    expect(stage.wires).toHaveLength(count + 1);
  });

  it("on which nobody answers is given up after half a minute", async () => {
    stage.connection.open();
    await stage.hand.pass(29_999);
    expect(stage.wires).toHaveLength(1);
    await stage.hand.pass(1 + 75);
    expect([stage.wires.length, stage.wires[0]?.isClosed]).toEqual([2, true]);
  });

  it("that comes about too late is closed, and not used", async () => {
    let late: (() => void) | undefined;
    stage.answer = (link) => new Promise((resolve) => (late = () => resolve(link)));
    stage.connection.open();
    await stage.hand.pass(30_000);
    stage.answer = undefined;
    await stage.hand.pass(75);
    late?.();
    await stage.hand.settle();
    expect([stage.wires[0]?.isClosed, stage.wires[0]?.said, stage.saidTypes()]).toEqual([
      true,
      [],
      ["register"],
    ]);
  });

  it("says that it is alive four times in a session", async () => {
    await stage.open();
    for (let count = 0; count < 4; count++) {
      await stage.hand.pass(1_000);
      stage.wire.worker.receive({ type: "alive" });
    }
    expect(stage.saidTypes()).toEqual(["register", "alive", "alive", "alive", "alive"]);
    expect(stage.heard).toEqual(["registered"]);
  });

  it("on which nothing is heard for a session is over, whatever it says itself", async () => {
    await stage.open();
    await stage.hand.pass(2_000);
    stage.wire.worker.receive(task);
    await stage.hand.pass(3_999);
    expect(stage.wires).toHaveLength(1);
    await stage.hand.pass(1);
    expect([stage.wire.isClosed, stage.connection.isRegistered]).toEqual([true, false]);
    await stage.hand.pass(75);
    expect(stage.wires).toHaveLength(2);
  });

  it("that is over is not heard any more, and its end counts once", async () => {
    await stage.open();
    const [first] = stage.wires;
    first?.worker.closed();
    first?.worker.receive(task);
    first?.worker.closed();
    await stage.hand.pass(75);
    first?.worker.receive(registered);
    first?.worker.closed();
    await stage.hand.pass(1_000);
    expect([stage.wires.length, stage.heard, stage.saidTypes()]).toEqual([2, ["registered"], ["register"]]);
  });

  it("whose sending fails is over", async () => {
    await stage.open();
    const broken: WorkerLink = {
      send: () => {
        throw new Error("broken pipe");
      },
      close: () => {
        throw new Error("it is closed");
      },
    };
    stage.answer = () => Promise.resolve(broken);
    stage.wire.worker.closed();
    await stage.hand.pass(75);
    stage.answer = undefined;
    await stage.hand.pass(150);
    expect(stage.wires).toHaveLength(3);
    stage.wire.worker.receive(registered);
    expect(stage.connection.isRegistered).toBe(true);
  });

  it.each<[string, EngineFrame]>([
    ["closing", { type: "closing" }],
    ["refusing it for now", { type: "refused", message: "full", isFinal: false }],
  ])("to an engine that is %s is tried again", async (_what, frame) => {
    await stage.open();
    stage.wire.worker.receive(frame);
    expect(stage.wire.isClosed).toBe(true);
    await stage.hand.pass(75);
    expect([stage.wires.length, stage.refusal]).toEqual([2, undefined]);
  });

  it("to an engine that refuses it for good is not", async () => {
    await stage.open();
    stage.wire.worker.receive({ type: "refused", message: "never", isFinal: true });
    await stage.hand.pass(60_000);
    expect([stage.wires.length, stage.refusal, stage.hand.waitingCount]).toEqual([1, "never", 0]);
  });

  it.each([
    ["hangs up", (wire: Wire) => wire.worker.closed()],
    ["says nothing", () => undefined],
  ])("is left when the engine has heard it, or %s", async (_what, answer) => {
    await stage.open();
    stage.wire.worker.receive(registered);
    let isLeft = false;
    const leaving = stage.connection.leave().then(() => (isLeft = true));
    await stage.hand.settle();
    expect([stage.wire.said.at(-1), stage.wire.isClosed, isLeft]).toEqual([{ type: "leave" }, false, false]);
    answer(stage.wire);
    await stage.hand.pass(1_000);
    await leaving;
    await stage.hand.pass(60_000);
    expect([stage.wires.length, stage.wire.isClosed, stage.hand.waitingCount]).toEqual([1, true, 0]);
  });

  it("that is closed leaves nothing behind", async () => {
    await stage.open();
    stage.connection.close();
    stage.connection.open();
    await stage.hand.pass(60_000);
    expect([stage.wires.length, stage.wire.isClosed, stage.hand.waitingCount]).toEqual([1, true, 0]);
  });
});
