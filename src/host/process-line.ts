import { fork } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { AionError } from "../core/errors.ts";
import type { HostLine } from "./code-host.ts";
import type { HostGreeting, HostReply, HostRequest } from "./protocol.ts";
import { busyFd } from "./protocol.ts";

export interface HostProcessOptions {
  readonly guest: string;
  /** How long one activation may take before the process is ended. */
  readonly budgetMs: number;
  /** The heap of the process, in MiB. */
  readonly memoryMb: number;
}

/** In how many looks a budget is measured: the process is ended after it, and at most one look later. */
const looksPerBudget = 4;
/** In how many budgets a process from which something is expected, and which is at work on nothing, has to be heard of. */
const silentBudgets = 20;
/** Of what a process said at its end. */
const lastWordsMax = 2_000;

/**
 * A code host in a process of its own: a loop without an end, or a heap that is full, end that process and nothing else. (A thread
 * does not do: V8 ends the whole process when the heap of one of its threads cannot grow.)
 */
export function processLine({ guest, budgetMs, memoryMb }: HostProcessOptions): HostLine {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const script = fileURLToPath(new URL(`./process${extension}`, import.meta.url));
  return {
    open: (on) => {
      const child = fork(script, {
        serialization: "advanced",
        execArgv: [`--max-old-space-size=${memoryMb}`],
        // Nothing of the engine's: neither its secrets nor its time zone.
        env: { TZ: "UTC", LANG: "en_US.UTF-8" },
        stdio: ["ignore", "ignore", "pipe", "ipc", "pipe"],
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

      /** What it was last busy with, and how often it has said so. */
      let who = 0;
      let count = 0;
      const busy = child.stdio[busyFd] as Socket | null;
      busy?.unref();
      let rest: Buffer = Buffer.alloc(0);
      busy?.on("data", (data: Buffer) => {
        const bytes = rest.length === 0 ? data : Buffer.concat([rest, data]);
        const words = Math.floor(bytes.length / Int32Array.BYTES_PER_ELEMENT);
        if (words > 0) who = bytes.readInt32LE((words - 1) * Int32Array.BYTES_PER_ELEMENT);
        count += words;
        rest = bytes.subarray(words * Int32Array.BYTES_PER_ELEMENT);
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
        if (isClosing) return;
        const isOutOfMemory = lastWords.includes("heap out of memory");
        const how = isOutOfMemory
          ? `its heap of ${memoryMb} MiB was full`
          : `exit code ${code ?? "none"}, signal ${signal ?? "none"}${lastWords === "" ? "" : `: ${lastWords}`}`;
        on.lost(
          why ??
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
      post({ guest });
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
