/** `aion server` in a process of its own, and the commands that ask it. */
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CommandTest } from "./command.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
  writeFileSync(path.join(test.directory, "package.json"), "{}");
});
afterEach(() => test.dispose());

type Running = ReturnType<CommandTest["spawn"]>;

/** With the line that it says when it listens. */
async function serve(
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<{ readonly server: Running; readonly url: string; readonly log: () => string }> {
  const port = args.includes("--port") ? [] : ["--port", "0"];
  const server = test.spawn(["server", "--data", "data", ...port, "--json", ...args], { env });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const [line] = (await Promise.race([
    once(createInterface(server.stdout), "line"),
    once(server, "exit").then(() => Promise.reject(new Error(`the server ended: ${log}`))),
  ])) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return { server, url, log: () => log };
}

async function stop(server: Running, signal: NodeJS.Signals): Promise<unknown> {
  server.kill(signal);
  const [code, by] = (await once(server, "exit")) as [number | null, string | null];
  return code ?? by;
}

describe("aion server", () => {
  // I-1, I-13
  it("serves what is deployed, over restarts of each kind", async () => {
    writeFileSync(
      path.join(test.directory, "greet.ts"),
      `import { receive, signal, workflow } from "aion/workflow";
       const name = signal<string>("name");
       export const greet = workflow("greet", async (word: string) => word + " " + (await receive(name)));`,
    );
    const first = await serve();
    const at = (url: string): { env: Record<string, string> } => ({ env: { AION_STORE: "", AION_URL: url } });
    const deployed = await test.json(["deploy", "greet.ts"], at(first.url));
    expect(deployed).toMatchObject({ workflowTypes: ["greet"], isNew: true });
    const start = ["start", "greet", "--id", "g/1", "--input", '"hello"'];
    expect(await test.json(start, at(first.url))).toMatchObject({ workflowId: "g/1", isNew: true });
    expect(await stop(first.server, "SIGTERM")).toBe(0);

    const second = await serve();
    expect(await test.json(["describe", "g/1"], at(second.url))).toMatchObject({ status: "running" });
    expect(await stop(second.server, "SIGKILL")).toBe("SIGKILL");

    const third = await serve();
    const waiting = test.json(["result", "g/1", "--wait"], at(third.url));
    await test.run(["signal", "g/1", "name", "--input", '"you"'], at(third.url));
    expect(await waiting).toMatchObject({ status: "completed", result: "hello you" });
    const { stdout } = await test.run(["history", "g/1"], at(third.url));
    expect(stdout).toContain("SignalReceived");
    // What the environment says of a store goes behind a flag that names a server.
    expect(await test.json(["count", "--url", third.url])).toEqual({ count: 1 });
    expect(await stop(third.server, "SIGINT")).toBe(0);
  });

  // I-3, I-13
  it("has its activities run by workers, over restarts of each kind of both", async () => {
    // As in a project that has it installed.
    writeFileSync(path.join(test.directory, "package.json"), '{"type":"module"}');
    mkdirSync(path.join(test.directory, "node_modules"));
    symlinkSync(path.resolve("."), path.join(test.directory, "node_modules", "aion"));
    writeFileSync(
      path.join(test.directory, "pay.ts"),
      `import { activity, sleep, workflow } from "aion/workflow";
       import { appendFileSync } from "node:fs";
       export const charge = activity("charge", { taskQueue: "pay" }, async (n: number, task) => {
         appendFileSync("ran.txt", task.idempotencyKey + "\\n");
         await new Promise((resolve) => setTimeout(resolve, 300));
         return "paid " + n;
       });
       export const pay = workflow("pay", async (n: number) => await charge(n));`,
    );
    const first = await serve();
    const port = new URL(first.url).port;
    const env = { AION_STORE: "", AION_URL: first.url };
    await test.json(["deploy", "pay.ts"], { env });
    const ran = (): readonly string[] =>
      existsSync(path.join(test.directory, "ran.txt"))
        ? readFileSync(path.join(test.directory, "ran.txt"), "utf8").trim().split("\n")
        : [];
    const startWorker = async (): Promise<Running> => {
      const worker = test.spawn(["worker", "pay.ts", "--task-queue", "pay", "--json"], { env });
      const [line] = (await once(createInterface(worker.stdout), "line")) as [string];
      expect(JSON.parse(line)).toMatchObject({ activities: ["charge"], url: first.url });
      return worker;
    };
    // Nobody serves it yet, which is shown.
    await test.json(["start", "pay", "--id", "p-0", "--input", "0"], { env });
    await expect
      .poll(async () => await test.json(["workers"], { env }))
      .toEqual({
        workers: [],
        taskQueues: [
          { taskQueue: "pay", waitingCount: 1, waitingSince: expect.any(Number), inFlightCount: 0 },
        ],
      });
    const worker = await startWorker();
    expect(await test.json(["result", "p-0", "--wait"], { env })).toMatchObject({ result: "paid 0" });
    const { stdout, stderr } = await test.run(["workers"], { env });
    // Not that no engine is running: there is one, behind the server.
    expect(stderr).toBe("");
    expect(stdout).toMatch(/ready +0 of 100 +pay +charge/);
    expect(stdout).toContain("nothing waits for a worker");
    await test.json(["start", "pay", "--id", "p-1", "--input", "1"], { env });
    expect(await test.json(["result", "p-1", "--wait"], { env })).toMatchObject({ result: "paid 1" });
    // The server dies while a task is under way; the worker keeps its outcome for the next one.
    await test.json(["start", "pay", "--id", "p-2", "--input", "2"], { env });
    await expect.poll(() => ran().length).toBe(3);
    expect(await stop(first.server, "SIGKILL")).toBe("SIGKILL");
    const second = await serve(["--port", port]);
    expect(await test.json(["result", "p-2", "--wait"], { env })).toMatchObject({ result: "paid 2" });
    expect(new Set(ran()).size).toBe(3);
    expect(ran()).toHaveLength(3);
    expect(await stop(worker, "SIGTERM")).toBe(0);
    expect(await stop(second.server, "SIGTERM")).toBe(0);
  });

  it("makes namespaces, and commands reach the one they name", async () => {
    const { url } = await serve();
    const env = { AION_STORE: "", AION_URL: url };
    expect(await test.json(["namespace", "create", "team-1"], { env })).toEqual({
      name: "team-1",
      isNew: true,
    });
    expect(await test.json(["namespace", "list"], { env })).toEqual({
      namespaces: [
        { name: "default", state: "open" },
        { name: "team-1", state: "open" },
      ],
    });
    expect(await test.json(["count", "--namespace", "team-1"], { env })).toEqual({ count: 0 });
    const refused = await test.run(["count", "--namespace", "team-2"], { env });
    expect(refused).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("error[namespace_not_found]") as string,
    });
    for (const [command, address] of [
      ["key list", "/v1/keys"],
      ["key revoke k1", "/v1/keys/k1"],
      ["audit", "/v1/audit"],
    ] as const) {
      const { stderr } = await test.run(command.split(" "), { env });
      expect(stderr).toMatch(/^error\[endpoint_unknown\]: there is no (?:GET|DELETE|POST) .*\n/);
      expect(stderr).toContain(address);
      expect(stderr).toContain("hint: The server asks nobody who calls, so it has no keys and no audit log.");
    }
  });

  it("takes its settings from flags, the environment and a file, in this order", async () => {
    const file = path.join(test.directory, "settings.json");
    writeFileSync(
      file,
      JSON.stringify({ port: 1, namespaces: ["from-file"], logLevel: "error", data: "nowhere" }),
    );
    const { server, log } = await serve(["--config", file], { AION_LOG_LEVEL: "info", AION_PORT: "2" });
    expect(log()).toContain('"namespace opened","namespace":"from-file"');
    await stop(server, "SIGTERM");
  });

  it.each([
    ["a setting that is none", '{"prot": 1}', [], "settings.json: Unrecognized key"],
    ["a value that is none", '{"port": "x"}', [], "settings.json: port: "],
    ["a file that is no JSON", "{", [], "cannot read settings.json"],
    ["a file that is no object", "[]", [], "settings.json holds no JSON object"],
    ["a flag that is none", "{}", ["--log-level", "loud"], "--log-level: "],
  ])("says what is wrong with %s", async (_what, text, args, message) => {
    writeFileSync(path.join(test.directory, "settings.json"), text);
    const result = await test.run(["server", "--data", "data", "--config", "settings.json", ...args]);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(`error[invalid_argument]: ${message}`);
  });
});

describe("a command", () => {
  it.each([
    [
      ["list", "--url", "http://127.0.0.1:1", "--store", "sqlite:a.db"],
      "both a store and a server are named",
    ],
    [["list", "--store", "sqlite:a.db", "--namespace", "x"], "a file has no namespaces"],
    [["list", "--url", "ftp://a"], '"ftp://a" is no address of a server'],
    [["list", "--url", "http://user:word@a"], "is no address of a server"],
    [["namespace", "list", "--store", "sqlite:a.db"], "namespaces are a server's"],
    [["worker", "order.ts", "--store", "sqlite:a.db"], "a worker works for a server"],
    [["backup", "x.db", "--url", "http://127.0.0.1:1"], "this command works on a file"],
  ])("that says where it works in a way that makes no sense is told so (%j)", async (args, message) => {
    const result = await test.run(args, { env: { AION_STORE: "" } });
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(message);
  });

  it("that finds no server gives up after a while, and says so", async () => {
    const result = await test.run(["count", "--url", "http://127.0.0.1:1"], { env: { AION_STORE: "" } });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(
      "error[transport_failed]: no answer from the server at http://127.0.0.1:1",
    );
  });
});

describe("aion key", () => {
  it("makes a first admin while no server runs, and what he makes holds at once", async () => {
    const first = await test.run(["key", "create", "root", "--data", "data", "--grant", "admin@*"]);
    expect(first).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^aion_\w{16}_\S{43}\n$/) as string,
    });
    expect(statSync(path.join(test.directory, "data", "keys.db")).mode & 0o777).toBe(0o600);
    const { server, url } = await serve(["--auth", "required"]);
    const as = (token: string): { env: Record<string, string> } => ({
      env: { AION_STORE: "", AION_URL: url, AION_TOKEN: token },
    });
    const refused = await test.run(["count"], as(""));
    expect([refused.exitCode, refused.stderr]).toEqual([
      1,
      expect.stringContaining("error[unauthenticated]"),
    ]);
    const root = as(first.stdout.trim());
    expect(await test.json(["count"], root)).toEqual({ count: 0 });
    const made = (await test.json(
      ["key", "create", "reader", "--grant", "read@default", "--expires", "1 hour"],
      root,
    )) as { readonly key: { readonly id: string }; readonly token: string };
    const reader = as(made.token);
    expect(await test.json(["count"], reader)).toEqual({ count: 0 });
    const denied = await test.run(["cancel", "a"], reader);
    expect([denied.exitCode, denied.stderr]).toEqual([1, expect.stringContaining("permission_denied")]);
    expect((await test.run(["key", "list"], reader)).stderr).toContain("permission_denied");
    const { stdout } = await test.run(["key", "list"], root);
    expect(stdout).toContain("read@default");
    expect(stdout).not.toContain(made.token);
    // By the directory, beside the server that runs on it.
    await test.run(["key", "revoke", made.key.id, "--data", "data"]);
    expect((await test.run(["count"], reader)).stderr).toContain("error[unauthenticated]");
    expect(await stop(server, "SIGTERM")).toBe(0);
  });

  it("is told what is no grant, and where there are no keys", async () => {
    const wrong = await test.run(["key", "create", "a", "--data", "data", "--grant", "root@*"]);
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining("is no role")]);
    expect(existsSync(path.join(test.directory, "data"))).toBe(false);
    const none = await test.run(["key", "list", "--data", "data"]);
    expect([none.exitCode, none.stderr]).toEqual([1, expect.stringContaining("error[key_not_found]")]);
    expect((await test.run(["key", "list"])).exitCode).toBe(2);
  });
});
