import process from "node:process";
import { planOf } from "./plan.ts";
import { runWorld } from "./world.ts";

const [first = "1", count = "1"] = process.argv.slice(2);
const t0 = performance.now();
const kinds = new Map<string, number[]>();
for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
  const v = await runWorld(planOf(seed), { keepsTrace: count === "1" });
  if (count === "1") for (const l of v.trace) console.log(l);
  if (v.failure) {
    kinds.set(v.failure.kind, [...(kinds.get(v.failure.kind) ?? []), seed]);
    console.log(seed, v.hash, v.stepCount, v.failure.kind, v.failure.message.slice(0, 400));
    if (count === "1") console.log(v.failure.stack, v.failure.cause);
  } else if (count === "1") console.log(seed, v.hash, v.stepCount, [...v.statistics.verbs]);
}
console.log(
  (performance.now() - t0) / Number(count),
  "ms/seed",
  [...kinds].map(([k, s]) => `${k}: ${s.length} (${s.slice(0, 8)})`),
);
