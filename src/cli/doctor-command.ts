import type { Command } from "commander";
import { Option } from "commander";
import { thisVersion } from "../store/sqlite/version.ts";
import { parseStoreUrl } from "./connect.ts";
import { examine } from "./doctor/examine.ts";
import { checkNames } from "./doctor/finding.ts";
import type { Finding, FindingStatus } from "./doctor/finding.ts";
import { Output, style } from "./output.ts";
import type { Style } from "./output.ts";
import { printable } from "./printable.ts";
import { Session } from "./session.ts";
import { durationOption } from "./usage.ts";

interface GlobalOptions {
  readonly store?: string;
  readonly url?: string;
  readonly json?: boolean;
}

/** The command that looks for what is wrong: doctor. */
export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .description(
      "Looks for what is wrong with this machine and, if one is named, a store or a server. Writes nothing to it.",
    )
    .addOption(
      new Option("--integrity-timeout <duration>", "how long the file may be looked through for damage")
        .argParser(durationOption("--integrity-timeout"))
        .default(integrityTimeoutDefaultMs, "10s"),
    )
    .action(doctor);
}

const integrityTimeoutDefaultMs = 10_000;

async function doctor(
  { integrityTimeout }: { readonly integrityTimeout: number },
  command: Command,
): Promise<void> {
  const { store = "", url = "", json } = command.optsWithGlobals<GlobalOptions>();
  const place = store === "" && url === "" ? undefined : new Session(command).place;
  const output = new Output({ isJson: json === true });
  const findings = await examine({
    ...(place === undefined ? {} : "store" in place ? { path: parseStoreUrl(place.store) } : place),
    integrityTimeoutMs: integrityTimeout,
    onFinding: (finding) => {
      if (output.isJson || finding.status === "skipped") return;
      for (const line of describeFinding(finding, output.width)) output.line(line);
    },
  });
  const count = (status: FindingStatus): number =>
    findings.filter((finding) => finding.status === status).length;
  const [warningCount, failedCount] = [count("warning"), count("failed")];
  if (failedCount > 0) process.exitCode = 1;
  if (output.isJson) {
    output.json("doctor", {
      aionVersion: thisVersion(),
      ...(place === undefined ? {} : "store" in place ? { store } : { url }),
      status: failedCount > 0 ? "failed" : warningCount > 0 ? "warning" : "ok",
      checks: findings,
    });
    return;
  }
  for (const line of describeSkipped(findings, output.width)) output.line(line);
  const counts = [
    [count("ok"), "ok"],
    [warningCount, warningCount === 1 ? "warning" : "warnings"],
    [failedCount, "failed"],
    [count("skipped"), "skipped"],
  ] as const;
  output.line("");
  output.line(
    counts
      .filter(([number]) => number > 0)
      .map(([number, name]) => `${number} ${name}`)
      .join(", "),
  );
  if (place === undefined)
    output.note(
      "no store was named; pass --store sqlite:path/to/file.db to look at one, or --url for a server",
    );
}

const styles: Readonly<Record<FindingStatus, Style>> = {
  ok: "green",
  warning: ["bold", "yellow"],
  failed: ["bold", "red"],
  skipped: "dim",
};
const statusWidth = 9;
const checkWidth = Math.max(...checkNames.map((name) => name.length)) + 2;
const textWidthMin = 40;
const textWidthMax = 110;

function describeFinding({ check, status, message, remedy }: Finding, width: number): readonly string[] {
  const indent = statusWidth + checkWidth;
  const textWidth = Math.min(textWidthMax, Math.max(textWidthMin, width - indent));
  const head = `${style(styles[status], status.padEnd(statusWidth))}${check.padEnd(checkWidth)}`;
  const text = wrap(printable(message), textWidth);
  const advice = remedy === undefined ? [] : wrap(printable(remedy), textWidth - 2);
  return [
    `${head}${text[0] ?? ""}`,
    ...text.slice(1).map((line) => `${" ".repeat(indent)}${line}`),
    ...advice.map(
      (line, index) => `${" ".repeat(indent)}${style("cyan", `${index === 0 ? "→" : " "} ${line}`)}`,
    ),
  ];
}

/** Those with one reason together. */
function describeSkipped(findings: readonly Finding[], width: number): readonly string[] {
  const skipped = findings.filter(({ status }) => status === "skipped");
  return [...Map.groupBy(skipped, ({ message }) => message)].flatMap(([message, those]) =>
    wrap(`${those.map(({ check }) => check).join(", ")}: ${printable(message)}`, width - statusWidth).map(
      (line, index) => style("dim", `${(index === 0 ? "skipped" : "").padEnd(statusWidth)}${line}`),
    ),
  );
}

/** At spaces; a word that is longer than a line gets one of its own. */
function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
