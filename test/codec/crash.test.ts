/** The programs of the crash tests, with a codec in the engine: they must come to the same histories, and leave no plaintext. */
import { describe, expect, it } from "vitest";
import { aes256gcm } from "../../src/codec/index.ts";
import type { Event } from "../../src/core/event.ts";
import type { Failure } from "../../src/core/failure.ts";
import { encodedMessage, parseEncoded } from "../../src/core/payload-codec.ts";
import type { SyncPayloadCodec } from "../../src/core/payload-codec.ts";
import { crashActivities, crashPrograms } from "../recovery/crash-programs.ts";
import type { CrashProgram } from "../recovery/crash-programs.ts";
import { checkAtRest, checkLaws, essenceOf } from "../recovery/laws.ts";
import type { Fault } from "../recovery/world.ts";
import { World } from "../recovery/world.ts";
import { child as startChild, sleep, workflow } from "../../src/workflow/index.ts";

const codec = aes256gcm({ keys: { k: new Uint8Array(32).fill(7) }, current: "k", requireEncoded: true });

async function play(
  program: CrashProgram,
  by?: SyncPayloadCodec,
  faults: ReadonlyMap<number, Fault> = new Map(),
) {
  const world: World = new World({
    workflows: program.workflows,
    activities: crashActivities,
    fault: ({ number }) => faults.get(number),
    ...(by === undefined ? {} : { codec: by }),
  });
  await world.open();
  await world.during(program.script(world));
  await world.settle();
  await checkLaws(world);
  await checkAtRest(world);
  // The order of a failure's fields tells nothing.
  const essence = Object.entries(await essenceOf(world)).map(([id, events]) => [
    id,
    events.map((event) => JSON.parse(event) as unknown),
  ]);
  return { world, essence };
}

/** Payloads and messages of authors that are on disk as they were said. */
async function plaintextOf(world: World): Promise<readonly string[]> {
  const found: string[] = [];
  const look = (text: string | undefined, where: string): void => {
    if (text !== undefined && parseEncoded(text) === undefined) found.push(`${where}: ${text}`);
  };
  const lookAtFailure = (failure: Failure | undefined, where: string): void => {
    if (failure === undefined) return;
    if (
      failure.kind === "application" &&
      failure.type !== "SignalFailed" &&
      failure.message !== encodedMessage
    )
      found.push(`${where}: ${failure.message}`);
    look(failure.details, where);
    lookAtFailure(failure.cause, where);
  };
  const lookAt = (event: Event): void => {
    const of = event as {
      readonly [Field in "input" | "result" | "payload" | "value" | "heartbeat"]?: string;
    };
    if (!(event.type === "ActivityScheduled" && event.isStep === true)) look(of.input, event.type);
    for (const field of ["result", "payload", "value", "heartbeat"] as const) look(of[field], event.type);
    if (event.type === "WorkflowStarted")
      for (const each of event.signals ?? []) look(each.payload, event.type);
    if ("failure" in event) lookAtFailure(event.failure, event.type);
  };
  for (const { workflowId } of await world.runs())
    for (const event of await world.store.readHistory(workflowId)) lookAt(event);
  return found;
}

describe.each(crashPrograms)("with a codec, $name", (program) => {
  // I-46
  it("comes to the same history as without one, with a crash at every append", async () => {
    const control = await play(program);
    expect((await plaintextOf(control.world)).length).toBeGreaterThan(0);
    const coded = await play(program, codec);
    expect(coded.essence).toEqual(control.essence);
    expect(await plaintextOf(coded.world)).toEqual([]);
    for (let number = 1; number <= coded.world.appendCount; number++) {
      for (const fault of ["crash-before", "crash-after"] as const) {
        const { world, essence } = await play(program, codec, new Map([[number, fault]]));
        expect(world.crashCount).toBe(1);
        expect(essence, `after a ${fault} at append ${number}`).toEqual(control.essence);
        expect(await plaintextOf(world)).toEqual([]);
      }
    }
  });
});

it("a child whose start was on its way when the key went missing begins when it is back", async () => {
  const [had, has] = [codec, aes256gcm({ keys: { other: new Uint8Array(32).fill(8) }, current: "other" })];
  let by = had;
  const swapped: SyncPayloadCodec = {
    encode: (text, context) => by.encode(text, context),
    decode: (text, context) => by.decode(text, context),
  };
  const child = workflow("child", async (word: string) => `${word}!`);
  const parent = workflow("parent", async () => {
    await sleep(10);
    return await startChild(child, "SECRET", { id: "kid" });
  });
  let crashed = false;
  const world = new World({
    workflows: () => [parent, child],
    codec: swapped,
    fault: ({ commits }) => {
      const isOnItsWay = commits.some(({ send }) =>
        send?.some(({ message }) => message.kind === "start-child"),
      );
      if (!isOnItsWay || crashed) return undefined;
      crashed = true;
      by = has;
      return "crash-after";
    },
  });
  await world.open();
  await world.during(
    (async () => {
      await world.call((client) => client.start(parent, undefined, { id: "main" }));
      await world.idle(5_000);
      const runs = await world.runs();
      expect(runs.map(({ workflowId, status }) => [workflowId, status])).toEqual([["main", "running"]]);
      expect(world.logged.some(({ message }) => message.includes("could not be delivered"))).toBe(true);
      by = had;
      world.kill();
      await world.idle(5_000);
      expect(await world.call((client) => client.get("main").result())).toBe("SECRET!");
    })(),
  );
});
