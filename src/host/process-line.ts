import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { AionError } from "../core/errors.ts";
import { messageOf } from "../core/payload.ts";
import type { HostLine, OpenLine } from "./code-host.ts";
import { busyPlace } from "./protocol.ts";
import type { HostGreeting, HostReply, HostRequest } from "./protocol.ts";

export interface HostProcessOptions {
  readonly guest: string;
  /** How long one activation may take before the process is ended. */
  readonly budgetMs: number;
  /** The heap of the process, in MiB. */
  readonly memoryMb: number;
  /** Where files can be made. Default: that for temporary ones. */
  readonly directory?: string;
}

/** In how many looks a budget is measured: the process is ended after it, and at most one look later. */
const looksPerBudget = 4;
/** In how many budgets a process from which something is expected, and which is at work on nothing, has to be heard of. */
const silentBudgets = 20;
/** After a process could not be started. */
const tryAgainMs = 1_000;
/** Of what a process said at its end. */
const lastWordsMax = 2_000;

/**
 * A code host in a process of its own: a loop without an end, or a heap that is full, end that process and nothing else. (A thread
 * does not do: V8 ends the whole process when the heap of one of its threads cannot grow.)
 */
export function processLine({ guest, budgetMs, memoryMb, directory }: HostProcessOptions): HostLine {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const script = fileURLToPath(new URL(`./process${extension}`, import.meta.url));
  return {
    open: (on) => {
      let busy: BusyFile;
      try {
        busy = new BusyFile(directory ?? tmpdir());
      } catch (reason) {
        return unopened(on, `${messageOf(reason)}. Set TMPDIR to a directory where files can be made`);
      }
      const child = fork(script, {
        serialization: "advanced",
        execArgv: [`--max-old-space-size=${memoryMb}`],
        // Nothing of the engine's: neither its secrets nor its time zone.
        env: { TZ: "UTC", LANG: "en_US.UTF-8" },
        stdio: ["ignore", "ignore", "pipe", "ipc", busy.fd],
      });
      child.unref();
      child.channel?.unref();
      let why: AionError | undefined;
      let isClosing = false;
      let lastWords = "";
      const stderr = child.stderr as Socket | null;
      stderr?.unref();
      stderr?.on("data", (data: Buffer) => {
        lastWords = `${lastWords}${data.toString()}`.slice(-lastWordsMax);
      });

      child.on("message", (replies) => {
        if (why === undefined) on.reply(replies as readonly HostReply[]);
      });
      child.on("error", (error) => {
        why ??= new AionError(
          "package_stopped",
          `the process that runs workflow code failed: ${error.message}`,
        );
      });
      // After all that it had written was read.
      child.on("close", (code, signal) => {
        clearInterval(watch);
        const { who, count } = busy.read();
        const place = why === undefined ? undefined : busy.readPlace(count);
        busy.close();
        if (isClosing) return;
        const isOutOfMemory = lastWords.includes("heap out of memory");
        const how = isOutOfMemory
          ? `its heap of ${memoryMb} MiB was full`
          : `exit code ${code ?? "none"}, signal ${signal ?? "none"}${lastWords === "" ? "" : `: ${lastWords}`}`;
        on.lost(
          (place === undefined ? why : placed(why, place)) ??
            new AionError("package_stopped", `the process that runs workflow code ended: ${how}`, {
              details: { end: isOutOfMemory ? "memory" : "exit" },
            }),
          who,
        );
      });

      let watch: NodeJS.Timeout | undefined;
      let seenCount = -1;
      let looks = 0;
      const look = (): void => {
        const { count, who } = busy.read();
        looks = count === seenCount ? looks + 1 : 0;
        seenCount = count;
        const budgets = who === 0 ? silentBudgets : on.patienceWith(who);
        if (looks < looksPerBudget * budgets) return;
        why ??= new AionError(
          "package_stopped",
          who === 0
            ? `the process that runs workflow code was ended: nothing was heard of it for ${budgets * budgetMs} ms`
            : `the process that runs workflow code was ended: one activation took more than ${budgetMs} ms`,
          { details: { end: who === 0 ? "silence" : "budget" } },
        );
        child.kill("SIGKILL");
      };
      const post = (message: HostGreeting | readonly HostRequest[]): void => {
        // One that is gone is heard of by its end.
        if (child.connected) child.send(message, () => undefined);
      };
      post({ guest, budgetMs });
      return {
        post,
        // An idle host is not looked after, and keeps nobody alive.
        expect: (isExpecting) => {
          const hold = isExpecting ? "ref" : "unref";
          child[hold]();
          child.channel?.[hold]();
          clearInterval(watch);
          looks = 0;
          watch = isExpecting ? setInterval(look, budgetMs / looksPerBudget) : undefined;
          watch?.unref();
        },
        close: async () => {
          isClosing = true;
          clearInterval(watch);
          const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
          child.ref();
          child.kill("SIGKILL");
          if (child.exitCode === null && child.signalCode === null) await closed;
        },
      };
    },
  };
}

function placed(why: AionError | undefined, place: string): AionError | undefined {
  if (why === undefined || why.details["end"] !== "budget") return why;
  return new AionError(why.code, `${why.message}, at ${place}`, {
    details: { ...why.details, source: place },
  });
}

/** In the place of a process that cannot be started now: it is lost a while later, and then it is tried again. */
function unopened(on: Parameters<HostLine["open"]>[0], reason: string): OpenLine {
  const what = `the process that runs workflow code cannot be started: ${reason}`;
  const timer = setTimeout(() => on.lost(new AionError("package_stopped", what), 0), tryAgainMs);
  return { post: () => undefined, expect: () => undefined, close: async () => clearTimeout(timer) };
}

/**
 * What the process is busy with, and how often it has said so. A file without a name, since that is read when somebody looks, and costs
 * whoever writes no more than a write: the last word of a process that has ended is still there.
 */
class BusyFile {
  readonly fd: number;
  readonly #words = new Int32Array(2);
  #isClosed = false;

  constructor(directory: string) {
    const path = join(directory, `.aion-host-${process.pid}-${randomUUID()}`);
    this.fd = openSync(path, "wx+", 0o600);
    unlinkSync(path);
    // Here, since a disk may be full: what has its place on it can be overwritten.
    const room = new Uint8Array(busyPlace.at + busyPlace.bytes);
    writeSync(this.fd, room, 0, room.length, 0);
  }

  /** Where the code was that it is busy with for that time; `undefined`: nobody has looked. */
  readPlace(count: number): string | undefined {
    const bytes = Buffer.alloc(busyPlace.bytes);
    readSync(this.fd, bytes, 0, bytes.length, busyPlace.at);
    const [then, place] = bytes.toString("utf8").replaceAll("\0", "").split(" ", 2);
    return then === String(count) ? place : undefined;
  }

  read(): { readonly count: number; readonly who: number } {
    if (!this.#isClosed) readSync(this.fd, this.#words, 0, this.#words.byteLength, 0);
    const [count = 0, who = 0] = this.#words;
    return { count, who };
  }

  close(): void {
    if (!this.#isClosed) closeSync(this.fd);
    this.#isClosed = true;
  }
}
