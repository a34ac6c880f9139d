/**
 * The lint rules that the linter's own rules cannot express, loaded by .oxlintrc.json.
 *
 * `aion/no-ambient-date`: `Date` as a clock. A layer that is handed its time may still turn a given instant into
 * a date (`new Date(recordedAt)`, `Date.UTC(…)`), name the type, or ask `instanceof`; it may not ask what time
 * it is, nor pass the constructor on to somebody who would.
 */

interface Identifier {
  readonly name: string;
  readonly parent: {
    readonly type: string;
    readonly callee?: unknown;
    readonly arguments?: readonly { readonly type: string }[];
    readonly operator?: string;
    readonly right?: unknown;
    readonly object?: unknown;
    readonly computed?: boolean;
    readonly property?: { readonly name?: string };
  };
}

interface Reference {
  readonly identifier: Identifier;
  readonly resolved: { readonly defs: readonly unknown[] } | null;
  readonly isValueReference: boolean;
}

interface RuleContext {
  readonly sourceCode: {
    readonly scopeManager: { readonly scopes: readonly { readonly references: readonly Reference[] }[] };
  };
  report(finding: { readonly node: unknown; readonly messageId: string }): void;
}

interface GlobalThisMember {
  readonly object: { readonly type: string; readonly name?: string };
  readonly property: { readonly type: string; readonly name?: string; readonly value?: unknown };
}

const globalObjects: ReadonlySet<string> = new Set(["globalThis", "global", "window", "self"]);

function isGivenAnInstant(date: Identifier): boolean {
  const use = date.parent;
  switch (use.type) {
    case "NewExpression":
      return use.callee === date && (use.arguments?.some((it) => it.type !== "SpreadElement") ?? false);
    case "BinaryExpression":
      return use.operator === "instanceof" && use.right === date;
    case "MemberExpression":
      return use.object === date && use.computed !== true && use.property?.name === "UTC";
    default:
      return false;
  }
}

const noAmbientDate = {
  meta: {
    type: "problem",
    messages: {
      ambient:
        "This layer has no clock: take the time from the Clock port, or make a Date from a given instant.",
    },
  },
  create(context: RuleContext) {
    return {
      Program(): void {
        for (const scope of context.sourceCode.scopeManager.scopes) {
          for (const reference of scope.references) {
            if (reference.identifier.name !== "Date" || !reference.isValueReference) continue;
            const isOwnName = (reference.resolved?.defs.length ?? 0) > 0;
            if (!isOwnName && !isGivenAnInstant(reference.identifier)) {
              context.report({ node: reference.identifier, messageId: "ambient" });
            }
          }
        }
      },
      MemberExpression(node: GlobalThisMember): void {
        const name = node.property.type === "Identifier" ? node.property.name : node.property.value;
        if (name === "Date" && globalObjects.has(node.object.name ?? "")) {
          context.report({ node, messageId: "ambient" });
        }
      },
    };
  },
};

export default {
  meta: { name: "aion" },
  rules: { "no-ambient-date": noAmbientDate },
};
