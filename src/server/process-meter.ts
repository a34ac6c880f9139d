import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import type { Meter } from "../core/ports.ts";

/** What a process is asked when somebody reads its metrics; in between nothing is measured, and no timer runs. */
export function meterProcess(meter: Meter, version: string): () => void {
  const startedAt = meter.gauge("process_start_time_seconds");
  const cpu = meter.counter("process_cpu_seconds_total");
  const memory = meter.gauge("process_resident_memory_bytes");
  const heapUsed = meter.gauge("nodejs_heap_size_used_bytes");
  const heapTotal = meter.gauge("nodejs_heap_size_total_bytes");
  const external = meter.gauge("nodejs_external_memory_bytes");
  const lag = meter.gauge("nodejs_eventloop_lag_seconds");
  const active = meter.counter("nodejs_eventloop_active_seconds_total");
  const build = meter.gauge("aion_build_info");
  let cpuBefore = 0;
  let activeBefore = 0;
  return meter.collect(async () => {
    startedAt.set(performance.timeOrigin / 1_000);
    const { user, system } = process.cpuUsage();
    cpu.add((user + system) / 1e6 - cpuBefore);
    cpuBefore = (user + system) / 1e6;
    const usage = process.memoryUsage();
    memory.set(usage.rss);
    heapUsed.set(usage.heapUsed);
    heapTotal.set(usage.heapTotal);
    external.set(usage.external);
    const activeSeconds = performance.eventLoopUtilization().active / 1_000;
    active.add(activeSeconds - activeBefore);
    activeBefore = activeSeconds;
    build.set(1, version, process.version);
    const askedAt = performance.now();
    await setImmediate();
    lag.set((performance.now() - askedAt) / 1_000);
  });
}
