/**
 * Which modules a source file names, read from its syntax tree: static imports and re-exports (types too),
 * dynamic imports, `import("…")` types, `new URL("…", import.meta.url)` as it starts threads and processes,
 * `require` and `import.meta.resolve`. Comments and strings elsewhere say nothing.
 */
import { parseSync, Visitor } from "oxc-parser";
import type { Expression, Argument } from "oxc-parser";

export interface SourceImport {
  /** As written; undefined where it is computed, so that nobody can tell from the text. */
  readonly specifier: string | undefined;
  readonly line: number;
}

function literalOf(node: Expression | Argument | undefined): string | undefined {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  if (node?.type === "TemplateLiteral" && node.expressions.length === 0) {
    return node.quasis[0]?.value.cooked ?? undefined;
  }
  return undefined;
}

function isImportMeta(node: Expression | Argument | undefined, property: string): boolean {
  return (
    node?.type === "MemberExpression" &&
    node.object.type === "MetaProperty" &&
    node.property.type === "Identifier" &&
    node.property.name === property
  );
}

/** @throws Error when the file does not parse: a file that cannot be read has not been checked. */
export function readImports(file: string, text: string): readonly SourceImport[] {
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file} does not parse: ${errors[0]?.message}`);

  const found: SourceImport[] = [];
  const add = (specifier: string | undefined, at: number): void => {
    found.push({ specifier, line: text.slice(0, at).split("\n").length });
  };
  new Visitor({
    ImportDeclaration: (node) => add(node.source.value, node.start),
    ExportAllDeclaration: (node) => add(node.source.value, node.start),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node.source.value, node.start);
    },
    ImportExpression: (node) => add(literalOf(node.source), node.start),
    TSImportType: (node) => add(node.source.value, node.start),
    TSImportEqualsDeclaration: (node) => {
      if (node.moduleReference.type === "TSExternalModuleReference") {
        add(node.moduleReference.expression.value, node.start);
      }
    },
    NewExpression: (node) => {
      const isUrl = node.callee.type === "Identifier" && node.callee.name === "URL";
      if (!isUrl || !isImportMeta(node.arguments[1], "url")) return;
      const target = literalOf(node.arguments[0]);
      // Data files are no modules, and a computed URL loads nothing until something imports it.
      if (target !== undefined && /\.[cm]?[jt]s$/.test(target)) {
        add(target.replace(/^(?![./]|[a-z]+:)/, "./"), node.start);
      }
    },
    CallExpression: (node) => {
      const isRequire = node.callee.type === "Identifier" && node.callee.name === "require";
      if (isRequire || isImportMeta(node.callee, "resolve")) add(literalOf(node.arguments[0]), node.start);
    },
  }).visit(program);
  return found;
}
