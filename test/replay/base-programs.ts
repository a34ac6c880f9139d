/** Programs in which every operator finds something to change, and messages for them. */
import type { Scenario, Sent } from "./arbitrary-program.ts";
import type { Program, Statement } from "./program.ts";

const work = (label: string, ms = 10, failures = 0): Statement => ({
  op: "activity",
  type: "work",
  label,
  ms,
  failures,
});
const nap = (ms: number): Statement => ({ op: "sleep", ms });
const receive = (signal: string, timeoutMs: number): Statement => ({ op: "receive", signal, timeoutMs });
const sent = (...signals: readonly (readonly [number, Sent["signal"], number])[]): readonly Sent[] =>
  signals.map(([afterMs, signal, value]) => ({ afterMs, signal, value }));
const child = (type: "leaf" | "twig" | "rotten", input: string, isDetached = false): Statement => ({
  op: "child",
  type,
  id: "",
  input,
  policy: "terminate",
  isDetached,
});
const of = (body: readonly Statement[], more: Partial<Program & Scenario> = {}): Scenario => ({
  program: { body, result: more.result ?? "done", rounds: more.rounds ?? 0 },
  sent: more.sent ?? [],
  cancelAfterMs: more.cancelAfterMs ?? 0,
});

export const baseScenarios: Readonly<Record<string, Scenario>> = {
  sequence: of([
    work("one"),
    { op: "step", name: "two", value: "2", ms: 5 },
    nap(20),
    work("three", 10, 1),
    { op: "side-effect", value: "four" },
    work("five"),
  ]),
  messages: of(
    [
      receive("alpha", 50),
      nap(10),
      receive("beta", 60),
      { op: "send", target: "listener", signal: "word", payload: "hello" },
      receive("alpha", 10),
      { op: "wait-until", count: 2, timeoutMs: 80 },
      work("end"),
    ],
    { sent: sent([10, "alpha", 1], [30, "beta", 2], [50, "tick", 1], [60, "tick", 1], [300, "tick", 1]) },
  ),
  children: of([
    child("leaf", "a"),
    child("twig", "b", true),
    {
      op: "all",
      branches: [[child("leaf", "c"), nap(5)], [child("twig", "d")]],
    },
    child("rotten", "e"),
    work("end", 50),
  ]),
  parallel: of([
    {
      op: "all",
      branches: [
        [work("a", 10), work("b", 10)],
        [nap(15), work("c", 20)],
      ],
    },
    { op: "race", branches: [[work("d", 10)], [nap(30), work("e")]] },
    { op: "any", branches: [[{ op: "activity", type: "toil", label: "f", ms: 5, failures: -1 }], [nap(12)]] },
    nap(40),
  ]),
  undone: of(
    [
      work("flight"),
      { op: "compensate", label: "no flight" },
      { op: "try", body: [work("bad", 5, -1), nap(5)], otherwise: [nap(7)] },
      {
        op: "try",
        body: [{ op: "race", branches: [[work("worse", 5, -1)], [nap(9)]] }],
        otherwise: [nap(6)],
      },
      { op: "scope", timeoutMs: 20, body: [work("slow", 60)] },
      { op: "scope", timeoutMs: 40, body: [receive("alpha", 90)] },
      { op: "compensate", label: "no hotel" },
      { op: "fail", message: "no car" },
    ],
    { sent: sent([200, "alpha", 1]) },
  ),
  guarded: of([
    { op: "patched", id: "fee", taken: [work("fee")], otherwise: [nap(3)] },
    { op: "look" },
    nap(10),
    { op: "try", body: [{ op: "patched", id: "tax", taken: [nap(5)], otherwise: [] }], otherwise: [nap(1)] },
    { op: "side-effect", value: "token" },
    { op: "race", branches: [[nap(5)], [work("late", 30)]] },
    nap(20),
  ]),
  subscription: of([receive("alpha", 40), work("charge"), nap(30)], {
    rounds: 2,
    sent: sent([5, "alpha", 1], [6, "alpha", 2], [7, "alpha", 3]),
  }),
  cancelled: of(
    [
      { op: "compensate", label: "undo" },
      { op: "try", body: [nap(500)], otherwise: [{ op: "shield", body: [work("tidy"), nap(5)] }] },
      nap(10),
    ],
    { cancelAfterMs: 50 },
  ),
};
