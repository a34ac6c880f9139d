import { roles } from "../client/access.ts";
import type { Grant, Role } from "../client/access.ts";
import { namespacePattern } from "../client/routes.ts";
import { AionError } from "../core/errors.ts";
import { parseName } from "../core/ids.ts";

const grantsMax = 100;
const namesMax = 1_000;
const namespaceForm = new RegExp(namespacePattern);
const fields: ReadonlySet<string> = new Set(["roles", "namespaces", "taskQueues"]);

/**
 * Grants as they come from outside: a list, each a text (`read,start@team-a`, `work@default/gpu`, `admin@*`) or an object. Made anew of
 * what they consist of. Whatever is not understood is refused, and not left out. Error: `invalid_argument`.
 */
export function parseGrants(value: unknown): readonly Grant[] {
  if (!Array.isArray(value)) throw invalid("grants are a list");
  if (value.length > grantsMax) throw invalid(`there are ${value.length} grants, at most ${grantsMax}`);
  return value.map((grant: unknown) => (typeof grant === "string" ? parseText(grant) : parseObject(grant)));
}

/** `ROLE,…@NAMESPACE,…` or `ROLE,…@NAMESPACE,…/TASK-QUEUE,…`; `*` are all. */
function parseText(text: string): Grant {
  const at = text.indexOf("@");
  if (at === -1) throw invalid(`${show(text)} has no @`);
  const [namespaces = "", ...queues] = text.slice(at + 1).split("/");
  return parseObject({
    roles: text.slice(0, at).split(","),
    namespaces: toNames(namespaces),
    ...(queues.length === 0 ? {} : { taskQueues: toNames(queues.join("/")) }),
  });
}

function toNames(text: string): "*" | readonly string[] {
  return text === "*" ? "*" : text.split(",");
}

function parseObject(value: unknown): Grant {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("a grant is a text or an object");
  const grant = value as Readonly<Record<string, unknown>>;
  const stray = Object.keys(grant).find((field) => !fields.has(field));
  if (stray !== undefined) throw invalid(`a grant has no ${show(stray)}`);
  const { taskQueues } = grant;
  return {
    roles: parseList(grant["roles"], "roles", parseRole),
    namespaces: parseAllOr(grant["namespaces"], "namespaces", parseNamespaceName),
    ...(taskQueues === undefined
      ? {}
      : { taskQueues: parseAllOr(taskQueues, "task queues", (name) => parseName(name, "a task queue")) }),
  };
}

function parseAllOr(value: unknown, what: string, parse: (name: unknown) => string): "*" | readonly string[] {
  return value === "*" ? "*" : parseList(value, what, parse);
}

function parseList<Item>(value: unknown, what: string, parse: (item: unknown) => Item): readonly Item[] {
  if (!Array.isArray(value) || value.length === 0)
    throw invalid(`${what} of a grant are a list of one or more`);
  if (value.length > namesMax) throw invalid(`a grant has ${value.length} ${what}, at most ${namesMax}`);
  return [...new Set(value.map(parse))];
}

function parseRole(value: unknown): Role {
  const role = roles.find((name) => name === value);
  if (role === undefined) throw invalid(`${show(value)} is no role; there are ${roles.join(", ")}`);
  return role;
}

function parseNamespaceName(value: unknown): string {
  if (typeof value === "string" && namespaceForm.test(value)) return value;
  throw invalid(`${show(value)} is no name of a namespace`);
}

function show(value: unknown): string {
  return JSON.stringify(typeof value === "string" ? value.slice(0, 100) : typeof value);
}

function invalid(what: string): AionError {
  return new AionError("invalid_argument", `malformed grant: ${what}`, {
    hint: 'A grant is roles, an @ and namespaces: "read,start@team-a", "work@default/gpu", "admin@*".',
  });
}

/** As `parseGrants` reads it, where that form can say it. */
export function grantToText({ roles: held, namespaces, taskQueues }: Grant): string {
  const names = (list: "*" | readonly string[]): string => (list === "*" ? "*" : list.join(","));
  return `${held.join(",")}@${names(namespaces)}${taskQueues === undefined ? "" : `/${names(taskQueues)}`}`;
}
