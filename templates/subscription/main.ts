/** `npm start`: Ann's subscription, with periods of five seconds, until she leaves or you stop it. Started again, it goes on. */
import { Engine } from "aion";
import { activities, subscription, workflows } from "./subscription.ts";

await using engine = await Engine.open({ store: "sqlite:aion.db", workflows, activities });

const run = await engine.client.start(
  subscription,
  { customer: "ann", plan: "basic", period: "5s" },
  { id: "subscription-ann", reuse: "after-close" },
);
console.log(run.isNew ? "ann subscribes" : "ann is a subscriber already");
console.log(`In another terminal:
  export AION_STORE=sqlite:aion.db
  npx aion query subscription-ann status
  npx aion signal subscription-ann change-plan --input '"team"'
  npx aion signal subscription-ann unsubscribe`);

const stopped = new Promise<undefined>((resolve) => {
  process.once("SIGINT", () => resolve(undefined));
  process.once("SIGTERM", () => resolve(undefined));
});
const ending = await Promise.race([run.result(), stopped]);
console.log(
  ending === undefined
    ? "stopped; npm start goes on from here"
    : `ann is gone (${ending.because}); payments: ${ending.paidCount}`,
);
