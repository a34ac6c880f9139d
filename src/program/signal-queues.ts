import type { StartSignal } from "../core/event.ts";
import type { Payload } from "../core/payload.ts";
import { fromPayload, toPayload } from "../core/payload.ts";
import { parseWithSchema } from "../core/schema.ts";
import type { AnySignal } from "../workflow/definition.ts";
import type { Runtime } from "./runtime.ts";
import type { ScopeContext } from "./scope-context.ts";

interface SignalQueue {
  /** Arrived and not yet asked for. */
  readonly buffer: Payload[];
  readonly waiting: SignalWait[];
  /** How many have been handed to the code. */
  consumed: number;
  definition: AnySignal | undefined;
  handler: ((payload: unknown) => void) | undefined;
}

export interface SignalWait {
  deliver(payload: Payload): void;
}

/**
 * The signals of a run, by name. Law: of one name they reach the code in the order in which they came, each once: by its handler, by
 * who has waited longest, or else by who asks for it next.
 */
export class SignalQueues {
  readonly #runtime: Runtime;
  readonly #queues = new Map<string, SignalQueue>();
  #handlerCount = 0;
  #waitingCount = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Those that have come, and that the code has not asked for. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** A signal would make the code move. */
  get isAwaited(): boolean {
    if (this.#handlerCount > 0) return true;
    for (const { waiting } of this.#queues.values()) if (waiting.length > 0) return true;
    return false;
  }

  /** As its definition in the code wants it. */
  parse(name: string, payload: Payload): Payload {
    const schema = this.#queues.get(name)?.definition?.schema;
    if (schema === undefined) return payload;
    const what = this.#nameOf(name);
    const { payloadLimitBytes } = this.#runtime.init;
    return toPayload(parseWithSchema(schema, fromPayload(payload), what), what, payloadLimitBytes);
  }

  unconsumed(): readonly StartSignal[] {
    return [...this.#queues].flatMap(([name, queue]) => queue.buffer.map((payload) => ({ name, payload })));
  }

  putFirst(signals: readonly StartSignal[]): void {
    for (const { name, payload } of signals.toReversed()) {
      this.#queueOf(name).buffer.unshift(payload);
      this.#waitingCount += 1;
    }
  }

  deliver(name: string, payload: Payload): void {
    const queue = this.#queueOf(name);
    if (queue.handler !== undefined) {
      queue.consumed += 1;
      const what = this.#nameOf(name);
      const schema = queue.definition?.schema;
      try {
        queue.handler(
          schema === undefined ? fromPayload(payload) : parseWithSchema(schema, fromPayload(payload), what),
        );
      } catch (error) {
        this.#runtime.fail(error);
      }
      return;
    }
    const wait = queue.waiting.shift();
    if (wait === undefined) {
      queue.buffer.push(payload);
      this.#waitingCount += 1;
      return;
    }
    queue.consumed += 1;
    wait.deliver(payload);
  }

  /** Takes one that has come; `undefined`: it is to be waited for. */
  take(definition: AnySignal, hasTimeout: boolean): Payload | undefined {
    const queue = this.#queueOf(definition.name);
    queue.definition ??= definition;
    this.#runtime.issue({
      kind: "await-signal",
      name: definition.name,
      index: queue.consumed + queue.waiting.length,
      ...(hasTimeout && queue.buffer.length === 0 ? { timer: this.#runtime.nextTimer } : {}),
    });
    const buffered = queue.buffer.shift();
    if (buffered !== undefined) {
      queue.consumed += 1;
      this.#waitingCount -= 1;
    }
    return buffered;
  }

  /** Stands in line for the next one. Returns how to leave the line, which tells the place in it; below 0: it was left before. */
  join(name: string, wait: SignalWait): () => number {
    const { waiting } = this.#queueOf(name);
    waiting.push(wait);
    return () => {
      const place = waiting.indexOf(wait);
      if (place >= 0) waiting.splice(place, 1);
      return place;
    };
  }

  expose(definition: AnySignal, handler: (payload: unknown) => unknown, context: ScopeContext): void {
    const queue = this.#queueOf(definition.name);
    queue.definition = definition;
    if (queue.handler === undefined) this.#handlerCount += 1;
    queue.handler = (payload) => {
      this.#runtime.carrier.enter(context, () => void this.#handle(handler, payload));
    };
    const waiting = queue.buffer.splice(0);
    this.#waitingCount -= waiting.length;
    for (const payload of waiting) this.deliver(definition.name, payload);
  }

  async #handle(handler: (payload: unknown) => unknown, payload: unknown): Promise<void> {
    this.#runtime.handlerBegins();
    try {
      await handler(payload);
    } catch (error) {
      this.#runtime.fail(error);
    } finally {
      this.#runtime.handlerEnds();
    }
  }

  #nameOf(name: string): string {
    return `signal ${JSON.stringify(name)} to workflow ${this.#runtime.init.workflowId}`;
  }

  #queueOf(name: string): SignalQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { buffer: [], waiting: [], consumed: 0, definition: undefined, handler: undefined };
      this.#queues.set(name, queue);
    }
    return queue;
  }
}
