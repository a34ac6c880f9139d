import type { Activation, Delivery, Offered } from "../core/activation.ts";
import { AionError } from "../core/errors.ts";
import { toFailure } from "../core/failure.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, toPayload } from "../core/payload.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { UpdateHandling } from "../workflow/context.ts";
import type { AnyUpdate } from "../workflow/definition.ts";
import { encodeError } from "./answer.ts";
import type { Runtime } from "./runtime.ts";
import { ScopeContext } from "./scope-context.ts";
import { CancellationScope } from "./scope.ts";

interface ExposedUpdate extends UpdateHandling {
  readonly definition: AnyUpdate;
}

type UpdateDelivery = Delivery & { readonly kind: "update" };

/**
 * The updates that the code of a run takes. Law: one that is offered and refused leaves no trace: no time passes, no predicate is
 * asked, nothing is issued.
 */
export class UpdateHandlers {
  readonly #runtime: Runtime;
  readonly #exposed = new Map<string, ExposedUpdate>();
  #validatingAt: number | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  get isExposed(): boolean {
    return this.#exposed.size > 0;
  }

  /** While a validator looks: the instant at which its update would be accepted. */
  get validatingAt(): number | undefined {
    return this.#validatingAt;
  }

  expose(definition: AnyUpdate, handling: UpdateHandling): void {
    this.#exposed.set(definition.name, { definition, ...handling });
  }

  /** Asks the code whether it takes an update, at a moment at which nothing of it moves. */
  consider({ name, input }: UpdateDelivery, { nowMs }: Activation): Offered {
    const what = this.#nameOf(name);
    const context = new ScopeContext(
      this.#runtime,
      new CancellationScope(undefined),
      "validator of an update",
    );
    this.#validatingAt = nowMs;
    try {
      const { validate, definition } = this.#demand(name, what);
      const { inputSchema } = definition;
      const value = fromPayload(input);
      const parsed =
        inputSchema === undefined ? value : parseWithSchema(inputSchema, value, `the input of ${what}`);
      const recorded =
        inputSchema === undefined
          ? input
          : toPayload(parsed, `the input of ${what}`, this.#runtime.init.payloadLimitBytes);
      if (validate !== undefined) this.#validate(context, () => validate(parsed), what);
      return { ok: true, input: recorded };
    } catch (error) {
      return { ok: false, refusal: encodeError(error) };
    } finally {
      this.#validatingAt = undefined;
    }
  }

  #validate(context: ScopeContext, validate: () => unknown, what: string): void {
    let answer: unknown;
    try {
      answer = this.#runtime.carrier.enter(context, validate);
    } catch (error) {
      throw context.misuse ?? rejected(error, what);
    }
    if (answer instanceof Promise) {
      answer.catch(() => undefined);
      throw (
        context.misuse ??
        new AionError("update_rejected", `${what}: its validator returned a promise`, {
          hint: "A validator answers at once: it looks at the state of the workflow, and throws to refuse.",
        })
      );
    }
    if (context.misuse !== undefined) throw context.misuse;
  }

  /** Hands the code an update that was accepted. */
  async run({ updateId, name }: UpdateDelivery, input: Payload): Promise<void> {
    const kind = "complete-update";
    const what = this.#nameOf(name);
    const runtime = this.#runtime;
    runtime.handlerBegins();
    try {
      // It was there when the update was accepted; in changed code it may not be.
      const { handler, definition } = this.#demand(name, what);
      const result = await handler(fromPayload(input));
      const { outputSchema } = definition;
      const checked =
        outputSchema === undefined ? result : parseWithSchema(outputSchema, result, `the answer of ${what}`);
      const payload = toPayload(checked, `the answer of ${what}`, runtime.init.payloadLimitBytes);
      if (runtime.mayGoOn(`the end of ${what}`)) runtime.issue({ kind, updateId, result: payload });
    } catch (error) {
      // Whoever continues as new ends the run, and with it this update.
      if (runtime.isContinuing) runtime.fail(error);
      else if (runtime.mayGoOn(`the end of ${what}`))
        runtime.issue({ kind, updateId, failure: toFailure(error) });
    } finally {
      runtime.handlerEnds();
    }
  }

  #nameOf(updateName: string): string {
    return `update ${JSON.stringify(updateName)} of workflow ${this.#runtime.init.workflowId}`;
  }

  #demand(name: string, what: string): ExposedUpdate {
    const exposed = this.#exposed.get(name);
    if (exposed !== undefined) return exposed;
    const known = [...this.#exposed.keys()].map((key) => JSON.stringify(key)).join(", ");
    throw new AionError(
      "update_unknown",
      `${what}: not exposed; exposed are ${known === "" ? "none" : known}`,
    );
  }
}

function rejected(error: unknown, what: string): AionError {
  const failure = toFailure(error);
  const { stack: _stack, ...told } = failure;
  return new AionError("update_rejected", `${what}: ${failure.message}`, { details: { failure: told } });
}
