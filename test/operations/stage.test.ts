import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Stage } from "./stage.ts";

it("an engine that is killed just before all is to be calm is started again", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "aion-stage-"));
  const stage = new Stage({ directory, seed: "calm", isServed: false });
  onTestFinished(async () => {
    await stage.close();
    rmSync(directory, { recursive: true, force: true });
  });
  await stage.prepare();
  stage.killNow();
  stage.beCalm();
  // Its death is not known yet.
  const disturbing = stage.disturb();
  disturbing.catch(() => undefined);
  const told = await Promise.race([
    stage.told((desk) => desk.describe({ workflowId: "nobody" })),
    disturbing.then(() => "nothing more is started"),
  ]);
  expect(told).toBe("run_not_found");
  expect(stage.kills.engine).toBe(1);
});
