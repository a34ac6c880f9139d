import type { RetryPolicy } from "../src/core/retry.ts";
import type { Program, Statement } from "../test/replay/program.ts";
import type { Dice } from "./dice.ts";

/** Activities of some worlds ask for an operator: their code does, or their policy when it is exhausted. */
export function withParking(program: Program, dice: Dice): Program {
  return { ...program, body: spread(program.body, dice) };
}

type Labour = Statement & { readonly op: "activity" };

function spread(statements: readonly Statement[], dice: Dice): readonly Statement[] {
  return statements.map((statement): Statement => {
    switch (statement.op) {
      case "activity":
        return dice.chance(0.6) ? park(statement, dice) : statement;
      case "patched":
        return {
          ...statement,
          taken: spread(statement.taken, dice),
          otherwise: spread(statement.otherwise, dice),
        };
      case "try":
        return {
          ...statement,
          body: spread(statement.body, dice),
          otherwise: spread(statement.otherwise, dice),
        };
      case "all":
      case "settled":
      case "race":
      case "any":
        return { ...statement, branches: statement.branches.map((branch) => spread(branch, dice)) };
      case "scope":
      case "shield":
        return { ...statement, body: spread(statement.body, dice) };
      default:
        return statement;
    }
  });
}

function park(statement: Labour, dice: Dice): Labour {
  const { label, failures, options = {} } = statement;
  // What an operator makes of it ends it.
  const more = dice.pick([1, 1, 2, 3, -1]);
  const ofPolicy = (): Labour => ({
    ...statement,
    failures: failures === 0 ? Math.abs(more) : failures,
    options: {
      ...options,
      retry: { ...options.retry, maxAttempts: dice.pick([1, 1, 2]), onExhausted: "park" },
    },
  });
  const isPlain = !/^(hang|beat|stubborn) /.test(label);
  if (!isPlain || dice.chance(0.4)) return ofPolicy();
  // The policy says of the type of a failure what is to become of it.
  if (dice.chance(0.4)) {
    const types = dice.pick<RetryPolicy>([
      { park: ["Locked"] },
      { park: ["Locked"] },
      { park: ["Shut"], nonRetryable: ["Locked"] },
    ]);
    const retry = { maxAttempts: 3, ...options.retry, ...types };
    return { ...statement, label: `locked ${label}`, failures: more, options: { ...options, retry } };
  }
  return { ...statement, label: `ask ${label}`, failures: more };
}
