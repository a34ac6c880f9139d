import type { Activation } from "../core/activation.ts";
import { AionError, isAionError } from "../core/errors.ts";
import type { Failure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, messageOf, toPayload } from "../core/payload.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { InstanceInit } from "../program/program.ts";
import type { ContextCarrier } from "../program/runtime.ts";
import { Runtime } from "../program/runtime.ts";
import { ScopeContext } from "../program/scope-context.ts";
import { setContextAccessor } from "../workflow/context.ts";
import type {
  ActivityImplementation,
  ActivityOptions,
  ActivityTask,
  AnyWorkflow,
} from "../workflow/definition.ts";
import * as workflowModule from "../workflow/index.ts";
import { encodeError, stackOf } from "../program/answer.ts";
import { packageFrame } from "../program/border.ts";
import { addHidden } from "./platform/intrinsics.ts";
import { createModuleGlobal, findRemedy, freezeRealm, installPlatform } from "./platform/platform.ts";
import type { PlatformPort } from "./platform/platform.ts";
import { ModuleContext, RunPort } from "./run-port.ts";
import type { Answer, Guest, GuestHost, GuestInit, PackageModule } from "../program/border.ts";

/**
 * The engine's side inside the realm of one package: it holds the instances of the package's runs, and answers its host in text.
 *
 * Law: an instance has a module of its own, made when the instance is; nothing that one of them can change is seen by another.
 */
export function makeGuest(host: GuestHost): Guest {
  setContextAccessor(() => {
    const context = host.current();
    return context instanceof ScopeContext ? context : undefined;
  });
  const guest = new RealmGuest(host);
  installPlatform(globalThis, () => guest.port());
  addHidden(offered);
  freezeRealm(globalThis);
  return guest;
}

type Definitions = ReadonlyMap<string, AnyWorkflow>;

class RealmGuest implements Guest {
  readonly #host: GuestHost;
  readonly #carrier: ContextCarrier;
  readonly #instances = new Map<number, Runtime>();
  readonly #ports = new WeakMap<Runtime, RunPort>();
  #module: PackageModule | undefined;
  #libraries: Readonly<Record<string, unknown>> = {};
  #version = "";
  /** Of an instance that belongs to no run: for checking what comes from outside. */
  #definitions: Definitions = new Map();

  constructor(host: GuestHost) {
    this.#host = host;
    this.#carrier = { enter: (context, run) => host.enter(context, run), sourceLine };
  }

  /** Of the code that is executing. */
  port(): PlatformPort {
    const context = this.#host.current();
    if (context instanceof ModuleContext) return context;
    const port = context instanceof ScopeContext ? this.#ports.get(context.runtime) : undefined;
    if (port !== undefined) return port;
    throw new AionError("outside_workflow", "code of a package was executed outside of a run");
  }

  load(module: PackageModule, version: string, libraries: PackageModule | undefined): string {
    return this.#answer(() => {
      if (libraries !== undefined)
        this.#libraries = this.#evaluate(libraries, new ModuleContext(this.#host, 0, version), noLibrary);
      this.#module = module;
      this.#version = version;
      this.#definitions = this.#define(new ModuleContext(this.#host, 0, version));
      const workflows = [...this.#definitions.values()].map(({ workflowType, signals, inputSchema }) => ({
        workflowType,
        signals: signals.map(({ name }) => name),
        hasInputSchema: inputSchema !== undefined,
      }));
      return { workflows };
    });
  }

  parseInput(workflowType: string, payload: string): string {
    return this.#answer(() => {
      const { inputSchema } = this.#definition(workflowType);
      if (inputSchema === undefined) return payload;
      const what = `the input of workflow ${JSON.stringify(workflowType)}`;
      return toPayload(parseWithSchema(inputSchema, fromPayload(payload as Payload), what), what);
    });
  }

  parseSignal(workflowType: string, name: string, payload: string): string {
    return this.#answer(() => {
      const { signals } = this.#definition(workflowType);
      const schema = signals.find((signal) => signal.name === name)?.schema;
      if (schema === undefined) return payload;
      const what = `signal ${JSON.stringify(name)} to a workflow of type ${JSON.stringify(workflowType)}`;
      return toPayload(parseWithSchema(schema, fromPayload(payload as Payload), what), what);
    });
  }

  create(instance: number, workflowType: string, initText: string): string {
    return this.#answer(() => {
      const init = JSON.parse(initText) as GuestInit;
      const definitions = this.#define(new ModuleContext(this.#host, init.startedAt, `${init.runId} module`));
      const definition = definitions.get(workflowType);
      if (definition === undefined) throw unknownType(workflowType);
      const runtime = new Runtime(
        definition,
        {
          ...(init as Omit<GuestInit, "workflowId"> & Omit<InstanceInit, "log" | "onStray">),
          log: (level, message, fields) => this.#host.log(instance, level, message, encodeFields(fields)),
          onStray: (error) => this.#host.stray(instance, JSON.stringify(encodeError(error))),
        },
        this.#carrier,
      );
      this.#instances.set(instance, runtime);
      this.#ports.set(runtime, new RunPort(this.#host));
      return null;
    });
  }

  begin(instance: number, activation: string): void {
    this.#instance(instance).begin(JSON.parse(activation) as Activation);
  }

  end(instance: number): string {
    return this.#answer(() => {
      const runtime = this.#instance(instance);
      const turn = runtime.end();
      if (turn === "again") return turn;
      for (const command of turn.commands)
        if ("failure" in command && command.failure !== undefined) forAuthors(command.failure);
      const isContinuing = turn.commands.at(-1)?.kind === "continue-as-new";
      return isContinuing ? { ...turn, unconsumedSignals: runtime.unconsumedSignals() } : turn;
    });
  }

  query(instance: number, name: string, input: string): string {
    return this.#answer(() => this.#instance(instance).query(name, input as Payload));
  }

  parseInstanceSignal(instance: number, name: string, payload: string): string {
    return this.#answer(() => this.#instance(instance).parseSignal(name, payload as Payload));
  }

  parseInstanceResult(instance: number, ordinal: number, payload: string): string {
    return this.#answer(() => this.#instance(instance).parseResult(ordinal, payload as Payload));
  }

  reject(error: unknown): boolean {
    const context = this.#host.current();
    if (!(context instanceof ScopeContext)) return false;
    context.reject(error);
    return true;
  }

  dispose(instance: number): void {
    this.#instances.get(instance)?.dispose();
    this.#instances.delete(instance);
  }

  #instance(instance: number): Runtime {
    const runtime = this.#instances.get(instance);
    if (runtime === undefined) throw new AionError("internal", `there is no instance ${instance}`);
    return runtime;
  }

  #definition(workflowType: string): AnyWorkflow {
    const definition = this.#definitions.get(workflowType);
    if (definition === undefined) throw unknownType(workflowType);
    return definition;
  }

  /** The definitions of a module that is evaluated anew. */
  #define(context: ModuleContext): Definitions {
    if (this.#module === undefined) throw new AionError("internal", "no package was loaded");
    const exported = this.#evaluate(this.#module, context, (name) => this.#require(name));
    const definitions = new Map<string, AnyWorkflow>();
    for (const value of Object.values(exported)) {
      if (!isWorkflow(value) || definitions.get(value.workflowType)?.run === value.run) continue;
      const { workflowType } = value;
      if (definitions.has(workflowType))
        throw new AionError(
          "definition_duplicate",
          `two workflows are named ${JSON.stringify(workflowType)}`,
        );
      definitions.set(workflowType, { ...value, version: this.#version });
    }
    return definitions;
  }

  #evaluate(
    run: PackageModule,
    context: ModuleContext,
    require: (name: string) => unknown,
  ): Readonly<Record<string, unknown>> {
    const module: { exports: Record<string, unknown> } = { exports: {} };
    try {
      this.#host.enter(context, () => run(require, module, module.exports, createModuleGlobal(globalThis)));
    } catch (error) {
      if (isAionError(error)) throw error;
      throw new AionError(
        "package_failed",
        `the package's module threw when it was loaded: ${stackOf(error)}`,
      );
    }
    return module.exports;
  }

  #require(name: string): unknown {
    if (name === "aion/workflow") return offered;
    return Object.hasOwn(this.#libraries, name) ? this.#libraries[name] : noLibrary(name);
  }

  #answer(work: () => unknown): string {
    let answer: Answer<unknown>;
    try {
      answer = { ok: true, value: work() };
    } catch (error) {
      answer = { ok: false, error: encodeError(error) };
    }
    return JSON.stringify(answer);
  }
}

const offered = { ...workflowModule, activity: defineActivity, step: refuseStep };

/** The build has taken the implementation out, and left `undefined` in its place. */
function defineActivity(
  name: string,
  options?: ActivityOptions | ActivityImplementation<unknown, unknown>,
): unknown {
  return workflowModule.activity(name, typeof options === "object" ? options : {}, runsElsewhere);
}

function runsElsewhere(_input: unknown, { activityType }: ActivityTask): never {
  throw new AionError(
    "outside_workflow",
    `activity ${JSON.stringify(activityType)} was called outside of a workflow, in a package, which has no implementation of it`,
  );
}

function refuseStep(name: unknown): never {
  throw new AionError("invalid_argument", `step(${JSON.stringify(name)}) was called in a package`, {
    hint: "A package holds no code that runs outside the workflow. Make the step an activity.",
  });
}

function noLibrary(name: string): never {
  throw new AionError("invalid_argument", `a package cannot load ${JSON.stringify(name)}`, {
    hint: "What talks to the world belongs in an activity; build the package with `aion build`.",
  });
}

/** The innermost frame in the package; its host tells the author's line. */
function sourceLine(): string | undefined {
  return packageFrame.exec(new Error().stack ?? "")?.[0];
}

function isWorkflow(value: unknown): value is AnyWorkflow {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "workflow";
}

function unknownType(workflowType: string): AionError {
  return new AionError(
    "workflow_type_unknown",
    `the package has no workflow ${JSON.stringify(workflowType)}`,
  );
}

/** Frames of the engine tell an author nothing, and differ from one version of it to the next; what to do instead tells much. */
function forAuthors(failure: Mutable<Failure>): void {
  if (failure.stack !== undefined) {
    const lines = failure.stack.split("\n");
    failure.stack = lines.filter((line) => !line.startsWith("    at ") || packageFrame.test(line)).join("\n");
  }
  const ErrorClass = remediable.get(failure.type ?? "");
  const remedy = ErrorClass === undefined ? undefined : findRemedy(new ErrorClass(failure.message));
  if (remedy !== undefined) failure.message += `: ${remedy}`;
  if (failure.cause !== undefined) forAuthors(failure.cause);
}

const remediable: ReadonlyMap<string, ErrorConstructor> = new Map([
  ["ReferenceError", ReferenceError],
  ["TypeError", TypeError],
  ["EvalError", EvalError],
]);

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What cannot be written is left out: a log line never fails a run. */
function encodeFields(fields: Readonly<Record<string, unknown>> | undefined): string | undefined {
  if (fields === undefined) return undefined;
  try {
    return JSON.stringify(fields);
  } catch (error) {
    return JSON.stringify({ dropped: messageOf(error) });
  }
}
