import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AnyWorkflow } from "../workflow/definition.ts";
import { loadInline } from "./inline.ts";
import type { Payload } from "../core/payload.ts";
import type { RunId, WorkflowId } from "../core/ids.ts";
import { step, workflow } from "../workflow/index.ts";
import { sourceLine } from "./source-line.ts";

/** The places of the commands of a workflow's first turn. */
async function placesOf(definition: AnyWorkflow): Promise<readonly string[]> {
  const instance = loadInline([definition])
    .route(definition.workflowType)
    ?.instantiate({
      workflowId: "w" as WorkflowId,
      runId: "r" as RunId,
      startedAt: 0,
      isUnchecked: false,
      payloadLimitBytes: 1_000,
      isTracing: true,
      log: () => undefined,
      onStray: () => undefined,
    });
  instance?.begin({
    delivery: { kind: "start", input: "1" as Payload },
    nowMs: 0,
    historyLength: 1,
    isHistoryLong: false,
    recorded: [],
    isLast: true,
    isReplaying: false,
  });
  await new Promise((resolve) => setImmediate(resolve));
  const turn = instance?.end();
  return turn === undefined || typeof turn === "string" ? [] : turn.sources;
}

describe("the source line of a command", () => {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "aion-source-line-"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it("is where the author's code asks for it", async () => {
    const definition = workflow("here", async () => {
      await step("first", () => 1); // the line of the command
    });
    const { stack = "" } = new Error("the line of this error");
    const ownLine = Number(/source-line\.test\.ts:(\d+):\d+/.exec(stack)?.[1]);
    const [place = ""] = await placesOf(definition);
    expect(place).toMatch(/source-line\.test\.ts:\d+:\d+$/);
    expect(Number(/:(\d+):\d+$/.exec(place)?.[1])).toBe(ownLine - 2);
  });

  it("is the author's, in folders that are named like those of Aion", async () => {
    const folder = path.join(directory, "my app", "src", "workflow");
    await mkdir(folder, { recursive: true });
    const file = path.join(folder, "order.mjs");
    await writeFile(file, `export const run = (step) =>\n  step("first", () => 1);\n`);
    const order = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as {
      readonly run: (through: typeof step) => Promise<number>;
    };
    const [place = ""] = await placesOf(workflow("there", () => order.run(step)));
    expect(decodeURI(place)).toMatch(/my app\/src\/workflow\/order\.mjs:2:3$/);
  });

  it("is not told where no frame of the author is left", () => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      expect(sourceLine()).toBeUndefined();
    } finally {
      Error.stackTraceLimit = limit;
    }
  });
});
