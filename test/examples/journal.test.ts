import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { z } from "zod";
import { Journal } from "../../examples/order-fulfilment/outside/journal.ts";
import { acquireInstanceLock } from "../../examples/order-fulfilment/outside/single-instance.ts";
import { scratchDirectory } from "./scratch-directory.ts";

const Entry = z.strictObject({ n: z.int() });
const openAt = (path: string): Promise<Journal<z.infer<typeof Entry>>> =>
  Journal.open(path, (value) => Entry.parse(value));

it("reads back what was appended, in order, and shares fsyncs", async () => {
  const path = join(scratchDirectory(), "j.jsonl");
  const journal = await openAt(path);
  await Promise.all(Array.from({ length: 200 }, (_, n) => journal.append({ n })));
  expect(journal.syncCount).toBeLessThan(10);
  expect(journal.syncCount).toBeGreaterThan(0);
  await journal.close();
  const again = await openAt(path);
  expect(again.recovered).toEqual(Array.from({ length: 200 }, (_, n) => ({ n })));
  await again.close();
});

it("cuts off a torn last line at every length it can have, and goes on after it", async () => {
  const path = join(scratchDirectory(), "j.jsonl");
  const torn = '{"n":2}';
  for (let length = 1; length <= torn.length; length += 1) {
    writeFileSync(path, '{"n":1}\n');
    appendFileSync(path, torn.slice(0, length));
    const journal = await openAt(path);
    expect(journal.recovered).toEqual([{ n: 1 }]);
    expect(journal.tornBytes).toBe(length);
    await journal.append({ n: 3 });
    await journal.close();
    expect(readFileSync(path, "utf8")).toBe('{"n":1}\n{"n":3}\n');
  }
});

it("refuses a file that is damaged before its last line, names the line, and leaves the file as it is", async () => {
  const path = join(scratchDirectory(), "j.jsonl");
  writeFileSync(path, '{"n":1}\n{"n":"x"}\n{"n":3}\n{"n"');
  const { size } = statSync(path);
  await expect(openAt(path)).rejects.toThrow(/damaged in line 2/);
  expect(statSync(path).size).toBe(size);
});

it("takes no more entries after it was closed", async () => {
  const journal = await openAt(join(scratchDirectory(), "j.jsonl"));
  await journal.close();
  await expect(journal.append({ n: 1 })).rejects.toThrow(/is closed/);
});

it("gives the lock of a directory to one holder at a time", () => {
  const path = join(scratchDirectory(), "x.lock");
  const first = acquireInstanceLock(path);
  expect(first).toBeDefined();
  expect(acquireInstanceLock(path)).toBeUndefined();
  first?.release();
  const second = acquireInstanceLock(path);
  expect(second).toBeDefined();
  second?.release();
});
