/** The documents against what they speak of: links, generated pages, tables, the names of options and functions. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import * as workflowModule from "aion/workflow";
import { errorsPage, renderErrors } from "../../docs/generate-errors.ts";
import { renderServer, serverPage } from "../../docs/generate-server.ts";
import { metricsPage, renderMetrics } from "../../docs/generate-metrics.ts";
import { cliJsonPage, renderPage, renderSchemas, schemasFile } from "../../docs/generate-cli-json.ts";
import { groups } from "../../docs/invariants.ts";
import { invariantsPage, readCitations, renderInvariants, stateOf } from "../../docs/generate-invariants.ts";
import type { Document } from "./documents.ts";
import { parseDocument, readDocument, readDocuments, readTable, root } from "./documents.ts";

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

function findBrokenLinks(documents: readonly Document[]): readonly string[] {
  const byPath = new Map(documents.map((document) => [document.path, document]));
  return documents.flatMap((document) =>
    document.links.flatMap(({ target, line }) => {
      if (/^[a-z]+:/.test(target)) return [];
      const [file = "", anchor] = target.split("#");
      const wanted = file === "" ? document.path : path.posix.join(path.posix.dirname(document.path), file);
      const place = `${document.path}:${line}: ${target}`;
      if (!existsSync(path.join(root, wanted)) && !byPath.has(wanted)) return [`${place}: no such file`];
      if (anchor === undefined || byPath.get(wanted)?.anchors.has(anchor) !== false) return [];
      return [`${place}: no such heading`];
    }),
  );
}

describe("the documents", () => {
  it("have no link that leads nowhere", () => {
    expect(findBrokenLinks(readDocuments())).toEqual([]);
  });

  it("have their broken links found", () => {
    const document = parseDocument(
      "docs/a.md",
      "# A b\n\n[x](#a-b) [x](#c) [x](b.md) [x](../README.md#limits)\n",
    );
    expect(findBrokenLinks([document, readDocument("README.md")])).toEqual([
      expect.stringMatching(/docs\/a\.md:3: #c: no such heading/),
      expect.stringMatching(/docs\/a\.md:3: b\.md: no such file/),
      ...findBrokenLinks([readDocument("README.md")]),
    ]);
  });
});

describe("pages that are made", () => {
  it("docs/errors.md is what the table of errors makes: node scripts/bootstrap.mjs docs/generate-errors.ts", async () => {
    expect(readFileSync(errorsPage, "utf8") === (await renderErrors())).toBe(true);
  });

  it("docs/metrics.md is what the table of metrics makes: node scripts/bootstrap.mjs docs/generate-metrics.ts", async () => {
    expect(readFileSync(metricsPage, "utf8")).toBe(await renderMetrics());
  });

  it("docs/server.md is what the settings and the API make: node scripts/bootstrap.mjs docs/generate-server.ts", async () => {
    expect(readFileSync(serverPage, "utf8") === (await renderServer())).toBe(true);
  });

  it("docs/cli-json.md and its schemas are what the command's schemas make: node scripts/bootstrap.mjs docs/generate-cli-json.ts", async () => {
    expect(readFileSync(cliJsonPage, "utf8") === (await renderPage())).toBe(true);
    expect(readFileSync(schemasFile, "utf8") === renderSchemas()).toBe(true);
  });

  it("docs/invariants.md is what the tests cite: node scripts/bootstrap.mjs docs/generate-invariants.ts", async () => {
    const made = await renderInvariants(readCitations());
    // Not the pages themselves: a table that grew by a letter differs in every line.
    expect(readFileSync(invariantsPage, "utf8") === made).toBe(true);
  });
});

describe("the invariants", () => {
  const all = groups.flatMap((group) => group.invariants);

  it("are numbered from 1 on without a gap", () => {
    expect(all.map(({ number }) => number)).toEqual(all.map((_, index) => index + 1));
  });

  it("are the ones that tests cite", () => {
    const known = new Set(all.map(({ number }) => number));
    const unknown = [...readCitations()].filter(([number]) => !known.has(number));
    expect(unknown).toEqual([]);
  });

  it("wait without a test, are shown with one, and in part when something is missing", () => {
    const invariant = { number: 1, claim: "a", layers: ["U"] } as const;
    expect(stateOf(invariant, 0)).toBe("waits");
    expect(stateOf(invariant, 1)).toBe("shown");
    expect(stateOf({ ...invariant, missing: "b" }, 1)).toBe("partly");
  });
});

describe("docs/dependencies.md", () => {
  it("speaks of every dependency, and of no other", () => {
    const manifest = JSON.parse(read("package.json")) as {
      readonly dependencies: Readonly<Record<string, string>>;
      readonly devDependencies: Readonly<Record<string, string>>;
    };
    const [, installed = "", development = ""] = read("docs/dependencies.md").split(/^## /m);
    const named = (text: string): readonly string[] =>
      [...text.matchAll(/^### (.*)$/gm)]
        .flatMap(([, heading = ""]) => heading.split(", "))
        .map((name) => name.replaceAll("`", ""))
        .toSorted();
    expect(named(installed)).toEqual(Object.keys(manifest.dependencies).toSorted());
    expect(named(development)).toEqual(Object.keys(manifest.devDependencies).toSorted());
  });
});

describe("the table of layers", () => {
  interface Row {
    readonly layer: string;
    readonly layers: readonly string[];
    readonly packages: readonly string[];
    readonly builtins: string;
  }

  const list = (text: string | undefined): readonly string[] =>
    [...(text ?? "").matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name);

  /** From the text of the test, which is the one place where it is written. */
  function readEnforced(): readonly Row[] {
    const text = read("test/architecture.test.ts");
    const body = /const table: [^=]*= \{\n(.*?)\n\};/s.exec(text)?.[1] ?? "";
    return [...body.matchAll(/^ {2}(\w+): \{(.*?)\}/gms)].map(([, layer = "", of = ""]) => ({
      layer,
      layers: list(/\blayers: \[(.*?)\]/s.exec(of)?.[1]),
      packages: list(/packages: \[(.*?)\]/s.exec(of)?.[1]),
      builtins: of.includes('builtins: "all"')
        ? "all"
        : list(/builtins: \[(.*?)\]/s.exec(of)?.[1]).join(", "),
    }));
  }

  const cell = (text: string | undefined): readonly string[] =>
    text === undefined || text === "none" ? [] : text.split(", ");

  it("in docs/architecture.md is the one that is enforced", () => {
    const enforced = readEnforced();
    expect(enforced.map(({ layer }) => layer)).toContain("engine");
    const written = readTable(readDocument("docs/architecture.md"), "Allowed imports").map(
      ([layer = "", layers, packages, builtins = ""]): Row => ({
        layer,
        layers: cell(layers),
        packages: cell(packages),
        builtins: builtins === "none" ? "" : builtins,
      }),
    );
    expect(written).toEqual(enforced);
  });

  it("in CONTRIBUTING.md is the one that is enforced", () => {
    const written = readTable(readDocument("CONTRIBUTING.md"), "Layers").map(([layer = "", layers]) => ({
      layer: layer.replace(/ .*$/, "").replace(".ts", ""),
      layers: layers === "nothing" ? [] : (layers ?? "").split(", "),
    }));
    expect(written.toSorted(byLayer)).toEqual(
      readEnforced()
        .map(({ layer, layers }) => ({ layer, layers }))
        .toSorted(byLayer),
    );
  });

  function byLayer(a: { readonly layer: string }, b: { readonly layer: string }): number {
    return a.layer < b.layer ? -1 : 1;
  }
});

describe("docs/guide.md", () => {
  const guide = read("docs/guide.md");

  it("speaks of every function and class of aion/workflow", () => {
    const names = Object.keys(workflowModule);
    expect(names).toContain("receive");
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(guide))).toEqual([]);
  });

  it.each([
    ["src/embedded/engine.ts", "EngineOptions"],
    ["src/embedded/engine.ts", "CloseOptions"],
    ["src/engine/task-queues.ts", "TaskQueueLimits"],
    ["src/worker/worker.ts", "WorkerOptions"],
    ["src/worker/worker.ts", "WorkerStopOptions"],
    ["src/client/client.ts", "StartOptions"],
    ["src/client/client.ts", "GetOptions"],
    ["src/client/run-handle.ts", "SignalOptions"],
    ["src/core/retry.ts", "RetryPolicy"],
    ["src/workflow/definition.ts", "ActivityOptions"],
    ["src/workflow/definition.ts", "ActivityTask"],
    ["src/workflow/definition.ts", "WorkflowOptions"],
    ["src/workflow/api.ts", "ChildOptions"],
    ["src/workflow/context.ts", "WorkflowInfo"],
  ])("speaks of every field of %s, %s", (file, name) => {
    const body =
      new RegExp(`export interface ${name}\\b.*?\\{\\n(.*?)\\n\\}`, "s").exec(read(file))?.[1] ?? "";
    const fields = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, field = ""]) => field);
    expect(fields.length).toBeGreaterThan(0);
    expect(fields.filter((field) => !new RegExp(`\\b${field}\\b`).test(guide))).toEqual([]);
  });
});
