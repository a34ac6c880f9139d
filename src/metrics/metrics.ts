import { performance } from "node:perf_hooks";
import { labelTable } from "../core/metric-spec.ts";
import type { MetricSpec } from "../core/metric-spec.ts";
import { metricTable } from "../core/metrics.ts";
import type { MetricName } from "../core/metrics.ts";
import { messageOf } from "../core/payload.ts";
import type { Counter, Gauge, Histogram, Log, Meter } from "../core/ports.ts";
import { renderLabels, renderNumber } from "./text.ts";

/** Values of one label that are told apart, for one metric and what else is constant about it; further ones are counted together. */
export const labelValuesMax = 200;
/** The value that stands for those. No name of a workflow, an activity or a queue is written so by chance. */
export const otherValue = "(other)";

export type ConstantLabels = Readonly<Record<string, string>>;

export interface MetricsOptions {
  readonly log?: Log;
}

/**
 * What was counted, in memory, and its text for Prometheus.
 *
 * Laws: counting looks up one cell and changes it, and does nothing else. Nothing happens between two readings: gauges are set by
 * whoever asked to be called before one. The number of cells is bounded, whatever names come from outside. A gauge that is not set
 * for a reading is 0 in it, for as long as somebody sets gauges of its meter; afterwards it is gone.
 *
 * @example
 * const metrics = new Metrics();
 * const engine = await Engine.open({ store: "sqlite:aion.db", workflows: [greet], metrics });
 * response.end(await metrics.text());
 */
export class Metrics {
  readonly #families = new Map<MetricName, Family>();
  readonly #meters = new Map<string, ScopedMeter>();
  readonly #readers = new Set<() => void | Promise<void>>();
  readonly #log: Log | undefined;
  #reading: Promise<string> | undefined;

  constructor({ log }: MetricsOptions = {}) {
    this.#log = log;
  }

  /** Counts with these labels before those of the table. Asked for again with the same ones, it is the same. */
  meter(constant: ConstantLabels = {}): Meter {
    const key = renderLabels(Object.entries(constant));
    let meter = this.#meters.get(key);
    if (meter === undefined) {
      meter = new ScopedMeter(constant, {
        family: (name) => this.#family(name),
        collect: (read) => {
          this.#readers.add(read);
          return () => this.#readers.delete(read);
        },
      });
      this.#meters.set(key, meter);
    }
    return meter;
  }

  /** In the text format of Prometheus, version 0.0.4 (`contentType`). Readings that are asked for at one time are one. */
  text(): Promise<string> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<string> {
    for (const family of this.#families.values()) family.forgetGauges();
    await Promise.all([...this.#readers].map((read) => this.#ask(read)));
    // In the order of the table, whoever counted first.
    return (Object.keys(metricTable) as MetricName[])
      .map((name) => this.#families.get(name)?.text() ?? "")
      .join("");
  }

  /** One that cannot tell now keeps the others from nothing. */
  async #ask(read: () => void | Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      this.#log?.("debug", "a gauge could not be read", { error: messageOf(error) });
    }
  }

  #family(name: MetricName): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = new Family(name, metricTable[name]);
      this.#families.set(name, family);
    }
    return family;
  }
}

/** What `text` is to be served as. */
export const contentType = "text/plain; version=0.0.4; charset=utf-8";

interface ScopeHost {
  family(name: MetricName): Family;
  collect(read: () => void | Promise<void>): () => void;
}

/** The meter of one engine, or of the process. */
class ScopedMeter implements Meter {
  readonly #constant: ConstantLabels;
  readonly #host: ScopeHost;
  readonly #instruments = new Map<MetricName, Instrument>();
  readonly #scope: Scope = { readerCount: 0 };

  constructor(constant: ConstantLabels, host: ScopeHost) {
    this.#constant = constant;
    this.#host = host;
  }

  now(): number {
    return performance.now();
  }

  counter(name: MetricName): Counter<readonly string[]> {
    return this.#instrument(name);
  }

  histogram(name: MetricName): Histogram<readonly string[]> {
    return this.#instrument(name);
  }

  gauge(name: MetricName): Gauge<readonly string[]> {
    return this.#instrument(name);
  }

  collect(read: () => void | Promise<void>): () => void {
    const stop = this.#host.collect(read);
    this.#scope.readerCount += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#scope.readerCount -= 1;
      stop();
    };
  }

  #instrument(name: MetricName): Instrument {
    let instrument = this.#instruments.get(name);
    if (instrument === undefined) {
      instrument = new Instrument(this.#host.family(name), this.#constant, this.#scope);
      this.#instruments.set(name, instrument);
    }
    return instrument;
  }
}

interface Scope {
  /** Who sets gauges of this meter before a reading. */
  readerCount: number;
}

/** One metric as one meter counts it: a tree of cells, with a level for each label. */
class Instrument
  implements Counter<readonly string[]>, Histogram<readonly string[]>, Gauge<readonly string[]>
{
  readonly #family: Family;
  readonly #constant: ConstantLabels;
  readonly #scope: Scope;
  readonly #root: Node = { cell: undefined, below: undefined };

  constructor(family: Family, constant: ConstantLabels, scope: Scope) {
    this.#family = family;
    this.#constant = constant;
    this.#scope = scope;
    // What can only be counted under names that are known is there from the beginning: a rate needs a value before the first.
    if (family.spec.type !== "gauge") for (const labels of closedLabels(family.spec)) this.#at(...labels);
  }

  add(amount: number, first?: string, second?: string, third?: string): void {
    this.#at(first, second, third).value += amount;
  }

  set(value: number, first?: string, second?: string, third?: string): void {
    const cell = this.#at(first, second, third);
    cell.value = value;
  }

  observe(value: number, first?: string, second?: string): void {
    const cell = this.#at(first, second);
    const { counts } = cell;
    const bounds = this.#family.bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? 0)) index += 1;
    counts[index] = (counts[index] ?? 0) + 1;
    cell.value += value;
  }

  #at(first?: string, second?: string, third?: string): Cell {
    let node = this.#root;
    if (first !== undefined) node = node.below?.get(first) ?? grow(node, first);
    if (second !== undefined) node = node.below?.get(second) ?? grow(node, second);
    if (third !== undefined) node = node.below?.get(third) ?? grow(node, third);
    return node.cell ?? this.#plant(node, [first, second, third]);
  }

  #plant(node: Node, given: readonly (string | undefined)[]): Cell {
    // Names beyond the limit share a node, and so a cell.
    const values = labelsTo(this.#root, node) ?? given;
    const names = this.#family.spec.labels;
    const labels = names.map((name, index) => [name, values[index] ?? ""] as const);
    node.cell = this.#family.add([...Object.entries(this.#constant), ...labels], this.#scope);
    return node.cell;
  }
}

interface Node {
  cell: Cell | undefined;
  below: Map<string, Node> | undefined;
}

function grow(node: Node, label: string): Node {
  node.below ??= new Map();
  const isFull = node.below.size >= labelValuesMax;
  const value = isFull ? otherValue : label;
  let next = node.below.get(value);
  if (next === undefined) {
    next = { cell: undefined, below: undefined };
    node.below.set(value, next);
  }
  return next;
}

function labelsTo(from: Node, to: Node): readonly string[] | undefined {
  if (from === to) return [];
  for (const [label, node] of from.below ?? []) {
    const rest = labelsTo(node, to);
    if (rest !== undefined) return [label, ...rest];
  }
  return undefined;
}

/** All values of all labels, if each of them is known. */
function closedLabels({ labels }: MetricSpec): readonly (readonly string[])[] {
  let all: (readonly string[])[] = [[]];
  for (const name of labels) {
    const values = labelTable[name].values ?? [];
    all = all.flatMap((before) => values.map((value) => [...before, value]));
  }
  return all;
}

interface Cell {
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly scope: Scope;
  /** Of a histogram, the sum. */
  value: number;
  /** Of a histogram: how many lie between each bound and the one before, and beyond the last. */
  readonly counts: number[];
}

class Family {
  readonly name: MetricName;
  readonly spec: MetricSpec;
  readonly bounds: readonly number[];
  readonly #cells: Cell[] = [];

  constructor(name: MetricName, spec: MetricSpec) {
    this.name = name;
    this.spec = spec;
    this.bounds = spec.buckets ?? [];
  }

  add(labels: Cell["labels"], scope: Scope): Cell {
    const counts =
      this.spec.type === "histogram" ? Array.from({ length: this.bounds.length + 1 }, () => 0) : [];
    const cell: Cell = { labels, scope, value: 0, counts };
    this.#cells.push(cell);
    return cell;
  }

  forgetGauges(): void {
    if (this.spec.type === "gauge") for (const cell of this.#cells) cell.value = 0;
  }

  text(): string {
    const { type, help } = this.spec;
    const cells = this.#cells.filter(({ scope }) => type !== "gauge" || scope.readerCount > 0);
    if (cells.length === 0) return "";
    const lines = [`# HELP ${this.name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`];
    lines.push(`# TYPE ${this.name} ${type}`);
    for (const cell of cells) {
      if (type === "histogram") this.#showHistogram(cell, lines);
      else lines.push(`${this.name}${renderLabels(cell.labels)} ${renderNumber(cell.value)}`);
    }
    return `${lines.join("\n")}\n`;
  }

  #showHistogram({ labels, counts, value }: Cell, lines: string[]): void {
    let below = 0;
    for (const [index, count] of counts.entries()) {
      below += count;
      const bound = this.bounds[index];
      const le = ["le", bound === undefined ? "+Inf" : renderNumber(bound)] as const;
      lines.push(`${this.name}_bucket${renderLabels([...labels, le])} ${below}`);
    }
    lines.push(`${this.name}_sum${renderLabels(labels)} ${renderNumber(value)}`);
    lines.push(`${this.name}_count${renderLabels(labels)} ${below}`);
  }
}
