/**
 * An engine in a process of its own, over a SQLite file: it is killed, and started again, until all is done. What its
 * activities do goes to a file beside the store, which nothing undoes.
 */
import path from "node:path";
import process from "node:process";
import { Engine } from "aion";
import { fileOutside } from "./file-outside.ts";
import { defineProgram } from "./interpreter.ts";

const [directory = "."] = process.argv.slice(2);
const { interpreter, activities } = defineProgram(fileOutside(directory));

await Engine.open({
  store: `sqlite:${path.join(directory, "aion.db")}`,
  workflows: [interpreter],
  activities,
});
console.log("open");
