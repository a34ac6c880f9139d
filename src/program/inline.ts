import { AsyncLocalStorage } from "node:async_hooks";
import { AionError } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, toPayload } from "../core/payload.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { WorkflowContext } from "../workflow/context.ts";
import { setContextAccessor } from "../workflow/context.ts";
import type { AnyWorkflow } from "../workflow/definition.ts";
import type { InstanceInit, Program, ProgramInstance, ProgramSource } from "./program.ts";
import type { ContextCarrier } from "./runtime.ts";
import { Runtime } from "./runtime.ts";
import { ScopeContext } from "./scope-context.ts";
import { sourceLine } from "./source-line.ts";

/**
 * The inline loader: workflow functions as they were handed in, in the realm of the host. The running code finds its
 * context through AsyncLocalStorage. Honest limits: an endless loop blocks the host, and a platform API
 * called from workflow code is only noticed by what it does to the run.
 */
const storage = new AsyncLocalStorage<WorkflowContext | undefined>();

const carrier: ContextCarrier = {
  enter: (context, run) => storage.run(context, run),
  sourceLine,
};

/** Runs `run` as if called from outside every workflow: for activities, whose code may call `aion/workflow` by mistake. */
export function outsideWorkflow<Result>(run: () => Result): Result {
  return storage.run(undefined, run);
}

/** Fails the run, if any, in whose context this is called: for rejections that nobody handled. */
export function rejectCurrentRun(error: unknown): boolean {
  const context = storage.getStore();
  if (!(context instanceof ScopeContext)) return false;
  context.reject(error);
  return true;
}

/** Errors: `definition_duplicate`, `invalid_argument`. */
export function loadInline(definitions: readonly AnyWorkflow[]): ProgramSource {
  setContextAccessor(() => storage.getStore());
  const programs = new Map<string, Program>();
  for (const definition of definitions) {
    if (definition?.kind !== "workflow") {
      throw new AionError("invalid_argument", "`workflows` holds something that workflow() did not make");
    }
    if (programs.has(definition.workflowType)) {
      throw new AionError(
        "definition_duplicate",
        `two workflows are named ${JSON.stringify(definition.workflowType)}`,
      );
    }
    programs.set(definition.workflowType, new InlineProgram(definition));
  }
  return {
    route: (workflowType) => programs.get(workflowType),
    // Inline code has one version at a time: a recorded run meets the code that is there, and replay checks it.
    find: (workflowType) => programs.get(workflowType),
    workflowTypes: [...programs.keys()],
  };
}

class InlineProgram implements Program {
  readonly #definition: AnyWorkflow;
  readonly #signals: ReadonlyMap<string, AnyWorkflow["signals"][number]>;

  constructor(definition: AnyWorkflow) {
    this.#definition = definition;
    this.#signals = new Map(definition.signals.map((signal) => [signal.name, signal]));
  }

  get workflowType(): string {
    return this.#definition.workflowType;
  }

  get version(): string {
    return this.#definition.version;
  }

  parseInput(input: Payload): Payload {
    const { inputSchema } = this.#definition;
    if (inputSchema === undefined) return input;
    const what = `the input of workflow ${JSON.stringify(this.workflowType)}`;
    return toPayload(parseWithSchema(inputSchema, fromPayload(input), what), what);
  }

  parseSignal(name: string, payload: Payload): Payload {
    const schema = this.#signals.get(name)?.schema;
    if (schema === undefined) return payload;
    const what = `signal ${JSON.stringify(name)} to a workflow of type ${JSON.stringify(this.workflowType)}`;
    return toPayload(parseWithSchema(schema, fromPayload(payload), what), what);
  }

  instantiate(init: InstanceInit): ProgramInstance {
    return new Runtime(this.#definition, init, carrier);
  }
}
