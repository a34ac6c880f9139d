import { zipSync } from "fflate";
import type { Zippable } from "fflate";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAionError } from "../core/errors.ts";
import { hashArchive, readArchive, writeArchive } from "./archive.ts";
import type { PackageContents } from "./archive.ts";
import { toJsonText } from "./manifest.ts";
import type { Manifest, Schemas } from "./manifest.ts";

const manifest: Manifest = {
  format: 1,
  aion: "0.1.0",
  entry: "order.ts",
  workflows: [{ type: "fulfil", input: "described", output: "any", signals: ["approval"] }],
  activities: [{ type: "charge", input: "opaque", options: { startToCloseMs: 30_000 } }],
  signals: [{ name: "approval", payload: "any" }],
  queries: [{ name: "stage", input: "any", output: "any" }],
  updates: [{ name: "move", input: "any", output: "any" }],
};
const schemas: Schemas = {
  workflows: { fulfil: { input: { type: "object", properties: { z: {}, a: { type: "string" } } } } },
  activities: {},
  signals: {},
  queries: {},
  updates: {},
};
const contents: PackageContents = {
  manifest,
  schemas,
  libraries: "",
  script: "(function (require, module, exports) {\n// größer ✓\n})\n",
  sourceMap: '{"version":3,"sources":["order.ts"],"mappings":""}',
};
const valid = writeArchive(contents);

/** The error that reading ends with. */
function refusal(bytes: Uint8Array, bytesMax?: number): { readonly code: string; readonly message: string } {
  try {
    readArchive(bytes, bytesMax);
  } catch (error) {
    if (isAionError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it was read");
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const parts = {
  "manifest.json": encode(toJsonText(manifest)),
  "schemas.json": encode(toJsonText(schemas)),
  "workflow.js": encode(contents.script),
  "workflow.js.map": encode(contents.sourceMap),
  "libraries.js": encode(contents.libraries),
};
const asOurs = { level: 0, mtime: new Date(1980, 0, 1, 12) } as const;
const pack = (files: Zippable, options: Parameters<typeof zipSync>[1] = asOurs): Uint8Array =>
  zipSync(files, options);

/** The archive with other bytes from a position on. */
function poked(at: number, ...bytes: readonly number[]): Uint8Array {
  const copy = Uint8Array.from(valid);
  copy.set(bytes, at < 0 ? copy.length + at : at);
  return copy;
}

function joined(...chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(chunks));
}

const text = Buffer.from(valid).toString("latin1");
const directoryAt = text.indexOf("PK\u0001\u0002");
const endAt = text.indexOf("PK\u0005\u0006");

/** The same archive with one entry of the directory once more, and the counts to match. */
function withEntryTwice(): Uint8Array {
  const second = text.indexOf("PK\u0001\u0002", directoryAt + 1);
  const entry = valid.subarray(directoryAt, second);
  const bytes = joined(valid.subarray(0, endAt), entry, valid.subarray(endAt));
  const view = new DataView(bytes.buffer);
  const end = endAt + entry.length;
  view.setUint16(end + 8, 6, true);
  view.setUint16(end + 10, 6, true);
  view.setUint32(end + 12, endAt - directoryAt + entry.length, true);
  return bytes;
}

describe("a package as an archive", () => {
  it("is read as it was written, with the hash of its bytes", () => {
    expect(readArchive(valid)).toEqual({ ...contents, hash: hashArchive(valid) });
    expect(hashArchive(valid)).toMatch(/^[0-9a-f]{64}$/);
    expect(hashArchive(encode("abc"))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  it("is the same bytes whatever the time zone", () => {
    const zone = process.env["TZ"];
    try {
      for (const other of ["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Europe/London"]) {
        process.env["TZ"] = other;
        expect(Buffer.compare(writeArchive(contents), valid)).toBe(0);
      }
    } finally {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    }
  });

  it("is what any zip program reads", () => {
    expect(text.slice(0, 4)).toBe("PK\u0003\u0004");
    // Noon of 1 January 1980, stored, without a data descriptor.
    expect(Buffer.from(valid.subarray(4, 14)).toString("hex")).toBe("14000000000000602100");
    expect(text).toContain(contents.sourceMap);
  });
});

describe("an archive that is refused", () => {
  it.each<readonly [what: string, bytes: Uint8Array, message: RegExp]>([
    ["nothing", new Uint8Array(0), /no zip archive/],
    ["another file", encode("#!/usr/bin/env node\n"), /no zip archive/],
    ["the beginning of a zip", encode("PK"), /cannot be read/],
    ["half of a package", valid.subarray(0, valid.length >> 1), /cannot be read/],
    ["all but the last byte", valid.subarray(0, -1), /./],
    ["a zip of nothing", pack({}), /holds no manifest\.json/],
    [
      "one without its schemas",
      pack({
        "manifest.json": parts["manifest.json"],
        "workflow.js": parts["workflow.js"],
        "workflow.js.map": parts["workflow.js.map"],
      }),
      /holds no schemas\.json/,
    ],
    ["a file more", pack({ ...parts, "readme.md": encode("hello") }), /holds "readme\.md", which is no part/],
    [
      "a path that leads out",
      pack({ ...parts, "../../etc/passwd": encode("x") }),
      /holds "\.\.\/\.\.\/etc\/passwd"/,
    ],
    ["an absolute path", pack({ ...parts, "/etc/passwd": encode("x") }), /holds "\/etc\/passwd"/],
    ["a path of Windows", pack({ ...parts, "..\\x": encode("x") }), /holds "\.\.\\\\x"/],
    ["a folder", pack({ ...parts, "a/": new Uint8Array(0) }), /holds "a\/"/],
    ["a file in a folder", pack({ ...parts, "src/workflow.js": encode("x") }), /holds "src\/workflow\.js"/],
    [
      "the right name in another case",
      pack({ ...parts, "Manifest.json": encode("x") }),
      /holds "Manifest\.json"/,
    ],
    ["a file twice", withEntryTwice(), /holds "manifest\.json" twice/],
    ["compressed files", pack(parts, { ...asOurs, level: 9 }), /is compressed/],
    [
      "another date",
      pack(parts, { level: 0, mtime: new Date(2026, 0, 1) }),
      /not written as `aion build` writes it/,
    ],
    [
      "another order",
      pack(Object.fromEntries(Object.entries(parts).toReversed())),
      /not written as `aion build` writes it/,
    ],
    ["a comment of the archive", pack(parts, { ...asOurs, comment: "hello" }), /not written as/],
    [
      "an extra field",
      pack({ ...parts, "workflow.js": [parts["workflow.js"], { extra: { 0x7075: encode("x") } }] }),
      /not written as/,
    ],
    [
      "a symbolic link",
      pack({ ...parts, "workflow.js": [parts["workflow.js"], { os: 3, attrs: 0o120_777 << 16 }] }),
      /not written as/,
    ],
    [
      "rights of Unix",
      pack({ ...parts, "workflow.js": [parts["workflow.js"], { os: 3, attrs: 0o755 << 16 }] }),
      /not written as/,
    ],
    ["something after it", joined(valid, encode("x")), /./],
    ["something before it", joined(encode("PK#!"), valid), /./],
    ["another archive after it", joined(valid, valid), /./],
    ["a wrong checksum", poked(14, 0, 0, 0, 0), /not written as/],
    ["an encrypted file", poked(6, 1), /not written as/],
    [
      "bytes that are no text",
      pack({ ...parts, "workflow.js": Uint8Array.of(0xff, 0xfe) }),
      /cannot be read/,
    ],
    [
      "a manifest that is no JSON",
      pack({ ...parts, "manifest.json": encode("{") }),
      /manifest\.json is no JSON/,
    ],
    [
      "a manifest of another program",
      pack({ ...parts, "manifest.json": encode('{"name": "x"}') }),
      /manifest\.json does not have its form at format/,
    ],
    [
      "a later format",
      pack({ ...parts, "manifest.json": encode('{"format": 2, "new": true}') }),
      /has format 2, and this version of Aion reads format 1/,
    ],
    [
      "a manifest with a field more",
      pack({ ...parts, "manifest.json": encode(JSON.stringify({ ...manifest, extra: 1 })) }),
      /does not have its form/,
    ],
    [
      "a manifest with other white space",
      pack({ ...parts, "manifest.json": encode(JSON.stringify(manifest, undefined, 2)) }),
      /not written as/,
    ],
    [
      "a manifest with a key twice",
      pack({
        ...parts,
        "manifest.json": encode(toJsonText(manifest).replace('"format":1,', '"format":1,"format":1,')),
      }),
      /not written as/,
    ],
    [
      "workflows that are not in order",
      pack({
        ...parts,
        "manifest.json": encode(
          toJsonText({
            ...manifest,
            workflows: ["b", "a"].map((type) => ({
              type,
              input: "any" as const,
              output: "any" as const,
              signals: [],
            })),
          }),
        ),
      }),
      /sorted by name/,
    ],
    [
      "a workflow without a name",
      pack({ ...parts, "manifest.json": encode(toJsonText(manifest).replace('"fulfil"', '""')) }),
      /is no name/,
    ],
    [
      "a schema that the manifest does not know of",
      pack({
        ...parts,
        "schemas.json": encode(toJsonText({ ...schemas, signals: { approval: { payload: {} } } })),
      }),
      /do not agree about the payload of signal "approval"/,
    ],
    [
      "a schema that is missing",
      pack({ ...parts, "schemas.json": encode(toJsonText({ ...schemas, workflows: {} })) }),
      /do not agree about the input of workflow "fulfil"/,
    ],
    [
      "a source map that is none",
      pack({ ...parts, "workflow.js.map": encode("[]") }),
      /workflow\.js\.map does not have/,
    ],
    [
      "JSON that is nested without end",
      pack({ ...parts, "manifest.json": encode("[".repeat(200_000)) }),
      /manifest\.json/,
    ],
  ])("is %s", (_what, bytes, message) => {
    const { code, message: said } = refusal(bytes);
    expect(code).toBe("package_invalid");
    expect(said).toMatch(message);
  });

  it("is one that is too large, before anything in it is looked at", () => {
    expect(refusal(encode("no zip at all"), 5)).toEqual({
      code: "package_too_large",
      message: "the package has 13 bytes, more than the limit of 5",
    });
    expect(refusal(valid, valid.length - 1).code).toBe("package_too_large");
    expect(readArchive(valid, valid.length).manifest).toEqual(manifest);
  });

  it("is a bomb, by the size that it claims", () => {
    const bomb = pack({ ...parts, "workflow.js": [new Uint8Array(50_000_000), { level: 9 }] });
    expect(bomb.length).toBeLessThan(100_000);
    expect(refusal(bomb, 1_000_000)).toMatchObject({
      code: "package_too_large",
      message: expect.stringMatching(/^workflow\.js has 50000000 bytes/) as string,
    });
    const manifestBomb = pack({ ...parts, "manifest.json": new Uint8Array(5_000_000) });
    expect(refusal(manifestBomb)).toMatchObject({ code: "package_too_large" });
  });

  it("is one that claims four billion files, at the first that should not be there", () => {
    // A zip64 record in front of the end: a reader that believes it loops for minutes.
    const record = Buffer.alloc(56);
    record.writeUInt32LE(0x06064b50, 0);
    record.writeUInt32LE(0xffff_ffff, 32);
    record.writeUInt32LE(0xffff_ff00, 48);
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeUInt32LE(4, 8);
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(0xffff, 8);
    end.writeUInt32LE(0xffff_ffff, 16);
    const startedAt = performance.now();
    expect(refusal(joined(encode("PK\u0003\u0004"), record, locator, end)).code).toBe("package_invalid");
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it("is one whose JSON is built to be expensive, in little time", () => {
    const startedAt = performance.now();
    const nested = `{"workflows":{"fulfil":{"input":{"a":${"[".repeat(3_000_000)}${"]".repeat(3_000_000)}}}},"activities":{},"signals":{},"queries":{}}\n`;
    expect(refusal(pack({ ...parts, "schemas.json": encode(nested) })).code).toBe("package_invalid");
    const many = Array.from({ length: 40_000 }, (_, index) => ({
      name: String(index).padStart(6, "0"),
      payload: "described" as const,
    }));
    const long = encode(toJsonText({ ...manifest, signals: many }));
    expect(refusal(pack({ ...parts, "manifest.json": long })).message).toMatch(
      /do not agree about the payload/,
    );
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });

  it("is not written either", () => {
    expect(() => writeArchive(contents, 100)).toThrow(/more than the limit of 100/);
  });
});

describe("an archive with bytes changed at random", () => {
  /** Refused by code, or identical. */
  function holds(bytes: Uint8Array): void {
    try {
      const { hash, ...read } = readArchive(bytes);
      expect(Buffer.compare(writeArchive(read), bytes)).toBe(0);
      expect(hash).toBe(hashArchive(bytes));
    } catch (error) {
      if (!isAionError(error)) throw error;
      expect(error.code).toMatch(/^package_(?:invalid|too_large)$/);
      expect(error.hint).not.toBe("");
    }
  }

  it("is refused, or is what our own writer makes of it", () => {
    const position = fc.oneof(
      fc.nat({ max: valid.length - 1 }),
      fc.nat({ max: 40 }),
      fc.integer({ min: directoryAt, max: valid.length - 1 }),
    );
    const mutation = fc.oneof(
      fc.record({
        kind: fc.constant("set" as const),
        at: position,
        bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
      }),
      fc.record({
        kind: fc.constant("insert" as const),
        at: position,
        bytes: fc.uint8Array({ minLength: 1, maxLength: 30 }),
      }),
      fc.record({
        kind: fc.constant("remove" as const),
        at: position,
        count: fc.integer({ min: 1, max: 40 }),
      }),
      fc.record({
        kind: fc.constant("repeat" as const),
        at: position,
        count: fc.integer({ min: 1, max: 200 }),
      }),
      fc.record({
        kind: fc.constant("text" as const),
        at: position,
        byte: fc.constantFrom(0x20, 0x22, 0x30, 0x31, 0x7b, 0x7d),
      }),
    );
    let readCount = 0;
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        let bytes: Uint8Array = valid;
        for (const change of mutations) {
          const at = Math.min(change.at, bytes.length);
          const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
          if (change.kind === "set")
            bytes = joined(before, change.bytes, after.subarray(change.bytes.length));
          else if (change.kind === "insert") bytes = joined(before, change.bytes, after);
          else if (change.kind === "remove") bytes = joined(before, after.subarray(change.count));
          else if (change.kind === "repeat") bytes = joined(before, after.subarray(0, change.count), after);
          else bytes = joined(before, Uint8Array.of(change.byte), after.subarray(1));
        }
        holds(bytes);
        if (Buffer.compare(bytes, valid) === 0) readCount++;
      }),
      { numRuns: 2_000 },
    );
    expect(readCount).toBeLessThan(2_000);
  });

  it("is refused when any one byte differs", () => {
    for (let at = 0; at < valid.length; at++) {
      for (const bit of [1, 0x80]) {
        const bytes = poked(at, (valid[at] ?? 0) ^ bit);
        // A letter of the script, say, is another package; its checksum tells that it is not this one.
        expect(refusal(bytes).code).toMatch(/^package_(?:invalid|too_large)$/);
      }
    }
  });

  it("that is arbitrary is refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        holds(bytes);
        holds(joined(encode("PK\u0003\u0004"), bytes));
        holds(joined(encode("PK\u0003\u0004"), bytes, valid.subarray(endAt)));
        expect(refusal(bytes).code).toBe("package_invalid");
      }),
      { numRuns: 1_000 },
    );
  });
});
