/** The way to back up that the guide gives. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Engine } from "aion";
import { receive, signal, workflow } from "aion/workflow";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDocument } from "./documents.ts";
import type { Workspace } from "./snippets.ts";
import { writeSnippets } from "./snippets.ts";

const go = signal<string>("go");
const wait = workflow("wait", () => receive(go));
const options = { workflows: [wait], localSocket: false };

describe("a backup by the guide's recipe", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "aion-backup-"));
  const live = path.join(folder, "live.db");
  const copy = path.join(folder, "copy.db");
  let workspace: Workspace;
  let backUp: (from: string, to: string) => Promise<void>;

  beforeAll(async () => {
    workspace = writeSnippets([readDocument("docs/guide.md")]);
    ({ backUp } = (await import(
      /* @vite-ignore */ path.join(workspace.folderOf("guide.md"), "back-up.ts")
    )) as { readonly backUp: typeof backUp });
  });

  afterAll(() => {
    workspace.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it("holds what was acknowledged before it, and nothing later; and goes on from there", async () => {
    const engine = await Engine.open({ ...options, store: `sqlite:${live}` });
    await engine.client.start(wait, undefined, { id: "before" });
    await backUp(live, copy);
    await engine.client.start(wait, undefined, { id: "after" });
    await engine.client.get("before").signal(go, "in the original");
    await engine.close();

    const restored = await Engine.open({ ...options, store: `sqlite:${copy}` });
    expect(await restored.client.count()).toBe(1);
    await restored.client.get("before").signal(go, "in the copy");
    expect(await restored.client.get("before").result()).toBe("in the copy");
    await restored.close();
  });
});
