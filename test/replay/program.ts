/** Workflow code as data: so that it can be made at random, changed by an operator, and compared. */
import type { AttributeData } from "../../src/core/attributes.ts";
import type { ActivityOptions } from "../../src/workflow/definition.ts";

export interface Program {
  readonly body: readonly Statement[];
  /** What it returns, besides the account of what it did. */
  readonly result: string;
  /** How often it continues as new before it returns. */
  readonly rounds: number;
}

export type ChildType = "leaf" | "twig" | "rotten";
export type ClosePolicy = "terminate" | "cancel" | "abandon";

export type Statement =
  | {
      readonly op: "activity";
      readonly type: "work" | "toil";
      readonly label: string;
      readonly ms: number;
      /** It fails so often before it succeeds; -1: it fails for good. */
      readonly failures: number;
      /** Instead of the retries that are usual here. */
      readonly options?: ActivityOptions;
    }
  | { readonly op: "step"; readonly name: string; readonly value: string; readonly ms: number }
  | { readonly op: "sleep"; readonly ms: number }
  | { readonly op: "receive"; readonly signal: string; readonly timeoutMs: number }
  | { readonly op: "send"; readonly target: string; readonly signal: string; readonly payload: string }
  | {
      readonly op: "child";
      readonly type: ChildType;
      /** Empty: the id that the engine makes. */
      readonly id: string;
      readonly input: string;
      readonly policy: ClosePolicy;
      /** Not waited for. */
      readonly isDetached: boolean;
    }
  | { readonly op: "side-effect"; readonly value: string }
  | { readonly op: "attribute"; readonly name: string; readonly value: AttributeData | null }
  | {
      readonly op: "patched";
      readonly id: string;
      readonly taken: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly op: "wait-until"; readonly count: number; readonly timeoutMs: number }
  | {
      readonly op: "all" | "settled" | "race" | "any";
      readonly branches: readonly (readonly Statement[])[];
    }
  /** `timeoutMs` 0: none. */
  | { readonly op: "scope"; readonly timeoutMs: number; readonly body: readonly Statement[] }
  | { readonly op: "shield"; readonly body: readonly Statement[] }
  | { readonly op: "try"; readonly body: readonly Statement[]; readonly otherwise: readonly Statement[] }
  | { readonly op: "compensate"; readonly label: string }
  /** Draws and clocks: they go into what a query tells. */
  | { readonly op: "look" }
  | { readonly op: "fail"; readonly message: string }
  | { readonly op: "return"; readonly value: string };

/** Lists of statements inside a statement. */
export function listsOf(statement: Statement): readonly (readonly Statement[])[] {
  switch (statement.op) {
    case "patched":
      return [statement.taken, statement.otherwise];
    case "all":
    case "settled":
    case "race":
    case "any":
      return statement.branches;
    case "scope":
    case "shield":
      return [statement.body];
    case "try":
      return [statement.body, statement.otherwise];
    default:
      return [];
  }
}

/** The statement with other lists inside, in the order of `listsOf`. */
export function withLists(statement: Statement, lists: readonly (readonly Statement[])[]): Statement {
  const [first = [], second = []] = lists;
  switch (statement.op) {
    case "patched":
      return { ...statement, taken: first, otherwise: second };
    case "all":
    case "settled":
    case "race":
    case "any":
      return { ...statement, branches: lists };
    case "scope":
    case "shield":
      return { ...statement, body: first };
    case "try":
      return { ...statement, body: first, otherwise: second };
    default:
      return statement;
  }
}
