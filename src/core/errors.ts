/**
 * Every way in which Aion itself can refuse or fail, with what to do about it.
 * Closed: a transport that maps codes does not compile until it maps each of them,
 * and docs/errors.md is generated from this table.
 */
export const errorTable = {
  invalid_argument: {
    kind: "usage",
    cause: "A value handed to Aion does not have the form it must have.",
    hint: "Correct the value that the message names.",
  },
  outside_workflow: {
    kind: "usage",
    cause: "A function of `aion/workflow` was called where no workflow is running.",
    hint: "Call it from inside a workflow function, in the same chain of awaits; activities and `step` closures are outside.",
  },
  definition_duplicate: {
    kind: "usage",
    cause: "Two definitions of one kind have the same name.",
    hint: "Give each workflow and each activity its own name; pass each definition once.",
  },
  workflow_type_unknown: {
    kind: "usage",
    cause: "No workflow of that type is registered with this engine, or is in the package that was named.",
    hint: "Deploy a package that has it, or pass the definition in `workflows` when the engine is opened; or correct the name.",
  },
  endpoint_unknown: {
    kind: "not_found",
    cause: "The server has nothing at that address.",
    hint: "`GET /openapi.json` has what there is. The client and the server may be of versions that do not fit.",
  },
  unauthenticated: {
    kind: "denied",
    cause:
      "The server asks who calls, and the call does not say so: no credentials, or none that hold (any more).",
    hint: "Pass an API key or a token (`token`, `AION_TOKEN`), or one that has not expired or been revoked. Nothing was done.",
  },
  too_many_attempts: {
    kind: "denied",
    cause: "Calls from the same address showed again and again nothing that holds.",
    hint: "Wait as long as `retryAfterSeconds` says, and pass credentials that hold: those are taken at once. Nothing was done.",
  },
  too_many_streams: {
    kind: "denied",
    cause: "The caller has as many streams of events open as one caller may.",
    hint: "Close those that are not read any more; one stream of all runs (`/events`) may do for many of single ones. `streamsPerCallerMax` is the limit.",
  },
  identity_unavailable: {
    kind: "unavailable",
    cause: "The keys that tokens are checked with cannot be had just now, so nobody can be told by one.",
    hint: "Look whether the server reaches the key set (`jwt.jwks`); its log says what is wrong. Repeat the call.",
  },
  audit_unavailable: {
    kind: "unavailable",
    cause: "The audit log cannot be written, and what must be in it is not done without.",
    hint: "Look after the disk of the server's data; its log says what is wrong. Nothing was done; repeat the call.",
  },
  key_not_found: {
    kind: "not_found",
    cause: "There is no API key of that id.",
    hint: "`aion key list` shows those that there are.",
  },
  permission_denied: {
    kind: "denied",
    cause: "The caller may not do that.",
    hint: "Ask whoever runs the server for the right to, or call from where it is allowed. Nothing was done.",
  },
  namespace_not_found: {
    kind: "not_found",
    cause: "There is no namespace of that name that the caller may know of.",
    hint: "Correct the name; without one it is `default`.",
  },
  schedule_not_found: {
    kind: "not_found",
    cause: "There is no schedule of that id.",
    hint: "`aion schedule list` shows those that there are.",
  },
  schedule_already_exists: {
    kind: "conflict",
    cause: "The schedule id is taken by a schedule that is not the same.",
    hint: "Update that one, delete it first, or choose another id. Nothing was changed.",
  },
  schedule_busy: {
    kind: "conflict",
    cause: "A run that the schedule started has not ended, and the schedule lets none run beside it.",
    hint: "Wait for its end, or trigger the schedule with the overlap `allow-all`.",
  },
  package_not_found: {
    kind: "not_found",
    cause: "No package of that version is deployed.",
    hint: "Deploy it (the same archive has the same version), or correct the version.",
  },
  package_in_use: {
    kind: "conflict",
    cause: "The package cannot be unloaded: new runs would get it, or runs that have not ended need it.",
    hint: "Route its types to another version and wait until its runs have ended, or end them. The message names them.",
  },
  payload_invalid: {
    kind: "usage",
    cause: "A payload does not fit the schema of its definition.",
    hint: "The message lists what is wrong and where; send a payload that fits. Nothing was recorded.",
  },
  attribute_invalid: {
    kind: "usage",
    cause:
      "A search attribute has a name or a value that none may have, or there are too many, or they are too large.",
    hint: "The message says which, and what is allowed. Attributes are what a run is found by; data belongs in its input. Nothing was recorded.",
  },
  payload_not_serializable: {
    kind: "usage",
    cause: "A value cannot be written as JSON (a cycle, a BigInt, a function, a toJSON that throws).",
    hint: "Pass plain data: objects, arrays, strings, finite numbers, booleans, null.",
  },
  payload_too_large: {
    kind: "usage",
    cause: "A payload is larger than the limit.",
    hint: "Store the data elsewhere and pass a reference, or raise `payloadLimitBytes`.",
  },
  payload_undecodable: {
    kind: "failed",
    cause:
      "A payload is encoded and cannot be read here: it was changed, or encoded with another key or in another scope, or there is no codec; or it is not encoded, and has to be.",
    hint: "Give the client, the worker or the engine that reads it the codec that it was encoded with: the same key under the same name, and the same `scope`. Nothing was guessed at.",
  },
  codec_key_unknown: {
    kind: "failed",
    cause: "A payload is encoded with a key that this process does not have.",
    hint: "Add the key that the message names to `keys`. A new key goes to everyone who decodes before anyone encodes with it; an old one stays until nothing is kept that needs it.",
  },
  codec_failed: {
    kind: "failed",
    cause: "The codec could not encode a payload. It was not sent, nor recorded, as it was.",
    hint: "The message says what the codec threw; the cause is most likely where its keys come from.",
  },
  workflow_already_exists: {
    kind: "conflict",
    cause:
      "The workflow id is taken, by another type, another input, or a run that the reuse policy protects.",
    hint: "Choose another id, or another `reuse` policy; starting again with the same type and input returns the run that exists.",
  },
  run_not_found: {
    kind: "not_found",
    cause: "There is no run with that workflow id (and run id).",
    hint: "Check the id; `aion list` shows what exists. Retention may have deleted an old run.",
  },
  run_closed: {
    kind: "conflict",
    cause: "The run has ended; nothing can be added to it.",
    hint: "Start a new run, or address another one.",
  },
  run_not_reopenable: {
    kind: "conflict",
    cause:
      "The run did not fail, was not cancelled and did not time out; or it cannot go on exactly from where it was before its end.",
    hint: "The message says what stands against it. If its code is to do something else than it did, start the work under another id.",
  },
  run_not_resettable: {
    kind: "conflict",
    cause:
      "The run cannot go on from that point: it lies within what its code did at once, or behind its end; the code of today does something else before it; or what was open there can no longer be taken over.",
    hint: "The message says what stands against it, and which points are near. `aion history ID --points` marks those that there are.",
  },
  activity_not_parked: {
    kind: "conflict",
    cause:
      "The activity does not wait for an operator: it has its outcome, is being tried, or was resumed by somebody else; or none of the run does.",
    hint: "`aion describe` shows what the run waits for. Nothing was changed.",
  },
  request_conflict: {
    kind: "conflict",
    cause: "The request id is taken by a request that asks for something else.",
    hint: "Give each request an id of its own; only the same request, made again, has the same one. Nothing was changed.",
  },
  run_blocked: {
    kind: "conflict",
    cause:
      "The run cannot go on until somebody acts: its code is missing, diverges from its history, or keeps failing to load.",
    hint: "`aion describe` tells why; mend the cause and open the engine again. The history is untouched.",
  },
  run_limit: {
    kind: "failed",
    cause:
      "A run has reached a limit: of its history, of what may be pending in it, or of what it may ask for at once.",
    hint: "The message names the limit. Let the workflow continue as new (`info().continueAsNewSuggested`) or do less at once. A run that is held goes on when the engine is opened with a larger limit, and can be terminated.",
  },
  signals_full: {
    kind: "conflict",
    cause: "As many signals wait for the run as may: its code does not receive them, or it is blocked.",
    hint: "Nothing was recorded, and what waits stays. Look at what the run is doing (`aion describe`), and send the signal again later; or raise `waitingSignalsMax`.",
  },
  query_unknown: {
    kind: "not_found",
    cause: "The workflow exposes no query of that name (yet).",
    hint: "Expose it with `expose(query, handler)` before the first await, or correct the name.",
  },
  query_failed: {
    kind: "failed",
    cause: "The query handler threw, returned a promise, or tried to issue a command.",
    hint: "A query handler returns its answer at once and changes nothing.",
  },
  update_unknown: {
    kind: "not_found",
    cause: "The workflow exposes no update of that name (yet).",
    hint: "Expose it with `expose(update, handler)` before the first await, or correct the name. Nothing was recorded.",
  },
  update_rejected: {
    kind: "conflict",
    cause: "The workflow refused the update: its validator threw.",
    hint: "The message says why, and `details.failure` what was thrown. Nothing was recorded; send another update, or this one when the run has moved on.",
  },
  update_conflict: {
    kind: "conflict",
    cause: "The update id is taken by an update of another name, or with another input.",
    hint: "Give each update an id of its own; only the same update, made again, has the same one.",
  },
  update_not_found: {
    kind: "not_found",
    cause: "The run has accepted no update of that id.",
    hint: "It was refused or never arrived, or it was another run's: send it again with the same id.",
  },
  update_unfinished: {
    kind: "failed",
    cause: "The run accepted the update, and ended before its handler did.",
    hint: "What the handler did until then stands. To let handlers end first, the workflow waits: `await waitUntil(allHandlersFinished)`.",
  },
  updates_pending: {
    kind: "unavailable",
    cause: "The run has as many accepted updates without an outcome as it may have.",
    hint: "Nothing was recorded. Wait for the outcome of some, and send it again; or raise `pendingUpdatesMax`.",
  },
  result_timeout: {
    kind: "unavailable",
    cause: "The run did not end, or the update had no outcome, within the time given for waiting.",
    hint: "What was waited for goes on; ask again, or wait longer.",
  },
  nondeterminism: {
    kind: "failed",
    cause:
      "Replaying the history, the workflow code asked for something else than it had asked for when the history was recorded.",
    hint: "Restore the order of commands, or guard the change with `patched`. Time, randomness and I/O belong in `now`, `random`, `sideEffect` and activities.",
  },
  nondurable_await: {
    kind: "failed",
    cause:
      "The workflow awaited something that is not durable (a fetch, a timer of the platform, a promise from outside).",
    hint: "Do I/O in an activity or a `step`, wait with `sleep`, `receive` or `waitUntil`.",
  },
  history_corrupt: {
    kind: "failed",
    cause: "A stored event row does not have the checksum or the form it was written with.",
    hint: "Restore the file from a backup, or end the run with `terminate`. Other runs go on; the damaged one is held, not guessed at.",
  },
  history_shape: {
    kind: "failed",
    cause:
      "A history has valid events in an order that no engine writes (no WorkflowStarted, a gap, an event after the end).",
    hint: "The run is held, and the others go on. Restore the file from a backup, or end the run with `terminate`.",
  },
  message_corrupt: {
    kind: "failed",
    cause: "A stored message to a workflow does not have the checksum that it was written with.",
    hint: "The workflow that it names is held, and the others go on; nothing is lost. Restore the row from a backup, or delete it if the workflow may go on without it, and open the engine again.",
  },
  event_unknown: {
    kind: "failed",
    cause:
      "A history (or a message to a workflow) holds an event type, or a row format, that this version does not know: a newer version wrote it. The message names the newest that has written to the file.",
    hint: "Open the store with the version that wrote it, or a later one.",
  },
  store_url_invalid: {
    kind: "usage",
    cause: "The store was not named by a URL that Aion understands.",
    hint: 'Use "sqlite:path/to/file.db" or "memory:".',
  },
  store_owned: {
    kind: "conflict",
    cause: "Another living process owns the store.",
    hint: "Stop that process, or talk to it (`aion … --store …` does so by itself). A dead or frozen owner is replaced without asking.",
  },
  store_newer_format: {
    kind: "failed",
    cause: "The store was written by a newer version of Aion.",
    hint: "Upgrade Aion; the file was not changed.",
  },
  store_corrupt: {
    kind: "failed",
    cause: "The database file is damaged, cannot be read from the disk, or is no Aion store.",
    hint: "Check the path, and the log of the machine for errors of the disk; restore the file from a backup. The file was not changed.",
  },
  store_read_only: {
    kind: "failed",
    cause: "The database file or its directory cannot be written.",
    hint: "Give the process write permission on the file and its directory, or choose another path.",
  },
  store_full: {
    kind: "unavailable",
    cause: "The disk is full; the write was rolled back.",
    hint: "Free some space; nothing acknowledged is lost and the engine goes on by itself. Repeat the call that failed.",
  },
  store_failed: {
    kind: "unavailable",
    cause:
      "The store reported an I/O error. The engine stopped, since what a failed fsync left on disk is unknown.",
    hint: "Look after the disk, then open the engine again: it recovers from what is on disk.",
  },
  store_unavailable: {
    kind: "unavailable",
    cause: "The database file cannot be opened or locked.",
    hint: "Check that the directory exists and that nothing else locks the file; try again.",
  },
  sequence_conflict: {
    kind: "conflict",
    cause: "The history has moved on since it was read: somebody else wrote to it.",
    hint: "Read again and repeat. Seen outside a store, it is a bug of Aion; please report it.",
  },
  not_owner: {
    kind: "unavailable",
    cause: "This engine no longer owns the store: another one took over while it was frozen or cut off.",
    hint: "Nothing was written. Close this engine and address the new owner.",
  },
  commit_unknown: {
    kind: "unavailable",
    cause: "The store could not say whether a commit was made.",
    hint: "Aion resolves it by reading; seen by a caller, repeat the call with the same id.",
  },
  engine_closed: {
    kind: "unavailable",
    cause: "The engine is closed, or is closing.",
    hint: "Open it again; nothing acknowledged is lost.",
  },
  feed_off: {
    kind: "unavailable",
    cause: "The engine keeps no feed: it was opened without one.",
    hint: "Open the engine with `feed: true`. The feed begins then; what was recorded before is in the histories.",
  },
  cursor_expired: {
    kind: "conflict",
    cause:
      "Events after the cursor may be missing in the feed: it is older than what the feed keeps, or the feed was off since. Or a run has no event of that number: its store was put back.",
    hint: "Read the list of runs, and go on from the head of the feed (no cursor). Read more often, or raise `feedRetention`.",
  },
  worker_lost: {
    kind: "failed",
    cause:
      "Five workers in a row fell silent while they ran one activity: it may well be what ends them (memory, a crash, a blocked event loop).",
    hint: "Look at the logs of the workers that the history names. An activity that blocks the event loop keeps its worker from saying that it is alive.",
  },
  worker_refused: {
    kind: "usage",
    cause:
      "The engine does not take this worker: what it shows does not hold, or not for its task queues; it speaks another version of the protocol, or sent what no worker may.",
    hint: "The message says what. Use a key or a token that holds and may `work` on its task queues, and a worker of the version of the engine. A `token` that is a function is asked again, and goes on.",
  },
  no_owner: {
    kind: "unavailable",
    cause: "No engine is running on the store, and the operation needs one.",
    hint: "Start the process that embeds the engine, or pass `--workflows FILE` so that the code can be loaded.",
  },
  transport_failed: {
    kind: "unavailable",
    cause: "The connection to the engine broke before the answer arrived.",
    hint: "Repeat the call; with an id it has one effect.",
  },
  package_failed: {
    kind: "failed",
    cause: "The code of a package cannot be loaded: it is no script, or its module throws.",
    hint: "The message has the place in your file. Mend it, and build the package again.",
  },
  package_stopped: {
    kind: "failed",
    cause:
      "The process that runs the code of a package was ended: an activation took longer than its time, or memory ran out.",
    hint: "Look for a loop without an end, or for data that grows; give long work to an activity. A run that does it again and again is held.",
  },
  build_failed: {
    kind: "usage",
    cause: "A workflow file cannot be built into a package.",
    hint: "The message names each place and what to do there. Nothing was written.",
  },
  package_invalid: {
    kind: "usage",
    cause: "A file is no package as `aion build` writes it: it is something else, or was damaged or changed.",
    hint: "Build the package again with `aion build`, and hand on the file as it is.",
  },
  package_too_large: {
    kind: "usage",
    cause: "A package, or a part of it, is larger than the limit.",
    hint: "Keep large data and libraries out of workflow code: an activity can read and use them.",
  },
  internal: {
    kind: "bug",
    cause: "Aion broke one of its own laws.",
    hint: "Please report it with the message and the stack. The data is as it was before.",
  },
} as const satisfies Record<
  string,
  { readonly kind: ErrorKind; readonly cause: string; readonly hint: string }
>;

export type ErrorKind = "usage" | "denied" | "conflict" | "not_found" | "failed" | "unavailable" | "bug";
export type ErrorCode = keyof typeof errorTable;

const errorBrand = Symbol.for("aion.error");

export interface AionErrorOptions {
  readonly cause?: unknown;
  /** Replaces the table's hint where something more exact can be said. */
  readonly hint?: string;
  /** Structured facts for programs (ids, expected and found, …). */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The one error class of Aion. Match on `code`, which is stable; `message` says what happened with
 * the values; `hint` says what to do.
 */
export class AionError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: AionErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "AionError";
    this.code = code;
    this.hint = options.hint ?? errorTable[code].hint;
    this.details = options.details ?? {};
    Object.defineProperty(this, errorBrand, { value: true });
  }
}

/** Recognises an `AionError` from any copy of this module, and any realm. */
export function isAionError(value: unknown): value is AionError {
  return typeof value === "object" && value !== null && errorBrand in value;
}

/** True when `text` is one of the stable codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text);
}

/** What must hold. Stays on in production: a broken law stops the run it concerns, not the data. */
export function assert(claim: unknown, law: string): asserts claim {
  if (claim === undefined || claim === null || claim === false || claim === 0 || claim === "") {
    throw new AionError("internal", `broken law: ${law}`);
  }
}

/** Exhaustiveness at run time: a value the types call impossible. */
export function unreachable(value: never, what: string): never {
  throw new AionError("internal", `unexpected ${what}: ${JSON.stringify(value)}`);
}
