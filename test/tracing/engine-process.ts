/** An engine that is killed in the middle of `survivor`. Arguments: the file of the store, the file for spans. */
import { appendFileSync } from "node:fs";
import { Engine } from "../../src/embedded/engine.ts";
import { otelTracing } from "../../src/otel/index.ts";
import { charge, go, hold, holding, survivor } from "./program.ts";
import { startSdk } from "./span-tree.ts";

const [store = "", spans = ""] = process.argv.slice(2);
startSdk((line) => appendFileSync(spans, `${JSON.stringify(line)}\n`));
const engine = await Engine.open({
  store: `sqlite:${store}`,
  workflows: [survivor],
  activities: [charge, hold],
  tracing: otelTracing(),
  localSocket: false,
});
const run = await engine.client.start(survivor, "o1", { id: "s1" });
await run.signal(go);
await holding.promise;
process.stdout.write("holding\n");
