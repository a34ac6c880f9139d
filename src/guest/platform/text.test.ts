import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runBothWays } from "../../../test/guest/both-ways.ts";

/** The same in a realm and in Node; what it is. */
function same(body: string): unknown {
  const { realm, node } = runBothWays(body);
  expect(realm).toBe(node);
  return realm;
}

const anyText = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 })
    .map((units) => String.fromCharCode(...units)),
);

/** About the edges of what is UTF-8. */
const anyBytes = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom(
      0x80,
      0xbf,
      0xc2,
      0xdf,
      0xe0,
      0xa0,
      0xed,
      0x9f,
      0xef,
      0xbb,
      0xf0,
      0x90,
      0xf4,
      0x8f,
      0xf5,
      0x41,
    ),
  ),
  { maxLength: 14 },
);

describe("TextEncoder", () => {
  it("encodes any text as Node does", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { realm, node } = runBothWays(
          `return new TextEncoder().encode(${JSON.stringify(text)}).join();`,
        );
        expect(realm).toBe(node);
      }),
      { numRuns: 300 },
    );
  });

  it("encodes into what there is room for", () => {
    fc.assert(
      fc.property(anyText, fc.nat(12), (text, size) => {
        const { realm, node } = runBothWays(`
          const bytes = new Uint8Array(${size});
          const { read, written } = new TextEncoder().encodeInto(${JSON.stringify(text)}, bytes);
          return [read, written, ...bytes].join();
        `);
        expect(realm).toBe(node);
      }),
      { numRuns: 300 },
    );
  });

  it("encodes into bytes only", () => {
    expect(same("new TextEncoder().encodeInto('a', [0]);")).toMatch(/^threw TypeError/);
  });

  it("takes nothing for no text", () => {
    expect(same("return [new TextEncoder().encode().length, new TextEncoder().encoding].join();")).toBe(
      "0,utf-8",
    );
  });
});

describe("TextDecoder", () => {
  it.each([
    ["", "{}"],
    ["strictly", "{ fatal: true }"],
    ["with its mark", "{ ignoreBOM: true }"],
  ])("decodes any bytes %s as Node does", (_how, options) => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const { realm, node } = runBothWays(`
          try { return new TextDecoder("utf-8", ${options}).decode(Uint8Array.from([${bytes.join()}])); }
          catch (error) { return "threw " + (error instanceof TypeError); }
        `);
        expect(realm).toBe(node);
      }),
      { numRuns: 300 },
    );
  });

  it("decodes in portions as Node does", () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 4 }), (portions) => {
        const { realm, node } = runBothWays(`
          const decoder = new TextDecoder();
          const texts = ${JSON.stringify(portions)}.map((it) => decoder.decode(Uint8Array.from(it), { stream: true }));
          return [...texts, decoder.decode(), decoder.decode(Uint8Array.of(0xef, 0xbb, 0xbf, 65))].join("|");
        `);
        expect(realm).toBe(node);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    "return ['UTF8', ' utf-8\\n', 'unicode-1-1-utf-8'].map((it) => new TextDecoder(it).encoding).join();",
    "try { new TextDecoder('no such thing'); } catch (error) { return error.name; }",
    "const d = new TextDecoder('utf8', { fatal: 1, ignoreBOM: 0 }); return [d.fatal, d.ignoreBOM].join();",
    "return new TextDecoder().decode(new DataView(Uint8Array.of(65, 66, 67).buffer, 1));",
    "return new TextDecoder().decode(Uint8Array.of(65).buffer) + new TextDecoder().decode();",
    "return new TextDecoder().decode('text');",
    "return String(new TextDecoder().decode(new Uint8Array(100_000).fill(97)).length);",
  ])("does as Node does: %s", (body) => {
    expect(same(body)).toBeDefined();
  });
});

describe("base64", () => {
  it("encodes bytes, and refuses other text, as Node does", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary-ascii", maxLength: 20 }), anyText), (text) => {
        const { realm, node } = runBothWays(`return btoa(${JSON.stringify(text)});`);
        expect(realm).toBe(node);
      }),
      { numRuns: 300 },
    );
  });

  it("decodes forgivingly, as Node does", () => {
    const letter = fc.constantFrom("A", "B", "Q", "w", "z", "0", "9", "+", "/", "=", " ", "\n", "-", "é");
    fc.assert(
      fc.property(fc.array(letter, { maxLength: 12 }), (letters) => {
        const { realm, node } = runBothWays(
          `return JSON.stringify(atob(${JSON.stringify(letters.join(""))}));`,
        );
        expect(realm).toBe(node);
      }),
      { numRuns: 500 },
    );
  });

  it("wants something to work on", () => {
    expect(same("return btoa();")).toMatch(/^threw TypeError/);
  });
});
