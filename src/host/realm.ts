import { AsyncLocalStorage } from "node:async_hooks";
import type { SourceMap } from "node:module";
import vm from "node:vm";
import { AionError, isAionError } from "../core/errors.ts";
import type { LogLevel } from "../core/ports.ts";
import type { Guest, GuestHost, PackageCode, PackageContents } from "../program/border.ts";
import { scriptNameOf } from "../program/border.ts";
import { parseUrlParts } from "../program/url-parts.ts";
import { readAnswer } from "../program/answer.ts";
import { mapPlaces, readSourceMap } from "./places.ts";

export interface RealmEvents {
  log(instance: number, level: LogLevel, message: string, fields: string | undefined): void;
  stray(instance: number, error: string): void;
}

/**
 * One V8 realm for the code of one package: its own intrinsics, none of the host's objects, and a queue of microtasks of its
 * own, so that an activation is one synchronous call (`drain`). Determinism, not security: who may deploy may run code.
 *
 * Owner: one thread. What comes out is text, with places in the script turned into places in the author's files.
 */
export class Realm {
  readonly version: string;
  readonly contents: PackageContents;
  readonly #context: vm.Context;
  readonly #guest: Guest;
  readonly #sourceMap: SourceMap | undefined;

  /** Errors: `package_failed`. `guest`: the script made from `src/guest/main.ts`. */
  constructor(code: PackageCode, guest: string, events: RealmEvents) {
    this.version = code.version;
    this.#sourceMap = readSourceMap(code.sourceMap);
    this.#context = vm.createContext(vm.constants.DONT_CONTEXTIFY, {
      microtaskMode: "afterEvaluate",
      codeGeneration: { strings: false, wasm: false },
    });
    const scoped = new AsyncLocalStorage<object | undefined>();
    const host: GuestHost = {
      enter: (context, run) => scoped.run(context, run),
      current: () => scoped.getStore(),
      log: (instance, level, message, fields) => events.log(instance, level, message, fields),
      stray: (instance, error) => events.stray(instance, this.#mapPlaces(error)),
      parseUrl: (input, base, part, value) =>
        parseUrlParts(input, base, part === undefined ? undefined : [part, value ?? ""]),
    };
    try {
      const make = this.#evaluate(guest, "aion-guest.js") as (host: GuestHost) => Guest;
      this.#guest = make(host);
      const module = this.#evaluate(code.script, scriptNameOf(code.version)) as Parameters<Guest["load"]>[0];
      const libraries =
        code.libraries === undefined
          ? undefined
          : (this.#evaluate(code.libraries, "aion-libraries.js") as Parameters<Guest["load"]>[2]);
      const loaded = this.#mapPlaces(this.#guest.load(module, code.version, libraries));
      this.contents = readAnswer(loaded) as PackageContents;
      this.drain();
    } catch (error) {
      if (isAionError(error)) throw error;
      // A script that is none. The error is of the realm.
      const text = Error.isError(error) ? (error.stack ?? error.message) : String(error);
      throw new AionError("package_failed", `the package cannot be loaded: ${this.#mapPlaces(text)}`);
    }
  }

  parseInput(workflowType: string, payload: string): string {
    return this.#mapPlaces(this.#guest.parseInput(workflowType, payload));
  }

  parseSignal(workflowType: string, name: string, payload: string): string {
    return this.#mapPlaces(this.#guest.parseSignal(workflowType, name, payload));
  }

  create(instance: number, workflowType: string, init: string): string {
    return this.#mapPlaces(this.#guest.create(instance, workflowType, init));
  }

  /** Tells the code what happened, and runs it until it can move no further. */
  begin(instance: number, activation: string): void {
    this.#guest.begin(instance, activation);
    this.drain();
  }

  end(instance: number): string {
    return this.#mapPlaces(this.#guest.end(instance));
  }

  query(instance: number, name: string, input: string): string {
    const answer = this.#mapPlaces(this.#guest.query(instance, name, input));
    this.drain();
    return answer;
  }

  parseInstanceSignal(instance: number, name: string, payload: string): string {
    return this.#mapPlaces(this.#guest.parseInstanceSignal(instance, name, payload));
  }

  parseInstanceResult(instance: number, ordinal: number, payload: string): string {
    return this.#mapPlaces(this.#guest.parseInstanceResult(instance, ordinal, payload));
  }

  /** A promise of this realm was rejected and nobody handles it. False: it is of no run here. */
  reject(error: unknown): boolean {
    const isOurs = this.#guest.reject(error);
    if (isOurs) this.drain();
    return isOurs;
  }

  dispose(instance: number): void {
    this.#guest.dispose(instance);
  }

  drain(): void {
    nothing.runInContext(this.#context);
  }

  #evaluate(script: string, filename: string): unknown {
    return new vm.Script(script, { filename }).runInContext(this.#context);
  }

  #mapPlaces(text: string): string {
    return mapPlaces(text, this.#sourceMap);
  }
}

/** An evaluation that does nothing: V8 empties the realm's queue of microtasks after it. */
const nothing = new vm.Script("undefined");
