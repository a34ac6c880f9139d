/** The workflow file of the example, built into a package. */
import path from "node:path";
import { expect, it } from "vitest";
import { readArchive } from "../../src/package/archive.ts";
import { buildPackage } from "../../src/package/build.ts";

const root = path.dirname(path.dirname(import.meta.dirname));

it("the order example is built as it is, without its services, and the same each time", async () => {
  const file = path.join(root, "examples/order-fulfilment/workflow.ts");
  const { bytes, hash, dropped, warnings } = await buildPackage(file);
  expect(warnings).toEqual([]);
  expect(dropped).toEqual([
    {
      file: "examples/order-fulfilment/workflow.ts",
      activities: ["charge", "refund", "request-approval", "print-label", "hand-over", "send-receipt"],
      imports: ["./services.ts"],
      names: [],
    },
  ]);
  const { manifest, schemas, sourceMap } = readArchive(bytes);
  expect(manifest.workflows).toEqual([
    { type: "fulfil", input: "described", output: "described", signals: ["approval"] },
    { type: "ship", input: "described", output: "described", signals: [] },
  ]);
  expect(schemas.signals["approval"]?.payload).toMatchObject({ required: ["by", "ok"] });
  expect(sourceMap).not.toContain("services.ts");
  expect(Buffer.from(bytes).includes(root)).toBe(false);
  expect((await buildPackage(file)).hash).toBe(hash);
});
