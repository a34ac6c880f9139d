import { Worker } from "node:worker_threads";
import { AionError } from "../core/errors.ts";
import type { HostLine } from "./code-host.ts";
import type { HostReply } from "./protocol.ts";
import { busySlot } from "./protocol.ts";
import type { HostThreadData } from "./thread.ts";

export interface ThreadOptions {
  readonly guest: string;
  /** How long one activation may take before the thread is ended. */
  readonly budgetMs: number;
  /** The heap of the thread, in MiB. */
  readonly memoryMb: number;
}

/** In how many looks a budget is measured: the thread is ended after it, and at most one look later. */
const looksPerBudget = 4;

/** A code host in a thread of its own: a loop without an end, or a heap that is full, end that thread and nothing else. */
export function threadLine({ guest, budgetMs, memoryMb }: ThreadOptions): HostLine {
  return {
    open: (on) => {
      const busy = new Int32Array(new SharedArrayBuffer(busySlot.length * Int32Array.BYTES_PER_ELEMENT));
      const worker = new Worker(new URL(`./thread${import.meta.url.slice(-3)}`, import.meta.url), {
        workerData: { guest, busy } satisfies HostThreadData,
        resourceLimits: { maxOldGenerationSizeMb: memoryMb },
        name: "aion code",
      });
      worker.unref();
      let why: AionError | undefined;
      let isClosing = false;
      worker.on("message", (replies: readonly HostReply[]) => {
        if (why === undefined) on.reply(replies);
      });
      worker.on("error", (error: Error) => {
        why ??= new AionError(
          "package_stopped",
          `the thread that runs workflow code ended: ${error.message}`,
        );
      });
      worker.on("exit", (code) => {
        clearInterval(watch);
        if (isClosing) return;
        why ??= new AionError(
          "package_stopped",
          `the thread that runs workflow code ended with exit code ${code}`,
        );
        on.lost(why, Atomics.load(busy, busySlot.who));
      });
      let watch: NodeJS.Timeout | undefined;
      let seenCount = -1;
      let looks = 0;
      const look = (): void => {
        const count = Atomics.load(busy, busySlot.count);
        const isSame = Atomics.load(busy, busySlot.who) !== 0 && count === seenCount;
        looks = isSame ? looks + 1 : 0;
        seenCount = count;
        if (looks < looksPerBudget) return;
        why ??= new AionError(
          "package_stopped",
          `the thread that runs workflow code was ended: one activation took more than ${budgetMs} ms`,
        );
        void worker.terminate();
      };
      return {
        post: (requests) => worker.postMessage(requests),
        // An idle host is not looked after.
        expect: (isExpecting) => {
          clearInterval(watch);
          looks = 0;
          watch = isExpecting ? setInterval(look, budgetMs / looksPerBudget) : undefined;
          watch?.unref();
        },
        close: async () => {
          isClosing = true;
          clearInterval(watch);
          await worker.terminate();
        },
      };
    },
  };
}
