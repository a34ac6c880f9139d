/** `npm start`: reads inbox/ and writes report.json. Stop it at any moment and start it again: it goes on. */
import { Engine } from "aion";
import { activities, summarize, workflows } from "./pipeline.ts";

await using engine = await Engine.open({
  store: "sqlite:aion.db",
  workflows,
  activities,
  activityConcurrencyPerType: { read: 4 },
});
if (engine.recoveredCount > 0) console.log(`recovered ${engine.recoveredCount}`);

// One run a day: the same id gives the run that exists, whoever starts it and however often.
const [day = new Date().toISOString().slice(0, 10)] = process.argv.slice(2);
const run = await engine.client.start(
  summarize,
  { folder: "inbox", reportFile: "report.json" },
  { id: `summarize-${day}` },
);
console.log(run.isNew ? `summarize-${day} has begun` : `summarize-${day} was there already`);
const { totals, failed } = await run.result();
console.log(`${totals.rowCount} rows, ${totals.rejectedCount} rejected, ${totals.amount} in all`);
for (const { file, reason } of failed) console.log(`given up: ${file}: ${reason}`);
