/** The client where there is no Node: bundled for a browser, and run with nothing but what a page has. */
import path from "node:path";
import vm from "node:vm";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { serve } from "./serve.ts";

const root = path.dirname(path.dirname(import.meta.dirname));

it("the client of a server runs in a page", async () => {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents:
        'export { Client, isAionError } from "./src/client/index.ts"; export { workflow } from "./src/workflow/index.ts";',
      resolveDir: root,
    },
    bundle: true,
    write: false,
    metafile: true,
    format: "iife",
    globalName: "aion",
    platform: "browser",
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
  expect(imports.filter(({ external, path: file }) => external === true || file.startsWith("node:"))).toEqual(
    [],
  );

  const { url } = await serve({
    start: async ({ workflowType }) => ({ workflowId: workflowType, runId: "r1", isNew: true }),
    result: async () => ({ status: "completed", runId: "r1", result: '{"paid":true}' as never }),
  });
  // No process, no Buffer, no require.
  const {
    fetch,
    queueMicrotask,
    setTimeout,
    clearTimeout,
    AbortController,
    AbortSignal,
    URL,
    URLSearchParams,
    crypto,
    performance,
  } = globalThis;
  const page = vm.createContext({
    fetch,
    queueMicrotask,
    setTimeout,
    clearTimeout,
    AbortController,
    AbortSignal,
    URL,
    URLSearchParams,
    crypto,
    performance,
    url,
  });
  vm.runInContext(outputFiles[0]?.text ?? "", page);
  const answer: unknown = await vm.runInContext(
    `(async () => {
      const order = aion.workflow("order", async () => ({ paid: true }));
      const run = await new aion.Client({ url }).start(order);
      const refused = await aion.Client.prototype.start.call(new aion.Client({ url }), "").catch((error) => aion.isAionError(error) && error.code);
      return JSON.stringify([run.workflowId, await run.result(), refused]);
    })()`,
    page,
  );
  expect(answer).toBe('["order",{"paid":true},"invalid_argument"]');
});
