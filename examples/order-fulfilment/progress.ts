/** What is known of the run at a moment, and how it is shown. Pure; display.ts does the drawing. */
import { stripVTControlCharacters, styleText } from "node:util";
import { type OutcomeKind, outcomeKinds } from "./outcome.ts";

export const stages = ["starting", "charging", "waiting for approval", "shipping", "refunding"] as const;
export type ShownStage = (typeof stages)[number];

export type Counts<Key extends string> = Readonly<Partial<Record<Key, number>>>;

export interface Snapshot {
  readonly orderCount: number;
  readonly ended: Counts<OutcomeKind>;
  readonly inFlight: Counts<ShownStage>;
  /** Attempts after the first, since this program was started. */
  readonly retryCount: number;
  /** Orders that ended in the last seconds, per second. */
  readonly ratePerSecond: number;
}

export function countAll(counts: Counts<string>): number {
  return Object.values(counts).reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

export interface RenderOptions {
  readonly columns: number;
  readonly hasColor: boolean;
  readonly elapsedMs: number;
  readonly killCount?: number | undefined;
}

type Style = Parameters<typeof styleText>[0];

const outcomeStyles: Readonly<Record<OutcomeKind, Style>> = {
  fulfilled: "green",
  declined: "yellow",
  refused: "yellow",
  "not approved in time": "yellow",
  cancelled: "magenta",
  failed: "red",
};

/** The block that is redrawn in place on a terminal; no line is wider than the terminal. */
export function renderBlock(snapshot: Snapshot, options: RenderOptions): readonly string[] {
  const paint = (style: Style, text: string): string =>
    options.hasColor ? styleText(style, text, { validateStream: false }) : text;
  const endedCount = countAll(snapshot.ended);
  const part = snapshot.orderCount === 0 ? 1 : endedCount / snapshot.orderCount;
  const figures = `  ${endedCount}/${snapshot.orderCount}  ${Math.floor(part * 100)} %  ${formatRate(snapshot)}  ${formatElapsed(options.elapsedMs)}`;
  const barWidth = Math.max(0, Math.min(40, options.columns - figures.length - 3));
  const filled = Math.round(part * barWidth);
  const bar = paint("green", "━".repeat(filled)) + paint("dim", "─".repeat(barWidth - filled));
  const row = (label: string, count: number, details: string): string =>
    `  ${paint("bold", label.padEnd(9))} ${String(count).padStart(6)}   ${details}`;
  const stageDetails = listCounts(snapshot.inFlight, stages, (stage, text) =>
    paint(stage === "refunding" ? "yellow" : "cyan", text),
  );
  const outcomeDetails = listCounts(snapshot.ended, outcomeKinds, (kind, text) =>
    paint(outcomeStyles[kind], text),
  );
  const kills = options.killCount === undefined ? "" : `${paint("red", "kills")} ${options.killCount}`;
  return [
    `  ${bar}${figures}`,
    row("in flight", countAll(snapshot.inFlight), stageDetails.join("  ")),
    row("done", endedCount, outcomeDetails.join("  ")),
    row("retries", snapshot.retryCount, kills),
  ].map((line) => fit(line, options.columns));
}

/** The same in one line, for a log. */
export function renderLine(
  snapshot: Snapshot,
  options: Pick<RenderOptions, "elapsedMs" | "killCount">,
): string {
  const inside = (details: readonly string[]): string =>
    details.length === 0 ? "" : ` (${details.join(", ")})`;
  const plain = (_: string, text: string): string => text;
  return [
    `[${formatElapsed(options.elapsedMs)}] done ${countAll(snapshot.ended)}/${snapshot.orderCount}`,
    inside(listCounts(snapshot.ended, outcomeKinds, plain)),
    `; in flight ${countAll(snapshot.inFlight)}`,
    inside(listCounts(snapshot.inFlight, stages, plain)),
    `; ${formatRate(snapshot)}; retries ${snapshot.retryCount}`,
    options.killCount === undefined ? "" : `; kills ${options.killCount}`,
  ].join("");
}

export function formatElapsed(elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1_000);
  return `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
}

function formatRate({ ratePerSecond }: Snapshot): string {
  return `${ratePerSecond < 10 ? ratePerSecond.toFixed(1) : Math.round(ratePerSecond)}/s`;
}

function listCounts<Key extends string>(
  counts: Counts<Key>,
  keys: readonly Key[],
  paint: (key: Key, text: string) => string,
): readonly string[] {
  return keys.flatMap((key) => {
    const count = counts[key] ?? 0;
    return count === 0 ? [] : [paint(key, `${key} ${count}`)];
  });
}

/** A line that would wrap would break the redrawing: it loses its end, and its colours with it. */
function fit(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length < columns ? line : `${plain.slice(0, Math.max(0, columns - 2))}…`;
}
