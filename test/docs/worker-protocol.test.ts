/** docs/worker-protocol.md against the protocol: its tables, and its conversations, which are played with our worker. */
import { fromJson } from "@bufbuild/protobuf";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import { InProcessTransport } from "aion/testing";
import { Worker, conformanceActivities, conformanceQueue, runWorkerScenario } from "aion/worker";
import type { EngineFrame, Pattern, ScenarioStep } from "aion/worker";
import { describe, expect, it } from "vitest";
import { WorkRequestSchema, WorkResponseSchema } from "../../src/http/gen/aion/v1/workers_pb.ts";
import { fromWorkResponse } from "../../src/http/worker-frames.ts";
import { conformingActivities } from "../workers/conforming-activities.ts";
import { readDocument } from "./documents.ts";

const page = readDocument("docs/worker-protocol.md");

/** The rows of the table whose head begins so. */
function tableOf(...head: readonly string[]): readonly (readonly string[])[] {
  const rows = page.text.split("\n").map((line) =>
    line.startsWith("|")
      ? line
          .slice(1, -1)
          .split("|")
          .map((cell) => cell.trim())
      : [],
  );
  const tables = rows.flatMap((row, index) =>
    head.every((cell, column) => row[column] === cell) ? [index] : [],
  );
  return tables.flatMap((start) => {
    const after = rows.slice(start + 2);
    return after.slice(
      0,
      after.findIndex((row) => row.length === 0),
    );
  });
}

const namesIn = (cell = ""): readonly string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");

describe("the page about the protocol of workers", () => {
  it("names the frames and their fields as they are", () => {
    const told = tableOf("frame", "fields").map(([frame, fields]) => [namesIn(frame)[0], namesIn(fields)]);
    const there = [WorkRequestSchema, WorkResponseSchema].flatMap((message: DescMessage) =>
      message.fields.map((frame) => [frame.jsonName, frame.message?.fields.map(({ jsonName }) => jsonName)]),
    );
    expect(told).toEqual(there);
  });

  it("names the activities of the kit", () => {
    expect(tableOf("activity", "what it does").map(([name]) => namesIn(name)[0])).toEqual([
      ...conformanceActivities,
    ]);
  });

  const conversations = page.fences.filter(({ language }) => language === "frames");

  it("has conversations", () => {
    expect(conversations.length).toBeGreaterThanOrEqual(4);
  });

  it.each(conversations.map(({ line, text }) => [line, text] as const))(
    "has a conversation at line %i that our worker has",
    async (_line, text) => {
      const steps: ScenarioStep[] = [{ step: "connects" }];
      for (const said of text.trimEnd().split("\n")) steps.push(...stepsOf(said));
      const activities = conformingActivities();
      const scenario = { name: "the page", capacity: 2, steps };
      await runWorkerScenario(scenario, {
        start: async (engine, { capacity }) => {
          const worker = new Worker({
            transport: new InProcessTransport(() => engine),
            activities,
            taskQueues: [conformanceQueue],
            concurrency: capacity,
            log: () => undefined,
          });
          const stopped = worker.run();
          return { stop: () => worker.stop({ drain: 0 }), stopped };
        },
      });
      expect(steps.length).toBeGreaterThan(5);
    },
  );
});

/** What one line of a conversation is in a scenario. */
function stepsOf(line: string): readonly ScenarioStep[] {
  if (line === "✂") return [{ step: "cut" }, { step: "connects" }];
  const json = JSON.parse(line.slice(2)) as JsonObject;
  if (line.startsWith("←")) {
    const frame = fromWorkResponse(fromJson(WorkResponseSchema, json)) as EngineFrame;
    return [{ step: "tell", frame }];
  }
  expect(line).toMatch(/^→ /);
  // A field that there is not would not be read.
  fromJson(WorkRequestSchema, json);
  const [entry] = Object.entries(json);
  const [type, fields] = entry ?? [];
  return [{ step: "says", frame: { type, ...(toPattern(fields) as object) } as Pattern }];
}

/** `…` stands for any text. */
function toPattern(value: unknown): unknown {
  if (value === "…") return { text: true };
  if (Array.isArray(value)) return value.map(toPattern);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, toPattern(each)]));
}
