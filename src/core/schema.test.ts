import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Schema } from "./schema.ts";
import { isSchema, parseWithSchema } from "./schema.ts";

describe("a value that a schema checks", () => {
  it("comes back as the schema gives it, defaults filled in", () => {
    const schema = z.object({ id: z.string(), retries: z.number().default(3) });
    expect(parseWithSchema(schema, { id: "a" }, "the input")).toEqual({ id: "a", retries: 3 });
  });

  it("that does not fit is refused with what is wrong and where", () => {
    const schema = z.object({ lines: z.array(z.object({ amount: z.number() })) });
    expect(() => parseWithSchema(schema, { lines: [{ amount: 1 }, { amount: "x" }] }, "the input")).toThrow(
      expect.objectContaining({
        code: "payload_invalid",
        message: expect.stringMatching(/^the input does not fit its schema: lines\.1\.amount: /),
        details: { issues: [{ path: "lines.1.amount", message: expect.any(String) }] },
      }),
    );
  });

  it("with very many faults names some and counts the rest", () => {
    const schema = z.array(z.number());
    const value = Array.from({ length: 50 }, () => "x");
    expect(() => parseWithSchema(schema, value, "it")).toThrow(/\(and 45 more\)$/);
  });

  it("is refused when the schema is asynchronous, without an unhandled rejection", () => {
    const schema = z.string().refine(() => Promise.resolve(false));
    expect(() => parseWithSchema(schema, "a", "it")).toThrow(
      expect.objectContaining({ code: "payload_invalid" }),
    );
    const asynchronous: Schema = {
      "~standard": { version: 1, vendor: "test", validate: () => Promise.reject(new Error("later")) },
    };
    expect(() => parseWithSchema(asynchronous, "a", "it")).toThrow(/asynchronous/);
  });

  it("is refused when the schema itself throws, with the cause", () => {
    const cause = new Error("broken schema");
    const schema: Schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => {
          throw cause;
        },
      },
    };
    expect(() => parseWithSchema(schema, "a", "it")).toThrow(
      expect.objectContaining({ code: "payload_invalid", cause }),
    );
  });
});

it("a schema is recognised by the standard, whoever made it", () => {
  expect(isSchema(z.string())).toBe(true);
  expect(isSchema(Object.assign(() => 1, { "~standard": {} }))).toBe(true);
  for (const value of [undefined, null, "x", {}, () => 1]) expect(isSchema(value)).toBe(false);
});
