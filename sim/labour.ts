import { ApplicationFailure } from "../src/core/failure.ts";
import type { ActivityTask, AnyActivity } from "../src/workflow/definition.ts";
import { activity } from "../src/workflow/definition.ts";

interface Labour {
  readonly label: string;
  readonly ms: number;
  readonly failures: number;
}

/** What the activities of a process need of the world around it. */
export interface Workshop<Execution> {
  /** Notes the execution, and how often its key was executed so far, this time included. */
  execute(task: ActivityTask): { readonly execution: Execution; readonly count: number };
  end(execution: Execution): void;
  /** It was not told to stop, and would have listened. */
  endUntold(execution: Execution): void;
  pause(ms: number): Promise<void>;
}

/** The activities of random programs. Their labels tell how they behave; see `toActivity`. */
export function labourActivities<Execution>(workshop: Workshop<Execution>): readonly AnyActivity[] {
  const labour = async ({ label, ms, failures }: Labour, task: ActivityTask): Promise<string> => {
    const { execution, count } = workshop.execute(task);
    try {
      const [manner = ""] = label.split(" ");
      if (manner === "hang" && count <= 2) await aborted(task);
      else if (manner === "beat") {
        for (let beat = 1; beat <= 3; beat++) {
          task.heartbeat(`beat ${beat} of attempt ${task.attempt}`);
          await workshop.pause(ms / 3);
        }
      } else if (manner === "stubborn") await workshop.pause(ms);
      else {
        await Promise.race([workshop.pause(ms), aborted(task)]);
        workshop.endUntold(execution);
      }
      const park = manner === "ask";
      const type = manner === "locked" ? { type: "Locked" } : {};
      if (failures < 0)
        throw new ApplicationFailure(`no ${label}`, {
          ...type,
          ...(park ? { park } : { nonRetryable: true }),
        });
      if (count <= failures) throw new ApplicationFailure(`not yet ${label}`, { ...type, park });
      return label;
    } finally {
      workshop.end(execution);
    }
  };
  return [activity("work", labour), activity("toil", labour)];
}

function aborted(task: ActivityTask): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new ApplicationFailure("told to stop"));
    if (task.signal.aborted) stop();
    else task.signal.addEventListener("abort", stop, { once: true });
  });
}
