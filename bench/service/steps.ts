/** The trivial steps as a server and a worker have them: the server gets this file without the activities, the worker all of it. */
import { activity, workflow } from "aion/workflow";
import type { Payload } from "../trivial-step.ts";
import { trivialStep } from "../trivial-step.ts";

export const reserve = activity("reserve", async (input: Payload) => trivialStep(input));
export const charge = activity("charge", async (input: Payload) => trivialStep(input));
export const ship = activity("ship", async (input: Payload) => trivialStep(input));

export const steps = workflow("steps", async (input: Payload) => {
  const reserved = await reserve(input);
  const charged = await charge(reserved);
  return await ship(charged);
});
