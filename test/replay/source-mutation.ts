/** Changes that people make to workflow files while runs are under way, made to the text of real ones. */
import { parseSync, Visitor } from "oxc-parser";
import type { Argument, CallExpression, Expression, Statement } from "oxc-parser";

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface SourceMutant {
  readonly operator: string;
  /** Where the first change begins, 1-based. */
  readonly line: number;
  readonly text: string;
}

interface Found {
  readonly text: string;
  readonly calls: readonly CallExpression[];
  readonly awaits: readonly { readonly start: number; readonly end: number; readonly argument: Expression }[];
  /** Statements of function bodies and blocks, list by list. */
  readonly blocks: readonly (readonly Statement[])[];
  readonly throws: readonly { readonly start: number; readonly end: number; readonly argument: Expression }[];
  readonly returns: readonly {
    readonly start: number;
    readonly end: number;
    readonly argument: Expression | null;
  }[];
  readonly tests: readonly Expression[];
  readonly properties: readonly {
    readonly name: string;
    readonly start: number;
    readonly end: number;
    readonly value: Expression;
  }[];
}

export interface SourceOperator {
  readonly name: string;
  /** One list of edits for each place where it applies. */
  readonly edits: (found: Found) => readonly (readonly Edit[])[];
  /** Such a change must not matter: nothing of it is recorded, or history answers in its place. */
  readonly isTolerated?: true;
}

function find(file: string, text: string): Found {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file} does not parse: ${errors[0]?.message}`);
  const calls: CallExpression[] = [];
  const awaits: Found["awaits"][number][] = [];
  const blocks: (readonly Statement[])[] = [];
  const throws: Found["throws"][number][] = [];
  const returns: Found["returns"][number][] = [];
  const tests: Expression[] = [];
  const properties: Found["properties"][number][] = [];
  new Visitor({
    CallExpression: (node) => void calls.push(node),
    AwaitExpression: (node) => void awaits.push(node),
    BlockStatement: (node) => void blocks.push(node.body),
    ThrowStatement: (node) => void throws.push(node),
    ReturnStatement: (node) => void returns.push(node),
    IfStatement: (node) => void tests.push(node.test),
    Property: (node) => {
      if (node.key.type === "Identifier") {
        properties.push({
          name: node.key.name,
          start: node.start,
          end: node.end,
          value: node.value as Expression,
        });
      }
    },
  }).visit(program);
  return { text, calls, awaits, blocks, throws, returns, tests, properties };
}

// What operators are made of.

const nameOf = (call: CallExpression): string =>
  call.callee.type === "Identifier"
    ? call.callee.name
    : call.callee.type === "MemberExpression" && call.callee.property.type === "Identifier"
      ? call.callee.property.name
      : "";

const instead = (of: { readonly start: number; readonly end: number }, text: string): Edit => ({
  start: of.start,
  end: of.end,
  text,
});
const before = (of: { readonly start: number }, text: string): Edit => ({
  start: of.start,
  end: of.start,
  text,
});
const sourceOf = (found: Found, of: { readonly start: number; readonly end: number }): string =>
  found.text.slice(of.start, of.end);

/** Each call of one of these functions. */
function eachCall(
  names: readonly string[],
  edit: (call: CallExpression, found: Found) => readonly Edit[] | undefined,
): SourceOperator["edits"] {
  return (found) =>
    found.calls.flatMap((call) => {
      if (!names.includes(nameOf(call))) return [];
      const edits = edit(call, found);
      return edits === undefined ? [] : [edits];
    });
}

/** The text of a literal, changed. */
function otherLiteral(found: Found, node: Expression | Argument | undefined): Edit | undefined {
  if (node?.type === "Literal" && typeof node.value === "string") {
    return instead(node, JSON.stringify(`${node.value}2`));
  }
  if (node?.type === "Literal" && typeof node.value === "number")
    return instead(node, String(node.value + 1));
  if (node?.type === "TemplateLiteral") return instead(node, `(${sourceOf(found, node)} + "2")`);
  return undefined;
}

function otherDuration(node: Expression | Argument | undefined): Edit | undefined {
  if (node?.type !== "Literal") return undefined;
  if (typeof node.value === "number") return instead(node, String(node.value + 1));
  if (typeof node.value !== "string" || !/^\d/.test(node.value)) return undefined;
  return instead(node, JSON.stringify(node.value.replace(/^\d+/, (digits) => String(Number(digits) + 1))));
}

const some = (edit: Edit | undefined): readonly Edit[] | undefined =>
  edit === undefined ? undefined : [edit];

/** Awaits that stand as statements of their own, or give a variable its value. */
const hasAwait = (found: Found, statement: Statement): boolean =>
  found.awaits.some(({ start, end }) => start >= statement.start && end <= statement.end);

/** Each statement that waits. */
function eachWait(
  edit: (statement: Statement, found: Found) => readonly Edit[] | undefined,
): SourceOperator["edits"] {
  return (found) =>
    found.blocks.flatMap((block) =>
      block.flatMap((statement) => {
        const isPlain = statement.type === "ExpressionStatement" || statement.type === "VariableDeclaration";
        if (!isPlain || !hasAwait(found, statement)) return [];
        const edits = edit(statement, found);
        return edits === undefined ? [] : [edits];
      }),
    );
}

/** `text` before each statement that waits. */
const inserting = (name: string, text: string, isTolerated?: true): SourceOperator => ({
  name: `insert ${name}`,
  edits: eachWait((statement) => [before(statement, `${text}\n`)]),
  ...(isTolerated === undefined ? {} : { isTolerated }),
});

const renaming = (what: string, callee: string, isTolerated?: true): SourceOperator => ({
  name: `rename ${what}`,
  edits: eachCall([callee], ({ arguments: [name] }, found) => some(otherLiteral(found, name))),
  ...(isTolerated === undefined ? {} : { isTolerated }),
});

/** Each property of one of these names. */
function eachProperty(
  names: readonly string[],
  edit: (property: Found["properties"][number], found: Found) => Edit | undefined,
): SourceOperator["edits"] {
  return (found) =>
    found.properties.flatMap((property) => {
      const edits = names.includes(property.name) ? some(edit(property, found)) : undefined;
      return edits === undefined ? [] : [edits];
    });
}

/** The arguments of calls that ask for something: of what the file calls and awaits. */
const eachAskedInput: SourceOperator["edits"] = (found) =>
  found.awaits.flatMap(({ argument }) => {
    if (argument.type !== "CallExpression" || argument.arguments.length === 0) return [];
    const [first] = argument.arguments;
    const known = [
      "sleep",
      "receive",
      "waitUntil",
      "scope",
      "shield",
      "all",
      "allSettled",
      "child",
      "step",
      "catch",
    ];
    if (first === undefined || known.includes(nameOf(argument)) || first.type === "SpreadElement") return [];
    return [[instead(first, `Object.assign([${sourceOf(found, first)}])`)]];
  });

const mutantName = "aionMutant";

export const sourceOperators: readonly SourceOperator[] = [
  inserting("step", `await ${mutantName}.step("inserted", () => 1);`),
  inserting("activity", `await ${mutantName}.activity("inserted", () => 1)(1);`),
  inserting("sleep", `await ${mutantName}.sleep(7);`),
  inserting("timed receive", `await ${mutantName}.receive(${mutantName}.signal("nothing"), { timeout: 7 });`),
  inserting("timed condition", `await ${mutantName}.waitUntil(() => false, 7);`),
  inserting(
    "signal to another",
    `await ${mutantName}.signalWorkflow("x", ${mutantName}.signal("y"), undefined);`,
  ),
  inserting("child", `await ${mutantName}.child("pastime", "1s", { id: "inserted" });`),
  inserting("side effect", `${mutantName}.sideEffect(() => 1);`),
  inserting("activity nobody waits for", `void ${mutantName}.activity("inserted", () => 1)(1);`),
  inserting(
    "guarded step",
    `if (${mutantName}.patched("mutant")) await ${mutantName}.step("inserted", () => 1);`,
    true,
  ),
  inserting("draw", `${mutantName}.random();`),
  inserting("identifier", `${mutantName}.uuid();`),
  inserting("look at the clock", `${mutantName}.now();`, true),
  inserting("early return", `if (${mutantName}.now() > 0) return "early";`),
  inserting("failure", `if (${mutantName}.now() > 0) throw new Error("mutant");`),
  inserting(
    "end by continuing as new",
    `if (${mutantName}.now() > 0) ${mutantName}.continueAsNew("mutant");`,
  ),
  inserting("microtask", "await undefined;"),

  {
    name: "delete a wait",
    edits: eachWait((statement) =>
      statement.type === "ExpressionStatement" ? [instead(statement, "")] : undefined,
    ),
  },
  {
    name: "do it twice",
    edits: eachWait((statement, found) =>
      statement.type === "ExpressionStatement"
        ? [before(statement, `${sourceOf(found, statement)}\n`)]
        : undefined,
    ),
  },
  {
    name: "wait no longer",
    edits: (found) =>
      found.awaits
        // A loop that never waits never ends.
        .filter(({ start }) => !found.text.slice(0, start).trimEnd().endsWith("for (;;)"))
        .map((each) => [instead(each, sourceOf(found, each.argument))]),
  },
  {
    name: "swap two neighbours",
    edits: (found) =>
      found.blocks.flatMap((block) =>
        block.slice(1).flatMap((second, index) => {
          const first = block[index];
          if (first?.type !== "ExpressionStatement" || second.type !== "ExpressionStatement") return [];
          return [[instead(first, sourceOf(found, second)), instead(second, sourceOf(found, first))]];
        }),
      ),
  },
  { name: "change the input of what is asked for", edits: eachAskedInput },
  {
    name: "change a text",
    edits: (found) =>
      found.awaits.flatMap(({ argument }) => {
        if (argument.type !== "CallExpression") return [];
        const known = ["receive", "waitUntil", "sleep", "child", "step", "catch", "scope", "shield"];
        const edit = known.includes(nameOf(argument))
          ? undefined
          : otherLiteral(found, argument.arguments[0]);
        return edit === undefined ? [] : [[edit]];
      }),
  },

  renaming("an activity", "activity"),
  renaming("a step", "step"),
  renaming("a signal", "signal"),
  renaming("a query", "query", true),
  renaming("a version mark", "patched"),

  {
    name: "change the duration of a sleep",
    edits: eachCall(["sleep"], ({ arguments: [first] }) => some(otherDuration(first))),
  },
  {
    name: "change a time-out of a wait",
    edits: eachProperty(["timeout"], ({ value }) => otherDuration(value)),
  },
  {
    name: "change the time-out of a condition",
    edits: eachCall(["waitUntil"], ({ arguments: [, second] }) => some(otherDuration(second))),
  },
  {
    name: "remove a time-out",
    edits: eachCall(["receive", "scope", "waitUntil"], ({ arguments: [first, second] }) =>
      first === undefined || second === undefined
        ? undefined
        : [{ start: first.end, end: second.end, text: "" }],
    ),
  },
  {
    name: "add a time-out",
    edits: eachCall(["receive", "scope"], ({ arguments: args }) => {
      const [only] = args;
      return only === undefined || args.length > 1
        ? undefined
        : [{ start: only.end, end: only.end, text: `, { timeout: "3 days" }` }];
    }),
  },
  {
    name: "change a condition that is waited for",
    edits: eachCall(["waitUntil"], ({ arguments: [first] }) =>
      first === undefined ? undefined : [instead(first, "() => true")],
    ),
  },

  {
    name: "change the id of a child",
    edits: eachProperty(["id"], ({ value }, found) =>
      value.type === "TemplateLiteral" || value.type === "Literal" ? otherLiteral(found, value) : undefined,
    ),
  },
  {
    name: "let the engine name a child",
    edits: eachCall(["child"], ({ arguments: [, second, third] }) =>
      second === undefined || third === undefined
        ? undefined
        : [{ start: second.end, end: third.end, text: "" }],
    ),
  },
  {
    name: "change the policy of a child",
    edits: eachProperty(["parentClosePolicy"], ({ value }) => instead(value, JSON.stringify("cancel"))),
  },
  {
    name: "change the input of a child",
    edits: eachCall(["child"], ({ arguments: [, second] }, found) => some(otherLiteral(found, second))),
  },
  {
    name: "run another child",
    edits: eachCall(["child"], ({ arguments: [first] }) =>
      first === undefined ? undefined : [instead(first, JSON.stringify("another"))],
    ),
  },
  {
    name: "retype a child as a step",
    edits: eachCall(["child"], (call) => [instead(call, `${mutantName}.step("child", () => "")`)]),
  },

  {
    name: "race instead of all",
    edits: eachCall(["all", "allSettled"], ({ callee }) =>
      callee.type === "MemberExpression" ? [instead(callee.property, "race")] : undefined,
    ),
  },
  {
    name: "any instead of all",
    edits: eachCall(["all", "allSettled"], ({ callee }) =>
      callee.type === "MemberExpression" ? [instead(callee.property, "any")] : undefined,
    ),
  },
  {
    name: "turn the members round",
    edits: eachCall(["map"], ({ callee }, found) =>
      callee.type === "MemberExpression"
        ? [instead(callee.object, `[...${sourceOf(found, callee.object)}].toReversed()`)]
        : undefined,
    ),
  },
  {
    name: "one member fewer",
    edits: eachCall(["map"], ({ callee }, found) =>
      callee.type === "MemberExpression"
        ? [instead(callee.object, `${sourceOf(found, callee.object)}.slice(1)`)]
        : undefined,
    ),
  },

  { name: "no longer compensate", edits: eachCall(["compensate"], (call) => [instead(call, "undefined")]) },
  {
    name: "compensate twice",
    edits: eachCall(["compensate"], (call, found) => [before(call, `${sourceOf(found, call)};\n`)]),
  },
  {
    name: "remove a scope or a shield",
    edits: eachCall(["scope", "shield"], (call, found) => {
      const [first] = call.arguments;
      return first === undefined ? undefined : [instead(call, `(${sourceOf(found, first)})()`)];
    }),
  },
  {
    name: "shield a scope",
    edits: eachCall(["scope"], ({ callee }) => [instead(callee, `${mutantName}.shield`)]),
  },
  {
    name: "compute instead of record",
    edits: eachCall(["sideEffect"], (call, found) => {
      const [first] = call.arguments;
      return first === undefined ? undefined : [instead(call, `(${sourceOf(found, first)})()`)];
    }),
  },
  {
    name: "record another value",
    edits: eachCall(["sideEffect"], ({ arguments: [first] }) =>
      first === undefined ? undefined : [instead(first, "() => 17")],
    ),
    isTolerated: true,
  },
  {
    name: "compute in place of a step",
    edits: eachCall(["step"], ({ arguments: [, second], start, end }, found) =>
      second === undefined
        ? undefined
        : [{ start, end, text: `Promise.resolve((${sourceOf(found, second)})())` }],
    ),
  },
  { name: "always take a guarded branch", edits: eachCall(["patched"], (call) => [instead(call, "true")]) },
  { name: "never take a guarded branch", edits: eachCall(["patched"], (call) => [instead(call, "false")]) },

  { name: "no longer expose", edits: eachCall(["expose"], (call) => [instead(call, "undefined")]) },
  {
    name: "throw instead of return",
    edits: (found) => found.returns.map((each) => [instead(each, `throw new Error("mutant");`)]),
  },
  {
    name: "return instead of throw",
    edits: (found) => found.throws.map((each) => [instead(each, `return "swallowed" as never;`)]),
  },
  {
    name: "change a message of failure",
    edits: (found) => found.throws.map((each) => [instead(each, `throw new Error("another");`)]),
  },
  {
    name: "change the result",
    edits: (found) =>
      found.returns.flatMap((each) =>
        each.argument === null
          ? []
          : [[instead(each.argument, `["changed", ${sourceOf(found, each.argument)}] as never`)]],
      ),
  },
  {
    name: "change the input of continue-as-new",
    edits: eachCall(["continueAsNew"], ({ arguments: args }, found) => {
      const last = args.at(-1);
      return last === undefined ? undefined : [instead(last, `["changed", ${sourceOf(found, last)}]`)];
    }),
  },
  {
    name: "continue as new no more",
    edits: eachCall(["continueAsNew"], (call) => [instead(call, `"over"`)]),
  },
  {
    name: "turn a condition round",
    edits: (found) => found.tests.map((test) => [instead(test, `!(${sourceOf(found, test)})`)]),
  },
  { name: "one turn of a loop more", edits: (found) => loopBounds(found, "more") },
  { name: "one turn of a loop fewer", edits: (found) => loopBounds(found, "fewer") },

  {
    name: "change how often an activity is tried",
    edits: eachProperty(["maxAttempts"], ({ value }) => otherDuration(value)),
    isTolerated: true,
  },
  {
    name: "change a backoff",
    edits: eachProperty(["initialDelay"], ({ value }) => otherDuration(value)),
    isTolerated: true,
  },
  {
    name: "change a time-out of an activity",
    edits: eachProperty(["startToClose", "heartbeat", "scheduleToClose"], ({ value }) =>
      otherDuration(value),
    ),
    isTolerated: true,
  },
  {
    name: "change how long a child may take",
    edits: eachProperty(["runTimeout"], ({ value }) => otherDuration(value)),
    isTolerated: true,
  },
];

/** Bounds of counted loops: `index < bound` and `index <= bound`. */
function loopBounds(found: Found, which: "more" | "fewer"): readonly (readonly Edit[])[] {
  const edits: Edit[][] = [];
  for (const match of found.text.matchAll(/\b(?:index|reminder) (?:<=|<) ([\w.]+)/g)) {
    const [whole, bound = ""] = match;
    const at = match.index + whole.length - bound.length;
    edits.push([{ start: at, end: at + bound.length, text: `${bound} ${which === "more" ? "+" : "-"} 1` }]);
  }
  return edits;
}

/** All mutants of a file. What they use of Aion they import by another name. */
export function sourceMutants(file: string, text: string, operator: SourceOperator): readonly SourceMutant[] {
  const found = find(file, text);
  return operator.edits(found).map((edits) => {
    let changed = text;
    for (const { start, end, text: put } of edits.toSorted((left, right) => right.start - left.start)) {
      changed = changed.slice(0, start) + put + changed.slice(end);
    }
    const line = text.slice(0, Math.min(...edits.map(({ start }) => start))).split("\n").length;
    return {
      operator: operator.name,
      line,
      text: `import * as ${mutantName} from "aion/workflow";\n${changed}`,
    };
  });
}
