/** A server in a process of its own, which leaves activities to workers: it is killed, and started again at the same port. */
import process from "node:process";
import { Server } from "aion/server";
import { fileOutside } from "./file-outside.ts";
import { defineProgram } from "./interpreter.ts";

const [directory = ".", port = "0"] = process.argv.slice(2);
const { interpreter } = defineProgram(fileOutside(directory));

await Server.open({
  data: directory,
  port: Number(port),
  workflows: [interpreter],
  workerSession: "2s",
});
console.log("open");
