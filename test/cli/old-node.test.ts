import { spawnSync } from "node:child_process";
import path from "node:path";
import process from "node:process";
import { expect, it } from "vitest";

it("an older Node is told in a line what is wanted, before anything fails to load", () => {
  const older = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      "--conditions=aion-source",
      `--import=data:text/javascript,${encodeURIComponent(older)}`,
      path.resolve("src/cli/main.ts"),
      "list",
    ],
    { encoding: "utf8" },
  );
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("error: aion needs Node 24 or later, and this is 20.20.2");
  expect(stderr).toContain("npm install --save-dev node@24");
});
