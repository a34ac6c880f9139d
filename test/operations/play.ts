/** What operators and callers do to workflows, all at once, while processes die; and whether all of it came to what it had to. */
import { setTimeout as delay } from "node:timers/promises";
import type { Event } from "../../src/core/event.ts";
import { overlapPolicies } from "../../src/core/schedule.ts";
import { Draws } from "../blackbox/generator.ts";
import { Account } from "./accounts.ts";
import { readEffects } from "./effects.ts";
import { Job } from "./jobs.ts";
import { Kiosk } from "./kiosks.ts";
import { findBroken } from "./laws.ts";
import { Line } from "./lines.ts";
import { Parcel } from "./parcels.ts";
import type { Cast, Part, Read } from "./part.ts";
import { Shifts } from "./shifts.ts";
import { Tale } from "./tales.ts";
import type { StageOptions } from "./stage.ts";
import { Stage } from "./stage.ts";

export interface PlayOptions extends StageOptions {
  /** For how long processes die. */
  readonly lastsMs: number;
}

export interface PlayEnd {
  readonly violations: readonly string[];
  readonly kills: Stage["kills"];
  readonly killCount: number;
  readonly cutCount: number;
  /** Answers and effects that were held against the histories. */
  readonly auditedCount: number;
  readonly eventCounts: Readonly<Record<string, number>>;
}

const hourMs = 3_600_000;
export const killsMin = 3;
const killsWaitMs = 90_000;
/** For what goes on when nobody dies any more, on a loaded machine. */
const settleMs = 120_000;
const eventsTold = 4;

export async function playOperations(of: PlayOptions): Promise<PlayEnd> {
  const stage = new Stage(of);
  try {
    await stage.prepare();
    const draws = new Draws(`operations ${of.seed}`);
    const cast: Cast = { stage, draws, lastsMs: of.lastsMs };
    const parts: readonly Part[] = [
      ...["a", "b", "c"].map((name) => new Account(cast, `account-${name}`)),
      ...["a", "b", "c", "d", "e"].map((name) => new Line(cast, `line-${name}`)),
      ...(["fail", "fail", "fail-twice", "cancel", "cancel", "time-out"] as const).map(
        (way, index) => new Job(cast, `job-${index}`, way),
      ),
      ...["a", "b", "c"].map((name) => new Tale(cast, `tale-${name}`)),
      ...["a", "b", "c"].map((name) => new Kiosk(cast, `kiosk-${name}`)),
      ...["a", "b"].map((name) => new Parcel(cast, `parcel-${name}`)),
      ...overlapPolicies.map((overlap) => new Shifts(cast, `shift-${overlap}`, overlap)),
    ];
    const failing = stage.disturb().then(() => new Promise<never>(() => undefined));
    failing.catch(() => undefined);
    const clock = (async () => {
      await delay(of.lastsMs * 0.45);
      stage.putForward(hourMs);
    })();
    const over = (async () => {
      await delay(of.lastsMs);
      // On a machine that is busy with others it takes longer until enough has died.
      const isEnough = (): boolean => stage.killCount >= killsMin && (!of.isServed || stage.cutCount > 0);
      for (const until = Date.now() + killsWaitMs; !isEnough() && Date.now() < until;) await delay(50);
      stage.beCalm();
    })();
    const late = new Set<Part>();
    const driving = parts.map(async (part) => {
      late.add(part);
      await part.drive();
      late.delete(part);
    });
    const everything = Promise.race([Promise.all([...driving, clock, over]), failing]);
    // A caller was told what nobody should be told.
    const broken = everything.then(
      () => [],
      (error: unknown) => [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    );
    const tooLate = async (): Promise<undefined> => {
      await over;
      await delay(settleMs, undefined, { ref: false });
    };
    const isOver = await Promise.race([broken, tooLate()]);
    const unsettled = isOver ?? (await Promise.all([...late].map((part) => tellLate(stage, part))));
    if (unsettled.length > 0)
      return toEnd(stage, { violations: unsettled, parts, histories: new Map(), effects: [] });
    const effects = readEffects(stage.directory);
    const histories = new Map<string, readonly Event[]>();
    for (const part of parts) for (const id of await part.ids()) histories.set(id, await stage.history(id));
    const read = { histories, effects };
    const violations = [
      ...findBroken(histories, effects),
      ...parts.flatMap((part) => part.judge(read)),
      ...checkCommand(stage, histories, draws),
    ];
    return toEnd(stage, { violations, parts, histories, effects });
  } finally {
    await stage.close();
  }
}

/** Callers are answered, and yet it does not come to its end: what has happened in it last. */
async function tellLate(stage: Stage, part: Part): Promise<string> {
  const [id] = await part.ids();
  const events = id === undefined ? [] : await stage.history(id);
  return `${part.name} has not come to its end: ${JSON.stringify(events.slice(-eventsTold))}`;
}

function toEnd(
  { kills, killCount, cutCount }: Stage,
  of: Read & { readonly violations: readonly string[]; readonly parts: readonly Part[] },
): PlayEnd {
  const { violations, parts, histories, effects } = of;
  const eventCounts: Record<string, number> = {};
  for (const { type } of [...histories.values()].flat()) eventCounts[type] = (eventCounts[type] ?? 0) + 1;
  const toldCount = parts.reduce((sum, part) => sum + part.toldCount, 0);
  return { violations, kills, killCount, cutCount, auditedCount: toldCount + effects.length, eventCounts };
}

/** What operators are shown is what callers read. */
function checkCommand(
  stage: Stage,
  histories: ReadonlyMap<string, readonly Event[]>,
  draws: Draws,
): readonly string[] {
  const ids = ["account-a", "line-b", "job-2", "aion.schedule:shift-skip", "tale-c", "kiosk-a"] as const;
  const id = draws.of(ids);
  const essence = (events: readonly unknown[]): string =>
    JSON.stringify(
      (events as readonly Event[]).map(({ seq, type, recordedAt }) => [
        seq,
        type,
        Number(new Date(recordedAt)),
      ]),
    );
  const shown = essence(stage.historyOfCommand(id));
  return shown === essence(histories.get(id) ?? []) ? [] : [`aion history shows ${id} otherwise: ${shown}`];
}
