/**
 * Reads the text format of Prometheus, version 0.0.4, as strictly as its description allows, and in parts more strictly: families are
 * whole and in one piece, each has its help and its type, no series stands there twice, and histograms add up.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */

export interface Series {
  /** With the ending of its family: `_bucket`, `_sum`, `_count`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly series: readonly Series[];
}

export class Exposition {
  readonly families: ReadonlyMap<string, Family>;

  constructor(text: string) {
    this.families = parse(text);
  }

  /** All series of that name with at least these labels. */
  select(name: string, labels: Readonly<Record<string, string>> = {}): readonly Series[] {
    const family = this.families.get(name) ?? this.families.get(name.replace(/_(bucket|sum|count)$/, ""));
    return (family?.series ?? []).filter(
      (series) =>
        series.name === name &&
        Object.entries(labels).every(([label, value]) => series.labels[label] === value),
    );
  }

  /** The sum of those; 0 if there are none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.select(name, labels).reduce((sum, { value }) => sum + value, 0);
  }
}

const namePattern = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const samplePattern = /^(?<name>[^\s{]+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/;
const labelPattern = /(?<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?<value>(?:[^"\\\n]|\\["\\n])*)"(?<end>,|$)/y;

function parse(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, { name: string; help: string; type: Family["type"]; series: Series[] }>();
  let current: { name: string; help: string; type: Family["type"]; series: Series[] } | undefined;
  let pendingHelp: { readonly name: string; readonly help: string } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) {
      if (pendingHelp !== undefined) throw new Error(`help without a type: ${pendingHelp.name}`);
      pendingHelp = { name: help[1] ?? "", help: help[2] ?? "" };
    } else if (type !== null) {
      const name = type[1] ?? "";
      if (pendingHelp?.name !== name) throw new Error(`a type without help before it: ${line}`);
      if (!namePattern.test(name)) throw new Error(`no name of a metric: ${name}`);
      if (families.has(name)) throw new Error(`a second family ${name}`);
      if (current?.series.length === 0) throw new Error(`a family without series: ${current.name}`);
      current = { name, help: pendingHelp.help, type: type[2] as Family["type"], series: [] };
      families.set(name, current);
      pendingHelp = undefined;
    } else {
      const { name = "", labels, value = "" } = samplePattern.exec(line)?.groups ?? {};
      if (current === undefined || pendingHelp !== undefined) throw new Error(`a line out of place: ${line}`);
      const ending = name.startsWith(current.name) ? name.slice(current.name.length) : undefined;
      const endings = current.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      if (ending === undefined || !endings.includes(ending))
        throw new Error(`${name} is not of the family ${current.name}`);
      current.series.push({ name, labels: parseLabels(labels ?? ""), value: parseNumber(value) });
    }
  }
  for (const family of families.values()) check(family);
  return families;
}

function parseLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  labelPattern.lastIndex = 0;
  while (labelPattern.lastIndex < text.length) {
    const at = labelPattern.lastIndex;
    const { name = "", value = "", end = "" } = labelPattern.exec(text)?.groups ?? {};
    if (name === "" || (end === "," && labelPattern.lastIndex === text.length))
      throw new Error(`no labels at ${at}: ${text}`);
    if (Object.hasOwn(labels, name)) throw new Error(`label ${name} twice: ${text}`);
    labels[name] = value.replaceAll(/\\(["\\n])/g, (_all, of: string) => (of === "n" ? "\n" : of));
  }
  return labels;
}

function parseNumber(text: string): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`no number: ${text}`);
  return Number(text);
}

function keyOf({ name, labels }: Pick<Series, "name" | "labels">): string {
  return JSON.stringify([
    name,
    ...Object.entries(labels).toSorted(([left], [right]) => (left < right ? -1 : 1)),
  ]);
}

function check({ name, type, series }: Family): void {
  if (type === "counter" && !name.endsWith("_total"))
    throw new Error(`counter ${name} does not end with _total`);
  if (new Set(series.map(keyOf)).size !== series.length) throw new Error(`a series of ${name} twice`);
  if (type !== "gauge" && series.some(({ value }) => value < 0)) throw new Error(`${name} is below 0`);
  if (type !== "histogram") return;
  const groups = new Map<string, { buckets: [number, number][]; sum?: number; count?: number }>();
  for (const { name: full, labels, value } of series) {
    const { le, ...rest } = labels;
    const key = keyOf({ name, labels: rest });
    const group = groups.get(key) ?? { buckets: [] };
    groups.set(key, group);
    if (full.endsWith("_bucket")) group.buckets.push([parseNumber(le ?? ""), value]);
    else if (full.endsWith("_sum")) group.sum = value;
    else group.count = value;
  }
  for (const { buckets, sum, count } of groups.values()) {
    const isAscending = buckets.every(
      ([bound, below], index) =>
        index === 0 || (bound > (buckets[index - 1]?.[0] ?? 0) && below >= (buckets[index - 1]?.[1] ?? 0)),
    );
    const last = buckets.at(-1);
    if (!isAscending || last?.[0] !== Number.POSITIVE_INFINITY || last[1] !== count || sum === undefined)
      throw new Error(`histogram ${name} does not add up`);
  }
}
