import { z } from "zod";
import { errorTable } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import {
  anyEvent,
  auditPage,
  count,
  deployed,
  description,
  failure,
  feedEvent,
  json,
  keySecret,
  keySummary,
  list,
  maybe,
  milliseconds,
  namespaceSummary,
  packages,
  resetDone,
  results,
  runPage,
  runSummary,
  started,
  updates,
  logsLine,
  workers,
} from "../http/forms.ts";
import { scheduleDescription, schedulePage } from "../http/schedule-forms.ts";
import { checkNames, findingStatuses } from "./doctor/finding.ts";
import { templateNames } from "./project.ts";

/**
 * What commands print with `--json`, one schema each. docs/cli-json.md and docs/cli-json.schema.json are made of them.
 *
 * Law: fields are added, never renamed or removed, and none changes its meaning. Only the types of this file reach the commands,
 * which do not check what they print: the tests do.
 */

const problemPlace = z.object({
  file: z.string(),
  line: z.number(),
  column: z.number(),
  length: z.number(),
  lineText: z.string(),
});

const problem = z.object({
  text: z.string(),
  place: maybe(problemPlace),
  chain: maybe(list(z.string())),
  neededBy: maybe(problemPlace),
  remedy: z.string().optional(),
});

const resumed = z.object({
  workflowId: z.string(),
  runId: z.string(),
  ordinals: list(z.number()).describe("Of the activities that were decided on."),
});

const shape = z.enum(["any", "described", "opaque"]);

const manifest = z.object({
  format: z.number(),
  aion: z.string().describe("The version that built it."),
  entry: z.string(),
  workflows: list(z.object({ type: z.string(), input: shape, output: shape, signals: list(z.string()) })),
  activities: list(
    z.object({
      type: z.string(),
      input: shape,
      output: maybe(shape),
      options: z.record(z.string(), json),
    }),
  ),
  signals: list(z.object({ name: z.string(), payload: shape })),
  queries: list(z.object({ name: z.string(), input: shape, output: shape })),
  updates: list(z.object({ name: z.string(), input: shape, output: shape })),
});

const details = z.record(z.string(), json).describe("The facts, for programs.");
const code = z
  .enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]])
  .describe("See errors.md. There will be more of them.");

const error = z.object({ code, message: z.string(), hint: z.string(), details });

const finding = z.object({
  check: z.enum(checkNames).describe("There will be more of them."),
  status: z.enum(findingStatuses),
  message: z.string(),
  remedy: maybe(z.string().describe("What to do; present unless all is well.")),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

/** What occurs in more than one document. */
export const parts = {
  Event: anyEvent,
  LogsLine: logsLine,
  Failure: failure,
  RunSummary: runSummary,
  Error: error,
};

/** What each command prints on stdout. */
export const documents = {
  init: z.object({
    directory: z.string(),
    name: z.string().describe("Of its npm package."),
    template: z.enum(templateNames as readonly [(typeof templateNames)[number]]),
    files: list(z.string()),
    next: list(z.string()).describe("Commands to type now, one after the other."),
  }),
  list: runPage,
  count,
  describe: description,
  history: z.object({
    workflowId: z.string(),
    events: list(anyEvent),
    points: maybe(
      list(
        z.object({
          seq: z.number(),
          isRedone: z.boolean().describe("What its code did about that event is not kept, and done anew."),
        }),
      ).describe("With --points: from which events a run can be reset."),
    ),
  }),
  logs: z.object({
    workflowId: z.string(),
    lines: list(logsLine),
    droppedCount: z.number().describe("Lines that were dropped for newer ones."),
  }),
  watch: feedEvent.describe("A line for each event."),
  start: started,
  signal: z.object({ workflowId: z.string(), name: z.string() }),
  update: z.discriminatedUnion("status", [
    updates[0].extend({ workflowId: z.string() }),
    updates[1].extend({ workflowId: z.string() }),
    updates[2].extend({ workflowId: z.string() }),
    updates[3].extend({ workflowId: z.string() }),
  ]),
  cancel: z.object({ workflowId: z.string() }),
  terminate: z.object({ workflowId: z.string() }),
  pause: z.object({ workflowId: z.string() }),
  resume: z.union([
    resumed.describe("Of parked activities."),
    z.object({ workflowId: z.string() }).describe("Of a run that was paused."),
    z
      .object({
        runs: list(resumed),
        refused: list(z.object({ workflowId: z.string(), runId: z.string(), error })).describe(
          "Those that cannot go on: they are blocked, say.",
        ),
      })
      .describe("Of all runs that had some."),
  ]),
  reopen: z.object({ workflowId: z.string() }),
  reset: resetDone,
  fork: z.object(resetDone.shape),
  query: json.describe("The answer itself: any JSON."),
  result: z.discriminatedUnion("status", [
    results[0].extend({ workflowId: z.string() }),
    results[1].extend({ workflowId: z.string() }),
    results[2].extend({ workflowId: z.string() }),
  ]),
  replay: z.object({
    workflowId: z.string(),
    runId: z.string(),
    workflowType: z.string(),
    events: z.number(),
    outcome: z.enum(["ok", "diverged", "failed"]),
    resumesAt: maybe(z.object({ commandIndex: z.number(), command: z.string() })),
    error: maybe(error),
  }),
  backup: z.object({
    file: z.string(),
    runCount: z.number(),
    eventCount: z.number(),
    messageCount: z.number(),
    packageCount: z.number(),
    byteCount: z.number(),
  }),
  build: z.object({
    file: z.string(),
    hash: z.string().describe("SHA-256 of the package: its version."),
    byteCount: z.number(),
    durationMs: milliseconds,
    manifest,
    dropped: list(
      z.object({
        file: z.string(),
        activities: list(z.string()),
        imports: list(z.string()),
        names: list(z.string()),
      }),
    ),
    warnings: list(problem),
  }),
  check: z.object({
    file: z.string(),
    loader: z.enum(["package", "inline"]),
    version: maybe(z.string()).describe("Of the package."),
    workflowTypes: list(z.string()),
    outcome: z.enum(["ok", "broken", "not-built"]).describe("The exit code is 0 for `ok` alone."),
    checkedCount: z.number().describe("Running runs of these types; without a store and a server, 0."),
    brokenCount: z.number(),
    otherTypes: list(z.object({ workflowType: z.string(), runningCount: z.number() })).describe(
      "Types that the code does not have, and of which there are running runs; not told with `--type`.",
    ),
    broken: list(
      z.object({
        workflowId: z.string(),
        runId: z.string(),
        workflowType: z.string(),
        version: z.string().describe("That it was begun with."),
        events: z.number(),
        outcome: z.enum(["diverged", "failed"]),
        error,
      }),
    ),
    problems: list(problem).describe("That stand against the build."),
    warnings: list(problem),
  }),
  deploy: deployed,
  versions: packages,
  route: z.object({ workflowTypes: list(z.string()), version: z.string() }),
  unload: z.object({ version: z.string() }),
  doctor: z.object({
    aionVersion: z.string(),
    store: maybe(z.string()),
    url: maybe(z.string()),
    status: z
      .enum(["ok", "warning", "failed"])
      .describe("The worst of them; the exit code is 1 for `failed`."),
    checks: list(finding),
  }),
  namespace: z.union([
    z.object({ namespaces: list(namespaceSummary) }),
    z.object({ name: z.string(), isNew: z.boolean().describe("False: it was there already.") }),
  ]),
  schedule: z.union([
    schedulePage,
    scheduleDescription,
    z.object({ scheduleId: z.string(), isNew: z.boolean().describe("False: it was there already.") }),
    z.object({ scheduleId: z.string(), workflowId: z.string().describe("What was started.") }),
    z.object({ scheduleId: z.string(), count: z.number().describe("Times that will start.") }),
    z.object({ scheduleId: z.string() }),
  ]),
  audit: auditPage,
  key: z.union([z.object({ keys: list(keySummary) }), keySecret, z.object({ key: keySummary })]),
  dev: z
    .object({
      what: z.enum(["serving", "waiting", "built", "unchanged", "worker", "started", "completed", "ended"]),
      url: maybe(z.string()),
      file: maybe(z.string()),
      version: maybe(z.string()),
      workflowTypes: maybe(list(z.string())),
      workflowId: maybe(z.string()),
      result: maybe(json),
      message: maybe(z.string()),
      place: maybe(problemPlace).describe("Where the run failed, in a file that is here."),
    })
    .describe("A line for each thing that happens."),
  worker: z.object({
    identity: z.string(),
    activities: list(z.string()),
    url: z.string(),
    pid: z.number(),
  }),
  workers,
  "worker-conformance": z.object({
    command: list(z.string()),
    scenarios: list(
      z.object({
        name: z.string(),
        status: z.enum(["passed", "failed"]),
        message: maybe(z.string()).describe("At which step the worker went another way, and what it said."),
        output: maybe(z.string()).describe("The end of what it wrote."),
      }),
    ),
  }),
  server: z.object({ url: z.string(), pid: z.number(), namespaces: list(namespaceSummary) }),
  completion: z.object({ shell: z.enum(["bash", "zsh", "fish"]), script: z.string() }),
};

/** Lines: one document each, as it comes. */
export const lines = {
  "history-follow": anyEvent,
  "logs-follow": logsLine,
  "error-line": z.object({
    error: error.extend({ stack: maybe(z.string().describe("Of a bug of Aion's.")) }),
  }),
  "note-line": z.object({ note: z.string() }),
};

export type DocumentName = keyof typeof documents;
export type DocumentOf<Name extends DocumentName> = z.input<(typeof documents)[Name]>;
export type EventDocument = z.input<typeof anyEvent>;
export type LogsLineDocument = z.input<typeof logsLine>;
export type ErrorLine = z.input<(typeof lines)["error-line"]>;
export type NoteLine = z.input<(typeof lines)["note-line"]>;
