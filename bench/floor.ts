/**
 * The bare floor: the rows that W1 must write, through `node:sqlite`, and nothing else. What lies
 * between this loop and an engine is the engine's own cost.
 *
 * Per workflow: 1 run insert, 3 run updates, 4 event rows; a surrogate integer key that grows with
 * time, the caller's random id in one unique index; WAL, synchronous=FULL; a fixed number of
 * workflows in flight, and one transaction for each round, in which every workflow in flight makes
 * one activation in a deterministic V8 realm.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Script, createContext } from "node:vm";
import { payloadFor, trivialStep } from "./trivial-step.ts";
import type { Payload } from "./trivial-step.ts";

export const floorInFlight = 400;
const stepCount = 3;

const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE runs (
    run_key INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    head INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  );
  CREATE UNIQUE INDEX runs_by_id ON runs (workflow_id);
  CREATE TABLE events (
    run_key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run_key, seq)
  ) WITHOUT ROWID;
`;

/** The program inside the realm: only numbers and strings cross its border. */
const program = `
  "use strict";
  const pending = new Map();
  let current = 0;
  let command = "";
  const step = () => new Promise((resolve) => {
    pending.set(current, resolve);
    command = "step";
  });
  async function workflow(input) {
    let value = JSON.parse(input);
    value = await step();
    value = await step();
    value = await step();
    return value;
  }
  globalThis.start = (key, input) => {
    current = key;
    workflow(input).then((result) => {
      pending.delete(current);
      command = "complete";
    });
  };
  globalThis.resume = (key, result) => {
    current = key;
    pending.get(key)(JSON.parse(result));
  };
  globalThis.take = () => command;
`;

interface RealmFunctions {
  readonly start: (key: number, input: string) => void;
  readonly resume: (key: number, result: string) => void;
  readonly take: () => string;
}

interface InFlightRun {
  readonly key: number;
  readonly input: Payload;
  stepsDone: number;
}

export interface Floor {
  /** Runs this many workflows to their end. */
  run(count: number, inFlight?: number): void;
  close(): void;
}

export function openFloor(directory: string): Floor {
  const database = new DatabaseSync(join(directory, "floor.db"));
  database.exec(schema);
  const insertRun = database.prepare(
    "INSERT INTO runs (run_key, workflow_id, type, status, head, updated_at) VALUES (?, ?, 'steps', 'running', 1, ?)",
  );
  const updateRun = database.prepare(
    "UPDATE runs SET status = ?, head = ?, updated_at = ? WHERE run_key = ?",
  );
  const insertEvent = database.prepare("INSERT INTO events (run_key, seq, data) VALUES (?, ?, ?)");
  const begin = database.prepare("BEGIN IMMEDIATE");
  const commit = database.prepare("COMMIT");

  const realm = createContext({}, { microtaskMode: "afterEvaluate" });
  new Script(program).runInContext(realm);
  // Taken out once: reading a property of the realm's global goes through an interceptor.
  const { start, resume, take } = realm as unknown as RealmFunctions;
  // Microtasks run when an evaluation ends, so one activation is one evaluation of this.
  const drain = new Script("0");
  let nextKey = 1;

  const activateFirst = (now: number): InFlightRun => {
    const key = nextKey;
    nextKey += 1;
    const workflowId = randomUUID();
    const input = payloadFor(workflowId);
    const encoded = JSON.stringify(input);
    start(key, encoded);
    drain.runInContext(realm);
    insertRun.run(key, workflowId, now);
    insertEvent.run(key, 1, `{"type":"started","at":${now},"input":${encoded},"command":"${take()}"}`);
    return { key, input, stepsDone: 0 };
  };

  const activateNext = (run: InFlightRun, now: number): void => {
    const encoded = JSON.stringify(trivialStep(run.input));
    run.stepsDone += 1;
    resume(run.key, encoded);
    drain.runInContext(realm);
    const head = run.stepsDone + 1;
    insertEvent.run(
      run.key,
      head,
      `{"type":"completed","at":${now},"result":${encoded},"command":"${take()}"}`,
    );
    updateRun.run(run.stepsDone === stepCount ? "completed" : "running", head, now, run.key);
  };

  return {
    run(count, inFlight = floorInFlight) {
      let started = 0;
      let running: InFlightRun[] = [];
      while (started < count || running.length > 0) {
        const now = Date.now();
        begin.run();
        for (const run of running) activateNext(run, now);
        running = running.filter((run) => run.stepsDone < stepCount);
        while (running.length < inFlight && started < count) {
          running.push(activateFirst(now));
          started += 1;
        }
        commit.run();
      }
    },
    close() {
      database.close();
    },
  };
}
