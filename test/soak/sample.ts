/** A burst of 3,000 workflows at once leaves some 130 MiB. */
const otherHeapMaxMib = 256;

/** What one process uses at one moment, after a garbage collection. */
export interface Sample {
  readonly uptimeSeconds: number;
  readonly rss: number;
  /** Of it: pages of files, which come as code is first run; the arenas of malloc; pages of V8, of all threads. */
  readonly fileBytes: number;
  readonly mallocBytes: number;
  readonly heapPageBytes: number;
  /** What V8 holds for its heap, used or not: the most that a burst needed, and it gives back little. */
  readonly heapTotal: number;
  readonly heapUsed: number;
  /** Memory outside the heap: buffers, and what SQLite reports through Node. */
  readonly external: number;
  /** What keeps the event loop busy, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  readonly residents: number;
  readonly inFlight: number;
  readonly databaseBytes: number;
  readonly logBytes: number;
  /** Runs taken up when this process opened the store. */
  readonly recovered: number;
  readonly started: number;
  readonly ended: number;
  readonly failed: number;
}

export interface Life {
  /** How it ended. */
  readonly end: "kill" | "stop" | "last";
  readonly samples: readonly Sample[];
}

export interface Verdict {
  readonly what: string;
  readonly figure: string;
  readonly isFine: boolean;
}

const mib = 1024 * 1024;

/** Least squares: how much `y` grows for each unit of `x`. */
export function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length;
  let above = 0;
  let below = 0;
  for (const { x, y } of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return below === 0 ? 0 : above / below;
}

/** The first fifth of a life fills caches and compiles: it is no leak. */
function settled(life: Life): readonly Sample[] {
  return life.samples.slice(Math.ceil(life.samples.length / 5));
}

/** Whether anything grew that should not have. `lives` in their order. */
export function judge(lives: readonly Life[], perSecond: number): readonly Verdict[] {
  const all = lives.flatMap((life) => life.samples);
  const longest = lives.reduce((best, life) => (life.samples.length > best.samples.length ? life : best));
  const samples = settled(longest);
  const [first] = samples;
  const end = samples.at(-1);
  if (first === undefined || end === undefined) throw new TypeError("a life too short to be judged");
  const hours = (sample: Sample): number => sample.uptimeSeconds / 3600;
  const perHour = (of: (sample: Sample) => number): number =>
    slopeOf(samples.map((sample) => ({ x: hours(sample), y: of(sample) })));
  const spanHours = hours(end) - hours(first);
  const heapGrowth = (perHour((sample) => sample.heapUsed) * spanHours) / mib;
  const heapMean = samples.reduce((sum, { heapUsed }) => sum + heapUsed, 0) / samples.length / mib;
  const heaps = ({ heapTotal, heapPageBytes }: Sample): number => Math.max(heapTotal, heapPageBytes);
  const besideHeap = (sample: Sample): number => sample.rss - sample.fileBytes - heaps(sample);
  const otherHeapMax = Math.max(...all.map((sample) => heaps(sample) - sample.heapTotal)) / mib;
  const rssGrowth = (perHour(besideHeap) * spanHours) / mib;
  const handles = (sample: Sample): number =>
    Object.values(sample.resources).reduce((sum, count) => sum + count, 0);
  const handleGrowth = perHour(handles) * spanHours;
  const third = Math.floor(all.length / 3);
  const maxSize = (part: readonly Sample[]): number =>
    Math.max(...part.map(({ databaseBytes }) => databaseBytes));
  const middle = maxSize(all.slice(third, 2 * third));
  const last = maxSize(all.slice(2 * third));
  const logMax = Math.max(...all.map(({ logBytes }) => logBytes));
  const seconds = lives.reduce((sum, life) => sum + (life.samples.at(-1)?.uptimeSeconds ?? 0), 0);
  const ended = lives.reduce((sum, life) => sum + (life.samples.at(-1)?.ended ?? 0), 0);
  const failed = lives.reduce((sum, life) => sum + (life.samples.at(-1)?.failed ?? 0), 0);
  const evicted = Math.max(...all.map((sample) => sample.started - sample.ended - sample.residents));
  return [
    {
      what: "workflows ended",
      figure: `${ended} in ${Math.round(seconds)} s, ${(ended / seconds).toFixed(0)} a second`,
      isFine: ended / seconds > 0.8 * perSecond,
    },
    { what: "workflows failed", figure: String(failed), isFine: failed === 0 },
    { what: "runs put away at once, at most", figure: String(evicted), isFine: evicted > 0 },
    {
      what: "heap after collection, over the longest life",
      figure: `${heapGrowth >= 0 ? "+" : ""}${heapGrowth.toFixed(1)} MiB of ${heapMean.toFixed(1)} MiB in ${spanHours.toFixed(2)} h`,
      isFine: heapGrowth < Math.max(4, 0.15 * heapMean),
    },
    {
      what: "memory outside all heaps, over the longest life",
      figure: `${rssGrowth >= 0 ? "+" : ""}${rssGrowth.toFixed(1)} MiB, to ${(besideHeap(end) / mib).toFixed(0)} (${(end.mallocBytes / mib).toFixed(0)} of malloc) of ${(end.rss / mib).toFixed(0)} MiB resident`,
      isFine: rssGrowth < Math.max(16, (0.1 * besideHeap(end)) / mib),
    },
    {
      // Nobody can have the heap of the writer's thread collected: it holds what the largest burst left until V8 wants the room.
      what: "heaps of other threads, at most",
      figure: `${otherHeapMax.toFixed(0)} MiB`,
      isFine: otherHeapMax < otherHeapMaxMib,
    },
    {
      what: "handles and timers, over the longest life",
      figure: `${handleGrowth >= 0 ? "+" : ""}${handleGrowth.toFixed(1)} of ${handles(end)}`,
      isFine: handleGrowth < Math.max(50, 0.2 * handles(end)),
    },
    {
      what: "database file, middle third and last third",
      figure: `${(middle / mib).toFixed(0)} and ${(last / mib).toFixed(0)} MiB`,
      isFine: last <= 1.1 * middle + mib,
    },
    {
      what: "write-ahead log, at most",
      figure: `${(logMax / mib).toFixed(0)} MiB`,
      isFine: logMax < 256 * mib,
    },
  ];
}
