/**
 * Which names of a module's top level are mentioned where: lexical scopes, resolved over a whole module.
 *
 * Laws: a mention that something nearer declares (a parameter, a local, a class's own name, a member of an enum) is no
 * mention of the top level; a mention in a type is told apart, since types are gone when the code runs.
 */
import { visitorKeys } from "oxc-parser";
import type { ArrowFunctionExpression, Class, Function as FunctionNode, Node, Program } from "oxc-parser";

/** A mention of a name that the top level declares, or that nothing in the module does. */
export interface Mention {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly isType: boolean;
  /** The nodes around it, the nearest first. */
  readonly parents: readonly Node[];
}

export interface ModuleScope {
  readonly mentions: readonly Mention[];
  /** How many times the top level declares a name. */
  readonly declarations: ReadonlyMap<string, number>;
}

export function readModuleScope(program: Program): ModuleScope {
  const reader = new ScopeReader();
  for (const statement of program.body) reader.visit(statement, reader.top);
  return reader.finish();
}

class Scope {
  readonly names = new Map<string, number>();
  readonly parent: Scope | undefined;
  /** Where `var` goes. */
  readonly functionScope: Scope;

  constructor(parent: Scope | undefined, isFunction: boolean) {
    this.parent = parent;
    this.functionScope = isFunction || parent === undefined ? this : parent.functionScope;
  }

  declare(name: string): void {
    this.names.set(name, (this.names.get(name) ?? 0) + 1);
  }
}

interface Found extends Mention {
  readonly scope: Scope;
}

class ScopeReader {
  readonly top = new Scope(undefined, true);
  readonly #found: Found[] = [];
  #parents: readonly Node[] = [];

  finish(): ModuleScope {
    const mentions = this.#found.filter(({ name, scope }) => {
      for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
        if (at.names.has(name)) return at === this.top;
      }
      return true;
    });
    return { mentions, declarations: this.top.names };
  }

  visit(node: Node | null | undefined, scope: Scope): void {
    if (node === null || node === undefined) return;
    const outer = this.#parents;
    this.#dispatch(node, scope, () => {
      this.#parents = [node, ...outer];
    });
    this.#parents = outer;
  }

  #all(nodes: readonly (Node | null | undefined)[], scope: Scope): void {
    for (const node of nodes) this.visit(node, scope);
  }

  #mention(
    node: { readonly name: string; readonly start: number; readonly end: number },
    scope: Scope,
  ): void {
    const { name, start, end } = node;
    this.#found.push({ name, start, end, isType: false, parents: this.#parents, scope });
  }

  #dispatch(node: Node, scope: Scope, enter: () => void): void {
    switch (node.type) {
      case "Identifier":
        this.#mention(node, scope);
        // A target of an assignment carries no type, a parameter is bound elsewhere.
        return;
      case "ImportDeclaration":
        if (node.importKind === "type") return;
        for (const specifier of node.specifiers) {
          if (specifier.type !== "ImportSpecifier" || specifier.importKind !== "type") {
            this.top.declare(specifier.local.name);
          }
        }
        return;
      case "ExportNamedDeclaration":
        enter();
        this.visit(node.declaration, scope);
        if (node.source === null && node.exportKind !== "type") this.#all(node.specifiers, scope);
        return;
      case "ExportSpecifier":
        enter();
        if (node.exportKind !== "type" && node.local.type === "Identifier") this.#mention(node.local, scope);
        return;
      case "ExportAllDeclaration":
      case "BreakStatement":
      case "ContinueStatement":
      case "MetaProperty":
        return;
      case "LabeledStatement":
        enter();
        this.visit(node.body, scope);
        return;
      case "VariableDeclaration":
        if (node.declare === true) return;
        enter();
        for (const declarator of node.declarations) {
          this.#bind(declarator.id, node.kind === "var" ? scope.functionScope : scope, scope);
          this.visit(declarator.init, scope);
        }
        return;
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        enter();
        this.#function(node, scope);
        return;
      case "ClassDeclaration":
      case "ClassExpression":
        if (node.declare === true) return;
        enter();
        this.#class(node, scope);
        return;
      case "BlockStatement":
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        enter();
        this.#children(node, new Scope(scope, false));
        return;
      case "StaticBlock":
      case "TSModuleBlock":
        enter();
        this.#children(node, new Scope(scope, true));
        return;
      case "SwitchStatement": {
        enter();
        this.visit(node.discriminant, scope);
        this.#all(node.cases, new Scope(scope, false));
        return;
      }
      case "CatchClause": {
        enter();
        const inner = new Scope(scope, false);
        if (node.param !== null) this.#bind(node.param, inner, inner);
        this.visit(node.body, inner);
        return;
      }
      case "MemberExpression":
        enter();
        this.visit(node.object, scope);
        if (node.computed) this.visit(node.property, scope);
        return;
      case "Property":
      case "PropertyDefinition":
      case "MethodDefinition":
      case "AccessorProperty":
      case "TSAbstractPropertyDefinition":
      case "TSAbstractMethodDefinition":
      case "TSAbstractAccessorProperty":
        enter();
        if ("decorators" in node) this.#all(node.decorators, scope);
        if (node.computed) this.visit(node.key, scope);
        if ("typeAnnotation" in node) this.visit(node.typeAnnotation, scope);
        this.visit(node.value, scope);
        return;
      case "ImportExpression":
        enter();
        this.#all([node.source, node.options], scope);
        return;
      case "JSXOpeningElement":
        enter();
        this.#jsxName(node.name, scope);
        this.visit(node.typeArguments, scope);
        this.#all(node.attributes, scope);
        return;
      case "JSXElement":
      case "JSXFragment":
        enter();
        // The classic transform calls `React.createElement`, which is written nowhere.
        this.#mention({ name: "React", start: node.start, end: node.start }, scope);
        this.#children(node, scope);
        return;
      case "JSXClosingElement":
      case "JSXIdentifier":
      case "JSXNamespacedName":
        return;
      case "JSXAttribute":
        enter();
        this.visit(node.value, scope);
        return;
      default:
        enter();
        if (node.type.startsWith("TS")) this.#typescript(node, scope);
        else this.#children(node, scope);
    }
  }

  #typescript(node: Node, scope: Scope): void {
    switch (node.type) {
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "TSTypeAssertion":
      case "TSNonNullExpression":
      case "TSInstantiationExpression":
      case "TSExportAssignment":
        this.#children(node, scope);
        return;
      case "TSEnumDeclaration": {
        if (node.declare) return;
        scope.declare(node.id.name);
        const inner = new Scope(scope, false);
        for (const { id } of node.body.members) {
          if (id.type === "Identifier") inner.declare(id.name);
          else if (id.type === "Literal") inner.declare(id.value);
        }
        for (const { initializer } of node.body.members) this.visit(initializer, inner);
        return;
      }
      case "TSModuleDeclaration":
        if (node.declare || node.body === null || node.global || node.id.type === "Literal") return;
        scope.declare(leftmost(node.id).name);
        this.visit(node.body, scope);
        return;
      case "TSImportEqualsDeclaration":
        if (node.importKind === "type") return;
        scope.declare(node.id.name);
        if (node.moduleReference.type !== "TSExternalModuleReference") {
          this.#mention(leftmost(node.moduleReference), scope);
        }
        return;
      default:
        this.#types(node, scope);
    }
  }

  /** Every name in it, also those that are no mention: of types, too many does no harm. */
  #types(node: Node, scope: Scope): void {
    if (node.type === "Identifier") {
      const { name, start, end } = node;
      this.#found.push({ name, start, end, isType: true, parents: this.#parents, scope });
    }
    for (const child of childrenOf(node)) this.#types(child, scope);
  }

  #children(node: Node, scope: Scope): void {
    this.#all(childrenOf(node), scope);
  }

  #bind(pattern: Node, into: Scope, scope: Scope): void {
    if ("decorators" in pattern) this.#all(pattern.decorators ?? [], scope);
    if ("typeAnnotation" in pattern) this.visit(pattern.typeAnnotation, scope);
    switch (pattern.type) {
      case "Identifier":
        into.declare(pattern.name);
        return;
      case "ObjectPattern":
        for (const property of pattern.properties) this.#bind(property, into, scope);
        return;
      case "Property":
        if (pattern.computed) this.visit(pattern.key, scope);
        this.#bind(pattern.value, into, scope);
        return;
      case "ArrayPattern":
        for (const element of pattern.elements) if (element !== null) this.#bind(element, into, scope);
        return;
      case "AssignmentPattern":
        this.#bind(pattern.left, into, scope);
        this.visit(pattern.right, scope);
        return;
      case "RestElement":
        this.#bind(pattern.argument, into, scope);
        return;
      case "TSParameterProperty":
        this.#bind(pattern.parameter, into, scope);
        return;
      default:
        this.visit(pattern, scope);
    }
  }

  #function(node: FunctionNode | ArrowFunctionExpression, scope: Scope): void {
    if (node.type === "FunctionDeclaration" && node.id !== null) scope.declare(node.id.name);
    const named = node.type === "FunctionExpression" && node.id !== null ? new Scope(scope, false) : scope;
    if (node.type === "FunctionExpression" && node.id !== null) named.declare(node.id.name);
    const own = new Scope(named, true);
    if (node.type !== "ArrowFunctionExpression") own.declare("arguments");
    this.visit(node.typeParameters, own);
    this.visit(node.returnType, own);
    for (const param of node.params) this.#bind(param, own, own);
    // A default of a parameter does not see what the body declares.
    if (node.body?.type === "BlockStatement") this.#all(node.body.body, new Scope(own, true));
    else this.visit(node.body, own);
  }

  #class(node: Class, scope: Scope): void {
    if (node.type === "ClassDeclaration" && node.id !== null) scope.declare(node.id.name);
    this.#all(node.decorators, scope);
    const inner = new Scope(scope, false);
    if (node.id !== null) inner.declare(node.id.name);
    this.#all([node.typeParameters, node.superClass, node.superTypeArguments], inner);
    this.#all(node.implements ?? [], inner);
    this.visit(node.body, inner);
  }

  #jsxName(
    name: Extract<Node, { readonly type: "JSXIdentifier" | "JSXMemberExpression" | "JSXNamespacedName" }>,
    scope: Scope,
  ): void {
    if (name.type === "JSXMemberExpression") this.#jsxName(name.object, scope);
    // <div> is text; <Div> and <a.b> are names.
    else if (name.type === "JSXIdentifier" && (!/^[a-z]/.test(name.name) || this.#isMember(name))) {
      this.#mention(name, scope);
    }
  }

  #isMember(name: Node): boolean {
    const opening = this.#parents[0];
    return opening?.type === "JSXOpeningElement" && opening.name !== name;
  }
}

function leftmost(name: Node): { readonly name: string; readonly start: number; readonly end: number } {
  if (name.type === "TSQualifiedName") return leftmost(name.left);
  if (name.type === "Identifier") return name;
  return { name: "this", start: name.start, end: name.end };
}

function childrenOf(node: Node): readonly Node[] {
  const fields = node as unknown as Readonly<Record<string, unknown>>;
  return (visitorKeys[node.type] ?? [])
    .flatMap((key) => fields[key])
    .filter((child): child is Node => typeof child === "object" && child !== null && "type" in child);
}
