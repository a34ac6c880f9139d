/** The worker in a process of its own: it runs the activities, and is the only one that reaches the services. */
import { Worker } from "aion/worker";
import { z } from "zod";
import { beProgram } from "./child-process.ts";
import { connectServices } from "./services.ts";
import { activities } from "./workflow.ts";
import { World } from "./world.ts";

const Settings = z.strictObject({
  serverUrl: z.string(),
  dataDir: z.string(),
  faultRate: z.number(),
  seed: z.int(),
});
export type WorkerProcessSettings = z.infer<typeof Settings>;

if (import.meta.main) {
  await beProgram(async (settings, tell) => {
    const options = Settings.parse(settings);
    const { payments, approvals, carrier, outbox } = new World(options);
    connectServices({ payments, approvals, carrier, outbox, onRetry: () => tell({ type: "retry" }) });
    const worker = new Worker({
      url: options.serverUrl,
      activities,
      log: (level, message, fields) => {
        // That the server is gone for a while is what this example is about.
        if (level === "error")
          tell({ type: "note", text: `worker: ${message} ${JSON.stringify(fields ?? {})}` });
      },
    });
    const working = worker.run();
    tell({ type: "ready" });
    return async () => {
      await worker.stop({ drain: "2s" });
      await working;
    };
  });
}
