/**
 * What a package defines, learned by running its script once.
 *
 * The script runs in a context of its own with the functions of `aion/workflow` that define things; those that ask a
 * running workflow say that none is running. It determines nothing about how workflows run.
 */
import vm from "node:vm";
import type { StandardJSONSchemaV1 } from "@standard-schema/spec";
import { AionError } from "../core/errors.ts";
import type { ActivityOptionsRecord } from "../core/event.ts";
import { parseName } from "../core/ids.ts";
import { messageOf } from "../core/payload.ts";
import type { Schema } from "../core/schema.ts";
import { isSchema } from "../core/schema.ts";
import { toActivityOptionsRecord } from "../workflow/definition.ts";
import type { ActivityOptions, AnyQuery, AnySignal, AnyWorkflow } from "../workflow/definition.ts";
import * as workflowModule from "../workflow/index.ts";
import type { JsonSchema } from "./manifest.ts";

/** A place where data enters or leaves: unchecked, checked by a schema that tells what it takes, or by one that cannot. */
export type InspectedSchema =
  | { readonly kind: "any" }
  | { readonly kind: "described"; readonly schema: JsonSchema }
  | { readonly kind: "opaque"; readonly reason: string };

export interface InspectedDefinitions {
  readonly workflows: readonly {
    readonly type: string;
    /** Whether the module exports it; only then can it be run. */
    readonly isExported: boolean;
    readonly input: InspectedSchema;
    readonly output: InspectedSchema;
    readonly signals: readonly string[];
  }[];
  readonly activities: readonly {
    readonly type: string;
    readonly input: InspectedSchema;
    readonly output: InspectedSchema;
    readonly options: ActivityOptionsRecord;
  }[];
  readonly signals: readonly { readonly name: string; readonly payload: InspectedSchema }[];
  readonly queries: readonly {
    readonly name: string;
    readonly input: InspectedSchema;
    readonly output: InspectedSchema;
  }[];
}

/** The name of the script in the stacks of errors. */
export const scriptFile = "aion-package:workflow.js";

const loadingMsDefault = 10_000;

/** Every definition made while the script's module loads. Throws what the module throws. */
export function inspect(
  { script, libraries }: { readonly script: string; readonly libraries: string },
  loadingMs = loadingMsDefault,
): InspectedDefinitions {
  const made = {
    workflows: new Set<AnyWorkflow>(),
    activities: new Set<InspectedActivity>(),
    signals: new Set<AnySignal>(),
    queries: new Set<AnyQuery>(),
  };
  const keep =
    <Args extends readonly unknown[], Made>(into: Set<Made>, make: (...args: Args) => Made) =>
    (...args: Args): Made => {
      const definition = make(...args);
      into.add(definition);
      return definition;
    };
  const provided = {
    ...workflowModule,
    workflow: keep(made.workflows, workflowModule.workflow),
    activity: keep(made.activities, defineActivity),
    signal: keep(made.signals, workflowModule.signal as (name: string, schema?: Schema) => AnySignal),
    query: keep(made.queries, workflowModule.query as (name: string, schemas?: Schema) => AnyQuery),
  };
  const shared: { exports: Readonly<Record<string, unknown>> } = { exports: {} };
  const module: typeof shared = { exports: {} };
  const noModule = (specifier: string): never => {
    throw new AionError("build_failed", `there is no module ${JSON.stringify(specifier)} in a package`);
  };
  const require = (specifier: string): unknown => {
    if (specifier === "aion/workflow") return provided;
    return Object.hasOwn(shared.exports, specifier) ? shared.exports[specifier] : noModule(specifier);
  };
  const context = vm.createContext({ ...ambient }, { codeGeneration: { strings: false, wasm: false } });
  const load = (text: string, filename: string, ...args: readonly unknown[]): void => {
    const run = new vm.Script(text, { filename }).runInContext(context, { timeout: loadingMs }) as (
      ...all: readonly unknown[]
    ) => void;
    // Once more through the context, so that the time limit covers the module's own code.
    const global: unknown = vm.runInContext("globalThis", context);
    Object.assign(context, { load: () => run(...args, global) });
    vm.runInContext("load()", context, { timeout: loadingMs });
  };
  if (libraries !== "") load(libraries, "libraries.js", noModule, shared, shared.exports);
  load(script, scriptFile, require, module, module.exports);

  const exported = new Set(Object.values(module.exports).flat());
  const signals = new Set([...made.signals, ...[...made.workflows].flatMap((workflow) => workflow.signals)]);
  return {
    workflows: [...made.workflows].map((workflow) => ({
      type: workflow.workflowType,
      isExported: exported.has(workflow),
      input: describe(workflow.inputSchema, "input"),
      output: describe(workflow.outputSchema, "output"),
      signals: workflow.signals.map(({ name }) => name),
    })),
    activities: [...made.activities].map(({ activityType, inputSchema, outputSchema, record }) => ({
      type: activityType,
      input: describe(inputSchema, "input"),
      output: describe(outputSchema, "output"),
      options: record,
    })),
    signals: [...signals].map(({ name, schema }) => ({ name, payload: describe(schema, "input") })),
    queries: [...made.queries].map(({ name, inputSchema, outputSchema }) => ({
      name,
      input: describe(inputSchema, "input"),
      output: describe(outputSchema, "output"),
    })),
  };
}

interface InspectedActivity {
  readonly kind: "activity";
  readonly activityType: string;
  readonly inputSchema: Schema | undefined;
  readonly outputSchema: Schema | undefined;
  readonly record: ActivityOptionsRecord;
}

/** As `activity()` is, without an implementation. */
function defineActivity(
  name: string,
  options: ActivityOptions & { readonly input?: Schema; readonly output?: Schema } = {},
): InspectedActivity {
  const activityType = parseName(name, "activity name");
  const {
    input: inputSchema,
    output: outputSchema,
    ...others
  } = typeof options === "function" ? {} : options;
  const record = toActivityOptionsRecord(others, activityType);
  const call = (): never => {
    throw new AionError(
      "outside_workflow",
      `activity ${JSON.stringify(activityType)} was called while the module was loaded`,
    );
  };
  return Object.assign(call, {
    kind: "activity" as const,
    activityType,
    inputSchema,
    outputSchema,
    record,
  });
}

/** What libraries may look for while they are loaded, besides the language itself. */
const ambient = {
  console: { log() {}, info() {}, warn() {}, error() {}, debug() {} },
  AbortController,
  AbortSignal,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  queueMicrotask,
  structuredClone,
};

function describe(schema: Schema | undefined, side: "input" | "output"): InspectedSchema {
  if (schema === undefined) return { kind: "any" };
  const standard = isSchema(schema)
    ? (schema["~standard"] as Partial<StandardJSONSchemaV1["~standard"]>)
    : {};
  const { jsonSchema } = standard;
  if (jsonSchema === undefined)
    return { kind: "opaque", reason: `${standard.vendor ?? "its library"} gives none` };
  try {
    // Through text: what comes from another realm, or has a toJSON, is plain data from here on.
    const text = JSON.stringify(jsonSchema[side]({ target: "draft-2020-12" }));
    return { kind: "described", schema: JSON.parse(text) as JsonSchema };
  } catch (error) {
    return { kind: "opaque", reason: messageOf(error) };
  }
}
