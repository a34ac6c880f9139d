import type { Kernel } from "./kernel.ts";

/** Runs deleted by one transaction: it holds up the commits of others no longer than one of theirs. */
const pageRuns = 500;

/** Deletes runs that ended more than `ageMs` ago. Returns how many. Errors: those of `Store.deleteClosed`. */
export async function deleteClosedRuns(kernel: Kernel, ageMs: number): Promise<number> {
  const { token } = kernel.options;
  const closedBefore = kernel.now() - ageMs;
  let deletedCount = 0;
  for (;;) {
    const count = await kernel.store.deleteClosed(token, closedBefore, pageRuns);
    deletedCount += count;
    if (count < pageRuns) return deletedCount;
  }
}
