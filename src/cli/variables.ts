import type { Command } from "commander";
import { nearestSpelling } from "../core/options.ts";
import { settingVariables } from "./configuration.ts";

const prefix = "AION_";

/** The variables of the environment that some command reads. */
export function knownVariables(program: Command): readonly string[] {
  const options = [program, ...program.commands].flatMap((command) => command.options);
  return [
    ...new Set([
      ...options.flatMap(({ envVar }) => (envVar === undefined ? [] : [envVar])),
      ...settingVariables,
    ]),
  ];
}

/**
 * Variables that nobody reads and that may be a slip for one that somebody does, with that one. Others may be of a program that goes
 * along with it.
 */
export function misspelledVariables(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): readonly { readonly name: string; readonly near: string }[] {
  const shortNames = known.map((name) => name.slice(prefix.length));
  return Object.keys(environment).flatMap((name) => {
    if (!name.startsWith(prefix) || known.includes(name)) return [];
    const near = nearestSpelling(name.slice(prefix.length), shortNames);
    return near === undefined ? [] : [{ name, near: `${prefix}${near}` }];
  });
}
