import { AionError } from "../core/errors.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, messageOf, toPayload } from "../core/payload.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { AnyQuery } from "../workflow/definition.ts";
import type { Runtime } from "./runtime.ts";
import { ScopeContext } from "./scope-context.ts";
import { CancellationScope } from "./scope.ts";

/** What the code of a run answers about itself. Law: an answer is given at once, and asking leaves the run as it is. */
export class QueryHandlers {
  readonly #runtime: Runtime;
  readonly #exposed = new Map<
    string,
    { readonly definition: AnyQuery; readonly handler: (input: unknown) => unknown }
  >();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  expose(definition: AnyQuery, handler: (input: unknown) => unknown): void {
    this.#exposed.set(definition.name, { definition, handler });
  }

  answer(name: string, input: Payload): Payload {
    const { init, carrier } = this.#runtime;
    const exposed = this.#exposed.get(name);
    const what = `query ${JSON.stringify(name)} of workflow ${init.workflowId}`;
    if (exposed === undefined) {
      const known = [...this.#exposed.keys()].map((key) => JSON.stringify(key)).join(", ");
      throw new AionError(
        "query_unknown",
        `${what}: not exposed; exposed are ${known === "" ? "none" : known}`,
      );
    }
    const { inputSchema, outputSchema } = exposed.definition;
    const value = fromPayload(input);
    const argument =
      inputSchema === undefined ? value : parseWithSchema(inputSchema, value, `the input of ${what}`);
    const context = new ScopeContext(this.#runtime, new CancellationScope(undefined), "query handler");
    try {
      const answer = carrier.enter(context, () => exposed.handler(argument));
      if (answer instanceof Promise) {
        answer.catch(() => undefined);
        throw new AionError("query_failed", `${what}: the handler returned a promise`);
      }
      const checked =
        outputSchema === undefined ? answer : parseWithSchema(outputSchema, answer, `the answer of ${what}`);
      return toPayload(checked, `the answer of ${what}`, init.payloadLimitBytes);
    } catch (error) {
      if (error instanceof AionError) throw error;
      throw new AionError("query_failed", `${what}: ${messageOf(error)}`, { cause: error });
    }
  }
}
