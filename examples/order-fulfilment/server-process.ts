/** The server in a process of its own: what `aion server` is, told over the channel to its parent. */
import { setTimeout as delay } from "node:timers/promises";
import { Server } from "aion/server";
import { z } from "zod";
import { beProgram } from "./child-process.ts";

const Settings = z.strictObject({ data: z.string(), port: z.int() });
export type ServerProcessSettings = z.infer<typeof Settings>;

const LOOK_AGAIN_MS = 50;

if (import.meta.main) {
  await beProgram(async (settings, tell) => {
    const server = await Server.open({
      ...Settings.parse(settings),
      // Workers are on the same machine: one that is silent for so long is dead.
      workerSession: "5s",
      log: (level, message, fields) => {
        if (level === "warn" || level === "error")
          tell({ type: "note", text: `server: ${message} ${JSON.stringify(fields ?? {})}` });
      },
    });
    // A server before it that is only just dying may still have the file.
    while (server.namespaces.some(({ state }) => state !== "open")) await delay(LOOK_AGAIN_MS);
    tell({ type: "ready", url: server.url });
    return () => server.close({ drain: 0 });
  });
}
