/**
 * What the freeze costs: the same loops in a realm that is frozen and in one that is not, turn by turn, the best of
 * many; and what a realm costs to make. `node --conditions=aion-source test/guest/freeze-cost.ts`
 */
import process from "node:process";
import { TestRealm } from "./realm.ts";

const roundCount = 25;

/** Each does its work some thousand times and gives a number, so that none of it can be left out. */
const loops: Readonly<Record<string, string>> = {
  "await of a call":
    "const f = async () => 1; const g = async () => { let s = 0; for (let i = 0; i < 20_000; i++) s += await f(); return s; }; void g(); return 1;",
  "chain of then":
    "let p = Promise.resolve(0); for (let i = 0; i < 20_000; i++) p = p.then((it) => it + 1); return 1;",
  "Promise.all of 3":
    "for (let i = 0; i < 4_000; i++) void Promise.all([1, Promise.resolve(2), 3]); return 1;",
  "for of an array":
    "const a = Array.from({ length: 1_000 }, (_, i) => i); let s = 0; for (let k = 0; k < 200; k++) for (const it of a) s += it; return s;",
  "push and pop":
    "let s = 0; for (let k = 0; k < 100; k++) { const a = []; for (let i = 0; i < 1_000; i++) a.push(i); while (a.length > 0) s += a.pop(); } return s;",
  "map, filter, reduce":
    "const a = Array.from({ length: 100 }, (_, i) => i); let s = 0; for (let k = 0; k < 1_000; k++) s += a.map((it) => it + 1).filter((it) => it % 2).reduce((x, y) => x + y, 0); return s;",
  "spread and destructure":
    "const a = [1, 2, 3, 4, 5]; let s = 0; for (let k = 0; k < 50_000; k++) { const b = [...a, 6]; const [x, y] = b; s += x + y; } return s;",
  "Map: set and iterate":
    "const m = new Map(); for (let i = 0; i < 40_000; i++) m.set('k' + (i % 1_000), i); let s = 0; for (const [, it] of m) s += it; return s;",
  "new of a derived class":
    "class A { constructor(x) { this.x = x; } get y() { return this.x; } } class B extends A { z = 1; } let s = 0; for (let i = 0; i < 100_000; i++) s += new B(i).y; return s;",
  "new of a function":
    "function A(x) { this.x = x; } A.prototype.y = function () { return this.x; }; let s = 0; for (let i = 0; i < 100_000; i++) s += new A(i).y(); return s;",
  "literals and spread":
    "let s = 0; for (let i = 0; i < 100_000; i++) { const a = { a: i, b: 2 }; const b = { ...a, d: 1 }; s += b.a + b.d; } return s;",
  hasOwnProperty:
    "const a = { a: 1 }; let s = 0; for (let i = 0; i < 100_000; i++) if (a.hasOwnProperty('a')) s++; return s;",
  "toString of an object":
    "const a = { a: 1 }; let s = 0; for (let i = 0; i < 30_000; i++) s += String(a).length; return s;",
  "constructor of an object":
    "const a = { a: 1 }; let s = 0; for (let i = 0; i < 100_000; i++) if (a.constructor === Object) s++; return s;",
  "an error with a name":
    "class A extends Error { constructor(m) { super(m); this.name = 'A'; } } let s = 0; for (let i = 0; i < 4_000; i++) s += new A('x').message.length; return s;",
  "JSON there and back":
    "const a = { a: [1, 2, { b: 'c' }], d: 'e' }; let s = 0; for (let i = 0; i < 10_000; i++) s += JSON.stringify(JSON.parse(JSON.stringify(a))).length; return s;",
  "regular expressions":
    "let s = 0; for (let i = 0; i < 20_000; i++) { s += 'abc-def'.replace(/-/g, '_').length; if (/b(.)/.test('abc')) s++; } return s;",
  generators:
    "function* g() { for (let i = 0; i < 1_000; i++) yield i; } let s = 0; for (let k = 0; k < 50; k++) for (const it of g()) s += it; return s;",
  "call, apply, bind":
    "function f(a, b) { return a + b; } let s = 0; for (let i = 0; i < 50_000; i++) s += f.call(null, i, 1) + f.apply(null, [i, 2]) + f.bind(null, 1)(2); return s;",
  "new Date of a number":
    "let s = 0; for (let i = 0; i < 20_000; i++) s += new Date(1e12 + i).getHours(); return s;",
};

function timeMs(work: () => unknown): number {
  const startedAt = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - startedAt) / 1e6;
}

const making = { open: Number.POSITIVE_INFINITY, frozen: Number.POSITIVE_INFINITY };
for (let round = 0; round < roundCount; round++) {
  making.open = Math.min(
    making.open,
    timeMs(() => new TestRealm({ isFrozen: false })),
  );
  making.frozen = Math.min(
    making.frozen,
    timeMs(() => new TestRealm()),
  );
}
process.stdout.write(
  `a realm: ${making.frozen.toFixed(1)} ms, of which the freeze ${(making.frozen - making.open).toFixed(1)} ms\n`,
);

const open = new TestRealm({ isFrozen: false });
const frozen = new TestRealm();
process.stdout.write(
  `${"".padEnd(26)}${"open ms".padStart(9)}${"frozen ms".padStart(11)}${"ratio".padStart(7)}\n`,
);
for (const [name, loop] of Object.entries(loops)) {
  const best = { open: Number.POSITIVE_INFINITY, frozen: Number.POSITIVE_INFINITY };
  for (let round = 0; round < roundCount; round++) {
    best.open = Math.min(
      best.open,
      timeMs(() => open.evaluate(loop)),
    );
    best.frozen = Math.min(
      best.frozen,
      timeMs(() => frozen.evaluate(loop)),
    );
  }
  process.stdout.write(
    `${name.padEnd(26)}${best.open.toFixed(2).padStart(9)}${best.frozen.toFixed(2).padStart(11)}${(best.frozen / best.open).toFixed(2).padStart(7)}\n`,
  );
}
