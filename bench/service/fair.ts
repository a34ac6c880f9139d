/** What two namespaces of one server run in `bench/fairness.ts`: a step on a worker, and a run that takes signals. */
import { activity, expose, signal, waitUntil, workflow } from "aion/workflow";

export const work = activity("work", async (input: { readonly text: string }) => ({
  length: input.text.length,
}));

export const step = workflow("step", async (input: { readonly text: string }) => await work(input));

export const poke = signal<number>("poke");
export const stop = signal("stop");

/** Counts what it is sent, and answers with the count. */
export const counter = workflow("counter", async () => {
  let count = 0;
  let isOver = false;
  expose(poke, () => {
    count += 1;
  });
  expose(stop, () => {
    isOver = true;
  });
  await waitUntil(() => isOver);
  return count;
});
