import { z } from "zod";

/** What forms of all kinds are made of. */

export const instant = z.number().describe("Milliseconds since 1970.");
export const milliseconds = z.number().describe("Milliseconds.");
export const json = z.unknown().describe("Any JSON.");
export const list = <Item extends z.ZodType>(item: Item): z.ZodReadonly<z.ZodArray<Item>> =>
  z.array(item).readonly();
export const maybe = z.exactOptional;

export const attribute = z
  .union([z.string(), z.number(), z.boolean(), z.object({ at: instant }), list(z.string())], {
    error:
      "an attribute is a text, a number, a boolean, an instant ({ at: 1795780041168 }) or a list of texts",
  })
  .describe("A keyword, a number, a boolean, an instant, or a list of keywords.");
/** Search attributes, by name. */
export const attributes = z.record(z.string(), attribute);
export const attributeChanges = z.record(z.string(), attribute.nullable());
