/** Trials that once went wrong, made small: each a law of its own from then on. */
import type { Trial } from "./generator.ts";
import type { Act, Statement } from "./program.ts";

const main = (body: readonly Statement[], ...acts: readonly Act[]): Trial => ({
  of: { acts: [{ kind: "start", atMs: 0, target: "main", program: { body, rounds: 0 } }, ...acts] },
  kills: [],
});

const slowly: Statement & { readonly op: "activity" } = {
  op: "activity",
  site: "slow",
  work: {
    ms: 60,
    failures: 0,
    maxAttempts: 1,
    backoffMs: 1,
    backoff: "fixed",
    isFinal: false,
    whenTold: "stop",
  },
};

/** A wait that was begun in the turn in which its scope is cancelled. */
const cancelledAtOnce = (waiting: Statement): Trial =>
  main([
    {
      op: "scope",
      site: "scope",
      timeoutMs: 0,
      body: [
        { op: "settled", site: "both", branches: [[waiting], [{ op: "cancel-scope", site: "cancel" }]] },
      ],
    },
  ]);

export const foundTrials: Readonly<Record<string, Trial>> = {
  "a condition that is waited for in the turn of a cancellation is called off": cancelledAtOnce({
    op: "wait-until",
    site: "wait",
    ticks: 1,
    timeoutMs: 0,
  }),
  "a signal that is waited for in the turn of a cancellation is called off": cancelledAtOnce({
    op: "receive",
    site: "wait",
    signal: "alpha",
    timeoutMs: 0,
  }),
  "a scope that is opened in the turn of a cancellation is called off": cancelledAtOnce({
    op: "scope",
    site: "inner",
    timeoutMs: 0,
    body: [{ op: "sleep", site: "sleep", ms: 500 }],
  }),
  "a child that was left behind in a scope is told when the run is cancelled": main(
    [
      {
        op: "scope",
        site: "scope",
        timeoutMs: 0,
        body: [
          {
            op: "child",
            site: "c1",
            program: { body: [{ op: "sleep", site: "sleep", ms: 184 }], rounds: 0 },
            policy: "abandon",
            isDetached: true,
          },
        ],
      },
      slowly,
      { op: "sleep", site: "rest", ms: 200 },
    ],
    { kind: "cancel", atMs: 128, target: "main" },
  ),
  "what goes on in a scope that is over is refused once the run is cancelled": main(
    [
      {
        op: "scope",
        site: "scope",
        timeoutMs: 0,
        body: [
          {
            op: "race",
            site: "race",
            branches: [
              [{ op: "now", site: "now" }],
              [
                { op: "shield", site: "shield", body: [{ op: "sleep", site: "nap", ms: 80 }] },
                { ...slowly, site: "late" },
              ],
            ],
          },
        ],
      },
      { op: "try", site: "try", body: [{ op: "sleep", site: "long", ms: 900 }], otherwise: [] },
      { op: "shield", site: "cleaning", body: [{ op: "sleep", site: "clean", ms: 300 }] },
    ],
    { kind: "cancel", atMs: 50, target: "main" },
  ),
};
