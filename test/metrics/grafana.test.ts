/** The dashboard and the alerts ask for nothing that is not in the table of metrics, and leave none of it out. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { dashboardFile, renderDashboard } from "../../docs/generate-dashboard.ts";
import { isErrorCode } from "../../src/core/errors.ts";
import { labelTable } from "../../src/core/metric-spec.ts";
import { metricTable } from "../../src/core/metrics.ts";

const gridSchema = z.strictObject({
  x: z.int().min(0),
  y: z.int().min(0),
  w: z.int().min(1),
  h: z.int().min(1),
});
const panelSchema = z.object({
  id: z.int().min(1),
  type: z.enum(["row", "stat", "timeseries"]),
  title: z.string().min(1),
  description: z.string().default(""),
  gridPos: gridSchema,
  targets: z.array(z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string() })).default([]),
});
const dashboardSchema = z.object({
  uid: z.string(),
  schemaVersion: z.literal(39),
  templating: z.object({
    list: z.array(z.object({ name: z.string(), type: z.string(), definition: z.string().optional() })),
  }),
  panels: z.array(panelSchema),
});
const alertSchema = z.strictObject({
  alert: z.string().regex(/^Aion[A-Z]\w+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+m$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(["warning", "critical"]) }),
  annotations: z.strictObject({ summary: z.string().min(10), description: z.string().min(30) }),
});
const rulesSchema = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(alertSchema).min(1) })),
});

const dashboard = dashboardSchema.parse(JSON.parse(readFileSync(dashboardFile, "utf8")));
const { groups } = rulesSchema.parse(
  parseYaml(readFileSync(path.join(path.dirname(dashboardFile), "alerts.yaml"), "utf8")),
);
const alerts = groups.flatMap(({ rules }) => rules);
const targets = dashboard.panels.flatMap((panel) => panel.targets);

interface Series {
  readonly metric: string;
  readonly labels: readonly string[];
  readonly isBucket: boolean;
  readonly isCounter: boolean;
}

/** What Prometheus adds to each series. */
const scraped = ["job", "instance"];
/** The one metric that Prometheus makes itself. */
const up: Series = { metric: "up", labels: scraped, isBucket: false, isCounter: false };

function findSeries(name: string): Series | undefined {
  if (name === "up") return up;
  for (const [metric, { type, of, labels }] of Object.entries(metricTable)) {
    const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    const suffix = suffixes.find((each) => name === `${metric}${each}`);
    if (suffix === undefined) continue;
    const isBucket = suffix === "_bucket";
    const all = [
      ...labels,
      ...(of === "engine" ? ["namespace"] : []),
      ...(isBucket ? ["le"] : []),
      ...scraped,
    ];
    return { metric, labels: all, isBucket, isCounter: type !== "gauge" };
  }
  return undefined;
}

interface Reading {
  readonly metrics: ReadonlySet<string>;
  /** Labels that what comes out can have. */
  readonly labels: ReadonlySet<string>;
  readonly faults: readonly string[];
}

function isValue(label: string, value: string): boolean {
  if (value.startsWith("$")) return true;
  if (label === "code") return value === "ok" || isErrorCode(value);
  const known = Object.entries(labelTable).find(([name]) => name === label)?.[1].values;
  return known?.includes(value) ?? true;
}

function readQuery(query: string): Reading {
  // Grafana replaces it by a duration.
  const text = query.replaceAll("$__rate_interval", "5m");
  const faults: string[] = [];
  const metrics = new Set<string>();
  const labels = new Set<string>();
  const grouped = new Set<string>();
  const tree = parser.parse(text);
  type Node = typeof tree.topNode;
  const textOf = (node: Node | null): string => (node === null ? "" : text.slice(node.from, node.to));
  const seriesIn = (node: Node): readonly Series[] =>
    descendants(node, "VectorSelector").flatMap(
      (each) => findSeries(textOf(each.getChild("Identifier"))) ?? [],
    );
  const descendants = (node: Node, type: string): readonly Node[] => {
    const found: Node[] = [];
    for (let child = node.firstChild; child !== null; child = child.nextSibling) {
      if (child.name === type) found.push(child);
      found.push(...descendants(child, type));
    }
    return found;
  };

  tree.iterate({
    enter: ({ type }) => {
      if (type.isError) faults.push("cannot be read");
    },
  });
  for (const selector of descendants(tree.topNode, "VectorSelector")) {
    const name = textOf(selector.getChild("Identifier"));
    const series = findSeries(name);
    if (series === undefined) {
      faults.push(`no metric ${name}`);
      continue;
    }
    metrics.add(series.metric);
    for (const label of series.labels) labels.add(label);
    const matched = descendants(selector, "UnquotedLabelMatcher").map((matcher) => ({
      label: textOf(matcher.getChild("LabelName")),
      value: textOf(matcher.getChild("StringLiteral")).slice(1, -1),
    }));
    for (const { label, value } of matched) {
      if (!series.labels.includes(label)) faults.push(`no label ${label} of ${name}`);
      const unknown = value.split("|").find((each) => !isValue(label, each));
      if (unknown !== undefined) faults.push(`no value ${unknown} of ${label}`);
    }
    // Others have metrics of this name too.
    if (!name.startsWith("aion_") && !matched.some(({ label }) => label === "job"))
      faults.push(`${name} of whatever job`);
  }
  for (const call of descendants(tree.topNode, "FunctionCall")) {
    if (/^(?:rate|increase)\(/.test(textOf(call)) && seriesIn(call).some(({ isCounter }) => !isCounter))
      faults.push("a rate of a gauge");
  }
  for (const aggregate of descendants(tree.topNode, "AggregateExpr")) {
    const by = descendants(aggregate, "GroupingLabels").flatMap((each) =>
      descendants(each, "LabelName").map(textOf),
    );
    for (const label of by) grouped.add(label);
    for (const { metric, labels: own, isBucket } of seriesIn(aggregate)) {
      const foreign = by.find((label) => !own.includes(label));
      if (foreign !== undefined) faults.push(`no label ${foreign} of ${metric}`);
      if (isBucket && !by.includes("le")) faults.push(`the buckets of ${metric} are added up`);
    }
  }
  const isAggregated = descendants(tree.topNode, "AggregateExpr").length > 0;
  return { metrics, labels: isAggregated ? grouped : labels, faults };
}

/** Labels that are written out and that what the query gives does not have. */
function findForeign(text: string, pattern: RegExp, { labels }: Reading): readonly string[] {
  return [...text.matchAll(pattern)].map(([, label]) => label ?? "").filter((label) => !labels.has(label));
}

describe("what the check of queries finds", () => {
  it.each([
    ["sum(aion_runs", "cannot be read"],
    ["aion_runs_lost", "no metric aion_runs_lost"],
    ["aion_commit_seconds", "no metric aion_commit_seconds"],
    ["aion_runs_bucket", "no metric aion_runs_bucket"],
    ['aion_runs{task_queue="a"}', "no label task_queue of aion_runs"],
    ['aion_server_ready{namespace="a"}', "no label namespace of aion_server_ready"],
    ['aion_runs{residence="nowhere"}', "no value nowhere of residence"],
    ['aion_calls_total{code=~"ok|fine"}', "no value fine of code"],
    ["sum by (code) (aion_runs)", "no label code of aion_runs"],
    [
      "sum by (namespace) (rate(aion_commit_seconds_bucket[5m]))",
      "the buckets of aion_commit_seconds are added up",
    ],
    ["rate(aion_runs[5m])", "a rate of a gauge"],
    ["process_cpu_seconds_total", "process_cpu_seconds_total of whatever job"],
  ])("%s: %s", (query, fault) => {
    expect(readQuery(query).faults).toContain(fault);
  });

  it("nothing in what is sound", () => {
    const query =
      'sum by (le, job) (rate(aion_commit_seconds_bucket{namespace=~"$namespace"}[$__rate_interval]))';
    expect(readQuery(query)).toEqual({
      metrics: new Set(["aion_commit_seconds"]),
      labels: new Set(["le", "job"]),
      faults: [],
    });
  });
});

describe("the dashboard", () => {
  it("is what the list of panels makes: node scripts/bootstrap.mjs docs/generate-dashboard.ts", () => {
    expect(readFileSync(dashboardFile, "utf8") === renderDashboard()).toBe(true);
  });

  it.each(targets)("asks for what there is: $expr", ({ expr, legendFormat }) => {
    const reading = readQuery(expr);
    expect(reading.faults).toEqual([]);
    expect(findForeign(legendFormat, /\{\{(\w+)\}\}/g, reading)).toEqual([]);
    const variables = dashboard.templating.list.map(({ name }) => name);
    const asked = [...expr.matchAll(/\$(?!__rate_interval)(\w+)/g)].map(([, name]) => name);
    expect(variables).toEqual(expect.arrayContaining(asked));
    // Another job, or namespace, is never mixed in.
    expect(expr).toContain('job=~"$job"');
  });

  it("has a source of data and variables that can be asked for", () => {
    const { list } = dashboard.templating;
    expect(list.map(({ name }) => name)).toEqual(["datasource", "job", "namespace", "task_queue"]);
    const asked = list.flatMap(
      ({ definition }) => /^label_values\((.*), (\w+)\)$/.exec(definition ?? "")?.slice(1) ?? [],
    );
    expect(asked).toHaveLength(6);
    for (const [index, query] of asked.entries()) {
      if (index % 2 === 1) continue;
      const { faults, labels } = readQuery(query);
      expect(faults).toEqual([]);
      expect(labels).toContain(asked[index + 1]);
    }
  });

  it("gives each panel an id, a place of its own, and what there is to know", () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos: { x, w } }) => x + w))).toBeLessThanOrEqual(24);
    for (const { type, description, targets: own } of dashboard.panels) {
      if (type === "row") continue;
      expect(new Set(own.map(({ refId }) => refId)).size).toBe(own.length);
      for (const metric of own.flatMap(({ expr }) => [...readQuery(expr).metrics]))
        expect(description).toContain(`**${metric}**: `);
    }
  });
});

describe("the alerts", () => {
  it.each(alerts)("ask for what there is: $alert", ({ expr, annotations: { summary, description } }) => {
    const reading = readQuery(expr);
    expect(reading.faults).toEqual([]);
    expect(findForeign(`${summary} ${description}`, /\$labels\.(\w+)/g, reading)).toEqual([]);
  });

  it("have a name each", () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
    expect(new Set(groups.map(({ name }) => name)).size).toBe(groups.length);
  });
});

describe("both together", () => {
  it("show every metric that somebody is to watch", () => {
    const shown = new Set([...targets, ...alerts].flatMap(({ expr }) => [...readQuery(expr).metrics]));
    const watched = Object.entries(metricTable).flatMap(([name, { watch }]) => (watch === "" ? [] : [name]));
    expect(watched.filter((name) => !shown.has(name))).toEqual([]);
  });
});
