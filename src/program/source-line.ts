// Where this copy of Aion lies: an author's own `src/workflow/` must not be taken for it.
const root = new URL("..", import.meta.url).pathname;
const roots = [root, decodeURI(root)].map((path) => RegExp.escape(path)).join("|");

/** Frames of the engine's own files are skipped; test files beside them count as user code. */
const own = new RegExp(
  `(?:${roots})(?:core|program|workflow|replay|engine)/(?![^/]*\\.test\\.)[^/]+\\.[jt]s[:)]`,
);

/** Where in the author's code the caller's caller is: `file:///app/order.ts:12:5`. Ends of a run have no place. */
export function sourceLine(): string | undefined {
  const stack = new Error().stack ?? "";
  for (const frame of stack.split("\n").slice(1)) {
    if (own.test(frame) || frame.includes("node:internal") || frame.includes("(<anonymous>)")) continue;
    const place = /\(?((?:file:\/\/|\/|[A-Za-z]:)[^()]*:\d+:\d+)\)?$/.exec(frame.trim());
    if (place?.[1] !== undefined) return place[1];
  }
  return undefined;
}
