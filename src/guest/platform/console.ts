/** `console` over the log of the run. */
import { defineMembers, defineValue } from "./define.ts";
import { format } from "./format.ts";
import { inspect } from "./inspect.ts";
import type { CurrentPort, PlatformPort } from "./port.ts";
import { RunLocal } from "./runs.ts";

interface ConsoleState {
  indentation: number;
  readonly counts: Map<string, number>;
  /** When each was started. */
  readonly timers: Map<string, number>;
}

export function installConsole(global: object, port: CurrentPort): void {
  const states = new RunLocal<ConsoleState>(port, () => ({
    indentation: 0,
    counts: new Map(),
    timers: new Map(),
  }));

  const write = (level: Parameters<PlatformPort["log"]>[0], values: readonly unknown[]): void => {
    const margin = " ".repeat(states.current.indentation);
    port().log(level, format(values).replace(/^/gm, margin));
  };
  const labelOf = (label: unknown): string => (label === undefined ? "default" : String(label));
  const elapsed = (label: unknown): string | undefined => {
    const startedAt = states.current.timers.get(labelOf(label));
    return startedAt === undefined ? undefined : `${labelOf(label)}: ${port().now() - startedAt}ms`;
  };

  const console = {};
  defineMembers(console, {
    log: (...values: readonly unknown[]) => write("info", values),
    info: (...values: readonly unknown[]) => write("info", values),
    debug: (...values: readonly unknown[]) => write("debug", values),
    warn: (...values: readonly unknown[]) => write("warn", values),
    error: (...values: readonly unknown[]) => write("error", values),
    trace(...values: readonly unknown[]): void {
      const { stack = "" } = new Error();
      // Neither the name of the error nor this function.
      const lines = stack.split("\n").slice(2);
      write("error", [[`Trace: ${format(values)}`, ...lines].join("\n")]);
    },
    dir: (value: unknown, options?: { readonly depth?: number | null }) =>
      write("info", [inspect(value, { depth: options?.depth ?? (options?.depth === null ? 100 : 2) })]),
    dirxml: (...values: readonly unknown[]) => write("info", values),
    table: (...values: readonly unknown[]) => write("info", values.slice(0, 1)),
    assert(claim?: unknown, ...values: readonly unknown[]): void {
      if (claim) return;
      const [first, ...others] = values;
      if (values.length === 0) write("warn", ["Assertion failed"]);
      else if (typeof first === "string") write("warn", [`Assertion failed: ${first}`, ...others]);
      else write("warn", ["Assertion failed:", ...values]);
    },
    group(...values: readonly unknown[]): void {
      if (values.length > 0) write("info", values);
      states.current.indentation += 2;
    },
    groupCollapsed(...values: readonly unknown[]): void {
      if (values.length > 0) write("info", values);
      states.current.indentation += 2;
    },
    groupEnd(): void {
      states.current.indentation = Math.max(0, states.current.indentation - 2);
    },
    count(label?: unknown): void {
      const count = (states.current.counts.get(labelOf(label)) ?? 0) + 1;
      states.current.counts.set(labelOf(label), count);
      write("info", [`${labelOf(label)}: ${count}`]);
    },
    countReset: (label?: unknown) => void states.current.counts.delete(labelOf(label)),
    time: (label?: unknown) => void states.current.timers.set(labelOf(label), port().now()),
    timeLog(label?: unknown, ...values: readonly unknown[]): void {
      const text = elapsed(label);
      if (text !== undefined) write("info", [text, ...values]);
    },
    timeEnd(label?: unknown): void {
      const text = elapsed(label);
      states.current.timers.delete(labelOf(label));
      if (text !== undefined) write("info", [text]);
    },
  });
  Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
  defineValue(global, "console", console);
}
