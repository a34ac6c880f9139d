import { describe, expect, it } from "vitest";
import { isAionError } from "../core/errors.ts";
import { checkArchive, encodeCatalogChange, packageInUse, typesNotInPackage } from "./catalog.ts";
import { archiveOf, deployOf, idOf } from "./conformance/world.ts";
import { packageBytesMax } from "../core/package-version.ts";
import { pinnedCountMax } from "./contract.ts";

const archive = archiveOf("package", ["order"]);
const { version } = archive;

describe("the refusal of an unload says in words", () => {
  const none = { version, workflowTypes: [], runCount: 0, workflowIds: [] };

  it.each([
    [{ ...none, workflowTypes: ["order", "bill"] }, "new runs of order, bill are routed to it"],
    [{ ...none, runCount: 1, workflowIds: [idOf("w")] }, "1 run of it has not ended (w)"],
    [{ ...none, runCount: 2, workflowIds: [idOf("v"), idOf("w")] }, "2 runs of it have not ended (v, w)"],
    [
      { ...none, runCount: pinnedCountMax, workflowIds: [idOf("w")] },
      `${pinnedCountMax} or more runs of it have not ended (w)`,
    ],
    [
      { version, workflowTypes: ["order"], runCount: 1, workflowIds: [idOf("w")] },
      "new runs of order are routed to it; 1 run of it has not ended (w)",
    ],
    [
      { ...none, workflowTypes: Array.from({ length: 11 }, (_, index) => String(index)) },
      "new runs of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … are routed to it",
    ],
    [
      { ...none, workflowTypes: Array.from({ length: 10 }, (_, index) => String(index)) },
      "new runs of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 are routed to it",
    ],
  ])("what uses the package: %j", (use, said) => {
    const error = packageInUse(use);
    expect(error).toMatchObject({
      code: "package_in_use",
      message: `package ${version} is in use: ${said}`,
      details: use,
    });
  });
});

it("a type that a package lacks is named, with what to do", () => {
  expect(typesNotInPackage(version, ["bill", "🚀"])).toMatchObject({
    code: "workflow_type_unknown",
    message: `package ${version} has no workflow of type "bill", "🚀"`,
    hint: expect.stringContaining("in the package") as string,
    details: { version, workflowTypes: ["bill", "🚀"] },
  });
});

// I-50
it("an archive with another hash than its name is refused, with both and with what to do", () => {
  checkArchive(version, archive.bytes);
  const other = archiveOf("packagE", []);
  expect(() => checkArchive(version, other.bytes)).toThrow(
    expect.objectContaining({
      code: "store_corrupt",
      hint: expect.stringContaining("Deploy the same archive again") as string,
      details: { version, found: other.version },
    }),
  );
});

it("types that are given twice count once", () => {
  const twice = ["order", "order"];
  const route = { kind: "route", version, workflowTypes: twice, routedAt: 1 } as const;
  expect(encodeCatalogChange(route)).toEqual({ ...route, workflowTypes: ["order"] });
  expect(encodeCatalogChange(deployOf(archive, { workflowTypes: twice, route: twice }))).toMatchObject({
    workflowTypes: ["order"],
    route: ["order"],
  });
});

it.each([
  ["a version that is no hash", { version: "v1" }],
  ["a version with something after it", { version: `${version}\n` }],
  ["no bytes", { archive: new Uint8Array(0) }],
  ["too many bytes", { archive: new Uint8Array(packageBytesMax + 1) }],
])("a deployment with %s is a bug of its caller", (_, fields) => {
  try {
    encodeCatalogChange(deployOf(archive, fields));
  } catch (error) {
    expect(isAionError(error) && error.code).toBe("internal");
    return;
  }
  expect.unreachable();
});
