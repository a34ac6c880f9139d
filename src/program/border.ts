import type { LogLevel } from "../core/ports.ts";
import type { InstanceInit } from "./program.ts";

/**
 * The border of the realm. What crosses it is text, numbers and booleans; the functions of either side are known to the runtimes
 * alone, and no workflow code can get at them.
 */
export interface GuestHost {
  /** Runs `run` so that `current` tells `context`, also after each of its awaits. */
  enter<Result>(context: object, run: () => Result): Result;
  current(): object | undefined;
  log(instance: number, level: LogLevel, message: string, fields: string | undefined): void;
  /** The code of the instance moved outside an activation. `error`: an `EncodedError`. */
  stray(instance: number, error: string): void;
  /** As `parseUrlParts`. */
  parseUrl(input: string, base: string | undefined, part?: string, value?: string): string | undefined;
}

/** How an `AionError` crosses. */
export interface EncodedError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Every answer: JSON of this. */
export type Answer<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: EncodedError };

/** What crosses of an instance's beginning. */
export type GuestInit = Omit<InstanceInit, "log" | "onStray" | "onReady" | "onLost">;

/** What a package holds, for whoever runs it. */
export interface PackageCode {
  /** The content hash of the package. */
  readonly version: string;
  /** Its value is a `PackageModule`. */
  readonly script: string;
  /** JSON, version 3. */
  readonly sourceMap?: string;
  /** Another `PackageModule`: it exports, by the names under which `script` requires them, libraries that all runs share. */
  readonly libraries?: string;
}

/** What a package's module exports, as far as the engine is concerned. */
export interface PackageContents {
  readonly workflows: readonly {
    readonly workflowType: string;
    readonly signals: readonly string[];
    /** What input it takes is for the package to say; otherwise it takes any. */
    readonly hasInputSchema: boolean;
  }[];
}

/** What the realm offers to its host. All texts are JSON; an `Answer` where something can be refused. */
export interface Guest {
  /** Takes the values of the package's scripts, once. Answers with `PackageContents`. */
  load(module: PackageModule, version: string, libraries: PackageModule | undefined): string;
  /** `Answer<Payload>`. */
  parseInput(workflowType: string, payload: string): string;
  /** `Answer<Payload>`. */
  parseSignal(workflowType: string, name: string, payload: string): string;
  /** Makes an instance of the module for one run. `Answer<null>`. */
  create(instance: number, workflowType: string, init: string): string;
  begin(instance: number, activation: string): void;
  /** `Answer<EncodedTurn | "again">`. */
  end(instance: number): string;
  /** `Answer<Payload>`. */
  query(instance: number, name: string, input: string): string;
  /** `Answer<Payload>`: by what the code has asked for so far. */
  parseInstanceSignal(instance: number, name: string, payload: string): string;
  /** `Answer<Payload>`: of an activity that the code waits for. */
  parseInstanceResult(instance: number, ordinal: number, payload: string): string;
  /** A rejection that nobody handled, told where `current` says whose it is. False: of no run. */
  reject(error: unknown): boolean;
  dispose(instance: number): void;
}

/** CommonJS, as the build makes it; strict, and with a `globalThis` of its own. */
export type PackageModule = (
  require: (name: string) => unknown,
  module: { exports: Record<string, unknown> },
  exports: Record<string, unknown>,
  moduleGlobal: object,
) => void;

/** The name under which V8 knows a package's script, so that its frames are found in texts. */
export function scriptNameOf(version: string): string {
  return `aion-package:${version}/workflow.js`;
}

export const packageFrame = /aion-package:[\w.-]+\/workflow\.js:\d+:\d+/;
