/** Makes a trial that goes wrong smaller, while it goes wrong. */
import type { Trial } from "./generator.ts";
import type { Act, Program, Statement } from "./program.ts";
import { listsOf, withLists } from "./program.ts";
import type { TrialOptions } from "./trial.ts";
import { attempt } from "./trial.ts";

type List = readonly Statement[];

const attemptsMax = 1_500;

/** A smaller trial that goes wrong as well. */
export async function shrink(trial: Trial, options: TrialOptions = {}): Promise<Trial> {
  let smallest = trial;
  let left = attemptsMax;
  for (let isSmaller = true; isSmaller && left > 0;) {
    isSmaller = false;
    for (const candidate of smallerThan(smallest)) {
      if ((left -= 1) < 0) break;
      if ((await attempt(candidate, options)).kind !== "wrong") continue;
      smallest = candidate;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

function* smallerThan({ of, kills }: Trial): Generator<Trial> {
  const { acts } = of;
  for (const index of kills.keys()) yield { of, kills: kills.toSpliced(index, 1) };
  for (const [index, act] of acts.entries()) {
    if (act.kind !== "start" || act.target !== "main") {
      yield { of: { acts: acts.toSpliced(index, 1) }, kills };
    }
    for (const smaller of smallerActs(act)) yield { of: { acts: acts.with(index, smaller) }, kills };
  }
}

function* smallerActs(act: Act): Generator<Act> {
  if (act.kind === "signal" && act.isRepeated) yield { ...act, isRepeated: false };
  if (act.kind !== "start") return;
  for (const program of smallerPrograms(act.program)) yield { ...act, program };
}

function* smallerPrograms(program: Program): Generator<Program> {
  if (program.rounds > 0) yield { ...program, rounds: program.rounds - 1 };
  for (const body of smallerLists(program.body)) yield { ...program, body };
}

function* smallerLists(list: List): Generator<List> {
  for (const index of list.keys()) yield list.toSpliced(index, 1);
  for (const [index, statement] of list.entries()) {
    for (const inner of listsOf(statement)) yield list.toSpliced(index, 1, ...inner);
  }
  for (const [index, statement] of list.entries()) {
    for (const smaller of smallerStatements(statement)) yield list.with(index, smaller);
  }
}

function* smallerStatements(statement: Statement): Generator<Statement> {
  switch (statement.op) {
    case "activity":
    case "step": {
      const { work } = statement;
      if (work.failures > 0 || work.maxAttempts > 1) {
        yield { ...statement, work: { ...work, failures: 0, maxAttempts: 1 } };
      }
      if (work.whenTold === "go on") yield { ...statement, work: { ...work, whenTold: "stop" } };
      break;
    }
    case "receive":
    case "wait-until":
    case "scope":
      if (statement.timeoutMs > 0) yield { ...statement, timeoutMs: 0 };
      break;
    case "loop":
      if (statement.times > 1) yield { ...statement, times: statement.times - 1 };
      break;
    case "child":
      if (statement.program.rounds > 0) yield { ...statement, program: { ...statement.program, rounds: 0 } };
      break;
    case "all":
    case "settled":
    case "race":
    case "any":
      for (const index of statement.branches.length > 1 ? statement.branches.keys() : []) {
        yield { ...statement, branches: statement.branches.toSpliced(index, 1) };
      }
      break;
    default:
  }
  const lists = listsOf(statement);
  for (const [index, inner] of lists.entries()) {
    for (const smaller of smallerLists(inner)) yield withLists(statement, lists.with(index, smaller));
  }
}
