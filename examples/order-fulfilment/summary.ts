import { styleText } from "node:util";
import Table from "cli-table3";
import type { Victim } from "./backend.ts";
import { outcomeKinds } from "./outcome.ts";
import { countAll } from "./progress.ts";
import type { Report } from "./run-orders.ts";

const LISTED_MAX = 30;

export type Kills = Readonly<Record<Victim, number>>;

export interface SummaryOptions {
  readonly hasColor: boolean;
  readonly elapsedMs: number;
  /** Orders that ended in that time; with earlier runs of the program the others did. */
  readonly endedNowCount: number;
  readonly kills?: Kills | undefined;
}

/** What is printed at the end: the outcomes, the money, and what the audit found. */
export function renderSummary(report: Report, options: SummaryOptions): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    options.hasColor ? styleText(style, text, { validateStream: false }) : text;
  const { audit } = report;
  const table = new Table({
    head: ["Outcome", "Orders"],
    colAligns: ["left", "right"],
    style: options.hasColor
      ? { compact: true, head: ["bold"], border: ["gray"] }
      : { compact: true, head: [], border: [] },
  });
  for (const kind of outcomeKinds) {
    const count = report.outcomes[kind] ?? 0;
    if (count > 0) table.push([kind, formatCount(count)]);
  }
  table.push([paint("bold", "all"), paint("bold", formatCount(countAll(report.outcomes)))]);
  const { kills, elapsedMs, endedNowCount } = options;
  const faults = Object.entries(report.faults).filter(([, count]) => count > 0);
  const balances = Object.entries(audit.balances).toSorted(([left], [right]) => (left < right ? -1 : 1));
  const lines = [
    table.toString(),
    `Ledger:  ${formatCount(audit.chargeCount)} charges, ${formatCount(audit.refundCount)} refunds, ${formatCount(audit.parcelCount)} parcels handed over`,
    `Balance: ${balances.map(([currency, minor]) => formatMoney(minor, currency)).join(", ")}`,
    ...(faults.length === 0
      ? []
      : [
          `Faults:  ${faults.map(([kind, count]) => `${formatCount(count)} × ${kind}`).join(", ")}, injected since the payment service was started`,
        ]),
    ...(kills === undefined
      ? []
      : [
          `Kills:   ${formatCount(kills.server)} × SIGKILL for the server, ${formatCount(kills.worker)} × for the worker`,
        ]),
    ...(endedNowCount === 0
      ? []
      : [
          `Time:    ${(elapsedMs / 1_000).toFixed(1)} s for ${formatCount(endedNowCount)} orders, ${((endedNowCount * 1_000) / elapsedMs).toFixed(1)} a second`,
        ]),
    ...listed(
      report.failures.map(({ orderId, message }) => `${paint("red", "failed")}   ${orderId}: ${message}`),
    ),
    audit.findings.length === 0
      ? `${paint(["green", "bold"], "Audit passed:")} each of ${formatCount(audit.orderCount)} orders was charged and refunded exactly as its workflow says, none twice.`
      : `${paint(["red", "bold"], "Audit FAILED:")} ${formatCount(audit.findings.length)} finding(s)`,
    ...listed(audit.findings.map(({ orderId, problem }) => `  ${orderId}: ${problem}`)),
  ];
  return lines.join("\n");
}

function listed(lines: readonly string[]): readonly string[] {
  if (lines.length <= LISTED_MAX) return lines;
  return [...lines.slice(0, LISTED_MAX), `  … and ${formatCount(lines.length - LISTED_MAX)} more`];
}

function formatCount(count: number): string {
  return count.toLocaleString("en");
}

function formatMoney(minor: number, currency: string): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" });
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}
