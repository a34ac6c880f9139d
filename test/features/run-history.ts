/** Reads what tests compare: the events of a run, an error that must come. */
import type { Event, EventOf, EventType, RunHandle } from "aion/client";

export async function eventsOf(run: RunHandle): Promise<readonly Event[]> {
  const events: Event[] = [];
  for await (const event of run.history()) events.push(event);
  return events;
}

export async function eventsOfType<Type extends EventType>(
  run: RunHandle,
  type: Type,
): Promise<readonly EventOf<Type>[]> {
  return (await eventsOf(run)).filter((event): event is Event & EventOf<Type> => event.type === type);
}

export async function typesOf(run: RunHandle): Promise<readonly EventType[]> {
  return (await eventsOf(run)).map((event) => event.type);
}

/** The error that a promise rejects with. Throws when it does not. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`it should have failed, and gave ${JSON.stringify(value)}`);
}

/** What the innermost cause of an error says. */
export function rootOf(error: unknown): unknown {
  let root = error;
  while (root instanceof Error && root.cause !== undefined) root = root.cause;
  return root;
}
