import { Dice } from "./dice.ts";
import type { FaultKind, NumberedOperation, Operation, Plan } from "./plan.ts";
import { faultKinds, operators, planOf } from "./plan.ts";
import { labourTypes, queueNames } from "./worker-plan.ts";

const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** What happens in a day of a busy service; what is rarer has worlds of its own. */
const faults: readonly FaultKind[] = [
  "crash",
  "freeze",
  "graceful-stop",
  "commit-unknown",
  "write-refused",
  "read-failed",
  "request-lost",
  "reply-lost",
  "request-twice",
  "retention",
  "missing-code",
  "worker-crash",
  "worker-freeze",
  "worker-twin",
  "worker-stop",
  "worker-build",
  "link-cut",
  "frame-cut",
  "half-open",
  "slow-link",
];

/**
 * A day of traffic: steady, with a burst at each full hour; engines and workers are deployed, killed and cut off all the while, and
 * closed runs are deleted. The workflows are random programs, as in other worlds, with the activities of half of them on workers.
 */
export function planOfDay(seed: number): Plan {
  const dice = new Dice(`day ${seed}`);
  const base = planOf(seed, { faults: [], operations: [], hasWorkers: true });
  const programs = Object.assign(
    {},
    ...Array.from({ length: 8 }, (_, index) => {
      const [program] = Object.values(planOf(seed + 1 + index).programs);
      return { [`p${index}`]: program };
    }),
  ) as Plan["programs"];
  const types = Object.keys(programs);
  const clients = Array.from({ length: 3 }, (_, client) =>
    planClient(new Dice(`client ${client} of day ${seed}`), client, types),
  );
  clients.push(...operators(dice));
  return {
    ...base,
    store: "sqlite",
    engineCount: 3,
    skewsMs: [0, 0, 0],
    leaseMs: 10_000,
    residentMax: 50,
    activityConcurrency: 100,
    activityConcurrencyPerType: {},
    faults: new Set(faults),
    intensities: Object.fromEntries(faultKinds.map((kind) => [kind, 0.1])) as Plan["intensities"],
    troubleIntensity: 0.02,
    programs,
    clients,
    troubleMs: dayMs,
    unmendedMs: 60_000,
    stepsMax: Number.POSITIVE_INFINITY,
    workers: {
      seats: [1, 2, 3, 4].map((number) => ({
        concurrency: 5 * number,
        taskQueues: number === 1 ? queueNames : queueNames.filter(() => dice.chance(0.7)).concat("default"),
        activityTypes: labourTypes,
        keepsIdentity: number % 2 === 0,
      })),
      remoteTypes: new Set(["work"]),
      sessionTimeoutMs: 30_000,
      taskQueues: { fast: { concurrency: 8 }, slow: { perSecond: 2 } },
      intensity: 0.03,
    },
  };
}

function planClient(dice: Dice, client: number, types: readonly string[]): readonly NumberedOperation[] {
  const operations: Operation[] = [];
  if (client === 0) operations.push({ verb: "start", workflowId: "listener", workflowType: "listener" });
  let elapsedMs = 0;
  let count = 0;
  let value = client * 1_000_000 + 1_000;
  const start = (): void => {
    count += 1;
    const workflowId = `day-${client}-${count}`;
    operations.push({
      verb: "start",
      workflowId,
      workflowType: dice.pick(types),
      requestId: `${workflowId}-start`,
    });
    if (!dice.chance(0.4)) return;
    value += 1;
    operations.push({
      verb: "signal",
      workflowId,
      name: dice.pick(["alpha", "beta"]),
      value,
      signalId: `s${value}`,
    });
  };
  for (let burst = 1; elapsedMs < dayMs;) {
    const ms = dice.int(5_000, 150_000);
    elapsedMs += ms;
    operations.push({ verb: "wait", ms });
    start();
    if (elapsedMs < burst * hourMs) continue;
    burst += 1;
    for (let left = 20; left > 0; left--) start();
  }
  return operations.map((of, index) => ({ number: client * 1_000_000 + index, of }));
}
