/** A worker in a process of its own: it is killed, and another one comes. */
import process from "node:process";
import { Worker } from "aion/worker";
import { fileOutside } from "./file-outside.ts";
import { defineProgram } from "./interpreter.ts";

const [directory = ".", url = ""] = process.argv.slice(2);
const { activities } = defineProgram(fileOutside(directory));

await new Worker({ url, activities, concurrency: 20, log: () => undefined }).run();
