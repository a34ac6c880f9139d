/** An engine with the desk, in a process of its own. `node engine-process.ts FILE` */
import process from "node:process";
import { Engine } from "aion";
import { account, act, job, kiosk, line, parcel, shift, tale } from "./desk.ts";

const [file = ""] = process.argv.slice(2);
await Engine.open({
  store: `sqlite:${file}`,
  workflows: [account, line, job, shift, tale, kiosk, parcel],
  activities: [act],
  log: () => undefined,
});
console.log("open");
