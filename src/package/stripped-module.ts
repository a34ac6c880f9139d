/**
 * A module without the implementations of its activities, and without whatever only they used.
 *
 * What is emitted: `activity(name, options, implementation)` becomes `activity(name, options, void 0)`, and
 * `activity(name, implementation)` becomes `activity(name, {}, void 0)`; so an activity has exactly three arguments,
 * and the third is undefined because it was dropped. What goes with the implementations: imports, variables, functions
 * and classes of the module's top level that they mention, themselves or through one another, that are not exported, and
 * that no remaining code mentions. What has no such mention stays, used or not: it is not for us to judge.
 *
 * Lines keep their numbers. `step` cannot be dropped (its closure runs inside the workflow): each mention of it becomes
 * a name of its own, which tells after tree shaking whether workflow code can reach it.
 */
import path from "node:path";
import { MagicString } from "magic-string";
import { parseSync } from "oxc-parser";
import type { CallExpression, ImportDeclaration, Node, Program, VariableDeclaration } from "oxc-parser";
import { readModuleScope } from "./module-scope.ts";
import type { Mention, ModuleScope } from "./module-scope.ts";
import type { Place } from "./problem.ts";
import { placeIn } from "./problem.ts";

export type ApiName = "activity" | "step";
/** What a module exports of the two functions of `aion/workflow` that a build looks for: export name → function. */
export type ApiExports = ReadonlyMap<string, ApiName>;

export interface StripRequest {
  /** As it is shown: relative to the root of the package. */
  readonly file: string;
  readonly program: Program;
  readonly text: string;
  /** By specifier as written. */
  readonly apis: ReadonlyMap<string, ApiExports>;
  /** The name for a mention of `step`. */
  readonly markStep: (place: Place) => string;
}

export interface StrippedModule {
  /** Undefined where nothing was changed. */
  readonly changed: { readonly code: string; readonly map: string } | undefined;
  /** The activities whose implementations were dropped, as they are named in the text. */
  readonly activities: readonly string[];
  /** Specifiers of modules that are no longer imported. */
  readonly imports: readonly string[];
  /** Variables, functions and classes that went with them. */
  readonly names: readonly string[];
  /** Of the modules that are still imported, by specifier: what needs them here. */
  readonly neededBy: ReadonlyMap<string, Place>;
  readonly warnings: readonly { readonly text: string; readonly place: Place }[];
}

/** Undefined for text that does not parse: the bundler says why. */
export function parseModule(file: string, text: string): Program | undefined {
  const lang = /\.[cm]?ts$/.test(file) ? "ts" : file.endsWith(".tsx") ? "tsx" : "jsx";
  const { program, errors } = parseSync(file, text, { lang });
  return errors.length > 0 ? undefined : program;
}

export function stripModule(request: StripRequest): StrippedModule {
  const { file, program, text } = request;
  const scope = readModuleScope(program);
  const bindings = readApiBindings(program, request.apis);
  const edits = new MagicString(text);
  const calls: ActivityCall[] = [];
  const warnings: { text: string; place: Place }[] = [];
  const topLevel = new Set(scope.mentions.map(({ start }) => start));
  const steps: { readonly mention: Mention; readonly at: Span }[] = [];

  for (const mention of scope.mentions) {
    if (mention.isType) continue;
    const used = useOf(mention, bindings);
    if (used === undefined || bindings.aliases.has(mention.start)) continue;
    if (used.api === "step") {
      if (used.parent?.type !== "ExportSpecifier") steps.push({ mention, at: used.at });
      continue;
    }
    if (used.parent?.type === "ExportSpecifier") continue;
    const warn = (warning: string, { start, end }: Span): void => {
      warnings.push({ text: warning, place: placeIn(file, text, start, end) });
    };
    if (used.parent?.type !== "CallExpression" || !used.isCallee) {
      warn(
        "`activity` is passed on as a value; implementations handed to it in this way stay in the package",
        used.at,
      );
      continue;
    }
    const { arguments: given } = used.parent;
    const implementation = readImplementation(given, program, text);
    if (given.slice(0, 3).some(({ type }) => type === "SpreadElement")) {
      warn(
        "the arguments of this activity are spread, so its implementation cannot be told apart and stays in the package",
        used.parent,
      );
    } else if (implementation !== undefined) {
      calls.push(implementation);
      const { node } = implementation;
      if (node.type === "Identifier" && !topLevel.has(node.start)) {
        warn(
          `the implementation is handed to this function as ${node.name}; what is handed to it stays in the package, so call \`activity\` where the implementation stands`,
          node,
        );
      }
    }
  }

  const dropped = outermost(calls.map(({ implementation }) => implementation));
  const units = readUnits(program);
  const { dead, neededBy } = sortUnits(units, scope, dropped);
  const gone = outermost([...dropped, ...[...dead].map((unit) => unit.span)]);
  const isGone = (span: Span): boolean => containing(gone, span.start) !== undefined;

  for (const { implementation, replacement } of calls) {
    const isInside = dropped.some((other) => other !== implementation && holds(other, implementation));
    if (isInside || [...dead].some((unit) => holds(unit.span, implementation))) continue;
    edits.overwrite(implementation.start, implementation.end, replacement + newlinesOf(text, implementation));
  }
  const imports = removeImports(program, dead, edits, text);
  removeStatements(program, dead, edits, text);
  for (const { mention, at } of steps) {
    if (isGone(mention)) continue;
    const name = request.markStep(placeIn(file, text, at.start, at.end));
    const isShorthand = mention.parents[0]?.type === "Property" && mention.parents[0].shorthand;
    edits.overwrite(at.start, at.end, isShorthand ? `${mention.name}: ${name}` : name);
  }

  return {
    changed: edits.hasChanged() ? toChanged(edits, file) : undefined,
    activities: calls.map(({ name }) => name),
    imports,
    names: [...dead].flatMap(({ kind, names }) => (kind === "import" ? [] : names)),
    neededBy: new Map(
      [...neededBy].flatMap(([unit, { start, end }]) =>
        unit.specifier === undefined ? [] : [[unit.specifier, placeIn(file, text, start, end)] as const],
      ),
    ),
    warnings,
  };
}

/** The map gives what is left as the source: implementations are in no part of a package. */
function toChanged(edits: MagicString, file: string): { readonly code: string; readonly map: string } {
  const code = edits.toString();
  const map = edits.generateMap({ hires: "boundary", source: path.posix.basename(file) });
  map.sourcesContent = [code];
  return { code, map: map.toString() };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface ActivityCall {
  readonly name: string;
  readonly node: Node;
  /** The implementation, and whatever comes after it. */
  readonly implementation: Span;
  readonly replacement: string;
}

function readImplementation(
  [name, second, third, ...others]: CallExpression["arguments"],
  program: Program,
  text: string,
): ActivityCall | undefined {
  if (name === undefined || second === undefined) return undefined;
  // Options alone: somebody else implements it.
  if (third === undefined && isOptions(second, program)) return undefined;
  const node = third ?? second;
  return {
    name:
      name.type === "Literal" && typeof name.value === "string"
        ? name.value
        : text.slice(name.start, name.end),
    node,
    implementation: { start: node.start, end: (others.at(-1) ?? node).end },
    replacement: third === undefined ? "{}, void 0" : "void 0",
  };
}

/** An object as it is written, or a constant that is one. */
function isOptions(given: Node, program: Program): boolean {
  const node = unwrap(given);
  if (node.type === "ObjectExpression") return true;
  if (node.type !== "Identifier") return false;
  return program.body
    .map((statement) => (statement.type === "ExportNamedDeclaration" ? statement.declaration : statement))
    .flatMap((statement) => (statement?.type === "VariableDeclaration" ? statement.declarations : []))
    .some(
      ({ id, init }) =>
        id.type === "Identifier" && id.name === node.name && init !== null && isWrittenObject(init),
    );
}

function isWrittenObject(node: Node): boolean {
  return unwrap(node).type === "ObjectExpression";
}

/** Without types, such as `as const`. */
function unwrap(node: Node): Node {
  const isWrapped = "expression" in node && wrappers.has(node.type) && typeof node.expression === "object";
  return isWrapped ? unwrap(node.expression) : node;
}

/** Local names of the two functions, and of modules that hold them. */
interface ApiBindings {
  readonly functions: ReadonlyMap<string, ApiName>;
  readonly namespaces: ReadonlyMap<string, ApiExports>;
  /** Where a function is given another name, and no more. */
  readonly aliases: ReadonlySet<number>;
}

function readApiBindings(program: Program, apis: ReadonlyMap<string, ApiExports>): ApiBindings {
  const functions = new Map<string, ApiName>();
  const namespaces = new Map<string, ApiExports>();
  const aliases = new Set<number>();
  const add = (local: string, name: ApiName | undefined): void => {
    if (name !== undefined) functions.set(local, name);
  };
  for (const statement of program.body) {
    if (statement.type !== "ImportDeclaration") continue;
    const api = apis.get(statement.source.value);
    if (api === undefined) continue;
    for (const specifier of statement.specifiers) {
      const local = specifier.local.name;
      if (specifier.type === "ImportNamespaceSpecifier") namespaces.set(local, api);
      else
        add(
          local,
          api.get(specifier.type === "ImportSpecifier" ? exportName(specifier.imported) : "default"),
        );
    }
  }
  const declarations = program.body.map((statement) =>
    statement.type === "ExportNamedDeclaration" ? statement.declaration : statement,
  );
  for (const declaration of declarations) {
    if (declaration?.type !== "VariableDeclaration" || declaration.kind !== "const") continue;
    for (const { id, init } of declaration.declarations) {
      const named = init?.type === "Identifier" ? init.name : "";
      const namespace = apis.get(requiredBy(init) ?? "") ?? namespaces.get(named);
      if (id.type === "Identifier" && namespace !== undefined) namespaces.set(id.name, namespace);
      else if (id.type === "Identifier" && functions.has(named)) {
        add(id.name, functions.get(named));
        if (init !== null) aliases.add(init.start);
      } else if (id.type === "ObjectPattern" && namespace !== undefined) {
        for (const property of id.properties) {
          if (property.type !== "Property" || property.computed || property.value.type !== "Identifier")
            continue;
          add(property.value.name, namespace.get(exportName(property.key)));
        }
      }
    }
  }
  return { functions, namespaces, aliases };
}

export function exportName(name: Node): string {
  if (name.type === "Identifier") return name.name;
  return name.type === "Literal" ? String(name.value) : "";
}

/** The module of `require("…")`. */
export function requiredBy(init: Node | null): string | undefined {
  if (init?.type !== "CallExpression" || init.callee.type !== "Identifier") return undefined;
  const [argument] = init.arguments;
  return init.callee.name === "require" && argument?.type === "Literal" && typeof argument.value === "string"
    ? argument.value
    : undefined;
}

interface Use {
  readonly api: ApiName;
  /** `activity`, or `aion.activity`. */
  readonly at: Span;
  /** What holds it, and whether it is called there. */
  readonly parent: Node | undefined;
  readonly isCallee: boolean;
}

/** Whether a mention is one of the two functions, by its own name or as a member of a namespace. */
function useOf(mention: Mention, { functions, namespaces }: ApiBindings): Use | undefined {
  let api = functions.get(mention.name);
  let at: Span = mention;
  let above = mention.parents;
  if (api === undefined) {
    const namespace = namespaces.get(mention.name);
    const [member] = above;
    if (
      namespace === undefined ||
      member?.type !== "MemberExpression" ||
      member.object.start !== mention.start
    )
      return undefined;
    const { property } = member;
    api = member.computed
      ? namespace.get(property.type === "Literal" ? String(property.value) : "")
      : namespace.get(property.type === "PrivateIdentifier" ? "" : exportName(property));
    at = member;
    above = above.slice(1);
  }
  if (api === undefined) return undefined;
  let child: Span = at;
  for (const parent of above) {
    if (!wrappers.has(parent.type)) {
      const isCallee = parent.type === "CallExpression" && parent.callee.start === child.start;
      return { api, at, parent, isCallee };
    }
    child = parent;
  }
  return { api, at, parent: undefined, isCallee: false };
}

const wrappers: ReadonlySet<string> = new Set([
  "ParenthesizedExpression",
  "TSNonNullExpression",
  "TSInstantiationExpression",
  "TSAsExpression",
  "TSSatisfiesExpression",
  "TSTypeAssertion",
  "ChainExpression",
]);

/** A part of the top level that can go by itself. */
interface Unit {
  readonly kind: "import" | "variable" | "statement";
  readonly names: readonly string[];
  readonly span: Span;
  /** The module that it imports. */
  readonly specifier: string | undefined;
}

function readUnits(program: Program): readonly Unit[] {
  const units: Unit[] = [];
  for (const statement of program.body) {
    switch (statement.type) {
      case "ImportDeclaration":
        for (const specifier of valueSpecifiers(statement)) {
          units.push({
            kind: "import",
            names: [specifier.local.name],
            span: specifier,
            specifier: statement.source.value,
          });
        }
        break;
      case "VariableDeclaration":
        // What is disposed of at the end does something by being there.
        if (statement.declare === true || statement.kind.endsWith("using")) break;
        for (const declarator of statement.declarations) {
          units.push({
            kind: "variable",
            names: namesIn(declarator.id),
            span: declarator,
            specifier: requiredBy(declarator.init),
          });
        }
        break;
      case "FunctionDeclaration":
      case "ClassDeclaration":
        if (statement.id !== null && statement.declare !== true) {
          const names = [statement.id.name];
          units.push({ kind: "statement", names, span: statement, specifier: undefined });
        }
        break;
      case "TSImportEqualsDeclaration":
        if (statement.importKind !== "type") {
          const { moduleReference } = statement;
          units.push({
            kind: "statement",
            names: [statement.id.name],
            span: statement,
            specifier:
              moduleReference.type === "TSExternalModuleReference"
                ? moduleReference.expression.value
                : undefined,
          });
        }
        break;
      default:
    }
  }
  return units;
}

function valueSpecifiers(statement: ImportDeclaration): ImportDeclaration["specifiers"] {
  if (statement.importKind === "type") return [];
  return statement.specifiers.filter(
    (specifier) => specifier.type !== "ImportSpecifier" || specifier.importKind !== "type",
  );
}

function namesIn(pattern: Node): readonly string[] {
  switch (pattern.type) {
    case "Identifier":
      return [pattern.name];
    case "ObjectPattern":
      return pattern.properties.flatMap((property) =>
        namesIn(property.type === "RestElement" ? property.argument : property.value),
      );
    case "ArrayPattern":
      return pattern.elements.flatMap((element) => (element === null ? [] : namesIn(element)));
    case "AssignmentPattern":
      return namesIn(pattern.left);
    case "RestElement":
      return namesIn(pattern.argument);
    default:
      return [];
  }
}

interface SortedUnits {
  /** The units that dropped code mentions, itself or through one another, and that nothing which stays mentions. */
  readonly dead: ReadonlySet<Unit>;
  /** Of the others: a mention in code that stays for itself, through which they are needed. */
  readonly neededBy: ReadonlyMap<Unit, Mention>;
}

function sortUnits(
  units: readonly Unit[],
  { mentions, declarations }: ModuleScope,
  dropped: readonly Span[],
): SortedUnits {
  const byName = Map.groupBy(
    units.flatMap((unit) => unit.names.map((name) => ({ name, unit }))),
    ({ name }) => name,
  );
  // Declared once more where it cannot be removed (`var` in a block, a namespace of the same name): left alone.
  const unitsOf = (name: string): readonly Unit[] => {
    const found = byName.get(name) ?? [];
    return found.length === declarations.get(name) ? found.map(({ unit }) => unit) : [];
  };
  const spans = units.map((unit) => unit.span).toSorted((a, b) => a.start - b.start);
  const unitAt = new Map(units.map((unit) => [unit.span, unit]));
  const inDropped: Mention[] = [];
  const inUnits = new Map<Unit, Mention[]>(units.map((unit) => [unit, []]));
  const elsewhere: Mention[] = [];
  for (const mention of mentions) {
    const span = containing(spans, mention.start);
    const unit = span === undefined ? undefined : unitAt.get(span);
    if (containing(dropped, mention.start) !== undefined) inDropped.push(mention);
    else if (unit === undefined) elsewhere.push(mention);
    else inUnits.get(unit)?.push(mention);
  }
  /** From mentions on, the units that they reach, each with the first of these mentions that does. */
  const reach = (
    from: readonly Mention[],
    mentionsOf: (unit: Unit) => readonly Mention[],
  ): Map<Unit, Mention> => {
    const reached = new Map<Unit, Mention>();
    for (const first of from) {
      const queue = [first];
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        for (const unit of unitsOf(next.name)) {
          if (reached.has(unit)) continue;
          reached.set(unit, first);
          queue.push(...mentionsOf(unit));
        }
      }
    }
    return reached;
  };

  const used = new Set(reach(inDropped, (unit) => inUnits.get(unit) ?? []).keys());
  for (const unit of used) if (unit.names.some((name) => !unitsOf(name).includes(unit))) used.delete(unit);

  // Types are gone when the code runs: what is only named in them is not kept by them.
  const values = (list: readonly Mention[] = []): readonly Mention[] => list.filter(({ isType }) => !isType);
  const staying = units.filter((unit) => !used.has(unit)).flatMap((unit) => inUnits.get(unit) ?? []);
  const neededBy = reach(values([...elsewhere, ...staying]), (unit) => values(inUnits.get(unit)));
  return { dead: used.difference(neededBy), neededBy };
}

/** Returns the specifiers of the modules that are no longer imported. */
function removeImports(
  program: Program,
  dead: ReadonlySet<Unit>,
  edits: MagicString,
  text: string,
): readonly string[] {
  const deadSpans = new Set<Span>([...dead].map((unit) => unit.span));
  const removed: string[] = [];
  for (const statement of program.body) {
    if (statement.type === "TSImportEqualsDeclaration" && deadSpans.has(statement)) {
      const { moduleReference } = statement;
      if (moduleReference.type === "TSExternalModuleReference")
        removed.push(moduleReference.expression.value);
    }
    if (statement.type !== "ImportDeclaration") continue;
    const specifiers = valueSpecifiers(statement);
    const kept = specifiers.filter((specifier) => !deadSpans.has(specifier));
    if (kept.length === specifiers.length) continue;
    if (kept.length === 0) {
      removed.push(statement.source.value);
      edits.overwrite(statement.start, statement.end, `;${newlinesOf(text, statement)}`);
      continue;
    }
    const slice = (node: Span): string => text.slice(node.start, node.end);
    const named = kept.filter(({ type }) => type === "ImportSpecifier").map(slice);
    const others = kept.filter(({ type }) => type !== "ImportSpecifier").map(slice);
    const clause = [...others, ...(named.length > 0 ? [`{ ${named.join(", ")} }`] : [])].join(", ");
    const tail = text.slice(statement.source.start, statement.end);
    const head: Span = { start: statement.start, end: statement.source.start };
    edits.overwrite(statement.start, statement.end, `import ${clause} from ${newlinesOf(text, head)}${tail}`);
  }
  for (const unit of dead) {
    if (unit.kind !== "variable") continue;
    const declarator = unit.span as Node;
    const specifier = declarator.type === "VariableDeclarator" ? requiredBy(declarator.init) : undefined;
    if (specifier !== undefined) removed.push(specifier);
  }
  return removed;
}

function removeStatements(program: Program, dead: ReadonlySet<Unit>, edits: MagicString, text: string): void {
  const deadSpans = new Set<Span>([...dead].map((unit) => unit.span));
  for (const statement of program.body) {
    if (statement.type === "VariableDeclaration") removeDeclarators(statement);
    else if (statement.type !== "ImportDeclaration" && deadSpans.has(statement)) {
      removeWhole(statement);
    }
  }

  // The semicolon: what stood before must not run on into what comes after.
  function removeWhole(span: Span): void {
    edits.overwrite(span.start, span.end, `;${newlinesOf(text, span)}`);
  }

  function removeDeclarators(declaration: VariableDeclaration): void {
    const { declarations } = declaration;
    const isDead = declarations.map((declarator) => deadSpans.has(declarator));
    if (!isDead.includes(true)) return;
    const lastKept = isDead.lastIndexOf(false);
    const kept = declarations[lastKept];
    const last = declarations.at(-1);
    if (kept === undefined || last === undefined) {
      removeWhole(declaration);
      return;
    }
    const blank = (start: number, end: number): void => {
      edits.overwrite(start, end, newlinesOf(text, { start, end }) || " ");
    };
    for (const [index, declarator] of declarations.entries()) {
      const next = declarations[index + 1];
      // Each goes with the comma after it; those at the end, all at once, with the comma before them.
      if (isDead[index] === true && index < lastKept && next !== undefined) {
        blank(declarator.start, next.start);
      }
    }
    if (last !== kept) blank(kept.end, last.end);
  }
}

function newlinesOf(text: string, { start, end }: Span): string {
  return text.slice(start, end).replaceAll(/[^\n\r\u2028\u2029]/g, "");
}

function holds(outer: Span, inner: Span): boolean {
  return outer.start <= inner.start && inner.end <= outer.end;
}

/** Without those that lie in another one; in order. */
function outermost(spans: readonly Span[]): readonly Span[] {
  const found: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = found.at(-1);
    if (last === undefined || span.start >= last.end) found.push(span);
  }
  return found;
}

/** The span that holds a position, of spans in order that do not overlap. */
function containing(spans: readonly Span[], at: number): Span | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const span = spans[middle];
    if (span === undefined) break;
    if (at < span.start) high = middle;
    else if (at >= span.end) low = middle + 1;
    else return span;
  }
  return undefined;
}
