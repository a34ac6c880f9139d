import type { Activation, Turn } from "../core/activation.ts";
import { AionError } from "../core/errors.ts";
import type { StartSignal } from "../core/event.ts";
import type { Payload } from "../core/payload.ts";
import type { LogLevel } from "../core/ports.ts";
import { decodeError, readAnswer } from "../program/answer.ts";
import type { EncodedError, GuestInit, PackageCode, PackageContents } from "../program/border.ts";
import { scriptNameOf } from "../program/border.ts";
import type { InstanceInit, Program, ProgramInstance } from "../program/program.ts";
import { mapPlaces, readSourceMap } from "./places.ts";
import type { HostReply, HostRequest } from "./protocol.ts";

/** Why a host ended. */
export type HostEnd = "budget" | "memory" | "silence" | "exit";

/** Carries requests to a `RealmHost`, wherever that is. */
export interface HostLine {
  /** `reply` is called with what comes back, `lost` once if the host ended; `who` was what it was busy with then. */
  open(on: {
    reply(replies: readonly HostReply[]): void;
    lost(error: AionError, who: number): void;
    /** How many budgets it may be busy with something for. */
    patienceWith(who: number): number;
  }): OpenLine;
}

export interface OpenLine {
  post(requests: readonly HostRequest[]): void;
  /** Something is expected of the host, or nothing any more. */
  expect(isExpecting: boolean): void;
  close(): Promise<void>;
}

interface Call {
  readonly request: HostRequest & { readonly call: number };
  resolve(answer: string): void;
  reject(error: AionError): void;
}

/** A package is loaded once, and with it libraries that may be large. */
const loadingBudgets = 10;
/** Each may be as large as a payload. */
const suspectsMax = 16;

type EncodedTurn = Turn & { readonly unconsumedSignals?: readonly StartSignal[] };

/**
 * The engine's side of a code host: packages, and the instances of runs in it.
 *
 * Owner: one engine. Laws: requests reach the host in the order in which they were made here, those of one turn together. When the
 * host is lost, each of its instances is told once, calls that belong to no instance are made again at the next host, and the
 * packages are loaded there before anything else.
 */
export class CodeHost {
  readonly #where: HostLine;
  #line: OpenLine | undefined;
  readonly #packages = new Map<string, PackageCode>();
  readonly #contents = new Map<string, PackageContents>();
  readonly #instances = new Map<number, HostedInstance>();
  readonly #calls = new Map<number, Call>();
  #outbox: HostRequest[] = [];
  #instanceCount = 0;
  #callCount = 0;
  #expected = 0;
  #isClosed = false;
  /** What hosts were busy with that ended for no known reason, the latest of it. */
  readonly #suspects = new Set<string>();
  readonly #onEnded: (end: HostEnd, error: AionError) => void;

  /** `onEnded`: a host ended that was not told to. */
  constructor(where: HostLine, onEnded: (end: HostEnd, error: AionError) => void = () => undefined) {
    this.#where = where;
    this.#onEnded = onEnded;
  }

  get instanceCount(): number {
    return this.#instances.size;
  }

  /** Errors: `package_failed`, `package_stopped`. */
  async load(code: PackageCode): Promise<PackageContents> {
    this.#packages.set(code.version, code);
    try {
      const contents = readAnswer(await this.#call({ kind: "load", ...code })) as PackageContents;
      this.#contents.set(code.version, contents);
      return contents;
    } catch (error) {
      this.#packages.delete(code.version);
      throw error;
    }
  }

  unload(version: string): void {
    this.#contents.delete(version);
    if (this.#packages.delete(version)) this.#post({ kind: "unload", version });
  }

  program(workflowType: string, version: string): Program {
    return {
      workflowType,
      version,
      // A host that has nothing to say about it is not asked: that would be a change of process before each run.
      parseInput: async (payload) =>
        this.#takesAnyInput(workflowType, version)
          ? payload
          : (readAnswer(
              await this.#call({ kind: "parse-input", version, workflowType, payload }),
            ) as Payload),
      parseSignal: async (name, payload) =>
        readAnswer(
          await this.#call({ kind: "parse-signal", version, workflowType, name, payload }),
        ) as Payload,
      instantiate: (init) => this.#instantiate(workflowType, version, init),
    };
  }

  #takesAnyInput(workflowType: string, version: string): boolean {
    const { workflows } = this.#contents.get(version) ?? { workflows: [] };
    return workflows.some((of) => of.workflowType === workflowType && !of.hasInputSchema);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const call of this.#calls.values()) call.reject(closed());
    this.#calls.clear();
    this.#instances.clear();
    await this.#line?.close();
  }

  #instantiate(workflowType: string, version: string, init: InstanceInit): ProgramInstance {
    const id = ++this.#instanceCount;
    const { log: _log, onStray: _onStray, onReady: _onReady, onLost: _onLost, ...rest } = init;
    const guestInit: GuestInit = rest;
    const instance = new HostedInstance(init, {
      begin: (activation) => {
        this.#expect(1);
        this.#post({ kind: "begin", instance: id, activation });
      },
      ask: async (kind, name, payload) => {
        // The next host has none of its instances.
        if (!this.#instances.has(id)) throw lostBefore();
        return readAnswer(await this.#call({ kind, instance: id, name, payload })) as Payload;
      },
      parseResult: async (ordinal, payload) => {
        const request = { kind: "parse-instance-result", instance: id, ordinal, payload } as const;
        return readAnswer(await this.#call(request)) as Payload;
      },
      dispose: () => {
        if (this.#instances.delete(id)) this.#post({ kind: "dispose", instance: id });
      },
    });
    this.#instances.set(id, instance);
    this.#post({ kind: "create", instance: id, version, workflowType, init: JSON.stringify(guestInit) });
    return instance;
  }

  #call(request: DistributiveOmit<HostRequest & { readonly call: number }, "call">): Promise<string> {
    if (this.#isClosed) return Promise.reject(closed());
    const call = ++this.#callCount;
    return new Promise((resolve, reject) => this.#ask({ request: { ...request, call }, resolve, reject }));
  }

  #ask(call: Call): void {
    this.#calls.set(call.request.call, call);
    this.#expect(1);
    this.#post(call.request);
  }

  #post(request: HostRequest): void {
    if (this.#isClosed) return;
    if (this.#outbox.push(request) > 1) return;
    queueMicrotask(() => {
      const requests = this.#outbox;
      this.#outbox = [];
      if (!this.#isClosed) this.#open().post(requests);
    });
  }

  #open(): OpenLine {
    this.#line ??= this.#where.open({
      reply: (replies) => {
        for (const reply of replies) this.#hear(reply);
      },
      lost: (error, who) => this.#lose(error, who),
      patienceWith: (who) => (this.#calls.get(-who)?.request.kind === "load" ? loadingBudgets : 1),
    });
    return this.#line;
  }

  #expect(change: 1 | -1): void {
    this.#expected += change;
    if (this.#expected === 1 && change === 1) this.#open().expect(true);
    if (this.#expected === 0) this.#line?.expect(false);
  }

  #hear(reply: HostReply): void {
    switch (reply.kind) {
      case "turn":
        this.#expect(-1);
        this.#instances.get(reply.instance)?.moved(reply.answer);
        return;
      case "answer": {
        const call = this.#calls.get(reply.call);
        if (!this.#calls.delete(reply.call)) return;
        this.#expect(-1);
        call?.resolve(reply.answer);
        return;
      }
      case "stray":
        this.#instances
          .get(reply.instance)
          ?.init.onStray(decodeError(JSON.parse(reply.error) as EncodedError));
        return;
      case "log": {
        const { level, message, fields } = reply;
        this.#instances.get(reply.instance)?.log(level, message, fields);
      }
    }
  }

  /** Of the package whose script the text names. */
  #mapPlaces(text: string): string {
    const version = [...this.#packages.keys()].find((each) => text.includes(`${scriptNameOf(each)}:`));
    if (version === undefined) return text;
    return mapPlaces(text, readSourceMap(this.#packages.get(version)?.sourceMap));
  }

  #lose(error: AionError, who: number): void {
    if (this.#isClosed) return;
    this.#onEnded(endOf(error), error);
    this.#line = undefined;
    this.#outbox = [];
    this.#expected = 0;
    const instances = [...this.#instances];
    const calls = [...this.#calls.values()];
    this.#instances.clear();
    this.#calls.clear();
    const { source } = error.details;
    const blame = new AionError(error.code, this.#mapPlaces(error.message), {
      details: {
        isCulprit: true,
        ...(typeof source === "string" ? { source: this.#mapPlaces(source) } : {}),
      },
    });
    const busyWith = calls.find(({ request }) => request.call === -who);
    const isBlamed = busyWith !== undefined && !this.#isExcused(error, subjectOf(busyWith.request));
    const culprit = isBlamed ? busyWith : undefined;
    // What ended one host would end the next.
    if (culprit?.request.kind === "load") this.#packages.delete(culprit.request.version);
    for (const call of calls)
      if (call === culprit) call.reject(blame);
      else if ("instance" in call.request) call.reject(error);
    for (const code of this.#packages.values()) {
      const first = calls.find(({ request }) => request.kind === "load" && request.version === code.version);
      if (first !== undefined) this.#ask(first);
      else this.#call({ kind: "load", ...code }).catch(() => undefined);
    }
    // What belongs to no run can be asked again.
    for (const call of calls)
      if (call !== culprit && call.request.kind.startsWith("parse-") && !("instance" in call.request))
        this.#ask(call);
    for (const [id, instance] of instances) {
      const isCulprit = id === who && !this.#isExcused(error, `run ${instance.init.runId}`);
      instance.init.onLost?.(isCulprit ? blame : error, isCulprit);
    }
  }

  /** Who ended for no known reason may have been killed by anybody: what was asked of it is asked once more, before it is blamed. */
  #isExcused(error: AionError, subject: string): boolean {
    if (endOf(error) !== "exit") return false;
    if (this.#suspects.delete(subject)) return false;
    this.#suspects.add(subject);
    if (this.#suspects.size <= suspectsMax) return true;
    const [first] = this.#suspects;
    if (first !== undefined) this.#suspects.delete(first);
    return true;
  }
}

function endOf({ details }: AionError): HostEnd {
  return (details["end"] as HostEnd | undefined) ?? "exit";
}

/** What is asked, whoever asks, and however often. */
function subjectOf(request: Call["request"]): string {
  if (request.kind === "load") return `load ${request.version}`;
  return JSON.stringify({ ...request, call: 0, instance: 0 });
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function lostBefore(): AionError {
  return new AionError("package_stopped", "the process that ran the workflow code has ended");
}

function closed(): AionError {
  return new AionError("engine_closed", "the engine is closed");
}

interface InstanceLine {
  begin(activation: string): void;
  ask(kind: "query" | "parse-instance-signal", name: string, payload: Payload): Promise<Payload>;
  parseResult(ordinal: number, payload: Payload): Promise<Payload>;
  dispose(): void;
}

/** The code of one run, in the host. */
class HostedInstance implements ProgramInstance {
  readonly init: InstanceInit;
  readonly #line: InstanceLine;
  #answer: string | undefined;
  #isAskedFor = false;
  #unconsumed: readonly StartSignal[] = [];

  constructor(init: InstanceInit, line: InstanceLine) {
    this.init = init;
    this.#line = line;
  }

  begin(activation: Activation): void {
    this.#answer = undefined;
    this.#isAskedFor = false;
    this.#line.begin(JSON.stringify(activation));
  }

  end(): Turn | "later" {
    if (this.#answer === undefined) {
      this.#isAskedFor = true;
      return "later";
    }
    const { unconsumedSignals, ...turn } = readAnswer(this.#answer) as EncodedTurn;
    this.#unconsumed = unconsumedSignals ?? [];
    return turn;
  }

  moved(answer: string): void {
    this.#answer = answer;
    if (this.#isAskedFor) this.init.onReady?.();
  }

  log(level: LogLevel, message: string, fields: string | undefined): void {
    const read = fields === undefined ? undefined : (JSON.parse(fields) as Record<string, unknown>);
    this.init.log(level, message, read);
  }

  query(name: string, input: Payload): Promise<Payload> {
    return this.#line.ask("query", name, input);
  }

  parseSignal(name: string, payload: Payload): Promise<Payload> {
    return this.#line.ask("parse-instance-signal", name, payload);
  }

  parseResult(ordinal: number, payload: Payload): Promise<Payload> {
    return this.#line.parseResult(ordinal, payload);
  }

  stepFunction(): undefined {
    return undefined;
  }

  unconsumedSignals(): readonly StartSignal[] {
    return this.#unconsumed;
  }

  /** The host finds by itself whose a rejection is. */
  reject(): void {}

  dispose(): void {
    this.#line.dispose();
  }
}
