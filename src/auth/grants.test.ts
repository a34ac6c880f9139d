import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { roles } from "../client/access.ts";
import { isAionError } from "../core/errors.ts";
import { grantToText, parseGrants } from "./grants.ts";

const namespace = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const queue = fc.stringMatching(/^[a-zA-Z0-9_. é/:@-]{1,20}$/);
const allOr = (name: fc.Arbitrary<string>): fc.Arbitrary<"*" | string[]> =>
  fc.oneof(fc.constant("*" as const), fc.uniqueArray(name, { minLength: 1, maxLength: 4 }));
const grant = fc.record(
  {
    roles: fc.uniqueArray(fc.constantFrom(...roles), { minLength: 1 }),
    namespaces: allOr(namespace),
    taskQueues: allOr(queue),
  },
  { requiredKeys: ["roles", "namespaces"] },
);

describe("grants", () => {
  it("are the same as text, as an object and over JSON", () => {
    fc.assert(
      fc.property(fc.array(grant, { maxLength: 5 }), (grants) => {
        expect(parseGrants(grants)).toEqual(grants);
        expect(parseGrants(JSON.parse(JSON.stringify(grants)))).toEqual(grants);
        expect(parseGrants(grants.map(grantToText))).toEqual(grants);
      }),
    );
  });

  it.each([
    ["read@team-a", { roles: ["read"], namespaces: ["team-a"] }],
    ["read,start@a,b", { roles: ["read", "start"], namespaces: ["a", "b"] }],
    ["admin@*", { roles: ["admin"], namespaces: "*" }],
    ["work@default/gpu,cpu", { roles: ["work"], namespaces: ["default"], taskQueues: ["gpu", "cpu"] }],
    ["work@default/*", { roles: ["work"], namespaces: ["default"], taskQueues: "*" }],
  ])("%s is read as it is meant", (text, meant) => {
    expect(parseGrants([text])).toEqual([meant]);
  });

  it.each([
    "read@team-a",
    { 0: "read@a", length: 1 },
    null,
    ["read"],
    ["read@"],
    ["@a"],
    ["read@*,a"],
    ["root@a"],
    ["READ@a"],
    ["read @a"],
    ["read@A"],
    ["read@a/"],
    ["read@a/b\u0000"],
    [{ roles: ["read"] }],
    [{ roles: "read", namespaces: ["a"] }],
    [{ roles: [], namespaces: ["a"] }],
    [{ roles: ["read"], namespaces: [] }],
    [{ roles: ["read"], namespaces: ["*"] }],
    [{ roles: ["read"], namespaces: "a" }],
    [{ roles: ["read"], namespaces: ["a"], namespace: "b" }],
    [{ roles: ["read"], namespaces: ["a"], taskQueues: [] }],
    [["read@a"]],
    Array.from({ length: 101 }, () => "read@a"),
  ])("%j are refused, and nothing of them is granted", (value) => {
    expect(() => parseGrants(value)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });

  it("that are anything at all are refused with a code, or are grants", () => {
    const parts = fc.oneof(fc.anything(), fc.constantFrom("*", "admin", "read@a", "roles", "namespaces"));
    const hostile = fc.oneof(
      parts,
      fc.array(parts),
      fc.array(fc.string()),
      fc.array(fc.record({ roles: parts, namespaces: parts, taskQueues: parts }, { requiredKeys: [] })),
    );
    fc.assert(
      fc.property(hostile, (value) => {
        try {
          // What comes out is what the types say, and goes in again.
          const grants = parseGrants(value);
          expect(parseGrants(JSON.parse(JSON.stringify(grants)))).toEqual(grants);
        } catch (error) {
          expect(isAionError(error) && error.code).toBe("invalid_argument");
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
