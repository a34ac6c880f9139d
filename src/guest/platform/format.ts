/** The text of a log line from what was given to `console.log`, as `util.format` of Node makes it. */
import { inspect, printPrimitive } from "./inspect.ts";

/** A message ends here, whatever was to be printed. */
const messageLengthMax = 16_384;

export function format(values: readonly unknown[]): string {
  const [template, ...others] = values;
  const text = typeof template === "string" ? fill(template, others) : values.map(printArgument).join(" ");
  const rest = text.length - messageLengthMax;
  return rest > 0 ? `${text.slice(0, messageLengthMax)}... ${rest} more characters` : text;
}

function fill(template: string, values: readonly unknown[]): string {
  if (values.length === 0) return template;
  let used = 0;
  const filled = template.replace(/%[sdifjoOc%]/g, (mark) => {
    if (mark === "%%") return "%";
    return used < values.length ? fillOne(mark, values[used++]) : mark;
  });
  return [filled, ...values.slice(used).map(printArgument)].join(" ");
}

function printArgument(value: unknown): string {
  return typeof value === "string" ? value : inspect(value);
}

function fillOne(mark: string, value: unknown): string {
  switch (mark) {
    case "%s":
      return fillText(value);
    case "%d":
      if (typeof value === "bigint") return printPrimitive(value);
      return printPrimitive(typeof value === "symbol" ? Number.NaN : Number(value));
    case "%i":
      if (typeof value === "bigint") return printPrimitive(value);
      return printPrimitive(typeof value === "symbol" ? Number.NaN : Number.parseInt(String(value), 10));
    case "%f":
      return printPrimitive(typeof value === "symbol" ? Number.NaN : Number.parseFloat(String(value)));
    case "%j":
      return toJson(value);
    // Node shows more here, such as lengths.
    case "%o":
      return inspect(value, { depth: 4 });
    case "%O":
      return inspect(value);
    default:
      // `%c` is for style sheets.
      return "";
  }
}

function fillText(value: unknown): string {
  const isObject = typeof value === "object" && value !== null;
  if (isObject) return hasOwnText(value) ? String(value) : inspect(value, { depth: 0 });
  return printPrimitive(value);
}

const builtIn: ReadonlySet<string> = new Set([
  "Object",
  "Array",
  "Date",
  "Error",
  "Function",
  "RegExp",
  "Map",
  "Set",
]);

/** Whether somebody wrote a `toString` for it. */
function hasOwnText(value: object): boolean {
  if (typeof Reflect.get(value, "toString") !== "function") return false;
  for (
    let owner: object | null = value;
    owner !== null;
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    if (!Object.hasOwn(owner, "toString")) continue;
    const constructor: unknown = Object.hasOwn(owner, "constructor")
      ? Reflect.get(owner, "constructor")
      : undefined;
    return owner === value || typeof constructor !== "function" || !builtIn.has(constructor.name);
  }
  return false;
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "undefined";
  } catch (error) {
    if (error instanceof TypeError && /circular/i.test(error.message)) return "[Circular]";
    throw error;
  }
}
