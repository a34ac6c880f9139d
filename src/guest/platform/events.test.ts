import { describe, expect, it } from "vitest";
import { runBothWays } from "../../../test/guest/both-ways.ts";
import { createRun, TestRealm } from "../../../test/guest/realm.ts";

/** What the body tells by `tell`, in order: the same in a realm and in Node. */
function compare(body: string): readonly string[] {
  const { realm, node } = runBothWays(`
    const told = []; const tell = (...parts) => told.push(parts.map(String).join(" "));
    ${body}
    return JSON.stringify(told);
  `);
  expect(realm).toBe(node);
  return JSON.parse(String(realm)) as readonly string[];
}

describe("events", () => {
  it.each([
    [
      "reach listeners in order, each once",
      "const t = new EventTarget(); const f = () => tell('f'); t.addEventListener('a', f); t.addEventListener('a', () => tell('g')); t.addEventListener('a', f); t.addEventListener('a', f, true); t.dispatchEvent(new Event('a')); t.dispatchEvent(new Event('b'));",
      3,
    ],
    [
      "reach objects and say where",
      "const t = new EventTarget(); const o = { handleEvent(e) { tell(this === o, e.target === t, e.currentTarget === t, e.type, e.eventPhase, e.composedPath().length); } }; t.addEventListener('a', o); const e = new Event('a'); t.dispatchEvent(e); tell(e.target === t, e.currentTarget, e.eventPhase, e.composedPath().length);",
      2,
    ],
    [
      "reach functions with the target as `this`",
      "const t = new EventTarget(); t.addEventListener('a', function () { tell(this === t); }); t.dispatchEvent(new Event('a'));",
      1,
    ],
    [
      "end after once, and when removed",
      "const t = new EventTarget(); const f = () => tell('f'); t.addEventListener('a', () => tell('once'), { once: true }); t.addEventListener('a', f, { capture: true }); t.dispatchEvent(new Event('a')); t.removeEventListener('a', f); t.dispatchEvent(new Event('a')); t.removeEventListener('a', f, { capture: true }); t.dispatchEvent(new Event('a'));",
      3,
    ],
    [
      "pass over what was removed or added meanwhile",
      "const t = new EventTarget(); const late = () => tell('late'); const gone = () => tell('gone'); t.addEventListener('a', () => { t.removeEventListener('a', gone); t.addEventListener('a', late); tell('first'); }); t.addEventListener('a', gone); t.dispatchEvent(new Event('a'));",
      1,
    ],
    [
      "stop when told",
      "const t = new EventTarget(); t.addEventListener('a', (e) => { e.stopImmediatePropagation(); tell(e.cancelBubble); }); t.addEventListener('a', () => tell('never')); t.dispatchEvent(new Event('a'));",
      1,
    ],
    [
      "are prevented if they can be",
      "const t = new EventTarget(); t.addEventListener('a', (e) => e.preventDefault()); for (const cancelable of [true, false]) { const e = new Event('a', { cancelable }); tell(t.dispatchEvent(e), e.defaultPrevented, e.returnValue, e.cancelable); } t.addEventListener('b', (e) => e.preventDefault(), { passive: true }); tell(t.dispatchEvent(new Event('b', { cancelable: true })));",
      3,
    ],
    [
      "reach a listener that was removed and added again, in its new place",
      "const t = new EventTarget(); const f = () => tell('f'); t.addEventListener('a', f); t.addEventListener('a', () => tell('g')); t.removeEventListener('a', f); t.addEventListener('a', f); t.dispatchEvent(new Event('a'));",
      2,
    ],
    [
      "cannot be dispatched while they are",
      "const t = new EventTarget(); t.addEventListener('a', (e) => { try { t.dispatchEvent(e); } catch (error) { tell('refused'); } }); t.dispatchEvent(new Event('a'));",
      1,
    ],
    [
      "carry details",
      "tell(new CustomEvent('a', { detail: 5 }).detail, new CustomEvent('a').detail, new CustomEvent('a') instanceof Event, new Event('a', { bubbles: 1 }).bubbles, new Event(undefined).type);",
      1,
    ],
    [
      "end with a signal",
      "const t = new EventTarget(); const c = new AbortController(); t.addEventListener('a', () => tell('a'), { signal: c.signal }); t.dispatchEvent(new Event('a')); c.abort(); t.dispatchEvent(new Event('a')); t.addEventListener('a', () => tell('never'), { signal: c.signal }); t.dispatchEvent(new Event('a'));",
      1,
    ],
    [
      "are refused when they are none",
      "const t = new EventTarget(); for (const f of [() => t.dispatchEvent({}), () => new Event(), () => t.addEventListener('a', 5), () => EventTarget.prototype.dispatchEvent.call({}, new Event('a'))]) { try { f(); tell('taken'); } catch (e) { tell(e instanceof TypeError); } } t.addEventListener('a', null); tell('ok');",
      5,
    ],
    [
      "can be of classes that are derived",
      "class T extends EventTarget { #n = 0; hit() { this.#n++; this.dispatchEvent(new (class H extends Event { n = 1 })('hit')); return this.#n; } } const t = new T(); t.addEventListener('hit', (e) => tell(e.n, e.constructor.name)); tell(t.hit());",
      2,
    ],
    [
      "have their constants",
      "tell(Event.NONE, Event.CAPTURING_PHASE, Event.AT_TARGET, Event.BUBBLING_PHASE, Object.prototype.toString.call(new Event('a')), Object.prototype.toString.call(new EventTarget()));",
      1,
    ],
  ])("%s", (_what, body, count) => {
    expect(compare(body)).toHaveLength(count);
  });

  it("go on when a listener throws, which is the run's unhandled rejection", () => {
    const realm = new TestRealm();
    expect(
      realm.evaluate(
        "const t = new EventTarget(); let n = 0; t.addEventListener('a', { handleEvent: () => { n++; } }); t.dispatchEvent(new Event('a')); return n;",
      ),
    ).toBe(1);
  });

  // As the standard has it; in Node they stay stopped.
  it("can be dispatched again after they were stopped, and are stopped beforehand if told so", () => {
    expect(
      new TestRealm().evaluate(`
        const t = new EventTarget(); const told = []; const e = new Event("a");
        t.addEventListener("a", () => { told.push("heard"); e.stopPropagation(); });
        t.dispatchEvent(e); told.push(e.cancelBubble); t.dispatchEvent(e);
        e.stopPropagation(); t.dispatchEvent(e);
        return told;
      `),
    ).toEqual(["heard", false, "heard"]);
  });

  it("are of the time of the run", () => {
    const run = createRun();
    expect(new TestRealm({ run }).evaluate("new Event('a').timeStamp")).toBe(run.time);
  });
});

describe("signals", () => {
  it.each([
    [
      "are aborted once, with a reason",
      "const c = new AbortController(); c.signal.addEventListener('abort', (e) => tell('abort', e.type, e.target === c.signal)); tell(c.signal.aborted, c.signal.reason); c.abort('why'); c.abort('again'); tell(c.signal.aborted, c.signal.reason);",
      3,
    ],
    [
      "have a reason when none was given",
      "const c = new AbortController(); c.abort(); const { reason } = c.signal; tell(reason.name, reason.message, reason.code, reason instanceof DOMException, reason instanceof Error, reason === c.signal.reason); try { c.signal.throwIfAborted(); } catch (error) { tell(error === reason); } new AbortController().signal.throwIfAborted();",
      2,
    ],
    [
      "are made aborted",
      "tell(AbortSignal.abort('a').reason, AbortSignal.abort().reason.name, AbortSignal.abort().aborted);",
      1,
    ],
    [
      "call onabort in its turn",
      "const c = new AbortController(); tell(c.signal.onabort); c.signal.addEventListener('abort', () => tell('first')); c.signal.onabort = function (e) { tell('on', this === c.signal, e.type); }; c.signal.addEventListener('abort', () => tell('last')); tell(typeof c.signal.onabort); c.abort();",
      5,
    ],
    [
      "do not call onabort that was taken back",
      "const c = new AbortController(); c.signal.onabort = () => tell('never'); c.signal.onabort = null; c.abort(); tell('end');",
      1,
    ],
    [
      "follow any of several",
      "const [a, b] = [new AbortController(), new AbortController()]; const s = AbortSignal.any([a.signal, b.signal]); const t = AbortSignal.any([s]); s.addEventListener('abort', () => tell('s', t.aborted)); t.addEventListener('abort', () => tell('t')); a.signal.addEventListener('abort', () => tell('a', s.aborted, t.aborted)); a.abort(1); b.abort(2); tell(s.reason, t.reason, b.signal.reason);",
      4,
    ],
    [
      "are aborted from the start with one that is",
      "const s = AbortSignal.any([new AbortController().signal, AbortSignal.abort(7)]); tell(s.aborted, s.reason, AbortSignal.any([]).aborted, AbortSignal.timeout(0).aborted);",
      1,
    ],
    [
      "are made by controllers only",
      "for (const f of [() => new AbortSignal(), () => AbortSignal(), () => AbortSignal.any([{}]), () => AbortSignal.timeout(-1), () => AbortSignal.timeout(Infinity)]) { try { f(); tell('taken'); } catch (e) { tell(e instanceof Error); } } tell(Object.prototype.toString.call(new AbortController().signal));",
      6,
    ],
  ])("%s", (_what, body, count) => {
    expect(compare(body)).toHaveLength(count);
  });

  // As the standard has it; Node keeps whatever it is given.
  it("take no handler that is none", () => {
    expect(
      new TestRealm().evaluate(
        "const { signal } = new AbortController(); signal.onabort = () => {}; signal.onabort = 5; return signal.onabort;",
      ),
    ).toBe(null);
  });

  it("time out by a durable timer", () => {
    const run = createRun();
    const realm = new TestRealm({ run });
    realm.evaluate(
      "AbortSignal.timeout(3e9).addEventListener('abort', ({ target: { reason } }) => console.log(reason.name, reason.code, reason.message, Date.now())); return 1;",
    );
    const at = run.time + 3_000_000_000;
    expect(run.timers.map(({ atMs }) => atMs)).toEqual([at]);
    realm.fireNext();
    expect(run.logged).toEqual([`info: TimeoutError 23 The operation was aborted due to timeout ${at}`]);
  });
});

describe("DOMException", () => {
  it("has the numbers of old", () => {
    expect(
      compare(`
        const constants = Object.getOwnPropertyNames(DOMException).filter((it) => it.endsWith("_ERR")).sort();
        for (const it of constants) {
          const words = it.slice(0, -4).split("_").map((word) => word[0] + word.slice(1).toLowerCase());
          for (const name of [words.join("") + "Error", words.join("").replace("Url", "URL").replace("Inuse", "InUse") + "Error"]) {
            tell(it, DOMException[it], DOMException.prototype[it], name, new DOMException("", name).code);
          }
        }
      `),
    ).toHaveLength(50);
  });

  it("is as in Node", () => {
    expect(
      compare(`
        for (const given of [["m"], ["m", "AbortError"], ["m", { name: "DataCloneError", cause: 5 }], [5, undefined], ["m", "Odd"]]) {
          const e = new DOMException(...given);
          tell(e.name, e.message, e.code, e.cause, "cause" in e, String(e), e instanceof Error, Object.keys(e).length, e.stack.split("\\n")[0]);
        }
        tell(DOMException.ABORT_ERR, DOMException.prototype.TIMEOUT_ERR, Object.prototype.toString.call(new DOMException()));
      `),
    ).toHaveLength(6);
  });
});
