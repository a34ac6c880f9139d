import type { Workload, WorkloadId } from "../workload.ts";
import { fanOut } from "./fan-out.ts";
import { idle } from "./idle.ts";
import { latency } from "./latency.ts";
import { longHistory } from "./long-history.ts";
import { messages } from "./messages.ts";
import { sequence } from "./sequence.ts";
import { networked } from "./networked.ts";
import { sleepers } from "./sleepers.ts";
import { throughput } from "./throughput.ts";

export const workloads: readonly Workload[] = [
  throughput,
  latency,
  fanOut,
  sequence,
  sleepers,
  messages,
  longHistory,
  idle,
  networked,
];

export function workloadOf(id: WorkloadId): Workload {
  const workload = workloads.find((candidate) => candidate.id === id);
  if (workload === undefined) throw new TypeError(`no workload ${id}`);
  return workload;
}
