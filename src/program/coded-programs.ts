import type { Activation, Delivery, Offered, Outcome, RecordedValue, Turn } from "../core/activation.ts";
import type { Command } from "../core/command.ts";
import { eventTypeOfCommand } from "../core/command.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Event, StartSignal } from "../core/event.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { parsePayload } from "../core/payload.ts";
import type { PayloadContext, PayloadMap, SyncPayloadCodec } from "../core/payload-codec.ts";
import {
  decodeFailure,
  encodedMessage,
  encodeError,
  encodeFailure,
  parseEncoded,
} from "../core/payload-codec.ts";
import type { ActivityTask } from "../workflow/definition.ts";
import type { InstanceInit, Program, ProgramInstance, ProgramSource } from "./program.ts";
import { decodeError, encodeError as toRefusal } from "./answer.ts";
import { unhandledRejection } from "./marker.ts";

/**
 * Programs behind a codec: what goes in to workflow code is decoded, and what it hands out is encoded, so that of a run's data
 * the engine, its store and whoever talks to it have ciphertext alone.
 *
 * Law: a replay asks for what was recorded. An encoded payload is another one each time it is made, so a command whose record
 * says the same is given the record's own payload, and only what history does not hold is encoded anew.
 */
export function withCodec(programs: ProgramSource, codec: SyncPayloadCodec): ProgramSource {
  // A program is one object for as long as it is there: the engine tells by it whether a route has changed.
  const coded = new WeakMap<Program, Program>();
  const wrap = (program: Program | undefined): Program | undefined => {
    if (program === undefined) return undefined;
    let found = coded.get(program);
    if (found === undefined) {
      found = new CodedProgram(program, new Border(codec));
      coded.set(program, found);
    }
    return found;
  };
  return {
    route: (workflowType) => wrap(programs.route(workflowType)),
    find: (workflowType, version) => wrap(programs.find(workflowType, version)),
    get workflowTypes() {
      return programs.workflowTypes;
    },
  };
}

class Border {
  readonly codec: SyncPayloadCodec;

  constructor(codec: SyncPayloadCodec) {
    this.codec = codec;
  }

  readonly encode: PayloadMap = (text, context) => this.codec.encode(text, context) as Payload;

  readonly decode: PayloadMap = (encoded, context) => this.codec.decode(encoded, context) as Payload;

  /** What code refused, told without what it says of the data. */
  refusal(error: unknown, workflowId?: string): unknown {
    if (!isAionError(error) || !quotes(error)) return error;
    const of = workflowId === undefined ? {} : { workflowId };
    const hidden = encodeError(error, this.encode, of);
    const failure = error.details["failure"] as Failure | undefined;
    if (error.code !== "update_rejected" || failure === undefined) return hidden;
    const { failureText = "encoded" } = this.codec;
    const details = {
      ...hidden.details,
      failure: encodeFailure(failure, this.encode, { ...of, failureText }),
    };
    return new AionError(hidden.code, hidden.message, { hint: hidden.hint, details });
  }
}

/** Whether the message comes from a schema or from an author's code, and may quote data. */
function quotes({ code, message }: AionError): boolean {
  if (code === "payload_invalid" || code === "query_failed" || code === "update_rejected") return true;
  return code === "nondurable_await" && message.includes(unhandledRejection);
}

class CodedProgram implements Program {
  readonly #inner: Program;
  readonly #border: Border;

  constructor(inner: Program, border: Border) {
    this.#inner = inner;
    this.#border = border;
  }

  get workflowType(): string {
    return this.#inner.workflowType;
  }

  get version(): string {
    return this.#inner.version;
  }

  parseInput(input: Payload): Payload | Promise<Payload> {
    return check(this.#border, input, { kind: "start" }, (text) => this.#inner.parseInput(text));
  }

  parseSignal(name: string, payload: Payload): Payload | Promise<Payload> {
    return check(this.#border, payload, { kind: "signal" }, (text) => this.#inner.parseSignal(name, text));
  }

  instantiate(init: InstanceInit): ProgramInstance {
    return new CodedInstance(this.#inner, init, this.#border);
  }
}

/** Holds a payload against a schema. What fits as it is goes on as it came: encoded by its sender, with its sender's key. */
function check(
  border: Border,
  payload: Payload,
  context: PayloadContext,
  parse: (text: Payload) => Payload | Promise<Payload>,
): Payload | Promise<Payload> {
  const text = border.decode(payload, context);
  const isEncoded = parseEncoded(payload) !== undefined;
  const finish = (parsed: Payload): Payload =>
    isEncoded && parsed === text ? payload : border.encode(parsed, context);
  const refuse = (error: unknown): never => {
    throw border.refusal(error, context.workflowId);
  };
  let parsed: Payload | Promise<Payload>;
  try {
    parsed = parse(text);
  } catch (error) {
    return refuse(error);
  }
  return parsed instanceof Promise ? parsed.then(finish, refuse) : finish(parsed);
}

/** The code of one run. */
class CodedInstance implements ProgramInstance {
  readonly #inner: ProgramInstance;
  readonly #border: Border;
  readonly #of: { readonly workflowId: string; readonly failureText: "encoded" | "plain" };
  readonly #limitBytes: number;
  #expected: readonly Event[] = [];
  /** The activation could not be told to the code. */
  #undecodable: Error | undefined;
  /** An update that the code is asked about, as it came. */
  #offered: Payload | undefined;
  /** It cannot be told to the code, which so has not moved. */
  #unoffered: Offered | undefined;
  #waitingSignals = 0;

  constructor(program: Program, init: InstanceInit, border: Border) {
    const { codec } = border;
    this.#border = border;
    this.#of = { workflowId: init.workflowId, failureText: codec.failureText ?? "encoded" };
    this.#limitBytes = init.payloadLimitBytes;
    this.#inner = program.instantiate({
      ...init,
      payloadLimitBytes: codec.plainLimitBytes?.(init.payloadLimitBytes) ?? init.payloadLimitBytes,
      onStray: (error) => init.onStray(border.refusal(error, init.workflowId) as AionError),
    });
  }

  expect(records: readonly Event[]): void {
    this.#expected = records;
  }

  begin(activation: Activation): void {
    let decoded: Activation;
    const { delivery } = activation;
    const isOffered = delivery.kind === "update" && delivery.isOffered === true;
    this.#offered = isOffered ? delivery.input : undefined;
    try {
      decoded = {
        ...activation,
        delivery: this.#decodeDelivery(activation.delivery),
        recorded: activation.recorded.map((value) => this.#decodeRecorded(value)),
      };
    } catch (error) {
      if (isOffered) {
        this.#unoffered = { ok: false, refusal: toRefusal(error) };
        return;
      }
      // Told by `end`, where whoever has the run in hand deals with what its code does.
      this.#undecodable = Error.isError(error) ? error : new Error(String(error));
      return;
    }
    this.#inner.begin(decoded);
  }

  end(): Turn | "again" | "later" {
    if (this.#undecodable !== undefined) throw this.#undecodable;
    const unoffered = this.#unoffered;
    if (unoffered !== undefined) {
      this.#unoffered = undefined;
      const waitingSignals = this.#waitingSignals;
      return {
        commands: [],
        sources: [],
        isSettled: false,
        isStuck: false,
        waitingSignals,
        offered: unoffered,
      };
    }
    const turn = this.#inner.end();
    if (typeof turn === "string") return turn;
    this.#waitingSignals = turn.waitingSignals;
    const expected = this.#expected;
    this.#expected = [];
    let at = 0;
    const commands = turn.commands.map((command) =>
      eventTypeOfCommand[command.kind] === undefined ? command : this.#encodeCommand(command, expected[at++]),
    );
    return {
      ...turn,
      commands,
      ...(turn.offered === undefined ? {} : { offered: this.#encodeOffered(turn.offered) }),
    };
  }

  #encodeOffered(offered: Offered): Offered {
    const { workflowId } = this.#of;
    if (!offered.ok) {
      const refusal = this.#border.refusal(decodeError(offered.refusal), workflowId);
      return { ok: false, refusal: toRefusal(refusal) };
    }
    return { ok: true, input: this.#again(offered.input, this.#offered, { kind: "update", workflowId }) };
  }

  query(name: string, input: Payload): Payload | Promise<Payload> {
    const { workflowId } = this.#of;
    const text = this.#border.decode(input, { kind: "query", workflowId });
    const finish = (answer: Payload): Payload => this.#encode(answer, { kind: "answer", workflowId });
    const refuse = (error: unknown): never => {
      throw this.#border.refusal(error, workflowId);
    };
    let answer: Payload | Promise<Payload>;
    try {
      answer = this.#inner.query(name, text);
    } catch (error) {
      return refuse(error);
    }
    return answer instanceof Promise ? answer.then(finish, refuse) : finish(answer);
  }

  parseSignal(name: string, payload: Payload): Payload | Promise<Payload> {
    const context = { kind: "signal", workflowId: this.#of.workflowId } as const;
    return check(this.#border, payload, context, (text) => this.#inner.parseSignal(name, text));
  }

  parseResult(ordinal: number, payload: Payload): Payload | Promise<Payload> {
    const context = { kind: "result", workflowId: this.#of.workflowId } as const;
    return check(this.#border, payload, context, (text) => this.#inner.parseResult(ordinal, text));
  }

  stepFunction(ordinal: number): ((task: ActivityTask) => unknown) | undefined {
    return this.#inner.stepFunction(ordinal);
  }

  unconsumedSignals(): readonly StartSignal[] {
    const context = { kind: "signal", workflowId: this.#of.workflowId } as const;
    return this.#inner
      .unconsumedSignals()
      .map((signal) => ({ ...signal, payload: this.#encode(signal.payload, context) }));
  }

  reject(error: unknown): void {
    this.#inner.reject(error);
  }

  dispose(): void {
    this.#inner.dispose();
  }

  #encode(text: Payload, context: PayloadContext): Payload {
    return parsePayload(this.#border.encode(text, context), "an encoded payload", this.#limitBytes);
  }

  // In to the code.

  #decode(payload: Payload, kind: PayloadContext["kind"]): Payload {
    return this.#border.decode(payload, { kind, workflowId: this.#of.workflowId });
  }

  #decodeDelivery(delivery: Delivery): Delivery {
    switch (delivery.kind) {
      case "start": {
        const { input, signals } = delivery;
        return {
          ...delivery,
          input: this.#decode(input, "start"),
          ...(signals === undefined
            ? {}
            : {
                signals: signals.map((signal) => ({
                  ...signal,
                  payload: this.#decode(signal.payload, "signal"),
                })),
              }),
        };
      }
      case "signal":
        return { ...delivery, payload: this.#decode(delivery.payload, "signal") };
      case "activity":
      case "child":
        return { ...delivery, outcome: this.#decodeOutcome(delivery.outcome) };
      case "update":
        return { ...delivery, input: this.#decode(delivery.input, "update") };
      case "signal-settled": {
        const { outcome } = delivery;
        return outcome.ok ? delivery : { ...delivery, outcome: this.#decodeOutcome(outcome) };
      }
      case "timer":
      case "cancel":
        return delivery;
    }
  }

  #decodeOutcome(outcome: Outcome): Outcome {
    return outcome.ok
      ? { ok: true, value: this.#decode(outcome.value, "result") }
      : { ok: false, failure: this.#decodeFailure(outcome.failure) };
  }

  #decodeFailure(failure: Failure): Failure {
    return decodeFailure(failure, this.#border.decode, this.#of);
  }

  #decodeRecorded(recorded: RecordedValue): RecordedValue {
    if (recorded.kind !== "side-effect") return recorded;
    const { value, failure } = recorded;
    return {
      kind: "side-effect",
      ...(value === undefined ? {} : { value: this.#decode(value, "value") }),
      ...(failure === undefined ? {} : { failure: this.#decodeFailure(failure) }),
    };
  }

  // Out of it. `record`: what history has in the place of the command, whatever that is.

  #encodeCommand(command: Command, record: Event | undefined): Command {
    const { workflowId } = this.#of;
    switch (command.kind) {
      case "run-activity": {
        // The input of a step is nothing at all.
        if (command.isStep === true) return command;
        const recorded = record?.type === "ActivityScheduled" ? record.input : undefined;
        return { ...command, input: this.#again(command.input, recorded, { kind: "input", workflowId }) };
      }
      case "send-signal": {
        const recorded = record?.type === "SignalSent" ? record.payload : undefined;
        const context = { kind: "signal", workflowId: command.target } as const;
        return { ...command, payload: this.#again(command.payload, recorded, context) };
      }
      case "start-child": {
        const recorded = record?.type === "ChildWorkflowStarted" ? record.input : undefined;
        const context = { kind: "start", workflowId: command.childWorkflowId } as const;
        return { ...command, input: this.#again(command.input, recorded, context) };
      }
      case "continue-as-new": {
        const recorded = record?.type === "WorkflowContinuedAsNew" ? record.input : undefined;
        return { ...command, input: this.#again(command.input, recorded, { kind: "start", workflowId }) };
      }
      case "complete": {
        const recorded = record?.type === "WorkflowCompleted" ? record.result : undefined;
        return { ...command, result: this.#again(command.result, recorded, { kind: "result", workflowId }) };
      }
      case "fail": {
        const recorded = record?.type === "WorkflowFailed" ? record.failure : undefined;
        return { ...command, failure: this.#failAgain(command.failure, recorded) };
      }
      case "complete-update": {
        const recorded = record?.type === "UpdateCompleted" ? record : undefined;
        const { result, failure } = command;
        return {
          ...command,
          ...(result === undefined
            ? {}
            : { result: this.#again(result, recorded?.result, { kind: "result", workflowId }) }),
          ...(failure === undefined ? {} : { failure: this.#failAgain(failure, recorded?.failure) }),
        };
      }
      case "side-effect": {
        const recorded = record?.type === "SideEffectRecorded" ? record : undefined;
        const { value, failure } = command;
        return {
          ...command,
          ...(value === undefined
            ? {}
            : { value: this.#again(value, recorded?.value, { kind: "value", workflowId }) }),
          ...(failure === undefined ? {} : { failure: this.#failAgain(failure, recorded?.failure) }),
        };
      }
      default:
        return command;
    }
  }

  /** As it was recorded, if that says the same. */
  #again(text: Payload, recorded: Payload | undefined, context: PayloadContext): Payload {
    if (recorded !== undefined && this.#border.decode(recorded, context) === text) return recorded;
    return this.#encode(text, context);
  }

  /** A history is matched by what a failure says, not by its stack. */
  #failAgain(failure: Failure, recorded: Failure | undefined): Failure {
    const encoded = (): Failure => encodeFailure(failure, this.#border.encode, this.#of);
    if (recorded === undefined) return encoded();
    if (recorded.kind === failure.kind && this.#decodeFailure(recorded).message === failure.message)
      return recorded;
    // Two messages that are encoded look alike: this is to be found out.
    return { ...encoded(), message: `${encodedMessage}, and not what was recorded` };
  }
}
