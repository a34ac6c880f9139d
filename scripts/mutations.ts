/** Changes to TypeScript source, each of one node, that a test ought to notice. For `scripts/mutate.ts`. */
import { parseSync } from "oxc-parser";

export interface Mutation {
  readonly file: string;
  readonly line: number;
  readonly operator: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly was: string;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

function nodeAt(node: Node, field: string): Node | undefined {
  const value = node[field];
  return isNode(value) ? value : undefined;
}

const binarySwaps: Readonly<Record<string, readonly string[]>> = {
  "===": ["!=="],
  "!==": ["==="],
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "/": ["*"],
  "%": ["*"],
  "&": ["|"],
};
const assignmentSwaps: Readonly<Record<string, string>> = { "+=": "-=", "-=": "+=", "??=": "=" };
/** Calls that give back what they are called on, more or less: left out. */
const transparentCalls: ReadonlySet<string> = new Set([
  "toSorted",
  "toReversed",
  "filter",
  "slice",
  "trim",
  "toLowerCase",
]);
const sqlSwaps: readonly (readonly [RegExp, string])[] = [
  [/(?<![<>=])<(?![<>=])/g, "<="],
  [/<=/g, "<"],
  [/(?<![<>=])>(?![<>=])/g, ">="],
  [/>=/g, ">"],
  [/ AND (?!\()[a-z_.]+ (?:=|<|>|<=|>=) \?\d*/g, ""],
  [/ AND closed_at IS NULL/g, ""],
  [/ DESC\b/g, ""],
  [/\bIS NULL\b/g, "IS NOT NULL"],
  [/ \+ 1\b/g, ""],
  [/\bmax\(/g, "min("],
  [/\bNOT EXISTS\b/g, "EXISTS"],
  [/ ORDER BY [a-z_, ]+(?= (?:DESC )?LIMIT|$)/g, ""],
];

/** All changes to one file, in the order of their places. */
export function findMutations(file: string, source: string): readonly Mutation[] {
  const { program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const found: Mutation[] = [];
  const lineOf = (at: number): number => source.slice(0, at).split("\n").length;
  const add = (operator: string, at: Pick<Node, "start" | "end">, text: string): void => {
    const { start, end } = at;
    const was = source.slice(start, end);
    if (was !== text) found.push({ file, line: lineOf(start), operator, start, end, text, was });
  };
  const textOf = (node: Node): string => source.slice(node.start, node.end);
  /** The place of an operator between two operands. */
  const between = (left: Node, right: Node, operator: string): Pick<Node, "start" | "end"> => {
    const start = source.indexOf(operator, left.end);
    return start < 0 || start >= right.start
      ? { start: left.end, end: left.end }
      : { start, end: start + operator.length };
  };

  const visit = (node: Node): void => {
    const { type } = node;
    // Types, and what is said to other tools, do nothing.
    if (type === "ImportDeclaration" || type === "ExportAllDeclaration") return;
    if (type.startsWith("TS") && !/^TS(?:As|NonNull|Satisfies)Expression$/.test(type)) return;
    mutate(node);
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? (value as unknown[]) : [value])
        if (isNode(child)) visit(child);
    }
  };

  const mutate = (node: Node): void => {
    const [left, right] = [nodeAt(node, "left"), nodeAt(node, "right")];
    const operator = typeof node["operator"] === "string" ? node["operator"] : "";
    const test = nodeAt(node, "test");
    switch (node.type) {
      case "BinaryExpression":
        if (left === undefined || right === undefined) break;
        for (const other of binarySwaps[operator] ?? []) add("binary", between(left, right, operator), other);
        break;
      case "LogicalExpression":
        if (left === undefined || right === undefined) break;
        if (operator === "??") add("logical", node, textOf(left));
        else add("logical", between(left, right, operator), operator === "&&" ? "||" : "&&");
        break;
      case "AssignmentExpression": {
        const other = assignmentSwaps[operator];
        if (left !== undefined && right !== undefined && other !== undefined)
          add("assignment", between(left, right, operator), other);
        break;
      }
      case "UpdateExpression":
        add(
          "update",
          node,
          textOf(node).replace(/\+\+|--/, (sign) => (sign === "++" ? "--" : "++")),
        );
        break;
      case "UnaryExpression": {
        const argument = nodeAt(node, "argument");
        if (argument !== undefined && (operator === "!" || operator === "-"))
          add("unary", node, textOf(argument));
        break;
      }
      case "ConditionalExpression": {
        const [yes, no] = [nodeAt(node, "consequent"), nodeAt(node, "alternate")];
        if (yes !== undefined) add("conditional", node, `(${textOf(yes)})`);
        if (no !== undefined) add("conditional", node, `(${textOf(no)})`);
        break;
      }
      case "IfStatement":
      case "WhileStatement":
      case "ForStatement":
        if (test === undefined) break;
        add("condition", test, "false");
        if (node.type === "IfStatement") add("condition", test, "true");
        break;
      case "ExpressionStatement":
        if (nodeAt(node, "expression")?.type !== "Literal") add("statement", node, ";");
        break;
      case "Literal":
        addLiteral(node);
        break;
      case "TemplateLiteral":
        if (isSql(textOf(node))) addSql(node);
        break;
      case "CallExpression": {
        const callee = nodeAt(node, "callee");
        const object = callee && nodeAt(callee, "object");
        const property = callee && nodeAt(callee, "property");
        if (object !== undefined && property !== undefined && transparentCalls.has(textOf(property)))
          add("call", node, textOf(object));
        break;
      }
      case "ArrayExpression":
        if (Array.isArray(node["elements"]) && node["elements"].length > 0) add("array", node, "[]");
        break;
      case "SpreadElement":
        add("spread", node, "...[]");
        break;
      default:
        break;
    }
  };

  const addLiteral = (node: Node): void => {
    const { value } = node;
    if (typeof value === "boolean") add("literal", node, String(!value));
    else if (typeof value === "number") add("literal", node, String(value + 1));
    else if (typeof value === "string" && isSql(value)) addSql(node);
  };

  const addSql = (node: Node): void => {
    for (const [pattern, instead] of sqlSwaps) {
      for (const match of textOf(node).matchAll(pattern)) {
        const start = node.start + match.index;
        add("sql", { start, end: start + match[0].length }, instead);
      }
    }
  };

  visit(program as unknown as Node);
  return found.toSorted((a, b) => a.start - b.start);
}

function isSql(text: string): boolean {
  return /\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM)\b/.test(text);
}

/** The same choice for the same seed, over all files alike. */
export function chooseSample(all: readonly Mutation[], count: number, seed: number): readonly Mutation[] {
  let state = seed >>> 0;
  // Mulberry32.
  const random = (): number => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const chosen = all
    .map((mutation) => ({ mutation, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .slice(0, count);
  return chosen.map(({ mutation }) => mutation);
}
