/** One workflow that runs any program, through nothing but what workflow files import. */
import {
  activity,
  ApplicationFailure,
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
  uuid,
  waitUntil,
  workflow,
} from "aion/workflow";
import type { Activity, ActivityOptions, ActivityTask, ScopeHandle, Workflow } from "aion/workflow";
import type { Program, Statement, Work } from "./program.ts";

export interface ProgramInput {
  readonly program: Program;
  readonly round: number;
  /** When the case began: instants are told from there. */
  readonly beganAt: number;
}

/** A piece of work as its implementation gets it. */
export interface Order {
  readonly label: string;
  readonly site: string;
  readonly work: Work;
  /** Drawn by the code: another draw at replay is another input. */
  readonly drawn: string;
}

/** What lies outside the engine: it does the work, and counts. */
export interface Outside {
  /** Gives back the site, or throws. */
  perform(order: Order, task: ActivityTask): Promise<string>;
  /** A closure of `sideEffect` ran. */
  produced(label: string): void;
}

export const progress = query<string>("progress");
const tick = signal<number>("tick");

export interface Definitions {
  readonly interpreter: Workflow<ProgramInput, string>;
  readonly activities: readonly Activity<Order, string>[];
}

export function defineProgram(outside: Outside): Definitions {
  const perform = activity("work", (order: Order, task): Promise<string> => outside.perform(order, task));
  const interpreter: Workflow<ProgramInput, string> = workflow("program", (input: ProgramInput) =>
    new Interpreter({ outside, perform, interpreter }, input).run(),
  );
  return { interpreter, activities: [perform] };
}

/** A failure as it is told: kinds from the outside in, and what the innermost says. */
export function tell(error: unknown): string {
  if (!isFailure(error)) return `odd: ${String(error)}`;
  switch (error.kind) {
    case "application": {
      const { type } = error;
      if (type === "SignalFailed") return "unsent";
      if (type === "CompensationFailed") return `undone badly<${tell(error.cause)}>`;
      return error.message;
    }
    case "activity":
    case "child":
      return `${error.kind}<${tell(error.cause)}>`;
    case "cancelled":
    case "terminated":
    case "timeout":
    case "engine":
      return error.kind === "engine" ? `engine: ${error.message}` : error.kind;
  }
}

/** Thrown by `return`, caught at the top. */
class Returned {
  readonly value: string;
  constructor(value: string) {
    this.value = value;
  }
}

interface Place {
  readonly suffix: string;
  readonly handle: ScopeHandle | undefined;
}

interface Means extends Pick<Definitions, "interpreter"> {
  readonly outside: Outside;
  readonly perform: Activity<Order, string>;
}

class Interpreter {
  readonly #means: Means;
  readonly #input: ProgramInput;
  readonly #workflowId = info().workflowId;
  readonly #done: string[] = [];
  #ticks = 0;
  #drawn = "";

  constructor(means: Means, input: ProgramInput) {
    this.#means = means;
    this.#input = input;
  }

  async run(): Promise<string> {
    expose(progress, () => this.#done.toSorted().join());
    expose(tick, (count) => {
      this.#ticks += count;
    });
    const { program, round } = this.#input;
    let result: string;
    try {
      result = await this.#list(program.body, { suffix: round === 0 ? "" : `#${round}`, handle: undefined });
    } catch (error) {
      if (error instanceof Returned) return error.value;
      throw error;
    }
    if (round < program.rounds) continueAsNew(this.#means.interpreter, { ...this.#input, round: round + 1 });
    return result;
  }

  async #list(statements: readonly Statement[], place: Place): Promise<string> {
    const values: string[] = [];
    for (const statement of statements) {
      values.push(await this.#statement(statement, place));
      this.#done.push(`${statement.site}${place.suffix}`);
    }
    return `[${values.join()}]`;
  }

  #statement(statement: Statement, place: Place): string | Promise<string> {
    const { site } = statement;
    const label = `${this.#workflowId}/${site}${place.suffix}`;
    switch (statement.op) {
      case "activity":
      case "step":
        return this.#work(statement.op, statement.work, site, label);
      case "sleep":
        return sleep(statement.ms).then(() => "slept");
      case "receive":
        return receiveOne(statement.signal, statement.timeoutMs);
      case "wait-until":
        return waitUntil(
          () => this.#ticks >= statement.ticks,
          statement.timeoutMs === 0 ? undefined : statement.timeoutMs,
        ).then((isMet) => (isMet ? "met" : "not met"));
      case "send":
        return signalWorkflow(statement.target, signal<number>(statement.signal), statement.value).then(
          () => "sent",
        );
      case "child": {
        const input = { ...this.#input, program: statement.program, round: 0 };
        const running = child(this.#means.interpreter, input, {
          id: label,
          parentClosePolicy: statement.policy,
        });
        if (!statement.isDetached) return running;
        running.catch(() => undefined);
        return "let go";
      }
      case "side-effect":
        return sideEffect(() => {
          this.#means.outside.produced(label);
          if (statement.fails) throw new ApplicationFailure(site);
          return site;
        });
      case "now":
        return `@${now() - this.#input.beganAt}`;
      case "draw":
        this.#drawn = `${random()} ${uuid()}`;
        return "drawn";
      case "patched":
        return patched(site) ? "patched" : "not patched";
      case "cancel-scope":
        place.handle?.cancel();
        return place.handle === undefined ? "no scope" : "called off";
      case "compensate": {
        const { ms, fails } = statement;
        const work: Work = { ...quick, ms, failures: fails ? 1 : 0 };
        compensate(() => this.#work("activity", work, site, label));
        return "kept";
      }
      case "fail":
        throw new ApplicationFailure(site);
      case "return":
        // oxlint-disable-next-line typescript/only-throw-error -- control flow of the interpreted program
        throw new Returned(site);
      case "all":
        return Promise.all(this.#branches(statement.branches, place)).then((values) => values.join("|"));
      case "settled":
        return Promise.allSettled(this.#branches(statement.branches, place)).then((ends) =>
          ends.map((end) => (end.status === "fulfilled" ? end.value : "rejected")).join("|"),
        );
      case "race":
        return Promise.race(this.#branches(statement.branches, place));
      case "any":
        return Promise.any(this.#branches(statement.branches, place)).catch(() => {
          throw new ApplicationFailure("none");
        });
      case "scope":
        return this.#scope(statement, place);
      case "shield":
        return shield(() => this.#list(statement.body, place));
      case "loop":
        return this.#loop(statement, place);
      case "try":
        return this.#list(statement.body, place).catch(async (error: unknown) => {
          if (error instanceof Returned) throw error;
          return `caught ${tell(error)} ${await this.#list(statement.otherwise, place)}`;
        });
      case "finally":
        return this.#finally(statement, place);
    }
  }

  #branches(branches: readonly (readonly Statement[])[], place: Place): readonly Promise<string>[] {
    return branches.map((branch) => this.#list(branch, place));
  }

  #scope(
    { timeoutMs, body }: Statement & { readonly op: "scope" },
    { suffix }: Place,
  ): string | Promise<string> {
    const run = (handle: ScopeHandle): Promise<string> => this.#list(body, { suffix, handle });
    if (timeoutMs === 0) return scope(run);
    return scope(run, { timeout: timeoutMs }).then((waited) => (waited.ok ? waited.value : "timed out"));
  }

  async #finally(
    { body, otherwise }: Statement & { readonly op: "try" | "finally" },
    place: Place,
  ): Promise<string> {
    try {
      return await this.#list(body, place);
    } finally {
      await this.#list(otherwise, place);
    }
  }

  async #loop({ times, body }: Statement & { readonly op: "loop" }, place: Place): Promise<string> {
    const values: string[] = [];
    for (let turn = 0; turn < times; turn++) {
      values.push(await this.#list(body, { ...place, suffix: `${place.suffix}.${turn}` }));
    }
    return values.join();
  }

  #work(kind: "activity" | "step", work: Work, site: string, label: string): Promise<string> {
    const order: Order = { label, site, work, drawn: this.#drawn };
    const { maxAttempts, backoff, backoffMs } = work;
    const options: ActivityOptions =
      maxAttempts === 1
        ? {}
        : { retry: { maxAttempts, backoff, initialDelay: backoffMs, maxDelay: "1 day", jitter: 0 } };
    const running =
      kind === "activity"
        ? this.#means.perform(order, options)
        : step(label, (task) => this.#means.outside.perform(order, task), options);
    return running.then((value) => `${kind} ${value}`);
  }
}

async function receiveOne(name: string, timeoutMs: number): Promise<string> {
  const definition = signal<number>(name);
  if (timeoutMs === 0) return `${name} ${await receive(definition)}`;
  const waited = await receive(definition, { timeout: timeoutMs });
  return waited.ok ? `${name} ${waited.value}` : "no signal";
}

const quick: Work = {
  ms: 0,
  failures: 0,
  maxAttempts: 1,
  backoffMs: 1,
  backoff: "fixed",
  isFinal: false,
  whenTold: "stop",
};
