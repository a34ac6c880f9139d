/**
 * What a case must come to, found without Aion: from the meaning that the guide gives to each statement, on a clock and an
 * event loop of its own.
 *
 * The model says nothing of crashes, since they must not show. Where two things happen at one instant and the guide does
 * not say which is first, the order is drawn; a case whose outcome hangs on such draws has no one outcome, and is not used.
 */
import type { Act, Case, ClosePolicy, Outcome, Program, RunEnd, Statement, Work } from "./program.ts";

/** How draws are made: the first, the last, or any of those that could come next. */
export type Order = "first" | "last" | number;

/** A failure as it is told: kinds from the outside in, and what the innermost says. */
class Failed {
  readonly tells: string;
  readonly isCancelled: boolean;

  constructor(tells: string, isCancelled = false) {
    this.tells = tells;
    this.isCancelled = isCancelled;
  }
}

const cancelled = (): Failed => new Failed("cancelled", true);
const within = (kind: string, cause: Failed): Failed =>
  new Failed(`${kind}<${cause.tells}>`, cause.isCancelled);

/** Thrown by `return`. */
class Returned {
  readonly value: string;
  constructor(value: string) {
    this.value = value;
  }
}

type Settled =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly reason: unknown };

/** A promise whose followers are told in the order that the simulation draws. */
class Promised {
  readonly #simulation: Simulation;
  #settled: Settled | undefined;
  readonly #followers: ((settled: Settled) => void)[] = [];

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  get isSettled(): boolean {
    return this.#settled !== undefined;
  }

  settle(settled: Settled): void {
    if (this.#settled !== undefined) return;
    this.#settled = settled;
    for (const follow of this.#followers.splice(0)) this.#simulation.soon(() => follow(settled));
  }

  resolve(value: string): void {
    this.settle({ ok: true, value });
  }

  reject(reason: unknown): void {
    this.settle({ ok: false, reason });
  }

  follow(follower: (settled: Settled) => void): void {
    const settled = this.#settled;
    if (settled === undefined) this.#followers.push(follower);
    else this.#simulation.soon(() => follower(settled));
  }
}

type Code = Generator<Promised, string, string>;

/** What can be told to stop together. */
class Scope {
  readonly parent: Scope | undefined;
  readonly #inside = new Set<() => void>();
  #isTold = false;

  constructor(parent: Scope | undefined) {
    this.parent = parent;
    parent?.add(() => this.cancel());
  }

  get isCancelled(): boolean {
    return this.#isTold;
  }

  add(stop: () => void): () => void {
    this.#inside.add(stop);
    return () => this.#inside.delete(stop);
  }

  cancel(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    for (const stop of this.#inside) stop();
  }
}

interface Place {
  readonly run: Run;
  readonly scope: Scope;
  /** What `cancel-scope` cancels. */
  readonly handle: Scope | undefined;
  /** Tells the turns of loops and rounds apart. */
  readonly suffix: string;
}

interface Child {
  readonly workflowId: string;
  readonly policy: ClosePolicy;
}

interface Waiter {
  readonly take: (value: number) => void;
}

class Run {
  readonly workflowId: string;
  readonly program: Program;
  readonly round: number;
  /** How whoever started it as a child hears of its end. */
  readonly tellParent: ((end: Settled) => void) | undefined;
  readonly root = new Scope(undefined);
  readonly arrived = new Map<string, number[]>();
  readonly waiting = new Map<string, Waiter[]>();
  readonly conditions: { readonly isMet: () => boolean; readonly wake: () => void }[] = [];
  readonly undo: { readonly statement: Extract<Statement, { op: "compensate" }>; readonly suffix: string }[] =
    [];
  readonly children = new Set<Child>();
  readonly ends = new Set<() => void>();
  readonly done: string[] = [];
  ticks = 0;
  isClosing = false;
  isCancelRequested = false;
  end: RunEnd | undefined;

  constructor(of: Pick<Run, "workflowId" | "program" | "round" | "tellParent">) {
    this.workflowId = of.workflowId;
    this.program = of.program;
    this.round = of.round;
    this.tellParent = of.tellParent;
  }
}

interface Timed {
  readonly at: number;
  readonly fire: () => void;
}

const stepsMax = 100_000;

class Simulation {
  readonly #order: Order;
  #state: number;
  #now = 0;
  readonly #soon: (() => void)[] = [];
  /** What is on its way within an instant; in order for each receiver. */
  readonly #posts = new Map<string, (() => void)[]>();
  /** When the latest of what is late reaches each receiver. */
  readonly #postedAt = new Map<string, number>();
  readonly #timed = new Set<Timed>();
  readonly #chains = new Map<string, Run[]>();
  readonly #calls = new Map<string, number>();
  readonly #deaths = new Set<number>();
  readonly #optional = new Set<string>();
  /** Work under way that was told to stop and goes on. */
  readonly #told = new Set<() => void>();
  readonly #produced: string[] = [];
  readonly #received = new Map<string, string[]>();
  readonly #answers: string[] = [];
  #hasTies = false;

  readonly #resolved = new Promised(this);

  /** By how much everything may take longer than it should. */
  readonly #slacksMs: readonly number[];

  constructor(order: Order, slacksMs: readonly number[]) {
    this.#resolved.resolve("");
    this.#order = order;
    this.#slacksMs = slacksMs;
    this.#state = typeof order === "number" ? order : 0;
  }

  play({ acts }: Case, killedAtMs: readonly number[]): Prediction {
    this.#client(acts, 0);
    for (const atMs of killedAtMs) {
      this.#deaths.add(atMs);
      this.#after(atMs, () => {
        for (const end of this.#told) end();
      });
    }
    for (let steps = 0; this.#step(); steps++) {
      if (steps > stepsMax) throw new Error("the model does not come to rest");
    }
    const runs = [...this.#chains].map(([id, chain]): [string, RunEnd[]] => [
      id,
      chain.map((run) => run.end ?? { status: "running", tells: "" }),
    ]);
    return {
      outcome: {
        runs: sorted(runs),
        calls: sorted(this.#calls),
        optional: [...this.#optional].toSorted(),
        produced: this.#produced.toSorted(),
        received: sorted(this.#received),
        answers: this.#answers,
      },
      quietAtMs: this.#now,
      hasTies: this.#hasTies,
    };
  }

  // The event loop.

  /** One of what is due at this very instant. False: nothing is. */
  #fireDue(): boolean {
    const due = [...this.#timed].filter(({ at }) => at === this.#now);
    const timed = due.length === 0 ? undefined : due[this.#draw(due.length)];
    if (timed === undefined) return false;
    this.#timed.delete(timed);
    timed.fire();
    return true;
  }

  /** Goes on within the turn. */
  soon(task: () => void): void {
    this.#soon.push(task);
  }

  #post(receiver: string, task: () => void): void {
    const dueAt = this.#now + this.#slack();
    const before = this.#postedAt.get(receiver) ?? 0;
    if (dueAt > this.#now || before > this.#now) {
      // Late, and not before what was posted earlier.
      const at = Math.max(dueAt, before + 0.001);
      this.#postedAt.set(receiver, at);
      this.#timed.add({ at, fire: task });
      return;
    }
    const line = this.#posts.get(receiver);
    if (line === undefined) this.#posts.set(receiver, [task]);
    else line.push(task);
  }

  #after(ms: number, fire: () => void): () => void {
    const timed = { at: this.#now + ms + this.#slack(), fire };
    this.#timed.add(timed);
    return () => this.#timed.delete(timed);
  }

  #draw(count: number): number {
    if (this.#order === "first" || count === 1) return 0;
    if (this.#order === "last") return count - 1;
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return (this.#state >>> 8) % count;
  }

  #slack(): number {
    const most = this.#slacksMs[this.#draw(this.#slacksMs.length)] ?? 0;
    return most === 0 ? 0 : this.#draw(most + 1);
  }

  #step(): boolean {
    if (this.#soon.length > 0) {
      const [task] = this.#soon.splice(this.#draw(this.#soon.length), 1);
      task?.();
      return true;
    }
    // At rest conditions are asked, and one wakes at a time.
    for (const chain of this.#chains.values()) {
      const run = chain.at(-1);
      if (run === undefined || run.end !== undefined) continue;
      const index = run.conditions.findIndex((condition) => condition.isMet());
      const [condition] = index < 0 ? [] : run.conditions.splice(index, 1);
      if (condition !== undefined) {
        condition.wake();
        return true;
      }
    }
    // When the engine dies and is followed by another, what comes at that instant comes in any order.
    if (this.#deaths.has(this.#now) && this.#draw(3) === 0 && this.#fireDue()) return true;
    if (this.#posts.size > 0) {
      const receivers = [...this.#posts.keys()];
      const receiver = receivers[this.#draw(receivers.length)] ?? "";
      const line = this.#posts.get(receiver) ?? [];
      const task = line.shift();
      if (line.length === 0) this.#posts.delete(receiver);
      task?.();
      return true;
    }
    let next: Timed[] = [];
    for (const timed of this.#timed) {
      const first = next[0];
      if (first === undefined || timed.at < first.at) next = [timed];
      else if (timed.at === first.at) next.push(timed);
    }
    if (next.length > 1) this.#hasTies = true;
    const timed = next[this.#draw(next.length)];
    if (timed === undefined) return false;
    this.#timed.delete(timed);
    this.#now = timed.at;
    timed.fire();
    return true;
  }

  // Clients.

  /** One client does all, one thing after the other. */
  #client(acts: readonly Act[], index: number): void {
    const act = acts[index];
    if (act === undefined) return;
    this.#after(act.atMs - (acts[index - 1]?.atMs ?? 0), () => {
      this.#answers.push(this.#act(act));
      this.#client(acts, index + 1);
    });
  }

  #act(act: Act): string {
    if (act.kind === "start") {
      const { target: workflowId, program } = act;
      this.#begin(new Run({ workflowId, program, round: 0, tellParent: undefined }));
      return "ok";
    }
    const run = this.#chains.get(act.target)?.at(-1);
    if (run === undefined) return "run_not_found";
    if (act.kind === "query") return run.done.toSorted().join();
    if (run.end !== undefined) return "run_closed";
    if (act.kind === "signal") this.#arrive(run, act.signal, act.value);
    else if (act.kind === "cancel") this.#cancel(run);
    else this.#terminate(run);
    return "ok";
  }

  #cancel(run: Run): void {
    run.isCancelRequested = true;
    run.root.cancel();
  }

  #terminate(run: Run): void {
    this.#close(run, "terminated", new Failed("terminated"));
  }

  #arrive(run: Run, signal: string, value: number): void {
    const received = this.#received.get(run.workflowId);
    if (received === undefined) this.#received.set(run.workflowId, [`${signal} ${value}`]);
    else received.push(`${signal} ${value}`);
    if (signal === "tick") {
      run.ticks += value;
      return;
    }
    const waiter = run.waiting.get(signal)?.shift();
    if (waiter !== undefined) return waiter.take(value);
    const buffer = run.arrived.get(signal);
    if (buffer === undefined) run.arrived.set(signal, [value]);
    else buffer.push(value);
  }

  // Runs.

  #begin(run: Run): void {
    const chain = this.#chains.get(run.workflowId);
    if (chain === undefined) this.#chains.set(run.workflowId, [run]);
    else chain.push(run);
    const suffix = run.round === 0 ? "" : `#${run.round}`;
    const place: Place = { run, scope: run.root, handle: undefined, suffix };
    const main = this.#spawn(run, this.#list(run.program.body, place));
    main.follow((settled) => this.#ended(run, settled, place));
  }

  /** Runs code until it ends. Nothing moves in a run that is closed. */
  #spawn(run: Run, code: Code): Promised {
    const promised = new Promised(this);
    const resume = (next: () => IteratorResult<Promised, string>): void => {
      if (run.end !== undefined) return;
      let result: IteratorResult<Promised, string>;
      try {
        result = next();
      } catch (reason) {
        promised.reject(reason);
        return;
      }
      if (result.done === true) return promised.resolve(result.value);
      result.value.follow((settled) =>
        resume(() => (settled.ok ? code.next(settled.value) : code.throw(settled.reason))),
      );
    };
    resume(() => code.next(""));
    return promised;
  }

  #ended(run: Run, settled: Settled, place: Place): void {
    if (run.end !== undefined || run.isClosing) return;
    if (settled.ok || settled.reason instanceof Returned) {
      const value = settled.ok ? settled.value : (settled.reason as Returned).value;
      if (settled.ok && run.round < run.program.rounds) return this.#close(run, "continued-as-new", "");
      return this.#close(run, "completed", value);
    }
    const reason = settled.reason as Failed;
    run.isClosing = true;
    const undoing = this.#spawn(run, this.#undo(run, place));
    undoing.follow((undone) => {
      const failedCount = undone.ok ? Number(undone.value) : 0;
      if (failedCount > 0) return this.#close(run, "failed", within("undone badly", reason));
      const isCancelled = run.isCancelRequested && reason.isCancelled;
      this.#close(run, isCancelled ? "cancelled" : "failed", isCancelled ? cancelled() : reason);
    });
  }

  *#undo(run: Run, place: Place): Code {
    let failedCount = 0;
    for (let undo = run.undo.pop(); undo !== undefined; undo = run.undo.pop()) {
      const { ms, fails } = undo.statement;
      try {
        const work = { ...quick, ms, failures: fails ? 1 : 0 };
        const { suffix } = undo;
        yield* this.#work(work, undo.statement, { ...place, suffix, scope: new Scope(undefined) }, "undo");
      } catch {
        failedCount += 1;
      }
    }
    return String(failedCount);
  }

  #close(run: Run, status: string, end: string | Failed): void {
    if (run.end !== undefined) return;
    run.end = { status, atMs: this.#now, tells: typeof end === "string" ? end : end.tells };
    for (const stop of run.ends) stop();
    for (const { workflowId, policy } of run.children) {
      if (policy === "abandon") continue;
      this.#post(workflowId, () => {
        const child = this.#chains.get(workflowId)?.at(-1);
        if (child === undefined || child.end !== undefined) return;
        if (policy === "cancel") this.#cancel(child);
        else this.#terminate(child);
      });
    }
    if (status === "continued-as-new") {
      const { workflowId, program, round, tellParent, arrived } = run;
      const next = new Run({ workflowId, program, round: round + 1, tellParent });
      for (const [signal, values] of arrived) next.arrived.set(signal, values);
      this.#begin(next);
      return;
    }
    run.tellParent?.(typeof end === "string" ? { ok: true, value: end } : { ok: false, reason: end });
  }

  // Code.

  *#list(statements: readonly Statement[], place: Place): Code {
    const values: string[] = [];
    for (const statement of statements) {
      const value = yield* this.#statement(statement, place);
      place.run.done.push(`${statement.site}${place.suffix}`);
      values.push(value);
      // As after an `await`: others may come first.
      yield* this.#pause();
    }
    return `[${values.join()}]`;
  }

  *#statement(statement: Statement, place: Place): Code {
    const { run, scope, suffix } = place;
    const { site } = statement;
    switch (statement.op) {
      case "activity":
      case "step":
        return yield* this.#work(statement.work, statement, place, statement.op);
      case "sleep":
        this.#refuse(scope);
        yield* this.#wait(place, (promised) => this.#after(statement.ms, () => promised.resolve("")));
        return "slept";
      case "receive":
        return yield* this.#receive(statement, place);
      case "wait-until":
        return yield* this.#waitUntil(statement, place);
      case "send":
        return yield* this.#send(statement, place);
      case "child":
        return yield* this.#child(statement, place);
      case "side-effect":
        this.#produced.push(`${run.workflowId}/${site}${suffix}`);
        if (statement.fails) raise(new Failed(site));
        return site;
      case "now":
        return `@${this.#now}`;
      case "draw":
        return "drawn";
      case "patched":
        return "patched";
      case "cancel-scope":
        place.handle?.cancel();
        return place.handle === undefined ? "no scope" : "called off";
      case "compensate":
        run.undo.push({ statement, suffix });
        return "kept";
      case "fail":
        raise(new Failed(site));
      case "return":
        raise(new Returned(site));
      case "all":
      case "settled":
      case "race":
      case "any":
        return yield* this.#parallel(statement.op, statement.branches, place);
      case "scope":
        return yield* this.#scope(statement, place);
      case "shield": {
        const body = this.#list(statement.body, { ...place, scope: new Scope(undefined) });
        return yield* wait(this.#spawn(run, body));
      }
      case "loop": {
        const values: string[] = [];
        for (let turn = 0; turn < statement.times; turn++) {
          values.push(yield* this.#list(statement.body, { ...place, suffix: `${suffix}.${turn}` }));
        }
        return values.join();
      }
      case "try":
        try {
          return yield* this.#list(statement.body, place);
        } catch (error) {
          if (!(error instanceof Failed)) throw error;
          return `caught ${error.tells} ${yield* this.#list(statement.otherwise, place)}`;
        }
      case "finally":
        try {
          return yield* this.#list(statement.body, place);
        } finally {
          yield* this.#list(statement.otherwise, place);
        }
    }
  }

  /** Some calls take a moment before they begin, in which others may come first. */
  *#pause(): Code {
    return yield* wait(this.#resolved);
  }

  /** A wait that begins where all is cancelled fails. */
  #refuse(scope: Scope): void {
    if (scope.isCancelled) raise(cancelled());
  }

  /** Waits for what `begin` arranges, or until it is told to stop. */
  *#wait(place: Place, begin: (promised: Promised) => () => void): Code {
    const promised = new Promised(this);
    const withdraw = begin(promised);
    const leave = place.scope.add(() => {
      withdraw();
      promised.reject(cancelled());
    });
    try {
      return yield* wait(promised);
    } finally {
      leave();
    }
  }

  *#receive({ signal, timeoutMs }: Statement & { readonly op: "receive" }, place: Place): Code {
    // Refused a moment later than others, which tells who of two branches is first.
    yield* this.#pause();
    this.#refuse(place.scope);
    const { run } = place;
    const buffered = run.arrived.get(signal)?.shift();
    if (buffered !== undefined) return `${signal} ${buffered}`;
    return yield* this.#wait(place, (promised) => {
      const waiting = run.waiting.get(signal) ?? [];
      run.waiting.set(signal, waiting);
      const withdraw = (): void => {
        if (waiting.includes(waiter)) waiting.splice(waiting.indexOf(waiter), 1);
        callOff();
      };
      const waiter: Waiter = {
        take: (value) => {
          callOff();
          promised.resolve(`${signal} ${value}`);
        },
      };
      waiting.push(waiter);
      const callOff =
        timeoutMs === 0
          ? () => undefined
          : this.#after(timeoutMs, () => {
              withdraw();
              promised.resolve("no signal");
            });
      return withdraw;
    });
  }

  *#waitUntil({ ticks, timeoutMs }: Statement & { readonly op: "wait-until" }, place: Place): Code {
    this.#refuse(place.scope);
    yield* this.#pause();
    this.#refuse(place.scope);
    const { run } = place;
    const isMet = (): boolean => run.ticks >= ticks;
    if (isMet()) return "met";
    return yield* this.#wait(place, (promised) => {
      const condition = {
        isMet,
        wake: () => {
          callOff();
          promised.resolve("met");
        },
      };
      const withdraw = (): void => {
        if (run.conditions.includes(condition)) run.conditions.splice(run.conditions.indexOf(condition), 1);
        callOff();
      };
      run.conditions.push(condition);
      const callOff =
        timeoutMs === 0
          ? () => undefined
          : this.#after(timeoutMs, () => {
              withdraw();
              promised.resolve("not met");
            });
      return withdraw;
    });
  }

  *#send({ target, signal, value }: Statement & { readonly op: "send" }, { run, scope }: Place): Code {
    this.#refuse(scope);
    yield* this.#pause();
    const promised = new Promised(this);
    // In order from this sender; whether before or after the start of its own child, nothing says.
    this.#post(`${target} from ${run.workflowId}`, () => {
      const receiver = this.#chains.get(target)?.at(-1);
      const isOpen = receiver !== undefined && receiver.end === undefined;
      if (isOpen) this.#arrive(receiver, signal, value);
      this.#post(run.workflowId, () => {
        if (isOpen) promised.resolve("sent");
        else promised.reject(new Failed("unsent"));
      });
    });
    // What is sent cannot be called back.
    return yield* wait(promised);
  }

  *#child(statement: Statement & { readonly op: "child" }, place: Place): Code {
    const { program, policy, isDetached, site } = statement;
    const { run, scope, suffix } = place;
    if (isDetached && scope.isCancelled) return "let go";
    this.#refuse(scope);
    const workflowId = `${run.workflowId}/${site}${suffix}`;
    const child: Child = { workflowId, policy };
    run.children.add(child);
    const promised = new Promised(this);
    const tellParent = (end: Settled): void => {
      leave();
      this.#post(run.workflowId, () => {
        run.children.delete(child);
        if (end.ok) promised.resolve(end.value);
        else promised.reject(within("child", end.reason as Failed));
      });
    };
    const leave = scope.add(() =>
      this.#post(workflowId, () => {
        const open = this.#chains.get(workflowId)?.at(-1);
        if (open !== undefined && open.end === undefined) this.#cancel(open);
      }),
    );
    this.#post(workflowId, () => this.#begin(new Run({ workflowId, program, round: 0, tellParent })));
    if (isDetached) return "let go";
    return yield* wait(promised);
  }

  *#parallel(
    op: "all" | "settled" | "race" | "any",
    branches: readonly (readonly Statement[])[],
    place: Place,
  ): Code {
    const joined = new Promised(this);
    const settled: Settled[] = [];
    let count = 0;
    for (const [index, branch] of branches.entries()) {
      this.#spawn(place.run, this.#list(branch, place)).follow((end) => {
        settled[index] = end;
        count += 1;
        if (op === "race" || (op === "any" && end.ok) || (op === "all" && !end.ok)) joined.settle(end);
        if (count < branches.length) return;
        if (op === "any") joined.reject(new Failed("none"));
        else joined.resolve(settled.map((each) => (each.ok ? each.value : "rejected")).join("|"));
      });
    }
    return yield* wait(joined);
  }

  *#scope({ timeoutMs, body }: Statement & { readonly op: "scope" }, place: Place): Code {
    this.#refuse(place.scope);
    yield* this.#pause();
    this.#refuse(place.scope);
    const { run } = place;
    const inner = new Scope(place.scope);
    let isTimedOut = false;
    const callOff =
      timeoutMs === 0
        ? () => undefined
        : this.#after(timeoutMs, () => {
            if (run.end !== undefined) return;
            isTimedOut = true;
            inner.cancel();
          });
    try {
      return yield* wait(this.#spawn(run, this.#list(body, { ...place, scope: inner, handle: inner })));
    } catch (error) {
      const isOwn = isTimedOut && error instanceof Failed && error.isCancelled;
      if (isOwn && !place.scope.isCancelled) return "timed out";
      throw error;
    } finally {
      callOff();
    }
  }

  /** A piece of work and the outside that does it, as its policy says. */
  *#work(work: Work, { site }: Statement, place: Place, kind: "activity" | "step" | "undo"): Code {
    this.#refuse(place.scope);
    const { run, scope } = place;
    const label = `${run.workflowId}/${site}${place.suffix}`;
    const promised = new Promised(this);
    let isTold = false;
    let isUnderWay = false;
    let forget = (): void => undefined;
    const end = (settled: Settled): void => {
      forget();
      isUnderWay = false;
      run.ends.delete(stop);
      this.#told.delete(cutOff);
      promised.settle(settled);
    };
    const stop = (): void => {
      forget();
      this.#told.delete(cutOff);
    };
    const cutOff = (): void => end({ ok: false, reason: cancelled() });
    const attempt = (number: number): void => {
      if (run.end?.status === "continued-as-new") this.#optional.add(label);
      if (run.end !== undefined || isTold) return;
      isUnderWay = true;
      this.#calls.set(label, (this.#calls.get(label) ?? 0) + 1);
      forget = this.#after(work.ms, () => {
        isUnderWay = false;
        if (number > work.failures) return end({ ok: true, value: site });
        if (isTold) return end({ ok: false, reason: cancelled() });
        if (work.isFinal || number >= work.maxAttempts) {
          return end({ ok: false, reason: within("activity", new Failed(site)) });
        }
        const { backoff, backoffMs } = work;
        const factor = backoff === "fixed" ? 1 : backoff === "linear" ? number : 2 ** (number - 1);
        forget = this.#after(backoffMs * factor, () => attempt(number + 1));
      });
    };
    run.ends.add(stop);
    const leave = scope.add(() => {
      isTold = true;
      if (isUnderWay && work.whenTold === "go on") {
        this.#told.add(cutOff);
        // The engine may die between this and whatever follows from it at the same instant.
        if (this.#deaths.has(this.#now) && this.#draw(2) === 0) this.#post(label, cutOff);
        return;
      }
      this.#post(label, () => end({ ok: false, reason: cancelled() }));
    });
    this.#post(label, () => attempt(1));
    try {
      return `${kind === "undo" ? "" : kind} ${yield* wait(promised)}`;
    } finally {
      leave();
    }
  }
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

/** What the interpreted program throws is no error of the model. */
function raise(reason: unknown): never {
  throw reason;
}

function* wait(promised: Promised): Code {
  return yield promised;
}

function sorted<Value>(entries: Iterable<readonly [string, Value]>): Readonly<Record<string, Value>> {
  return Object.fromEntries([...entries].toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

export interface Prediction {
  readonly outcome: Outcome;
  /** After this instant nothing happens any more. */
  readonly quietAtMs: number;
  /** Things that have nothing to do with each other happen at one instant. The outcome does not hang on it; histories do. */
  readonly hasTies: boolean;
}

/**
 * One thing that a case may come to. `killedAtMs`: the engine died then, and work that goes on although it was told to stop
 * died with it: it is not begun again, so the code sees that it was cancelled.
 */
export function simulate(of: Case, order: Order, killedAtMs: readonly number[] = []): Prediction {
  return new Simulation(order, [0]).play(of, killedAtMs);
}

/** Mostly none, sometimes more than all the rest takes: so that the late comes before the later in some draw. */
const slacksMs: readonly number[] = [0, 0, 60, 900, 4_000, 30_000];

/** What the case comes to however slow everything is; `undefined` if that makes a difference. Instants are left out. */
export function predictUntimed(of: Case, drawCount: number): Outcome | undefined {
  const play = (order: Order): Outcome =>
    withoutInstants(new Simulation(order, slacksMs).play(of, []).outcome);
  const first = play("first");
  const text = JSON.stringify(first);
  for (let index = 0; index < drawCount; index++) {
    if (JSON.stringify(play(11 + index * 7_919)) !== text) return undefined;
  }
  return first;
}

function withoutInstants(outcome: Outcome): Outcome {
  const runs = Object.entries(outcome.runs).map(([id, ends]): [string, RunEnd[]] => [
    id,
    ends.map(({ status, tells }) => ({ status, tells })),
  ]);
  return { ...outcome, runs: sorted(runs) };
}

/** What the case must come to; `undefined` if that hangs on the order in which things of one instant are done. */
export function predict(of: Case, drawCount = 3): Prediction | undefined {
  const prediction = simulate(of, "first");
  const text = JSON.stringify(prediction.outcome);
  const orders: readonly Order[] = [
    "last",
    ...Array.from({ length: drawCount }, (_each, index) => 7 + index * 7_919),
  ];
  return orders.every((order) => JSON.stringify(simulate(of, order).outcome) === text)
    ? prediction
    : undefined;
}
