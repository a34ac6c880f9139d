/** `aion dev`: each change of a file is what new runs get. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { z } from "zod";
import { documents } from "../../src/cli/documents.ts";
import { CommandTest } from "./command.ts";

let test: CommandTest;
beforeEach(() => {
  test = new CommandTest();
  // As in a project that has it installed.
  writeFileSync(path.join(test.directory, "package.json"), '{"type":"module"}');
  mkdirSync(path.join(test.directory, "node_modules"));
  symlinkSync(path.resolve("."), path.join(test.directory, "node_modules", "aion"));
});
afterEach(() => test.dispose());

type Told = z.output<(typeof documents)["dev"]>;

class Dev {
  readonly process: ReturnType<CommandTest["spawn"]>;
  readonly told: Told[] = [];
  errors = "";

  constructor(args: readonly string[], place = ".") {
    this.process = test.spawn(["dev", place, "--port", "0", "--json", ...args]);
    createInterface(this.process.stdout).on("line", (line) =>
      this.told.push(documents.dev.parse(JSON.parse(line))),
    );
    this.process.stderr.setEncoding("utf8").on("data", (text: string) => (this.errors += text));
  }
}

/** The first such thing that it tells from the `from`th on. */
async function hear(dev: Dev, what: Told["what"], from = 0): Promise<Told> {
  const find = (): Told | undefined => dev.told.slice(from).find((told) => told.what === what);
  await expect.poll(() => find() ?? `nothing of ${what}: ${dev.errors}`).toMatchObject({ what });
  return find() as Told;
}

function write(answer: string, activity: string): void {
  writeFileSync(
    path.join(test.directory, "greet.ts"),
    `import { activity, workflow } from "aion/workflow";
     import { hostname } from "node:os";
     export const shout = activity("shout", { taskQueue: "loud" }, async (text: string) => "${activity} " + text + hostname().slice(0, 0));
     export const greet = workflow("greet", async (name: string) => await shout("${answer} " + name));`,
  );
}

describe("aion dev", () => {
  it("takes up each change, tells what is wrong, and goes on", async () => {
    write("hello", "one");
    writeFileSync(
      path.join(test.directory, "greet.test.ts"),
      'import "aion/workflow"; const workflow = (x) => x; workflow(");',
    );
    const dev = new Dev(["--run", "greet", "--input", '"you"']);
    const { url } = await hear(dev, "serving");
    expect(await hear(dev, "built")).toMatchObject({ file: "greet.ts", workflowTypes: ["greet"] });
    expect(await hear(dev, "completed")).toMatchObject({ result: "one hello you" });

    let from = dev.told.length;
    write("good day", "two");
    expect(await hear(dev, "completed", from)).toMatchObject({ result: "two good day you" });

    // What does not build changes nothing: neither the version of new runs nor the worker that is there.
    from = dev.told.length;
    writeFileSync(
      path.join(test.directory, "greet.ts"),
      'import { workflow } from "aion/workflow";\nexport const greet = workflow("greet", async () => {;',
    );
    await expect.poll(() => dev.errors).toContain("greet.ts:2:");
    expect(dev.errors).toContain('"code":"build_failed"');
    const env = { AION_STORE: "", AION_URL: url ?? "" };
    await test.json(["start", "greet", "--id", "still", "--input", '"you"'], { env });
    expect(await test.json(["result", "still", "--wait"], { env })).toMatchObject({
      result: "two good day you",
    });

    from = dev.told.length;
    write("bye", "three");
    expect(await hear(dev, "completed", from)).toMatchObject({ result: "three bye you" });
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it("does not go round the links of package managers", async () => {
    write("hello", "one");
    // As pnpm and workspaces leave them: packages that need each other, and the project itself among them.
    for (const name of ["one", "other"])
      symlinkSync(test.directory, path.join(test.directory, "node_modules", name));
    const dev = new Dev([]);
    expect(await hear(dev, "built")).toMatchObject({ file: "greet.ts" });
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it("takes up files that are replaced, data, and a library elsewhere; says where a run failed", async () => {
    const at = (...names: readonly string[]): string => path.join(test.directory, ...names);
    // As many editors do: another file takes the name.
    const replace = (file: string, text: string): void => {
      writeFileSync(`${file}.tmp`, text);
      renameSync(`${file}.tmp`, file);
    };
    const greet = (body: string): string =>
      `import { workflow } from "aion/workflow";
import { loud } from "../lib/loud.ts";
import words from "./words.json" with { type: "json" };
export const greet = workflow("greet", async (name: string) => {
  ${body}
});`;
    mkdirSync(at("app"));
    mkdirSync(at("lib"));
    writeFileSync(at("lib", "loud.ts"), "export const loud = (text: string): string => text.toUpperCase();");
    writeFileSync(at("app", "words.json"), '{"hello":"hello"}');
    const good = greet("return loud(`${words.hello} ${name}`);");
    writeFileSync(at("app", "greet.ts"), good);
    const dev = new Dev(["--run", "greet", "--input", '"you"'], "app");
    expect(await hear(dev, "completed")).toMatchObject({ result: "HELLO YOU" });

    const changes: readonly (readonly [() => void, string])[] = [
      [() => replace(at("app", "greet.ts"), good.replace("${name}", "${name}!")), "HELLO YOU!"],
      [() => replace(at("app", "greet.ts"), good.replace("${name}", "${name}?")), "HELLO YOU?"],
      [() => writeFileSync(at("app", "greet.ts"), good), "HELLO YOU"],
      [() => replace(at("app", "words.json"), '{"hello":"bye"}'), "BYE YOU"],
      [
        () => replace(at("lib", "loud.ts"), "export const loud = (text: string): string => `${text}!!`;"),
        "bye you!!",
      ],
    ];
    for (const [change, result] of changes) {
      const from = dev.told.length;
      change();
      expect(await hear(dev, "completed", from)).toMatchObject({ result });
    }

    let from = dev.told.length;
    replace(at("app", "greet.ts"), greet('if (name === "you") throw new Error("not you");'));
    expect(await hear(dev, "ended", from)).toMatchObject({
      message: expect.stringContaining("not you") as string,
      place: {
        file: "app/greet.ts",
        line: 5,
        lineText: '  if (name === "you") throw new Error("not you");',
      },
    });

    // What is taken back after an error is said to be well again.
    from = dev.told.length;
    replace(at("app", "greet.ts"), greet("return (;"));
    await expect.poll(() => dev.errors).toContain("greet.ts:5:");
    replace(at("app", "greet.ts"), greet('if (name === "you") throw new Error("not you");'));
    expect(await hear(dev, "unchanged", from)).toMatchObject({ file: "greet.ts" });
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it("starts the worker anew when a library elsewhere changes that only activities import", async () => {
    const at = (...names: readonly string[]): string => path.join(test.directory, ...names);
    mkdirSync(at("app"));
    mkdirSync(at("lib"));
    writeFileSync(at("lib", "rate.ts"), "export const rate = 1;");
    writeFileSync(at("lib", "pay.ts"), 'export { rate } from "./rate.ts";');
    writeFileSync(
      at("app", "order.ts"),
      `import { activity, workflow } from "aion/workflow";
import { rate } from "../lib/pay.ts";
const pay = activity("pay", { taskQueue: "pay" }, async () => rate);
export { pay };
export const order = workflow("order", async () => await pay(undefined));`,
    );
    const dev = new Dev([], "app");
    const { url } = await hear(dev, "serving");
    await hear(dev, "worker");
    const env = { AION_STORE: "", AION_URL: url ?? "" };
    const from = dev.told.length;
    writeFileSync(at("lib", "rate.ts"), "export const rate = 2;");
    await hear(dev, "worker", from);
    await test.json(["start", "order", "--id", "o"], { env });
    expect(await test.json(["result", "o", "--wait"], { env })).toMatchObject({ result: 2 });
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it("starts a worker anew that has ended", async () => {
    write("hello", "one");
    const dev = new Dev([]);
    const { url = "" } = await hear(dev, "serving");
    const worker = pidOf(await hear(dev, "worker"));
    const from = dev.told.length;
    process.kill(worker, "SIGKILL");
    expect(pidOf(await hear(dev, "worker", from))).not.toBe(worker);
    expect(dev.errors).toContain("the worker has ended (SIGKILL); it is started anew");
    const env = { AION_STORE: "", AION_URL: url };
    await test.json(["start", "greet", "--id", "a", "--input", '"you"'], { env });
    expect(await test.json(["result", "a", "--wait"], { env })).toMatchObject({ result: "one hello you" });
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it.runIf(process.platform === "linux")("builds on when the bundler has ended", async () => {
    write("hello", "one");
    const dev = new Dev([]);
    await hear(dev, "worker");
    const { pid = 0 } = dev.process;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    const bundlers = children.filter((child) =>
      readFileSync(`/proc/${child}/cmdline`, "utf8").includes("esbuild"),
    );
    expect(bundlers).toHaveLength(1);
    process.kill(Number(bundlers[0]), "SIGKILL");
    const from = dev.told.length;
    write("bye", "two");
    expect(await hear(dev, "built", from)).toMatchObject({ file: "greet.ts" });
    expect(dev.errors).toBe("");
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it("goes on when its directory, or one in it, is taken away and made again", async () => {
    const root = path.join(test.directory, "app");
    const make = (answer: string): void => {
      mkdirSync(path.join(root, "sub"), { recursive: true });
      change(answer);
    };
    const change = (answer: string): void =>
      writeFileSync(
        path.join(root, "sub", "greet.ts"),
        `import { workflow } from "aion/workflow";
         export const greet = workflow("greet", async () => "${answer}");`,
      );
    make("first");
    // Elsewhere, for it would go, too.
    const dev = new Dev(["--run", "greet", "--data", "data"], "app");
    await hear(dev, "completed");
    for (const place of [path.join(root, "sub"), root]) {
      for (const step of ["again", "changed"]) {
        const from = dev.told.length;
        // As a change of the branch does: nobody looks in between.
        if (step === "again") rmSync(place, { recursive: true });
        make(`${place} ${step}`);
        expect(await hear(dev, "completed", from)).toMatchObject({ result: `${place} ${step}` });
      }
    }
    let from = dev.told.length;
    rmSync(root, { recursive: true });
    await hear(dev, "waiting", from);
    from = dev.told.length;
    make("last");
    expect(await hear(dev, "completed", from)).toMatchObject({ result: "last" });
    expect(dev.errors).toBe("");
    dev.process.kill("SIGINT");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it("waits for a first workflow", async () => {
    const dev = new Dev([]);
    await hear(dev, "waiting");
    write("hello", "one");
    await hear(dev, "built");
    await hear(dev, "worker");
    dev.process.kill("SIGTERM");
    expect(await once(dev.process, "exit")).toEqual([0, null]);
  });

  it.each([
    ["that is stopped, with code that never yields,", "for (;;) {}", "SIGINT"],
    ["that is killed", "return", "SIGKILL"],
  ] as const)("%s leaves no worker behind", async (_how, body, signal) => {
    writeFileSync(
      path.join(test.directory, "spin.ts"),
      `import { activity, workflow } from "aion/workflow";
       const spin = activity("spin", async () => { ${body}; });
       export const spinning = workflow("spinning", async () => await spin());
       export { spin };`,
    );
    const dev = new Dev(["--run", "spinning"]);
    const worker = pidOf(await hear(dev, "worker"));
    expect(worker).toBeGreaterThan(0);
    await hear(dev, "started");
    // It may have got its task, and not come back from it.
    await new Promise((resolve) => setTimeout(resolve, 500));
    dev.process.kill(signal);
    await once(dev.process, "exit");
    await expect.poll(() => isThere(worker)).toBe(false);
  });

  it("says what is wrong with its place", async () => {
    const result = await test.run(["dev", "nowhere"]);
    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("there is no ") as string });
  });
});

function pidOf({ message = "" }: Told): number {
  return Number(/^worker .*?:(\d+):/.exec(message)?.[1]);
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
