/** Runs a program that is data as a workflow, with an outside that behaves the same for the same calls. */
import type { AttributeInstant, AttributeValue } from "../../src/core/attributes.ts";
import type { AnyActivity, AnyWorkflow } from "../../src/workflow/definition.ts";
import {
  activity,
  ApplicationFailure,
  attributes,
  child,
  compensate,
  continueAsNew,
  expose,
  info,
  isFailure,
  now,
  patched,
  query,
  random,
  receive,
  scope,
  shield,
  sideEffect,
  signal,
  signalWorkflow,
  sleep,
  step,
  update,
  uuid,
  waitUntil,
  workflow,
} from "../../src/workflow/index.ts";
import type { World } from "../recovery/world.ts";
import type { Program, Statement } from "./program.ts";

/** All that the code knows: where it has been, and what it saw there. */
export const account = query<readonly string[]>("account");
/** What the account says once the main function of the code fails: other branches may still go on. */
export const failing = "fails";
/** Counted by a handler. */
export const tick = signal<number>("tick");

/** Asks for the same, and for more beside the main function: its handler draws, works, waits, and may fail; some are refused. */
export const bump = update<string, number>("bump");

interface Labour {
  readonly label: string;
  readonly ms: number;
  readonly failures: number;
}

/** Notes what ran that must not run on replay. */
export interface Outside {
  readonly world: Pick<World, "effect" | "pause">;
  /** Closures of `sideEffect` that ran. */
  readonly produced: string[];
}

export function programActivities(world: World): readonly AnyActivity[] {
  const labour = async (input: Labour, task: Parameters<World["effect"]>[0]): Promise<string> => {
    await world.effect(task, input);
    await world.pause(input.ms);
    if (input.failures < 0) throw new ApplicationFailure(`no ${input.label}`, { nonRetryable: true });
    if ((world.effectCounts().get(task.idempotencyKey) ?? 0) <= input.failures) {
      throw new ApplicationFailure(`not yet ${input.label}`);
    }
    return input.label;
  };
  return [activity("work", labour), activity("toil", labour)];
}

const work = activity("work", (_input: Labour): string => "never called here");
const toil = activity("toil", (_input: Labour): string => "never called here");
const retry = { maxAttempts: 5, initialDelay: 40, backoff: "fixed", jitter: 0 } as const;

const leaf = workflow("leaf", async (input: string) => {
  await work({ label: `leaf ${input}`, ms: 15, failures: 0 });
  return `leaf of ${input}`;
});
const twig = workflow("twig", async (input: string) => {
  await sleep(30);
  return `twig of ${input}`;
});
const rotten = workflow("rotten", async (input: string) => {
  await sleep(10);
  throw new ApplicationFailure(`rotten ${input}`);
});
/** Takes what is sent to it. */
const listener = workflow("listener", async () => {
  for (;;) await receive(signal("word"));
});

export function programWorkflows(
  outside: Outside,
  programs: Readonly<Record<string, Program>>,
): readonly AnyWorkflow[] {
  return [
    leaf,
    twig,
    rotten,
    listener,
    ...Object.entries(programs).map(([name, program]) =>
      workflow(name, (state: { readonly round: number }) =>
        new Interpreter(outside, program).run(state.round),
      ),
    ),
  ];
}

/** Thrown by `return`, caught at the top. */
class Returned {
  readonly value: string;
  constructor(value: string) {
    this.value = value;
  }
}

const learning: ReadonlySet<Statement["op"]> = new Set([
  "activity",
  "step",
  "receive",
  "send",
  "child",
  "side-effect",
  "wait-until",
]);

class Interpreter {
  readonly #outside: Outside;
  readonly #program: Program;
  /** Where the code was: for a query alone. */
  readonly #account: string[] = [];
  /** What it learned: part of its result. How the code is laid out does not show in it. */
  readonly #learned: string[] = [];
  #ticks = 0;

  constructor(outside: Outside, program: Program) {
    this.#outside = outside;
    this.#program = program;
  }

  async run(round: number): Promise<readonly string[]> {
    expose(account, () => [...this.#account, ...this.#learned]);
    expose(tick, (amount) => {
      this.#ticks += amount;
      this.#account.push(`tick ${amount}`);
    });
    expose(bump, (amount) => this.#bump(amount), {
      validate: (amount) => {
        if (this.#ticks + amount > 8) throw new ApplicationFailure(`full at ${now()}`);
      },
    });
    try {
      await this.#list(this.#program.body);
    } catch (error) {
      if (error instanceof Returned) return [...this.#learned, error.value];
      this.#account.push(failing);
      throw error;
    }
    if (round < this.#program.rounds) continueAsNew({ round: round + 1 });
    return [...this.#learned, this.#program.result];
  }

  async #bump(amount: number): Promise<string> {
    this.#account.push(`bump ${amount} at ${now()}, ${random()}`);
    const label = sideEffect(() => {
      this.#outside.produced.push("bump");
      return `bump ${amount}`;
    });
    await work({ label, ms: 10 * amount, failures: amount === 2 ? 1 : 0 }, { retry });
    this.#ticks += amount;
    const heard = await receive(signal("beta"), { timeout: 50 * amount });
    this.#account.push(`receive: ${JSON.stringify(heard)}`);
    if (amount === 3)
      throw new ApplicationFailure(`bump at ${this.#ticks}`, { type: "Bump", details: heard });
    this.#account.push(`bumped ${amount}`);
    return JSON.stringify([this.#ticks, heard]);
  }

  async #list(statements: readonly Statement[]): Promise<string> {
    let last = "nothing";
    for (const statement of statements) {
      // What needs no wait takes none: not even a microtask, after which others might have come first.
      const done = this.#statement(statement);
      last = typeof done === "string" ? done : await done;
      this.#account.push(`${statement.op}: ${last}`);
      if (learning.has(statement.op)) this.#learned.push(last);
    }
    return last;
  }

  #statement(statement: Statement): string | Promise<string> {
    switch (statement.op) {
      case "activity": {
        const call = statement.type === "work" ? work : toil;
        const { label, ms, failures, options = failures > 0 ? { retry } : {} } = statement;
        return call({ label, ms, failures }, options);
      }
      case "step":
        return step(statement.name, async (task) => {
          await this.#outside.world.effect(task, statement.name);
          await this.#outside.world.pause(statement.ms);
          return statement.value;
        });
      case "sleep":
        return sleep(statement.ms).then(() => `${statement.ms} ms`);
      case "receive":
        return receive(signal(statement.signal), { timeout: statement.timeoutMs }).then((waited) =>
          JSON.stringify(waited),
        );
      case "send":
        return signalWorkflow(statement.target, signal<string>(statement.signal), statement.payload).then(
          () => "sent",
          (error: unknown) => (isFailure(error) ? error.message : "odd"),
        );
      case "child": {
        const { type, id, input, policy } = statement;
        const running = child(type, input, {
          parentClosePolicy: policy,
          ...(id === "" ? {} : { id: `${info().workflowId}/${id}` }),
        }) as Promise<string>;
        const told = running.catch((error: unknown) =>
          isFailure(error) ? `${error.kind}: ${isFailure(error.cause) ? error.cause.kind : ""}` : "odd",
        );
        return statement.isDetached ? "let go" : told;
      }
      case "side-effect":
        return sideEffect(() => {
          this.#outside.produced.push(statement.value);
          return statement.value;
        });
      case "attribute": {
        const { name, value } = statement;
        const isInstant =
          typeof value === "object" && value !== null && "at" in value && !Array.isArray(value);
        attributes.set({
          [name]: isInstant ? new Date((value as AttributeInstant).at) : (value as AttributeValue),
        });
        return JSON.stringify(attributes.get());
      }
      case "patched": {
        const taken = patched(statement.id) ? statement.taken : statement.otherwise;
        return taken.length === 0 ? "nothing" : this.#list(taken);
      }
      case "wait-until":
        return waitUntil(() => this.#ticks >= statement.count, statement.timeoutMs).then(String);
      case "all":
        return Promise.all(statement.branches.map((branch) => this.#list(branch))).then(String);
      case "settled":
        return Promise.allSettled(statement.branches.map((branch) => this.#list(branch))).then((all) =>
          all.map((each) => each.status).join(),
        );
      case "race":
        return Promise.race(statement.branches.map((branch) => this.#list(branch)));
      case "any":
        return Promise.any(statement.branches.map((branch) => this.#list(branch)));
      case "scope": {
        const { timeoutMs, body } = statement;
        if (timeoutMs === 0) return scope(() => this.#list(body));
        return scope(() => this.#list(body), { timeout: timeoutMs }).then((waited) =>
          waited.ok ? waited.value : waited.reason,
        );
      }
      case "shield":
        return shield(() => this.#list(statement.body));
      case "try":
        return this.#list(statement.body).catch((error: unknown) => {
          if (error instanceof Returned) throw error;
          this.#learned.push(`caught ${isFailure(error) ? error.message : String(error)}`);
          return this.#list(statement.otherwise);
        });
      case "compensate":
        compensate(async () => {
          this.#account.push(`undoes: ${statement.label}`);
          try {
            await work({ label: statement.label, ms: 5, failures: 0 });
          } finally {
            this.#account.push(`undone: ${statement.label}`);
          }
        });
        return statement.label;
      case "look":
        this.#account.push(`${now()} ${random()} ${uuid()} ${info().historyLength}`);
        return "looked";
      case "fail":
        throw new ApplicationFailure(statement.message);
      case "return":
        // oxlint-disable-next-line typescript/only-throw-error -- control flow of the interpreted program
        throw new Returned(statement.value);
    }
  }
}
