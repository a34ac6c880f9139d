import type { EventOf } from "../core/event.ts";
import type { WorkflowId } from "../core/ids.ts";
import type { Payload } from "../core/payload.ts";
import { messageOf, toPayload } from "../core/payload.ts";
import type { SyncPayloadCodec } from "../core/payload-codec.ts";
import { encodeFailure, encodedMessage } from "../core/payload-codec.ts";
import type { Log, LogLevel } from "../core/ports.ts";
import { traceIdOf } from "../core/tracing.ts";
import type { LogEntry, LogLine } from "../store/run-log.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What one activation may leave in the log of its run. All of it goes to operators. */
const activationLinesMax = 200;
const activationCharsMax = 64 * 1_024;
/** Of one line. */
const messageCharsMax = 8 * 1_024;
const fieldsBytesMax = 8 * 1_024;

/**
 * What the code of a run says (`log`), on its way to the operators' log and, with the commit of the activation, to the run's own.
 *
 * Owner: the run in memory. Laws: an entry is what one activation said, named by the seq of its input, so that the same entry is
 * made whoever replays the input. While a run is loaded nothing is told: what its last activation says may have been said before.
 */
export class RunLines {
  readonly #tell: Log;
  readonly #seal: (line: LogLine) => LogLine;
  #isLoading: boolean;
  #lines: LogLine[] = [];
  #chars = 0;
  #leftOut = 0;
  /** What was said while the run was loaded. */
  #held: (() => void)[] = [];

  constructor(
    tell: Log,
    {
      isLoading,
      seal = (line) => line,
    }: {
      readonly isLoading: boolean;
      /** With a codec: hides what a line says from whoever reads the store. */
      readonly seal?: ((line: LogLine) => LogLine) | undefined;
    },
  ) {
    this.#tell = tell;
    this.#seal = seal;
    this.#isLoading = isLoading;
  }

  /** What the code is given. */
  readonly say = (level: LogLevel, message: string, fields: Fields | undefined): void => {
    if (this.#isLoading) this.#held.push(() => this.#tell(level, message, fields));
    else this.#tell(level, message, fields);
    const line: LogLine = {
      level,
      message: shorten(message),
      ...(fields === undefined ? {} : { fields: encodeFields(fields) }),
    };
    const chars = line.message.length + (line.fields?.length ?? 0);
    if (this.#lines.length >= activationLinesMax || this.#chars + chars > activationCharsMax) {
      this.#leftOut += 1;
      return;
    }
    this.#lines.push(line);
    this.#chars += chars;
  };

  /** An activation begins: what was said outside of one (by the handler of a query) is in no log of the run. */
  begin(): void {
    this.#lines = [];
    this.#chars = 0;
    this.#leftOut = 0;
    this.#held = [];
  }

  /** An activation is over: what it said. */
  take(seq: number, saidAt: number): LogEntry | undefined {
    if (this.#lines.length === 0 && this.#leftOut === 0) return undefined;
    const lines = this.#lines.map((line) => this.#seal(line));
    if (this.#leftOut > 0) {
      const message = `${this.#leftOut} more lines of this activation were left out`;
      lines.push({ level: "warn", message });
    }
    this.#lines = [];
    this.#chars = 0;
    this.#leftOut = 0;
    return { seq, saidAt, lines };
  }

  /** The run is loaded. `isNew`: what its last activation said has not been said before. */
  loaded(isNew: boolean): void {
    this.#isLoading = false;
    const held = this.#held;
    this.#held = [];
    if (isNew) for (const tell of held) tell();
  }
}

/** As failures are hidden: the message too, unless the codec leaves those of failures. */
export function sealLine(codec: SyncPayloadCodec, workflowId: WorkflowId, line: LogLine): LogLine {
  const { level, message, fields } = line;
  const said = {
    kind: "application",
    message,
    ...(fields === undefined ? {} : { details: fields }),
  } as const;
  const { failureText } = codec;
  try {
    const sealed = encodeFailure(said, (text, context) => codec.encode(text, context) as Payload, {
      workflowId,
      ...(failureText === undefined ? {} : { failureText }),
    });
    return {
      level,
      message: sealed.message,
      ...(sealed.details === undefined ? {} : { fields: sealed.details }),
    };
  } catch {
    // It cannot be encoded now: a line is no reason to stop a run, nor to be written as it is.
    return { level, message: encodedMessage };
  }
}

/** Whose a line is, under the names that all lines of the engine have. */
export function fieldsOfRun(workflowId: WorkflowId, started: EventOf<"WorkflowStarted"> | undefined): Fields {
  if (started === undefined) return { workflowId };
  const { runId, workflowType, trace } = started;
  const traced = trace === undefined ? {} : { traceId: traceIdOf(trace) };
  return { workflowId, runId, workflowType, ...traced };
}

function shorten(message: string): string {
  const whole = message.toWellFormed();
  if (whole.length <= messageCharsMax) return whole;
  return `${whole.slice(0, messageCharsMax).toWellFormed()}… (${whole.length} characters)`;
}

/** They are user code's: whatever is wrong with them must not harm the run. */
function encodeFields(fields: Fields): Payload {
  try {
    return toPayload(fields, "the fields of a log line", fieldsBytesMax);
  } catch (error) {
    return toPayload({ unreadable: shorten(messageOf(error)).slice(0, 500) }, "the fields of a log line");
  }
}
