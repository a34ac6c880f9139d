/** Runs a program of the documents as a reader would, in a process of its own. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import path from "node:path";
import process from "node:process";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

export interface Running {
  /** Resolves when the text has been printed; rejects if the program ends before. */
  printed(text: string): Promise<void>;
  kill(): void;
  readonly ended: Promise<Ended>;
}

const children = new Set<ChildProcess>();

/** For after a test, whatever became of it: nothing that it started goes on. */
export function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

/** The condition that makes `aion/…` the source comes with the environment of the tests. */
export function runProgram(file: string, interpreter: string = process.execPath): Running {
  const child = spawn(interpreter, [file], {
    cwd: path.dirname(file),
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  let output = "";
  const waiting: { readonly text: string; resolve(): void; reject(error: Error): void }[] = [];
  const take = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
    for (const wait of waiting) if (output.includes(wait.text)) wait.resolve();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      children.delete(child);
      for (const wait of waiting) wait.reject(new Error(`it ended without ${wait.text}:\n${output}`));
      resolve({ code, signal, output });
    });
  });
  return {
    printed: (text) =>
      new Promise((resolve, reject) => {
        if (output.includes(text)) resolve();
        else waiting.push({ text, resolve, reject });
      }),
    kill: () => child.kill("SIGKILL"),
    ended,
  };
}
