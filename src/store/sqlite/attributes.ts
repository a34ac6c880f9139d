import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type { AttributeCondition, AttributeScalar } from "../../core/attribute-filter.ts";
import type { AttributeData, Attributes } from "../../core/attributes.ts";
import { isInstant, noAttributes } from "../../core/attributes.ts";
import type { RunKey } from "../contract.ts";

/** How the type of a value lies in the file. Never changed, only added to. */
const kinds = { keyword: 0, number: 1, boolean: 2, instant: 3 } as const;

/** Of conditions that fewer entries of the index meet, those entries are what is looked through. */
const fewMax = 10_000;

/** Writes the attributes of runs, in the transaction of their commits. */
export class AttributeWriter {
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare(
      "INSERT INTO attributes (run_key, name, place, kind, value) VALUES (?, ?, ?, ?, ?)",
    );
    this.#delete = database.prepare("DELETE FROM attributes WHERE run_key = ?");
  }

  /** `text`: all that the run has, as JSON. */
  insert(runKey: RunKey, text: string): void {
    for (const [name, data] of Object.entries(JSON.parse(text) as Attributes)) {
      if (typeof data !== "object" || isInstant(data)) this.#insertOne(runKey, name, 0, data);
      else for (const [index, keyword] of data.entries()) this.#insertOne(runKey, name, index + 1, keyword);
    }
  }

  replace(runKey: RunKey, text: string): void {
    this.delete(runKey);
    this.insert(runKey, text);
  }

  delete(runKey: RunKey): void {
    this.#delete.run(runKey);
  }

  #insertOne(runKey: RunKey, name: string, place: number, scalar: AttributeScalar): void {
    this.#insert.run(runKey, name, place, kindOf(scalar), toColumn(scalar));
  }
}

export class AttributeReader {
  readonly #database: DatabaseSync;
  readonly #rows: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#rows = database.prepare(
      "SELECT name, place, kind, value FROM attributes WHERE run_key = ? ORDER BY name, place",
    );
  }

  read(runKey: RunKey): Attributes {
    const rows = this.#rows.all(runKey);
    if (rows.length === 0) return noAttributes;
    const attributes = new Map<string, AttributeData>();
    for (const row of rows) {
      const name = String(row["name"]);
      const value = row["value"] ?? null;
      if (row["place"] === 0) attributes.set(name, fromColumn(row["kind"], value));
      else attributes.set(name, [...((attributes.get(name) ?? []) as readonly string[]), String(value)]);
    }
    return Object.fromEntries(attributes);
  }

  /** Which of the conditions the index is asked for, if that leaves few to look at, or gives the runs in their order. */
  choose(conditions: readonly AttributeCondition[]): Choice {
    let best: { readonly condition: AttributeCondition; readonly count: number } | undefined;
    for (const condition of conditions) {
      const count = this.#count(condition);
      if (best === undefined || count < best.count) best = { condition, count };
    }
    if (best === undefined) return {};
    if (best.count <= fewMax) return { leading: best.condition, isFew: true };
    const ordered = conditions.find(isOneValue);
    return ordered === undefined ? {} : { leading: ordered };
  }

  /** Of entries of the index, up to one more than `fewMax`. */
  #count(condition: AttributeCondition): number {
    let count = 0;
    for (const { where, values } of partsOf(condition)) {
      const row = this.#database
        .prepare(
          `SELECT count(*) AS count FROM (SELECT 1 FROM ${byValue} WHERE ${where} LIMIT ${fewMax + 1 - count})`,
        )
        .get(...values);
      count += Number(row?.["count"] ?? 0);
      if (count > fewMax) break;
    }
    return count;
  }
}

export interface Choice {
  /** The condition that leads to the runs; absent: they are gone through in the order of their keys. */
  readonly leading?: AttributeCondition;
  /** It leaves so few that all of them may be looked at at once. */
  readonly isFew?: boolean;
}

export interface Sql {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

const byValue = "attributes INDEXED BY attributes_by_value";

/** What stands in place of `runs`. In it a run is there once, and its key is `found.key`. */
export function leadingRuns(condition: AttributeCondition): Sql {
  const parts = partsOf(condition);
  const selects = parts.map(({ where }) => `SELECT run_key AS key FROM ${byValue} WHERE ${where}`);
  // A union tells each once; of one value there is one entry at the most.
  const found = isOneValue(condition)
    ? selects.join()
    : selects.length === 1
      ? selects.join().replace("SELECT", "SELECT DISTINCT")
      : selects.join(" UNION ");
  return {
    text: `(${found}) AS found CROSS JOIN runs ON runs.run_key = found.key`,
    values: parts.flatMap(({ values }) => values),
  };
}

/** Whether a row of `runs` meets it: a look at the attributes of that run. */
export function attributeCheck(condition: AttributeCondition): Sql {
  const parts = partsOf(condition, "+");
  const meets = parts.map(({ where }) => `(${where})`).join(" OR ");
  return {
    text: `EXISTS (SELECT 1 FROM attributes WHERE run_key = runs.run_key AND name = ? AND (${meets}))`,
    values: [condition.name, ...parts.flatMap(({ values }) => values)],
  };
}

interface Part {
  readonly where: string;
  readonly values: readonly (string | number)[];
}

/** `plus`: before what must not lead to an index. */
function partsOf(condition: AttributeCondition, plus: "" | "+" = ""): readonly Part[] {
  const { name } = condition;
  const ofKind = (kind: number, rest: string, values: Part["values"]): Part => ({
    where: `${plus}name = ? AND ${plus}kind = ${kind} AND ${rest}`,
    values: [name, ...values],
  });
  switch (condition.kind) {
    case "exists":
      return [{ where: `${plus}name = ?`, values: [name] }];
    case "range": {
      const { of, from, to } = condition;
      const bounds: string[] = [];
      const values: number[] = [];
      if (from !== undefined) {
        bounds.push(`${plus}value ${from.isOpen ? ">" : ">="} ?`);
        values.push(from.value);
      }
      if (to !== undefined) {
        bounds.push(`${plus}value ${to.isOpen ? "<" : "<="} ?`);
        values.push(to.value);
      }
      return [ofKind(of === "number" ? kinds.number : kinds.instant, bounds.join(" AND "), values)];
    }
    case "in": {
      const byKind = Map.groupBy(condition.values, kindOf);
      return [...byKind].map(([kind, scalars]) => {
        const values = scalars.map(toColumn);
        const [first, ...more] = values;
        return more.length === 0 && first !== undefined
          ? ofKind(kind, `${plus}value = ?`, [first])
          : ofKind(kind, `${plus}value IN (${values.map(() => "?").join(", ")})`, values);
      });
    }
  }
}

/** Its runs lie in the index in the order of their keys. */
function isOneValue(condition: AttributeCondition): boolean {
  return condition.kind === "in" && condition.values.length === 1;
}

function kindOf(scalar: AttributeScalar): number {
  switch (typeof scalar) {
    case "string":
      return kinds.keyword;
    case "number":
      return kinds.number;
    case "boolean":
      return kinds.boolean;
    default:
      return kinds.instant;
  }
}

function toColumn(scalar: AttributeScalar): string | number {
  if (typeof scalar === "object") return scalar.at;
  return typeof scalar === "boolean" ? Number(scalar) : scalar;
}

function fromColumn(kind: SQLOutputValue | undefined, value: SQLOutputValue): AttributeScalar {
  switch (kind) {
    case kinds.number:
      return Number(value);
    case kinds.boolean:
      return Number(value) === 1;
    case kinds.instant:
      return { at: Number(value) };
    default:
      return String(value);
  }
}
