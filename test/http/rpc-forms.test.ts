/** What is said over HTTP can be said over gRPC: no field of a form is without its place in the protocol's files, nor the other way round. */
import { ScalarType } from "@bufbuild/protobuf";
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { streamForms } from "../../src/http/event-stream.ts";
import { WorkflowService } from "../../src/http/gen/aion/v1/workflows_pb.ts";
import { operationsFor } from "../../src/http/operations.ts";
import type { Operation } from "../../src/http/operations.ts";
import { replyNames, replySchemas } from "../../src/http/replies.ts";
import { places } from "../../src/http/rpc.ts";

interface Form {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Form>>;
  readonly items?: Form;
  readonly anyOf?: readonly Form[];
  readonly oneOf?: readonly Form[];
  readonly additionalProperties?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Form>>;
}

/** In JSON, integers of 64 bits are text, which no form here takes or gives. */
const numbers: ReadonlySet<ScalarType> = new Set([
  ScalarType.DOUBLE,
  ScalarType.FLOAT,
  ScalarType.INT32,
  ScalarType.UINT32,
]);
/** Of any value. */
const anyValue = new Set(["google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue"]);

/** What differs between the two, one line each. */
function differences(whole: Form, message: DescMessage, given: ReadonlySet<string>): readonly string[] {
  const seen = new Set<string>();
  const found: string[] = [];
  const resolved = ({ $ref, ...form }: Form): Form => {
    if ($ref === undefined) return form;
    if ($ref === "#") return whole;
    return whole.$defs?.[$ref.replace("#/$defs/", "")] ?? form;
  };
  /** The alternatives of it, but for null. */
  const parts = (form: Form): readonly Form[] => {
    const { anyOf, oneOf } = resolved(form);
    const some = anyOf ?? oneOf;
    return (some === undefined ? [resolved(form)] : some.flatMap(parts)).filter(
      ({ type }) => type !== "null",
    );
  };
  const compare = (forms: readonly Form[], desc: DescMessage, at: string): void => {
    const key = `${desc.typeName} ${forms.map(({ properties }) => Object.keys(properties ?? {}).join()).join("|")}`;
    if (seen.has(key)) return;
    seen.add(key);
    const names = new Set(forms.flatMap(({ properties }) => Object.keys(properties ?? {})));
    const fields = new Map(desc.fields.map((field) => [field.jsonName, field]));
    for (const name of fields.keys())
      if (!names.has(name) && !(at === "" && given.has(name)))
        found.push(`${at}${name}: only in the protocol`);
    for (const name of names) {
      const field = fields.get(name);
      const own = forms.flatMap(({ properties }) => parts(properties?.[name] ?? {}));
      if (field === undefined) found.push(`${at}${name}: not in the protocol`);
      else
        compareField(
          own.filter((form) => Object.keys(form).length > 0),
          field,
          `${at}${name}`,
        );
    }
  };
  const compareField = (forms: readonly Form[], field: DescField, at: string): void => {
    const ofMessage =
      field.fieldKind === "message" || (field.fieldKind === "list" && field.listKind === "message");
    if (ofMessage && anyValue.has(field.message.typeName)) return;
    const isList = forms.some(({ type }) => type === "array");
    if (isList !== (field.fieldKind === "list")) found.push(`${at}: one of them is a list`);
    const inner = isList ? forms.flatMap(({ items }) => (items === undefined ? [] : parts(items))) : forms;
    if (ofMessage) {
      if (inner.some(({ properties }) => properties === undefined)) found.push(`${at}: no object`);
      compare(inner, field.message, `${at}.`);
      return;
    }
    if (field.fieldKind === "map") {
      if (inner.some(({ additionalProperties }) => additionalProperties === undefined))
        found.push(`${at}: no map`);
      return;
    }
    const { scalar } = field as { readonly scalar?: ScalarType };
    for (const { type, enum: values, const: value } of inner) {
      const is = type ?? typeof (value ?? values?.[0]);
      const fits =
        (is === "number" || is === "integer") && scalar !== undefined
          ? numbers.has(scalar)
          : (is === "boolean" && scalar === ScalarType.BOOL) ||
            (is === "string" && scalar === ScalarType.STRING);
      if (!fits) found.push(`${at}: ${String(is)} in the one, ${String(field)} in the other`);
    }
  };
  compare(parts(whole), message, "");
  return found;
}

const messageOf = ({ method }: Operation): { readonly input: DescMessage; readonly output: DescMessage } => {
  const [service, name] = places[method];
  const found = service.method[name];
  if (found === undefined) throw new Error(`the protocol has no ${name}`);
  return found;
};

describe("a stream", () => {
  it.each([
    ["run", "follow"],
    ["feed", "watch"],
  ] as const)("of a %s is asked for over gRPC as over HTTP", (kind, name) => {
    const { input } = WorkflowService.method[name];
    expect(differences(streamForms[kind] as Form, input, new Set(["namespace"]))).toEqual([]);
  });
});

describe.each(operationsFor(1_000).map((operation) => [operation.method, operation] as const))(
  "%s",
  (method, operation) => {
    it("takes over gRPC what it takes over HTTP", () => {
      const given = new Set(["namespace", ...(method === "deploy" ? ["archive"] : [])]);
      expect(differences(operation.form as Form, messageOf(operation).input, given)).toEqual([]);
    });

    it("gives over gRPC what it gives over HTTP", () => {
      const name = replyNames[method];
      const form = name === undefined ? {} : z.toJSONSchema(replySchemas[name], { io: "output" });
      expect(differences(form as Form, messageOf(operation).output, new Set())).toEqual([]);
    });
  },
);
