/** What is counted, and the text of it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labelValuesMax, Metrics, otherValue } from "../../src/metrics/metrics.ts";
import { Exposition } from "./exposition.ts";

const read = async (metrics: Metrics): Promise<Exposition> => new Exposition(await metrics.text());

describe("what is counted", () => {
  it("a counter is the sum of what was added, apart for each of its labels", async () => {
    const metrics = new Metrics();
    const ended = metrics.meter({ namespace: "a" }).counter("aion_runs_ended_total");
    ended.add(1, "order", "completed");
    ended.add(2, "order", "completed");
    ended.add(1, "order", "failed");
    metrics.meter({ namespace: "b" }).counter("aion_runs_ended_total").add(5, "order", "failed");
    const shown = await read(metrics);
    expect(shown.select("aion_runs_ended_total")).toEqual([
      {
        name: "aion_runs_ended_total",
        labels: { namespace: "a", workflow_type: "order", status: "completed" },
        value: 3,
      },
      {
        name: "aion_runs_ended_total",
        labels: { namespace: "a", workflow_type: "order", status: "failed" },
        value: 1,
      },
      {
        name: "aion_runs_ended_total",
        labels: { namespace: "b", workflow_type: "order", status: "failed" },
        value: 5,
      },
    ]);
  });

  it("a value lies in the first bucket that it is not above, and beyond them all in the last", async () => {
    const metrics = new Metrics();
    const commits = metrics.meter().histogram("aion_store_transaction_commits");
    for (const value of [1, 2, 2, 3, 5_000]) commits.observe(value);
    const shown = await read(metrics);
    const below = (le: string): number => shown.value("aion_store_transaction_commits_bucket", { le });
    expect([below("1"), below("2"), below("4"), below("4096"), below("+Inf")]).toEqual([1, 3, 4, 4, 5]);
    expect(shown.value("aion_store_transaction_commits_sum")).toBe(5_008);
    expect(shown.value("aion_store_transaction_commits_count")).toBe(5);
  });

  it("what has no names from outside is there before the first of it", async () => {
    const metrics = new Metrics();
    const meter = metrics.meter();
    meter.counter("aion_workers_gone_total");
    meter.counter("aion_runs_started_total");
    meter.histogram("aion_commit_seconds");
    const shown = await read(metrics);
    expect(
      shown.select("aion_workers_gone_total").map(({ labels, value }) => [labels["how"], value]),
    ).toEqual([
      ["silent", 0],
      ["left", 0],
    ]);
    expect(shown.select("aion_commit_seconds_count").map(({ value }) => value)).toEqual([0]);
    expect(shown.families.has("aion_runs_started_total")).toBe(false);
  });

  it("names beyond the limit are counted together, and the others go on", async () => {
    const metrics = new Metrics();
    const started = metrics.meter({ namespace: "a" }).counter("aion_runs_started_total");
    const ended = metrics.meter({ namespace: "a" }).counter("aion_runs_ended_total");
    for (let index = 0; index < 3 * labelValuesMax; index += 1) {
      started.add(1, `type-${index}`);
      ended.add(1, `type-${index}`, index % 2 === 0 ? "completed" : "failed");
    }
    started.add(1, "type-0");
    const shown = await read(metrics);
    expect(shown.select("aion_runs_started_total")).toHaveLength(labelValuesMax + 1);
    expect(shown.value("aion_runs_started_total", { workflow_type: "type-0" })).toBe(2);
    expect(shown.value("aion_runs_started_total", { workflow_type: otherValue })).toBe(2 * labelValuesMax);
    expect(shown.value("aion_runs_started_total")).toBe(3 * labelValuesMax + 1);
    expect(shown.value("aion_runs_ended_total", { workflow_type: otherValue, status: "failed" })).toBe(
      labelValuesMax,
    );
    expect(shown.value("aion_runs_ended_total")).toBe(3 * labelValuesMax);
  });

  it("whatever a name holds, it comes back from the text as it was", async () => {
    const name = fc.string({ unit: fc.oneof(fc.constantFrom("\\", '"', "\n", ",", "}", "="), fc.string()) });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(name, { maxLength: 5 }), async (names) => {
        const metrics = new Metrics();
        const started = metrics.meter().counter("aion_runs_started_total");
        for (const each of names) started.add(1, each);
        started.add(1, "at least one");
        const shown = await read(metrics);
        const found = shown.select("aion_runs_started_total").map(({ labels }) => labels["workflow_type"]);
        expect(found).toEqual([...new Set([...names, "at least one"])]);
      }),
    );
  });

  it("values of any size come back as they were", async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }), async (value) => {
        const metrics = new Metrics();
        metrics.meter().counter("aion_messages_sent_total").add(value);
        expect((await read(metrics)).value("aion_messages_sent_total")).toBe(value);
      }),
    );
  });
});

describe("gauges", () => {
  it("a gauge is what was set for this reading; what is not set any more is 0, and gone with who set it", async () => {
    const metrics = new Metrics();
    const meter = metrics.meter({ namespace: "a" });
    const depth = meter.gauge("aion_task_queue_depth");
    let queues = ["one", "two"];
    const stop = meter.collect(() => {
      for (const queue of queues) depth.set(3, queue);
    });
    const depths = async (): Promise<unknown> =>
      (await read(metrics))
        .select("aion_task_queue_depth")
        .map(({ labels, value }) => [labels["task_queue"], value]);
    metrics.meter({ namespace: "b" }).counter("aion_messages_sent_total");
    expect(await depths()).toEqual([
      ["one", 3],
      ["two", 3],
    ]);
    queues = ["two"];
    expect(await depths()).toEqual([
      ["one", 0],
      ["two", 3],
    ]);
    stop();
    stop();
    expect(await depths()).toEqual([]);
  });

  it("nobody is asked between two readings, and once for readings at one time", async () => {
    const metrics = new Metrics();
    const meter = metrics.meter();
    let asked = 0;
    meter.collect(async () => {
      asked += 1;
      meter.gauge("aion_connections").set(asked);
    });
    expect(asked).toBe(0);
    const [first, second] = await Promise.all([metrics.text(), metrics.text()]);
    expect(first).toBe(second);
    expect(asked).toBe(1);
    expect((await read(metrics)).value("aion_connections")).toBe(2);
  });

  it("one that cannot tell keeps the others from nothing", async () => {
    const metrics = new Metrics();
    const meter = metrics.meter();
    meter.collect(async () => await Promise.reject(new Error("the store is closed")));
    meter.collect(() => {
      throw new Error("no");
    });
    meter.collect(() => meter.gauge("aion_connections").set(4));
    expect((await read(metrics)).value("aion_connections")).toBe(4);
  });
});

describe("the reader of the tests", () => {
  it.each([
    ["no end of the last line", "# HELP a_total b\n# TYPE a_total counter\na_total 1"],
    ["no type", "a_total 1\n"],
    ["a second family", "# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n# TYPE a gauge\na 1\n"],
    ["another family's line", "# HELP a b\n# TYPE a gauge\nb 1\n"],
    ["a series twice", '# HELP a b\n# TYPE a gauge\na{x="1",y="2"} 1\na{y="2",x="1"} 1\n'],
    ["a label without quotes", "# HELP a b\n# TYPE a gauge\na{x=1} 1\n"],
    ["a quote that is not escaped", '# HELP a b\n# TYPE a gauge\na{x="1"2"} 1\n'],
    ["a comma too many", '# HELP a b\n# TYPE a gauge\na{x="1",} 1\n'],
    ["no number", "# HELP a b\n# TYPE a gauge\na NaN\n"],
    ["a counter of another name", "# HELP a b\n# TYPE a counter\na 1\n"],
    [
      "a histogram without its end",
      '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
    ],
    [
      "buckets that fall",
      '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    ],
  ])("refuses %s", (_what, text) => {
    expect(() => new Exposition(text)).toThrow(/\w/);
  });
});
