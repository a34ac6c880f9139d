import { z } from "zod";

/** What forms of all kinds are made of. */

export const instant = z.number().describe("Milliseconds since 1970.");
export const milliseconds = z.number().describe("Milliseconds.");
export const json = z.unknown().describe("Any JSON.");
export const list = <Item extends z.ZodType>(item: Item): z.ZodReadonly<z.ZodArray<Item>> =>
  z.array(item).readonly();
export const maybe = z.exactOptional;
