const settable = [
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
] as const;

const parts = ["href", "origin", ...settable] as const;

/**
 * Parses a URL for code in a realm, which is handed text only: the parts as JSON, or `undefined` when it is none. With
 * a change, that part is set first.
 */
export function parseUrlParts(
  input: string,
  base: string | undefined,
  change?: readonly [part: string, value: string],
): string | undefined {
  const url = URL.parse(input, base);
  if (url === null) return undefined;
  const part = settable.find((it) => it === change?.[0]);
  if (part !== undefined && change !== undefined) url[part] = change[1];
  return JSON.stringify(Object.fromEntries(parts.map((name) => [name, url[name]])));
}
