/** Small faults in the engine's own code: one node of the syntax tree, changed. */
import { parseSync, Visitor } from "oxc-parser";

export interface CodeMutant {
  readonly what: string;
  /** 1-based. */
  readonly line: number;
  readonly text: string;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

const operators: Readonly<Record<string, string>> = {
  "===": "!==",
  "!==": "===",
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "+": "-",
  "-": "+",
  "*": "/",
  "&&": "||",
  "||": "&&",
};

/** All mutants of a source file, in the order of its text. What only throws or describes is not mutated: see `isSpoken`. */
export function codeMutants(file: string, text: string): readonly CodeMutant[] {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file} does not parse: ${errors[0]?.message}`);
  const mutants: (CodeMutant & Span)[] = [];
  const change = (what: string, { start, end }: Span, put: string): void => {
    const line = text.slice(0, start).split("\n").length;
    mutants.push({ what, line, start, end, text: text.slice(0, start) + put + text.slice(end) });
  };
  const source = ({ start, end }: Span): string => text.slice(start, end);
  const infix = (
    node: Span & { readonly left: Span; readonly right: Span; readonly operator: string },
  ): void => {
    const other = operators[node.operator];
    if (other === undefined) return;
    change(`${node.operator} is ${other}`, node, `${source(node.left)} ${other} ${source(node.right)}`);
  };
  new Visitor({
    BinaryExpression: infix,
    LogicalExpression: (node) => {
      if (node.operator !== "??") return infix(node);
      change("without its default", node, source(node.left));
    },
    IfStatement: ({ test }) => {
      change("always", test, "true");
      change("never", test, "false");
    },
    ConditionalExpression: ({ test }) => change("the other of two", test, `!(${source(test)})`),
    UnaryExpression: (node) => {
      if (node.operator === "!") change("no negation", node, source(node.argument));
    },
    Literal: (node) => {
      if (typeof node.value === "boolean") change("the other boolean", node, String(!node.value));
      if (typeof node.value === "number") change("one more", node, String(node.value + 1));
    },
    ExpressionStatement: (node) => {
      if (node.directive === undefined || node.directive === null) change("left out", node, ";");
    },
    ReturnStatement: (node) => {
      if (node.argument !== null) change("returns nothing", node, "return undefined as never;");
    },
    ContinueStatement: (node) => change("does not skip", node, ";"),
    BreakStatement: (node) => change("does not stop", node, ";"),
  }).visit(program);
  return mutants.toSorted((left, right) => left.start - right.start);
}
