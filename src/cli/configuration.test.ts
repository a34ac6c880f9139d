import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isAionError } from "../core/errors.ts";
import { runLimitsDefault } from "../engine/run-limits.ts";
import { describeSettings, loadConfiguration, toServerOptions, variableOf } from "./configuration.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-settings-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function fileOf(settings: object): string {
  const file = path.join(directory, "settings.json");
  writeFileSync(file, JSON.stringify(settings));
  return file;
}

function refusalOf(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    return isAionError(error) ? error.message : String(error);
  }
  return "taken";
}

describe("the settings of a server", () => {
  it("come from flags, then the environment, then the file, then the defaults", () => {
    const config = fileOf({ port: 1, lease: "1s", residentMax: 1, logLevel: "warn" });
    const settings = loadConfiguration({ config, port: "3" }, { AION_PORT: "2", AION_LEASE: "2s" });
    expect(settings).toMatchObject({
      port: 3,
      lease: 2_000,
      residentMax: 1,
      logLevel: "warn",
      host: "127.0.0.1",
    });
    expect(loadConfiguration({}, { AION_CONFIG: config }).port).toBe(1);
  });

  it("are limits of runs, requests and callers, too, each by its flag or any other way", () => {
    const config = fileOf({ pendingTimersMax: 5 });
    const flags = {
      config,
      historyEventsMax: "7",
      callsPerRequestMax: "3",
      callsPerConnectionMax: "4",
      unreadAnswersBytesMax: "5000000",
    };
    const settings = loadConfiguration(flags, {
      AION_ON_RUN_LIMIT: "fail",
      AION_STREAMS_PER_CALLER_MAX: "2",
    });
    expect(toServerOptions(settings)).toMatchObject({
      limits: { ...runLimitsDefault, pendingTimersMax: 5, historyEventsMax: 7 },
      onRunLimit: "fail",
      callsPerRequestMax: 3,
      streamsPerCallerMax: 2,
      callsPerConnectionMax: 4,
      unreadAnswersBytesMax: 5_000_000,
    });
    expect(toServerOptions(settings)).not.toHaveProperty("historyEventsMax");
    expect(refusalOf(() => loadConfiguration({ historyEventsMax: "0" }, {}))).toContain(
      "--history-events-max",
    );
    expect(refusalOf(() => loadConfiguration({}, { AION_PACKAGE_LIMIT_BYTES: "99999999" }))).toContain(
      "AION_PACKAGE_LIMIT_BYTES",
    );
  });

  it("say what task queues allow, in the file and as JSON in the environment", () => {
    const taskQueues = { emails: { concurrency: 10, perSecond: 0.5 }, gpu: { concurrency: 1 } };
    expect(loadConfiguration({ config: fileOf({ taskQueues }) }, {}).taskQueues).toEqual(taskQueues);
    const environment = { AION_TASK_QUEUES: JSON.stringify(taskQueues) };
    expect(loadConfiguration({}, environment).taskQueues).toEqual(taskQueues);
  });

  it.each([
    [{ AION_PORT: "many" }, "AION_PORT"],
    [{ AION_PORT: "65536" }, "AION_PORT"],
    [{ AION_WORKER_SESSION: "soon" }, "workerSession"],
    [{ AION_WORKER_SESSION: "0" }, "AION_WORKER_SESSION"],
    [{ AION_WORKER_SESSION: "2 days" }, "AION_WORKER_SESSION"],
    [{ AION_LEASE: "1" }, "AION_LEASE"],
    [{ AION_ACTIVATION_BUDGET: "0" }, "AION_ACTIVATION_BUDGET"],
    [{ AION_DRAIN: "1000h" }, "AION_DRAIN"],
    // Tokens would hold for long after they expired.
    [{ AION_JWT_CLOCK_TOLERANCE: "1 day" }, "AION_JWT_CLOCK_TOLERANCE"],
    [{ AION_TASK_QUEUES: "{" }, "AION_TASK_QUEUES"],
    [{ AION_TASK_QUEUES: '{"emails":{"concurrency":0}}' }, "AION_TASK_QUEUES"],
    [{ AION_TASK_QUEUES: '{"emails":{"perHour":1}}' }, "AION_TASK_QUEUES"],
    [{ AION_LOG_LEVEL: "loud" }, "AION_LOG_LEVEL"],
  ])("that are wrong are refused by the name under which they were given: %j", (environment, name) => {
    expect(refusalOf(() => loadConfiguration({}, environment))).toContain(name);
  });

  it("that are none are refused, and a file that is named must be there", () => {
    for (const port of ["", " ", "0x10", "1e3", "80.0", "-1", "65536"])
      expect(refusalOf(() => loadConfiguration({ port }, {}))).toContain("--port");
    for (const port of ["", true, null, [80]])
      expect(refusalOf(() => loadConfiguration({ config: fileOf({ port }) }, {}))).toContain("port");
    expect(refusalOf(() => loadConfiguration({ config: fileOf({ prot: 1 }) }, {}))).toContain("prot");
    expect(refusalOf(() => loadConfiguration({ config: path.join(directory, "none") }, {}))).toContain(
      "cannot read",
    );
    expect(refusalOf(() => loadConfiguration({ config: fileOf([]) }, {}))).toContain("no JSON object");
  });

  it("are all described, and named in the environment", () => {
    for (const { name, variable, text } of describeSettings()) {
      expect(variable).toBe(variableOf(name));
      expect([name, text.length > 10]).toEqual([name, true]);
    }
  });
});
