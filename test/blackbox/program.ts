/** Workflow code as data, and what clients do to its runs: all that the engine and the model are told. */

export interface Program {
  readonly body: readonly Statement[];
  /** How often it continues as new before it ends. */
  readonly rounds: number;
}

export type ClosePolicy = "terminate" | "cancel" | "abandon";

/** Names a place in the code: no two statements of a case have the same. */
interface Placed {
  readonly site: string;
}

/** How the outside does a piece of work. */
export interface Work {
  readonly ms: number;
  /** The first so many tries fail. */
  readonly failures: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly backoff: "fixed" | "linear" | "exponential";
  /** A failure is final at once. */
  readonly isFinal: boolean;
  /** What it does when it is told to stop. */
  readonly whenTold: "stop" | "go on";
}

export type Statement = Placed &
  (
    | { readonly op: "activity" | "step"; readonly work: Work }
    | { readonly op: "sleep"; readonly ms: number }
    /** `timeoutMs` 0: none. */
    | { readonly op: "receive"; readonly signal: string; readonly timeoutMs: number }
    | { readonly op: "wait-until"; readonly ticks: number; readonly timeoutMs: number }
    | { readonly op: "send"; readonly target: string; readonly signal: string; readonly value: number }
    | {
        readonly op: "child";
        readonly program: Program;
        readonly policy: ClosePolicy;
        /** Not waited for. */
        readonly isDetached: boolean;
      }
    | { readonly op: "side-effect"; readonly fails: boolean }
    | { readonly op: "now" | "draw" | "patched" | "cancel-scope" }
    | { readonly op: "compensate"; readonly ms: number; readonly fails: boolean }
    | { readonly op: "fail" | "return" }
    | {
        readonly op: "all" | "settled" | "race" | "any";
        readonly branches: readonly (readonly Statement[])[];
      }
    /** `timeoutMs` 0: none. */
    | { readonly op: "scope"; readonly timeoutMs: number; readonly body: readonly Statement[] }
    | { readonly op: "shield"; readonly body: readonly Statement[] }
    | { readonly op: "loop"; readonly times: number; readonly body: readonly Statement[] }
    | {
        readonly op: "try" | "finally";
        readonly body: readonly Statement[];
        /** What is done when it fails; of `finally`, in any case. */
        readonly otherwise: readonly Statement[];
      }
  );

/** What a client does, so long after the beginning. */
export type Act = { readonly atMs: number; readonly target: string } & (
  | { readonly kind: "start"; readonly program: Program }
  | { readonly kind: "signal"; readonly signal: string; readonly value: number; readonly isRepeated: boolean }
  | { readonly kind: "cancel" | "terminate" | "query" }
);

export interface Case {
  readonly acts: readonly Act[];
}

/** Where the engine's process dies. */
export type Kill =
  /** Before the so-many-th append is written, or after, when nobody has been told. Counted from 1. */
  | { readonly at: "append"; readonly number: number; readonly side: "before" | "after" }
  /** In the so-many-th execution of an activity: before it did anything, or when it is done and has not said so. */
  | { readonly at: "effect"; readonly number: number; readonly side: "before" | "after" }
  /** When the so-many-th act of a client was done and before the client heard of it: it asks again. Counted from 0. */
  | { readonly at: "answer"; readonly number: number }
  | { readonly at: "time"; readonly ms: number };

/** Lists of statements inside a statement. */
export function listsOf(statement: Statement): readonly (readonly Statement[])[] {
  switch (statement.op) {
    case "all":
    case "settled":
    case "race":
    case "any":
      return statement.branches;
    case "scope":
    case "shield":
    case "loop":
      return [statement.body];
    case "try":
    case "finally":
      return [statement.body, statement.otherwise];
    case "child":
      return [statement.program.body];
    default:
      return [];
  }
}

/** The statement with other lists inside, in the order of `listsOf`. */
export function withLists(statement: Statement, lists: readonly (readonly Statement[])[]): Statement {
  const [first = [], second = []] = lists;
  switch (statement.op) {
    case "all":
    case "settled":
    case "race":
    case "any":
      return { ...statement, branches: lists };
    case "scope":
    case "shield":
    case "loop":
      return { ...statement, body: first };
    case "try":
    case "finally":
      return { ...statement, body: first, otherwise: second };
    case "child":
      return { ...statement, program: { ...statement.program, body: first } };
    default:
      return statement;
  }
}

/** What a client can tell of a run. */
export interface RunEnd {
  readonly status: string;
  /** Milliseconds after the beginning; absent while it runs. */
  readonly atMs?: number;
  /** Its result, or what it failed with. */
  readonly tells: string;
}

/** What a case comes to. */
export interface Outcome {
  /** The runs of each workflow id. */
  readonly runs: Readonly<Record<string, readonly RunEnd[]>>;
  /** How often each piece of work was tried, by its label. */
  readonly calls: Readonly<Record<string, number>>;
  /** Work that was asked for in the turn in which its run continued as new: it may be begun, or not. */
  readonly optional: readonly string[];
  /** Labels of the closures of `sideEffect` that ran. */
  readonly produced: readonly string[];
  /** What each workflow id received, in order. */
  readonly received: Readonly<Record<string, readonly string[]>>;
  /** What clients were answered, by the number of the act. */
  readonly answers: readonly string[];
}
