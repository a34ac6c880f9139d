/** The document that describes the API: valid, complete, and true of what is answered. */
import { Validator } from "@seriousme/openapi-schema-validator";
import { beforeAll, describe, expect, it } from "vitest";
import { routes } from "../../src/client/routes.ts";
import { AionError, errorTable } from "../../src/core/errors.ts";
import { replyNames } from "../../src/http/replies.ts";
import { documentOf } from "../../src/http/openapi.ts";
import { operationsFor } from "../../src/http/operations.ts";
import { serve, under } from "./serve.ts";

interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
  }[];
  readonly requestBody?: {
    readonly content: Readonly<
      Record<string, { readonly schema: { properties?: object }; readonly example?: object }>
    >;
  };
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

const document = documentOf(operationsFor(2 * 1024 * 1024), "1.2.3") as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
};

function operationOf(id: string): Described {
  const found = Object.values(document.paths)
    .flatMap((verbs) => Object.values(verbs))
    .find(({ operationId }) => operationId === id);
  if (found === undefined) throw new Error(`no operation ${id}`);
  return found;
}

let verdict: Awaited<ReturnType<Validator["validate"]>>;

beforeAll(async () => {
  verdict = await new Validator().validate(JSON.parse(JSON.stringify(document)) as Record<string, unknown>);
});

describe("the OpenAPI document", () => {
  it("is valid OpenAPI 3.1", () => {
    expect(verdict).toMatchObject({ valid: true });
  });

  it("refers to nothing that is not there, and has nothing that is not referred to", () => {
    const text = JSON.stringify(document);
    const referred = new Set(
      [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name = ""]) => name),
    );
    expect([...text.matchAll(/"\$ref":"(?!#\/components\/schemas\/)/g)]).toEqual([]);
    expect(referred).toEqual(new Set(Object.keys(document.components.schemas)));
  });

  it("has every operation, with what it takes", () => {
    for (const [method, route] of Object.entries(routes)) {
      const { summary, parameters = [], requestBody } = operationOf(method);
      expect(summary).not.toBe("");
      const inPath = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
      expect(inPath).toEqual([
        "namespace",
        ...[...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
      ]);
      expect(requestBody === undefined).toBe(route.rest === "query");
    }
    const names = (id: string): readonly string[] =>
      (operationOf(id).parameters ?? [])
        .filter((parameter) => parameter.in === "query")
        .map(({ name }) => name);
    expect(names("list")).toContain("startedAfter");
    expect(names("history")).toEqual(["runId", "fromSeq", "limit", "waitMs"]);
    const body = operationOf("start").requestBody?.content["application/json"]?.schema.properties ?? {};
    expect(Object.keys(body)).toContain("reuse");
  });

  it("has a body for each call that takes one, with which it can be tried", async () => {
    const reached: string[] = [];
    const answer = (method: string) => async (): Promise<never> => {
      reached.push(method);
      throw new AionError("run_not_found", "there is none");
    };
    const methods = Object.keys(routes) as (keyof typeof routes)[];
    const { url } = await serve(Object.fromEntries(methods.map((method) => [method, answer(method)])));
    const withBody = methods.filter((method) => routes[method].rest === "body");
    for (const method of withBody) {
      const { requestBody, parameters = [] } = operationOf(method);
      expect(parameters.find(({ name }) => name === "namespace")).toMatchObject({ example: "default" });
      const path = routes[method].path.replaceAll(/\{\w+\}/g, "a");
      await fetch(under(url, path), {
        method: routes[method].verb,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(requestBody?.content["application/json"]?.example),
      });
    }
    expect(reached).toEqual(withBody);
    expect(operationOf("calls").requestBody?.content["application/json"]?.example).toMatchObject({
      calls: [{ operation: "signal" }, { operation: "signal" }],
    });
  });

  it("tells of the schedules that they are made, as of what else is", () => {
    for (const method of ["start", "deploy", "createSchedule"])
      expect(Object.keys(operationOf(method).responses).slice(0, 2)).toEqual(["200", "201"]);
  });

  it("names every error under its status", () => {
    const { responses } = operationOf("signal");
    const text = Object.values(responses)
      .map(({ description }) => description)
      .join(" ");
    for (const code of Object.keys(errorTable)) expect(text).toContain(`\`${code}\``);
    expect(responses["404"]?.description).toContain("`run_not_found`");
  });

  it("has a form for each answer", () => {
    expect(Object.keys(replyNames).toSorted()).toEqual(Object.keys(routes).toSorted());
  });
});
