import { describe, expect, it } from "vitest";
import { TestRealm } from "../../../test/guest/realm.ts";

describe("zod", () => {
  const realm = new TestRealm();
  const use = (expression: string): unknown =>
    realm.evaluateWith('export { z } from "zod";', `(({ z }) => ${expression})(module)`);

  it("parses and refuses in a frozen realm", () => {
    expect(
      use(`{
        const Order = z.object({ id: z.uuid(), amount: z.number().positive(), at: z.coerce.date(), tags: z.array(z.string()).default([]) });
        const good = Order.parse({ id: crypto.randomUUID(), amount: 5, at: "2026-01-02T03:04" });
        const bad = Order.safeParse({ id: "x", amount: -1, at: "never" });
        return [good, bad.success, bad.error.issues.map((it) => it.path.join(".")), bad.error instanceof Error, bad.error.name];
      }`),
    ).toEqual([
      { id: expect.stringMatching(/^0000/), amount: 5, at: "2026-01-02T03:04:00.000Z", tags: [] },
      false,
      ["id", "amount", "at"],
      true,
      "ZodError",
    ]);
  });

  it("has unions, transforms, refinements and JSON Schemas there", () => {
    expect(
      use(`{
        const Shape = z.discriminatedUnion("kind", [
          z.object({ kind: z.literal("circle"), radius: z.number() }),
          z.object({ kind: z.literal("square"), side: z.number().transform((it) => it * 2).refine((it) => it < 100) }),
        ]);
        return [
          Shape.parse({ kind: "square", side: 4 }), Shape.safeParse({ kind: "square", side: 400 }).success,
          z.toJSONSchema(z.object({ a: z.string().optional() })).properties, z.email().safeParse("a@b.org").success,
        ];
      }`),
    ).toEqual([{ kind: "square", side: 8 }, false, { a: { type: "string" } }, true]);
  });
});

describe("the globalThis of a module", () => {
  const realm = new TestRealm();
  const source = "const its: Record<string, unknown> = globalThis as never; export { its };";
  const use = (expression: string): unknown =>
    realm.evaluateWith(source, `((its) => ${expression})(module.its)`);

  it("has all that the realm's has, and what the module puts there", () => {
    expect(
      use(
        "[its.Date === Date, its.globalThis === its, its.self === its, (its.kept = 5, its.kept), 'setTimeout' in its]",
      ),
    ).toEqual([true, true, true, 5, true]);
    expect(use("(its.globalThis = 5, its.self = 6, [its.globalThis, its.self])")).toEqual([5, 6]);
  });

  it("is no other module's, and not the realm's", () => {
    expect(use("(its.kept = 5, [typeof kept, 'kept' in globalThis])")).toEqual(["undefined", true]);
    expect(use("'kept' in its")).toBe(false);
    expect(realm.evaluate("'kept' in globalThis")).toBe(false);
  });
});
