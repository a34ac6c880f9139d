/** `aion backup`. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Engine } from "../../src/embedded/engine.ts";
import { CommandTest } from "./command.ts";
import { approval, approve } from "./workflows.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
});
afterEach(() => test.dispose());

// I-51
it("copies the store beside the engine that runs on it, and another engine goes on from the copy", async () => {
  const engine = await test.openEngine();
  await engine.client.start(approve, undefined, { id: "a-1" });
  const { exitCode, stdout } = await test.run(["backup", "monday.db"]);
  expect({ exitCode, stdout }).toEqual({
    exitCode: 0,
    stdout: expect.stringMatching(
      /^backed up to monday\.db: 1 run, \d+ events?, \d+ bytes; checked\n$/,
    ) as string,
  });
  await engine.client.get("a-1").signal(approval, { by: "ann" });
  expect(await engine.client.get("a-1").result()).toBe("ann");

  const store = `sqlite:${path.join(test.directory, "monday.db")}`;
  const restored = await Engine.open({
    store,
    workflows: [approve],
    localSocket: false,
    log: () => undefined,
  });
  await restored.client.get("a-1").signal(approval, { by: "bob" });
  expect(await restored.client.get("a-1").result()).toBe("bob");
  await restored.close();
});

it("gives a document with the counts", async () => {
  await test.makeStore((engine) => engine.client.start(approve, undefined, { id: "a-1" }));
  const file = path.join(test.directory, "copy.db");
  const document = await test.json(["backup", file]);
  expect(document).toEqual({
    file,
    runCount: 1,
    eventCount: expect.any(Number) as number,
    messageCount: 0,
    packageCount: 0,
    byteCount: statSync(file).size,
  });
});

it("replaces nothing, makes nothing of nothing, and asks for a file", async () => {
  await test.makeStore();
  expect((await test.run(["backup", "copy.db"])).exitCode).toBe(0);
  expect(await test.run(["backup", "copy.db"])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/^error\[invalid_argument\]: .*copy\.db is there already/) as string,
  });
  const none = ["--store", "sqlite:none.db"];
  expect(await test.run(["backup", "other.db", ...none])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("error[store_unavailable]") as string,
  });
  expect(existsSync(path.join(test.directory, "none.db"))).toBe(false);
  expect(await test.run(["backup"])).toMatchObject({ exitCode: 2 });
});
