/**
 * The process of an embedded engine that crash workloads kill. Started with an IPC channel and a
 * `HostSpec` as its argument.
 */
import { randomUUID } from "node:crypto";
import { createEngine } from "./engines.ts";
import type { HostReport, HostRequest, HostSpec } from "./host-protocol.ts";
import { runInFlight } from "./pool.ts";
import { payloadFor, stepProbe } from "./trivial-step.ts";

const spec = JSON.parse(process.argv[2] ?? "{}") as HostSpec;

function report(message: HostReport): void {
  process.send?.(message);
}

function fail(error: unknown): void {
  report({
    type: "failed",
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

if (spec.killAtStep !== undefined) stepProbe.killAtStep = spec.killAtStep;
stepProbe.onFirstStep = () => {
  report({ type: "firstStep" });
};

const engine = await createEngine(spec.engine, { directory: spec.directory });
await engine.open();
report({ type: "opened" });

if (spec.probe) {
  await engine.runSteps(randomUUID(), payloadFor("probe"));
  report({ type: "ready" });
}

async function serve(request: HostRequest): Promise<void> {
  switch (request.type) {
    case "sequence":
      // Its result is of no interest here: the process is killed before, or the driver waits for it.
      engine.runSequence(request.id, request.steps).catch(fail);
      report({ type: "sequenceStarted" });
      return;
    case "sleepers": {
      const startedAt = performance.now();
      await runInFlight(request.count, request.inFlight, () => engine.startSleeper(randomUUID()));
      report({ type: "sleepersStarted", seconds: (performance.now() - startedAt) / 1000 });
      return;
    }
    case "longHistory": {
      if (engine.startLongHistory === undefined) throw new TypeError(`${engine.name} builds no long history`);
      const events = await engine.startLongHistory(request.id, request.events);
      report({ type: "longHistoryBuilt", events });
    }
  }
}

// Nobody is left to kill this process.
process.on("disconnect", () => {
  process.exit();
});
process.on("message", (request: HostRequest) => {
  serve(request).catch(fail);
});
