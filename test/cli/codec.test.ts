/** `--codec`: the command on payloads that are encrypted. */
import { once } from "node:events";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aes256gcm } from "../../src/codec/index.ts";
import { CommandTest } from "./command.ts";
import { fulfil, stage } from "./workflows.ts";

const workflowsFile = path.join(import.meta.dirname, "workflows.ts");
const codecModule = path.resolve(import.meta.dirname, "../../src/codec/index.ts");
const key = Buffer.alloc(32, 5).toString("base64");
const ring = { keys: { "2026-11": key }, current: "2026-11", scope: "cli" };
const codec = aes256gcm(ring);

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
  writeFileSync(path.join(test.directory, "ring.json"), JSON.stringify(ring));
  writeFileSync(
    path.join(test.directory, "codec.ts"),
    `import { aes256gcm } from ${JSON.stringify(codecModule)};
     export default aes256gcm(${JSON.stringify(ring)});`,
  );
});
afterEach(() => test.dispose());

describe("the command with a codec", () => {
  it("shows what is encrypted, through a running engine and from the file, and replays it", async () => {
    const engine = await test.openEngine({ codec });
    const run = await engine.client.start(fulfil, { amount: 4111 }, { id: "o-1" });
    await expect.poll(() => run.query(stage)).toBe("waiting for approval");
    const withFlag = ["--codec", "ring.json"];
    expect(await test.json(["query", "o-1", "stage", ...withFlag])).toBe("waiting for approval");
    const history = ["history", "o-1"];
    const { stdout } = await test.run(history, { env: { AION_CODEC: "codec.ts" } });
    expect(stdout).toContain('{"amount":4111}');
    expect(stdout).toContain('"pay_4111"');
    const { stdout: blind } = await test.run(history);
    expect(blind).not.toContain("4111");
    expect(blind).toContain("xaes-256-gcm");
    const other = { ...ring, keys: { "2026-11": Buffer.alloc(32, 6).toString("base64") } };
    writeFileSync(path.join(test.directory, "other.json"), JSON.stringify(other));
    expect(await test.json(["describe", "o-1", "--codec", "other.json"])).toMatchObject({
      input: { $aion: "undecodable", code: "codec_key_unknown" },
    });
    await engine.close();

    // From the file: what is sent waits there, encrypted.
    const sent = await test.run(["signal", "o-1", "approval", "--input", '{"by": "eve"}', ...withFlag]);
    expect(sent.exitCode).toBe(0);
    const started = ["start", "approve", "--id", "a-1", "--input", '"4112"', ...withFlag];
    expect(await test.json(started)).toMatchObject({ isNew: true });
    expect(await test.json(started)).toMatchObject({ isNew: false });
    const replayed = ["replay", "o-1", "--workflows", workflowsFile];
    expect(await test.json([...replayed, ...withFlag])).toMatchObject({ outcome: "ok" });
    expect(await test.json(replayed)).not.toMatchObject({ outcome: "ok" });
    for (const file of readdirSync(test.directory).filter((name) => /^aion\.db(?!\.sock)/.test(name))) {
      const bytes = readFileSync(path.join(test.directory, file));
      for (const word of ["4111", "4112", "eve"]) expect(bytes.includes(`"${word}"`)).toBe(false);
    }

    const next = await test.openEngine({ codec });
    await expect(next.client.get("o-1").result()).rejects.toThrow("not approved by");
    const { stderr } = await test.run(["result", "o-1", ...withFlag]);
    expect(stderr).toContain("not approved by");
    expect((await test.run(["result", "o-1"])).stderr).toContain("(encoded)");
    await next.close();
    expect(await test.json(["query", "o-1", "stage", "--workflows", workflowsFile, ...withFlag])).toBe(
      "waiting for approval",
    );
  });

  it("is for a server and a worker, too", async () => {
    writeFileSync(path.join(test.directory, "package.json"), "{}");
    writeFileSync(
      path.join(test.directory, "greet.ts"),
      `import { activity, workflow } from "aion/workflow";
       const say = activity("say", async (word: string) => word + "!");
       export const greet = workflow("greet", async (word: string) => await say(word));`,
    );
    const activities = path.join(test.directory, "activities.ts");
    writeFileSync(
      activities,
      `import { activity } from ${JSON.stringify(path.resolve(import.meta.dirname, "../../src/workflow/index.ts"))};
       export const say = activity("say", async (word: string) => word + "!");`,
    );
    const env = { AION_STORE: "", AION_CODEC: "ring.json" };
    const server = test.spawn(["server", "--data", "data", "--port", "0", "--json"], { env });
    const [line] = (await once(createInterface(server.stdout), "line")) as [string];
    const { url } = JSON.parse(line) as { readonly url: string };
    const at = { env: { ...env, AION_URL: url } };
    test.spawn(["worker", activities, "--json"], at);
    await test.json(["deploy", "greet.ts"], at);
    await test.json(["start", "greet", "--id", "g-1", "--input", '"SECRET"'], at);
    expect(await test.json(["result", "g-1", "--wait"], at)).toMatchObject({ result: "SECRET!" });
    const blind = { env: { ...at.env, AION_CODEC: "" } };
    expect(JSON.stringify(await test.json(["describe", "g-1"], blind))).not.toContain("SECRET");
    const directory = path.join(test.directory, "data", "namespaces");
    for (const file of readdirSync(directory).filter((name) => !name.endsWith(".sock")))
      expect(readFileSync(path.join(directory, file)).includes("SECRET")).toBe(false);
  });

  it("tells what is wrong with the file that it is given, and quotes none of it", async () => {
    await test.makeStore();
    const cases = {
      "none.json": undefined,
      "broken.json": "{ SECRET",
      "other.json": JSON.stringify({ keys: { a: "SECRET" }, current: "a" }),
      "more.json": JSON.stringify({ ...ring, secret: "SECRET" }),
      "empty.ts": "export const codec = 1;",
      "throws.ts": "throw new Error('no vault');",
    };
    for (const [name, text] of Object.entries(cases)) {
      if (text !== undefined) writeFileSync(path.join(test.directory, name), text);
      const { exitCode, stderr } = await test.run(["list", "--codec", name]);
      expect({ name, exitCode, stderr }).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("error[invalid_argument]"),
      });
      expect(stderr).not.toContain("SECRET");
    }
    const { stderr } = await test.run(["server", "--data", "data", "--port", "0", "--codec", "empty.ts"]);
    expect(stderr).toContain("error[invalid_argument]");
  });
});
