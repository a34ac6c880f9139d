/** Several that make one store at the same time: real threads, each with a connection of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, it } from "vitest";

const program = `
  const { parentPort, workerData } = require("node:worker_threads");
  import(workerData).then(({ openSqliteStore }) => {
    parentPort.postMessage("ready");
    parentPort.on("message", (path) => {
      try {
        openSqliteStore({ path }).close().then(() => parentPort.postMessage("opened"));
      } catch (error) {
        parentPort.postMessage(error.code + ": " + error.message);
      }
    });
  });
`;

let directory: string;
let workers: readonly Worker[];

const answerOf = (worker: Worker): Promise<string> =>
  new Promise((resolve) => {
    worker.once("message", (message: string) => resolve(message));
  });

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "aion-creation-"));
  const store = new URL("../../src/store/sqlite/store.ts", import.meta.url).href;
  workers = Array.from({ length: 4 }, () => new Worker(program, { eval: true, workerData: store }));
  await Promise.all(workers.map(answerOf));
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.terminate()));
  rmSync(directory, { recursive: true });
});

// I-51
it("all of them open it, and none takes it for another application's or gives up", async () => {
  for (let round = 0; round < 120; round += 1) {
    const answers = workers.map(answerOf);
    for (const worker of workers) worker.postMessage(path.join(directory, `${round}.db`));
    expect(await Promise.all(answers)).toEqual(workers.map(() => "opened"));
  }
});
