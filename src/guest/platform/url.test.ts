import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runBothWays } from "../../../test/guest/both-ways.ts";

/** The same in a realm and in Node; what it is. */
function same(body: string): unknown {
  const { realm, node } = runBothWays(body);
  expect(realm).toBe(node);
  return realm;
}

const parts = [
  "href",
  "origin",
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
];
const showUrl = `const show = (url) => JSON.stringify([...${JSON.stringify(parts)}.map((part) => url[part]), [...url.searchParams]]);`;

const urlText = fc.oneof(
  fc.webUrl({ withFragments: true, withQueryParameters: true }),
  fc
    .array(
      fc.constantFrom(
        ...[
          "http:",
          "https://",
          "//",
          "user:pa ss@",
          "EXAMPLE.com",
          "bücher.example",
          ":8080",
          ":443",
          "/a/../b",
          "/%zz",
        ],
        ...[
          "?a=1&b=%20+",
          "#x y",
          "..",
          "file:///",
          "mailto:a@b",
          "[::1]",
          "1.2.3",
          "\t",
          "?",
          "data:,x",
          "é",
          "\ud800",
        ],
      ),
      { minLength: 1, maxLength: 5 },
    )
    .map((pieces) => pieces.join("")),
);

const piecesOf = (...pieces: readonly string[]): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...pieces), { maxLength: 10 }).map((given) => given.join(""));
// Apart: Node does not keep to the standard where other letters stand beside percent signs that mean no letter.
const query = fc.oneof(
  piecesOf("a", "b", "=", "&", "+", "%20", "%zz", "%e4", "%", " ", "*", "-._~'()", "?"),
  piecesOf("a", "b", "=", "&", "+", "%20", "%C3%A9", " ", "é", "\ud800", "\u{1f600}", "?"),
);

describe("URL", () => {
  it("parses and refuses as Node does, also against a base", () => {
    fc.assert(
      fc.property(urlText, fc.option(urlText, { nil: undefined }), (input, base) => {
        const given = [input, base].map((text) => JSON.stringify(text) ?? "undefined").join(", ");
        const { realm, node } = runBothWays(
          `${showUrl} return URL.canParse(${given}) + show(new URL(${given})) + String(URL.parse(${given}));`,
        );
        expect(realm).toBe(node);
      }),
      { numRuns: 400 },
    );
  });

  it("sets its parts as Node does", () => {
    const setting = fc.tuple(
      fc.constantFrom(...parts.filter((part) => part !== "origin" && part !== "href")),
      fc.oneof(
        query,
        fc.constantFrom("https", "ftp:", "example.org:99", "80", "x:y", "/p?q#h", "?q=1", "#h", ""),
      ),
    );
    fc.assert(
      fc.property(
        fc.constantFrom("http://u:p@a.b:81/c?d=e#f", "file:///a", "mailto:x"),
        fc.array(setting, { maxLength: 4 }),
        (start, settings) => {
          const { realm, node } = runBothWays(`
          ${showUrl} const url = new URL(${JSON.stringify(start)});
          for (const [part, value] of ${JSON.stringify(settings)}) url[part] = value;
          return show(url);
        `);
          expect(realm).toBe(node);
        },
      ),
      { numRuns: 400 },
    );
  });

  it.each([
    "const u = new URL('http://a/?x=1'); u.searchParams.append('y', 'a b&'); u.searchParams.delete('x'); return u.href + JSON.stringify(u);",
    "const u = new URL('http://a/?x=1'); const { searchParams } = u; u.search = '?z=2'; u.href = 'http://b/?q=3'; return searchParams.get('q') + (u.searchParams === searchParams);",
    "const u = new URL('http://a/?x=1#h'); u.searchParams.delete('x'); return u.href;",
    "const u = new URL('http://a/?b&a'); u.searchParams.sort(); return u.href;",
    "const u = new URL('http://a/'); u.href = 'no';",
    "try { new URL('no'); } catch (e) { return [e.name, e.message, e.code, e.input, 'base' in e].join(); }",
    "try { new URL('no', 'neither'); } catch (e) { return [e.input, e.base].join(); }",
    "return `${new URL('../c', new URL('http://a/b/'))}` + URL.parse('no');",
    "return Object.prototype.toString.call(new URL('http://a')) + Object.prototype.toString.call(new URLSearchParams());",
  ])("does as Node does: %s", (body) => {
    expect(same(body)).toBeDefined();
  });
});

describe("URLSearchParams", () => {
  it("reads and writes any query as Node does", () => {
    fc.assert(
      fc.property(query, (text) => {
        const { realm, node } = runBothWays(
          `const p = new URLSearchParams(${JSON.stringify(text)}); return JSON.stringify([[...p], p.size]) + p;`,
        );
        expect(realm).toBe(node);
      }),
      { numRuns: 400 },
    );
  });

  it("changes as Node does", () => {
    const change = fc.tuple(
      fc.constantFrom("append", "set", "delete", "has", "get", "getAll", "sort"),
      fc.constantFrom("a", "b", "é"),
      fc.constantFrom("1", "2", "a b", undefined),
    );
    fc.assert(
      fc.property(query, fc.array(change, { maxLength: 6 }), (text, changes) => {
        const calls = changes.map(
          ([method, name, value]) =>
            `answers.push(p.${method}(${JSON.stringify(name)}, ${JSON.stringify(value)}));`,
        );
        const { realm, node } = runBothWays(
          `const p = new URLSearchParams(${JSON.stringify(text)}); const answers = []; ${calls.join(" ")} return p + JSON.stringify([...p.entries()]) + JSON.stringify(answers);`,
        );
        expect(realm).toBe(node);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    "return String(new URLSearchParams({ a: 1, b: [2, 3] }));",
    "return String(new URLSearchParams([['a', 1], new Set(['b', 2])]));",
    "return String(new URLSearchParams(new Map([['a', 'b']])));",
    "return String(new URLSearchParams(new URLSearchParams('a=1&a=2')));",
    "return String(new URLSearchParams('??a=1')) + new URLSearchParams() + new URLSearchParams(undefined);",
    "new URLSearchParams([['a']]);",
    "new URLSearchParams([1]);",
    "const p = new URLSearchParams('a=1&b=2'); const told = []; p.forEach(function (value, name, all) { told.push(value, name, all === p, this.x); }, { x: 5 }); return told.join();",
    "const p = new URLSearchParams('a=1'); const told = []; for (const [name] of p) { told.push(name); if (told.length < 3) p.append('n' + told.length, ''); } return told.join();",
    "const p = new URLSearchParams('a=1&b=2'); return [...p.keys(), ...p.values(), p.entries().next().value, Object.prototype.toString.call(p.keys())].join();",
    "new URLSearchParams().forEach(5);",
  ])("does as Node does: %s", (body) => {
    expect(same(`${body} return "";`)).toBeDefined();
  });
});
