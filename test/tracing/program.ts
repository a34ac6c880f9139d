/** What the tests of traces run: a workflow with activities here and on a worker, a child, and a run that continues as new. */
import { activity, child, continueAsNew, log, receive, signal, workflow } from "../../src/workflow/index.ts";
import { trace } from "@opentelemetry/api";

export const go = signal("go");

/** Runs where the engine is; makes a span of its own. */
export const charge = activity("charge", (order: string) =>
  trace.getTracer("user").startActiveSpan("ask the bank", (span) => {
    span.end();
    return `paid ${order}`;
  }),
);

/** Fails once; runs on a worker. */
export const render = activity(
  "render",
  { taskQueue: "gpu", retry: { initialDelay: 1 } },
  async (order: string, task) => {
    if (task.attempt === 1) throw new Error("no memory");
    return await trace.getTracer("user").startActiveSpan("draw", async (span) => {
      await Promise.resolve();
      span.end();
      return `${order}.png`;
    });
  },
);

export const notify = workflow("notify", async (order: string) => await charge(`note of ${order}`));

export const fulfil = workflow("fulfil", async (order: { id: string; round: number }) => {
  if (order.round === 1) {
    await charge(order.id);
    continueAsNew({ ...order, round: 2 });
  }
  await receive(go);
  const [image] = await Promise.all([render(order.id), child(notify, order.id, { id: `${order.id}-note` })]);
  return image;
});

/** `charge`, `hold` (in which the process may be killed), and then a wait. */
export const holding = Promise.withResolvers<void>();
export const hold = activity("hold", (_order: string) => {
  if (process.env["AION_TEST_HOLD"] !== "yes") return "held";
  holding.resolve();
  return new Promise<string>(() => undefined);
});
export const survivor = workflow("survivor", async (order: string) => {
  log.info("begun");
  await charge(order);
  log.info("charged");
  await receive(go);
  log.info("going");
  await hold(order);
  log.info("held");
  return await charge(`${order} again`);
});
