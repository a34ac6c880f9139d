/**
 * What a process that does not answer is at: what the kernel says of its threads; what its event loop waits for, if that turns; and where its
 * code is, if that is busy.
 */
import type { ChildProcess } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const answersWithin = { reportMs: 10_000, codeMs: 10_000 };
const listenMs = 10_000;
const framesMax = 30;

/** For `node`, before the program's name: at SIGUSR2 it writes a report there, and at SIGUSR1 its inspector listens on a free port. */
export function autopsyFlags(directory: string): readonly string[] {
  return [
    "--report-on-signal",
    "--report-signal=SIGUSR2",
    `--report-directory=${directory}`,
    "--report-exclude-network",
    "--inspect-port=0",
  ];
}

export interface Patient {
  /** Started with `autopsyFlags`. */
  readonly process: ChildProcess;
  /** The directory of its reports. */
  readonly directory: string;
  /** What it has written to stderr. */
  readonly complaints: () => string;
}

/** As lines of text. Takes up to half a minute; the process goes on. */
export async function examine(patient: Patient, { reportMs, codeMs } = answersWithin): Promise<string> {
  const { exitCode, signalCode } = patient.process;
  if (exitCode !== null || signalCode !== null) return `it has ended (${signalCode ?? exitCode})`;
  return [
    `threads: ${threadsOf(patient.process.pid)}`,
    `event loop: ${await askForReport(patient, reportMs)}`,
    `code: ${await askInspector(patient, codeMs)}`,
  ].join("\n");
}

/** Linux alone tells of them. */
function threadsOf(pid: number | undefined): string {
  const folder = `/proc/${pid}/task`;
  const read = (thread: string, file: string): string => {
    try {
      return readFileSync(path.join(folder, thread, file), "utf8").trim();
    } catch {
      return "?";
    }
  };
  try {
    return readdirSync(folder)
      .map((thread) => {
        // proc_pid_stat(5): fields 3, 14 and 15.
        const fields = read(thread, "stat")
          .replace(/^.*\) /su, "")
          .split(" ");
        const ticks = Number(fields[11]) + Number(fields[12]);
        const [call] = read(thread, "syscall").split(" ");
        return `${read(thread, "comm")} ${fields[0]} in ${read(thread, "wchan")}, system call ${call}, ${ticks} ticks`;
      })
      .join("; ");
  } catch {
    return "not told here";
  }
}

interface Report {
  readonly libuv?: readonly { readonly type: string; readonly is_active?: boolean }[];
}

/** The report is written by JavaScript of the process: where the loop does not turn there is none. */
async function askForReport({ process, directory }: Patient, withinMs: number): Promise<string> {
  process.kill("SIGUSR2");
  const report = await met(withinMs, () => {
    for (const name of readdirSync(directory)) {
      if (!name.startsWith("report.") || !name.includes(`.${process.pid}.`)) continue;
      const file = path.join(directory, name);
      const found = parse(readFileSync(file, "utf8")) as Report | undefined;
      if (found === undefined) continue;
      rmSync(file);
      return found;
    }
    return undefined;
  });
  if (report === undefined) return "it does not turn";
  const active = (report.libuv ?? []).filter((handle) => handle.is_active === true);
  const byType = Map.groupBy(active, ({ type }) => type);
  return `it turns, and has ${[...byType].map(([type, of]) => `${of.length} ${type}`).join(", ")}`;
}

interface InspectorMessage {
  readonly method?: string;
  readonly params?: {
    readonly callFrames?: readonly {
      readonly functionName: string;
      readonly url: string;
      readonly location: { readonly lineNumber: number };
    }[];
  };
}

/** The inspector has a thread of its own, and stops code wherever that is. */
async function askInspector({ process, complaints }: Patient, withinMs: number): Promise<string> {
  process.kill("SIGUSR1");
  const url = await met(listenMs, () => /Debugger listening on (ws:\S+)/u.exec(complaints())?.[1]);
  if (url === undefined) return "its inspector does not listen";
  const socket = new WebSocket(url);
  let frames: string | undefined;
  socket.addEventListener("message", ({ data }) => {
    const { method, params } = (parse(String(data)) ?? {}) as InspectorMessage;
    if (method !== "Debugger.paused") return;
    frames = (params?.callFrames ?? [])
      .slice(0, framesMax)
      .map(({ functionName, url: file, location }) => {
        const name = functionName === "" ? "(anonymous)" : functionName;
        return `at ${name} (${file}:${location.lineNumber + 1})`;
      })
      .join("\n  ");
  });
  socket.addEventListener("open", () => {
    socket.send(JSON.stringify({ id: 1, method: "Debugger.enable" }));
    socket.send(JSON.stringify({ id: 2, method: "Debugger.pause" }));
  });
  socket.addEventListener("error", () => socket.close());
  const where = await met(withinMs, () => frames);
  // The process goes on when nobody is connected.
  socket.close();
  return where === undefined ? "none runs" : `it runs\n  ${where}`;
}

async function met<Found>(withinMs: number, look: () => Found | undefined): Promise<Found | undefined> {
  for (const until = performance.now() + withinMs; performance.now() < until; await delay(50)) {
    const found = look();
    if (found !== undefined) return found;
  }
  return undefined;
}

/** `undefined`: it is not whole yet. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
