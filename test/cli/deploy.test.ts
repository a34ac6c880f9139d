/** `aion deploy`, `versions`, `route` and `unload`: on a file, and through the engine that runs on it. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Engine } from "../../src/embedded/engine.ts";
import { CommandTest } from "./command.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
  writeFileSync(path.join(test.directory, "package.json"), "{}");
});
afterEach(() => test.dispose());

function write(name: string, answer: string, others = ""): void {
  const text = `
    import { workflow } from "aion/workflow";
    export const order = workflow("order", async () => "${answer}");
    ${others}
  `;
  writeFileSync(path.join(test.directory, name), text);
}

interface Deployed {
  readonly version: string;
}

/** Opens an engine on the file, or none. */
async function withEngine(
  isRunning: boolean,
  work: (engine: Engine | undefined) => Promise<void>,
): Promise<void> {
  const open = () => Engine.open({ store: test.store });
  if (!isRunning) {
    // The file has to be there.
    await (await open()).close();
    await work(undefined);
    return;
  }
  const engine = await open();
  try {
    await work(engine);
  } finally {
    await engine.close();
  }
}

describe.each([
  ["through an engine", true],
  ["on a file", false],
])("the commands of packages, %s", (_where, isRunning) => {
  it("deploy, show, route, take back and unload", async () => {
    await withEngine(isRunning, async (engine) => {
      write("first.ts", "first", 'export const refund = workflow("refund", async () => "first");');
      await test.json(["build", "first.ts"]);
      const first = (await test.json(["deploy", "first.aion"])) as Deployed;
      expect(first).toEqual({
        version: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        workflowTypes: ["order", "refund"],
        isNew: true,
      });
      // A workflow file is built on the way.
      write("second.ts", "second");
      const second = (await test.json(["deploy", "second.ts"])) as Deployed;
      const answer = async () =>
        engine === undefined ? "" : await (await engine.client.start("order", null)).result();
      if (engine !== undefined) expect(await answer()).toBe("second");

      const { stdout } = await test.run(["versions"]);
      const [head, ...rows] = stdout.trim().split("\n");
      expect(head).toMatch(/^VERSION +WORKFLOW TYPES +NEW RUNS +SIZE +DEPLOYED$/);
      expect(rows.map((row) => row.split(/ {2,}/).slice(0, 3))).toEqual([
        [first.version.slice(0, 12), "order, refund", "refund"],
        [second.version.slice(0, 12), "order", "all"],
      ]);

      const back = await test.run(["route", "order", "--back"]);
      expect(back).toMatchObject({ exitCode: 0, stdout: `new runs of order get ${first.version}\n` });
      if (engine !== undefined) expect(await answer()).toBe("first");
      const inUse = await test.run(["unload", first.version.slice(0, 8)]);
      expect(inUse).toMatchObject({ exitCode: 1, stdout: "" });
      expect(inUse.stderr).toMatch(
        /^error\[package_in_use\]: package .* new runs of refund, order are routed to it/,
      );
      const unload = ["unload", second.version, "--request-id", "u-1"];
      for (let round = 0; round < 2; round += 1)
        expect(await test.json(unload)).toEqual({ version: second.version });
      expect(await test.json(["versions", "--type", "order"])).toMatchObject({
        packages: [{ version: first.version, routedTypes: ["order", "refund"] }],
      });
    });
  });

  it("refuse what is wrong, with what to do", async () => {
    await withEngine(isRunning, async () => {
      writeFileSync(path.join(test.directory, "bad.aion"), "no zip");
      for (const [args, exitCode, stderr] of [
        [
          ["deploy", "bad.aion"],
          1,
          /^error\[package_invalid\]: .*\nhint: Pass the file that `aion build` wrote/,
        ],
        [["deploy", "none.aion"], 1, /^error\[invalid_argument\]: cannot read none\.aion/],
        [["deploy", "none.ts"], 1, /^error\[invalid_argument\]: there is no file/],
        [["route", "order"], 2, /^error\[invalid_argument\]: a route goes --to a version, or --back/],
        [
          ["route", "order", "--to", "abcdef"],
          1,
          /^error\[package_not_found\]: no package's version begins with abcdef/,
        ],
        [["route", "order", "--back"], 1, /^error\[package_not_found\]: order had no other version/],
        [
          ["route", "order", "--back", "--request-id", "r-1"],
          2,
          /^error\[invalid_argument\]: --back may mean another version/,
        ],
        [["unload", "ab"], 2, /^error\[invalid_argument\]: a version needs 4 digits/],
        [["versions"], 0, /^$/],
      ] as const)
        expect({ args, ...(await test.run([...args])) }).toMatchObject({
          args,
          exitCode,
          stderr: expect.stringMatching(stderr) as string,
        });
    });
  });
});

it("a fork goes on with the code of the package that is named, too by the beginning of its version", async () => {
  await withEngine(true, async (engine) => {
    if (engine === undefined) throw new Error("there is no engine");
    write("order.ts", "first");
    const first = (await test.json(["deploy", "order.ts"])) as Deployed;
    await (await engine.client.start("order", null, { id: "o" })).result();
    write("order.ts", "second");
    await test.json(["deploy", "order.ts"]);
    const fork = async (id: string, version: readonly string[]): Promise<unknown> => {
      await test.json(["fork", "o", id, "--to", "1", ...version]);
      return await engine.client.get(id).result();
    };
    expect(await fork("a", [])).toBe("second");
    expect(await fork("b", ["--code-version", "same"])).toBe("first");
    expect(await fork("c", ["--code-version", first.version])).toBe("first");
    expect(await fork("d", ["--code-version", first.version.slice(0, 12)])).toBe("first");
    const none = await test.run(["fork", "o", "e", "--to", "1", "--code-version", "abcdef"]);
    expect([none.exitCode, none.stderr]).toEqual([
      1,
      expect.stringContaining('there is no version "abcdef" of workflow type "order"'),
    ]);
  });
});
