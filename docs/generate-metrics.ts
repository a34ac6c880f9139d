/**
 * Makes docs/metrics.md from the table of metrics: node scripts/bootstrap.mjs docs/generate-metrics.ts
 * A test fails when the page is not what this makes.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { labelTable } from "../src/core/metric-spec.ts";
import type { MetricSpec } from "../src/core/metric-spec.ts";
import { metricTable } from "../src/core/metrics.ts";
import { labelValuesMax, otherValue } from "../src/metrics/metrics.ts";
import { formatMarkdown } from "./format-markdown.ts";

const introduction = `# Metrics

<!-- Made by docs/generate-metrics.ts from src/core/metrics.ts. Change the tables there. -->

A server shows them at \`GET /metrics\`, in the text format of Prometheus:

\`\`\`yaml
scrape_configs:
  - job_name: aion
    static_configs:
      - targets: ["localhost:4466"]
\`\`\`

An embedded engine gives the same text, without what concerns a server, for the program to serve as it likes:

\`\`\`ts
import { createServer } from "node:http";
import { Engine, metricsContentType } from "aion";

const engine = await Engine.open({ store: "sqlite:aion.db", workflows: [] });
createServer(async (_request, response) => {
  response.setHeader("content-type", metricsContentType);
  response.end(await engine.metrics());
}).listen(9464);
\`\`\`

Engines that are to be shown together are given one \`Metrics\` and a \`namespace\` each. The local socket of an engine answers
\`/metrics\` too.

## Dashboard and alerts

[grafana/aion.json](grafana/aion.json) is a dashboard for Grafana 11 and later (Dashboards, New, Import): every metric below, in the order of what is
asked first. [grafana/alerts.yaml](grafana/alerts.yaml) are examples of alerts, a rule file of Prometheus: each says what it means
and what to do. They take the job to be called as above, and their thresholds are where to begin. A test holds both against the tables.

## What to know

- **Counters begin at 0 with the process.** They count what this process did: a replay counts no event, and a restart none that is in
  history. What histories tell is counted when the commit that tells it is known to be on disk; an event that was written just before
  a crash, and of which the engine did not hear, is counted by nobody. For exact numbers of what happened ask the store (\`aion count\`).
- **Gauges are read when somebody asks.** Between two readings nothing is measured and no timer runs. A reading counts the
  running runs in an index of the store.
- **Labels are bounded.** Names come from outside, so of each label ${labelValuesMax} values are told apart, for each metric and what stands before it; the
  others are counted together as \`${otherValue}\`. All metrics of an engine have the label \`namespace\` besides.
- **Durations that workflows see** (schedule to start, execution, lateness of timers) are differences of recorded instants, in
  milliseconds, and jump with the clock of the machine. All others are measured by a clock that does not.
- A counter or a histogram with names from outside appears with the first thing that it counts; the others are there from the
  beginning.
`;

const groups: readonly {
  readonly title: string;
  readonly isIn: (name: string, spec: MetricSpec) => boolean;
}[] = [
  { title: "Runs", isIn: (name) => /^aion_(runs?_|runs$|events_|nondeterminism)/.test(name) },
  { title: "Activities", isIn: (name) => /^aion_activit(y|ies)_/.test(name) },
  { title: "Task queues and workers", isIn: (name) => /^aion_(task_queue|workers)/.test(name) },
  { title: "The store", isIn: (name) => /^aion_(commit|store)_/.test(name) },
  {
    title: "Code, replay and recovery",
    isIn: (name) => /^aion_(activation|code_host|replay|recover|engine_stops|packages)/.test(name),
  },
  {
    title: "Timers, schedules and messages",
    isIn: (name) => /^aion_(timer|schedule|signals|updates?_|messages)/.test(name),
  },
  { title: "Calls", isIn: (name) => /^aion_(calls?_|repeats|feed)/.test(name) },
  { title: "The server", isIn: (name, { of }) => of === "server" && name.startsWith("aion_") },
  { title: "The process of a server", isIn: (name) => !name.startsWith("aion_") },
];

export async function renderMetrics(): Promise<string> {
  const left = new Map(Object.entries(metricTable));
  const sections = groups.map(({ title, isIn }) => {
    const rows = [...left].filter(([name, spec]) => isIn(name, spec));
    for (const [name] of rows) left.delete(name);
    const lines = rows.map(([name, { type, labels, help, watch }]) => {
      const names = labels.map((label) => `\`${label}\``).join(", ");
      return `| \`${name}\` | ${type} | ${names === "" ? "none" : names} | ${help} | ${watch} |`;
    });
    return `### ${title}\n\n| name | type | labels | what it is | what to do with it |\n| --- | --- | --- | --- | --- |\n${lines.join("\n")}\n`;
  });
  if (left.size > 0) throw new Error(`metrics without a section: ${[...left.keys()].join(", ")}`);
  const labelRows = Object.entries(labelTable).map(
    ([name, { help, values }]) =>
      `| \`${name}\` | ${values === undefined ? "names and codes" : values.map((value) => `\`${value}\``).join(", ")} | ${help} |`,
  );
  const labels = `## Labels\n\n| label | values | meaning |\n| --- | --- | --- |\n${labelRows.join("\n")}\n`;
  return await formatMarkdown(`${introduction}\n## The metrics\n\n${sections.join("\n")}\n${labels}`);
}

export const metricsPage = path.join(import.meta.dirname, "metrics.md");

if (process.argv[1] === import.meta.filename) writeFileSync(metricsPage, await renderMetrics());
