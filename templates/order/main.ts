/** `npm start` sells one order, `npm start -- ID AMOUNT` another. Stop it at any moment and start it again: it goes on. */
import { Engine } from "aion";
import { activities, fulfil, workflows } from "./order.ts";

const [id = "1", amount = "40"] = process.argv.slice(2);

await using engine = await Engine.open({ store: "sqlite:aion.db", workflows, activities });
if (engine.recoveredCount > 0) console.log(`recovered ${engine.recoveredCount}`);

// The same id gives the run that exists: nothing is charged twice, however often this is started.
const run = await engine.client.start(fulfil, { id, amount: Number(amount) }, { id: `order-${id}` });
console.log(run.isNew ? `order ${id} has begun` : `order ${id} was there already`);
try {
  const { paymentId, parcel } = await run.result();
  console.log(`order ${id} is done: ${paymentId}, ${parcel}`);
} catch (error) {
  console.error(`order ${id} failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
