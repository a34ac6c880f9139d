/**
 * What encryption costs: a payload of several sizes, and a workflow of three activities in an engine over memory.
 * `node --conditions=aion-source bench/codec.ts`
 */
import { Engine } from "aion";
import { webAes256gcm } from "aion/client";
import { aes256gcm } from "aion/codec";
import { activity, workflow } from "aion/workflow";

const ring = { keys: { k: crypto.getRandomValues(new Uint8Array(32)) }, current: "k" };
const codec = aes256gcm(ring);
const web = webAes256gcm(ring);
const context = { kind: "input", workflowId: "w" } as const;

/** Of processor time: what a machine has beside other work. */
async function microseconds(count: number, work: () => unknown): Promise<number> {
  for (let round = 0; round < count / 10; round++) await work();
  const before = process.cpuUsage();
  for (let round = 0; round < count; round++) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

const told = (value: number): string => value.toFixed(value < 100 ? 1 : 0).padStart(8);

console.log("µs of processor time    encode   decode (aes256gcm)    both (webAes256gcm)");
for (const bytes of [100, 1_000, 10_000, 100_000, 1_000_000]) {
  const text = JSON.stringify("x".repeat(bytes - 2));
  const encoded = codec.encode(text, context);
  const count = Math.max(20, Math.min(10_000, 20_000_000 / bytes));
  const encode = await microseconds(count, () => codec.encode(text, context));
  const decode = await microseconds(count, () => codec.decode(encoded, context));
  const both = await microseconds(count / 20, async () =>
    web.decode(await web.encode(text, context), context),
  );
  const size = `${bytes} bytes`.padEnd(18);
  console.log(`${size} ${told(encode)} ${told(decode)} ${" ".repeat(13)} ${told(both)}`);
}

const work = activity("work", async (text: string) => text);
const three = workflow("three", async (text: string) => work(await work(await work(text))));

async function perWorkflow(coded: boolean, count: number): Promise<number> {
  await using engine = await Engine.open({
    store: "memory:",
    workflows: [three],
    activities: [work],
    ...(coded ? { codec } : {}),
  });
  let started = 0;
  const hundred = async (): Promise<void> => {
    const runs = Array.from({ length: 100 }, async () => {
      const run = await engine.client.start(three, "x".repeat(200), { id: `w-${started++}` });
      await run.result();
    });
    await Promise.all(runs);
  };
  return (await microseconds(count / 100, hundred)) / 100;
}

for (const coded of [false, true, false, true]) {
  const cost = await perWorkflow(coded, 3_000);
  console.log(`a workflow of three activities ${coded ? "with" : "without"} a codec: ${Math.round(cost)} µs`);
}
