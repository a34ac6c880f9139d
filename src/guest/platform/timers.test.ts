import { describe, expect, it } from "vitest";
import { createRun, TestRealm } from "../../../test/guest/realm.ts";
import type { TestRun } from "../../../test/guest/realm.ts";

/** Runs the statements, then every timer in its turn; what was told by `tell`, with the time of each. */
function follow(statements: string, turnsMax = 20): readonly string[] {
  const run = createRun();
  const realm = new TestRealm({ run });
  const startedAt = run.time;
  realm.evaluate(`${statements.replaceAll("tell(", "console.log(Date.now(), ")}; return undefined;`);
  for (let turn = 0; turn < turnsMax && realm.fireNext(); turn++);
  return run.logged.map((line) => {
    const [, at, text] = /^info: (\d+) ?(.*)$/s.exec(line) ?? [];
    return `${Number(at) - startedAt} ${text ?? line}`;
  });
}

describe("setTimeout", () => {
  it("fires once, after the delay, with its arguments and itself as `this`", () => {
    expect(
      follow("const t = setTimeout(function (...args) { tell(args.join('-'), this === t); }, 50, 1, 'b');"),
    ).toEqual(["50 1-b true"]);
  });

  it("fires in the order of time, also when nested", () => {
    expect(
      follow(
        "setTimeout(() => tell('b'), 20); setTimeout(() => { tell('a'); setTimeout(() => tell('c'), 15); }, 10);",
      ),
    ).toEqual(["10 a", "20 b", "25 c"]);
  });

  it.each([
    ["no delay", "undefined", 1],
    ["zero", "0", 1],
    ["a negative delay", "-5", 1],
    ["no number", "'soon'", 1],
    ["a number as text", "'30'", 30],
    ["a fraction", "2.9", 2],
    // I-31
    ["more than 2^31 ms", "3e9", 3_000_000_000],
    ["for ever", "Infinity", 315_360_000_000_000],
  ])("takes %s", (_what, delay, expected) => {
    const run = createRun();
    new TestRealm({ run }).evaluate(`setTimeout(() => {}, ${delay}); return undefined;`);
    expect(run.timers.map(({ atMs }) => atMs - run.time)).toEqual([expected]);
  });

  it.each(["'tell(1)'", "undefined", "{}"])("refuses %s as a callback", (callback) => {
    expect(() => new TestRealm().evaluate(`setTimeout(${callback}, 1)`)).toThrow(/callback/);
  });

  it("is called off by what it gave, as an object, a number or text", () => {
    const run = createRun();
    new TestRealm({ run }).evaluate(`
      const start = () => setTimeout(() => {}, 10);
      clearTimeout(start()); clearTimeout(Number(start())); clearTimeout(String(Number(start()))); clearInterval(start());
      start().close(); { using timer = start(); }
      clearTimeout(undefined); clearTimeout(null); clearTimeout(999); clearTimeout({}); return undefined;
    `);
    expect(run.timers).toEqual([]);
  });

  it("is called off once, and not after it fired", () => {
    let count = 0;
    const fires: (() => void)[] = [];
    const run: TestRun = {
      ...createRun(),
      startTimer: (_durationMs, fire) => {
        fires.push(fire);
        return () => void count++;
      },
    };
    new TestRealm({ run }).evaluate(
      "const a = setTimeout(() => {}, 1); clearTimeout(a); clearTimeout(a); const b = setTimeout(() => clearTimeout(b), 1); return 1;",
    );
    expect(count).toBe(1);
    fires[1]?.();
    expect(count).toBe(1);
  });

  it("can be cleared by another timer, and in its own callback", () => {
    expect(
      follow(
        "const a = setTimeout(() => tell('a'), 20); setTimeout(() => clearTimeout(a), 10); const b = setTimeout(() => { clearTimeout(b); tell('b'); }, 5);",
      ),
    ).toEqual(["5 b"]);
  });

  it("begins anew by refresh, also when it has fired", () => {
    expect(
      follow(
        "const t = setTimeout(() => { tell('a'); if (Date.now() < 1767323045006 + 100) t.refresh(); }, 40);",
      ),
    ).toEqual(["40 a", "80 a", "120 a"]);
  });

  it("has what programs call on Node's", () => {
    expect(
      new TestRealm().evaluate(
        "const t = setTimeout(() => {}, 1); return t.unref() === t && t.ref().hasRef();",
      ),
    ).toBe(true);
  });

  it("gives numbers that depend on the run alone", () => {
    const realm = new TestRealm();
    const ids = (): unknown => realm.evaluate("return [1, 2].map(() => Number(setTimeout(() => {}, 1)));");
    expect(ids()).toEqual([1, 2]);
    realm.run = createRun();
    expect(ids()).toEqual([1, 2]);
  });

  it("is not another run's to clear", () => {
    const first = createRun();
    const realm = new TestRealm({ run: first });
    realm.evaluate("setTimeout(() => {}, 1); return undefined;");
    realm.run = createRun();
    realm.evaluate("clearTimeout(1); return undefined;");
    expect(first.timers).toHaveLength(1);
  });
});

describe("setInterval", () => {
  it("fires until it is cleared, also from its own callback", () => {
    expect(
      follow(
        "let n = 0; const t = setInterval((a) => { tell(a); if (++n === 3) clearInterval(t); }, 10, 'x');",
      ),
    ).toEqual(["10 x", "20 x", "30 x"]);
  });

  it("goes on when nobody clears it", () => {
    expect(follow("setInterval(() => tell(''), 1000);", 5)).toHaveLength(5);
  });
});

describe("queueMicrotask", () => {
  it("runs before any timer, in order with promises", () => {
    expect(
      follow(
        "setTimeout(() => tell('timer'), 0); queueMicrotask(() => tell('a')); Promise.resolve().then(() => tell('b')); queueMicrotask(() => tell('c')); tell('now');",
      ),
    ).toEqual(["0 now", "0 a", "0 b", "0 c", "1 timer"]);
  });

  it("refuses what is no function", () => {
    expect(() => new TestRealm().evaluate("queueMicrotask(1)")).toThrow(/callback/);
  });
});
