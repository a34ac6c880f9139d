/** Changes that people make to workflow code while runs of it are under way: each an operator on a program. */
import type { Program, Statement } from "./program.ts";
import { listsOf, withLists } from "./program.ts";

export interface Operator {
  readonly name: string;
  /** The program changed at each place where the operator applies. */
  readonly mutate: (program: Program) => readonly Program[];
  /**
   * The change is one that replay answers from history: a recorded value wins over a computed one, a guarded branch
   * is not taken by a run that passed it before.
   */
  readonly isTolerated?: true;
}

type List = readonly Statement[];

/** Every list of the program, edited in every way that `edit` gives. */
function everyList(edit: (list: List) => readonly List[]): (program: Program) => readonly Program[] {
  const variants = (list: List): readonly List[] => [
    ...edit(list),
    ...list.flatMap((statement, index) => {
      const lists = listsOf(statement);
      return lists.flatMap((inner, at) =>
        variants(inner).map((changed) => list.with(index, withLists(statement, lists.with(at, changed)))),
      );
    }),
  ];
  return (program) => variants(program.body).map((body) => ({ ...program, body }));
}

/** Every statement, replaced by every list that `edit` gives. */
function everyStatement(
  edit: (statement: Statement, list: List, index: number) => readonly List[],
): (program: Program) => readonly Program[] {
  return everyList((list) =>
    list.flatMap((statement, index) =>
      edit(statement, list, index).map((instead) => list.toSpliced(index, 1, ...instead)),
    ),
  );
}

const insert = (name: string, statement: Statement, isTolerated?: true): Operator => ({
  name: `insert ${name}`,
  mutate: everyList((list) =>
    Array.from({ length: list.length + 1 }, (_each, index) => list.toSpliced(index, 0, statement)),
  ),
  ...(isTolerated === undefined ? {} : { isTolerated }),
});

const remove = (op: Statement["op"]): Operator => ({
  name: `delete ${op}`,
  mutate: everyStatement((statement) => (statement.op === op ? [[]] : [])),
});

type Of<Op extends Statement["op"]> = Statement & { readonly op: Op };

function change<Op extends Statement["op"]>(
  name: string,
  op: Op,
  edit: (statement: Of<Op>) => Statement | undefined,
  isTolerated?: true,
): Operator {
  return {
    name,
    mutate: everyStatement((statement) => {
      if (statement.op !== op) return [];
      const changed = edit(statement as Of<Op>);
      return changed === undefined ? [] : [[changed]];
    }),
    ...(isTolerated === undefined ? {} : { isTolerated }),
  };
}

const anActivity: Statement = { op: "activity", type: "work", label: "new", ms: 7, failures: 0 };

export const operators: readonly Operator[] = [
  insert("activity", anActivity),
  insert("step", { op: "step", name: "new", value: "x", ms: 3 }),
  insert("sleep", { op: "sleep", ms: 7 }),
  insert("receive", { op: "receive", signal: "alpha", timeoutMs: 7 }),
  insert("send", { op: "send", target: "listener", signal: "word", payload: "new" }),
  insert("child", {
    op: "child",
    type: "leaf",
    id: "",
    input: "new",
    policy: "terminate",
    isDetached: false,
  }),
  insert("side-effect", { op: "side-effect", value: "new" }),
  insert("wait-until", { op: "wait-until", count: 1_000, timeoutMs: 7 }),
  insert("compensate", { op: "compensate", label: "new" }),
  insert("fail", { op: "fail", message: "new" }),
  insert("return", { op: "return", value: "new" }),
  insert("unguarded branch", { op: "scope", timeoutMs: 0, body: [anActivity] }),
  insert("draw of randomness", { op: "look" }),

  remove("activity"),
  remove("step"),
  remove("sleep"),
  remove("receive"),
  remove("send"),
  remove("child"),
  remove("side-effect"),
  remove("wait-until"),
  remove("patched"),
  remove("compensate"),
  remove("all"),
  remove("race"),
  remove("scope"),

  {
    name: "swap two neighbours",
    mutate: everyList((list) =>
      list.slice(1).map((second, index) => {
        const first = list[index] ?? second;
        return list.toSpliced(index, 2, second, first);
      }),
    ),
  },
  {
    name: "move across an await, to the end",
    mutate: everyList((list) =>
      list.slice(0, -1).map((statement, index) => [...list.toSpliced(index, 1), statement]),
    ),
  },
  { name: "do it twice", mutate: everyStatement((statement) => [[statement, statement]]) },

  change("retype activity as step", "activity", ({ label, ms }) => ({
    op: "step",
    name: label,
    value: label,
    ms,
  })),
  change("retype step as activity", "step", ({ name, ms }) => ({
    op: "activity",
    type: "work",
    label: name,
    ms,
    failures: 0,
  })),
  change("retype activity as sleep", "activity", ({ ms }) => ({ op: "sleep", ms })),
  change("retype sleep as activity", "sleep", ({ ms }) => ({ ...anActivity, ms })),
  change("retype sleep as receive", "sleep", ({ ms }) => ({
    op: "receive",
    signal: "beta",
    timeoutMs: ms,
  })),
  change("retype receive as sleep", "receive", ({ timeoutMs }) => ({ op: "sleep", ms: timeoutMs })),
  change("retype child as activity", "child", ({ input }) => ({ ...anActivity, label: input })),
  change("retype send as step", "send", ({ payload }) => ({
    op: "step",
    name: "send",
    value: payload,
    ms: 1,
  })),

  change("rename an activity", "activity", (statement) => ({
    ...statement,
    type: statement.type === "work" ? "toil" : "work",
  })),
  change("rename a step", "step", (statement) => ({ ...statement, name: `${statement.name}2` })),
  change("rename a signal that is awaited", "receive", (statement) => ({
    ...statement,
    signal: statement.signal === "alpha" ? "beta" : "alpha",
  })),
  change("rename a signal that is sent", "send", (statement) => ({ ...statement, signal: "phrase" })),
  change("rename a version mark", "patched", (statement) => ({ ...statement, id: `${statement.id}2` })),

  change("change the input of an activity", "activity", (statement) => ({
    ...statement,
    label: `${statement.label}2`,
  })),
  change("change the duration of a timer", "sleep", (statement) => ({ ...statement, ms: statement.ms + 1 })),
  change("change the time-out of a receive", "receive", (statement) => ({
    ...statement,
    timeoutMs: statement.timeoutMs + 1,
  })),
  change("change the time-out of a condition", "wait-until", (statement) => ({
    ...statement,
    timeoutMs: statement.timeoutMs + 1,
  })),
  change("change a condition", "wait-until", (statement) => ({ ...statement, count: statement.count + 1 })),
  change("change the type of a child", "child", (statement) => ({
    ...statement,
    type: statement.type === "leaf" ? "twig" : "leaf",
  })),
  change("change the id of a child", "child", (statement) => ({ ...statement, id: `${statement.id}2` })),
  change("change the input of a child", "child", (statement) => ({
    ...statement,
    input: `${statement.input}2`,
  })),
  change("change the policy of a child", "child", (statement) => ({
    ...statement,
    policy: statement.policy === "abandon" ? "cancel" : "abandon",
  })),
  change("wait for a child, or no longer", "child", (statement) => ({
    ...statement,
    isDetached: !statement.isDetached,
  })),
  change("change the target of a signal", "send", (statement) => ({ ...statement, target: "nowhere" })),
  change("change the payload of a signal", "send", (statement) => ({
    ...statement,
    payload: `${statement.payload}2`,
  })),
  change("change a message of failure", "fail", (statement) => ({
    ...statement,
    message: `${statement.message}2`,
  })),
  change("change what is compensated", "compensate", (statement) => ({
    ...statement,
    label: `${statement.label}2`,
  })),
  change("change the time-out of a scope", "scope", (statement) => ({
    ...statement,
    timeoutMs: statement.timeoutMs + 1,
  })),
  { name: "change the result", mutate: (program) => [{ ...program, result: `${program.result}2` }] },
  {
    name: "continue as new once more",
    mutate: (program) => [{ ...program, rounds: program.rounds + 1 }],
  },
  {
    name: "continue as new no more",
    mutate: (program) => (program.rounds === 0 ? [] : [{ ...program, rounds: 0 }]),
  },

  {
    name: "make a sequence parallel",
    mutate: everyList((list) =>
      list.slice(1).map((second, index) => {
        const first = list[index] ?? second;
        return list.toSpliced(index, 2, { op: "all", branches: [[first], [second]] });
      }),
    ),
  },
  {
    name: "make a parallel a sequence",
    mutate: everyStatement((statement) => (statement.op === "all" ? [statement.branches.flat()] : [])),
  },
  change("wait for the first instead of all", "all", (statement) => ({ ...statement, op: "race" })),
  change("wait for all instead of the first", "race", (statement) => ({ ...statement, op: "all" })),
  change("wait for whichever succeeds instead of the first", "race", (statement) => ({
    ...statement,
    op: "any",
  })),
  change("turn the branches round", "all", (statement) => ({
    ...statement,
    branches: statement.branches.toReversed(),
  })),
  change("turn the branches of a race round", "race", (statement) => ({
    ...statement,
    branches: statement.branches.toReversed(),
  })),
  {
    name: "wrap in a scope with a time-out",
    mutate: everyStatement((statement) => [[{ op: "scope", timeoutMs: 500, body: [statement] }]]),
  },
  {
    name: "unwrap a scope",
    mutate: everyStatement((statement) => (statement.op === "scope" ? [statement.body] : [])),
  },
  {
    name: "catch what is thrown",
    mutate: everyStatement((statement) => [
      [{ op: "try", body: [statement], otherwise: [{ op: "sleep", ms: 1 }] }],
    ]),
  },
  {
    name: "catch no longer",
    mutate: everyStatement((statement) => (statement.op === "try" ? [statement.body] : [])),
  },
  {
    name: "shield",
    mutate: everyStatement((statement) => [[{ op: "shield", body: [statement] }]]),
  },

  change(
    "record another value",
    "side-effect",
    (statement) => ({ ...statement, value: `${statement.value}2` }),
    true,
  ),
  insert("guarded activity", { op: "patched", id: "mutation", taken: [anActivity], otherwise: [] }, true),
];
