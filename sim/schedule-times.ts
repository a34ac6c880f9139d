/** The times of a schedule, found by arithmetic and by what clocks show: shares nothing with what the engine asks. */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

export type Rule =
  | { readonly kind: "interval"; readonly everyMs: number; readonly offsetMs: number }
  | {
      readonly kind: "daily";
      readonly hours: readonly number[];
      readonly minute: number;
      readonly timeZone: string;
    };

const formats = new Map<string, Intl.DateTimeFormat>();

/** What the clock of the zone shows at an instant, as if it were UTC. */
function wallAt(timeZone: string, at: number): number {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute);
}

/** When the clock shows that for the first time; if it never does, when it has been put forward over it. */
function instantOf(timeZone: string, wall: number): number {
  const offsets = [wall - dayMs, wall + dayMs].map((at) => wallAt(timeZone, at) - at);
  const found = offsets
    .map((offset) => wall - offset)
    .filter((at) => wallAt(timeZone, at) === wall)
    .toSorted((left, right) => left - right);
  const [first] = found;
  if (first !== undefined) return first;
  let [before, after] = [wall - dayMs, wall + dayMs];
  while (after - before > 60_000) {
    const middle = before + Math.floor((after - before) / 120_000) * 60_000;
    if (wallAt(timeZone, middle) < wall) before = middle;
    else after = middle;
  }
  return after;
}

/** Times later than `afterAt` and not later than `untilAt`, in order. */
export function timesOf(rule: Rule, afterAt: number, untilAt: number): readonly number[] {
  const times = new Set<number>();
  if (rule.kind === "interval") {
    const { everyMs, offsetMs } = rule;
    for (
      let at = Math.floor((afterAt - offsetMs) / everyMs) * everyMs + offsetMs;
      at <= untilAt;
      at += everyMs
    )
      if (at > afterAt) times.add(at);
  } else {
    for (let day = Math.floor(afterAt / dayMs) - 2; day <= Math.floor(untilAt / dayMs) + 2; day++) {
      for (const hour of rule.hours) {
        const at = instantOf(rule.timeZone, day * dayMs + hour * hourMs + rule.minute * 60_000);
        if (at > afterAt && at <= untilAt) times.add(at);
      }
    }
  }
  return [...times].toSorted((left, right) => left - right);
}
